"""How many guesses an account takes, played through in a time of the test's own (ATTACKS 15 and 16)."""

from dataclasses import dataclass, field
from itertools import count
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radiusd_mfa.core import throttle
from radiusd_mfa.core.throttle import CODE_CAPS, DAY, ROOM, Admission, Charge
from radiusd_mfa.core.verdict import Mark

START: Final = 1_800_000_000.0
HOUR: Final = 3_600.0
ADMITTED, CLOSED, KNOWN_WRONG = Admission.ADMITTED, Admission.CLOSED, Admission.KNOWN_WRONG


@dataclass
class Account:
    """One user's throttle row, as the store and the judge work on it."""

    history: str = ""
    numbers: "count[int]" = field(default_factory=lambda: count(1))

    def charge(self, at: float, *, nas: int = 1, device: str = "d0", text: str | None = None) -> Charge:
        number = next(self.numbers)
        return Charge(at, throttle.PENDING, nas, device, f"{number:016x}" if text is None else text, f"{number:032x}")

    def open(self, charge: Charge, *, known_device: bool = False) -> Admission:
        """Charge and weigh, as one transaction does."""
        if len(self.history) < ROOM:
            self.history += str(charge)
        return throttle.weigh(self.history, charge, known_device=known_device)

    def settle(self, charge: Charge, mark: Mark) -> None:
        self.history = throttle.settle(self.history, charge, mark)

    def guess(
        self,
        at: float,
        mark: Mark = Mark.WRONG_CODE,
        *,
        nas: int = 1,
        device: str = "d0",
        text: str | None = None,
    ) -> Admission:
        """Try once and settle at once: with `mark` if it was evaluated, otherwise refused for nothing."""
        charge = self.charge(at, nas=nas, device=device, text=text)
        admission = self.open(charge, known_device=mark is Mark.WRONG_PASSWORD_KNOWN_DEVICE)
        self.settle(charge, mark if admission is ADMITTED else Mark.REFUND)
        return admission


def most_in(times: list[float], span: float) -> int:
    """Return how many of the times lie in the fullest half-open span."""
    return max((sum(start <= at < start + span for at in times) for start in times), default=0)


# Wrong codes.


@pytest.mark.parametrize(("cap", "span"), CODE_CAPS)
def test_a_guesser_who_never_stops_has_as_many_codes_as_the_cap_and_no_more(cap: int, span: float) -> None:
    account = Account()
    every = span / 1000 if span < DAY else 30.0
    times = [at for n in range(int(2.5 * span / every)) if account.guess(at := START + n * every) is ADMITTED]
    assert most_in(times, span) == cap
    for other_cap, other_span in CODE_CAPS:
        assert most_in(times, other_span) <= other_cap


def test_the_caps_are_the_promised_ones() -> None:
    assert CODE_CAPS == ((5, 300.0), (20, 3_600.0), (50, 86_400.0))


def test_a_closed_account_opens_when_the_oldest_guess_has_aged() -> None:
    account = Account()
    for n in range(5):
        assert account.guess(START + n) is ADMITTED
    assert throttle.opens_at(account.history, now=START + 5) == START + 300
    assert account.guess(START + 299.9) is CLOSED
    assert account.guess(START + 300) is ADMITTED
    assert account.guess(START + 300.5) is CLOSED


def test_what_is_refused_while_closed_does_not_keep_it_closed() -> None:
    account = Account()
    for n in range(3_000):
        account.guess(START + n * 0.1)
    assert account.guess(START + 300) is ADMITTED


def test_a_thousand_guesses_at_once_are_five() -> None:
    account = Account()
    charges = [account.charge(START) for _ in range(1_000)]
    admissions = [account.open(charge) for charge in charges]
    assert admissions.count(ADMITTED) == 5
    assert len(account.history) < ROOM + 200


def test_what_found_no_room_in_the_history_is_closed() -> None:
    charge = Account().charge(START)
    assert throttle.weigh("", charge, known_device=True) is CLOSED


def test_a_right_credential_takes_its_own_charge_back_and_no_wrong_code() -> None:
    account = Account()
    for n in range(4):
        account.guess(START + n)
    before = account.history
    assert account.guess(START + 10, Mark.CLEAR) is ADMITTED
    assert account.history == before
    assert account.guess(START + 11) is ADMITTED
    assert account.guess(START + 12) is CLOSED


def test_right_passwords_in_between_buy_no_further_codes() -> None:
    """A new challenge resets nothing (ATTACKS 15)."""
    account = Account()
    admitted = 0
    for n in range(60):
        account.guess(START + 2 * n, Mark.CLEAR)
        admitted += account.guess(START + 2 * n + 1) is ADMITTED
    assert admitted == 5


def test_wrong_passwords_from_everywhere_push_no_wrong_code_out_of_the_history() -> None:
    account = Account()
    for n in range(4):
        assert account.guess(START + n) is ADMITTED
    for n in range(throttle.KEPT):
        account.history += str(throttle.marked(account.charge(START + 5, nas=10 + n), Mark.WRONG_PASSWORD))
    known = Mark.WRONG_PASSWORD_KNOWN_DEVICE
    assert account.guess(START + 260, known) is ADMITTED
    marks = [entry.mark for entry in throttle.parse(account.history)]
    assert (marks.count("c"), len(marks)) == (4, throttle.KEPT)
    fifth, sixth = account.charge(START + 270), account.charge(START + 271)
    assert account.open(fifth, known_device=True) is ADMITTED
    account.settle(fifth, Mark.WRONG_CODE)
    assert account.open(sixth, known_device=True) is CLOSED


def test_a_flood_pushes_no_guess_in_flight_out_of_the_history() -> None:
    account = Account()
    flood = [account.charge(START + n / 1_000) for n in range(throttle.KEPT + 50)]
    admissions = [account.open(charge) for charge in flood]
    assert admissions.index(CLOSED) == 5
    for charge in reversed(flood):
        account.settle(charge, Mark.REFUND if charge in flood[5:] else Mark.WRONG_CODE)
    assert account.guess(START + 1) is CLOSED


def test_a_day_of_wrong_codes_and_passwords_stays_within_its_row() -> None:
    account = Account()
    for n in range(2_000):
        account.guess(START + n * 43, Mark.WRONG_CODE if n % 3 else Mark.WRONG_PASSWORD, nas=n % 7)
        assert len(account.history) < ROOM
    assert account.guess(START + 3 * DAY) is ADMITTED
    assert len(list(throttle.parse(account.history))) == 1


# Crashes, rubbish and clocks.


def test_a_guess_that_was_never_settled_is_a_guess() -> None:
    account = Account()
    for n in range(5):
        assert account.open(account.charge(START + n)) is ADMITTED  # and then the power went
    assert account.guess(START + 100) is CLOSED
    assert account.guess(START + 301) is ADMITTED


def test_a_crash_counts_as_a_wrong_password_too() -> None:
    account = Account()
    for n in range(12):
        assert account.open(account.charge(START + n * 301)) in (ADMITTED, CLOSED)
    last = START + 11 * 301
    assert account.guess(last + 2_047) is CLOSED  # the twelfth wait is of 2^11 seconds
    assert account.guess(last + 2_048) is ADMITTED


def test_crashes_alone_close_nothing_for_good() -> None:
    account = Account()
    for n in range(500):
        account.open(account.charge(START + n))
    assert account.guess(START + 501) is CLOSED
    account.guess(START + 500 + DAY)
    assert account.guess(START + 500 + DAY + 1) is ADMITTED


@pytest.mark.parametrize("rubbish", ["x", "////", "nan/c/1/d/t/r", "x/?/1/d/t/r", "1e400/c/1/d/t/r"])
def test_what_cannot_be_read_counts_as_a_wrong_code_that_never_ages(rubbish: str) -> None:
    account = Account(history=f"{rubbish};" * 5)
    assert account.guess(START) is CLOSED
    assert account.guess(START + 10 * DAY) is CLOSED


@pytest.mark.parametrize("rubbish", ["", "/?/1/d/t", "/z/1/d/t/r", "/c/x/d/t/r", "/?/1/d/t/r/more"])
def test_what_can_be_read_as_far_as_its_time_counts_as_a_wrong_code_of_then(rubbish: str) -> None:
    account = Account(history=f"{START}{rubbish};" * 5)
    assert account.guess(START + 299) is CLOSED
    assert account.guess(START + 300) is ADMITTED


@given(st.text(alphabet=st.characters(exclude_characters=";\x00"), max_size=40))
def test_no_history_raises_and_no_entry_vanishes(entry: str) -> None:
    account = Account(history=f"{entry};")
    account.guess(START)
    assert len(list(throttle.parse(f"{entry};"))) == (1 if entry else 0)


def test_a_clock_that_was_set_back_opens_nothing() -> None:
    account = Account()
    for n in range(5):
        assert account.guess(START + n) is ADMITTED
    for back in (1.0, 299.0, HOUR, DAY, 400 * DAY):
        assert account.guess(START - back) is CLOSED
    assert account.guess(START + 300) is ADMITTED


def test_a_clock_that_was_set_back_forgets_no_wrong_password() -> None:
    account = Account()
    for n in range(4):
        account.guess(START + 10 * n, Mark.WRONG_PASSWORD)
    assert account.guess(START - HOUR, Mark.WRONG_PASSWORD) is CLOSED


# Wrong passwords.


@pytest.mark.parametrize("mark", [Mark.WRONG_PASSWORD, Mark.WRONG_PASSWORD_KNOWN_DEVICE])
def test_each_wrong_password_doubles_the_wait_from_a_second_to_an_hour(mark: Mark) -> None:
    account, now = Account(), START
    for failures in range(1, 16):
        assert account.guess(now, mark) is ADMITTED
        delay = min(HOUR, 2.0 ** (failures - 1))
        assert account.guess(now + delay - 0.01, mark) is CLOSED
        now += delay


def test_a_wrong_password_never_locks_for_longer_than_an_hour() -> None:
    account = Account()
    for n in range(3_000):
        account.guess(START + n * 20, Mark.WRONG_PASSWORD)
    assert account.guess(START + 3_000 * 20 + HOUR, Mark.CLEAR) is ADMITTED


def test_an_attacker_elsewhere_delays_nobody_on_a_known_device() -> None:
    account = Account()
    for n in range(5_000):
        account.guess(START + n * 0.5, Mark.WRONG_PASSWORD, device="attacker")
    charge = account.charge(START + 2_500, device="owner")
    assert account.open(charge, known_device=True) is ADMITTED


def test_an_attacker_on_one_nas_delays_nobody_on_another() -> None:
    account = Account()
    for n in range(500):
        account.guess(START + n * 0.5, Mark.WRONG_PASSWORD, nas=1)
    assert account.guess(START + 250, nas=2, mark=Mark.CLEAR) is ADMITTED


def test_guessing_from_many_nases_at_once_is_slowed_down_too() -> None:
    account, admitted = Account(), 0
    for n in range(0, 600, 2):
        for nas in range(30):
            admitted += account.guess(START + n + nas / 100, Mark.WRONG_PASSWORD, nas=nas) is ADMITTED
    assert admitted <= throttle.KEPT + 1
    # Whoever is on a known device waits for nobody.
    assert account.open(account.charge(START + 600, nas=7, device="owner"), known_device=True) is ADMITTED


def test_a_spoofed_device_is_no_way_around_the_delay() -> None:
    account = Account()
    admitted = sum(
        account.guess(START + n * 0.01, Mark.WRONG_PASSWORD, device=f"{n:08x}") is ADMITTED for n in range(400)
    )
    assert admitted == 3  # at 0, 1 and 3 seconds


def test_known_devices_of_one_user_do_not_wait_for_each_other() -> None:
    account = Account()
    for n in range(5):
        account.guess(START + 30 * n, Mark.WRONG_PASSWORD_KNOWN_DEVICE, device="one")
    assert account.guess(START + 121, Mark.WRONG_PASSWORD_KNOWN_DEVICE, device="one") is CLOSED
    assert account.guess(START + 121, Mark.WRONG_PASSWORD_KNOWN_DEVICE, device="two") is ADMITTED


def test_the_right_password_forgives_own_mistakes_and_not_an_attackers() -> None:
    account = Account()
    account.guess(START, Mark.WRONG_PASSWORD, device="attacker")
    account.guess(START + 10, Mark.WRONG_PASSWORD, device="owner")
    account.guess(START + 20, Mark.CLEAR, device="owner")
    assert [entry.device for entry in throttle.parse(account.history)] == ["attacker"]


# The same text again.


def test_a_client_that_reconnects_with_the_same_wrong_code_counts_once() -> None:
    account = Account()
    assert account.guess(START, text="same") is ADMITTED
    for n in range(1, 500):
        assert account.guess(START + n * 60, text="same") is KNOWN_WRONG
    assert len(list(throttle.parse(account.history))) == 1
    for n in range(4):
        assert account.guess(START + 100 + n, text=f"other{n}") is ADMITTED


def test_a_client_that_reconnects_with_the_same_wrong_password_counts_once_in_five_minutes() -> None:
    account = Account()
    assert account.guess(START, Mark.WRONG_PASSWORD, text="same") is ADMITTED
    assert {account.guess(START + n, Mark.WRONG_PASSWORD, text="same") for n in range(1, 300)} == {KNOWN_WRONG}
    # It may have become right meanwhile.
    assert account.guess(START + 300, Mark.WRONG_PASSWORD, text="same") is ADMITTED


def test_a_known_wrong_text_holds_up_no_other() -> None:
    account = Account()
    account.guess(START, Mark.WRONG_PASSWORD, text="same")
    for n in range(100):
        account.guess(START + 1 + n / 100, Mark.WRONG_PASSWORD, text="same")
    assert account.guess(START + 2, Mark.CLEAR, text="right") is ADMITTED


# Whatever comes in whatever order.


@dataclass
class Play:
    """One attempt of a schedule: when, what it is worth, and when it is settled."""

    wait: float
    mark: Mark | None
    """None: it is never settled."""
    takes: float
    nas: int
    device: str
    skew: float


PLAYS: Final = st.lists(
    st.builds(
        Play,
        wait=st.sampled_from([0.0, 0.0, 0.0, 0.1, 1.0, 7.0, 40.0, 100.0, 299.0, 301.0, 1_000.0, 3_000.0, 20_000.0]),
        mark=st.sampled_from(
            [Mark.WRONG_CODE, Mark.WRONG_CODE, Mark.WRONG_CODE, None, Mark.CLEAR, Mark.REFUND, Mark.WRONG_PASSWORD]
        ),
        takes=st.sampled_from([0.0, 0.0, 0.05, 3.0, 9.0]),
        nas=st.integers(1, 4),
        device=st.sampled_from(["d0", "d1"]),
        skew=st.sampled_from([0.0, 0.0, 0.0, 0.3, -0.3, -2.0]),
    ),
    max_size=120,
)


def play(plays: list[Play]) -> list[float]:
    """Run a schedule in which attempts overlap, and return when codes were evaluated."""
    account, now = Account(), START
    evaluated: list[float] = []
    running: list[tuple[float, Charge, Mark | None]] = []
    for one in plays:
        now += one.wait
        for settled in [each for each in running if each[0] <= now]:
            running.remove(settled)
            if settled[2] is not None:
                account.settle(settled[1], settled[2])
        charge = account.charge(now + one.skew, nas=one.nas, device=one.device)
        if account.open(charge) is not ADMITTED:
            running.append((now + one.takes, charge, Mark.REFUND))
            continue
        if one.mark in (Mark.WRONG_CODE, None):
            evaluated.append(charge.at)
        running.append((now + one.takes, charge, one.mark))
    return evaluated


@given(PLAYS)
@settings(max_examples=300, deadline=None)
def test_no_schedule_evaluates_more_codes_than_the_caps(plays: list[Play]) -> None:
    evaluated = play(plays)
    for cap, span in CODE_CAPS:
        assert most_in(evaluated, span) <= cap


@given(PLAYS)
@settings(max_examples=100, deadline=None)
def test_every_settled_history_reads_back_as_it_was_written(plays: list[Play]) -> None:
    account = Account()
    for n, one in enumerate(plays):
        account.guess(START + n * one.wait, one.mark or Mark.WRONG_CODE, nas=one.nas, device=one.device)
    assert "".join(map(str, throttle.parse(account.history))) == account.history


def test_a_hundred_guesses_settled_in_the_opposite_order_are_five() -> None:
    account = Account()
    charges = [account.charge(START + n / 100) for n in range(100)]
    admitted = [charge for charge in charges if account.open(charge) is ADMITTED]
    assert len(admitted) == 5
    for charge in reversed(charges):
        account.settle(charge, Mark.WRONG_CODE if charge in admitted else Mark.REFUND)
    assert account.guess(START + 2) is CLOSED
    assert len(list(throttle.parse(account.history))) == 5


def test_a_retransmission_that_is_charged_twice_is_one_guess() -> None:
    account = Account()
    charge = account.charge(START)
    assert account.open(charge) is ADMITTED
    assert account.open(charge) is ADMITTED  # silence after a fault: the same request comes again
    account.settle(charge, Mark.REFUND)
    assert account.history == ""

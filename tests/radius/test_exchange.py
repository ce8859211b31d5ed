"""Retransmissions: one evaluation, one answer, the same octets (ATTACKS 7, RFC 5080 2.2.2)."""

import math

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from radiusd_mfa.radius.exchange import FRESH, PENDING, Exchanges, Meeting

CLIENT = ("192.0.2.1", 40_000, "eth0:1812")
FIRST, SECOND = b"first authenticator", b"second authenticator"


@pytest.fixture
def exchanges() -> Exchanges:
    return Exchanges(capacity=4, lifetime=30.0)


def test_a_retransmission_is_not_worked_on_twice(exchanges: Exchanges) -> None:
    assert exchanges.meet(CLIENT, 7, FIRST, 0.0) is FRESH
    assert exchanges.meet(CLIENT, 7, FIRST, 2.0) is PENDING
    assert exchanges.meet(CLIENT, 7, FIRST, 4.0) is PENDING


def test_a_retransmission_after_the_reply_gets_the_same_octets(exchanges: Exchanges) -> None:
    exchanges.meet(CLIENT, 7, FIRST, 0.0)
    exchanges.answer(CLIENT, 7, FIRST, b"reply", 1.0)
    assert exchanges.meet(CLIENT, 7, FIRST, 2.0) == b"reply"
    assert exchanges.meet(CLIENT, 7, FIRST, 3.0) == b"reply"


def test_a_reply_is_repeated_for_30_seconds_after_it_was_given(exchanges: Exchanges) -> None:
    exchanges.meet(CLIENT, 7, FIRST, 0.0)
    exchanges.answer(CLIENT, 7, FIRST, b"reply", 10.0)
    assert exchanges.meet(CLIENT, 7, FIRST, 39.9) == b"reply"
    assert exchanges.meet(CLIENT, 7, FIRST, 40.0) is FRESH


@pytest.mark.parametrize("answered", [True, False], ids=["answered", "in work"])
def test_what_has_expired_is_not_repeated_though_there_was_no_time_to_clear_it(answered: bool) -> None:
    """Few are cleared at each meeting: behind a thousand others, an old answer still stands there."""
    exchanges = Exchanges(capacity=10_000, lifetime=30.0)
    for port in range(1_000):
        source = ("192.0.2.1", port, "eth0:1812")
        exchanges.meet(source, 7, FIRST, 0.0)
        if answered:
            exchanges.answer(source, 7, FIRST, b"reply", 0.0)
    assert exchanges.meet(("192.0.2.1", 999, "eth0:1812"), 7, FIRST, 30.0) is FRESH


def test_the_same_identifier_with_a_new_authenticator_is_a_new_request(exchanges: Exchanges) -> None:
    exchanges.meet(CLIENT, 7, FIRST, 0.0)
    exchanges.answer(CLIENT, 7, FIRST, b"reply", 1.0)
    assert exchanges.meet(CLIENT, 7, SECOND, 2.0) is FRESH
    # A client has one request in flight for an identifier: the first is over.
    assert exchanges.meet(CLIENT, 7, FIRST, 3.0) is FRESH


def test_the_answer_to_a_superseded_request_is_never_the_new_ones(exchanges: Exchanges) -> None:
    exchanges.meet(CLIENT, 7, FIRST, 0.0)
    exchanges.meet(CLIENT, 7, SECOND, 1.0)
    exchanges.answer(CLIENT, 7, FIRST, b"late reply", 2.0)
    assert exchanges.meet(CLIENT, 7, SECOND, 3.0) is PENDING
    exchanges.answer(CLIENT, 7, SECOND, b"reply", 4.0)
    assert exchanges.meet(CLIENT, 7, SECOND, 5.0) == b"reply"


@pytest.mark.parametrize(
    ("source", "identifier"),
    [(("192.0.2.1", 40_001, "eth0:1812"), 7), (("192.0.2.2", 40_000, "eth0:1812"), 7), (CLIENT, 8)],
)
def test_another_address_port_or_identifier_is_another_exchange(
    exchanges: Exchanges, source: tuple[str, int, str], identifier: int
) -> None:
    exchanges.meet(CLIENT, 7, FIRST, 0.0)
    exchanges.answer(CLIENT, 7, FIRST, b"reply", 1.0)
    assert exchanges.meet(source, identifier, FIRST, 2.0) is FRESH


def test_a_request_that_ended_in_silence_is_worked_on_again(exchanges: Exchanges) -> None:
    exchanges.meet(CLIENT, 7, FIRST, 0.0)
    exchanges.forget(CLIENT, 7, FIRST)
    assert exchanges.meet(CLIENT, 7, FIRST, 1.0) is FRESH


def test_the_silence_of_a_superseded_request_does_not_end_the_new_one(exchanges: Exchanges) -> None:
    exchanges.meet(CLIENT, 7, FIRST, 0.0)
    exchanges.meet(CLIENT, 7, SECOND, 1.0)
    exchanges.forget(CLIENT, 7, FIRST)
    assert exchanges.meet(CLIENT, 7, SECOND, 2.0) is PENDING


def test_silence_does_not_take_back_an_answer(exchanges: Exchanges) -> None:
    exchanges.meet(CLIENT, 7, FIRST, 0.0)
    exchanges.answer(CLIENT, 7, FIRST, b"reply", 1.0)
    exchanges.forget(CLIENT, 7, FIRST)
    assert exchanges.meet(CLIENT, 7, FIRST, 2.0) == b"reply"


def test_a_second_answer_does_not_replace_the_first(exchanges: Exchanges) -> None:
    exchanges.meet(CLIENT, 7, FIRST, 0.0)
    exchanges.answer(CLIENT, 7, FIRST, b"reply", 1.0)
    exchanges.answer(CLIENT, 7, FIRST, b"another", 2.0)
    assert exchanges.meet(CLIENT, 7, FIRST, 3.0) == b"reply"


def test_an_answer_to_nobody_is_not_kept(exchanges: Exchanges) -> None:
    exchanges.answer(CLIENT, 7, FIRST, b"reply", 1.0)
    assert len(exchanges) == 0


def test_a_retransmission_renews_when_the_client_was_last_seen(exchanges: Exchanges) -> None:
    exchanges.meet(CLIENT, 7, FIRST, 0.0)
    assert exchanges.last_seen(CLIENT, 7, FIRST) == 0.0
    exchanges.meet(CLIENT, 7, FIRST, 2.8)
    assert exchanges.last_seen(CLIENT, 7, FIRST) == 2.8
    assert exchanges.last_seen(CLIENT, 8, FIRST) is None
    assert exchanges.last_seen(CLIENT, 7, SECOND) == -math.inf, "its identifier was used anew"
    exchanges.answer(CLIENT, 7, FIRST, b"reply", 3.0)
    assert exchanges.last_seen(CLIENT, 7, FIRST) is None


def test_a_request_that_nobody_ended_is_worked_on_again_after_its_lifetime(exchanges: Exchanges) -> None:
    exchanges.meet(CLIENT, 7, FIRST, 0.0)
    assert exchanges.meet(CLIENT, 7, FIRST, 29.9) is PENDING
    assert exchanges.meet(CLIENT, 7, FIRST, 30.0) is FRESH


def test_when_full_the_oldest_answer_goes_first(exchanges: Exchanges) -> None:
    for identifier in range(4):
        exchanges.meet(CLIENT, identifier, FIRST, 0.0)
    exchanges.answer(CLIENT, 2, FIRST, b"older", 1.0)
    exchanges.answer(CLIENT, 1, FIRST, b"newer", 2.0)
    exchanges.meet(CLIENT, 4, FIRST, 3.0)
    assert len(exchanges) == 4
    assert exchanges.meet(CLIENT, 0, FIRST, 3.0) is PENDING
    assert exchanges.meet(CLIENT, 1, FIRST, 3.0) == b"newer"
    assert exchanges.meet(CLIENT, 2, FIRST, 3.0) is FRESH


def test_when_full_of_requests_in_work_the_oldest_goes(exchanges: Exchanges) -> None:
    for identifier in range(5):
        assert exchanges.meet(CLIENT, identifier, FIRST, float(identifier)) is FRESH
    assert len(exchanges) == 4
    assert exchanges.meet(CLIENT, 1, FIRST, 5.0) is PENDING
    assert exchanges.last_seen(CLIENT, 0, FIRST) is None


def test_a_new_request_under_a_known_identifier_pushes_nobody_out(exchanges: Exchanges) -> None:
    for identifier in range(4):
        exchanges.meet(CLIENT, identifier, FIRST, 0.0)
    assert exchanges.meet(CLIENT, 3, SECOND, 1.0) is FRESH
    assert exchanges.meet(CLIENT, 0, FIRST, 1.0) is PENDING


def test_expired_exchanges_leave_the_memory() -> None:
    exchanges = Exchanges(capacity=1000)
    for identifier in range(200):
        exchanges.meet(CLIENT, identifier, FIRST, 0.0)
        if identifier % 2:
            exchanges.answer(CLIENT, identifier, FIRST, b"reply", 0.0)
    for step in range(200):
        exchanges.meet(CLIENT, 255, step.to_bytes(16), 31.0)
    assert len(exchanges) == 1


LIFETIME = 30.0
keys = st.tuples(st.sampled_from(["nas", "other"]), st.integers(0, 2))
authenticators = st.sampled_from([FIRST, SECOND])


class AgainstAPlainTable(RuleBasedStateMachine):
    """The bounded memory says what an unbounded table with a clock says, as long as there is room."""

    def __init__(self) -> None:
        super().__init__()
        self.exchanges = Exchanges(capacity=6, lifetime=LIFETIME)
        self.table: dict[tuple[str, int], tuple[bytes, float, bytes | None]] = {}
        self.now = 0.0

    @rule(seconds=st.floats(0.0, 20.0))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(key=keys, authenticator=authenticators)
    def meet(self, key: tuple[str, int], authenticator: bytes) -> None:
        known, since, octets = self.table.get(key, (b"", 0.0, None))
        expected: Meeting | bytes = FRESH
        if known == authenticator and self.now - since < LIFETIME:
            expected = PENDING if octets is None else octets
        else:
            self.table[key] = (authenticator, self.now, None)
        assert self.exchanges.meet(*key, authenticator, self.now) == expected

    @rule(key=keys, authenticator=authenticators, octets=st.binary(min_size=1, max_size=4))
    def answer(self, key: tuple[str, int], authenticator: bytes, octets: bytes) -> None:
        known, since, before = self.table.get(key, (b"", 0.0, None))
        # Within the lifetime only: an expired request may or may not have been cleared yet.
        if known == authenticator and before is None and self.now - since < LIFETIME:
            self.table[key] = (authenticator, self.now, octets)
            self.exchanges.answer(*key, authenticator, octets, self.now)

    @rule(key=keys, authenticator=authenticators)
    def forget(self, key: tuple[str, int], authenticator: bytes) -> None:
        if self.table.get(key, (b"", 0.0, b""))[::2] == (authenticator, None):
            del self.table[key]
        self.exchanges.forget(*key, authenticator)

    @invariant()
    def is_bounded(self) -> None:
        assert len(self.exchanges) <= 6


AgainstAPlainTable.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestAgainstAPlainTable = AgainstAPlainTable.TestCase

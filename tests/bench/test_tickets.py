"""No code is used twice by a benchmark, or its rejects would be its own fault."""

from bench.lib.accounts import cheap
from bench.lib.tickets import CURRENT_ONLY, OURS, Ledger

NOW = 3_000_000.0  # the first second of step 100,000


def test_no_user_gets_a_step_twice_and_the_steps_of_a_user_ascend() -> None:
    ledger = Ledger(cheap(7), OURS)
    tickets = ledger.take([(NOW, NOW)] * 100)
    by_user: dict[int, list[int]] = {}
    for number, step in zip(tickets.users, tickets.steps, strict=True):
        by_user.setdefault(number, []).append(step)
    assert by_user == {number: [99_999, 100_000, 100_001] for number in range(7)}


def test_a_span_over_two_steps_has_only_the_codes_that_are_good_in_both() -> None:
    tickets = Ledger(cheap(1), OURS).take([(NOW, NOW + 30)] * 5)
    assert list(tickets.steps) == [100_000, 100_001]


def test_a_server_that_takes_the_current_step_only_gets_no_other() -> None:
    ledger = Ledger(cheap(3), CURRENT_ONLY)
    assert list(ledger.take([(NOW, NOW + 29)] * 9).steps) == [100_000] * 3
    assert len(ledger.take([(NOW, NOW + 30)])) == 0


def test_what_was_not_sent_can_be_taken_again_and_what_was_sent_cannot() -> None:
    ledger = Ledger(cheap(4), OURS)
    tickets = ledger.take([(NOW, NOW)] * 12)
    ledger.give_back(tickets, 5)
    again = ledger.take([(NOW, NOW)] * 12)
    sent = set(zip(tickets.users[:5], tickets.steps[:5], strict=True))
    assert len(again) == 7
    assert not sent & set(zip(again.users, again.steps, strict=True))
    assert ledger.left(NOW, NOW) == 0


def test_a_wrong_code_is_none_that_a_server_could_take() -> None:
    people = cheap(50)
    for number in range(50):
        assert people.wrong_code(number, 100_000) not in {
            people.code(number, 100_000 + offset) for offset in (-1, 0, 1)
        }

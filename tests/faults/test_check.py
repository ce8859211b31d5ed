"""The checker of the fault run can fail: each broken log below is one that it must complain about, by name."""

from dataclasses import replace
from math import inf
from typing import Any

import pytest

from radiusd_mfa.radius.wire import Code
from tests.faults.check import SILENT_AFTER, check
from tests.faults.evidence import (
    Change,
    Charge,
    Credential,
    Evidence,
    Kind,
    Probe,
    Reply,
    Request,
    Row,
    Sent,
    Shift,
    Span,
)

NOW = 1_800_000_015.0
STEP = 60_000_000
CODE = Credential(Kind.TOTP, "alice", 7, str(STEP))
NEXT = replace(CODE, item=str(STEP + 1))
PAPER = Credential(Kind.BACKUP, "alice", 1, "ab")


def digest(number: int) -> bytes:
    return bytes([number]) * 16


def request(number: int, **changed: Any) -> Request:
    return replace(Request(digest(number), "vpn", "alice", credential=CODE, typed=f"text {number}"), **changed)


def reply(number: int, code: Code, *, at: float = 1.0, more: bytes = b"", node: str = "one") -> Reply:
    return Reply(NOW + at, digest(number), node, bytes([code, number]) + more)


def row(number: int, outcome: str, reason: str, *, at: float = 0.0, **changed: Any) -> Row:
    made = Row(number, NOW + at, digest(number), "alice", "vpn", outcome, reason, committed=NOW + at + 0.5)
    return replace(made, **changed)


ACCEPT = row(1, "accept", "totp", method=7, step=STEP)
REFUSED = row(2, "reject", "wrong-code", at=2.0)
SOUND = Evidence(
    requests={each.digest: each for each in (request(1), request(2, credential=None))},
    sent=[Sent(NOW, digest(1), "one"), Sent(NOW + 2, digest(2), "two")],
    replies=[reply(1, Code.ACCESS_ACCEPT), reply(1, Code.ACCESS_ACCEPT, at=1.5), reply(2, Code.ACCESS_REJECT, at=3.0)],
    rows=[ACCEPT, REFUSED],
    probes=[Probe(NOW, "one", NOW + 0.01)],
    charges={"alice": [Charge("c", digest(2).hex())]},
)


def broken(evidence: Evidence = SOUND, **changed: Any) -> set[str]:
    """Return the invariants that the changed evidence violates."""
    return {violation.invariant for violation in check(replace(evidence, **changed))}


def with_requests(*more: Request) -> dict[bytes, Request]:
    return {**SOUND.requests, **{each.digest: each for each in more}}


def test_a_sound_log_has_no_violation() -> None:
    assert check(SOUND) == []


def test_a_second_accept_for_one_code_is_found_by_what_was_typed() -> None:
    """Even where the database says that it was another step."""
    again = row(3, "accept", "totp", at=1.0, method=7, step=STEP + 1)
    replies = [*SOUND.replies, reply(3, Code.ACCESS_ACCEPT, at=2.0, node="two")]
    assert broken(requests=with_requests(request(3)), rows=[*SOUND.rows, again], replies=replies) == {"I1"}


def test_a_second_accept_for_one_step_is_found_by_the_rows() -> None:
    again = row(3, "accept", "totp", at=1.0, method=7, step=STEP)
    assert broken(rows=[*SOUND.rows, again]) == {"I1", "I7"}


def test_a_second_accept_for_one_backup_code_is_found() -> None:
    twice = [row(number, "accept", "backup-code", backup_code=4) for number in (3, 4)]
    assert broken(rows=[*SOUND.rows, *twice]) == {"I1"}


@pytest.mark.parametrize("wrong", [{"credential": None}, {"password_right": False}, {"known": False}])
def test_an_accept_for_the_wrong_credential_is_found(wrong: dict[str, Any]) -> None:
    assert broken(requests=with_requests(request(1, **wrong))) == {"I1"}


def test_a_repeat_is_the_one_widening_and_only_within_the_grace_of_its_nas() -> None:
    requests = with_requests(request(3))
    rows = [*SOUND.rows, row(3, "repeat", "repeat", at=3.0)]
    replies = [*SOUND.replies, reply(3, Code.ACCESS_ACCEPT, at=4.0)]
    changed: dict[str, Any] = {"requests": requests, "rows": rows, "replies": replies}
    assert broken(**changed, graces={"vpn": 20.0}) == set()
    assert broken(**changed, graces={"vpn": 2.0}) == {"I1"}
    assert broken(**changed) == {"I1"}


def test_an_accept_whose_row_is_gone_is_found() -> None:
    assert "I2" in broken(rows=[REFUSED])


def test_an_accept_before_its_commit_is_found() -> None:
    assert broken(rows=[replace(ACCEPT, committed=NOW + 1.2), REFUSED]) == {"I2"}


def test_a_second_row_for_one_request_is_found() -> None:
    second = replace(ACCEPT, id=3, step=STEP + 5)
    assert broken(rows=[*SOUND.rows, second]) == {"I2"}


def test_an_accept_whose_row_says_something_else_is_found() -> None:
    rows = [replace(ACCEPT, outcome="reject", reason="wrong-code"), REFUSED]
    assert broken(rows=rows) == {"I2", "I3", "I6"}


@pytest.mark.parametrize("charges", [{}, {"alice": [Charge("?", digest(9).hex())]}, {"alice": [Charge("", "")]}])
def test_a_failure_that_was_not_charged_is_found(charges: dict[str, list[Charge]]) -> None:
    assert broken(charges=charges) == {"I3"}


def test_a_wrong_password_may_be_forgiven_by_the_right_one_after_it_and_not_by_one_before() -> None:
    wrong = row(3, "reject", "wrong-password", at=-5.0)
    requests = with_requests(request(3, password_right=False))
    replies = [*SOUND.replies, reply(3, Code.ACCESS_REJECT, at=4.0)]
    assert broken(requests=requests, rows=[replace(wrong, id=0), *SOUND.rows], replies=replies) == set()
    late = replace(wrong, committed=NOW + 3)
    assert broken(requests=requests, rows=[*SOUND.rows, late], replies=replies) == {"I3"}


def test_more_guesses_than_the_cap_are_found() -> None:
    guesses = [row(number, "reject", "wrong-code", at=float(number)) for number in range(10, 16)]
    charges = {"alice": [Charge("c", digest(number).hex()) for number in (2, *range(10, 16))]}
    assert broken(rows=[*SOUND.rows, *guesses], charges=charges) == {"I3"}


def test_a_reject_without_a_row_is_found() -> None:
    assert broken(rows=[ACCEPT], charges={}) == {"I4"}


@pytest.mark.parametrize(
    "reason", ["wrong-code", "wrong-password", "code-reused", "unknown-user", "bad-state", "known-wrong", "disabled"]
)
def test_a_reject_of_the_right_credential_needs_a_reason_that_holds(reason: str) -> None:
    requests = with_requests(request(3, credential=NEXT))
    rows = [*SOUND.rows, row(3, "reject", reason, at=10.0)]
    replies = [*SOUND.replies, reply(3, Code.ACCESS_REJECT, at=11.0)]
    charges = {"alice": [*SOUND.charges["alice"], Charge("c", digest(3).hex())]}
    assert broken(requests=requests, rows=rows, replies=replies, charges=charges) == {"I4"}


def test_a_code_that_a_later_one_has_overtaken_is_spent() -> None:
    requests = with_requests(request(3, credential=replace(CODE, item=str(STEP - 1))))
    rows = [*SOUND.rows, row(3, "reject", "code-reused", at=3.0)]
    replies = [*SOUND.replies, reply(3, Code.ACCESS_REJECT, at=4.0)]
    charges = {"alice": [*SOUND.charges["alice"], Charge("c", digest(3).hex())]}
    assert broken(requests=requests, rows=rows, replies=replies, charges=charges) == set()


STATE = b"state"


def refused_state(*more: Request, rows: tuple[Row, ...] = (), issued: float = 5.0, **changed: Any) -> set[str]:
    """Return what is violated where a right and unspent code answers a challenge, and is told that it is no State."""
    asked, answer = request(4, credential=None, code_typed=False), request(5, credential=NEXT, state=STATE)
    told = [
        replace(reply(4, Code.ACCESS_CHALLENGE, at=6.0), state=STATE),
        reply(5, Code.ACCESS_REJECT, at=11.0),
    ]
    given = row(4, "challenge", "code-due", at=issued, committed=NOW + 5.5)
    return broken(
        requests=with_requests(asked, answer, *more),
        replies=[*SOUND.replies, *told],
        rows=[*SOUND.rows, given, row(5, "reject", "bad-state", at=10.0), *rows],
        **changed,
    )


def test_a_state_that_is_refused_though_nobody_used_it_is_found() -> None:
    """As where an answer met the renewal of the password hash, lost its claim, and had used its State up by that."""
    assert refused_state() == {"I4"}


@pytest.mark.parametrize(("at", "found"), [(9.0, set()), (20.0, {"I4"})], ids=["before", "afterwards"])
def test_a_state_is_used_by_an_answer_before_and_not_by_one_afterwards(at: float, found: set[str]) -> None:
    other = request(6, credential=PAPER, state=STATE)
    assert refused_state(other, rows=(row(6, "accept", "backup-code", at=at, backup_code=4),)) == found


@pytest.mark.parametrize(
    ("kind", "began", "found"),
    [(Kind.TOTP, 7.0, set()), (Kind.TOTP, 2.0, {"I4"}), (Kind.TOTP, 20.0, {"I4"}), (Kind.BACKUP, 7.0, {"I4"})],
    ids=["meanwhile", "before the challenge", "afterwards", "new codes on paper end nothing"],
)
def test_a_method_that_gives_way_between_challenge_and_answer_ends_the_state(
    kind: Kind, began: float, found: set[str]
) -> None:
    change = Change(kind, "alice", 1, 2, NOW + began, NOW + began + 1)
    assert refused_state(changes=[change]) == found


@pytest.mark.parametrize(("at", "found"), [(9.0, set()), (20.0, {"I4"})], ids=["before", "afterwards"])
def test_a_state_is_used_up_by_a_code_that_somebody_else_spent_before(at: float, found: set[str]) -> None:
    other = row(6, "accept", "totp", at=at, method=7, step=STEP + 1)
    assert refused_state(request(6, credential=replace(NEXT, item=str(STEP + 1))), rows=(other,)) == found


def test_a_state_expires_by_the_clock_of_who_gave_it_and_of_who_tidies_up_and_by_no_other() -> None:
    assert refused_state(issued=-3595.0) == set()
    assert refused_state(shifts=[Shift(3600.0, NOW + 4, NOW + 8)]) == set()
    assert refused_state(shifts=[Shift(3600.0, NOW + 1, NOW + 4)]) == {"I4"}
    assert refused_state(shifts=[Shift(3600.0, NOW + 20, NOW + 24)]) == {"I4"}
    assert refused_state(shifts=[Shift(-3600.0, NOW + 4, NOW + 8)]) == {"I4"}


@pytest.mark.parametrize(("others", "found"), [(5, set()), (4, {"I4"})])
def test_a_user_is_throttled_by_as_many_requests_at_once_as_may_be_guesses(others: int, found: set[str]) -> None:
    numbers = range(10, 10 + others)
    requests = {each.digest: each for each in (request(3, credential=NEXT), *(request(each) for each in numbers))}
    rows = [row(3, "reject", "throttled", at=10.0), *(row(each, "reject", "code-missing", at=11.0) for each in numbers)]
    sent = [Sent(NOW + 9, each, "one") for each in requests]
    replies = [reply(3, Code.ACCESS_REJECT, at=11.0)]
    assert broken(requests=requests, rows=rows, sent=sent, replies=replies, charges={}) == found


def test_a_machine_that_is_late_gives_a_server_so_much_longer() -> None:
    probe = Probe(NOW + SILENT_AFTER + 1, "one", NOW + SILENT_AFTER + 1.1)
    away = [Span("frozen", NOW, NOW + 30)]
    assert broken(away=away, probes=[probe]) == {"I4"}
    assert broken(away=away, probes=[probe], lag=0.6) == set()


@pytest.mark.parametrize(("ended", "found"), [(8.0, set()), (6.0, {"I4"})], ids=["in flight", "asked afterwards"])
def test_a_code_of_a_method_that_began_to_count_while_it_was_looked_at_may_be_refused(
    ended: float, found: set[str]
) -> None:
    """Read before the commit of the change, and refused after it; whoever asks after that commit is let in."""
    requests = with_requests(request(3, credential=NEXT))
    rows = [REFUSED, row(3, "reject", "wrong-code", at=10.0)]
    replies = [*SOUND.replies[2:], reply(3, Code.ACCESS_REJECT, at=11.0)]
    sent = [*SOUND.sent, Sent(NOW + 7.0, digest(3), "one"), Sent(NOW + 9.0, digest(3), "two")]
    charges = {"alice": [*SOUND.charges["alice"], Charge("c", digest(3).hex())]}
    confirmed = Change(Kind.TOTP, "alice", 6, 7, NOW + ended - 1, NOW + ended)
    evidence: dict[str, Any] = {
        "requests": requests,
        "rows": rows,
        "replies": replies,
        "sent": sent,
        "charges": charges,
    }
    assert broken(**evidence, changes=[confirmed]) == found


def test_a_change_of_which_nobody_knows_how_it_ended_explains_a_refusal_after_it_began() -> None:
    requests = with_requests(request(3, credential=NEXT))
    rows = [*SOUND.rows, row(3, "reject", "wrong-code", at=10.0)]
    replies = [*SOUND.replies, reply(3, Code.ACCESS_REJECT, at=11.0)]
    charges = {"alice": [*SOUND.charges["alice"], Charge("c", digest(3).hex())]}
    for began, found in ((9.0, set()), (11.0, {"I4"})):
        unsure = Change(Kind.TOTP, "alice", 7, 8, NOW + began, inf)
        changed = broken(requests=requests, rows=rows, replies=replies, charges=charges, changes=[unsure])
        assert changed == found


def test_a_challenge_after_a_wrong_password_is_found() -> None:
    requests = with_requests(request(3, password_right=False, credential=None))
    replies = [*SOUND.replies, reply(3, Code.ACCESS_CHALLENGE)]
    assert broken(requests=requests, replies=replies, rows=[*SOUND.rows, row(3, "challenge", "code-due")]) == {"I4"}


def test_a_server_that_says_to_be_well_without_a_database_is_found() -> None:
    away = [Span("frozen", NOW, NOW + 30)]
    after = NOW + SILENT_AFTER
    assert broken(away=away, probes=[Probe(after - 0.1, "one", after)]) == set()
    assert broken(away=away, probes=[Probe(after + 0.1, "one", None)]) == set()
    assert broken(away=away, probes=[Probe(after + 0.1, "one", after + 0.2)]) == {"I4"}
    assert broken(away=away, probes=[Probe(after + 0.1, "one", NOW + 31)]) == set()


@pytest.mark.parametrize(("old", "new"), [(7, 8), (6, 7)], ids=["the old one afterwards", "the new one before"])
def test_a_method_that_counts_when_it_should_not_is_found(old: int, new: int) -> None:
    began = NOW - 10 if old == 7 else NOW + 10
    change = Change(Kind.TOTP, "alice", old, new, began, began + 1)
    assert broken(changes=[change]) == {"I5"}


def test_a_backup_code_of_an_earlier_set_is_found() -> None:
    requests = with_requests(request(1, credential=PAPER))
    rows = [replace(ACCEPT, method=None, step=None, backup_code=4), REFUSED]
    made_anew = Change(Kind.BACKUP, "alice", 1, 2, NOW - 10, NOW - 9)
    assert broken(requests=requests, rows=rows) == set()
    assert broken(requests=requests, rows=rows, changes=[made_anew]) == {"I8"}


def test_where_nobody_keeps_the_time_of_a_commit_the_packets_tell_it_and_not_the_clock_of_the_node() -> None:
    """SQLite keeps none, and the clock of the node may be an hour off."""
    off = [replace(ACCEPT, committed=None, at=NOW - 3600), replace(REFUSED, committed=None)]
    gave_way = Change(Kind.TOTP, "alice", 7, 8, NOW - 10, NOW - 9)
    assert broken(rows=off) == set()
    assert broken(rows=off, changes=[gave_way]) == {"I5"}
    assert broken(rows=off, changes=[replace(gave_way, began=NOW - 1, ended=NOW + 0.5)]) == set()


def test_two_valid_generations_are_found() -> None:
    assert broken(generations={"alice": [1, 2]}) == {"I8"}


@pytest.mark.parametrize("node", ["one", "two"])
def test_a_retransmission_with_another_answer_is_found(node: str) -> None:
    other = reply(1, Code.ACCESS_ACCEPT, at=2.0, more=b"otherwise", node=node)
    assert broken(replies=[*SOUND.replies, other]) == {"I6"}


def test_a_retransmission_with_another_verdict_is_found() -> None:
    rejected = reply(1, Code.ACCESS_REJECT, at=2.0)
    assert broken(replies=[*SOUND.replies, rejected]) == {"I4", "I6"}


def test_octets_that_come_again_later_than_any_retransmission_are_a_replay() -> None:
    rejected = reply(1, Code.ACCESS_REJECT, at=90.0)
    late = row(3, "reject", "replayed", at=89.0)
    changed: dict[str, Any] = {"replies": [*SOUND.replies, rejected]}
    assert broken(**changed, rows=[*SOUND.rows, late]) == set()
    assert broken(**changed, rows=[*SOUND.rows, replace(late, at=NOW + 20)]) == {"I4", "I6"}


def test_a_reply_that_nobody_asked_for_is_found() -> None:
    foreign = replace(reply(9, Code.ACCESS_REJECT), verified=False)
    assert broken(replies=[*SOUND.replies, foreign]) == {"I6"}


def test_a_watermark_that_went_down_is_found() -> None:
    assert broken(fallen=["the watermark of method 7 went from 9 to 8"]) == {"I7"}


def test_a_step_that_was_accepted_after_a_later_one_is_found() -> None:
    earlier = row(3, "accept", "totp", at=3.0, method=7, step=STEP - 1)
    assert broken(rows=[*SOUND.rows, earlier]) == {"I7"}


def test_a_broken_chain_and_a_secret_that_is_shown_are_found() -> None:
    assert broken(chain="row 5 was changed") == {"audit"}
    assert broken(leaks=["a secret stands in one.log"]) == {"secrets"}

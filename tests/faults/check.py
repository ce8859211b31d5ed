"""Checks the packet log of a fault run against the rows of the database, invariant by invariant (ATTACKS I1 to I8).

Pure: evidence in, violations out. Which Reject somebody with the right credential may get stands in `explain`.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from radiusd_mfa.core.throttle import CODE_CAPS, KEPT
from radiusd_mfa.radius.wire import Code
from tests.faults.evidence import Credential, Evidence, Kind, Reply, Request, Row
from tests.faults.explain import FAILURES, GUESSES, explained

REPLAYED_AFTER: Final = 60.0
SILENT_AFTER: Final = 4.0
"""Seconds after which nobody answers a Status-Server any more when the database is away: a look a second, and the
deadline of the database; the rest is for a busy machine."""
_RESOLUTION: Final = 0.001
"""Seconds by which a row's own time and the clock of the database may differ where neither is off."""
_GRANTS: Final = ("accept", "repeat")
_CODES: Final = {
    Code.ACCESS_ACCEPT: _GRANTS,
    Code.ACCESS_REJECT: ("reject",),
    Code.ACCESS_CHALLENGE: ("challenge",),
}


@dataclass(frozen=True, slots=True)
class Violation:
    """A promise that was not kept, and where."""

    invariant: str
    what: str

    def __str__(self) -> str:
        return f"{self.invariant}: {self.what}"


def check(evidence: Evidence) -> list[Violation]:
    """Return every violation."""
    return [Violation(name, what) for name, checks in _CHECKS.items() for each in checks for what in each(evidence)]


def _one_accept_for_each_credential(evidence: Evidence) -> Iterator[str]:
    """By what the clients typed: the database is not asked."""
    bought: defaultdict[Credential, list[Request]] = defaultdict(list)
    for request in evidence.requests.values():
        if not evidence.accepted(request.digest):
            continue
        if request.credential is None or not request.password_right or not request.known:
            yield f"{_name(request)} was accepted without the right credential"
        elif not _is_a_repeat(request, evidence):
            bought[request.credential].append(request)
    for credential, requests in bought.items():
        if len(requests) > 1:
            yield f"{credential} bought {len(requests)} Accepts"


def _one_row_for_each_step_and_code(evidence: Evidence) -> Iterator[str]:
    """By what the database says."""
    accepts = [row for row in evidence.rows if row.outcome == "accept"]
    spent = Counter((row.method, row.step) for row in accepts if row.method is not None)
    used = Counter(row.backup_code for row in accepts if row.backup_code is not None)
    for what, times in (*spent.items(), *used.items()):
        if times > 1:
            yield f"{what} has {times} accepted rows"


def _each_accept_has_its_row(evidence: Evidence) -> Iterator[str]:
    for reply in _of(evidence, Code.ACCESS_ACCEPT):
        rows = evidence.by_request.get(reply.digest, ())
        if [row.outcome in _GRANTS for row in rows] != [True]:
            yield f"an Accept at {reply.at:.3f} from {reply.node} has {len(rows)} rows: {_shown(rows)}"
        elif rows[0].committed is not None and rows[0].committed > reply.at + _RESOLUTION:
            yield f"an Accept at {reply.at:.3f} left before its row {rows[0].id} was committed"


def _each_request_has_at_most_one_row(evidence: Evidence) -> Iterator[str]:
    for rows in evidence.by_request.values():
        if len(rows) > 1:
            yield f"one request has {len(rows)} rows: {_shown(rows)}"


def _each_failure_is_charged(evidence: Evidence) -> Iterator[str]:
    for user, rows in evidence.by_user.items():
        charges = evidence.charges.get(user, ())
        charged = {charge.request for charge in charges if charge.mark}
        for row in rows:
            if row.reason not in FAILURES or row.request is None or len(charges) >= KEPT:
                continue
            if row.request.hex() not in charged and not _is_forgiven(row, rows):
                yield f"row {row.id} of {user} ({row.reason}) is charged nowhere: {charges} after {list(rows)}"


def _is_forgiven(row: Row, rows: Sequence[Row]) -> bool:
    """Whether the right password came later from the same device, with whatever code."""
    return row.reason == "wrong-password" and any(
        (later.outcome in ("accept", "challenge") or later.reason == "code-missing")
        and later.nas == row.nas
        and _is_later(later, row)
        for later in rows
    )


def _is_later(one: Row, other: Row) -> bool:
    """By the commits where they are known: a row gets its number before its transaction waits for the throttle."""
    if one.committed is None or other.committed is None:
        return one.id > other.id
    return one.committed > other.committed


def _no_more_codes_are_tried_than_the_cap(evidence: Evidence) -> Iterator[str]:
    cap, span = CODE_CAPS[0]
    for user, rows in evidence.by_user.items():
        guesses = sorted(row.at for row in rows if row.reason in GUESSES)
        for first, beyond in zip(guesses, guesses[cap:], strict=False):
            if beyond - first < span:
                yield f"{user} could try more than {cap} wrong codes in {span:.0f} s"
                break


def _each_reject_is_explained(evidence: Evidence) -> Iterator[str]:
    for reply in _of(evidence, Code.ACCESS_REJECT):
        request = evidence.requests.get(reply.digest)
        rows = evidence.by_request.get(reply.digest, ())
        if request is None or len(rows) != 1:
            yield f"a Reject at {reply.at:.3f} has {len(rows)} rows: {_shown(rows)}"
        elif rows[0].outcome != "reject":
            if not _was_replayed(rows[0], reply, evidence):
                yield f"a Reject at {reply.at:.3f} has the row of something else: {_shown(rows)}"
        elif not explained(request, rows[0], evidence):
            yield f"{_name(request)} got a Reject that was not due: {_shown(rows)}; {request.credential}, {rows[0]}"


def _no_challenge_without_a_password(evidence: Evidence) -> Iterator[str]:
    for reply in _of(evidence, Code.ACCESS_CHALLENGE):
        request = evidence.requests.get(reply.digest)
        if request is None or not (request.known and request.password_right):
            yield f"a challenge at {reply.at:.3f} answers no right password"


def _status_is_silent_without_a_database(evidence: Evidence) -> Iterator[str]:
    for span in evidence.away:
        for probe in evidence.probes:
            if probe.answered_at is None:
                continue
            # On a machine that is late by so much, a look and the deadline after it are as well.
            if span.began + SILENT_AFTER + 2 * evidence.lag <= probe.sent_at and probe.answered_at < span.ended:
                after = probe.sent_at - span.began
                yield f"{probe.node} said that it is well {after:.1f} s after the database was {span.what}"


def _the_old_method_goes_with_the_new(evidence: Evidence) -> Iterator[str]:
    yield from _changed_hands(evidence, Kind.TOTP)


def _one_generation_of_backup_codes(evidence: Evidence) -> Iterator[str]:
    yield from _changed_hands(evidence, Kind.BACKUP)
    for user, valid in evidence.generations.items():
        if len(valid) > 1:
            yield f"{user} has backup codes of the generations {list(valid)}"


def _changed_hands(evidence: Evidence, kind: Kind) -> Iterator[str]:
    changes: defaultdict[str, list[tuple[int, int, float, float]]] = defaultdict(list)
    for change in evidence.changes:
        if change.kind is kind:
            changes[change.user].append((change.old, change.new, change.began, change.ended))
    for request in evidence.requests.values():
        credential = request.credential
        if credential is None or credential.kind is not kind or not evidence.accepted(request.digest):
            continue
        for row in evidence.by_request.get(request.digest, ()):
            for old, new, began, ended in changes[request.user]:
                earliest, latest = evidence.settled(row)
                if credential.holder == old and earliest > ended:
                    yield f"{_name(request)} got in by {credential} {earliest - ended:.3f} s after it had given way"
                if credential.holder == new and latest < began:
                    yield f"{_name(request)} got in by {credential} {began - latest:.3f} s before it counted"


def _a_retransmission_gets_the_same_octets(evidence: Evidence) -> Iterator[str]:
    """From whichever node: the verdict is the database's, and everything in a reply follows from it."""
    for replies in evidence.answers.values():
        for first, again in pairwise(replies):
            if first.octets != again.octets and not _replay_explains(first, again, evidence):
                yield (
                    f"one request was answered with {first.code} by {first.node} at {first.at:.3f} "
                    f"and otherwise, with {again.code}, by {again.node} at {again.at:.3f}"
                )


def _each_reply_verifies(evidence: Evidence) -> Iterator[str]:
    for reply in evidence.replies:
        if not reply.verified:
            yield f"a reply at {reply.at:.3f} from {reply.node} answers nothing that was asked"


def _what_is_told_is_what_is_recorded(evidence: Evidence) -> Iterator[str]:
    for reply in evidence.replies:
        for row in evidence.by_request.get(reply.digest, ()):
            outcomes = _CODES.get(Code(reply.code), ())
            if row.outcome not in outcomes and not _was_replayed(row, reply, evidence):
                yield f"a reply with code {reply.code} has row {row.id}: {row.outcome}"


def _no_watermark_goes_down(evidence: Evidence) -> Iterator[str]:
    yield from evidence.fallen
    highest: dict[int, tuple[float, int]] = {}
    for row in sorted(evidence.rows, key=lambda each: each.committed or each.id):
        if row.outcome != "accept" or row.method is None or row.step is None:
            continue
        _at, before = highest.get(row.method, (0.0, 0))
        if row.step <= before:
            yield f"method {row.method} accepted step {row.step} after step {before}"
        highest[row.method] = (row.at, row.step)


def _the_chain_verifies(evidence: Evidence) -> Iterator[str]:
    if evidence.chain:
        yield f"audit verify: {evidence.chain}"


def _no_secret_is_shown(evidence: Evidence) -> Iterator[str]:
    yield from evidence.leaks


_CHECKS: Final[dict[str, Sequence[Callable[[Evidence], Iterator[str]]]]] = {
    "I1": (_one_accept_for_each_credential, _one_row_for_each_step_and_code),
    "I2": (_each_accept_has_its_row, _each_request_has_at_most_one_row),
    "I3": (_each_failure_is_charged, _no_more_codes_are_tried_than_the_cap),
    "I4": (_each_reject_is_explained, _no_challenge_without_a_password, _status_is_silent_without_a_database),
    "I5": (_the_old_method_goes_with_the_new,),
    "I6": (_a_retransmission_gets_the_same_octets, _each_reply_verifies, _what_is_told_is_what_is_recorded),
    "I7": (_no_watermark_goes_down,),
    "I8": (_one_generation_of_backup_codes,),
    "audit": (_the_chain_verifies,),
    "secrets": (_no_secret_is_shown,),
}


def _was_replayed(row: Row, reply: Reply, evidence: Evidence) -> bool:
    """Whether a Reject answers octets that came again when no client retransmits any more, by the node's clock."""
    if reply.code != Code.ACCESS_REJECT:
        return False
    return any(
        each.reason == "replayed" and abs(each.at - row.at) > REPLAYED_AFTER
        for each in evidence.by_user.get(row.user, ())
    )


def _replay_explains(first: Reply, again: Reply, evidence: Evidence) -> bool:
    rows = evidence.by_request.get(first.digest, ())
    return any(_was_replayed(row, reply, evidence) for row in rows for reply in (first, again))


def _of(evidence: Evidence, code: Code) -> Iterator[Reply]:
    return (reply for reply in evidence.replies if reply.code == code and reply.verified)


def _name(request: Request) -> str:
    return f"{request.user} at {request.nas} ({request.digest.hex()[:8]})"


def _is_a_repeat(request: Request, evidence: Evidence) -> bool:
    """Whether it came again within the grace of its NAS entry, the one widening of I1."""
    grace = evidence.graces.get(request.nas, 0.0)
    return any(
        row.outcome == "repeat" and abs(row.at - first.at) <= grace
        for row in evidence.by_request.get(request.digest, ())
        for first in evidence.by_user.get(row.user, ())
        if first.outcome == "accept" and first.nas == row.nas
    )


def _shown(rows: Sequence[Row]) -> str:
    return ", ".join(f"{row.id} {row.outcome} {row.reason}" for row in rows) or "none"

"""Which Reject is due: whoever has the right credential may be refused for these reasons and no fault of ours (I4)."""

from collections.abc import Callable
from math import inf
from typing import Final

from radiusd_mfa.core.throttle import CODE_CAPS
from radiusd_mfa.core.totp import step_at
from tests.faults.evidence import Credential, Evidence, Kind, Request, Row

GUESSES: Final = ("wrong-code", "code-reused")
"""What counts as a guessed code: a spent one does as well."""
FAILURES: Final = (*GUESSES, "wrong-password")
_STATE_LIVES: Final = 120.0
_DROPPED_AFTER: Final = 30.0
"""Seconds after which surely nothing is left of a request that nobody answers."""


def explained(request: Request, row: Row, evidence: Evidence) -> bool:
    """Whether a Reject was due, going by what the client knows of the credential; for another reason it never is."""
    due = _DUE.get(row.reason)
    return due is not None and due(request, row, evidence)


def right(request: Request) -> bool:
    """Whether what was typed is right in itself, spent or not."""
    return request.known and request.password_right and request.credential is not None


def _is_wrong(request: Request, row: Row, evidence: Evidence) -> bool:
    return request.credential is None or _is_out_of_its_time(request.credential, row, evidence)


def _is_out_of_its_time(credential: Credential, row: Row, evidence: Evidence) -> bool:
    """Whether a code of the right authenticator is of another time, or of one that has given way or does not count."""
    if credential.kind is Kind.TOTP and abs(int(credential.item) - step_at(row.at, 30)) > 1:
        return True
    return _has_changed_hands(credential, row, evidence)


def _has_changed_hands(credential: Credential, row: Row, evidence: Evidence) -> bool:
    """Whether it is of an authenticator or a set of codes that has given way by then, or does not count yet."""
    for change in evidence.changes:
        if (change.user, change.kind) != (credential.user, credential.kind):
            continue
        # A refusal claims nothing: it rests on what was read, at some time since it was asked for.
        earliest, latest = evidence.judged(row)
        if (credential.holder == change.old and latest >= change.began) or (
            credential.holder == change.new and earliest <= change.ended
        ):
            return True
    return False


def _is_spent(request: Request, _row: Row, evidence: Evidence) -> bool:
    """Whether another request, or a later code, was there first."""
    credential = request.credential
    if credential is None:
        return False
    for row in evidence.by_user.get(request.user, ()):
        if row.request != request.digest and _spends(row, credential, evidence):
            return True
    # The code that confirms a method is spent by it.
    return any(change.user == request.user and change.new == credential.holder for change in evidence.changes)


def _was_found_wrong(request: Request, _row: Row, evidence: Evidence) -> bool:
    """Whether the very text was refused before, in another request."""
    return any(
        row.reason in FAILURES
        for other in evidence.by_text[request.user, request.typed]
        if other.digest != request.digest
        for row in evidence.by_request.get(other.digest, ())
    )


def _has_failed(request: Request, row: Row, evidence: Evidence) -> bool:
    """Whether there is a failure of this user, or a charge that a crash has left standing (I3 goes before I4)."""
    if _are_in_flight(request, row, evidence):
        return True
    rows = evidence.by_user.get(request.user, ())
    return any(row.reason in FAILURES for row in rows) or any(
        charge.mark == "?" for charge in evidence.charges.get(request.user, ())
    )


def _are_in_flight(request: Request, row: Row, evidence: Evidence) -> bool:
    """Whether as many of the user's requests as may be guesses were charged and not settled at the same time."""
    began, ended = evidence.first_sent.get(request.digest, 0.0), evidence.settled(row)[1]
    others = [
        each
        for each in evidence.by_name[request.user]
        if each.digest != request.digest and evidence.first_sent.get(each.digest, inf) <= ended
    ]
    cap, _span = CODE_CAPS[0]
    return sum(_ends_after(each, began, evidence) for each in others) >= cap


def _ends_after(request: Request, began: float, evidence: Evidence) -> bool:
    """Whether a request was settled after a time; without a row it may have been dropped, and refunded, until then."""
    rows = evidence.by_request.get(request.digest, ())
    if not rows:
        return evidence.first_sent[request.digest] + _DROPPED_AFTER >= began
    return any(evidence.settled(each)[1] >= began for each in rows)


def _state_is_gone(request: Request, row: Row, evidence: Evidence) -> bool:
    """Whether the State was used, by an answer before or by a code that was lost, or had its end otherwise."""
    if request.state is None:
        return False
    answered = any(
        evidence.may_precede(each, row)
        for other in evidence.by_state.get(request.state, ())
        if other.digest != request.digest
        for each in evidence.by_request.get(other.digest, ())
    )
    issuers = evidence.issuers.get(request.state, ())
    ended = any(_has_expired(each, row, evidence) or _was_ended(each, row, evidence) for each in issuers)
    return answered or ended or _lost_its_code(request, row, evidence)


def _has_expired(issuer: Row, row: Row, evidence: Evidence) -> bool:
    """Whether a State was too old by the clock of who took it, or of whoever has tidied it away meanwhile."""
    given, taken = evidence.settled(issuer)[0], evidence.settled(row)[1]
    ahead = max(
        (each.seconds for each in evidence.shifts if each.began <= taken and given <= each.ended),
        default=0.0,
    )
    return max(row.at, taken + max(0.0, ahead)) - issuer.at > _STATE_LIVES


def _was_ended(issuer: Row, row: Row, evidence: Evidence) -> bool:
    """Whether a method of the user gave way between challenge and answer: that ends what is open."""
    given, taken = evidence.settled(issuer)[0], evidence.settled(row)[1]
    return any(
        (change.user, change.kind) == (row.user, Kind.TOTP) and change.began <= taken and given <= change.ended
        for change in evidence.changes
    )


def _lost_its_code(request: Request, row: Row, evidence: Evidence) -> bool:
    """Whether the code was good when it was looked at and gone when it was to be spent: that uses the State up."""
    credential = request.credential
    if credential is None:
        return False
    return _has_changed_hands(credential, row, evidence) or any(
        evidence.may_precede(each, row)
        for each in evidence.by_user.get(request.user, ())
        if each.request != request.digest and _spends(each, credential, evidence)
    )


def _spends(row: Row, credential: Credential, evidence: Evidence) -> bool:
    """Whether an accepted row has spent a credential: itself, or a later code of the same authenticator."""
    if row.outcome != "accept":
        return False
    if credential.kind is Kind.TOTP:
        return row.method == credential.holder and row.step is not None and row.step >= int(credential.item)
    other = evidence.requests.get(row.request or b"")
    return row.backup_code is not None and other is not None and other.credential == credential


_DUE: Final[dict[str, Callable[[Request, Row, Evidence], bool]]] = {
    "unknown-user": lambda request, _row, _evidence: not request.known,
    "wrong-password": lambda request, _row, _evidence: not request.password_right,
    "code-missing": lambda request, _row, _evidence: not request.code_typed,
    "wrong-code": _is_wrong,
    "code-reused": _is_spent,
    "known-wrong": _was_found_wrong,
    "throttled": _has_failed,
    "bad-state": _state_is_gone,
}

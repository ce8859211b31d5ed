"""Which Reject is due: whoever has the right credential may be refused for these reasons and no fault of ours (I4)."""

from collections.abc import Callable
from typing import Final

from radiusd_mfa.core.totp import step_at
from tests.faults.evidence import Credential, Evidence, Kind, Request, Row

GUESSES: Final = ("wrong-code", "code-reused")
"""What counts as a guessed code: a spent one does as well."""
FAILURES: Final = (*GUESSES, "wrong-password")
_STATE_LIVES: Final = 120.0


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
    for change in evidence.changes:
        if (change.user, change.kind) != (credential.user, credential.kind):
            continue
        earliest, latest = evidence.settled(row)
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
        if row.outcome != "accept" or row.request == request.digest:
            continue
        if credential.kind is Kind.TOTP and row.method == credential.holder and row.step is not None:
            if row.step >= int(credential.item):
                return True
        elif row.backup_code is not None:
            other = evidence.requests.get(row.request or b"")
            if other is not None and other.credential == credential:
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


def _has_failed(request: Request, _row: Row, evidence: Evidence) -> bool:
    """Whether there is a failure of this user, or a charge that a crash has left standing (I3 goes before I4)."""
    rows = evidence.by_user.get(request.user, ())
    return any(row.reason in FAILURES for row in rows) or any(
        charge.mark == "?" for charge in evidence.charges.get(request.user, ())
    )


def _state_is_used(request: Request, row: Row, evidence: Evidence) -> bool:
    """Whether the State was answered before, or has expired by the clocks of those who gave and took it."""
    state = request.state or b""
    answered = any(
        evidence.by_request.get(other.digest)
        for other in evidence.by_state.get(state, ())
        if other.digest != request.digest
    )
    return answered or any(row.at - issuer.at > _STATE_LIVES for issuer in evidence.issuers.get(state, ()))


_DUE: Final[dict[str, Callable[[Request, Row, Evidence], bool]]] = {
    "unknown-user": lambda request, _row, _evidence: not request.known,
    "wrong-password": lambda request, _row, _evidence: not request.password_right,
    "code-missing": lambda request, _row, _evidence: not request.code_typed,
    "wrong-code": _is_wrong,
    "code-reused": _is_spent,
    "known-wrong": _was_found_wrong,
    "throttled": _has_failed,
    "bad-state": _state_is_used,
}

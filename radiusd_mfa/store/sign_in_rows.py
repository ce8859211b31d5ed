"""The shapes between sign-ins and statements: attempts become queries, fact rows facts, settlements rows.

Plain values in, plain values out; knows no statement and no connection.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Final, NamedTuple, assert_never

from radiusd_mfa.core import throttle
from radiusd_mfa.core.backup_codes import BackupCode
from radiusd_mfa.core.facts import Attempt, Earlier, Facts, Method, OpenChallenge, Person, StoredBackupCode
from radiusd_mfa.core.totp import Algorithm
from radiusd_mfa.core.typed import Typed, selectors
from radiusd_mfa.core.verdict import Outcome, Reason, SpendBackupCode, SpendStep, Verdict
from radiusd_mfa.core.verification import Verification
from radiusd_mfa.usecases.ports import Settlement

REPEAT: Final = "repeat"
"""The outcome of a row that says: the same text again within the retry grace; the accepted row is the first one."""


class FactRow(NamedTuple):
    """One row of the reading query; an attempt has several where the user has several methods or codes."""

    position: int
    user_id: int | None
    user_name: str | None
    password_hash: str | None
    disabled: bool | None
    history: str | None
    verified_at: float | None
    verified_text: bytes | None
    challenge_user: int | None
    challenge_nas: int | None
    challenge_expires: float | None
    earlier_at: float | None
    earlier_outcome: str | None
    earlier_reason: str | None
    method_id: int | None
    seed: bytes | None
    digits: int | None
    period: int | None
    algorithm: str | None
    watermark: int | None
    code_id: int | None
    selector: str | None
    code_hash: str | None
    code_used_at: float | None


class Query(NamedTuple):
    """What the reading query needs to know of an attempt."""

    position: int
    request: bytes
    name: str | None
    team_id: int
    nas_id: int
    device: str
    state: bytes | None
    selector: str | None
    other_selector: str | None
    charge: str | None
    """None: the account has enough charges in this batch already; it is closed for this attempt."""


class Row(NamedTuple):
    """A settlement as the writing statements take it: plain values, None where a duty does not apply."""

    position: int
    request: bytes
    at: float
    user_id: int | None
    user_name: str
    granted_to: str | None
    """The password hash that the verdict rests on, empty for none; must still hold. None: nothing is granted."""
    nas_id: int
    nas_name: str
    team_id: int
    surface: str
    device: str
    text: bytes
    outcome: str
    reason: str
    detail: str | None
    redeem: bytes | None
    method_id: int | None
    step: int | None
    code_id: int | None
    issue: bytes | None
    issue_expires: float | None
    remembers: bool
    charge: str | None
    """This attempt's charge as it was appended; None: it is settled apart."""
    charge_after: str
    history_read: str
    history_after: str


def queries_for(attempts: Sequence[Attempt]) -> list[Query]:
    """Say of each attempt what the reading query needs; a flood on one account is charged a few times only."""
    charges: Counter[str] = Counter()
    queries = []
    for position, attempt in enumerate(attempts):
        name = attempt.user.text if attempt.user else None
        charges[name or ""] += 1
        selector, other_selector, *_ = (*_selectors(attempt), None, None)
        queries.append(
            Query(
                position=position,
                request=attempt.request,
                name=name,
                team_id=attempt.nas.team_id or 0,
                nas_id=attempt.nas.id,
                device=attempt.device,
                state=attempt.state,
                selector=selector,
                other_selector=other_selector,
                charge=str(attempt.charge) if charges[name or ""] <= throttle.AT_ONCE else None,
            )
        )
    return queries


def _selectors(attempt: Attempt) -> tuple[str, ...]:
    if isinstance(attempt.typed, Typed):
        return selectors(attempt.typed)
    return (attempt.typed.code.selector,) if isinstance(attempt.typed.code, BackupCode) else ()


def facts_of(rows: Sequence[FactRow], *, open_seed: Callable[[int, bytes], bytes]) -> Facts:
    """Put together what the rows of one attempt say; raises what `open_seed` raises, TypeError or ValueError."""
    first = rows[0]
    methods = {row.method_id: _method(row, open_seed) for row in rows if row.method_id is not None}
    codes = {row.code_id: _backup_code(row) for row in rows if row.code_id is not None}
    return Facts(
        user=_person(first),
        methods=tuple(methods.values()),
        backup_codes=tuple(codes.values()),
        challenge=_challenge(first),
        verification=_verification(first),
        earlier=_earlier(first),
        history=first.history or "",
    )


def _method(row: FactRow, open_seed: Callable[[int, bytes], bytes]) -> Method:
    number = row.method_id or 0
    seed = open_seed(number, row.seed or b"")
    algorithm = Algorithm(row.algorithm or "SHA1")
    return Method(number, seed, row.digits or 6, row.period or 30, algorithm, row.watermark or 0)


def _person(row: FactRow) -> Person | None:
    if row.user_id is None or row.user_name is None:
        return None
    return Person(row.user_id, row.user_name, row.password_hash, bool(row.disabled))


def _backup_code(row: FactRow) -> StoredBackupCode:
    return StoredBackupCode(row.code_id or 0, row.selector or "", row.code_hash or "", row.code_used_at is not None)


def _challenge(row: FactRow) -> OpenChallenge | None:
    if row.challenge_user is None or row.challenge_nas is None or row.challenge_expires is None:
        return None
    return OpenChallenge(row.challenge_user, row.challenge_nas, row.challenge_expires)


def _verification(row: FactRow) -> Verification | None:
    if row.verified_at is None or row.verified_text is None:
        return None
    return Verification(row.verified_at, bytes(row.verified_text))


def _earlier(row: FactRow) -> Earlier | None:
    if row.earlier_at is None or row.earlier_outcome is None or row.earlier_reason is None:
        return None
    outcome = Outcome.ACCEPT if row.earlier_outcome == REPEAT else Outcome(row.earlier_outcome)
    return Earlier(row.earlier_at, outcome, Reason(row.earlier_reason))


def user_id_of(settlement: Settlement) -> int | None:
    """Return whose sign-in it is, None for nobody's."""
    return settlement.facts.user.id if settlement.facts.user else None


def row_of(position: int, settlement: Settlement, *, charged: bool) -> Row:
    """Flatten a settlement into the values that the statements take."""
    attempt, facts, verdict = settlement.attempt, settlement.facts, settlement.verdict
    charge = attempt.charge
    kept = throttle.marked(charge, verdict.mark)
    grants = verdict.outcome is not Outcome.REJECT and facts.user is not None
    issued = settlement.challenge
    return Row(
        position=position,
        request=_replay_of(attempt) if verdict.reason is Reason.REPLAYED else attempt.request,
        at=attempt.at,
        user_id=user_id_of(settlement),
        user_name=facts.user.name if facts.user else attempt.shown_name,
        granted_to=facts.user.password_hash or "" if grants and facts.user else None,
        nas_id=attempt.nas.id,
        nas_name=attempt.nas.name,
        team_id=attempt.nas.team_id or 0,
        surface=attempt.nas.surface,
        device=attempt.device,
        text=attempt.text,
        outcome=REPEAT if verdict.reason is Reason.REPEAT else verdict.outcome,
        reason=verdict.reason,
        detail=_detail(verdict),
        redeem=attempt.state if verdict.redeems else None,
        method_id=verdict.spend.method_id if isinstance(verdict.spend, SpendStep) else None,
        step=verdict.spend.step if isinstance(verdict.spend, SpendStep) else None,
        code_id=verdict.spend.code_id if isinstance(verdict.spend, SpendBackupCode) else None,
        issue=issued.state if issued else None,
        issue_expires=issued.expires if issued else None,
        remembers=verdict.spend is not None,
        charge=str(attempt.charge) if charged else None,
        charge_after=str(kept or ""),
        history_read=facts.history,
        history_after=throttle.settle(facts.history, charge, verdict.mark),
    )


def _replay_of(attempt: Attempt) -> bytes:
    """Name a replay apart from the request whose octets it repeats, which has its own audit row."""
    return blake2b(attempt.request + str(attempt.at).encode(), digest_size=16).digest()


def _detail(verdict: Verdict) -> str | None:
    match verdict.spend:
        case SpendStep(method_id, step):
            return f'{{"method": {method_id}, "step": {step}}}'
        case SpendBackupCode(code_id):
            return f'{{"backup_code": {code_id}}}'
        case None:
            return None
        case other:
            assert_never(other)

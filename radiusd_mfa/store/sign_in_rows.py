"""The shapes between sign-ins and statements: attempts become queries, settlements rows (facts: `fact_rows`).

Plain values in, plain values out; knows no statement and no connection.
"""

from collections.abc import Sequence
from secrets import token_bytes
from typing import Final, NamedTuple, assert_never

from radiusd_mfa.core import circumstances, throttle
from radiusd_mfa.core.backup_codes import BackupCode
from radiusd_mfa.core.facts import Attempt
from radiusd_mfa.core.typed import Typed, selectors
from radiusd_mfa.core.verdict import Outcome, Reason, SpendBackupCode, SpendSms, SpendStep, Verdict
from radiusd_mfa.store.fact_rows import REPEAT
from radiusd_mfa.usecases.ports import Settlement

_PASSWORD_ALONE: Final = (Reason.NOT_REQUIRED, Reason.REPORTED, Reason.ENROL_LATER)
"""Why somebody without a method gets in."""


class Query(NamedTuple):
    """What the reading query needs to know of an attempt."""

    position: int
    request: bytes
    name: str | None
    realm: str | None
    local: str | None
    """The name without the realm: who is meant where the realm is known and nobody has the whole name."""
    nas_team: int
    """The team of the NAS entry, before that of the realm; 0: none."""
    nas_id: int
    device: str
    surface: str
    state: bytes | None
    selector: str | None
    other_selector: str | None
    charge: str | None
    """None: the account has enough charges from there in this batch already; it is closed for this attempt."""


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
    role: str | None
    """The role in that team that the verdict rests on, which must still stand; None: no team is signed in to."""
    bare: bool
    """Whether it rests on there being no method; there must still be none."""
    surface: str
    device: str
    text: bytes
    outcome: str
    reason: str
    detail: str | None
    facts: str | None
    relies_at: float | None
    """When the second factor was given that the verdict rests on; must still stand. None: it rests on none."""
    relies_nas: int | None
    relies_device: str | None
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
    charges: dict[tuple[str, int, str], int] = {}
    queries = []
    for position, attempt in enumerate(attempts):
        name = attempt.user.text if attempt.user else None
        # Apart for each place that it comes from: a flood elsewhere is none of the owner's.
        source = (name or "", attempt.nas.id, attempt.device)
        charged = charges[source] = charges.get(source, 0) + 1
        selector, other_selector, *_ = (*_selectors(attempt), None, None)
        queries.append(
            Query(
                position=position,
                request=attempt.request,
                name=name,
                realm=attempt.realm or None,
                local=attempt.local.text if attempt.local else None,
                nas_team=attempt.nas.team_id or 0,
                nas_id=attempt.nas.id,
                device=attempt.device,
                surface=attempt.nas.surface,
                state=attempt.state,
                selector=selector,
                other_selector=other_selector,
                charge=str(attempt.charge) if charged <= throttle.AT_ONCE else None,
            )
        )
    return queries


def _selectors(attempt: Attempt) -> tuple[str, ...]:
    if isinstance(attempt.typed, Typed):
        return selectors(attempt.typed)
    return (attempt.typed.code.selector,) if isinstance(attempt.typed.code, BackupCode) else ()


def user_id_of(settlement: Settlement) -> int | None:
    """Return whose sign-in it is, None for nobody's."""
    return settlement.facts.user.id if settlement.facts.user else None


def row_of(position: int, settlement: Settlement, *, charged: bool) -> Row:
    """Flatten a settlement into the values that the statements take."""
    attempt, facts, verdict = settlement.attempt, settlement.facts, settlement.verdict
    charge = attempt.charge
    kept = throttle.marked(charge, verdict.mark)
    grants = verdict.outcome is not Outcome.REJECT and facts.user is not None
    issued, relied = settlement.challenge, verdict.relies_on
    step = verdict.spend if isinstance(verdict.spend, SpendStep) else None
    return Row(
        position=position,
        # A replay has a row of its own beside that of the request whose octets it repeats.
        request=token_bytes(16) if verdict.reason is Reason.REPLAYED else attempt.request,
        at=attempt.at,
        user_id=user_id_of(settlement),
        user_name=facts.user.name if facts.user else attempt.shown_name,
        granted_to=facts.user.password_hash or "" if grants and facts.user else None,
        nas_id=attempt.nas.id,
        nas_name=attempt.nas.name,
        team_id=facts.team_id,
        role=facts.memberships[0].role if grants and facts.team_id and facts.memberships else None,
        bare=verdict.reason in _PASSWORD_ALONE and not facts.methods,
        surface=attempt.nas.surface,
        device=attempt.device,
        text=attempt.text,
        outcome=REPEAT if verdict.reason is Reason.REPEAT else verdict.outcome,
        reason=verdict.reason,
        detail=_detail(verdict),
        facts=circumstances.recorded(attempt, facts, verdict),
        relies_at=relied.at if relied else None,
        relies_nas=relied.nas_id if relied else None,
        relies_device=relied.device if relied else None,
        redeem=attempt.state if verdict.redeems else None,
        method_id=step.method_id if step else None,
        step=step.step if step else None,
        code_id=verdict.spend.code_id if isinstance(verdict.spend, SpendBackupCode) else None,
        issue=issued.state if issued else None,
        issue_expires=issued.expires if issued else None,
        remembers=verdict.spend is not None or verdict.finish is not None,
        charge=str(attempt.charge) if charged else None,
        charge_after=str(kept or ""),
        history_read=facts.history,
        history_after=throttle.settle(facts.history, charge, verdict.mark),
    )


def _detail(verdict: Verdict) -> str | None:
    match verdict.spend:
        case SpendStep(method_id, step):
            return f'{{"method": {method_id}, "step": {step}}}'
        case SpendBackupCode(code_id):
            return f'{{"backup_code": {code_id}}}'
        case SpendSms(method_id):
            return f'{{"method": {method_id}}}'
        case None:
            return None
        case other:
            assert_never(other)

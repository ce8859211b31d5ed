"""Sign-ins in the database, many at once: `open` charges and reads, `settle` spends, refunds, remembers and records.

The two statements that carry the load are written for each dialect (`sign_ins_sqlite`, `sign_ins_postgresql`); this
module owns what they share: which attempts are charged, and how their rows become facts.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final, NamedTuple, Protocol, TypeVar, assert_never

from sqlalchemy import Connection

from radiusd_mfa.core import throttle
from radiusd_mfa.core.backup_codes import BackupCode
from radiusd_mfa.core.facts import (
    Attempt,
    Earlier,
    Facts,
    Method,
    OpenChallenge,
    Person,
    StoredBackupCode,
    Verification,
)
from radiusd_mfa.core.totp import Algorithm
from radiusd_mfa.core.typed import Typed, selectors
from radiusd_mfa.core.verdict import Outcome, Reason, SpendBackupCode, SpendStep, Verdict
from radiusd_mfa.keys import KeyProblem, KeyRing
from radiusd_mfa.store import sign_ins_postgresql, sign_ins_sqlite
from radiusd_mfa.store.database import Database, is_transient
from radiusd_mfa.usecases.ports import Settlement, StoreFault

REPEAT: Final = "repeat"
"""The outcome of a row that says: the same text again within the retry grace; the accepted row is the first one."""
_TRIES: Final = 3
_Result = TypeVar("_Result")


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


class Dialect(Protocol):
    """The statements, written for one database."""

    def read(self, connection: Connection, queries: Sequence[Query], *, charging: bool) -> Iterable[Sequence[Any]]:
        """Return the columns of `FactRow` for each query, in any order."""
        ...

    def settle(self, connection: Connection, rows: Sequence[Row]) -> dict[int, int]:
        """Return the audit id by position for the rows whose claims held."""
        ...

    def lock_histories(self, connection: Connection, user_ids: Sequence[int]) -> dict[int, str]:
        """Return the throttle histories, locked until the end of the transaction."""
        ...

    def write_histories(self, connection: Connection, histories: dict[int, str]) -> None:
        """Write throttle histories whose rows are locked."""
        ...


class SignIns:
    """The sign-in store of one process; safe to use from several threads."""

    def __init__(self, database: Database, keys: KeyRing) -> None:
        self._database = database
        self._keys = keys
        self._dialect: Dialect = sign_ins_sqlite if database.dialect == "sqlite" else sign_ins_postgresql

    def open(self, attempts: Sequence[Attempt]) -> list[Facts]:
        """See `SignInStore.open`."""
        return self._retried(lambda: self._read(attempts, charging=True))

    def reread(self, attempts: Sequence[Attempt]) -> list[Facts]:
        """See `SignInStore.reread`."""
        return self._read(attempts, charging=False)

    def refund(self, charged: Sequence[tuple[Attempt, Facts]]) -> None:
        """See `SignInStore.refund`."""
        charges: defaultdict[int, list[str]] = defaultdict(list)
        for attempt, facts in charged:
            if facts.user is not None:
                charges[facts.user.id].append(attempt.charged)
        if charges:
            self._retried(lambda: self._refund(charges))

    def settle(self, settlements: Sequence[Settlement]) -> list[int | None]:
        """See `SignInStore.settle`."""
        return self._retried(lambda: self._settle(settlements))

    def _settle(self, settlements: Sequence[Settlement]) -> list[int | None]:
        met_once = _users_met_once(settlements)
        rows = _first_of_each_request(
            _row(position, settlement, charged=_user_id(settlement) in met_once)
            for position, settlement in enumerate(settlements)
            if not settlement.verdict.settled_before
        )
        if len(rows) == len(settlements) == len(met_once):
            with self._database.statement() as connection:
                held = self._dialect.settle(connection, rows)
        else:
            held = self._settle_apart(rows, settlements, met_once)
        return [held.get(position) for position in range(len(settlements))]

    def _refund(self, charges: Mapping[int, Sequence[str]]) -> None:
        with self._database.writing() as connection:
            histories = self._dialect.lock_histories(connection, sorted(charges))
            for user_id in histories:
                for charge in charges[user_id]:
                    # To the letter: the same request may be charged again by now, and checked under that charge.
                    histories[user_id] = histories[user_id].replace(charge, "")
            self._dialect.write_histories(connection, histories)

    def _settle_apart(
        self, rows: Sequence[Row], settlements: Sequence[Settlement], met_once: set[int | None]
    ) -> dict[int, int]:
        """Settle a batch that meets an account more than once, or a request that was settled before."""
        with self._database.writing() as connection:
            held = self._dialect.settle(connection, rows) if rows else {}
            held |= {position: 0 for position, each in enumerate(settlements) if each.verdict.settled_before}
            ended = [each for position, each in enumerate(settlements) if position in held]
            self._settle_charges(connection, [each for each in ended if _charged_apart(each, met_once)])
        return held

    def _settle_charges(self, connection: Connection, settlements: Sequence[Settlement]) -> None:
        """Settle the charges of accounts that a batch meets more than once, one by one under a lock."""
        user_ids = sorted({each.facts.user.id for each in settlements if each.facts.user is not None})
        if not user_ids:
            return
        histories = self._dialect.lock_histories(connection, user_ids)
        for each in settlements:
            user_id = _user_id(each)
            if user_id is not None and user_id in histories:
                charge, mark = each.attempt.charge, each.verdict.mark
                histories[user_id] = throttle.settle(histories[user_id], charge, mark)
        self._dialect.write_histories(connection, histories)

    def _read(self, attempts: Sequence[Attempt], *, charging: bool) -> list[Facts]:
        queries = _queries(attempts)
        enter = self._database.statement if charging else self._database.reading
        with enter() as connection:
            rows = [FactRow(*row) for row in self._dialect.read(connection, queries, charging=charging)]
        gathered: list[list[FactRow]] = [[] for _ in attempts]
        for row in rows:
            gathered[row.position].append(row)
        return [self._facts(of_one) for of_one in gathered]

    def _retried(self, work: Callable[[], _Result]) -> _Result:
        """Do it again where two nodes met in a deadlock: nothing was committed, and the next try finds its way."""
        for _ in range(_TRIES - 1):
            try:
                return work()
            except StoreFault as fault:
                if not is_transient(fault):
                    raise
        return work()

    def _facts(self, rows: Sequence[FactRow]) -> Facts:
        """Put together what the rows of one attempt say; what they can't say is this attempt's fault alone."""
        try:
            return self._together(rows)
        except (KeyProblem, TypeError, ValueError) as problem:
            # Other programs, newer versions of this one among them, write to the tables too.
            return Facts(fault=f"user {rows[0].user_name}: {problem}")

    def _together(self, rows: Sequence[FactRow]) -> Facts:
        first = rows[0]
        methods = {row.method_id: self._method(row) for row in rows if row.method_id is not None}
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

    def _method(self, row: FactRow) -> Method:
        seed = self._keys.open(row.seed or b"", table="methods", column="seed", row=row.method_id or 0)
        algorithm = Algorithm(row.algorithm or "SHA1")
        return Method(row.method_id or 0, seed, row.digits or 6, row.period or 30, algorithm, row.watermark or 0)


def _queries(attempts: Sequence[Attempt]) -> list[Query]:
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
                charge=attempt.charged if charges[name or ""] <= throttle.AT_ONCE else None,
            )
        )
    return queries


def _selectors(attempt: Attempt) -> tuple[str, ...]:
    if isinstance(attempt.typed, Typed):
        return selectors(attempt.typed)
    return (attempt.typed.code.selector,) if isinstance(attempt.typed.code, BackupCode) else ()


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


def _user_id(settlement: Settlement) -> int | None:
    return settlement.facts.user.id if settlement.facts.user else None


def _first_of_each_request(rows: Iterable[Row]) -> list[Row]:
    """Leave out a request that its batch has twice: the second must find the verdict of the first (I6)."""
    first: dict[bytes, Row] = {}
    for row in rows:
        first.setdefault(row.request, row)
    return list(first.values())


def _users_met_once(settlements: Sequence[Settlement]) -> set[int | None]:
    met = Counter(map(_user_id, settlements))
    return {user_id for user_id, times in met.items() if times == 1 and user_id is not None}


def _charged_apart(settlement: Settlement, met_once: set[int | None]) -> bool:
    return settlement.verdict.settled_before or _user_id(settlement) not in met_once


def _row(position: int, settlement: Settlement, *, charged: bool) -> Row:
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
        user_id=_user_id(settlement),
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
        charge=attempt.charged if charged else None,
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

"""Sign-ins in the database, many at once: `open` charges and reads, `settle` spends, refunds, remembers and records.

The two statements that carry the load are written for each dialect (`sign_ins_sqlite`, `sign_ins_postgresql`), the
shapes of their rows are those of `sign_in_rows`; this module owns what is done in which transaction.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Protocol, TypeVar

from sqlalchemy import Connection

from radiusd_mfa.core import throttle
from radiusd_mfa.core.facts import Attempt, Facts, MethodKind, TeamRules
from radiusd_mfa.keys import KeyProblem, KeyRing
from radiusd_mfa.store import sign_ins_postgresql, sign_ins_sqlite
from radiusd_mfa.store.database import Database, is_transient
from radiusd_mfa.store.fact_rows import FactRow, Read, facts_of
from radiusd_mfa.store.phones_at_sign_in import with_phones
from radiusd_mfa.store.set_ups import Locks, may_be_in_one, settle_alongside, with_progress
from radiusd_mfa.store.sign_in_rows import Query, Row, queries_for, row_of, user_id_of
from radiusd_mfa.usecases.ports import Settlement, StoreFault

_TRIES: Final = 3
_Result = TypeVar("_Result")


class Dialect(Protocol):
    """The statements, written for one database."""

    def read(self, connection: Connection, queries: Sequence[Query], *, charging: bool) -> Read:
        """Return one row or more for each query, in any order, and the teams that its users belong to."""
        ...

    def settle(self, connection: Connection, rows: Sequence[Row]) -> dict[int, int]:
        """Return the audit id by position for the rows whose claims held."""
        ...

    def lock_histories(self, connection: Connection, user_ids: Sequence[int]) -> dict[int, str]:
        """Return the throttle histories, locked until the end of the transaction."""
        ...

    def begin_histories(self, connection: Connection, user_ids: Sequence[int]) -> None:
        """Make empty histories for users who have none."""
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
                charges[facts.user.id].append(str(attempt.charge))
        if charges:
            self._retried(lambda: self._refund(charges))

    def settle(self, settlements: Sequence[Settlement]) -> list[int | None]:
        """See `SignInStore.settle`."""
        return self._retried(lambda: self._settle(settlements))

    def _settle(self, settlements: Sequence[Settlement]) -> list[int | None]:
        together = _fit_one_statement(settlements)
        rows = _first_of_each_request(
            row_of(position, settlement, charged=together and user_id_of(settlement) is not None)
            for position, settlement in enumerate(settlements)
            if not settlement.verdict.settled_before
        )
        if together:
            with self._database.statement() as connection:
                held = self._dialect.settle(connection, rows)
        else:
            held = self._settle_apart(rows, settlements)
        return [held.get(position) for position in range(len(settlements))]

    def _refund(self, charges: Mapping[int, Sequence[str]]) -> None:
        with self._database.writing() as connection:
            histories = self._dialect.lock_histories(connection, sorted(charges))
            for user_id in histories:
                for charge in charges[user_id]:
                    # To the letter: the same request may be charged again by now, and checked under that charge.
                    histories[user_id] = histories[user_id].replace(charge, "")
            self._dialect.write_histories(connection, histories)

    def _settle_apart(self, rows: Sequence[Row], settlements: Sequence[Settlement]) -> dict[int, int]:
        """Settle a batch that meets an account twice, a settled request, a packet of a set-up, or a code by SMS."""
        alone = [row for row in rows if settlements[row.position].alongside is None]
        with self._database.writing() as connection:
            locks = Locks(connection)
            # Waited for before anything else is held, and in the same order on all nodes.
            beside = [row for row in sorted(rows, key=_by_user) if settlements[row.position].alongside is not None]
            locked = [row for row in beside if locks.take(row.user_id)]
            held = self._dialect.settle(connection, alone) if alone else {}
            for row in locked:
                settlement = settlements[row.position]
                held |= settle_alongside(connection, self._keys, row, settlement, self._dialect.settle)
            held |= {position: 0 for position, each in enumerate(settlements) if each.verdict.settled_before}
            self._settle_charges(connection, [each for position, each in enumerate(settlements) if position in held])
        return held

    def _settle_charges(self, connection: Connection, settlements: Sequence[Settlement]) -> None:
        """Settle the charges of a batch one by one, under locks that are taken in the order in which `open` takes them.

        Some of them before, in the statement for all, and these after it: whoever opens or settles the same two
        accounts elsewhere would wait for this batch, and this one for that, until the database ends one of them after
        a second. Anybody can have that with two names and three packets.
        """
        user_ids = sorted({each.facts.user.id for each in settlements if each.facts.user is not None})
        if not user_ids:
            return
        histories = self._dialect.lock_histories(connection, user_ids)
        if gone := [user_id for user_id in user_ids if user_id not in histories]:
            # With a crash of the database: the charge did not wait for the disk.
            self._dialect.begin_histories(connection, gone)
            histories |= self._dialect.lock_histories(connection, gone)
        for each in settlements:
            user_id = user_id_of(each)
            if user_id is not None and user_id in histories:
                charge, mark = each.attempt.charge, each.verdict.mark
                histories[user_id] = throttle.settle(histories[user_id], charge, mark)
        self._dialect.write_histories(connection, histories)

    def _read(self, attempts: Sequence[Attempt], *, charging: bool) -> list[Facts]:
        queries = queries_for(attempts)
        # No answer leaves before its settlement is on the disk, and what came before it is then there as well.
        enter = self._database.statement(durable=False) if charging else self._database.reading()
        with enter as connection:
            read = self._dialect.read(connection, queries, charging=charging)
        gathered: list[list[FactRow]] = [[] for _ in attempts]
        for row in read.rows:
            gathered[row.position].append(row)
        found = [self._facts(query, of_one, read.teams) for query, of_one in zip(queries, gathered, strict=True)]
        return self._with_phones(attempts, self._with_progress(attempts, found))

    def _with_progress(self, attempts: Sequence[Attempt], found: list[Facts]) -> list[Facts]:
        """Add how far set-ups are, with statements of their own where there may be any."""
        pairs = list(zip(attempts, found, strict=True))
        if not any(may_be_in_one(*pair) for pair in pairs):
            return found
        with self._database.reading() as connection:
            return [with_progress(connection, *pair) if may_be_in_one(*pair) else pair[1] for pair in pairs]

    def _with_phones(self, attempts: Sequence[Attempt], found: list[Facts]) -> list[Facts]:
        """Add what the phones are good for, with a statement of its own where somebody has one."""
        if not any(method.kind is MethodKind.SMS for facts in found for method in facts.methods):
            return found
        with self._database.reading() as connection:
            return with_phones(connection, self._keys, attempts, found)

    def _retried(self, work: Callable[[], _Result]) -> _Result:
        """Do it again where two nodes met in a deadlock: nothing was committed, and the next try finds its way."""
        for _ in range(_TRIES - 1):
            try:
                return work()
            except StoreFault as fault:
                if not is_transient(fault):
                    raise
        return work()

    def _facts(self, query: Query, rows: Sequence[FactRow], teams: Mapping[int, TeamRules]) -> Facts:
        """Put together what the rows of one attempt say; what they can't say is this attempt's fault alone."""
        try:
            return facts_of(rows, at=(query.nas_id, query.device), teams=teams, open_seed=self._open_seed)
        except (KeyProblem, TypeError, ValueError) as problem:
            # Other programs, newer versions of this one among them, write to the tables too.
            return Facts(fault=f"user {rows[0].user_name}: {problem}")

    def _open_seed(self, method_id: int, sealed: bytes) -> bytes:
        return self._keys.open(sealed, table="methods", column="seed", row=method_id)


def _first_of_each_request(rows: Iterable[Row]) -> list[Row]:
    """Leave out a request that its batch has twice: the second must find the verdict of the first (I6)."""
    first: dict[bytes, Row] = {}
    for row in rows:
        first.setdefault(row.request, row)
    return list(first.values())


def _by_user(row: Row) -> int:
    return row.user_id or 0


def _fit_one_statement(settlements: Sequence[Settlement]) -> bool:
    """Whether nothing but statements for all is needed: no account and no request twice, and nothing done before."""
    if any(each.alongside is not None or each.verdict.settled_before for each in settlements):
        return False
    met = [user_id for each in settlements if (user_id := user_id_of(each)) is not None]
    # Requests too: those of nobody have no account that would be met twice.
    return len(set(met)) == len(met) and len({each.attempt.request for each in settlements}) == len(settlements)

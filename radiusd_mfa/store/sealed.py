"""Everything that is sealed: which key sealed how much, and how it is sealed anew by another one.

To seal anew keeps no list of what is done: what begins with another key's id is still to be done, also after a kill.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final

from sqlalchemy import Column, ColumnElement, Connection, func, literal, select, update

from radiusd_mfa.keys import KeyProblem, KeyRing, key_id_of, sealed_by
from radiusd_mfa.store import schema
from radiusd_mfa.store.canary import CANARY, ROOT, read_root, write_root
from radiusd_mfa.store.database import Database
from radiusd_mfa.usecases.key_ports import Resealed

BATCH: Final = 100
"""Values that one transaction seals anew: a sign-in that spends a step of the same method waits for so many."""
COLUMNS: Final[Sequence[Column[Any]]] = (
    schema.methods.c.seed,
    schema.nas.c.secret,
    schema.backup_codes.c.sealed,
    schema.outbox.c.payload,
    schema.portal_sessions.c.carries,
)
"""Each is sealed for its table, its column and the id of its row."""
_META: Final = (CANARY, ROOT)
"""Rows of `meta` that are sealed, each for its name."""


def sealed_by_key(connection: Connection) -> Counter[str]:
    """Count the sealed values by the id of their key; raises TamperedProblem."""
    counted: Counter[str] = Counter()
    for column in COLUMNS:
        rows = connection.execute(select(column).where(column.is_not(None))).scalars()
        counted.update(key_id_of(bytes(sealed)) for sealed in rows)
    kept = select(schema.meta.c.value).where(schema.meta.c.name.in_(_META))
    counted.update(key_id_of(bytes(sealed)) for sealed in connection.execute(kept).scalars())
    return counted


class SealedValues:
    """See `Sealed` of the use cases."""

    def __init__(self, database: Database, keys: KeyRing) -> None:
        self._database = database
        self._keys = keys

    def by_key(self) -> Counter[str]:
        """See `Sealed.by_key`."""
        with self._database.reading() as connection:
            return sealed_by_key(connection)

    def keep_root(self) -> None:
        """See `Sealed.keep_root`."""
        with self._database.writing() as connection:
            if read_root(connection) is None:
                write_root(connection, self._keys.sealed_root())

    def reseal(self) -> Iterator[Resealed]:
        """See `Sealed.reseal`."""
        yield self._reseal_meta()
        for column in COLUMNS:
            after = 0
            while found := self._batch(column, after):
                yield self._reseal(column, found)
                after = found[-1][0]

    def _batch(self, column: Column[Any], after: int) -> Sequence[tuple[int, bytes]]:
        of_table = column.table.c
        wanted = select(of_table.id, column).where(of_table.id > after, column.is_not(None), self._is_old(column))
        with self._database.reading() as connection:
            rows = connection.execute(wanted.order_by(of_table.id).limit(BATCH))
            return [(row[0], bytes(row[1])) for row in rows]

    def _reseal(self, column: Column[Any], found: Sequence[tuple[int, bytes]]) -> Resealed:
        """Seal values anew, in the order of their ids as sign-ins lock them; one that was changed meanwhile stays."""
        place = {"table": column.table.name, "column": column.name}
        done = 0
        unopened = []
        with self._database.writing() as connection:
            for row, sealed in found:
                try:
                    anew = self._keys.seal(self._keys.open(sealed, row=row, **place), row=row, **place)
                except KeyProblem as problem:
                    unopened.append(str(problem))
                    continue
                statement = update(column.table).where(column.table.c.id == row, column == sealed)
                done += connection.execute(statement.values({column: anew})).rowcount
        return Resealed(done, tuple(unopened))

    def _reseal_meta(self) -> Resealed:
        meta = schema.meta.c
        made = {CANARY: self._keys.canary, ROOT: self._keys.sealed_root}
        done = 0
        with self._database.writing() as connection:
            for name in _META:
                statement = update(schema.meta).where(meta.name == name, self._is_old(meta.value))
                done += connection.execute(statement.values(value=made[name]())).rowcount
        return Resealed(done, ())

    def _is_old(self, column: Column[Any]) -> ColumnElement[bool]:
        begins = sealed_by(self._keys.active_id)
        return func.substr(column, 1, len(begins)) != literal(begins)

"""Users and authenticators by the thousand: a few statements for all of them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Select, Table, insert, select, text

from radiusd_mfa.keys import KeyRing
from radiusd_mfa.store import schema
from radiusd_mfa.store.in_pieces import in_pieces
from radiusd_mfa.store.methods import seed_digest
from radiusd_mfa.store.people import row_of
from radiusd_mfa.usecases.admin_ports import ImportedUser, NewMethod

_users: Final = schema.users.c
_methods: Final = schema.methods.c


class ImportTable:
    """See `Imports` of the use cases."""

    def __init__(self, connection: Connection, keys: KeyRing) -> None:
        self._connection = connection
        self._keys = keys

    def ids(self) -> Mapping[str, int]:
        """See `Imports.ids`."""
        return {row.name: row.id for row in self._connection.execute(select(_users.name, _users.id))}

    def lock_ids(self) -> Mapping[str, int]:
        """See `Imports.lock_ids`."""
        if self._connection.dialect.name == "postgresql":
            # SQLite has one writer anyway. Reading goes on, sign-ins write to other tables.
            self._connection.execute(text("LOCK TABLE users IN SHARE ROW EXCLUSIVE MODE"))
        return self.ids()

    def add(self, users: Sequence[ImportedUser], at: float) -> None:
        """See `Imports.add`."""
        made = list(zip(self._reserve("users", len(users)), users, strict=True))
        self._insert(schema.users, [{"id": user_id} | row_of(each.user, at) for user_id, each in made])
        self._insert(
            schema.memberships,
            [
                {"user_id": user_id, "team_id": each.team_id, "role": each.role}
                for user_id, each in made
                if each.team_id is not None
            ],
        )
        self._add_methods([(user_id, method) for user_id, each in made for method in each.methods], set(), at)

    def missing(self, methods: Sequence[tuple[int, NewMethod]]) -> Sequence[tuple[int, NewMethod]]:
        """See `Imports.missing`."""
        held = set(self._of(select(_methods.user_id, _methods.seed_digest), methods))
        return [each for each in methods if (each[0], seed_digest(self._keys, each[1].seed)) not in held]

    def add_methods(self, methods: Sequence[tuple[int, NewMethod]], at: float) -> None:
        """See `Imports.add_methods`."""
        counts = select(_methods.user_id, _methods.id).where(_methods.confirmed_at.is_not(None))
        self._add_methods(methods, {user_id for user_id, _ in self._of(counts, methods)}, at)

    def _of(self, statement: Select[Any], methods: Sequence[tuple[int, NewMethod]]) -> Iterator[tuple[int, Any]]:
        """Yield two columns of the rows of all these users."""
        for piece in in_pieces({user_id for user_id, _ in methods}):
            rows = self._connection.execute(statement.where(_methods.user_id.in_(piece)))
            yield from ((row[0], row[1]) for row in rows)

    def _add_methods(self, methods: Sequence[tuple[int, NewMethod]], have_one: set[int], at: float) -> None:
        """Insert methods; the first of a user who has none is the default."""
        self._insert(schema.methods, list(self._method_rows(methods, have_one, at)))

    def _method_rows(
        self, methods: Sequence[tuple[int, NewMethod]], have_one: set[int], at: float
    ) -> Iterator[dict[str, Any]]:
        # The id is part of what a seed is sealed for, so it must be known before the row is written.
        for method_id, (user_id, method) in zip(self._reserve("methods", len(methods)), methods, strict=True):
            yield {
                "id": method_id,
                "user_id": user_id,
                "kind": "totp",
                "label": method.label,
                "seed": self._keys.seal(method.seed, table="methods", column="seed", row=method_id),
                "digits": method.digits,
                "period": method.period,
                "algorithm": method.algorithm.value,
                "created_at": at,
                "confirmed_at": at,
                "is_default": user_id not in have_one,
                "seed_digest": seed_digest(self._keys, method.seed),
            }
            have_one.add(user_id)

    def _insert(self, table: Table, rows: list[dict[str, Any]]) -> None:
        if rows:
            self._connection.execute(insert(table), rows)

    def _reserve(self, table: str, count: int) -> Sequence[int]:
        """Return ids that no other transaction will use."""
        if self._connection.dialect.name == "postgresql":
            statement = text("SELECT nextval(pg_get_serial_sequence(:name, 'id')) FROM generate_series(1, :count)")
            return self._connection.execute(statement, {"name": table, "count": count}).scalars().all()
        given = self._connection.execute(text("SELECT seq FROM sqlite_sequence WHERE name = :name"), {"name": table})
        first = (given.scalar() or 0) + 1
        return range(first, first + count)

"""Users in the database."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, delete, func, insert, select, text, update

from radiusd_mfa.core import throttle
from radiusd_mfa.keys import KeyRing
from radiusd_mfa.store import schema
from radiusd_mfa.store.inserting import insert_new
from radiusd_mfa.store.let_in import end_of_all
from radiusd_mfa.store.methods import seed_digest
from radiusd_mfa.usecases.admin_ports import ImportedUser, NewUser, User

_NEAR: Final = 2000
"""Names that are looked at for a suggestion; more would make a typing error cost seconds."""
_users: Final = schema.users.c


class UserTable:
    """See `People` of the use cases."""

    def __init__(self, connection: Connection, keys: KeyRing, acting_session: int | None = None) -> None:
        self._connection = connection
        self._keys = keys
        self._acting_session = acting_session

    def add(self, user: NewUser, at: float) -> int | None:
        """See `People.add`."""
        return insert_new(self._connection, schema.users, _values(user, at))

    def add_many(self, users: Sequence[ImportedUser], at: float) -> None:
        """See `People.add_many`."""
        if not users:
            return
        user_ids = self._reserve("users", len(users))
        made = list(zip(user_ids, users, strict=True))
        self._insert(schema.users, [{"id": user_id} | _values(each.user, at) for user_id, each in made])
        self._insert(
            schema.memberships,
            [
                {"user_id": user_id, "team_id": each.team_id, "role": each.role}
                for user_id, each in made
                if each.team_id is not None
            ],
        )
        self._insert(schema.methods, list(self._method_rows(made, at)))

    def find(self, name: str) -> User | None:
        """See `People.find`."""
        return self._one(select(schema.users).where(_users.name == name))

    def lock(self, name: str) -> User | None:
        """See `People.lock`."""
        return self._one(select(schema.users).where(_users.name == name).with_for_update(key_share=True))

    def all(self) -> Sequence[User]:
        """See `People.all`."""
        return [_user(row) for row in self._connection.execute(select(schema.users).order_by(_users.name))]

    def lock_names(self) -> set[str]:
        """See `People.lock_names`."""
        if self._connection.dialect.name == "postgresql":
            # SQLite has one writer anyway. Reading goes on, sign-ins write to other tables.
            self._connection.execute(text("LOCK TABLE users IN SHARE ROW EXCLUSIVE MODE"))
        return set(self._connection.execute(select(_users.name)).scalars())

    def names_like(self, name: str) -> Sequence[str]:
        """See `People.names_like`: those that begin alike."""
        alike = func.substr(_users.name, 1, 1) == name[:1]
        return self._connection.execute(select(_users.name).where(alike).limit(_NEAR)).scalars().all()

    def set_password_hash(self, user_id: int, password_hash: str) -> None:
        """See `People.set_password_hash`."""
        self._update(user_id, password_hash=password_hash)

    def set_disabled(self, user_id: int, *, disabled: bool) -> None:
        """See `People.set_disabled`."""
        self._update(user_id, disabled=disabled)

    def remove(self, user_id: int) -> None:
        """See `People.remove`; the foreign keys take the rest along."""
        self._connection.execute(delete(schema.users).where(_users.id == user_id))

    def forget_periods(self, user_id: int) -> None:
        """See `People.forget_periods`."""
        end_of_all(self._connection, user_id, but=self._acting_session)

    def forget_wrong_passwords(self, user_id: int) -> None:
        """See `People.forget_wrong_passwords`."""
        throttles = schema.throttles.c
        # Locked: a sign-in that settles meanwhile must not lose its mark.
        found = select(throttles.history).where(throttles.user_id == user_id).with_for_update()
        history = self._connection.execute(found).scalar()
        if history:
            left = throttle.with_new_password(history)
            self._connection.execute(update(schema.throttles).where(throttles.user_id == user_id).values(history=left))

    def _one(self, statement: Select[Any]) -> User | None:
        row = self._connection.execute(statement).one_or_none()
        return None if row is None else _user(row)

    def _update(self, user_id: int, **values: object) -> None:
        self._connection.execute(update(schema.users).where(_users.id == user_id).values(values))

    def _insert(self, table: Any, rows: list[dict[str, Any]]) -> None:  # noqa: ANN401 - a Table or its alias
        if rows:
            self._connection.execute(insert(table), rows)

    def _method_rows(self, made: Sequence[tuple[int, ImportedUser]], at: float) -> Iterator[dict[str, Any]]:
        wanted = [(user_id, each.method) for user_id, each in made if each.method is not None]
        # The id is part of what a seed is sealed for, so it must be known before the row is written.
        for method_id, (user_id, method) in zip(self._reserve("methods", len(wanted)), wanted, strict=True):
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
                "is_default": True,
                "seed_digest": seed_digest(self._keys, method.seed),
            }

    def _reserve(self, table: str, count: int) -> Sequence[int]:
        """Return ids that no other transaction will use."""
        if self._connection.dialect.name == "postgresql":
            statement = text("SELECT nextval(pg_get_serial_sequence(:name, 'id')) FROM generate_series(1, :count)")
            return self._connection.execute(statement, {"name": table, "count": count}).scalars().all()
        given = self._connection.execute(text("SELECT seq FROM sqlite_sequence WHERE name = :name"), {"name": table})
        first = (given.scalar() or 0) + 1
        return range(first, first + count)


def _values(user: NewUser, at: float) -> dict[str, Any]:
    return {
        "name": user.name,
        "email": user.email,
        "phone": user.phone,
        "password_hash": user.password_hash,
        "created_at": at,
    }


def _user(row: Row[Any]) -> User:
    return User(
        id=row.id,
        name=row.name,
        email=row.email,
        phone=row.phone,
        password_hash=row.password_hash,
        disabled=row.disabled,
        backup_generation=row.backup_generation,
        created_at=row.created_at,
    )

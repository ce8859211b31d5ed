"""Users in the database."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, delete, func, select, update

from radiusd_mfa.core import throttle
from radiusd_mfa.keys import KeyRing
from radiusd_mfa.store import schema
from radiusd_mfa.store.inserting import insert_new
from radiusd_mfa.store.let_in import carry_over, end_of_all
from radiusd_mfa.usecases.admin_ports import NewUser, StoredPeriod, User

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
        return insert_new(self._connection, schema.users, row_of(user, at))

    def find(self, name: str) -> User | None:
        """See `People.find`."""
        return self._one(select(schema.users).where(_users.name == name))

    def lock(self, name: str) -> User | None:
        """See `People.lock`."""
        return self._one(select(schema.users).where(_users.name == name).with_for_update(key_share=True))

    def all(self) -> Sequence[User]:
        """See `People.all`."""
        return [_user(row) for row in self._connection.execute(select(schema.users).order_by(_users.name))]

    def names_like(self, name: str) -> Sequence[str]:
        """See `People.names_like`: those that begin alike."""
        alike = func.substr(_users.name, 1, 1) == name[:1]
        return self._connection.execute(select(_users.name).where(alike).limit(_NEAR)).scalars().all()

    def set_password_hash(self, user_id: int, password_hash: str) -> None:
        """See `People.set_password_hash`."""
        self._update(user_id, password_hash=password_hash)

    def renew_password_hash(self, user_id: int, *, old: str, new: str) -> bool:
        """See `People.renew_password_hash`; the row is locked first, as everybody does who ends what was granted."""
        statement = update(schema.users).where(_users.id == user_id, _users.password_hash == old)
        done = self._connection.execute(statement.values(password_hash=new)).rowcount == 1
        if done:
            carry_over(self._connection, user_id, old=old, new=new)
        return done

    def set_disabled(self, user_id: int, *, disabled: bool) -> None:
        """See `People.set_disabled`."""
        self._update(user_id, disabled=disabled)

    def remove(self, user_id: int) -> None:
        """See `People.remove`; the foreign keys take the rest along."""
        self._connection.execute(delete(schema.users).where(_users.id == user_id))

    def forget_periods(self, user_id: int) -> None:
        """See `People.forget_periods`."""
        end_of_all(self._connection, user_id, but=self._acting_session)

    def periods(self, user_id: int | None) -> Sequence[StoredPeriod]:
        """See `People.periods`."""
        of, nas = schema.verifications.c, schema.nas.c
        statement = (
            select(of.user_id, _users.name, nas.name, of.surface, of.device, of.team_id, of.at)
            .select_from(schema.verifications.join(schema.users, _users.id == of.user_id))
            .outerjoin(schema.nas, nas.id == of.nas_id)
            .where(func.coalesce(_users.password_hash, "") == of.granted_to)
            .order_by(of.at.desc())
        )
        if user_id is not None:
            statement = statement.where(of.user_id == user_id)
        return [StoredPeriod(*row) for row in self._connection.execute(statement)]

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


def row_of(user: NewUser, at: float) -> dict[str, Any]:
    """Return the row of a user to be made."""
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

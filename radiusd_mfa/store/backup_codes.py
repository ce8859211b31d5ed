"""Backup codes in the database: hashes, and sealed for their row only where they may be seen again."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, delete, func, insert, or_, select, update

from radiusd_mfa.keys import KeyRing
from radiusd_mfa.store import schema
from radiusd_mfa.store.in_pieces import in_pieces
from radiusd_mfa.usecases.admin_ports import NewBackupCode

_codes: Final = schema.backup_codes.c
_users: Final = schema.users.c


class BackupCodeTable:
    """See `BackupCodes` of the use cases."""

    def __init__(self, connection: Connection, keys: KeyRing) -> None:
        self._connection = connection
        self._keys = keys

    def replace(self, user_id: int, codes: Iterable[NewBackupCode]) -> int:
        """See `BackupCodes.replace`; the user's row is locked by the new generation."""
        generation = self._next_generation(user_id)
        self._drop(user_id)
        self._insert(user_id, generation, codes)
        return generation

    def hold(self, user_id: int, codes: Iterable[NewBackupCode]) -> None:
        """See `BackupCodes.hold`: of the generation to come, so that no sign-in takes one."""
        current: int = self._connection.execute(_generation_of(user_id)).scalar_one()
        self._connection.execute(delete(schema.backup_codes).where(*_held(user_id)))
        self._insert(user_id, current + 1, codes)

    def release(self, user_id: int) -> bool:
        """See `BackupCodes.release`."""
        if not self._connection.execute(select(func.count()).where(*_held(user_id))).scalar_one():
            return False
        generation = self._next_generation(user_id)
        self._drop(user_id, _codes.generation < generation)
        return True

    def left(self, user_id: int) -> int:
        """See `BackupCodes.left`."""
        return self._connection.execute(select(func.count()).where(*_unused(user_id))).scalar_one()

    def revealed(self, user_id: int) -> Sequence[str]:
        """See `BackupCodes.revealed`."""
        statement = select(_codes.id, _codes.sealed).where(*_unused(user_id), _codes.sealed.is_not(None))
        rows = self._connection.execute(statement.order_by(_codes.id))
        return [self._keys.open(bytes(row.sealed), **_place(row.id)).decode() for row in rows]

    def revealable(self, user_ids: Collection[int]) -> set[int]:
        """See `BackupCodes.revealable`."""
        found: set[int] = set()
        for piece in in_pieces(user_ids):
            statement = select(_codes.user_id).distinct().where(_codes.user_id.in_(piece), _codes.sealed.is_not(None))
            found.update(self._connection.execute(statement).scalars())
        return found

    def conceal(self, user_ids: Collection[int]) -> None:
        """See `BackupCodes.conceal`."""
        for piece in in_pieces(user_ids):
            statement = update(schema.backup_codes).where(_codes.user_id.in_(piece), _codes.sealed.is_not(None))
            self._connection.execute(statement.values(sealed=None))

    def forget_uses(self, user_id: int) -> None:
        """Remove used codes, which are good for nothing, and with them that one was used; the audit log remembers."""
        used = _codes.used_at.is_not(None)
        self._connection.execute(delete(schema.backup_codes).where(_codes.user_id == user_id, used))

    def _next_generation(self, user_id: int) -> int:
        statement = update(schema.users).where(_users.id == user_id)
        following = statement.values(backup_generation=_users.backup_generation + 1)
        generation: int = self._connection.execute(following.returning(_users.backup_generation)).scalar_one()
        return generation

    def _drop(self, user_id: int, *which: ColumnElement[bool]) -> None:
        # The one that was used last stays: that a sign-in took a backup code is known by it (`Methods.recovered`).
        last = select(func.max(_codes.used_at)).where(_codes.user_id == user_id).scalar_subquery()
        old = delete(schema.backup_codes).where(_codes.user_id == user_id, *which)
        self._connection.execute(old.where(or_(_codes.used_at.is_(None), _codes.used_at < last)))

    def _insert(self, user_id: int, generation: int, codes: Iterable[NewBackupCode]) -> None:
        for each in codes:
            values = {"user_id": user_id, "generation": generation, "selector": each.code.selector, "hash": each.hash}
            row = self._connection.execute(insert(schema.backup_codes).values(values).returning(_codes.id)).scalar_one()
            if each.revealable:
                # The id is part of what it is sealed for; nobody sees the row before both are done.
                sealed = self._keys.seal(each.code.canonical.encode(), **_place(row))
                self._connection.execute(update(schema.backup_codes).where(_codes.id == row).values(sealed=sealed))


def _place(row: int) -> dict[str, Any]:
    return {"table": "backup_codes", "column": "sealed", "row": row}


def _generation_of(user_id: int) -> Select[Any]:
    return select(_users.backup_generation).where(_users.id == user_id)


def _unused(user_id: int) -> tuple[ColumnElement[bool], ...]:
    valid = _codes.generation == _generation_of(user_id).scalar_subquery()
    return _codes.user_id == user_id, valid, _codes.used_at.is_(None)


def _held(user_id: int) -> tuple[ColumnElement[bool], ...]:
    return _codes.user_id == user_id, _codes.generation > _generation_of(user_id).scalar_subquery()

"""Authenticators in the database; seeds are sealed for their row."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, Select, Update, delete, func, select, update

from radiusd_mfa.core.totp import Algorithm
from radiusd_mfa.keys import KeyRing
from radiusd_mfa.store import schema
from radiusd_mfa.store.backup_codes import BackupCodeTable
from radiusd_mfa.store.inserting import insert_new
from radiusd_mfa.store.let_in import end_of_all
from radiusd_mfa.usecases.admin_ports import MethodSummary, NewMethod, StoredMethod

_methods: Final = schema.methods.c
_codes: Final = schema.backup_codes.c


class MethodTable:
    """See `Methods` of the use cases."""

    def __init__(self, connection: Connection, keys: KeyRing, acting_session: int | None = None) -> None:
        self._connection = connection
        self._keys = keys
        self._acting_session = acting_session

    def add(self, user_id: int, method: NewMethod, at: float) -> int | None:
        """See `Methods.add`."""
        values = {
            "user_id": user_id,
            "kind": "totp",
            "label": method.label,
            "digits": method.digits,
            "period": method.period,
            "algorithm": method.algorithm.value,
            "created_at": at,
            "replaces": method.replaces,
            "seed_digest": seed_digest(self._keys, method.seed),
        }
        method_id = insert_new(self._connection, schema.methods, values)
        if method_id is not None:
            # The id is part of what the seed is sealed for; nobody sees the row before both are done.
            self._update(method_id, seed=self._keys.seal(method.seed, table="methods", column="seed", row=method_id))
        return method_id

    def of(self, user_id: int) -> Sequence[StoredMethod]:
        """See `Methods.of`."""
        rows = self._connection.execute(_of_user(user_id).where(_methods.kind == "totp"))
        return [self._method(row) for row in rows]

    def summaries(self, user_id: int) -> Sequence[MethodSummary]:
        """See `Methods.summaries`."""
        return [_summary(row) for row in self._connection.execute(_of_user(user_id))]

    def remove(self, method_id: int) -> None:
        """See `Methods.remove`."""
        self._connection.execute(delete(schema.methods).where(_methods.id == method_id))

    def count_wrong_code(self, method: StoredMethod) -> None:
        """See `Methods.count_wrong_code`: no sign-in spends an unconfirmed method, so its last_request is free."""
        self._update(method.id, last_request=bytes((method.wrong_codes + 1,)))

    def confirm(self, method_id: int, step: int, at: float) -> bool:
        """See `Methods.confirm`."""
        statement = update(schema.methods).where(
            _methods.id == method_id, _methods.confirmed_at.is_(None), _methods.watermark < step
        )
        return self._confirmed(statement.values(confirmed_at=at, watermark=step, last_request=None))

    def take_code(self, method_id: int, step: int) -> bool:
        """See `Methods.take_code`: the watermark tells it, which no sign-in raises before the method counts."""
        statement = update(schema.methods).where(
            _methods.id == method_id, _methods.confirmed_at.is_(None), _methods.watermark < step
        )
        return self._connection.execute(statement.values(watermark=step, last_request=None)).rowcount == 1

    def confirm_taken(self, method_id: int, at: float) -> bool:
        """See `Methods.confirm_taken`."""
        statement = update(schema.methods).where(
            _methods.id == method_id, _methods.confirmed_at.is_(None), _methods.watermark > 0
        )
        return self._confirmed(statement.values(confirmed_at=at, last_request=None))

    def _confirmed(self, values: Update) -> bool:
        confirmed = self._connection.execute(
            values.returning(_methods.id, _methods.user_id, _methods.replaces)
        ).one_or_none()
        if confirmed is not None and confirmed.replaces is not None:
            self._replace(confirmed.user_id, confirmed.replaces, confirmed.id)
        return confirmed is not None

    def spend(self, method_id: int, step: int, at: float) -> bool:
        """See `Methods.spend`."""
        statement = update(schema.methods).where(
            _methods.id == method_id, _methods.confirmed_at.is_not(None), _methods.watermark < step
        )
        values = statement.values(watermark=step, last_request=None, last_used_at=at)
        return self._connection.execute(values).rowcount == 1

    def rename(self, method_id: int, label: str) -> None:
        """See `Methods.rename`."""
        self._update(method_id, label=label)

    def make_default(self, user_id: int, method_id: int) -> None:
        """See `Methods.make_default`."""
        statement = update(schema.methods).where(_methods.user_id == user_id)
        self._connection.execute(statement.values(is_default=_methods.id == method_id))

    def recovered(self, user_id: int) -> bool:
        """See `Methods.recovered`: nothing says so but when codes and methods were used last."""
        codes = select(func.max(_codes.used_at)).where(_codes.user_id == user_id)
        methods = select(func.max(_methods.last_used_at), func.max(_methods.confirmed_at))
        with_code = self._connection.execute(codes).scalar()
        with_method = self._connection.execute(methods.where(_methods.user_id == user_id)).one()
        return with_code is not None and all(at is None or with_code > at for at in with_method)

    def revoke(self, user_id: int, method_id: int | None = None) -> int:
        """See `Methods.revoke`."""
        which = _methods.user_id == user_id if method_id is None else _methods.id == method_id
        return self._end(user_id, which)

    def _replace(self, user_id: int, replaced: int, by: int) -> None:
        """Remove what a method replaces that counts now; the old one lets nobody in any more from this commit on."""
        # All others, not the earlier ones alone: somebody with the password may have set one up in another door.
        self._end(user_id, _methods.id != by if replaced == 0 else _methods.id == replaced, default=by)

    def _end(self, user_id: int, which: ColumnElement[bool], default: int | None = None) -> int:
        """Remove methods with all that they let in, and see to a default and to backup codes for what is left."""
        recovered = self.recovered(user_id)
        gone = delete(schema.methods).where(_methods.user_id == user_id, which).returning(_methods.confirmed_at)
        removed = self._connection.execute(gone).scalars().all()
        if not recovered:
            # With a method goes when it was used last: an old backup code must not be the last use again (K4).
            BackupCodeTable(self._connection, self._keys).forget_uses(user_id)
        if any(confirmed_at is not None for confirmed_at in removed):
            end_of_all(self._connection, user_id, but=self._acting_session)
            left = [each for each in self.summaries(user_id) if each.confirmed]
            if not left:
                # Nothing that they could stand in for. Who never had a method keeps the generation 0 (K4).
                BackupCodeTable(self._connection, self._keys).replace(user_id, ())
            elif not any(each.is_default for each in left):
                self.make_default(user_id, default or left[0].id)
        return len(removed)

    def _update(self, method_id: int, **values: object) -> None:
        self._connection.execute(update(schema.methods).where(_methods.id == method_id).values(values))

    def _method(self, row: Row[Any]) -> StoredMethod:
        confirmed = row.confirmed_at is not None
        return StoredMethod(
            id=row.id,
            user_id=row.user_id,
            kind=row.kind,
            label=row.label,
            seed=self._keys.open(row.seed or b"", table="methods", column="seed", row=row.id),
            digits=row.digits,
            period=row.period,
            algorithm=Algorithm(row.algorithm),
            watermark=row.watermark,
            created_at=row.created_at,
            confirmed_at=row.confirmed_at,
            last_used_at=row.last_used_at,
            is_default=row.is_default,
            wrong_codes=row.last_request[0] if row.last_request and not confirmed else 0,
            replaces=row.replaces,
        )


def seed_digest(keys: KeyRing, seed: bytes) -> bytes:
    """Return what tells that a user has this seed already, and tells nobody the seed."""
    return keys.digest("seed", seed)


def _of_user(user_id: int) -> Select[Any]:
    return select(schema.methods).where(_methods.user_id == user_id).order_by(_methods.id)


def _summary(row: Row[Any]) -> MethodSummary:
    return MethodSummary(
        id=row.id,
        kind=row.kind,
        label=row.label,
        added=row.created_at,
        confirmed=row.confirmed_at is not None,
        last_used=row.last_used_at,
        is_default=row.is_default,
    )

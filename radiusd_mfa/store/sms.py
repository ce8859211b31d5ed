"""Phones, and the codes that are sent to them, in the database. Knows no code, only digests."""

from typing import Any, Final

from sqlalchemy import Connection, Row, func, insert, select, update

from radiusd_mfa.store import schema
from radiusd_mfa.store.inserting import insert_absent
from radiusd_mfa.usecases.outbox_ports import Channel
from radiusd_mfa.usecases.sms_ports import Phone, SentCode

_methods: Final = schema.methods.c
_codes: Final = schema.sms_codes.c
_outbox: Final = schema.outbox.c
_LOOKED_AT: Final = 5_000
"""The newest rows of the outbox that are counted: a month of them must not hold up SQLite's only writer."""


class SmsTable:
    """See `SmsCodes` of the use cases."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, user_id: int, number: str, *, label: str, at: float, replaces: int | None = None) -> int:
        """See `SmsCodes.add`."""
        values = {"user_id": user_id, "kind": "sms", "label": label, "phone": number, "created_at": at}
        statement = insert(schema.methods).values(values | {"replaces": replaces}).returning(_methods.id)
        method_id: int = self._connection.execute(statement).scalar_one()
        return method_id

    def phones(self, user_id: int) -> list[Phone]:
        """See `SmsCodes.phones`."""
        found = select(schema.methods).where(_methods.user_id == user_id, _methods.kind == "sms").order_by(_methods.id)
        return [_phone(row) for row in self._connection.execute(found)]

    def count_wrong_code(self, phone: Phone) -> None:
        """See `SmsCodes.count_wrong_code`; where authenticators count theirs."""
        self._update(phone.id, last_request=bytes((phone.wrong_codes + 1,)))

    def history(self, user_id: int) -> str:
        """See `SmsCodes.history`."""
        insert_absent(self._connection, schema.sms_codes, {"user_id": user_id})
        locked = select(_codes.history).where(_codes.user_id == user_id).with_for_update()
        history: str = self._connection.execute(locked).scalar_one()
        return history

    def sent_to(self, number: str, *, since: float) -> int:
        """See `SmsCodes.sent_to`."""
        newest = select(func.max(_outbox.id)).scalar_subquery()
        counted = select(func.count()).where(
            _outbox.id > newest - _LOOKED_AT,
            _outbox.channel == Channel.SMS.value,
            _outbox.recipient == number,
            _outbox.created_at > since,
        )
        return self._connection.execute(counted).scalar_one()

    def keep(self, user_id: int, code: SentCode, *, history: str) -> None:
        """See `SmsCodes.keep`."""
        values = {
            "method_id": code.method_id,
            "digest": code.digest,
            "sent_at": code.sent_at,
            "expires_at": code.expires_at,
            "history": history,
        }
        self._connection.execute(update(schema.sms_codes).where(_codes.user_id == user_id).values(values))

    def find(self, user_id: int) -> SentCode | None:
        """See `SmsCodes.find`."""
        columns = (_codes.method_id, _codes.digest, _codes.sent_at, _codes.expires_at)
        row = self._connection.execute(select(*columns).where(_codes.user_id == user_id)).one_or_none()
        if row is None or row.digest is None or row.method_id is None:
            return None
        return SentCode(row.method_id, bytes(row.digest), row.sent_at, row.expires_at)

    def use(self, user_id: int, digest: bytes, *, at: float) -> bool:
        """See `SmsCodes.use`."""
        statement = update(schema.sms_codes).where(
            _codes.user_id == user_id, _codes.digest == digest, _codes.expires_at > at
        )
        return self._connection.execute(statement.values(digest=None)).rowcount == 1

    def used(self, method_id: int, at: float) -> bool:
        """See `SmsCodes.used`."""
        return self._update(method_id, last_used_at=at)

    def _update(self, method_id: int, **values: object) -> bool:
        changed = self._connection.execute(update(schema.methods).where(_methods.id == method_id).values(values))
        return changed.rowcount == 1


def _phone(row: Row[Any]) -> Phone:
    confirmed = row.confirmed_at is not None
    return Phone(
        id=row.id,
        number=row.phone or "",
        label=row.label,
        confirmed=confirmed,
        is_default=row.is_default,
        wrong_codes=row.last_request[0] if row.last_request and not confirmed else 0,
        replaces=row.replaces,
        watermark=row.watermark,
    )

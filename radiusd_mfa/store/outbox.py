"""The outbox in the database: what is to be delivered, sealed, written beside the change that it tells about."""

import json
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, case, select, update

from radiusd_mfa.keys import KeyRing
from radiusd_mfa.store import schema
from radiusd_mfa.store.inserting import insert_new
from radiusd_mfa.usecases.outbox_ports import Channel, Delivery, NewDelivery, Status

_outbox: Final = schema.outbox.c
PAYLOAD: Final = {"table": "outbox", "column": "payload"}
"""What a payload is sealed for, beside its row."""


class OutboxTable:
    """See `OutboxBook` of the use cases."""

    def __init__(self, connection: Connection, keys: KeyRing) -> None:
        self._connection = connection
        self._keys = keys

    def add(self, delivery: NewDelivery) -> int | None:
        """See `OutboxBook.add`."""
        values = {
            "kind": delivery.kind,
            "channel": delivery.channel.value,
            "user_id": delivery.user_id,
            "recipient": delivery.recipient,
            "created_at": delivery.created_at,
            "due_at": delivery.created_at,
            "expires_at": delivery.expires_at,
            "source": delivery.source,
        }
        row = insert_new(self._connection, schema.outbox, values)
        if row is not None:
            # The id is part of what it is sealed for; nobody sees the row before both are done.
            sealed = self._keys.seal(json.dumps(dict(delivery.values)).encode(), row=row, **PAYLOAD)
            self._update(row, payload=sealed)
        return row

    def all(self, status: Status | None = None, *, limit: int | None = None) -> Sequence[Delivery]:
        """See `OutboxBook.all`."""
        statement = _rows().order_by(_outbox.id.desc()).limit(limit)
        if status is not None:
            statement = statement.where(_status == status.value)
        return [_delivery(row) for row in self._connection.execute(statement)]

    def find(self, delivery_id: int) -> Delivery | None:
        """See `OutboxBook.find`."""
        statement = _rows().where(_outbox.id == delivery_id).with_for_update(of=schema.outbox)
        row = self._connection.execute(statement).one_or_none()
        return None if row is None else _delivery(row)

    def retry(self, delivery_id: int, *, at: float, expires_at: float) -> None:
        """See `OutboxBook.retry`."""
        self._update(delivery_id, due_at=at, expires_at=expires_at, tries=0)

    def _update(self, row: int, **values: object) -> None:
        self._connection.execute(update(schema.outbox).where(_outbox.id == row).values(values))


_status: Final = case(
    (_outbox.sent_at.is_not(None), Status.SENT.value),
    (_outbox.due_at.is_(None), Status.GIVEN_UP.value),
    else_=Status.WAITING.value,
)


def _rows() -> Select[Any]:
    joined = schema.outbox.outerjoin(schema.users)
    return select(schema.outbox, schema.users.c.name.label("user"), _status.label("status")).select_from(joined)


def _delivery(row: Row[Any]) -> Delivery:
    return Delivery(
        id=row.id,
        kind=row.kind,
        channel=Channel(row.channel),
        user=row.user,
        recipient=row.recipient,
        status=Status(row.status),
        created_at=row.created_at,
        due_at=row.due_at,
        expires_at=row.expires_at,
        tries=row.tries,
        sent_at=row.sent_at,
        last_error=row.last_error,
        is_there=row.payload is not None,
    )

"""The outbox as those see it who deliver: rows are claimed for a while, by one worker each, on any number of nodes.

A worker that dies leaves its claim behind, and the row is another's when the claim has run out.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Row, case, delete, null, or_, select, update

from radiusd_mfa.keys import KeyProblem, KeyRing
from radiusd_mfa.store import schema
from radiusd_mfa.store.database import Database
from radiusd_mfa.store.outbox import PAYLOAD, OutboxTable
from radiusd_mfa.store.tellings import tellings
from radiusd_mfa.usecases.outbox_ports import KEPT, SECRET_KINDS, Channel, Claimed, GivenUp

_outbox: Final = schema.outbox.c


class OutboxQueue:
    """See `OutboxStore` of the use cases."""

    def __init__(self, database: Database, keys: KeyRing) -> None:
        self._database = database
        self._keys = keys

    def claim(self, channels: Collection[Channel], *, now: float, until: float) -> Claimed | None:
        """See `OutboxStore.claim`."""
        due = (
            select(_outbox.id)
            .where(
                _outbox.due_at <= now,
                _outbox.expires_at > now,
                _outbox.channel.in_([channel.value for channel in channels]),
                _unclaimed(now),
            )
            .order_by(_outbox.due_at, _outbox.id)
            .limit(1)
        )
        with self._database.reading() as connection:
            # SQLite has one writer: to look whether there is something must not keep a sign-in waiting.
            if connection.execute(due).first() is None:
                return None
        with self._database.writing() as connection:
            return self._claimed(connection, due.with_for_update(skip_locked=True).scalar_subquery(), until)

    def sent(self, claimed: Claimed, *, at: float) -> None:
        """See `OutboxStore.sent`; also where the claim has run out meanwhile, for sent is sent."""
        values = {"sent_at": at, "due_at": None, "payload": None, "claimed_until": None, "last_error": None}
        with self._database.writing() as connection:
            statement = update(schema.outbox).where(_outbox.id == claimed.id, _outbox.sent_at.is_(None))
            connection.execute(statement.values(values))

    def failed(self, claimed: Claimed, error: str, *, due_at: float) -> None:
        """See `OutboxStore.failed`; where the claim has run out, the row is another's."""
        mine = (_outbox.id == claimed.id, _outbox.claimed_until == claimed.until, _outbox.due_at.is_not(None))
        with self._database.writing() as connection:
            statement = update(schema.outbox).where(*mine)
            connection.execute(statement.values(last_error=error, due_at=due_at, claimed_until=None))

    def give_up(self, *, now: float) -> Sequence[GivenUp]:
        """See `OutboxStore.give_up`."""
        late = (_outbox.due_at.is_not(None), _outbox.expires_at <= now, _unclaimed(now))
        with self._database.reading() as connection:
            if connection.execute(select(_outbox.id).where(*late).limit(1)).first() is None:
                return ()
        kept = case((_outbox.kind.in_(sorted(SECRET_KINDS)), null()), else_=_outbox.payload)
        statement = update(schema.outbox).where(*late).values(due_at=None, claimed_until=None, payload=kept)
        columns = (_outbox.id, _outbox.kind, _outbox.recipient, _outbox.tries, _outbox.last_error)
        with self._database.writing() as connection:
            return [GivenUp(*row) for row in connection.execute(statement.returning(*columns))]

    def gather(self, *, now: float) -> int:
        """See `OutboxStore.gather`."""
        with self._database.reading() as connection:
            if not any(tellings(connection, self._keys, now=now)):
                return 0
        with self._database.writing() as connection:
            book = OutboxTable(connection, self._keys)
            # Two nodes may find the same: the source decides which of them tells it.
            return sum(book.add(each) is not None for each in tellings(connection, self._keys, now=now))

    def tidy(self, *, now: float) -> None:
        """See `OutboxStore.tidy`."""
        old = (_outbox.due_at.is_(None), _outbox.created_at < now - KEPT)
        with self._database.writing() as connection:
            connection.execute(delete(schema.outbox).where(*old))

    def _claimed(self, connection: Connection, due: Any, until: float) -> Claimed | None:  # noqa: ANN401 - a subquery
        statement = update(schema.outbox).where(_outbox.id == due)
        values = statement.values(claimed_until=until, tries=_outbox.tries + 1).returning(schema.outbox)
        row = connection.execute(values).one_or_none()
        if row is None:
            return None
        return Claimed(
            id=row.id,
            kind=row.kind,
            channel=Channel(row.channel),
            recipient=row.recipient,
            values=self._opened(row),
            created_at=row.created_at,
            expires_at=row.expires_at,
            tries=row.tries,
            until=row.claimed_until,
            message_id=self._keys.digest("message-id", str(row.id).encode()).hex(),
        )

    def _opened(self, row: Row[Any]) -> Mapping[str, object] | None:
        try:
            values = json.loads(self._keys.open(row.payload or b"", row=row.id, **PAYLOAD))
        except (KeyProblem, ValueError):
            return None
        return values if isinstance(values, dict) else None


def _unclaimed(now: float) -> Any:  # noqa: ANN401 - a condition
    return or_(_outbox.claimed_until.is_(None), _outbox.claimed_until <= now)

"""The figures that metrics tell out of the database: a few short queries, led by indexes."""

from typing import Final

from sqlalchemy import func, select

from radiusd_mfa.store import schema
from radiusd_mfa.store.database import Database
from radiusd_mfa.usecases.figures import Figures

_MOST: Final = 100_000
"""Rows that are counted at most: what a flood has left unsealed is many in any case."""
_audit: Final = schema.audit.c
_seals: Final = schema.audit_seals.c
_outbox: Final = schema.outbox.c


class FiguresReader:
    """See `FiguresStore` of the use cases; one thread's own."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def read(self, now: float) -> Figures:
        """See `FiguresStore.read`."""
        newest = select(_seals.last_id, _seals.sealed_at).order_by(_seals.id.desc()).limit(1)
        waits = select(func.count(), func.min(_outbox.created_at)).where(_outbox.due_at.is_not(None))
        lost = select(func.count()).where(_outbox.due_at.is_(None), _outbox.sent_at.is_(None))
        with self._database.reading() as connection:
            seal = connection.execute(newest).one_or_none()
            behind = select(_audit.id).where(_audit.id > (seal.last_id if seal else 0)).limit(_MOST).subquery()
            unsealed = connection.execute(select(func.count()).select_from(behind)).scalar_one()
            waiting, oldest = connection.execute(waits).one()
            given_up = connection.execute(lost.select_from(schema.outbox)).scalar_one()
        return Figures(now, seal.sealed_at if seal else None, unsealed, waiting, oldest, given_up)

    def close(self) -> None:
        """Give the connection back."""
        self._database.close()

"""The audit log in the database: appended to and read, never changed."""

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, and_, insert, or_, select

from radiusd_mfa.store import schema
from radiusd_mfa.usecases.admin_ports import AuditEntry, AuditFilter, NewAuditEntry

_CHUNK: Final = 500
"""Rows that a replay holds at once."""
_audit: Final = schema.audit.c
COLUMNS: Final = (
    _audit.id,
    _audit.at,
    _audit.kind,
    _audit.user_name,
    _audit.nas_name,
    _audit.surface,
    _audit.device,
    _audit.outcome,
    _audit.reason,
    _audit.actor,
    _audit.detail,
)


class AuditTable:
    """See `AuditLog` of the use cases."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def append(self, entry: NewAuditEntry) -> None:
        """See `AuditLog.append`."""
        values = {
            "at": entry.at,
            "kind": "change",
            "user_name": entry.user,
            "nas_name": entry.nas,
            "outcome": entry.outcome,
            "reason": entry.verb,
            "actor": entry.actor,
            "detail": json.dumps(entry.detail) if entry.detail else None,
        }
        self._connection.execute(insert(schema.audit).values(values))

    def list(self, wanted: AuditFilter) -> Sequence[AuditEntry]:
        """See `AuditLog.list`."""
        equal = {
            _audit.nas_name: wanted.nas,
            _audit.outcome: wanted.outcome,
            _audit.kind: wanted.kind,
        }
        conditions = [column == value for column, value in equal.items() if value is not None]
        if wanted.users:
            conditions.append(_audit.user_name.in_(wanted.users))
        if wanted.since is not None:
            conditions.append(_audit.at >= wanted.since)
        statement = select(*COLUMNS).where(*conditions).order_by(_audit.id.desc()).limit(wanted.limit)
        return [AuditEntry(*row) for row in self._connection.execute(statement)]

    def accepted(self, since: float, *, user: str | None, limit: int) -> Sequence[AuditEntry]:
        """See `AuditLog.accepted`; led by the index of times."""
        conditions = [_audit.kind == "sign-in", _audit.at >= since, _audit.outcome == "accept"]
        if user is not None:
            conditions.append(_audit.user_name == user)
        statement = select(*COLUMNS, _audit.facts).where(*conditions).order_by(_audit.at.desc()).limit(limit)
        return [AuditEntry(*row) for row in self._connection.execute(statement)]

    def find(self, audit_id: int) -> AuditEntry | None:
        """See `AuditLog.find`."""
        row = self._connection.execute(select(*COLUMNS, _audit.facts).where(_audit.id == audit_id)).one_or_none()
        return None if row is None else AuditEntry(*row)

    def sign_ins(self, since: float) -> Iterator[AuditEntry]:
        """See `AuditLog.sign_ins`; each chunk begins where the one before it ended, found by the index of times."""
        chunk = self._chunk(_audit.at >= since)
        while chunk:
            yield from (AuditEntry(*row) for row in chunk)
            last = chunk[-1]
            later = or_(_audit.at > last.at, _audit.id > last.id)
            chunk = self._chunk(and_(_audit.at >= last.at, later))

    def _chunk(self, where: ColumnElement[bool]) -> Sequence[Any]:
        of_sign_ins = select(*COLUMNS, _audit.facts).where(_audit.kind == "sign-in", where)
        return self._connection.execute(of_sign_ins.order_by(_audit.at, _audit.id).limit(_CHUNK)).fetchall()

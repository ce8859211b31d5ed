"""The audit log in the database: appended to and read, never changed."""

import json
from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, insert, select

from radiusd_mfa.store import schema
from radiusd_mfa.usecases.admin_ports import AuditEntry, AuditFilter, NewAuditEntry

_audit: Final = schema.audit.c


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
            _audit.user_name: wanted.user,
            _audit.nas_name: wanted.nas,
            _audit.outcome: wanted.outcome,
            _audit.kind: wanted.kind,
        }
        conditions = [column == value for column, value in equal.items() if value is not None]
        if wanted.since is not None:
            conditions.append(_audit.at >= wanted.since)
        columns = (
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
        statement = select(*columns).where(*conditions).order_by(_audit.id.desc()).limit(wanted.limit)
        return [AuditEntry(*row) for row in self._connection.execute(statement)]

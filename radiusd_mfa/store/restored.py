"""A database that was restored from a backup: nothing that was used after the backup may be used again.

What was used is not known, that part of the audit log is gone. So everything that could have been is spent.
"""

from typing import Final

from sqlalchemy import BigInteger, Connection, cast, delete, func, select, update

from radiusd_mfa.store import schema
from radiusd_mfa.store.audit_chain import IDENTITY
from radiusd_mfa.store.inserting import insert_or_replace
from radiusd_mfa.usecases.audit_ports import Voided

_methods: Final = schema.methods.c
_outbox: Final = schema.outbox.c


class RestoredDatabase:
    """See `Restored` of the use cases."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def void(self, now: float, *, keep_backup_codes: bool) -> Voided:
        """See `Restored.void`."""
        codes = 0 if keep_backup_codes else self._void_backup_codes()
        methods = self._spend_steps(now)
        links: int = self._connection.execute(delete(schema.links)).rowcount
        for table in (schema.challenges, schema.verifications, schema.portal_sessions):
            self._connection.execute(delete(table))
        self._connection.execute(update(schema.sms_codes).values(digest=None))
        return Voided(methods=methods, backup_codes=codes, links=links, deliveries=self._give_up())

    def rename(self, identity: str) -> None:
        """See `Restored.rename`."""
        insert_or_replace(self._connection, schema.meta, {"name": IDENTITY, "value": bytes.fromhex(identity)})

    def _spend_steps(self, now: float) -> int:
        """Raise watermarks to the step after this one, whose code is taken already; none is ever lowered."""
        step = cast(func.floor(now / _methods.period), BigInteger) + 1
        behind = update(schema.methods).where(_methods.kind == "totp", _methods.watermark < step)
        spent: int = self._connection.execute(behind.values(watermark=step, last_request=None)).rowcount
        return spent

    def _void_backup_codes(self) -> int:
        users = schema.users.c
        holders = select(schema.backup_codes.c.user_id).where(schema.backup_codes.c.used_at.is_(None))
        statement = update(schema.users).where(users.id.in_(holders))
        voided: int = self._connection.execute(statement.values(backup_generation=users.backup_generation + 1)).rowcount
        return voided

    def _give_up(self) -> int:
        """Deliver nothing twice: what waits here may have been delivered before the backup was restored."""
        waiting = update(schema.outbox).where(_outbox.due_at.is_not(None))
        values = {"due_at": None, "claimed_until": None, "payload": None, "last_error": "restored from a backup"}
        given_up: int = self._connection.execute(waiting.values(values)).rowcount
        return given_up

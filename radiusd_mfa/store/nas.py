"""NAS entries in the database, as administration sees them: a secret goes in and never comes out."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, delete, select, text, update
from sqlalchemy.exc import IntegrityError

from radiusd_mfa.keys import KeyRing
from radiusd_mfa.store import schema
from radiusd_mfa.store.inserting import insert_new
from radiusd_mfa.store.sightings import forget
from radiusd_mfa.usecases.admin_ports import NasRow, NasSettings

_nas: Final = schema.nas.c


class NasTable:
    """See `NasEntries` of the use cases."""

    def __init__(self, connection: Connection, keys: KeyRing) -> None:
        self._connection = connection
        self._keys = keys

    def lock(self) -> None:
        """See `NasEntries.lock`."""
        if self._connection.dialect.name == "postgresql":
            # SQLite has one writer anyway. Reading goes on, and so do the keys' checks by which sign-ins rest on rows.
            self._connection.execute(text("LOCK TABLE nas IN SHARE ROW EXCLUSIVE MODE"))

    def add(self, name: str, settings: NasSettings, secret: bytes, at: float) -> int | None:
        """See `NasEntries.add`."""
        values = {"name": name, "secret": b"", "created_at": at, **_values(settings)}
        nas_id = insert_new(self._connection, schema.nas, values)
        if nas_id is not None:
            # The id is part of what the secret is sealed for; nobody sees the row before both are done.
            self.set_secret(nas_id, secret)
        return nas_id

    def set(self, nas_id: int, settings: NasSettings) -> bool:
        """See `NasEntries.set`."""
        try:
            with self._connection.begin_nested():
                self._connection.execute(update(schema.nas).where(_nas.id == nas_id).values(_values(settings)))
        except IntegrityError:
            return False
        forget(self._connection, nas_id)
        return True

    def set_secret(self, nas_id: int, secret: bytes) -> None:
        """See `NasEntries.set_secret`."""
        forget(self._connection, nas_id)
        sealed = self._keys.seal(secret, table="nas", column="secret", row=nas_id)
        self._connection.execute(update(schema.nas).where(_nas.id == nas_id).values(secret=sealed))

    def find(self, name: str) -> NasRow | None:
        """See `NasEntries.find`."""
        row = self._connection.execute(_rows().where(_nas.name == name).with_for_update(of=schema.nas)).one_or_none()
        return None if row is None else _entry(row)

    def all(self) -> Sequence[NasRow]:
        """See `NasEntries.all`."""
        return [_entry(row) for row in self._connection.execute(_rows().order_by(_nas.name))]

    def remove(self, nas_id: int) -> None:
        """See `NasEntries.remove`; the foreign keys take challenges along, periods have none."""
        periods = schema.verifications
        self._connection.execute(delete(periods).where(periods.c.nas_id == nas_id))
        forget(self._connection, nas_id)
        self._connection.execute(delete(schema.nas).where(_nas.id == nas_id))


def _rows() -> Select[Any]:
    joined = schema.nas.outerjoin(schema.teams, schema.teams.c.id == _nas.team_id)
    return select(schema.nas, schema.teams.c.name.label("team")).select_from(joined)


def _values(settings: NasSettings) -> dict[str, Any]:
    return asdict(settings) | {"omit": ",".join(settings.omit)}


def _entry(row: Row[Any]) -> NasRow:
    settings = NasSettings(
        address=row.address,
        surface=row.surface,
        team_id=row.team_id,
        challenge=row.challenge,
        otp_only=row.otp_only,
        separators=row.separators,
        code_first=row.code_first,
        message_authenticator=row.message_authenticator,
        reply_message_authenticator=row.reply_message_authenticator,
        allow_proxy_state=row.allow_proxy_state,
        omit=tuple(filter(None, row.omit.split(","))),
        retry_grace=row.retry_grace,
        set_up=row.set_up,
        disconnect_port=row.disconnect_port,
    )
    return NasRow(row.id, row.name, settings, row.team, row.created_at)

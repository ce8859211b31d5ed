"""The NAS entries for the server: read as a whole every second, their secrets opened only when they changed."""

import logging
from ipaddress import ip_network
from secrets import token_bytes
from typing import Any, Final

from sqlalchemy import Row, select

from radiusd_mfa.core.facts import Nas
from radiusd_mfa.keys import KeyProblem, KeyRing
from radiusd_mfa.store import schema
from radiusd_mfa.store.database import Database
from radiusd_mfa.store.inserting import insert_or_replace
from radiusd_mfa.usecases.ports import NasEntry

_log: Final = logging.getLogger(__name__)
_TOUCHED: Final = "touched"
"""The row of `meta` that says nothing, but can be written."""


class NasTableReader:
    """Reads the table; an entry that can't be used is named in the log once, and its NAS stays unknown."""

    def __init__(self, database: Database, keys: KeyRing) -> None:
        self._database = database
        self._keys = keys
        self._known: dict[tuple[Any, ...], NasEntry | None] = {}

    def read(self) -> list[NasEntry]:
        """See `NasStore.read`."""
        with self._database.reading() as connection:
            rows = connection.execute(select(schema.nas)).fetchall()
        self._known = {tuple(row): self._known.get(tuple(row)) or self._entry(row) for row in rows}
        return [entry for entry in self._known.values() if entry is not None]

    def touch(self) -> None:
        """See `NasStore.touch`."""
        # A new value each time: SQLite writes nothing for one that is there already, and a full disk stays unnoticed.
        with self._database.writing() as connection:
            insert_or_replace(connection, schema.meta, {"name": _TOUCHED, "value": token_bytes(8)})

    def _entry(self, row: Row[Any]) -> NasEntry | None:
        try:
            return self._made(row)
        except (KeyProblem, TypeError, ValueError) as problem:  # SQLite keeps any word in any column
            if tuple(row) not in self._known:
                _log.error("NAS entry %s can't be used: %s", row.name, problem)
            return None

    def _made(self, row: Row[Any]) -> NasEntry:
        return NasEntry(
            nas=Nas(
                id=row.id,
                name=_word(row.name),
                surface=_word(row.surface),
                team_id=row.team_id,
                challenge=row.challenge,
                otp_only=row.otp_only,
                retry_grace=float(row.retry_grace),
                set_up=row.set_up == "dialogue",
            ),
            network=ip_network(row.address),
            secret=self._keys.open(row.secret, table="nas", column="secret", row=row.id),
            separators=_word(row.separators),
            code_first=row.code_first,
            require_message_authenticator=row.message_authenticator != "optional",
            reply_message_authenticator=row.reply_message_authenticator,
            allow_proxy_state=row.allow_proxy_state,
            omit=tuple(filter(None, _word(row.omit).split(","))),
        )


def _word(value: object) -> str:
    if isinstance(value, str):
        return value
    raise TypeError("it has octets where text belongs")

"""Brings the schema up to date and says how far it is; knows revisions and no table.

An upgrade is one transaction on both databases: killed between two statements, nothing of it is there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import sleep
from typing import Final

from sqlalchemy import Connection, inspect, text

from radiusd_mfa.store.database import Database, was_locked_out
from radiusd_mfa.usecases.ports import StoreFault

_MIGRATIONS: Final = Path(__file__).parent / "migrations"
_KNOWN: Final = ("0001", "0002", "0003", "0004", "0005", "0006", "0007")
"""The revisions in `migrations/versions`, oldest first; tests/store/test_migrations.py holds it against them."""
_TABLE: Final = "alembic_version"
_UPGRADE_LOCK: Final = 7_210_813
"""Any number that nothing else locks: two nodes that upgrade at once do it one after the other."""
PATIENCE: Final = 1.0
"""Seconds to wait for a table on PostgreSQL: whoever comes after waits behind, and sign-ins give up after 1.5 s."""
_TRIES: Final = 30
_REST: Final = 0.5
"""Seconds in which those go ahead who waited behind."""


@dataclass(frozen=True, slots=True)
class SchemaStatus:
    """The revision that the database has, and those that this program knows, oldest first."""

    current: str | None
    """None: the database has no schema of ours at all."""
    known: Sequence[str]

    @property
    def newest(self) -> str:
        """The revision that this program works with."""
        return self.known[-1]

    @property
    def is_current(self) -> bool:
        """Whether program and database fit together."""
        return self.current == self.newest

    @property
    def is_newer(self) -> bool:
        """Whether a newer program has upgraded the database: this one must leave it alone."""
        return self.current is not None and self.current not in self.known

    @property
    def pending(self) -> Sequence[str]:
        """The revisions that an upgrade would run."""
        if self.current is None or self.is_newer:
            return () if self.is_newer else self.known
        return self.known[self.known.index(self.current) + 1 :]


def schema_status(database: Database) -> SchemaStatus:
    """Read the revision of the database; raises StoreFault."""
    with database.reading() as connection:
        return _status(connection)


def upgrade(database: Database) -> SchemaStatus:
    """Run what is pending in one transaction and return what was found; a newer schema is left as it is."""
    for _ in range(_TRIES - 1):
        try:
            return _upgrade(database)
        except StoreFault as fault:
            if not was_locked_out(fault):
                raise
            sleep(_REST)
    return _upgrade(database)


def _upgrade(database: Database) -> SchemaStatus:
    with database.writing() as connection:
        if database.dialect == "postgresql":
            connection.execute(text(f"SET LOCAL lock_timeout = '{int(PATIENCE * 1000)}ms'"))
            connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _UPGRADE_LOCK})
        found = _status(connection)
        if found.pending:
            _run(connection)
        return found


def _status(connection: Connection) -> SchemaStatus:
    """Read what alembic has written, without alembic: every start asks, and importing it takes 0.1 s."""
    current = None
    if inspect(connection).has_table(_TABLE):
        current = connection.execute(text(f"SELECT version_num FROM {_TABLE}")).scalar()  # noqa: S608 - our constant
    return SchemaStatus(current, _KNOWN)


def _run(connection: Connection) -> None:
    from alembic import command  # noqa: PLC0415 - as _status says
    from alembic.config import Config  # noqa: PLC0415

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    command.upgrade(config, "head")

"""Brings the schema up to date and says how far it is; knows revisions and no table.

An upgrade is one transaction on both databases: killed between two statements, nothing of it is there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from radiusd_mfa.store.database import Database

_MIGRATIONS: Final = Path(__file__).parent / "migrations"
_UPGRADE_LOCK: Final = 7_210_813
"""Any number that nothing else locks: two nodes that upgrade at once do it one after the other."""


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
    with database.writing() as connection:
        if database.dialect == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _UPGRADE_LOCK})
        found = _status(connection)
        if found.pending:
            command.upgrade(_config(connection), "head")
        return found


def _status(connection: Connection) -> SchemaStatus:
    revisions = ScriptDirectory.from_config(_config(connection)).walk_revisions()
    known = tuple(revision.revision for revision in revisions)[::-1]
    return SchemaStatus(MigrationContext.configure(connection).get_current_revision(), known)


def _config(connection: Connection) -> Config:
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config

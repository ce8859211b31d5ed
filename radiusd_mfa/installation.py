"""What `init` and `db upgrade` make, and whether a database and a key file belong to this program and to each other.

Everything here comes before there is an `App`, and none of it serves anybody.
"""

import os
import secrets
from dataclasses import dataclass
from typing import Final

from radiusd_mfa.config import Config
from radiusd_mfa.keys import KeyRing
from radiusd_mfa.store.canary import read_canary, read_root, write_canary
from radiusd_mfa.store.database import Database, sqlite_path
from radiusd_mfa.store.figures import FiguresReader
from radiusd_mfa.store.upgrade import SchemaStatus, schema_status, upgrade
from radiusd_mfa.usecases.ports import Entropy

__all__ = [
    "ADMIN_DEADLINE",
    "FiguresReader",
    "Initialised",
    "NotReadyProblem",
    "fitting",
    "initialise",
    "open_database",
    "open_figures",
    "read_schema",
    "refuse_unfit",
    "upgrade_schema",
]

FIGURES_DEADLINE: Final = 5.0
"""Seconds for a statement of the metrics: what they count is led by indexes, and nobody waits for it."""
ADMIN_DEADLINE: Final = 60.0
"""Seconds for a statement of administration: an import of 100,000 users takes longer than any sign-in may."""


class NotReadyProblem(Exception):
    """The database is not one that this program can work with; the sentence says which command helps."""


@dataclass(frozen=True, slots=True)
class Initialised:
    """What `init` made, and what was there already."""

    state_dir_made: bool
    key_made: bool
    schema_before: SchemaStatus
    database_made: bool
    """Whether the database had no canary: nobody has used it before."""


def initialise(config: Config, *, entropy: Entropy = secrets.token_bytes) -> Initialised:
    """Make the state directory, key file, database and canary, each where it is missing; safe to repeat."""
    state_dir_made = not config.state_dir.exists()
    config.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    _make_private_file(config)
    database = Database(config.database_url, deadline=ADMIN_DEADLINE)
    try:
        before = upgrade(database)
        refuse_unfit(schema_status(database))
        with database.writing() as connection:
            canary = read_canary(connection)
            # A database that was used has a key: a new one in its place would only hide that the old one is lost.
            make_key = canary is None and not config.key_file.exists()
            keys = KeyRing.create(config.key_file, entropy=entropy) if make_key else KeyRing.load(config.key_file)
            root = read_root(connection)
            keys = keys if root is None else keys.rooted(root)
            if canary is None:
                write_canary(connection, keys.canary())
            else:
                keys.check_canary(canary)
        return Initialised(state_dir_made, make_key, before, database_made=canary is None)
    finally:
        database.close()


def open_database(config: Config, *, deadline: float = ADMIN_DEADLINE) -> Database:
    """Open the database for administration; raises NotReadyProblem where SQLite would silently make an empty one."""
    path = sqlite_path(config.database_url)
    if path is not None and not path.exists():
        raise NotReadyProblem(f"There is no database at {path}; make one with: radiusd-mfa init")
    return Database(config.database_url, deadline=deadline)


def open_figures(config: Config) -> FiguresReader:
    """Open what metrics read out of the database, on a connection of its own."""
    return FiguresReader(Database(config.database_url, deadline=FIGURES_DEADLINE))


def read_schema(config: Config) -> SchemaStatus:
    """Say how far the schema is, whether it fits or not."""
    database = open_database(config)
    try:
        return schema_status(database)
    finally:
        database.close()


def upgrade_schema(config: Config) -> SchemaStatus:
    """Bring the schema up to date and return what was found; raises NotReadyProblem for one that is newer or none."""
    found = read_schema(config)
    if found.current is None or found.is_newer:
        refuse_unfit(found)
    database = open_database(config)
    try:
        return upgrade(database)
    finally:
        database.close()


def refuse_unfit(status: SchemaStatus) -> None:
    """Raise NotReadyProblem unless the schema is the one that this program was written for."""
    if status.is_newer:
        raise NotReadyProblem(
            f"A newer radiusd-mfa has upgraded this database to schema {status.current}, this one knows "
            f"{status.newest}; install the newer program."
        )
    if status.current is None:
        raise NotReadyProblem("The database has no tables of radiusd-mfa; make them with: radiusd-mfa init")
    if not status.is_current:
        raise NotReadyProblem(
            f"The database has schema {status.current}, this program needs {status.newest}; run: radiusd-mfa db upgrade"
        )


def fitting(database: Database, keys: KeyRing) -> KeyRing:
    """Return the keys with what the database keeps of them; raises KeyProblem where they are another database's."""
    with database.reading() as connection:
        canary, root = read_canary(connection), read_root(connection)
    if canary is None:
        raise NotReadyProblem("The database was never initialised; run: radiusd-mfa init")
    keys = keys if root is None else keys.rooted(root)
    keys.check_canary(canary)
    return keys


def _make_private_file(config: Config) -> None:
    # SQLite would make it readable by all; its write-ahead log takes over the mode of the database.
    path = sqlite_path(config.database_url)
    if path is not None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            path.touch(mode=0o600)
            if os.geteuid() == 0:  # made by root for a service that is not
                owner = path.parent.stat()
                os.chown(path, owner.st_uid, owner.st_gid)

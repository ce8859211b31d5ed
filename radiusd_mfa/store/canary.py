"""What the database keeps of its keys: the canary, which tells whether a key file is its own, and the root of digests.

Knows no key.
"""

from typing import Final

from sqlalchemy import Connection, insert, select

from radiusd_mfa.store import schema
from radiusd_mfa.store.inserting import insert_absent

CANARY: Final = "key_canary"
ROOT: Final = "digest_root"


def read_canary(connection: Connection) -> bytes | None:
    """Return the sealed canary, None before `init` has written it."""
    return _read(connection, CANARY)


def write_canary(connection: Connection, sealed: bytes) -> None:
    """Keep the canary; there is one for the life of the database."""
    connection.execute(insert(schema.meta).values(name=CANARY, value=sealed))


def read_root(connection: Connection) -> bytes | None:
    """Return the sealed root of digests, None before there was a second key."""
    return _read(connection, ROOT)


def write_root(connection: Connection, sealed: bytes) -> None:
    """Keep the root of digests, unless there is one: it never changes."""
    insert_absent(connection, schema.meta, {"name": ROOT, "value": sealed})


def _read(connection: Connection, name: str) -> bytes | None:
    found = connection.execute(select(schema.meta.c.value).where(schema.meta.c.name == name)).scalar()
    return None if found is None else bytes(found)

"""The canary row: tells whether the key file is the one that this database was made with."""

from typing import Final

from sqlalchemy import Connection, insert, select

from radiusd_mfa.store import schema

_NAME: Final = "key_canary"


def read_canary(connection: Connection) -> bytes | None:
    """Return the sealed canary, None before `init` has written it."""
    found = connection.execute(select(schema.meta.c.value).where(schema.meta.c.name == _NAME)).scalar()
    return None if found is None else bytes(found)


def write_canary(connection: Connection, sealed: bytes) -> None:
    """Keep the canary; there is one for the life of the database."""
    connection.execute(insert(schema.meta).values(name=_NAME, value=sealed))

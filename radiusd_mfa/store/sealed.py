"""Which key sealed how many values: what a key is still needed for."""

from collections import Counter
from typing import Final

from sqlalchemy import Connection, select

from radiusd_mfa.keys import key_id_of
from radiusd_mfa.store import schema

_SEALED: Final = (
    schema.methods.c.seed,
    schema.nas.c.secret,
    schema.backup_codes.c.sealed,
    schema.outbox.c.payload,
    schema.portal_sessions.c.carries,
)


def sealed_by_key(connection: Connection) -> Counter[str]:
    """Count the sealed seeds, secrets, backup codes and letters by the id of their key; raises TamperedProblem."""
    counted: Counter[str] = Counter()
    for column in _SEALED:
        rows = connection.execute(select(column).where(column.is_not(None))).scalars()
        counted.update(key_id_of(bytes(sealed)) for sealed in rows)
    return counted

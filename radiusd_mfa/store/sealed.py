"""Which key sealed how many values: what a key is still needed for."""

from collections import Counter

from sqlalchemy import Connection, select

from radiusd_mfa.keys import key_id_of
from radiusd_mfa.store import schema


def sealed_by_key(connection: Connection) -> Counter[str]:
    """Count the sealed seeds, secrets and letters by the id of their key; raises TamperedProblem."""
    counted: Counter[str] = Counter()
    for column in (schema.methods.c.seed, schema.nas.c.secret, schema.outbox.c.payload):
        rows = connection.execute(select(column).where(column.is_not(None))).scalars()
        counted.update(key_id_of(bytes(sealed)) for sealed in rows)
    return counted

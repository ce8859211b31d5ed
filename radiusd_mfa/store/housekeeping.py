"""Removes rows that can't matter any more, so that no table grows by sign-ins alone, the audit log excepted."""

from typing import Final

from sqlalchemy import delete

from radiusd_mfa.store import sightings
from radiusd_mfa.store.database import Database
from radiusd_mfa.store.schema import challenges, portal_sessions, verifications

FORGOTTEN_AFTER: Final = 90 * 86_400.0
"""Seconds after which a device counts as unknown again: the addresses of clients change, and each is a row."""
_IDLE: Final = 3_600.0
"""Seconds after which nobody can come back to a session of the pages, however slow the clock of a node is."""


class Housekeeping:
    """Tidies one database; any number of nodes may do it at once."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def tidy(self, now: float) -> None:
        """Remove what has expired or was not seen for long; raises StoreFault."""
        with self._database.writing() as connection:
            connection.execute(delete(challenges).where(challenges.c.expires_at < now))
            connection.execute(delete(verifications).where(verifications.c.at < now - FORGOTTEN_AFTER))
            connection.execute(delete(portal_sessions).where(portal_sessions.c.seen_at < now - _IDLE))
            sightings.tidy(connection, now)

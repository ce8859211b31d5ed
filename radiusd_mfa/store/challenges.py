"""Challenges of set-ups in the database; those for a code are made by the statements of a sign-in."""

from dataclasses import asdict

from sqlalchemy import Connection, select

from radiusd_mfa.store import schema
from radiusd_mfa.store.inserting import insert_absent
from radiusd_mfa.usecases.set_up_ports import NewChallenge


class ChallengeTable:
    """See `Challenges` of the use cases."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def issue(self, challenge: NewChallenge) -> bool:
        """See `Challenges.issue`; a NAS entry that is being removed is gone already, and is not waited for."""
        there = select(schema.nas.c.id).where(schema.nas.c.id == challenge.nas_id)
        locked = there.with_for_update(read=True, key_share=True, skip_locked=True)
        if self._connection.execute(locked).scalar() is None:
            return False
        return insert_absent(self._connection, schema.challenges, asdict(challenge))

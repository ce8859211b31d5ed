"""What a second factor has let in, of whatever kind, and the end of all of it."""

from sqlalchemy import Connection, delete, true, update

from radiusd_mfa.store.schema import challenges, portal_sessions, verifications


def end_of_all(connection: Connection, user_id: int, *, but: int | None = None) -> None:
    """Drop a user's open challenges, running periods and sessions of the pages, `but` this one session."""
    for table in (challenges, verifications):
        connection.execute(delete(table).where(table.c.user_id == user_id))
    others = true() if but is None else portal_sessions.c.id != but
    connection.execute(delete(portal_sessions).where(portal_sessions.c.user_id == user_id, others))


def carry_over(connection: Connection, user_id: int, *, old: str, new: str) -> None:
    """Let everything that rests on a password hash rest on another one of the same password."""
    for table in (challenges, verifications, portal_sessions):
        rests = update(table).where(table.c.user_id == user_id, table.c.granted_to == old)
        connection.execute(rests.values(granted_to=new))

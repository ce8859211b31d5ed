"""The sessions of the pages in the database: what a cookie is worth is decided here, on every node alike."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Row, Select, and_, delete, func, insert, select, update

from radiusd_mfa.keys import KeyRing
from radiusd_mfa.store import schema
from radiusd_mfa.store.database import Database
from radiusd_mfa.usecases.portal_ports import NewSession, PageSession, Period, Stage

_sessions: Final = schema.portal_sessions.c
_users: Final = schema.users.c
_AT_MOST: Final = 20
"""Sessions of one user at one stage; whoever has the password could fill the table otherwise.

Of one stage: with the password alone nobody gets at the sessions of those who gave a code, not even to end them.
"""


class PageSessionTable:
    """See `PageSessions` of the use cases; safe to use from several threads."""

    def __init__(self, database: Database, keys: KeyRing) -> None:
        self._database = database
        self._keys = keys

    def open(self, session: NewSession) -> None:
        """See `PageSessions.open`."""
        alike = (_sessions.user_id == session.user_id, _sessions.stage == session.stage.value)
        newest = select(_sessions.id).where(*alike).order_by(_sessions.id.desc()).limit(_AT_MOST - 1)
        old = delete(schema.portal_sessions).where(*alike, _sessions.id.not_in(newest.scalar_subquery()))
        with self._database.writing() as connection:
            connection.execute(old)
            connection.execute(insert(schema.portal_sessions).values(_values(session)))

    def find(self, digest: bytes) -> PageSession | None:
        """See `PageSessions.find`."""
        holds = and_(
            _users.id == _sessions.user_id,
            _users.disabled.is_(False),
            func.coalesce(_users.password_hash, "") == _sessions.granted_to,
        )
        statement: Select[Any] = (
            select(*schema.portal_sessions.c, _users.name.label("user"))
            .join(schema.users, holds)
            .where(_sessions.hash == digest)
        )
        with self._database.reading() as connection:
            row = connection.execute(statement).one_or_none()
        return None if row is None else self._session(row)

    def renew(self, digest: bytes, session: NewSession) -> bool:
        """See `PageSessions.renew`: the row itself, so that whoever ends all sessions of the user ends this one too."""
        values = _values(session) | {"carries": None}
        statement = update(schema.portal_sessions).where(_sessions.hash == digest).values(values)
        with self._database.writing() as connection:
            return connection.execute(statement).rowcount == 1

    def touch(self, session_id: int, at: float) -> None:
        """See `PageSessions.touch`."""
        self._update(session_id, seen_at=at)

    def carry(self, session_id: int, what: bytes | None) -> None:
        """See `PageSessions.carry`."""
        sealed = None if what is None else self._keys.seal(what, **_place(session_id))
        self._update(session_id, carries=sealed)

    def end(self, session_id: int) -> None:
        """See `PageSessions.end`."""
        self._delete(_sessions.id == session_id)

    def periods(self, user_id: int) -> Sequence[Period]:
        """See `PageSessions.periods`."""
        of, nas, teams = schema.verifications.c, schema.nas.c, schema.teams.c
        statement = (
            select(nas.name.label("nas"), of.surface, of.device, teams.name.label("team"), of.at)
            .select_from(schema.verifications)
            .outerjoin(schema.nas, nas.id == of.nas_id)
            .outerjoin(schema.teams, teams.id == of.team_id)
            .where(of.user_id == user_id)
            .order_by(of.at.desc())
        )
        with self._database.reading() as connection:
            return [Period(*row) for row in connection.execute(statement)]

    def _session(self, row: Row[Any]) -> PageSession:
        carried = None if row.carries is None else self._keys.open(row.carries, **_place(row.id))
        return PageSession(
            id=row.id,
            user_id=row.user_id,
            user=row.user,
            stage=Stage(row.stage),
            how=row.how,
            granted_to=row.granted_to,
            device=row.device,
            created_at=row.created_at,
            seen_at=row.seen_at,
            carries=carried,
        )

    def _update(self, session_id: int, **values: object) -> None:
        with self._database.writing() as connection:
            connection.execute(update(schema.portal_sessions).where(_sessions.id == session_id).values(values))

    def _delete(self, condition: Any) -> None:  # noqa: ANN401 - an SQL condition
        with self._database.writing() as connection:
            connection.execute(delete(schema.portal_sessions).where(condition))


def _values(session: NewSession) -> dict[str, Any]:
    return {
        "hash": session.digest,
        "user_id": session.user_id,
        "stage": session.stage.value,
        "how": session.how,
        "granted_to": session.granted_to,
        "device": session.device,
        "created_at": session.began,
        "seen_at": session.at,
    }


def _place(session_id: int) -> dict[str, Any]:
    return {"table": "portal_sessions", "column": "carries", "row": session_id}

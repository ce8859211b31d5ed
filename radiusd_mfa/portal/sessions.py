"""The rules of sessions: how long they last, and that their secret is a new one at every step up.

Owns secrets and times; the cookie is `cookies`' business, the row the store's. Blocking: called in threads.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from radiusd_mfa.app import App
from radiusd_mfa.usecases.portal_ports import NewSession, PageSession, Period, Stage

IDLE: Final = 900.0
LONGEST: Final = 8 * 3_600.0
SET_UP_WITHIN: Final = 1_800.0
"""Seconds for whoever has given a password only, and has an app to install."""
_TOUCH: Final = 30.0
"""Seconds between two notes that somebody was there: not every page needs a commit."""
_OCTETS: Final = 32


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody's session, and the secret that the browser knows it by."""

    secret: bytes = field(repr=False)
    row: PageSession

    @property
    def carries(self) -> dict[str, Any]:
        """What an earlier page left for this one."""
        if self.row.carries is None:
            return {}
        carried: dict[str, Any] = json.loads(self.row.carries)
        return carried


@dataclass(frozen=True, slots=True)
class Proved:
    """Whose session it is to be, how far it goes, and what it rests on."""

    user_id: int
    stage: Stage
    how: str
    granted_to: str = field(repr=False)
    device: str


class Sessions:
    """Opens, finds and ends sessions."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._store = app.page_sessions

    def find(self, secret: bytes) -> Session | None:
        """Return the session of a cookie, unless it is over."""
        row = self._store.find(self._digest(secret))
        if row is None:
            return None
        now = self._app.clock()
        if not self._lasts(row, now):
            self._store.end(row.id)
            return None
        if now - row.seen_at > _TOUCH:
            self._store.touch(row.id, now)
        return Session(secret, row)

    def standing(self, session: Session) -> str | None:
        """Return the password hash that a session rests on by now; None where it is over, or another is set."""
        row = self._store.find(self._digest(session.secret))
        return None if row is None else row.granted_to

    def begin(self, proved: Proved, former: Session | None, carries: dict[str, Any] | None = None) -> Session:
        """Open a session with a secret of its own; the former one of this browser is over (no fixation).

        Where that one only waited for a code it runs out by itself: the form may have been sent twice, by a double
        click, and the browser shows the second answer.
        """
        if former is not None and former.row.stage is not Stage.CODE:
            self._store.end(former.row.id)
        session = self._opened(proved, self._app.clock())
        if carries:
            self.carry(session, carries)
        return session

    def renew(self, former: Session, stage: Stage, how: str | None = None) -> Session:
        """Go on under a new secret: after a step up, or after a change that ended all other sessions of the user.

        Raises SessionLost where somebody has ended this one meanwhile: whoever is thrown out by a revocation must not
        come back by a request that was under way.
        """
        row = former.row
        began = row.created_at if stage is Stage.IN else self._app.clock()
        secret, proved = self._new_secret(), Proved(row.user_id, stage, how or row.how, row.granted_to, row.device)
        if not self._store.renew(self._digest(former.secret), self._session(secret, proved, began)):
            raise SessionLost
        return self._found(secret)

    def carry(self, session: Session, what: dict[str, Any] | None) -> None:
        """Leave something for the next page, sealed, or take it away."""
        self._store.carry(session.row.id, None if what is None else json.dumps(what).encode())

    def end(self, session: Session) -> None:
        """Sign out."""
        self._store.end(session.row.id)

    def periods(self, session: Session) -> Sequence[Period]:
        """Return where this user's second factor is remembered."""
        return self._store.periods(session.row.user_id)

    def _opened(self, proved: Proved, began: float) -> Session:
        secret = self._new_secret()
        self._store.open(self._session(secret, proved, began))
        return self._found(secret)

    def _new_secret(self) -> bytes:
        return self._app.entropy(_OCTETS)

    def _session(self, secret: bytes, proved: Proved, began: float) -> NewSession:
        return NewSession(
            self._digest(secret),
            proved.user_id,
            proved.stage,
            proved.how,
            proved.granted_to,
            proved.device,
            began=began,
            at=self._app.clock(),
        )

    def _found(self, secret: bytes) -> Session:
        row = self._store.find(self._digest(secret))
        if row is None:
            raise SessionLost
        return Session(secret, row)

    def _lasts(self, row: PageSession, now: float) -> bool:
        longest = {
            Stage.CODE: self._app.config.challenge_lifetime,
            Stage.SET_UP: SET_UP_WITHIN,
            Stage.IN: LONGEST,
        }[row.stage]
        # From both sides: a session that begins in the future was made before the clock went back.
        return -_TOUCH <= now - row.created_at < longest and -_TOUCH <= now - row.seen_at < IDLE

    def _digest(self, secret: bytes) -> bytes:
        return self._app.keys.digest("page session", secret)


class SessionLost(Exception):
    """A session was over before it began, or before it could go on."""

"""Where somebody's second factor is remembered, who signed in lately, and what to do if it was not oneself."""

import time
from dataclasses import dataclass
from typing import Final

from starlette.responses import Response
from starlette.routing import Route

from radiusd_mfa.portal.pages.sign_in import refused
from radiusd_mfa.portal.proof import asks, claimed, needs_code, undecided
from radiusd_mfa.portal.routing import SIGNED_IN, get, post
from radiusd_mfa.portal.visit import Visit
from radiusd_mfa.usecases import removal
from radiusd_mfa.usecases.admin_ports import AuditEntry
from radiusd_mfa.usecases.changes import Refusal
from radiusd_mfa.usecases.own import forget, sign_ins
from radiusd_mfa.usecases.portal_ports import Stage
from radiusd_mfa.usecases.reasons import meaning

ENTRIES: Final = 20
_SINCE: Final = 30 * 86_400.0
_NOT_THE_PASSWORD: Final = Refusal("That did not work. Check the password; after several wrong ones, wait a little.")
_SURFACES: Final = {
    "vpn": "VPN",
    "network-device": "network device",
    "client-app": "client application",
    "control-panel": "control panel",
}


@dataclass(frozen=True, slots=True)
class Happened:
    """A sign-in as a person reads it."""

    at: float
    passed: bool
    said: str
    where: str
    device: str
    here: bool
    """Whether it was this browser, at this place."""


def routes() -> list[Route]:
    """Return the paths of this subject."""
    return [
        get("/activity", _show, seen_by=SIGNED_IN),
        post("/activity/forget", _forget, seen_by=SIGNED_IN),
        get("/activity/not-me", _ask, seen_by=SIGNED_IN),
        post("/activity/not-me", _not_me, seen_by=SIGNED_IN),
    ]


async def _show(visit: Visit) -> Response:
    app = visit.site.app
    since = app.clock() - _SINCE
    rows = await visit.run(sign_ins, visit.name, since=since, limit=ENTRIES, store=app.administration)
    periods = await visit.run(visit.sessions.periods, visit.who)
    return visit.render(
        "activity.html", sign_ins=[_happened(row, visit) for row in rows], periods=periods, surfaces=_SURFACES
    )


def _happened(row: AuditEntry, visit: Visit) -> Happened:
    where = "these pages" if row.nas == visit.site.door.name else f"{row.nas}, {_SURFACES.get(row.surface or '', '')}"
    return Happened(
        row.at,
        row.outcome != "reject",
        meaning(row.reason) or row.reason,
        where.rstrip(", "),
        row.device or "",
        row.device == visit.device,
    )


async def _forget(visit: Visit) -> Response:
    return await _forgotten(visit)


async def _forgotten(visit: Visit) -> Response:
    app = visit.site.app
    done = await visit.run(forget, visit.name, store=visit.books, clock=app.clock, actor=visit.person)
    visit.granted(done, back="/activity")
    visit.session = await visit.run(visit.sessions.renew, visit.who, Stage.IN)
    return visit.go("/profile?done=forgotten")


async def _ask(visit: Visit) -> Response:
    return await _not_me_page(visit, "")


async def _not_me_page(visit: Visit, problem: str, status: int = 200) -> Response:
    return visit.render("not_me.html", status, problem=problem, **await asks(visit))


async def _not_me(visit: Visit) -> Response:
    """End at once what somebody else may have: all that is signed in or remembered, and the second factor with it."""
    if visit.form.get("what") != "everything":
        return await _forgotten(visit)
    refusal = await _unsure(visit)
    if refusal is not None:
        return await _not_me_page(visit, refusal.sentence, 422)
    app = visit.site.app
    done = await visit.run(removal.revoke, visit.name, store=visit.books, clock=app.clock, actor=visit.person)
    visit.granted(done, back="/activity")
    # Whoever sits here sets a new one up at once, before somebody else does who has the password.
    visit.session = await visit.run(visit.sessions.renew, visit.who, Stage.SET_UP)
    return visit.go("/set-up")


async def _unsure(visit: Visit) -> Refusal | None:
    """Say what is missing before a second factor gives way to another one: what this session has not shown so far.

    No code of the method itself, as X1 asks for, since its phone may be gone. Whoever came in with the password alone
    would otherwise need nothing but it to put another authenticator in the place of the owner's.
    """
    if needs_code(visit):
        return await undecided(visit)
    began = time.monotonic()
    if isinstance(await claimed(visit), Refusal):
        await refused(visit, began, "a password")
        return _NOT_THE_PASSWORD
    return None

"""Sign in and out: user name and password on one page, the code on the next."""

import asyncio
import logging
import time
from typing import Any, Final

from starlette.responses import Response
from starlette.routing import Route

from radiusd_mfa.core.facts import MethodKind
from radiusd_mfa.core.names import escaped, prepare_password
from radiusd_mfa.core.verdict import Reason
from radiusd_mfa.portal.routing import ANYBODY, NOBODY, get, home, post
from radiusd_mfa.portal.sessions import Proved
from radiusd_mfa.portal.visit import Visit
from radiusd_mfa.usecases import entering
from radiusd_mfa.usecases.changes import Refusal
from radiusd_mfa.usecases.entering import Entered, Next, Place
from radiusd_mfa.usecases.own import own
from radiusd_mfa.usecases.portal_ports import Stage
from radiusd_mfa.usecases.renewing import Renewal

_log: Final = logging.getLogger(__name__)
_STAGES: Final = {Next.IN: Stage.IN, Next.CODE: Stage.CODE, Next.SET_UP: Stage.SET_UP}
_CODE: Final = frozenset((Stage.CODE,))
_LONGEST_NAME: Final = 256
_APART: Final = frozenset(("token", "password", "code"))
"""Fields of a form that are looked at by themselves: whose session it is, and what is typed."""


def routes() -> list[Route]:
    """Return the paths of this subject."""
    return [
        get("/", _home, seen_by=ANYBODY),
        get("/sign-in", _ask_password, seen_by=NOBODY),
        post("/sign-in", _take_password, seen_by=NOBODY),
        get("/sign-in/code", _ask_code, seen_by=_CODE),
        post("/sign-in/code", _take_code, seen_by=_CODE),
        post("/sign-out", _sign_out, seen_by=ANYBODY),
    ]


async def refused(visit: Visit, began: float, what: str) -> None:
    """Let a refusal take as long as every other, and write down from where it came."""
    _log.warning("%s was refused to %s", what, escaped(visit.address))
    await asyncio.sleep(max(0.0, began + visit.site.app.config.reject_delay - time.monotonic()))


def place(visit: Visit) -> Place:
    """Return where something is typed: this browser, and this very form of it, for what it does."""
    # All that is asked for: the same code in a form that says something else is another request.
    said = sorted((name, value) for name, value in visit.form.items() if name not in _APART)
    return Place(visit.device, visit.browser + f"{visit.request.url.path} {said!r}".encode(errors="replace"))


async def _home(visit: Visit) -> Response:
    return visit.go(home(visit))


async def _ask_password(visit: Visit) -> Response:
    return visit.render("sign_in.html", name="", problem="")


async def _take_password(visit: Visit) -> Response:
    began = time.monotonic()
    name, password = visit.form.get("name", "")[:_LONGEST_NAME], visit.form.get("password", "").encode()
    entered = await visit.hash(
        entering.enter,
        name,
        password,
        place(visit),
        door=visit.site.door,
        store=visit.site.app.administration,
    )
    if isinstance(entered, Refusal):
        await refused(visit, began, "a sign-in")
        return visit.render("sign_in.html", 403, name=name, problem=entered.sentence)
    response = await begin(visit, entered)
    # After the session is there, so that it is carried over.
    _renew(visit, entered, password)
    return response


def _renew(visit: Visit, entered: Entered, password: bytes) -> None:
    """Have an old hash renewed while nobody waits for hashes; the page does not wait for it."""
    renewing = visit.site.app.renewing
    if renewing is not None and renewing.upgrades.is_old(entered.granted_to):
        renewal = Renewal(entered.user_id, entered.user, prepare_password(password), entered.granted_to)
        visit.site.workers.spare(renewing.renew, renewal)


async def begin(visit: Visit, entered: Entered) -> Response:
    """Open a session for somebody who has proved something, with a secret that nobody has seen before."""
    stage = _STAGES[entered.next]
    proved = Proved(entered.user_id, stage, entered.how.value, entered.granted_to, visit.device)
    carries: dict[str, Any] = {"enrol_by": entered.enrol_by} if entered.enrol_by else {}
    if entered.texted is not None:
        carries["texted"] = entered.texted.sentence
    visit.session = await visit.run(visit.sessions.begin, proved, visit.session, carries)
    return visit.go(home(visit))


async def _ask_code(visit: Visit) -> Response:
    return await code_page(visit, "")


async def code_page(visit: Visit, problem: str, *, said: str = "", status: int = 200) -> Response:
    """Return the page that asks for the code, with a button that sends one where there is a phone."""
    texted = visit.who.carries.get("texted", "")
    return visit.render("code.html", status, problem=problem, said=said or texted, has_phone=await has_phone(visit))


async def has_phone(visit: Visit) -> bool:
    """Whether a code can be sent to whoever this is."""
    found = await visit.run(own, visit.name, store=visit.site.app.administration)
    return not isinstance(found, Refusal) and any(method.kind == MethodKind.SMS for method in found.methods)


async def _take_code(visit: Visit) -> Response:
    began = time.monotonic()
    row = visit.who.row
    claimed = Entered(row.user_id, row.user, row.granted_to, Next.CODE, Reason.CODE_DUE)
    code = visit.form.get("code", "").encode()
    entered = await visit.hash(
        entering.enter_code, claimed, code, place(visit), door=visit.site.door, standing=visit.standing
    )
    if isinstance(entered, Refusal):
        await refused(visit, began, "a code")
        return await code_page(visit, entered.sentence, status=403)
    return await begin(visit, entered)


async def _sign_out(visit: Visit) -> Response:
    if visit.session is not None:
        await visit.run(visit.sessions.end, visit.session)
    visit.session = None
    return visit.go("/sign-in")

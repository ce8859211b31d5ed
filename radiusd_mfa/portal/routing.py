"""From a path to a page: who may see it, and that no form is taken that was not given to this browser.

Every page is reached through `get` or `post`, so none can forget it. Knows no subject.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from radiusd_mfa.app import FAULTS, UNUSABLE
from radiusd_mfa.portal.sessions import SessionLost
from radiusd_mfa.portal.visit import Answered, Visit
from radiusd_mfa.portal.workers import Busy
from radiusd_mfa.usecases.portal_ports import Stage

_log: Final = logging.getLogger(__name__)
Page = Callable[[Visit], Awaitable[Response]]
ANYBODY: Final = frozenset((None, *Stage))
NOBODY: Final = frozenset((None,))
SIGNED_IN: Final = frozenset((Stage.IN,))
MAY_SET_UP: Final = frozenset((Stage.IN, Stage.SET_UP))
_HOME: Final = {None: "/sign-in", Stage.CODE: "/sign-in/code", Stage.SET_UP: "/set-up", Stage.IN: "/profile"}
_FORM_WITHIN: Final = 10.0
"""Seconds in which a form must have come."""
_FORM: Final = "application/x-www-form-urlencoded"
# Fetch Metadata: a form of ours is sent by a page of ours, or by a browser that says nothing.
_ONCE_MORE: Final = "again"
_OURS: Final = (None, "same-origin")


def get(path: str, page: Page, *, seen_by: frozenset[Stage | None]) -> Route:
    """Answer a path with a page that is looked at; it changes nothing."""

    async def answer(visit: Visit) -> Response:
        if _is_led_here(visit.request):
            # Without the cookies, which stay with the browser then (SameSite=Strict): ask once more, from here.
            return visit.bare("arrival.html", path=f"{visit.site.place.base}{visit.request.url.path}?{_ONCE_MORE}")
        return _elsewhere(visit, seen_by) or await page(visit)

    return Route(path, _served(answer), methods=["GET"])


def post(path: str, page: Page, *, seen_by: frozenset[Stage | None]) -> Route:
    """Answer a path to which a form is sent."""

    async def answer(visit: Visit) -> Response:
        if not _is_form_of_ours(visit.request, visit):
            return _foreign(visit)
        async with asyncio.timeout(_FORM_WITHIN):
            await visit.read_form()
        if not visit.token_holds:
            return _foreign(visit)
        return _elsewhere(visit, seen_by) or await page(visit)

    return Route(path, _served(answer), methods=["POST"])


def home(visit: Visit) -> str:
    """Return where somebody belongs."""
    return _HOME[visit.session.row.stage if visit.session else None]


def _elsewhere(visit: Visit, seen_by: frozenset[Stage | None]) -> Response | None:
    stage = visit.session.row.stage if visit.session else None
    return None if stage in seen_by else visit.go(home(visit))


def _is_form_of_ours(request: Request, visit: Visit) -> bool:
    headers = request.headers
    origin = headers.get("origin")
    return (
        headers.get("content-type", "").partition(";")[0].strip().lower() == _FORM
        and headers.get("sec-fetch-site") in _OURS
        and (origin is None or origin in visit.site.place.origins)
    )


def _is_led_here(request: Request) -> bool:
    """Whether another site has led the browser here, and not been asked to come once more."""
    return request.headers.get("sec-fetch-site") == "cross-site" and request.url.query != _ONCE_MORE


def _foreign(visit: Visit) -> Response:
    sentence = "This form is not one of this session any more, or was sent twice. Please look at what is there now."
    # Sets no cookie: the answer to the first of two may just have brought a new one.
    return visit.bare("message.html", 403, title="Please begin again", sentence=sentence, back="/")


def _served(answer: Page) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        try:
            visit = await Visit.of(request)
            try:
                return await answer(visit)
            except Answered as answered:
                return answered.response
            except SessionLost:
                visit.session = None
                return visit.go("/sign-in")
        except Busy:
            return PlainTextResponse("There is too much to do. Please try again.", 503, {"Retry-After": "5"})
        except (TimeoutError, ClientDisconnect):
            return PlainTextResponse("That took too long.", 408)
        except (*FAULTS, *UNUSABLE) as fault:
            _log.error("a page was not served: %s", fault)
            return PlainTextResponse("Something is wrong here. Nothing was done; please try again later.", 503)

    return endpoint

"""The pages as one ASGI application: an App and where it is reached in, requests answered."""

from importlib.resources import files
from pathlib import Path
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Scope

from radiusd_mfa.portal.pages import activity, phones, policy, profile, reset, set_up, sign_in, teams
from radiusd_mfa.portal.protection import Protection, TooLarge, too_much
from radiusd_mfa.portal.site import Site
from radiusd_mfa.portal.templating import environment

_STATIC: Final = Path(str(files("radiusd_mfa.portal") / "static"))
SUBJECTS: Final = (sign_in, set_up, phones, reset, profile, activity, teams, policy)
_AN_HOUR: Final = "public, max-age=3600"


def portal(site: Site) -> ASGIApp:
    """Return the application."""
    routes = [route for subject in SUBJECTS for route in subject.routes()]
    routes.append(Mount("/static", _Static(directory=_STATIC)))
    return Protection(
        Starlette(routes=routes, exception_handlers={HTTPException: _nothing_there, TooLarge: _too_much}), site
    )


class _Static(StaticFiles):
    """The stylesheet and the script: the only things that a browser may keep."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = _AN_HOUR
        return response


async def _too_much(_request: Request, _problem: Exception) -> Response:
    return too_much()


async def _nothing_there(request: Request, problem: Exception) -> Response:
    status = problem.status_code if isinstance(problem, HTTPException) else 500
    site: Site = request.state.site
    text = (
        environment()
        .get_template("message.html")
        .render(
            base=site.place.base,
            issuer=site.app.config.issuer,
            token="",
            user=None,
            stage="",
            title="There is nothing here",
            sentence="Perhaps the address is not spelled right.",
            back="/",
        )
    )
    headers = problem.headers if isinstance(problem, HTTPException) else None
    return HTMLResponse(text, status, headers=headers)

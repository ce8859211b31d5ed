"""The two cookies: which browser it is, and which session; names, flags and spelling.

`__Host-` binds a cookie to this host and to TLS. Without TLS, which is for this machine alone, browsers refuse that
prefix, so the names go without it.
"""

import base64
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

SESSION: Final = "session"
BROWSER: Final = "browser"
_YEAR: Final = 31_536_000
_LENGTHS: Final = {SESSION: 32, BROWSER: 16}


def read(request: Request, name: str, *, secure: bool) -> bytes | None:
    """Return the octets of a cookie, None for none or anything that was not made here."""
    text = request.cookies.get(_spelled(name, secure=secure), "")
    try:
        octets = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        return None
    return octets if len(octets) == _LENGTHS[name] else None


def write(response: Response, name: str, octets: bytes | None, *, secure: bool) -> None:
    """Set a cookie, or take it away; scripts never see it, other sites never send it."""
    response.set_cookie(
        _spelled(name, secure=secure),
        base64.urlsafe_b64encode(octets).decode().rstrip("=") if octets else "",
        max_age=0 if octets is None else _YEAR if name == BROWSER else None,
        path="/",
        secure=secure,
        httponly=True,
        samesite="strict",
    )


def _spelled(name: str, *, secure: bool) -> str:
    return f"__Host-{name}" if secure else name

"""What holds for every request and every reply, whatever the page and whatever the method.

Owns the limits, the check of Host, where a request comes from, and the headers of all replies. Knows no page.
"""

import ipaddress
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from radiusd_mfa.portal.site import Site

MOST_OCTETS: Final = 16_384
"""Octets of a body: the longest form is a policy of a few lines."""
MOST_PATH: Final = 512
MOST_HEAD: Final = 16_384
"""Octets of all headers together: two cookies of ours, and what proxies add."""
_POLICY: Final = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: Final = {
    "Content-Security-Policy": _POLICY,
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    # Not no-referrer: browsers would send forms with `Origin: null` then, and there would be nothing to check.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
    "Cache-Control": "no-store",
    "X-Robots-Tag": "noindex, nofollow",
}
_TRANSPORT: Final = "max-age=31536000"


def too_much() -> PlainTextResponse:
    """Refuse what is larger than any form."""
    return PlainTextResponse("That is too much.", 413)


class TooLarge(Exception):
    """More was sent than any form has."""


class Protection:
    """The outermost layer: refuses what no page should see, and says to browsers what they must not do."""

    def __init__(self, app: ASGIApp, site: Site) -> None:
        self._app = app
        self._site = site

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        reply = _Reply(send, secure=self._site.place.secure)
        headers = Headers(scope=scope)
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            await refusal(scope, receive, reply)
            return
        scope["state"] = {"site": self._site, "address": client_address(scope, headers, self._site.proxies)}
        self._strip_base(scope)
        await self._app(scope, _bounded(receive), reply)

    def _refusal(self, scope: Scope, headers: Headers) -> PlainTextResponse | None:
        # Not a word of what was sent: it is shown to whoever was led here.
        hosts = headers.getlist("host")
        if len(hosts) != 1 or hosts[0].lower() not in self._site.place.hosts:
            return PlainTextResponse(f"The pages are at {self._site.place.url}", 421)
        length = headers.get("content-length", "0")
        if not length.isdigit() or len(length) > 9 or int(length) > MOST_OCTETS:  # noqa: PLR2004 - digits
            return too_much()
        if len(scope["raw_path"] or b"") > MOST_PATH or len(scope["query_string"]) > MOST_PATH:
            return PlainTextResponse("That is too long.", 414)
        if sum(len(name) + len(value) for name, value in scope["headers"]) > MOST_HEAD:
            return PlainTextResponse("That is too long.", 431)
        return None

    def _strip_base(self, scope: Scope) -> None:
        base = self._site.place.base
        if base and scope["path"].startswith(f"{base}/"):
            scope["path"] = scope["path"].removeprefix(base)


class _Reply:
    """Adds the headers that every reply has."""

    def __init__(self, send: Send, *, secure: bool) -> None:
        self._send = send
        self._secure = secure

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            if self._secure:
                headers["Strict-Transport-Security"] = _TRANSPORT
        await self._send(message)


def _bounded(receive: Receive) -> Receive:
    """Count what comes, for a body may have no Content-Length, or a wrong one."""
    taken = 0

    async def counted() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > MOST_OCTETS:
            raise TooLarge
        return message

    return counted


def client_address(scope: Scope, headers: Headers, proxies: Sequence[IPv4Network | IPv6Network]) -> str:
    """Return who asks: the nearest address that is no proxy of ours, and nobody's claim beyond that."""
    client = scope.get("client")
    address = str(client[0]) if client else ""
    hops = [hop.strip() for value in headers.getlist("x-forwarded-for") for hop in value.split(",")]
    # From the right: what a proxy of ours has seen stands last, what somebody made up stands before it.
    for hop in reversed(hops):
        if not _within(address, proxies) or not _is_address(hop):
            break
        address = hop
    return str(ipaddress.ip_address(address)) if _is_address(address) else address[:64]


def _within(address: str, networks: Sequence[IPv4Network | IPv6Network]) -> bool:
    return _is_address(address) and any(ipaddress.ip_address(address) in network for network in networks)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text

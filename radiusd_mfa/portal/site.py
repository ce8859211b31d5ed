"""What all pages share: the App, where the pages are reached, and whose word about an address counts.

Owns the origin: links, cookies and the check of every request follow from it, never from a request's Host.
"""

import ipaddress
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from typing import Final
from urllib.parse import urlsplit

from radiusd_mfa.app import App
from radiusd_mfa.config import Endpoint
from radiusd_mfa.portal.workers import Workers
from radiusd_mfa.usecases.acting import Door

NAME: Final = "pages"
"""As which NAS the pages sign people in."""


class PortalProblem(Exception):
    """The pages can't be served like this; the sentence says what to set."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the pages are reached from outside."""

    scheme: str
    hosts: frozenset[str]
    """What a request may have as its Host."""
    base: str
    """The path below which the pages are, without the slash at its end."""
    url: str

    @property
    def secure(self) -> bool:
        """Whether browsers come by TLS."""
        return self.scheme == "https"

    @property
    def origins(self) -> frozenset[str]:
        """What a form may have as its Origin."""
        return frozenset(f"{self.scheme}://{host}" for host in self.hosts)


@dataclass(frozen=True)
class Site:
    """What the pages are made of."""

    app: App
    place: Place
    door: Door
    workers: Workers = field(repr=False)
    proxies: tuple[IPv4Network | IPv6Network, ...]


def site(app: App, listen: Endpoint, *, tls: bool) -> Site:
    """Put together what the pages share; raises PortalProblem."""
    workers = Workers(app.config.hash_threads, app.leave)
    return Site(app, place(app.config.portal_url, listen, tls=tls), app.door(NAME), workers, app.config.trusted_proxies)


def place(url: str | None, listen: Endpoint, *, tls: bool) -> Place:
    """Say where the pages are reached; without an address of their own only on this machine. Raises PortalProblem."""
    if url is None:
        return _on_this_machine(listen, tls=tls)
    parts = urlsplit(url)
    if parts.scheme == "http" and not _is_loopback(parts.hostname or ""):
        raise PortalProblem(
            f"portal_url is {url}: passwords would go over the network in clear. Make it https://, with "
            "tls_certificate and tls_key or with a proxy that does TLS before the pages."
        )
    host = parts.netloc.lower()
    return Place(parts.scheme, _spellings(host, parts.scheme), parts.path.rstrip("/"), url.rstrip("/"))


def _on_this_machine(listen: Endpoint, *, tls: bool) -> Place:
    if not _is_loopback(listen.host):
        raise PortalProblem(
            f"portal_url is not set, and without it nobody but this machine may come: {listen} is for others. "
            "Set portal_url to the address that people type."
        )
    scheme = "https" if tls else "http"
    names = {str(listen), f"localhost:{listen.port}"}
    spelled = frozenset().union(*(_spellings(name, scheme) for name in names))
    return Place(scheme, spelled, "", f"{scheme}://{listen}")


def _spellings(host: str, scheme: str) -> frozenset[str]:
    """Return a host as browsers send it: without the port that the scheme has anyway."""
    usual = ":443" if scheme == "https" else ":80"
    bare = host.removesuffix(usual)
    has_port = ":" in bare.rpartition("]")[2] if "]" in bare else ":" in bare
    return frozenset({bare}) if has_port else frozenset({bare, bare + usual})


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"

"""What the settings of the pages may be: where they listen, whose word about an address counts, their certificate.

Owns shapes and what contradicts what. Opens no file and no socket.
"""

import ipaddress
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network
from typing import Any

from radiusd_mfa.config_values import Endpoint, Raw


def networks(raw: Raw) -> tuple[IPv4Network | IPv6Network, ...]:
    """Read a list of addresses and ranges."""
    written = raw.value
    if isinstance(written, str) and raw.spelled:
        written = [part.strip() for part in written.split(",") if part.strip()]
    if not isinstance(written, list) or not all(isinstance(text, str) for text in written):
        raise ValueError('must be a list like ["127.0.0.1", "192.0.2.0/28"]; in the environment, separated by commas')
    return tuple(_network(text) for text in written)


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        raise ValueError(f"{text!r} is no address or range such as 127.0.0.1 or 192.0.2.0/28") from None


def fill_defaults(values: dict[str, Any]) -> None:
    """Complete the settings of the pages."""
    values.setdefault("portal_listen", Endpoint("127.0.0.1", 8080))
    values.setdefault("trusted_proxies", ())
    values.setdefault("tls_certificate", None)
    values.setdefault("tls_key", None)


def contradictions(values: Mapping[str, Any]) -> list[str]:
    """Say what can't hold together."""
    if (values["tls_certificate"] is None) == (values["tls_key"] is None):
        return []
    missing = "tls_key" if values["tls_key"] is None else "tls_certificate"
    return [f"{missing} is missing: the pages need certificate and key, or neither of them behind a proxy"]

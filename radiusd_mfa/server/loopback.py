"""From which addresses of this machine a server on it can be asked, and where one that listens everywhere is found."""

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final

from radiusd_mfa.config import Endpoint

_LOOPBACK: Final = IPv4Network("127.0.0.0/8")
_FIRST: Final = IPv4Address("127.0.0.1"), IPv6Address("::1")
_ANY: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - recognised, not bound


def loopback_in(network: IPv4Network | IPv6Network) -> Iterator[str]:
    """Yield the loopback addresses of a range, the usual one first."""
    yield from (str(address) for address in _FIRST if address in network)
    if isinstance(network, IPv4Network) and network.overlaps(_LOOPBACK):
        inside = network if network.subnet_of(_LOOPBACK) else _LOOPBACK
        yield from (str(address) for address in inside.hosts() if address not in _FIRST)


def from_here(listening: Endpoint) -> Endpoint:
    """Return where a server that listens there is asked on the same machine."""
    return replace(listening, host=_ANY.get(listening.host, listening.host))

"""Asks each configured address whether a server lives there: with Status-Server, as a NAS that the database knows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address
from itertools import islice
from typing import Final

from radiusd_mfa.config import Endpoint
from radiusd_mfa.diagnosis.facts import Answer, Asked
from radiusd_mfa.server.client import Client, ClientProblem, Silence
from radiusd_mfa.server.loopback import from_here, loopback_in

PATIENCE: Final = 2.5
"""Seconds after which no answer is one; a server that is well answers within a few milliseconds."""
_SOURCES: Final = 8
"""Loopback addresses of a range that are looked at: another entry may own the first ones."""
_ANSWERS: Final = {
    Silence.NOBODY_LISTENS: Answer.NOBODY,
    Silence.NOT_GENUINE: Answer.NOT_GENUINE,
    Silence.NO_REPLY: Answer.SILENT,
}


@dataclass(frozen=True, slots=True)
class Door:
    """A NAS entry as far as it takes to ask in its name."""

    network: IPv4Network | IPv6Network
    secret: bytes = field(repr=False)
    expects_signed: bool = True


def ask(listening: Endpoint, doors: Sequence[Door], *, patience: float = PATIENCE) -> Asked:
    """Ask at a configured address; raises ClientProblem where nothing can be sent there."""
    target = from_here(listening)
    for source in _sources(target, doors):
        door = _door(source, doors)
        if door is not None:
            return Asked(str(target), _answer(target, source, door, patience))
    return Asked(str(target), Answer.NOT_ASKED)


def _answer(target: Endpoint, source: str, door: Door, patience: float) -> Answer:
    with Client(target, source=source, secret=door.secret, expects_signed=door.expects_signed) as client:
        reply = client.status(patience=patience)
    return _ANSWERS[reply] if isinstance(reply, Silence) else Answer.ALIVE


def _sources(target: Endpoint, doors: Sequence[Door]) -> Iterator[str]:
    yield target.host  # the machine's own address, if it is one
    version = ip_address(target.host).version
    for door in doors:
        if door.network.version == version:
            yield from islice(loopback_in(door.network), _SOURCES)


def _door(source: str, doors: Sequence[Door]) -> Door | None:
    """Return whose a packet from there is: the longest prefix wins (R8)."""
    address = ip_address(source)
    covering = [door for door in doors if address in door.network]
    return max(covering, key=lambda door: door.network.prefixlen, default=None)


__all__ = ["PATIENCE", "ClientProblem", "Door", "ask"]

"""Sockets that were bound by who started us, and stay open while we are away (sd_listen_fds(3)).

Owns what such a socket must be. All complaints come at once, each with what to write into the socket unit.
"""

import os
import socket
from collections.abc import MutableMapping, Sequence
from typing import Final

_FIRST: Final = 3
"""sd-daemon.h: SD_LISTEN_FDS_START."""
_MOST_DIGITS: Final = 4
_KINDS: Final = {socket.SOCK_DGRAM: "ListenDatagram", socket.SOCK_STREAM: "ListenStream"}


class HandedProblem(Exception):
    """What was handed over can't be used; `problems` holds a sentence for each reason."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def handed(kind: socket.SocketKind, environ: MutableMapping[str, str] = os.environ) -> list[socket.socket]:
    """Take the sockets that systemd hands over, in the order of the unit; none where it hands over nothing.

    `kind` is SOCK_DGRAM for RADIUS or SOCK_STREAM for the pages, both over IPv4 or IPv6. Raises HandedProblem.
    """
    pid, number = environ.pop("LISTEN_PID", ""), environ.pop("LISTEN_FDS", "")
    names = environ.pop("LISTEN_FDNAMES", "").split(":")
    if pid != str(os.getpid()) or not number:
        return []  # they were for a process before this one
    if not (number.isascii() and number.isdigit() and len(number) <= _MOST_DIGITS):
        raise HandedProblem((f"LISTEN_FDS in the environment is {number!r:.40}, which is no number of sockets",))
    problems: list[str] = []
    sockets: list[socket.socket] = []
    for place in range(int(number)):
        shown = f"descriptor {_FIRST + place}" + (f" ({names[place]})" if place < len(names) and names[place] else "")
        found = _socket(_FIRST + place)
        if isinstance(found, str):
            problems.append(
                f"{shown}, handed over by systemd, is {found}; the unit is to have {_KINDS[kind]}=ADDR:PORT"
            )
            continue
        sockets.append(found)
        if complaint := _complaint(found, kind):
            problems.append(f"{shown}, handed over by systemd, {complaint}")
    if problems:
        for one in sockets:
            one.close()
        raise HandedProblem(tuple(problems))
    for one in sockets:
        one.setblocking(False)
    return sockets


def _socket(descriptor: int) -> socket.socket | str:
    """Return the socket, or what it is instead."""
    try:
        os.set_inheritable(descriptor, False)
        return socket.socket(fileno=descriptor)
    except OSError as error:
        return f"no socket ({error.strerror})"


def _complaint(one: socket.socket, kind: socket.SocketKind) -> str | None:
    wanted = _KINDS[kind]
    if one.family not in (socket.AF_INET, socket.AF_INET6):
        return f"is a socket of the family {one.family.name}; the unit is to have {wanted}=ADDR:PORT"
    if one.type != kind:
        has = _KINDS.get(one.type, one.type.name)
        return f"is a {has} socket; the unit is to have {wanted}=ADDR:PORT"
    if kind == socket.SOCK_STREAM and not one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        return "is one connection; the unit is to have Accept=no"
    # An IPv4 client would come as ::ffff:192.0.2.1, which is no NAS entry's address and no proxy's.
    if one.family == socket.AF_INET6 and not one.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY):
        host = one.getsockname()[0]
        if host == "::" or host.startswith("::ffff:"):
            return f"takes IPv4 on {host} too; the unit is to have BindIPv6Only=ipv6-only, and {wanted}=0.0.0.0:PORT"
    return None


def by_address(sockets: Sequence[socket.socket]) -> list[list[socket.socket]]:
    """Gather those that share an address, in their order."""
    gathered: dict[tuple[object, ...], list[socket.socket]] = {}
    for one in sockets:
        gathered.setdefault((one.family, *one.getsockname()), []).append(one)
    return list(gathered.values())

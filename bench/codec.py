"""What one exchange costs in the codec, ours against pyrad: decode, Message-Authenticator, password, reply.

Both answer the same request with the same octets, which is checked first. Prints microseconds, each the
median over the rounds; a round times both, one after the other, and takes the best of three runs of each.
"""

import argparse
import io
import json
import os
import platform
import statistics
import sys
import timeit
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

from pyrad.dictionary import Dictionary
from pyrad.packet import AuthPacket

from radiusd_mfa.radius.client import encode_request
from radiusd_mfa.radius.packet import AccessRequest, NasRules, authenticate, encode_reply, read_request
from radiusd_mfa.radius.wire import (
    Code,
    PacketError,
    attribute,
    parse,
    reply_message,
    session_timeout,
    termination_action,
)

BAR = 6.0
SECRET = b"a secret of 24 octets..."
AUTHENTICATOR = bytes(range(16))
RULES = NasRules(secret=SECRET)
DICTIONARY = """
ATTRIBUTE User-Name 1 string
ATTRIBUTE User-Password 2 string encrypt=1
ATTRIBUTE NAS-IP-Address 4 ipaddr
ATTRIBUTE NAS-Port 5 integer
ATTRIBUTE Service-Type 6 integer
ATTRIBUTE Framed-IP-Address 8 ipaddr
ATTRIBUTE Reply-Message 18 string
ATTRIBUTE Termination-Action 29 integer
ATTRIBUTE Filter-Id 11 string
ATTRIBUTE Class 25 octets
ATTRIBUTE Session-Timeout 27 integer
ATTRIBUTE State 24 octets
ATTRIBUTE Called-Station-Id 30 string
ATTRIBUTE Calling-Station-Id 31 string
ATTRIBUTE NAS-Identifier 32 string
ATTRIBUTE Proxy-State 33 octets
ATTRIBUTE Acct-Session-Id 44 string
ATTRIBUTE NAS-Port-Type 61 integer
ATTRIBUTE Message-Authenticator 80 octets
"""
# What read_request reads beside the password.
READ = ("User-Name", "State", "Service-Type", "Calling-Station-Id", "NAS-Identifier", "Acct-Session-Id", "Proxy-State")
NAMES = Dictionary(io.StringIO(DICTIONARY))
REQUEST = encode_request(
    code=Code.ACCESS_REQUEST,
    identifier=7,
    authenticator=AUTHENTICATOR,
    secret=SECRET,
    password=b"correct horse 492039",
    attributes=[
        (1, b"alice@example.org"),
        (4, bytes((192, 0, 2, 1))),
        (5, (7).to_bytes(4)),
        (6, (1).to_bytes(4)),
        (30, b"203.0.113.5"),
        (31, b"198.51.100.23"),
        (32, b"vpn-1"),
        (44, b"5FD2A3C19B7E0001"),
        (61, (5).to_bytes(4)),
    ],
)
# What an Accept carries; ours is encoded once and kept, as a reply profile is.
PYRADS: tuple[tuple[str, str | int | bytes], ...] = (
    ("Class", b"staff"),
    ("Filter-Id", "vpn-users"),
    ("Session-Timeout", 43_200),
    ("Termination-Action", 1),
    ("Framed-IP-Address", "192.0.2.9"),
    ("Reply-Message", "Welcome."),
)
OURS = (
    attribute(25, b"staff"),
    attribute(11, b"vpn-users"),
    session_timeout(43_200),
    termination_action(ask_again=True),
    attribute(8, bytes((192, 0, 2, 9))),
    reply_message("Welcome."),
)
COUNTS = (0, 3, 6)
JUDGED = 3


def ours(profile: bytes) -> bytes:
    """Answer REQUEST with the project's codec."""
    packet = parse(REQUEST)
    authenticate(packet, RULES)
    request = read_request(packet, RULES)
    if not isinstance(request, AccessRequest) or request.password != b"correct horse 492039":
        raise AssertionError(request)
    return encode_reply(code=Code.ACCESS_ACCEPT, request=request, rules=RULES, attributes=profile)


def with_pyrad(profile: Sequence[tuple[str, str | int | bytes]]) -> bytes:
    """Answer REQUEST with pyrad, the way its own server does."""
    packet = AuthPacket(packet=REQUEST, secret=SECRET, dict=NAMES)
    if not packet.verify_message_authenticator():
        raise AssertionError
    if packet.PwDecrypt(packet["User-Password"][0]) != "correct horse 492039":
        raise AssertionError
    if len([packet.get(name) for name in READ]) != len(READ):
        raise AssertionError
    reply = packet.CreateReply()
    for name, value in profile:
        reply.AddAttribute(name, value)
    reply.add_message_authenticator()
    return bytes(reply.ReplyPacket())


def costliest() -> dict[str, Callable[[], object]]:
    """Give the datagrams that cost the decoder most, each with the work that it causes."""
    header = bytes((1, 1, 16, 0)) + AUTHENTICATOR
    empties = header + bytes((33, 2)) * 2038
    proxied = encode_request(
        code=Code.ACCESS_REQUEST,
        identifier=1,
        authenticator=AUTHENTICATOR,
        secret=SECRET,
        password=bytes(range(1, 129)),
        attributes=[(1, b"alice"), *[(33, b"12345678")] * 197],
    )

    def refuse() -> None:
        try:
            parse(empties)
        except PacketError:
            return
        raise AssertionError

    def read() -> None:
        packet = parse(proxied)
        authenticate(packet, RULES)
        read_request(packet, RULES)

    return {"2,038 empty attributes": refuse, "200 attributes and 128 octets of password": read}


def best(work: Callable[[], object], number: int) -> float:
    """Time `work` in microseconds: the best of three runs of `number`."""
    return min(timeit.repeat(work, number=number, repeat=3)) / number * 1e6


def compare(count: int, rounds: int, number: int) -> dict[str, float]:
    """Time both codecs in turn with `count` reply attributes, so that what else the machine does falls on both."""
    octets = b"".join(OURS[:count])
    names = PYRADS[:count]
    if ours(octets) != with_pyrad(names):
        raise AssertionError(count)
    pairs = [(best(lambda: ours(octets), number), best(lambda: with_pyrad(names), number)) for _ in range(rounds)]
    return {
        "ours_us": round(statistics.median(one for one, _ in pairs), 2),
        "pyrad_us": round(statistics.median(other for _, other in pairs), 2),
        "ratio": round(statistics.median(other / one for one, other in pairs), 2),
    }


def measure(rounds: int, number: int) -> dict[str, object]:
    """Compare with few and many reply attributes, and time the costliest datagrams."""
    compared = {count: compare(count, rounds, number) for count in COUNTS}
    return {
        **{f"{count} reply attributes": figures for count, figures in compared.items()},
        "bar": BAR,
        "reached": compared[JUDGED]["ratio"] >= BAR,
        "costliest_us": {name: round(best(work, max(1, number // 10)), 1) for name, work in costliest().items()},
        "machine": f"{platform.machine()}, {platform.system()}, {os.cpu_count()} processors",
        "python": platform.python_version(),
        "pyrad": version("pyrad"),
    }


def main() -> int:
    """Measure, print, and exit 1 below the bar."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--number", type=int, default=2000, help="exchanges a run")
    arguments.add_argument("--quick", action="store_true", help="one round of 500 exchanges; the ratios are rough")
    options = arguments.parse_args()
    figures = measure(1, 500) if options.quick else measure(options.rounds, options.number)
    for name, figure in figures.items():
        print(f"{name:20} {figure}")
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 0 if figures["reached"] else 1


if __name__ == "__main__":
    sys.exit(main())

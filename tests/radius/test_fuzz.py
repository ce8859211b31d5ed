"""Mutated packets through the decoder: no exception but its own (ATTACKS 11)."""

import os
import random
from collections import Counter

import pytest

from radiusd_mfa.radius.client import encode_request, verify_reply
from radiusd_mfa.radius.packet import AccessRequest, NasRules, authenticate, encode_reply, read_request
from radiusd_mfa.radius.password import hide
from radiusd_mfa.radius.wire import Code, PacketError, attribute, parse

PACKETS = int(os.environ.get("RADIUSD_MFA_FUZZ_PACKETS", "1000000"))
SPLITS = 4
SECRET = b"a shared secret"
AUTHENTICATOR = bytes(range(16))
HIDDEN = hide(b"password 492039 of two blocks", secret=SECRET, authenticator=AUTHENTICATOR)
# Unsigned packets let a mutation through to the reading; a signed one nearly always dies at its signature.
EVERY_RULE = (NasRules(secret=SECRET, require_message_authenticator=False, allow_proxy_state=True), NasRules(SECRET))
INTERESTING = (0, 1, 2, 3, 18, 24, 26, 33, 79, 80, 127, 128, 254, 255)


def seeds() -> list[bytes]:
    """Packets of every kind that the codec knows, each signed and unsigned."""
    user, proxy, station = (1, b"nemo"), (33, b"hop"), (31, b"198.51.100.23")
    bodies: list[list[tuple[int, bytes]]] = [
        [user, (2, HIDDEN), station, (32, b"vpn"), (6, bytes(4))],
        [user, (2, HIDDEN), (24, b"state"), proxy, proxy],
        [user, (3, bytes(17))],
        [user, (79, bytes(5))],
        [user, (2, HIDDEN), (2, HIDDEN)],
        [user, (2, HIDDEN[:17])],
        [(26, bytes(4) + b"\1\5abc"), (25, b""), *[proxy] * 6],
        [],
    ]
    return [
        encode_request(
            code=code,
            identifier=1,
            authenticator=AUTHENTICATOR,
            secret=SECRET,
            attributes=body,
            message_authenticator=signed,
        )
        for body in bodies
        for code in (Code.ACCESS_REQUEST, Code.STATUS_SERVER)
        for signed in (True, False)
    ]


def mutated(octets: bytes, others: list[bytes], chance: random.Random) -> bytes:
    """Change one to four things: an octet, the length, a run taken out, doubled, or taken from another packet."""
    changed = bytearray(octets)
    bits = chance.getrandbits(64)
    # Mostly the right length, so that what was changed is looked at.
    bits, lying = divmod(bits, 4)
    for _ in range(1 + bits % 4):
        bits, step = divmod(bits >> 2, 8)
        bits, place = divmod(bits, 509)
        at = place % (len(changed) + 1)
        if step <= 2 and at < len(changed):
            changed[at] = INTERESTING[bits % 14] if step else bits & 0xFF
        elif step == 3:
            changed[2:4] = (bits % 300).to_bytes(2)
        elif step == 4:
            del changed[at : at + bits % 9]
        elif step == 5:
            changed[at:at] = changed[at : at + bits % 40]
        elif step == 6:
            changed[at:] = others[bits % len(others)][at:]
        else:
            changed += changed[at:]
    if lying and 4 <= len(changed) <= 0xFFFF:
        changed[2:4] = len(changed).to_bytes(2)
    return bytes(changed)


def outcome(datagram: bytes, rules: NasRules) -> str:
    """Do what a server does with a datagram, and say how it ended; lets every exception but PacketError through."""
    try:
        packet = parse(datagram)
        authenticate(packet, rules)
        request = read_request(packet, rules)
        reply = encode_reply(
            code=Code.ACCESS_REJECT, request=request, rules=rules, attributes=attribute(18, b"Not now.")
        )
    except PacketError as problem:
        return problem.cause
    verify_reply(reply, request_authenticator=packet.authenticator, secret=rules.secret)
    if isinstance(request, AccessRequest):
        assert (request.password is None) == (request.refusal is not None)
        return request.refusal or "read"
    return "status"


@pytest.mark.parametrize("split", range(SPLITS))
def test_no_mutation_raises_anything_but_a_packet_error(split: int) -> None:
    chance = random.Random(split)
    originals = seeds()
    outcomes: Counter[str] = Counter()
    for number in range(PACKETS // SPLITS):
        datagram = mutated(originals[number % len(originals)], originals, chance)
        outcomes[outcome(datagram, EVERY_RULE[number % 2])] += 1
    # A run that never got past the framing, or never failed in it, would prove nothing.
    assert {"read", "status", "chap", "eap", "two-passwords", "password-length", "length"} <= outcomes.keys()
    assert {"attribute-overrun", "message-authenticator-wrong", "message-authenticator-length"} <= outcomes.keys()

"""The octets that the RFCs print, named by section."""

import hmac
from hashlib import md5

import pytest

from radiusd_mfa.radius.client import encode_request, verify_reply
from radiusd_mfa.radius.packet import (
    AccessRequest,
    NasRules,
    Refusal,
    ReplyMessageAuthenticator,
    StatusRequest,
    authenticate,
    encode_reply,
    read_request,
)
from radiusd_mfa.radius.signature import hmac_md5
from radiusd_mfa.radius.wire import Code, PacketError, attribute, parse, reply_message, state

SECRET = b"xyzzy5461"
# The examples of RFC 2865 and RFC 5997 are older than BlastRADIUS: they answer without Message-Authenticator.
RULES = NasRules(
    secret=SECRET, require_message_authenticator=False, reply_message_authenticator=ReplyMessageAuthenticator.NEVER
)

RFC_2865_7_1_REQUEST = bytes.fromhex(
    "01000038 0f403f9473978057bd83d5cb98f4227a 01066e656d6f 02120dbe708d93d413ce3196e43f782a0aee 0406c0a80110"
    "050600000003"
)
RFC_2865_7_1_ACCEPT = bytes.fromhex("02000026 86fe220e7624ba2a1005f6bf9b55e0b2 060600000001 0f0600000000 0e06c0a80103")
RFC_2865_7_2_REQUEST = bytes.fromhex(
    "01010047 2aee86f08d0d55969ca5978e0d3367a2 0108666c6f707379 031316e97557c316185895f293ff634407727504"
    "06c0a80110 050600000014 060600000002 070600000001"
)
RFC_2865_7_2_ACCEPT = bytes.fromhex(
    "02010038 15efbc7dab26cfa3dc34d9c03c8601a4 060600000002 070600000001 0806fffffffe 0a0600000002 0d0600000001"
    "0c06000005dc"
)
RFC_2865_7_3_REQUEST = bytes.fromhex(
    "01020039 f3a47a1f6a6d76710b947ab93041a039 01076d6f707379 021233657573778289b570885e15084825c5 0406c0a80110"
    "050600000007"
)
RFC_2865_7_3_TEXT = "Challenge 32769430.  Enter response at prompt."
RFC_2865_7_3_CHALLENGE = (
    bytes.fromhex("0b02004e 36f3c8764ae8c71157403c0c71ff9c45 1230")
    + RFC_2865_7_3_TEXT.encode()
    + bytes.fromhex("180a 3332373639343330")
)
RFC_2865_7_3_ANSWER = bytes.fromhex(
    "01030043 b122556d428a13d0d6253807c457ecf0 01076d6f707379 0212692c1f205fc081b919b95195f561a581 0406c0a80110"
    "050600000007 180a3332373639343330"
)
RFC_2865_7_3_REJECT = bytes.fromhex("03030014 a42f4fca45916c4e09c8340f9e746aa0")
RFC_5997_6_1_REQUEST = bytes.fromhex("0cda0026 8a54f4686fb394c52866e302185d0623 50125a665e2e1e8411f3e243822097c84fa3")
RFC_5997_6_1_REPLY = bytes.fromhex("02da0014 ef0d552a4bf2d693ec2b6fe8b5411d66")
# Asked of an accounting port there, but the request itself is the same on any.
RFC_5997_6_2_REQUEST = bytes.fromhex("0cb30026 925f6b66dd5fed571fcb1db7ad388260 5012e8d6eabda910875cd91fdade26367858")


def read(octets: bytes) -> AccessRequest:
    packet = parse(octets)
    authenticate(packet, RULES)
    request = read_request(packet, RULES)
    assert isinstance(request, AccessRequest)
    return request


def test_rfc_2865_7_1_the_request_reads_as_nemo_with_arctangent() -> None:
    request = read(RFC_2865_7_1_REQUEST)
    assert (request.user_name, request.password, request.refusal) == (b"nemo", b"arctangent", None)


def test_rfc_2865_7_1_the_request_is_built() -> None:
    packet = parse(RFC_2865_7_1_REQUEST)
    built = encode_request(
        code=Code.ACCESS_REQUEST,
        identifier=0,
        authenticator=packet.authenticator,
        secret=SECRET,
        password=b"arctangent",
        attributes=[(4, bytes((192, 168, 1, 16))), (5, (3).to_bytes(4))],
        message_authenticator=False,
    )
    # Ours puts User-Password first and leaves User-Name to the caller; the hidden password is the same.
    assert parse(built).attributes == packet.attributes[1:]


def test_rfc_2865_7_1_the_accept_is_built() -> None:
    request = read(RFC_2865_7_1_REQUEST)
    attributes = attribute(6, (1).to_bytes(4)) + attribute(15, (0).to_bytes(4)) + attribute(14, bytes((192, 168, 1, 3)))
    built = encode_reply(code=Code.ACCESS_ACCEPT, request=request, rules=RULES, attributes=attributes)
    assert built == RFC_2865_7_1_ACCEPT


def test_rfc_2865_7_2_a_chap_request_is_refused_and_its_user_named() -> None:
    request = read(RFC_2865_7_2_REQUEST)
    assert (request.user_name, request.password, request.refusal) == (b"flopsy", None, Refusal.CHAP)
    assert request.service_type == 2


def test_rfc_2865_7_2_the_accept_is_built() -> None:
    request = read(RFC_2865_7_2_REQUEST)
    attributes = RFC_2865_7_2_ACCEPT[20:]
    built = encode_reply(code=Code.ACCESS_ACCEPT, request=request, rules=RULES, attributes=attributes)
    assert built == RFC_2865_7_2_ACCEPT


def test_rfc_2865_7_3_a_challenge_and_its_answer() -> None:
    request = read(RFC_2865_7_3_REQUEST)
    assert (request.user_name, request.password, request.state) == (b"mopsy", b"challenge", None)
    challenge = encode_reply(
        code=Code.ACCESS_CHALLENGE,
        request=request,
        rules=RULES,
        attributes=reply_message(RFC_2865_7_3_TEXT) + state(b"32769430"),
    )
    assert challenge == RFC_2865_7_3_CHALLENGE
    answer = read(RFC_2865_7_3_ANSWER)
    assert (answer.password, answer.state) == (b"99101462", b"32769430")
    reject = encode_reply(code=Code.ACCESS_REJECT, request=answer, rules=RULES, attributes=b"")
    assert reject == RFC_2865_7_3_REJECT


@pytest.mark.parametrize(
    ("request_octets", "reply"),
    [
        (RFC_2865_7_1_REQUEST, RFC_2865_7_1_ACCEPT),
        (RFC_2865_7_2_REQUEST, RFC_2865_7_2_ACCEPT),
        (RFC_2865_7_3_REQUEST, RFC_2865_7_3_CHALLENGE),
        (RFC_2865_7_3_ANSWER, RFC_2865_7_3_REJECT),
        (RFC_5997_6_1_REQUEST, RFC_5997_6_1_REPLY),
    ],
)
def test_rfc_2865_3_the_printed_replies_verify_and_only_for_their_request(request_octets: bytes, reply: bytes) -> None:
    authenticator = request_octets[4:20]
    verified = verify_reply(
        reply, request_authenticator=authenticator, secret=SECRET, require_message_authenticator=False
    )
    assert verified.identifier == request_octets[1]
    with pytest.raises(PacketError, match="response-authenticator"):
        verify_reply(reply, request_authenticator=bytes(16), secret=SECRET, require_message_authenticator=False)


@pytest.mark.parametrize("octets", [RFC_5997_6_1_REQUEST, RFC_5997_6_2_REQUEST])
def test_rfc_5997_6_a_status_server_is_authentic(octets: bytes) -> None:
    packet = parse(octets)
    authenticate(packet, NasRules(secret=SECRET))
    assert isinstance(read_request(packet, RULES), StatusRequest)


@pytest.mark.parametrize("octets", [RFC_5997_6_1_REQUEST, RFC_5997_6_2_REQUEST])
def test_rfc_5997_6_a_status_server_is_built(octets: bytes) -> None:
    built = encode_request(code=Code.STATUS_SERVER, identifier=octets[1], authenticator=octets[4:20], secret=SECRET)
    assert built == octets


def test_rfc_5997_6_1_the_reply_is_built() -> None:
    request = read_request(parse(RFC_5997_6_1_REQUEST), RULES)
    assert encode_reply(code=Code.ACCESS_ACCEPT, request=request, rules=RULES, attributes=b"") == RFC_5997_6_1_REPLY


def test_rfc_3579_3_2_a_reply_is_signed_over_the_request_authenticator() -> None:
    # RFC 3579 prints no octets, so its formula is written out here.
    request = read(RFC_2865_7_1_REQUEST)
    reply = encode_reply(
        code=Code.ACCESS_ACCEPT, request=request, rules=NasRules(secret=SECRET), attributes=attribute(25, b"staff")
    )
    start, rest = bytes((2, 0, 0, 45)), b"\x19\x07staff"
    signature = hmac.digest(SECRET, start + RFC_2865_7_1_REQUEST[4:20] + b"\x50\x12" + bytes(16) + rest, "md5")
    attributes = b"\x50\x12" + signature + rest
    assert reply[20:] == attributes
    assert reply[:20] == start + md5(start + RFC_2865_7_1_REQUEST[4:20] + attributes + SECRET).digest()


@pytest.mark.parametrize(
    ("key", "data", "digest"),
    [
        (b"\x0b" * 16, b"Hi There", "9294727a3638bb1c13f48ef8158bfc9d"),
        (b"Jefe", b"what do ya want for nothing?", "750c783e6ab0b503eaa86e310a5db738"),
        (b"\xaa" * 16, b"\xdd" * 50, "56be34521d144c88dbb8c733f0e8b3f6"),
        (b"\xaa" * 80, b"Test Using Larger Than Block-Size Key - Hash Key First", "6b1ab7fe4bd7bf8f0b62e6ce61b9d0cd"),
    ],
)
def test_rfc_2202_2_hmac_md5(key: bytes, data: bytes, digest: str) -> None:
    assert hmac_md5(data, key).hex() == digest


@pytest.mark.parametrize("size", [1, 15, 63, 64, 65, 200])
def test_rfc_2104_our_hmac_is_the_standard_librarys_for_every_size_of_key(size: int) -> None:
    key = bytes(range(size))
    assert hmac_md5(b"octets", key) == hmac.digest(key, b"octets", "md5")

"""Requests that are dropped, refused or read, and replies, also beside pyrad's (ATTACKS 3, 4, 6, 10)."""

import io
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyrad.dictionary import Dictionary
from pyrad.packet import AuthPacket

from radiusd_mfa.radius.client import encode_request, verify_reply
from radiusd_mfa.radius.packet import (
    ATTRIBUTES_LIMIT,
    PROXY_STATE_LIMIT,
    AccessRequest,
    NasRules,
    Refusal,
    ReplyMessageAuthenticator,
    StatusRequest,
    authenticate,
    encode_reply,
    read_request,
)
from radiusd_mfa.radius.password import hide, reveal
from radiusd_mfa.radius.signature import hmac_md5
from radiusd_mfa.radius.wire import Cause, Code, PacketError, attribute, parse, reply_message, session_timeout

SECRET = b"a shared secret"
AUTHENTICATOR = bytes(range(100, 116))
STRICT = NasRules(secret=SECRET)
OPTIONAL = NasRules(secret=SECRET, require_message_authenticator=False)
SOFTETHER = replace(OPTIONAL, allow_proxy_state=True)
NAME = (1, b"nemo")
PROXIED = [(33, b"first"), (33, b"second"), (33, b"first")]


def hidden(password: bytes) -> bytes:
    return hide(password, secret=SECRET, authenticator=AUTHENTICATOR)


def ask(
    *attributes: tuple[int, bytes], code: int = Code.ACCESS_REQUEST, password: bytes | None = b"pw", signed: bool = True
) -> bytes:
    octets = encode_request(
        code=Code.ACCESS_REQUEST,
        identifier=7,
        authenticator=AUTHENTICATOR,
        secret=SECRET,
        attributes=attributes,
        password=password,
        message_authenticator=False,
    )
    octets = bytes((code,)) + octets[1:]
    return sign(octets, at=20) if signed else octets


def sign(octets: bytes, *, at: int) -> bytes:
    """Put a right Message-Authenticator before the attribute that starts at offset `at`."""
    length = (len(octets) + 18).to_bytes(2)
    blank = octets[:2] + length + octets[4:at] + b"\x50\x12" + bytes(16) + octets[at:]
    return blank[: at + 2] + hmac_md5(blank, SECRET) + blank[at + 18 :]


def dropped(octets: bytes, rules: NasRules) -> Cause:
    with pytest.raises(PacketError) as caught:
        authenticate(parse(octets), rules)
    return caught.value.cause


def read(octets: bytes, rules: NasRules = STRICT) -> AccessRequest:
    packet = parse(octets)
    authenticate(packet, rules)
    request = read_request(packet, rules)
    assert isinstance(request, AccessRequest)
    return request


# Message-Authenticator, ATTACKS 3


def test_a_missing_message_authenticator_is_dropped_where_it_is_required() -> None:
    assert dropped(ask(NAME, signed=False), STRICT) is Cause.MESSAGE_AUTHENTICATOR_MISSING


def test_a_missing_message_authenticator_is_accepted_where_it_is_optional() -> None:
    request = read(ask(NAME, signed=False), OPTIONAL)
    assert (request.password, request.message_authenticator) == (b"pw", False)


@pytest.mark.parametrize("rules", [STRICT, OPTIONAL])
@pytest.mark.parametrize("octet", range(16))
@pytest.mark.parametrize("bit", [0, 7])
def test_a_message_authenticator_wrong_in_one_bit_is_dropped(rules: NasRules, octet: int, bit: int) -> None:
    octets = bytearray(ask(NAME))
    octets[22 + octet] ^= 1 << bit
    assert dropped(bytes(octets), rules) is Cause.MESSAGE_AUTHENTICATOR_WRONG


@pytest.mark.parametrize("at", [1, 5, 19, 38, 45])
def test_a_signed_packet_changed_anywhere_is_dropped(at: int) -> None:
    octets = bytearray(ask(NAME))
    octets[at] ^= 1
    assert dropped(bytes(octets), OPTIONAL) is Cause.MESSAGE_AUTHENTICATOR_WRONG


def test_a_message_authenticator_of_another_secret_is_dropped() -> None:
    assert dropped(ask(NAME), NasRules(secret=b"another secret")) is Cause.MESSAGE_AUTHENTICATOR_WRONG


@pytest.mark.parametrize("rules", [STRICT, OPTIONAL])
def test_two_message_authenticators_are_dropped_though_one_is_right(rules: NasRules) -> None:
    with_a_second = ask(NAME, (80, bytes(16)))
    assert dropped(with_a_second, rules) is Cause.MESSAGE_AUTHENTICATOR_REPEATED
    twice_the_same = sign(ask(NAME), at=20)
    assert dropped(twice_the_same, rules) is Cause.MESSAGE_AUTHENTICATOR_REPEATED


@pytest.mark.parametrize("rules", [STRICT, OPTIONAL])
@pytest.mark.parametrize("size", [0, 1, 15, 17, 253])
def test_a_message_authenticator_of_another_length_is_dropped(rules: NasRules, size: int) -> None:
    assert dropped(ask(NAME, (80, bytes(size)), signed=False), rules) is Cause.MESSAGE_AUTHENTICATOR_LENGTH


def test_a_message_authenticator_is_right_in_any_position() -> None:
    plain = ask(NAME, (32, b""), (4, bytes(4)), signed=False)
    starts = [20]
    while starts[-1] < len(plain):
        starts.append(starts[-1] + plain[starts[-1] + 1])
    assert len(starts) == 5
    for at in starts:
        assert read(sign(plain, at=at)).message_authenticator


def test_a_signature_copied_into_a_value_signs_nothing() -> None:
    signature = ask(NAME)[20:38]
    for copies in ([(32, signature)], [(32, b"x"), (31, signature + b"x")]):
        octets = ask(*copies, NAME, (80, signature[2:]), signed=False)
        assert dropped(octets, STRICT) is Cause.MESSAGE_AUTHENTICATOR_WRONG


def test_octets_after_length_are_not_signed() -> None:
    assert read(ask(NAME) + b"padding").password == b"pw"


# Proxy-State, ATTACKS 4


def test_an_unsigned_proxy_state_is_dropped() -> None:
    assert dropped(ask(NAME, *PROXIED, signed=False), OPTIONAL) is Cause.PROXY_STATE
    assert dropped(ask(NAME, (33, b""), signed=False), OPTIONAL) is Cause.PROXY_STATE


def test_allowing_proxy_state_does_not_make_an_unsigned_packet_signed() -> None:
    assert dropped(ask(NAME, *PROXIED, signed=False), replace(STRICT, allow_proxy_state=True)) is (
        Cause.MESSAGE_AUTHENTICATOR_MISSING
    )


@pytest.mark.parametrize("rules", [STRICT, OPTIONAL])
def test_a_signed_proxy_state_is_echoed_in_order(rules: NasRules) -> None:
    request = read(ask(NAME, *PROXIED), rules)
    reply = encode_reply(code=Code.ACCESS_ACCEPT, request=request, rules=rules, attributes=attribute(25, b"staff"))
    assert parse(reply).attributes[1:] == ((25, b"staff"), *PROXIED)


def test_an_unsigned_proxy_state_is_echoed_where_the_entry_allows_it() -> None:
    request = read(ask(NAME, *PROXIED, signed=False), SOFTETHER)
    reply = encode_reply(code=Code.ACCESS_REJECT, request=request, rules=SOFTETHER, attributes=b"")
    assert parse(reply).attributes[1:] == tuple(PROXIED)


def test_a_reply_echoes_nothing_of_an_unsigned_request() -> None:
    chosen = (b"user-name-chosen", b"station-chosen", b"nas-chosen", b"session-chosen", b"other-chosen")
    request = read(ask(*zip((1, 31, 32, 44, 18), chosen, strict=True), signed=False), OPTIONAL)
    smuggled = request._replace(proxy_states=chosen)
    reply = encode_reply(code=Code.ACCESS_REJECT, request=smuggled, rules=OPTIONAL, attributes=reply_message("No."))
    assert parse(reply).attributes[1:] == ((18, b"No."),)


def proxy_states(octets: int) -> list[tuple[int, bytes]]:
    return [(33, bytes(126))] * (octets // 128) + [(33, bytes(octets % 128))] * (octets % 128 > 0)


def test_more_proxy_state_than_a_reply_can_hold_is_dropped() -> None:
    too_many = [*proxy_states(PROXY_STATE_LIMIT), (33, b"x")]
    assert dropped(ask(NAME, *too_many), STRICT) is Cause.PROXY_STATE_LENGTH
    assert dropped(ask(NAME, *too_many, signed=False), SOFTETHER) is Cause.PROXY_STATE_LENGTH


def test_the_longest_reply_has_4096_octets() -> None:
    request = read(ask(NAME, *proxy_states(PROXY_STATE_LIMIT)))
    attributes = attribute(25, bytes(253)) * 7 + attribute(25, bytes(ATTRIBUTES_LIMIT - 7 * 255 - 2))
    reply = encode_reply(code=Code.ACCESS_ACCEPT, request=request, rules=STRICT, attributes=attributes)
    assert len(reply) == 4096
    with pytest.raises(PacketError, match="packet-length"):
        encode_reply(code=Code.ACCESS_ACCEPT, request=request, rules=STRICT, attributes=attributes + attribute(25, b""))


# Codes, ATTACKS 10


@pytest.mark.parametrize("code", sorted(set(range(256)) - {Code.ACCESS_REQUEST, Code.STATUS_SERVER}))
def test_accounting_replies_and_unknown_codes_are_dropped(code: int) -> None:
    assert dropped(ask(NAME, code=code), OPTIONAL) is Cause.CODE


@pytest.mark.parametrize("rules", [STRICT, OPTIONAL, SOFTETHER])
def test_an_unsigned_status_server_is_dropped(rules: NasRules) -> None:
    octets = ask(code=Code.STATUS_SERVER, password=None, signed=False)
    assert dropped(octets, rules) is Cause.MESSAGE_AUTHENTICATOR_MISSING


def test_a_status_server_needs_no_user() -> None:
    packet = parse(ask((33, b"hop"), code=Code.STATUS_SERVER, password=None))
    authenticate(packet, STRICT)
    assert read_request(packet, STRICT) == StatusRequest(7, AUTHENTICATOR, (b"hop",), message_authenticator=True)


# Credentials, ATTACKS 6


@pytest.mark.parametrize(
    ("octets", "refusal"),
    [
        pytest.param(ask(NAME, (3, bytes(17))), Refusal.CHAP, id="User-Password and CHAP-Password"),
        pytest.param(ask(NAME, (79, b"\2\1\0\5\1")), Refusal.EAP, id="User-Password and EAP-Message"),
        pytest.param(ask(NAME, (3, bytes(17)), password=None), Refusal.CHAP, id="CHAP-Password alone"),
        pytest.param(ask(NAME, (79, b"\2\1\0\5\1"), password=None), Refusal.EAP, id="EAP-Message alone"),
        pytest.param(ask(NAME, (2, hidden(b"pw"))), Refusal.TWO_PASSWORDS, id="the same password twice"),
        pytest.param(ask(NAME, (2, hidden(b"other"))), Refusal.TWO_PASSWORDS, id="two passwords"),
        pytest.param(ask(NAME, (1, b"dory")), Refusal.TWO_USER_NAMES, id="two users"),
        pytest.param(ask(NAME, (24, b"a"), (24, b"b")), Refusal.TWO_STATES, id="two States"),
        pytest.param(ask(), Refusal.NO_USER_NAME, id="no user"),
        pytest.param(ask((1, b"")), Refusal.NO_USER_NAME, id="an empty user"),
        pytest.param(ask(NAME, password=None), Refusal.NO_PASSWORD, id="no password"),
        pytest.param(ask(NAME, (2, b""), password=None), Refusal.NO_PASSWORD, id="password of 0 octets"),
        *[
            pytest.param(ask(NAME, (2, bytes(size)), password=None), Refusal.PASSWORD_LENGTH, id=f"{size} octets")
            for size in (1, 15, 17, 31, 127, 129, 144, 253)
        ],
    ],
)
def test_credentials_that_are_not_one_password_are_refused(octets: bytes, refusal: Refusal) -> None:
    request = read(octets)
    assert (request.refusal, request.password) == (refusal, None)


def test_a_refused_request_is_answered_like_any_other() -> None:
    request = read(ask(NAME, (3, bytes(17)), *PROXIED))
    reply = encode_reply(code=Code.ACCESS_REJECT, request=request, rules=STRICT, attributes=b"")
    assert verify_reply(reply, request_authenticator=AUTHENTICATOR, secret=SECRET).attributes[1:] == tuple(PROXIED)


def test_an_octet_after_a_nul_stays_in_the_password() -> None:
    assert read(ask(NAME, password=b"pw\0x")).password == b"pw\0x"
    assert read(ask(NAME, password=b"\0pw\0\0")).password == b"\0pw"


def test_octets_that_are_not_utf_8_stay_in_the_password() -> None:
    assert read(ask(NAME, password=b"pa\xffss")).password == b"pa\xffss"


def test_an_empty_password_is_empty_and_not_missing() -> None:
    # pam_radius with skip_passwd sends 16 octets of padding.
    request = read(ask(NAME, password=b""))
    assert (request.password, request.refusal) == (b"", None)


@pytest.mark.parametrize("size", [1, 15, 16, 17, 32, 127, 128])
def test_a_password_up_to_128_octets_is_read(size: int) -> None:
    assert read(ask(NAME, password=b"p" * size)).password == b"p" * size


def test_a_password_of_129_octets_is_not_sent() -> None:
    with pytest.raises(PacketError, match="value-length"):
        ask(NAME, password=b"p" * 129)


@given(st.binary(max_size=128), st.binary(min_size=1, max_size=80), st.binary(min_size=16, max_size=16))
def test_every_password_comes_back_but_for_trailing_nuls(password: bytes, secret: bytes, authenticator: bytes) -> None:
    there = hide(password, secret=secret, authenticator=authenticator)
    assert reveal(there, secret=secret, authenticator=authenticator) == password.rstrip(b"\0")


def test_every_field_is_read_and_empty_attributes_say_nothing() -> None:
    octets = ask(
        (1, b""),
        NAME,
        (1, b""),
        (2, b""),
        (6, (8).to_bytes(4)),
        (24, b"s"),
        (31, b"10.0.0.1"),
        (32, b"vpn"),
        (44, b"a1"),
    )
    assert read(octets) == AccessRequest(
        identifier=7,
        authenticator=AUTHENTICATOR,
        user_name=b"nemo",
        password=b"pw",
        state=b"s",
        service_type=8,
        calling_station_id=b"10.0.0.1",
        nas_identifier=b"vpn",
        acct_session_id=b"a1",
        proxy_states=(),
        message_authenticator=True,
        refusal=None,
    )


def test_of_two_stations_the_first_counts() -> None:
    assert read(ask(NAME, (31, b"first"), (31, b"second"))).calling_station_id == b"first"


@pytest.mark.parametrize("value", [b"\1", bytes(5), bytes(253)])
def test_a_service_type_of_another_length_is_none(value: bytes) -> None:
    assert read(ask(NAME, (6, value))).service_type is None


def test_secrets_do_not_print() -> None:
    request = read(ask(NAME, (24, b"state-octets"), password=b"the-password"))
    assert "nemo" in repr(request)
    for text in (f"{request}", repr(request), repr(STRICT), repr(parse(ask(NAME)))):
        assert "the-password" not in text
        assert "state-octets" not in text
        assert "shared" not in text


def test_an_empty_secret_is_no_secret() -> None:
    with pytest.raises(ValueError, match="must not be empty"):
        NasRules(secret=b"")


# Replies


ALWAYS, MIRROR, NEVER = ReplyMessageAuthenticator


@pytest.mark.parametrize(
    ("rule", "asked_signed", "answered_signed"),
    [
        (ALWAYS, True, True),
        (ALWAYS, False, True),
        (MIRROR, True, True),
        (MIRROR, False, False),
        (NEVER, True, False),
        (NEVER, False, False),
    ],
)
def test_a_reply_is_signed_as_the_entry_says(
    rule: ReplyMessageAuthenticator, *, asked_signed: bool, answered_signed: bool
) -> None:
    rules = replace(OPTIONAL, reply_message_authenticator=rule)
    request = read(ask(NAME, signed=asked_signed), rules)
    reply = encode_reply(code=Code.ACCESS_REJECT, request=request, rules=rules, attributes=reply_message("No."))
    packet = verify_reply(
        reply, request_authenticator=AUTHENTICATOR, secret=SECRET, require_message_authenticator=answered_signed
    )
    assert [kind for kind, _ in packet.attributes] == ([80, 18] if answered_signed else [18])


def test_omitting_attributes_takes_neither_signature_nor_proxy_state() -> None:
    rules = replace(STRICT, omit=frozenset({27, 33, 80, (9, 1)}))
    request = read(ask(NAME, *PROXIED), rules)
    attributes = session_timeout(60) + attribute(25, b"staff") + attribute(26, (9).to_bytes(4) + attribute(1, b"x"))
    reply = encode_reply(code=Code.ACCESS_ACCEPT, request=request, rules=rules, attributes=attributes)
    packet = verify_reply(reply, request_authenticator=AUTHENTICATOR, secret=SECRET)
    assert packet.attributes[1:] == ((25, b"staff"), *PROXIED)


def test_a_reply_without_message_authenticator_is_not_accepted_where_it_is_required() -> None:
    rules = replace(STRICT, reply_message_authenticator=NEVER)
    reply = encode_reply(code=Code.ACCESS_ACCEPT, request=read(ask(NAME)), rules=rules, attributes=b"")
    with pytest.raises(PacketError, match="message-authenticator-missing"):
        verify_reply(reply, request_authenticator=AUTHENTICATOR, secret=SECRET)


@pytest.mark.parametrize("at", range(20, 38))
def test_a_changed_reply_is_not_accepted(at: int) -> None:
    reply = bytearray(encode_reply(code=Code.ACCESS_REJECT, request=read(ask(NAME)), rules=STRICT, attributes=b""))
    reply[0] = Code.ACCESS_ACCEPT
    reply[at] ^= 0x01
    with pytest.raises(PacketError):
        verify_reply(bytes(reply), request_authenticator=AUTHENTICATOR, secret=SECRET)


def test_a_wrong_message_authenticator_spoils_a_reply_even_where_it_is_not_required() -> None:
    rules = replace(STRICT, reply_message_authenticator=NEVER)
    reply = encode_reply(
        code=Code.ACCESS_ACCEPT, request=read(ask(NAME)), rules=rules, attributes=attribute(80, bytes(16))
    )
    with pytest.raises(PacketError, match="message-authenticator-wrong"):
        verify_reply(reply, request_authenticator=AUTHENTICATOR, secret=SECRET, require_message_authenticator=False)


def test_a_request_is_no_reply() -> None:
    with pytest.raises(PacketError, match="code"):
        verify_reply(ask(NAME), request_authenticator=AUTHENTICATOR, secret=SECRET)


# Beside pyrad


NAMES = Dictionary(io.StringIO("ATTRIBUTE User-Name 1 string\nATTRIBUTE User-Password 2 string\n"))


@given(
    code=st.sampled_from([Code.ACCESS_ACCEPT, Code.ACCESS_REJECT, Code.ACCESS_CHALLENGE]),
    secret=st.binary(min_size=1, max_size=100),
    authenticator=st.binary(min_size=16, max_size=16).filter(any),
    password=st.text(st.characters(codec="ascii", exclude_characters="\0"), min_size=1, max_size=128),
    values=st.lists(st.binary(min_size=1, max_size=253), max_size=5),
    hops=st.lists(st.binary(min_size=1, max_size=253), max_size=3),
    signed=st.booleans(),
)
def test_a_reply_is_the_octets_of_pyrads(
    *,
    code: Code,
    secret: bytes,
    authenticator: bytes,
    password: str,
    values: list[bytes],
    hops: list[bytes],
    signed: bool,
) -> None:
    octets = encode_request(
        code=Code.ACCESS_REQUEST,
        identifier=9,
        authenticator=authenticator,
        secret=secret,
        password=password.encode(),
        attributes=[NAME, *[(33, hop) for hop in hops]],
    )
    theirs = AuthPacket(packet=octets, secret=secret, dict=NAMES)
    assert theirs.verify_message_authenticator()
    assert theirs.PwDecrypt(theirs["User-Password"][0]) == password
    answer = theirs.CreateReply()
    answer.code = code
    if not signed:
        # It would mirror the request's.
        answer.message_authenticator = False
    answer[25] = values
    if hops:
        # It echoes Proxy-State before what is answered; RFC 2865 leaves the place open, and ours comes last.
        answer.move_to_end(33)

    rules = NasRules(secret=secret, reply_message_authenticator=ALWAYS if signed else NEVER)
    request = read(octets, rules)
    assert request.password == password.encode()
    attributes = b"".join(attribute(25, value) for value in values)
    ours = encode_reply(code=code, request=request, rules=rules, attributes=attributes)
    assert ours == answer.ReplyPacket()

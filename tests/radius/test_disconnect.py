"""Disconnect-Request and its answers (RFC 5176), against octets that hashlib and hmac alone have made."""

import pytest

from radiusd_mfa.radius.disconnect import Answer, DisconnectRequest, encode_disconnect, read_answer
from radiusd_mfa.radius.wire import Attribute, Cause, PacketError

SECRET = b"xyzzy5461"
REQUEST = bytes.fromhex(
    "282a00334915b3c2d0f57f65efe2d7925cd3210150127578677a8a5b5a429fb50f515f0f31430107616c69636537066553f100"
)
NAK = bytes.fromhex("2a2a002cf138f1968a6362fb2edf18daa67be7785012eb7a8f10f9262ea4eb18f07eb8b5387d6506000001f7")
ACK = bytes.fromhex("292a0014100db09c6726524f9a8d8eacd00b6e0a")


def _request(**changed: object) -> DisconnectRequest:
    given = {"identifier": 42, "secret": SECRET, "attributes": [(Attribute.USER_NAME, b"alice")]}
    return encode_disconnect(**given | {"event_time": 1_700_000_000} | changed)  # type: ignore[arg-type]  # as above


def _read(octets: bytes) -> Answer:
    return read_answer(octets, request=_request(), secret=SECRET)


@pytest.mark.parametrize("at", [0, 1, 3, 4, 20, 22, 40])
def test_an_answer_with_any_octet_changed_is_none(at: int) -> None:
    changed = bytearray(NAK)
    changed[at] ^= 1
    with pytest.raises(PacketError):
        _read(bytes(changed))


@pytest.mark.parametrize("octets", [b"", ACK[:19], ACK.replace(b"\x29", b"\x02", 1), REQUEST])
def test_what_is_no_answer_is_refused(octets: bytes) -> None:
    with pytest.raises(PacketError):
        _read(octets)


def test_an_answer_to_another_request_is_none() -> None:
    with pytest.raises(PacketError) as problem:
        read_answer(ACK, request=_request(event_time=1_700_000_001), secret=SECRET)
    assert problem.value.cause is Cause.RESPONSE_AUTHENTICATOR


def test_an_answer_with_another_secret_is_none() -> None:
    with pytest.raises(PacketError):
        read_answer(ACK, request=_request(), secret=b"another")


def test_a_request_is_signed_over_zeros_as_rfc_5176_3_4_says() -> None:
    made = _request()
    assert made.octets == REQUEST
    assert made.authenticator == REQUEST[4:20]
    assert "alice" not in repr(made)


def test_an_ack_says_that_it_is_done() -> None:
    assert _read(ACK) == Answer(done=True)


def test_a_nak_says_why_not_in_words() -> None:
    answer = _read(NAK)
    assert answer == Answer(done=False, error_cause=503)
    assert "no such session" in answer.words


def test_a_cause_that_nobody_knows_is_named_by_its_number() -> None:
    assert Answer(done=False, error_cause=999).words == "Error-Cause 999"
    assert Answer(done=False).words == ""


@pytest.mark.parametrize("value", [b"x" * 254, b"x" * 5000])
def test_a_name_that_no_attribute_holds_makes_no_request(value: bytes) -> None:
    with pytest.raises(PacketError):
        _request(attributes=[(Attribute.USER_NAME, value)])

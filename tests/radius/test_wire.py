"""Framing: what RFC 2865 sections 3 and 5 allow, and nothing else (ATTACKS 1, 2)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radiusd_mfa.radius.wire import (
    Cause,
    PacketError,
    attribute,
    parse,
    reply_message,
    session_timeout,
    state,
    termination_action,
    without,
)

AUTHENTICATOR = bytes(range(16))


def datagram(attributes: bytes, *, length: int | None = None) -> bytes:
    length = 20 + len(attributes) if length is None else length
    return bytes((1, 7)) + length.to_bytes(2) + AUTHENTICATOR + attributes


@pytest.mark.parametrize(
    ("octets", "cause"),
    [
        pytest.param(b"", Cause.SHORT, id="nothing"),
        pytest.param(datagram(b"")[:19], Cause.SHORT, id="19 octets"),
        pytest.param(datagram(b"", length=0), Cause.LENGTH, id="Length 0"),
        pytest.param(datagram(b"", length=19), Cause.LENGTH, id="Length 19"),
        pytest.param(datagram(b"", length=21), Cause.LENGTH, id="Length over what arrived"),
        pytest.param(datagram(bytes((1, 255)) * 17, length=4097) + bytes(4096), Cause.LENGTH, id="Length 4097"),
        pytest.param(datagram(bytes((1, 0))), Cause.ATTRIBUTE_LENGTH, id="attribute length 0"),
        pytest.param(datagram(bytes((1, 1))), Cause.ATTRIBUTE_LENGTH, id="attribute length 1"),
        pytest.param(datagram(bytes((1, 3, 65, 1, 1, 0))), Cause.ATTRIBUTE_LENGTH, id="second attribute length 1"),
        pytest.param(datagram(bytes((1, 4, 65))), Cause.ATTRIBUTE_OVERRUN, id="attribute one octet too long"),
        pytest.param(datagram(bytes((1, 255, 65))), Cause.ATTRIBUTE_OVERRUN, id="attribute far too long"),
        pytest.param(datagram(bytes((1, 3, 65, 1))), Cause.ATTRIBUTE_OVERRUN, id="a single octet left over"),
        pytest.param(datagram(bytes((1, 3)) + b"AA", length=22), Cause.ATTRIBUTE_OVERRUN, id="attribute past Length"),
        pytest.param(datagram(bytes((1, 2)) * 201), Cause.TOO_MANY_ATTRIBUTES, id="201 attributes"),
        pytest.param(datagram(bytes((1, 2)) * 2038), Cause.TOO_MANY_ATTRIBUTES, id="2,038 empty attributes"),
        pytest.param(datagram(bytes((1, 2)) * 200 + b"\1"), Cause.ATTRIBUTE_OVERRUN, id="an octet after 200"),
    ],
)
def test_a_malformed_datagram_is_dropped(octets: bytes, cause: Cause) -> None:
    with pytest.raises(PacketError) as caught:
        parse(octets)
    assert caught.value.cause is cause


def test_octets_after_length_are_ignored() -> None:
    packet = parse(datagram(bytes((1, 3, 65))) + b"\0\xff padding")
    assert packet.octets == datagram(bytes((1, 3, 65)))
    assert packet.attributes == ((1, b"A"),)


def test_a_datagram_longer_than_any_packet_is_judged_by_its_length_field() -> None:
    assert parse(datagram(b"") + bytes(5000)).octets == datagram(b"")


def test_the_longest_packet_is_read() -> None:
    filler = b"".join(attribute(26, bytes(253)) for _ in range(15)) + attribute(26, bytes(249))
    assert len(parse(datagram(filler)).octets) == 4096


def test_200_attributes_are_read() -> None:
    assert len(parse(datagram(bytes((1, 2)) * 200)).attributes) == 200


def test_attributes_keep_their_order_and_their_repetitions() -> None:
    packet = parse(datagram(attribute(33, b"one") + attribute(1, b"nemo") + attribute(33, b"two") + attribute(33, b"")))
    assert packet.attributes == ((33, b"one"), (1, b"nemo"), (33, b"two"), (33, b""))
    assert (packet.code, packet.identifier, packet.authenticator) == (1, 7, AUTHENTICATOR)


def test_a_packet_prints_no_values() -> None:
    assert "arctangent" not in repr(parse(datagram(attribute(2, b"arctangent"))))


@given(st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=253)), max_size=15))
def test_what_is_framed_comes_back_in_full(attributes: list[tuple[int, bytes]]) -> None:
    packet = parse(datagram(b"".join(attribute(kind, value) for kind, value in attributes)))
    assert packet.attributes == tuple(attributes)


def test_an_attribute_of_254_octets_is_not_built() -> None:
    with pytest.raises(PacketError, match="value-length"):
        attribute(18, bytes(254))


def test_a_long_text_is_cut_between_characters() -> None:
    text = "ä" * 200
    (_, first), (_, second) = parse(datagram(reply_message(text))).attributes
    assert len(first) == 252
    assert first.decode() + second.decode() == text


@given(st.text(max_size=600))
def test_every_piece_of_a_text_is_a_text(text: str) -> None:
    pieces = [value for _, value in parse(datagram(reply_message(text))).attributes]
    assert "".join(piece.decode() for piece in pieces) == text
    assert all(pieces)


def test_no_text_is_no_attribute() -> None:
    assert reply_message("") == b""


def test_standard_attributes_have_the_octets_of_rfc_2865() -> None:
    assert session_timeout(43_200) == bytes((27, 6, 0, 0, 0xA8, 0xC0))
    assert termination_action(ask_again=True) == bytes((29, 6, 0, 0, 0, 1))
    assert termination_action(ask_again=False) == bytes((29, 6, 0, 0, 0, 0))
    assert state(b"abc") == b"\x18\x05abc"


def cisco(kind: int, value: bytes) -> bytes:
    return attribute(26, (9).to_bytes(4) + attribute(kind, value))


def test_an_omitted_type_is_left_out() -> None:
    # proftpd crashes on Session-Timeout.
    attributes = attribute(25, b"staff") + session_timeout(60) + attribute(25, b"vpn")
    assert without(attributes, {27}) == attribute(25, b"staff") + attribute(25, b"vpn")


def test_an_omitted_vendor_type_leaves_the_others_of_that_vendor() -> None:
    both = attribute(26, (9).to_bytes(4) + attribute(1, b"shell:priv-lvl=15") + attribute(2, b"x"))
    assert without(both + cisco(1, b"alone"), {(9, 1)}) == cisco(2, b"x")


def test_an_omitted_vendor_type_is_not_the_standard_type_of_that_number() -> None:
    attributes = attribute(1, b"nemo") + cisco(1, b"x")
    assert without(attributes, {(9, 1)}) == attribute(1, b"nemo")
    assert without(attributes, {1}) == cisco(1, b"x")
    assert without(attributes, {(311, 1)}) == attributes


@pytest.mark.parametrize("inside", [b"\1", b"\1\0", b"\1\x09x"])
def test_a_vendor_with_a_format_of_its_own_is_left_whole(inside: bytes) -> None:
    odd = attribute(26, (9).to_bytes(4) + inside)
    assert without(odd, {(9, 1)}) == odd

"""Attributes by name: what a reply must not carry, what a value cannot be, and the octets of what it can."""

from pathlib import Path

import pyrad.dictionary
import pyrad.packet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radiusd_mfa.radius.attributes import AttributeProblem, Dictionary, Kind

DICTIONARIES = Path(__file__).parents[2] / "dictionaries"
SHIPPED = Dictionary.load(DICTIONARIES)
BY_PYRAD = pyrad.dictionary.Dictionary(str(DICTIONARIES / "dictionary"))


def encoded_by_pyrad(name: str, value: str | int) -> bytes:
    packet = pyrad.packet.Packet(code=2, id=0, authenticator=bytes(16), dict=BY_PYRAD)
    packet.AddAttribute(name, value)
    return bytes(packet.ReplyPacket()[20:])


def complaint(name: str, value: str | int, tag: int | None = None, dictionary: Dictionary = SHIPPED) -> str:
    with pytest.raises(AttributeProblem) as problem:
        dictionary.encode(name, value, tag=tag)
    return str(problem.value)


def attempt(name: str, value: str | int, tag: int | None) -> bytes | AttributeProblem:
    try:
        return SHIPPED.encode(name, value, tag=tag)
    except AttributeProblem as problem:
        return problem


def written(folder: Path, text: str) -> Path:
    (folder / "dictionary").write_text(text)
    return folder


# What a reply must not carry


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("User-Password", "a password travels in requests only"),
        ("CHAP-Password", "a password travels in requests only"),
        ("State", "the server makes one for each challenge"),
        ("Vendor-Specific", "name the vendor's attribute, such as Cisco-AVPair"),
        ("Proxy-State", "the server returns those of the request"),
        ("EAP-Message", "this server holds no EAP conversation"),
        ("Message-Authenticator", "the server computes it for every reply"),
        ("Tunnel-Password", "it is encrypted anew for each request"),
        ("MS-MPPE-Send-Key", "it is encrypted anew for each request"),
        ("MS-CHAP-MPPE-Keys", "it is encrypted anew for each request"),
    ],
)
def test_what_a_reply_must_not_carry_is_refused_with_the_reason(name: str, reason: str) -> None:
    sentence = complaint(name, "0x00112233445566778899aabbccddeeff")
    assert sentence.startswith(f"A reply cannot be given {name}: ")
    assert reason in sentence


def test_another_case_of_the_name_does_not_smuggle_it_in() -> None:
    assert "cannot be given Message-Authenticator" in complaint("message-AUTHENTICATOR", "0x00")


# What cannot be encoded


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    assert complaint("Framed-IP-Adress", "192.0.2.7") == (
        'No dictionary defines the attribute "Framed-IP-Adress"; did you mean Framed-IP-Address?'
    )


def test_a_name_like_no_other_is_answered_with_what_to_do() -> None:
    assert complaint("xyzzy", "1") == (
        'No dictionary defines the attribute "xyzzy"; add the dictionary that defines it'
    )


def test_a_name_cannot_write_to_the_terminal_or_fill_it() -> None:
    sentence = complaint("\x1b[2J\n" + "x" * 1000, "1")
    assert sentence.isprintable()
    assert len(sentence) < 200


def test_a_value_is_answered_with_what_to_give() -> None:
    assert complaint("Framed-IP-Netmask", "255.255.255") == (
        '"255.255.255" is no value of Framed-IP-Netmask: give an IPv4 address, such as 192.0.2.7'
    )


def test_a_misspelt_name_of_a_value_is_answered_with_the_nearest() -> None:
    assert complaint("Tunnel-Medium-Type:1", "IEEE802") == (
        '"IEEE802" is no value of Tunnel-Medium-Type: give a whole number from 0 to 4294967295, '
        "or one of its names; did you mean IEEE-802?"
    )


def test_a_value_like_no_name_is_answered_with_the_first() -> None:
    assert complaint("Prompt", "?").endswith("or one of its names; the first is No-Echo")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Session-Timeout", ""),
        ("Session-Timeout", "-1"),
        ("Session-Timeout", -1),
        ("Session-Timeout", 1 << 32),
        ("Session-Timeout", "1_000"),
        ("Session-Timeout", " 7"),
        ("Session-Timeout", "7\n"),
        ("Session-Timeout", "7.5"),
        ("Session-Timeout", "\u0667"),
        ("Session-Timeout", "\uff17"),
        ("Session-Timeout", True),
        ("Filter-Id", ""),
        ("Filter-Id", True),
        ("Filter-Id", "\udcff"),
        ("Class", ""),
        ("Class", "0x"),
        ("Class", "0x1"),
        ("Class", "0xgg"),
        ("Class", "0x00 11"),
        ("Framed-IP-Address", "2001:db8::7"),
        ("Framed-IP-Address", "192.0.2.007"),
        ("Framed-IP-Address", "192.0.2.0/24"),
        ("Framed-IP-Address", 3221225991),
        ("Framed-IPv6-Address", "fe80::1%eth0"),
        ("Framed-IPv6-Address", "192.0.2.7"),
        ("Framed-IPv6-Prefix", "2001:db8::"),
        ("Framed-IPv6-Prefix", "2001:db8::1/64"),
        ("Framed-IPv6-Prefix", "2001:db8::/129"),
        ("Framed-IPv6-Prefix", "192.0.2.0/24"),
        ("Framed-IPv6-Prefix", 64),
        ("Framed-Interface-Id", "1:2:3"),
        ("Event-Timestamp", "tomorrow"),
        ("Event-Timestamp", "2026-12-31T12:00:00"),
        ("Event-Timestamp", "1969-12-31T12:00:00Z"),
        ("Fortinet-WirelessController-Device-MAC", "00:11:22"),
    ],
)
def test_what_is_no_value_of_the_attribute_is_refused(name: str, value: str | int) -> None:
    assert f"is no value of {name}: give " in complaint(name, value)


def test_a_number_too_long_to_be_written_is_refused_too() -> None:
    assert "is no value of Session-Timeout" in complaint("Session-Timeout", 10**5000)
    assert "is no value of Session-Timeout" in complaint("Session-Timeout", "9" * 5000)
    assert "is no value of Filter-Id" in complaint("Filter-Id", 10**5000)


@pytest.mark.parametrize(
    ("name", "value", "largest"),
    [
        ("Filter-Id", "x" * 254, 253),
        ("Filter-Id", "ä" * 127, 253),
        ("Class", "0x" + "00" * 254, 253),
        ("Cisco-AVPair", "x" * 248, 247),
        ("Tunnel-Private-Group-ID:1", "x" * 253, 253),
    ],
)
def test_a_value_too_long_is_refused_with_the_limit(name: str, value: str, largest: int) -> None:
    assert complaint(name, value).endswith(f"shorten it to {largest}")


@pytest.mark.parametrize(
    ("name", "value"), [("Filter-Id", "x" * 253), ("Cisco-AVPair", "x" * 247), ("Tunnel-Assignment-ID:1", "x" * 252)]
)
def test_the_longest_value_fills_the_attribute(name: str, value: str) -> None:
    octets = SHIPPED.encode(name, value)
    assert octets[1] == len(octets) == 255


def test_an_attribute_without_a_tag_takes_none() -> None:
    assert complaint("Filter-Id:1", "staff") == 'Filter-Id has no tag; write its name without ":1"'
    assert complaint("Filter-Id", "staff", tag=1) == 'Filter-Id has no tag; write its name without ":1"'


@pytest.mark.parametrize("tag", ["32", "-1", "", "one", "1_0", "\u0663", "+1", " 1", "1:2"])
def test_a_tag_that_does_not_exist_is_refused(tag: str) -> None:
    assert complaint(f"Tunnel-Type:{tag}", "VLAN").endswith("tags are numbers from 0 to 31")


def test_a_tag_given_twice_must_be_one() -> None:
    assert complaint("Tunnel-Type:1", "VLAN", tag=2).endswith("give one of them")
    assert SHIPPED.encode("Tunnel-Type:1", "VLAN", tag=1) == SHIPPED.encode("Tunnel-Type:1", "VLAN")


def test_a_number_does_not_overrun_into_its_tag() -> None:
    assert "up to 16777215" in complaint("Tunnel-Preference:1", 1 << 24)
    assert "up to 16777215" in complaint("Tunnel-Preference", 1 << 24)


@given(st.text(), st.text() | st.integers(), st.none() | st.integers())
def test_nothing_but_a_problem_escapes_for_any_name(name: str, value: str | int, tag: int | None) -> None:
    with pytest.raises(AttributeProblem):
        SHIPPED.encode(f"no {name}", value, tag=tag)


@given(st.sampled_from(sorted(BY_PYRAD.attributes)), st.text() | st.integers(), st.none() | st.integers(-1, 32))
def test_any_value_of_any_attribute_is_one_whole_attribute_or_a_problem(
    name: str, value: str | int, tag: int | None
) -> None:
    outcome = attempt(name, value, tag)
    if isinstance(outcome, AttributeProblem):
        assert str(outcome).isprintable()
    else:
        assert outcome[1] == len(outcome) > 2


# Octets, by hand


@pytest.mark.parametrize(
    ("name", "value", "octets"),
    [
        ("Framed-IP-Address", "192.0.2.7", "08 06 c0000207"),
        ("Framed-IP-Address", "NAS-Selected", "08 06 fffffffe"),
        ("Filter-Id", "staff", "0b 07 7374616666"),
        ("Filter-Id", "grün", "0b 07 6772c3bc6e"),
        ("Filter-Id", 10, "0b 04 3130"),
        ("Class", "staff", "19 07 7374616666"),
        ("Class", "0x00ff", "19 04 00ff"),
        ("Class", "65", "19 04 3635"),
        ("Class", 65, "19 04 3635"),
        ("Class", "0x30783431", "19 06 30783431"),
        ("Service-Type", "Framed", "06 06 00000002"),
        ("service-type", "framed-user", "06 06 00000002"),
        ("Session-Timeout", 3600, "1b 06 00000e10"),
        ("Session-Timeout", "3600", "1b 06 00000e10"),
        ("Session-Timeout", "0xffffffff", "1b 06 ffffffff"),
        ("Event-Timestamp", "2026-12-31T12:00:00Z", "37 06 6b3643c0"),
        ("Event-Timestamp", 1798718400, "37 06 6b3643c0"),
        ("Tunnel-Type:1", "VLAN", "40 06 01 00000d"),
        ("Tunnel-Type", "VLAN", "40 06 00 00000d"),
        ("Tunnel-Medium-Type:1", "IEEE-802", "41 06 01 000006"),
        ("Tunnel-Private-Group-Id:1", "42", "51 05 01 3432"),
        ("Tunnel-Private-Group-ID:31", 42, "51 05 1f 3432"),
        ("Tunnel-Private-Group-ID:0", "42", "51 05 00 3432"),
        ("Tunnel-Private-Group-ID", "42", "51 04 3432"),
        ("Tunnel-Private-Group-ID", "\x01", "51 04 00 01"),
        ("Framed-IPv6-Prefix", "2001:db8:1::/48", "61 14 00 30 20010db8000100000000000000000000"),
        ("Framed-IPv6-Address", "2001:db8::7", "a8 12 20010db8000000000000000000000007"),
        ("Framed-Interface-Id", "211:22ff:fe33:4455", "60 0a 021122fffe334455"),
        ("Cisco-AVPair", "priv-lvl=15", "1a 13 00000009 01 0d 707269762d6c766c3d3135"),
        ("Fortinet-Group-Name", "vpn", "1a 0b 00003044 01 05 76706e"),
        ("Mikrotik-Group", "full", "1a 0c 00003a8c 03 06 66756c6c"),
        ("MS-Primary-DNS-Server", "192.0.2.53", "1a 0c 00000137 1c 06 c0000235"),
        ("MS-MPPE-Encryption-Policy", "Encryption-Required", "1a 0c 00000137 07 06 00000002"),
        ("Fortinet-WirelessController-Device-MAC", "00:11:22:aa:bb:cc", "1a 0e 00003044 17 08 001122aabbcc"),
        ("Aruba-User-Vlan", 42, "1a 0c 000039e7 02 06 0000002a"),
        ("PaloAlto-User-Group", "it", "1a 0a 00006375 05 04 6974"),
        ("Juniper-Local-User-Name", "op", "1a 0a 00000a4c 01 04 6f70"),
        ("ASA-Group-Policy", "vpn", "1a 0b 00000c04 19 05 76706e"),
    ],
)
def test_an_attribute_has_these_octets(name: str, value: str | int, octets: str) -> None:
    assert SHIPPED.encode(name, value).hex() == bytes.fromhex(octets).hex()


def test_a_tag_may_stand_beside_the_name() -> None:
    assert SHIPPED.encode("Tunnel-Type", "VLAN", tag=1) == SHIPPED.encode("Tunnel-Type:1", "VLAN")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Filter-Id", "staff"),
        ("Service-Type", "Framed"),
        ("Session-Timeout", 3600),
        ("Framed-IP-Address", "192.0.2.7"),
        ("Framed-IPv6-Prefix", "2001:db8:1::/48"),
        ("Tunnel-Type:1", "VLAN"),
        ("Tunnel-Private-Group-ID:1", "42"),
        ("Tunnel-Private-Group-ID", "\x01"),
        ("Cisco-AVPair", "priv-lvl=15"),
        ("Class", "0x00ff"),
    ],
)
def test_pyrad_in_a_packet_gives_the_same_octets(name: str, value: str | int) -> None:
    assert SHIPPED.encode(name, value) == encoded_by_pyrad(name, value)


# Names and numbers


def test_an_unknown_number_has_a_name_that_leads_back_to_it() -> None:
    for kind in (241, (9, 200), (4294967295, 255)):
        assert SHIPPED.kind(SHIPPED.name(kind)) == kind
    assert SHIPPED.name(241) == "Attr-241"
    assert SHIPPED.name((9, 200)) == "Attr-26.9.200"


@pytest.mark.parametrize("name", ["Attr-0", "Attr-256", "Attr-26.9.0", "Attr-26.4294967296.1", "Attr-9.1", "Nobody"])
def test_a_number_that_cannot_be_is_no_attribute(name: str) -> None:
    with pytest.raises(AttributeProblem):
        SHIPPED.kind(name)


@given(st.integers(1, 255) | st.tuples(st.integers(0, 2**32 - 1), st.integers(1, 255)))
def test_every_number_has_a_name_that_leads_back_to_it(kind: Kind) -> None:
    assert SHIPPED.kind(SHIPPED.name(kind)) == kind


# For people


@pytest.mark.parametrize(
    ("octets", "pair"),
    [
        ("02 12 00112233445566778899aabbccddeeff", ("User-Password", "(hidden)")),
        ("03 13 0000112233445566778899aabbccddeeff", ("CHAP-Password", "(hidden)")),
        ("45 05 01 8000", ("Tunnel-Password", "(hidden)")),
        ("1a 0c 00000137 10 06 80001122", ("MS-MPPE-Send-Key", "(hidden)")),
        ("1a 0c 00003a8c 10 06 31323334", ("Mikrotik-Wireless-PSK", "(hidden)")),
        ("18 06 61626364", ("State", "0x61626364")),
        ("50 12 00112233445566778899aabbccddeeff", ("Message-Authenticator", "0x00112233445566778899aabbccddeeff")),
        ("f1 04 6162", ("Attr-241", "0x6162")),
        ("1a 0a 00000009 c8 04 6162", ("Attr-26.9.200", "0x6162")),
        ("1a 09 00000009 01 09 61", ("Vendor-Specific", "0x00000009010961")),
        ("1a 0c 00000009 01 04 6162 ff09", ("Vendor-Specific", "0x0000000901046162ff09")),
        ("1a 06 00000009", ("Vendor-Specific", "0x00000009")),
        ("1a 04 0000", ("Vendor-Specific", "0x0000")),
        ("1b 05 000e10", ("Session-Timeout", "0x000e10")),
        ("0b 04 ff61", ("Filter-Id", "0xff61")),
        ("0b 0a 1b5b324a0a0d00e2", ("Filter-Id", "0x1b5b324a0a0d00e2")),
        ("0b 07 1b5b324a0a", ("Filter-Id", "\\x1b[2J\\n")),
        ("0b 05 e280ae", ("Filter-Id", "\\u202e")),
        ("0b 02", ("Filter-Id", "")),
        ("06 06 00000002", ("Service-Type", "Framed")),
        ("06 06 000000c8", ("Service-Type", "200")),
        ("37 06 6b3643c0", ("Event-Timestamp", "2026-12-31T12:00:00+00:00")),
        ("19 07 7374616666", ("Class", "staff")),
        ("19 06 30783431", ("Class", "0x30783431")),
        ("19 04 ff61", ("Class", "0xff61")),
        ("40 06 01 00000d", ("Tunnel-Type:1", "VLAN")),
        ("51 04 3432", ("Tunnel-Private-Group-ID", "42")),
        ("51 02", ("Tunnel-Private-Group-ID", "")),
    ],
)
def test_an_attribute_is_shown_as(octets: str, pair: tuple[str, str]) -> None:
    assert SHIPPED.describe(bytes.fromhex(octets)) == [pair]


def test_what_follows_a_broken_length_is_shown_as_malformed() -> None:
    octets = bytes.fromhex("06 06 00000002  1b 07 00000e10")
    assert SHIPPED.describe(octets) == [("Service-Type", "Framed"), ("(malformed)", "0x1b0700000e10")]
    assert SHIPPED.describe(bytes.fromhex("06 01 00")) == [("(malformed)", "0x060100")]


def test_several_attributes_of_a_vendor_in_one_are_shown_apart() -> None:
    octets = bytes.fromhex("1a 0e 00003044 01 04 6162 03 04 6364")
    assert SHIPPED.describe(octets) == [("Fortinet-Group-Name", "ab"), ("Fortinet-Vdom-Name", "cd")]


@given(st.binary(max_size=300))
def test_anything_can_be_shown(octets: bytes) -> None:
    assert all(f"{name}{value}".isprintable() for name, value in SHIPPED.describe(octets))


PRINTABLE = st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=60)


@given(PRINTABLE, st.none() | st.integers(1, 31))
def test_a_text_is_shown_as_it_was_given(text: str, tag: int | None) -> None:
    octets = SHIPPED.encode("Tunnel-Client-Endpoint", text, tag=tag) + SHIPPED.encode("Cisco-AVPair", text)
    name = "Tunnel-Client-Endpoint" + (f":{tag}" if tag else "")
    assert SHIPPED.describe(octets) == [(name, text), ("Cisco-AVPair", text)]


@given(st.integers(0, 2**32 - 1), st.ip_addresses(v=4), st.ip_addresses(v=6), st.integers(0, 2**24 - 1))
def test_numbers_and_addresses_come_back(number: int, v4: object, v6: object, preference: int) -> None:
    octets = b"".join(
        [
            SHIPPED.encode("Session-Timeout", number),
            SHIPPED.encode("Framed-IP-Netmask", str(v4)),
            SHIPPED.encode("Framed-IPv6-Address", str(v6)),
            SHIPPED.encode("Tunnel-Preference:3", preference),
        ]
    )
    assert SHIPPED.describe(octets) == [
        ("Session-Timeout", str(number)),
        ("Framed-IP-Netmask", str(v4)),
        ("Framed-IPv6-Address", str(v6)),
        ("Tunnel-Preference:3", str(preference)),
    ]


# Dictionaries of others


def test_a_directory_without_dictionaries_says_where_it_looked(tmp_path: Path) -> None:
    with pytest.raises(AttributeProblem, match="cannot be read") as problem:
        Dictionary.load(tmp_path)
    assert str(tmp_path) in str(problem.value)
    assert isinstance(problem.value.__cause__, OSError)


@pytest.mark.parametrize(
    "line",
    [
        "ATTRIBUTE Half 1",
        "ATTRIBUTE Odd one string",
        "ATTRIBUTE Odd 1 text",
        "BEGIN-VENDOR Nobody",
        "VENDOR Some 99 format",
        "$INCLUDE dictionary",
        "$INCLUDE missing",
    ],
)
def test_a_broken_line_is_a_problem_and_nothing_else(tmp_path: Path, line: str) -> None:
    with pytest.raises(AttributeProblem, match="cannot be read"):
        Dictionary.load(written(tmp_path, line))


def test_a_number_over_an_octet_is_a_problem_when_it_is_sent(tmp_path: Path) -> None:
    own = Dictionary.load(written(tmp_path, "ATTRIBUTE Far 3000 string"))
    assert "correct its number" in complaint("Far", "x", dictionary=own)


def test_a_type_that_cannot_be_sent_is_a_problem_when_it_is(tmp_path: Path) -> None:
    own = Dictionary.load(written(tmp_path, "ATTRIBUTE Nest 200 tlv\nATTRIBUTE Egg 200.1 string"))
    assert "of the type tlv, which cannot be sent" in complaint("Nest", "x", dictionary=own)


def test_a_sub_attribute_is_not_taken_for_that_of_a_vendor(tmp_path: Path) -> None:
    text = "VENDOR Low 200\nATTRIBUTE Nest 200 tlv\nATTRIBUTE Egg 200.1 string\nATTRIBUTE Real 1 integer Low"
    own = Dictionary.load(written(tmp_path, text))
    assert own.name((200, 1)) == "Real"
    assert own.encode("Real", 7).hex() == "1a0c000000c8010600000007"
    assert "No dictionary defines" in complaint("Egg", "x", dictionary=own)


def test_of_two_names_for_one_number_the_first_is_shown(tmp_path: Path) -> None:
    own = Dictionary.load(written(tmp_path, "ATTRIBUTE First 200 string\nATTRIBUTE Second 200 string"))
    assert own.encode("Second", "x") == own.encode("First", "x")
    assert own.describe(own.encode("Second", "x")) == [("First", "x")]

"""The dictionary files themselves: each number once, each name once, and the numbers that the RFCs gave."""

from collections import Counter
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import TypeVar

import pytest
from pyrad.dictionary import Dictionary as PyradDictionary

from radiusd_mfa.radius.attributes import Dictionary, Kind

T = TypeVar("T", bound=Hashable)

DICTIONARIES = Path(__file__).parents[2] / "dictionaries"
FILES = sorted(DICTIONARIES.glob("dictionary.*"))
ROOT = DICTIONARIES / "dictionary"

# Service-Type has the names of RFC 2865 5.6 and those that administrators know from other servers.
ALIASED_VALUES = {"Service-Type"}


def rows(file: Path) -> list[list[str]]:
    return [line.split("#")[0].split() for line in file.read_text(encoding="ascii").splitlines() if line.split("#")[0]]


def attributes_of(file: Path) -> list[tuple[int, int, str]]:
    """(vendor or 0, number, name) of each line, by a reader of our own: pyrad lets a later line replace an earlier."""
    found, vendors, vendor = [], {}, 0
    for keyword, *words in rows(file):
        if keyword == "VENDOR":
            vendors[words[0]] = int(words[1])
        elif keyword == "BEGIN-VENDOR":
            vendor = vendors[words[0]]
        elif keyword == "END-VENDOR":
            vendor = 0
        elif keyword == "ATTRIBUTE":
            found.append((vendor, int(words[1]), words[0]))
    return found


ATTRIBUTES = [each for file in FILES for each in attributes_of(file)]
VALUES = [words[1:] for file in FILES for words in rows(file) if words[0] == "VALUE"]


@pytest.fixture(scope="module")
def dictionary() -> Dictionary:
    return Dictionary.load(DICTIONARIES)


def repeated(items: Sequence[T]) -> list[T]:
    return [item for item, times in Counter(items).items() if times > 1]


def test_no_number_stands_for_two_attributes_of_one_vendor() -> None:
    assert repeated([(vendor, number) for vendor, number, _ in ATTRIBUTES]) == []


def test_no_name_stands_for_two_attributes_even_in_another_case() -> None:
    assert repeated([name.casefold() for _, _, name in ATTRIBUTES]) == []


def test_no_number_leaves_the_octet_it_has() -> None:
    assert [name for _, number, name in ATTRIBUTES if not 1 <= number <= 255] == []


def test_no_name_of_a_value_is_given_twice() -> None:
    assert repeated([(attribute, name.casefold()) for attribute, name, _ in VALUES]) == []


def test_no_value_has_two_names_but_where_it_is_meant() -> None:
    twice = repeated([(attribute, number) for attribute, _, number in VALUES])
    assert {attribute for attribute, _ in twice} == ALIASED_VALUES


def test_no_value_belongs_to_an_attribute_that_does_not_exist() -> None:
    assert {attribute for attribute, _, _ in VALUES} <= {name for _, _, name in ATTRIBUTES}


def test_the_root_includes_every_file_once() -> None:
    assert sorted(words[1] for words in rows(ROOT) if words[0] == "$INCLUDE") == [file.name for file in FILES]


def test_every_line_says_something_that_pyrad_reads() -> None:
    known = {"ATTRIBUTE", "VALUE", "VENDOR", "BEGIN-VENDOR", "END-VENDOR", "$INCLUDE"}
    assert {words[0] for file in [ROOT, *FILES] for words in rows(file)} == known


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_file_opens_with_where_its_facts_come_from(file: Path) -> None:
    first = file.read_text(encoding="ascii").split("\n\n")[0]
    assert first.startswith("# ")
    assert "RFC" in first or "Facts from" in first


def test_pyrad_skips_no_line_and_keeps_every_attribute() -> None:
    read = PyradDictionary(str(ROOT))
    assert read.skipped_attributes == set()
    assert len(read) == len(ATTRIBUTES)


def test_a_file_alone_loads_unless_its_values_belong_to_attributes_of_another() -> None:
    borrow_attributes = {"dictionary.rfc2867", "dictionary.rfc5176", "dictionary.rfc5580"}
    for file in FILES:
        own = {name for _, _, name in attributes_of(file)}
        borrowed = {words[1] for words in rows(file) if words[0] == "VALUE"} - own
        assert bool(borrowed) == (file.name in borrow_attributes), file.name


# One line an RFC: every number that it assigned.
ASSIGNED = {
    "rfc2865": {*range(1, 17), 18, 19, 20, *range(22, 40), 60, 61, 62, 63},
    "rfc2866": {*range(40, 52)},
    "rfc2867": {68, 86},
    "rfc2868": {64, 65, 66, 67, 69, 81, 82, 83, 90, 91},
    "rfc2869": {52, 53, 55, *range(70, 81), 84, 85, 87, 88},
    "rfc3162": {*range(95, 101)},
    "rfc4372": {89},
    "rfc4675": {56, 57, 58, 59},
    "rfc4818": {123},
    "rfc4849": {92},
    "rfc5176": {101},
    "rfc5580": {*range(126, 133)},
    "rfc5997": set(),
    "rfc6911": {*range(168, 173)},
}


@pytest.mark.parametrize(("rfc", "numbers"), ASSIGNED.items())
def test_an_rfc_s_file_has_all_its_attributes_and_no_others(rfc: str, numbers: set[int]) -> None:
    assert {number for _, number, _ in attributes_of(DICTIONARIES / f"dictionary.{rfc}")} == numbers


def test_every_rfc_s_file_is_in_the_table_above() -> None:
    assert {file.name.removeprefix("dictionary.") for file in FILES if ".rfc" in file.name} == set(ASSIGNED)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("User-Name", 1),  # RFC 2865 5.1
        ("Framed-IP-Address", 8),  # 5.8
        ("Filter-Id", 11),  # 5.11
        ("Reply-Message", 18),  # 5.18
        ("State", 24),  # 5.24
        ("Class", 25),  # 5.25
        ("Session-Timeout", 27),  # 5.27
        ("Termination-Action", 29),  # 5.29
        ("Calling-Station-Id", 31),  # 5.31
        ("NAS-Identifier", 32),  # 5.32
        ("Proxy-State", 33),  # 5.33
        ("NAS-Port-Type", 61),  # 5.41
        ("Acct-Status-Type", 40),  # RFC 2866 5.1
        ("Acct-Session-Id", 44),  # 5.5
        ("Acct-Terminate-Cause", 49),  # 5.10
        ("Tunnel-Type", 64),  # RFC 2868 3.1
        ("Tunnel-Medium-Type", 65),  # 3.2
        ("Tunnel-Private-Group-ID", 81),  # 3.6
        ("Message-Authenticator", 80),  # RFC 2869 5.14
        ("Acct-Interim-Interval", 85),  # 5.16
        ("Framed-Pool", 88),  # 5.18
        ("Framed-IPv6-Prefix", 97),  # RFC 3162 2.3
        ("Chargeable-User-Identity", 89),  # RFC 4372 2.2
        ("Delegated-IPv6-Prefix", 123),  # RFC 4818 3
        ("Error-Cause", 101),  # RFC 5176 3.5
        ("Operator-Name", 126),  # RFC 5580 4.1
        ("Framed-IPv6-Address", 168),  # RFC 6911 3.1
        ("MS-MPPE-Send-Key", (311, 16)),  # RFC 2548 2.4.2
        ("MS-MPPE-Recv-Key", (311, 17)),  # 2.4.3
        ("MS-CHAP2-Success", (311, 26)),  # 2.3.3
        ("MS-Primary-DNS-Server", (311, 28)),  # 2.7
        ("Cisco-AVPair", (9, 1)),
        ("ASA-Group-Policy", (3076, 25)),
        ("ASA-Address-Pools", (3076, 217)),
        ("Fortinet-Group-Name", (12356, 1)),
        ("PaloAlto-Admin-Role", (25461, 1)),
        ("PaloAlto-User-Group", (25461, 5)),
        ("Mikrotik-Group", (14988, 3)),
        ("Mikrotik-Rate-Limit", (14988, 8)),
        ("Juniper-Local-User-Name", (2636, 1)),
        ("Aruba-User-Role", (14823, 1)),
    ],
)
def test_an_attribute_has_the_number_that_it_was_given(dictionary: Dictionary, name: str, kind: Kind) -> None:
    assert dictionary.kind(name) == kind
    assert dictionary.name(kind) == name


@pytest.mark.parametrize(
    ("name", "value", "number"),
    [
        ("Service-Type", "Framed", 2),  # RFC 2865 5.6
        ("Service-Type", "Framed-User", 2),
        ("Service-Type", "NAS-Prompt", 7),
        ("Service-Type", "Administrative-User", 6),
        ("Framed-Compression", "Van-Jacobson-TCP-IP", 1),  # 5.13
        ("Login-Service", "TCP-Clear-Quiet", 8),  # 5.15: 7 was never assigned
        ("Termination-Action", "RADIUS-Request", 1),  # 5.29
        ("NAS-Port-Type", "Virtual", 5),  # 5.41
        ("Acct-Status-Type", "Interim-Update", 3),  # RFC 2866 5.1
        ("Acct-Status-Type", "Tunnel-Link-Reject", 14),  # RFC 2867 3.6
        ("Acct-Terminate-Cause", "Host-Request", 18),  # RFC 2866 5.10
        ("Tunnel-Medium-Type", "IEEE-802", 6),  # RFC 2868 3.2
        ("Tunnel-Type", "VLAN", 13),  # RFC 3580 3.31
        ("Prompt", "Echo", 1),  # RFC 2869 5.10
        ("Error-Cause", "Session-Context-Not-Found", 503),  # RFC 5176 3.5
        ("MS-MPPE-Encryption-Types", "RC4-128bit-Allowed", 4),  # RFC 2548 2.4.5: the bit S
    ],
)
def test_a_named_value_is_the_number_that_it_was_given(
    dictionary: Dictionary, name: str, value: str, number: int
) -> None:
    assert dictionary.encode(name, value)[-4:] == number.to_bytes(4)


def test_what_the_rfcs_encrypt_is_marked_so() -> None:
    read = PyradDictionary(str(ROOT))
    assert {name for name, each in read.attributes.items() if each.encrypt} == {
        "User-Password",
        "Tunnel-Password",
        "MS-CHAP-MPPE-Keys",
        "MS-MPPE-Send-Key",
        "MS-MPPE-Recv-Key",
        "Aruba-MPSK-Passphrase",
    }


def test_exactly_the_tunnel_attributes_have_tags() -> None:
    read = PyradDictionary(str(ROOT))
    tagged = {each.code for each in read.attributes.values() if each.has_tag}
    assert tagged == ASSIGNED["rfc2868"]

"""Reply profiles: each wrong line is named, and what is right has one spelling and fits into every reply."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radiusd_mfa.radius.attributes import Dictionary
from radiusd_mfa.radius.packet import ATTRIBUTES_LIMIT
from radiusd_mfa.radius.profiles import LINES_LIMIT, PROFILE_LIMIT, ProfileProblem, check_profile, encode_profile

SHIPPED = Dictionary.load(Path(__file__).parents[2] / "dictionaries")
VLAN = 'Tunnel-Type:1 = VLAN\nTunnel-Medium-Type:1 = "IEEE-802"\nTunnel-Private-Group-Id:1 = "20"\n'


def complaints(text: str) -> tuple[str, ...]:
    with pytest.raises(ProfileProblem) as problem:
        check_profile(text, SHIPPED)
    with pytest.raises(ProfileProblem) as again:
        encode_profile(text, SHIPPED)
    assert again.value.complaints == problem.value.complaints
    return problem.value.complaints


def check(text: str) -> str:
    return check_profile(text, SHIPPED)


def described(text: str) -> list[tuple[str, str]]:
    return SHIPPED.describe(encode_profile(text, SHIPPED).octets)


def test_every_wrong_line_is_named_with_its_number() -> None:
    text = '# staff\n\nFilter-Idd = "staff"\nFilter-Id = "staff"\nFramed-MTU = large\nTunnel-Password:1 = "x"'
    found = complaints(text)
    assert [complaint.partition(":")[0] for complaint in found] == ["line 3", "line 5", "line 6"]
    assert "did you mean Filter-Id?" in found[0]
    assert "give a whole number" in found[1]
    assert "cannot be given" in found[2]


@pytest.mark.parametrize(
    "line",
    [
        *("Filter-Id", "Filter-Id =", '= "staff"', '"Filter-Id" = "staff"', 'Filter-Id := "staff"', "Filter Id = x"),
        *('Filter-Id = "staff', 'Filter-Id = staff"', "Filter-Id = 'staff'", 'Filter-Id = "a"b"', 'Filter-Id = ""'),
        *('Filter-Id = "a\\b"', 'Filter-Id = "a\\"', 'Filter-Id = "a" "b"', 'Filter-Id = "\x1b[2J"', "Filter-Id\t=\0"),
        *("Session-Timeout = 0", "Tunnel-Type:32 = VLAN", "Filter-Id:1 = x", "Framed-IP-Address = 192.0.2.300"),
    ],
)
def test_a_line_that_cannot_be_sent_is_refused(line: str) -> None:
    found = complaints(f"{VLAN}{line}")
    assert [complaint[:7] for complaint in found] == ["line 4:"]
    assert found[0].isprintable()


def test_what_a_reply_carries_once_stands_once() -> None:
    found = complaints("Framed-IP-Address = 192.0.2.7\nClass = a\nClass = b\nframed-ip-address = 192.0.2.8")
    assert found == ("line 4: Framed-IP-Address stands in line 1 already, and a reply carries one; drop one",)


def test_more_than_fits_into_a_reply_is_refused() -> None:
    line = f'Class = "{"x" * 248}"\n'  # 250 octets
    fits = PROFILE_LIMIT // 250
    assert len(encode_profile(line * fits, SHIPPED).octets) == fits * 250
    assert complaints(line * (fits + 1))[0].startswith("Its attributes take")
    assert check('Class = "x"\n' * LINES_LIMIT).count("\n") == LINES_LIMIT - 1
    assert complaints('Class = "x"\n' * (LINES_LIMIT + 1))[0].startswith(f"It has {LINES_LIMIT + 1} attributes")


def test_a_profile_has_one_spelling() -> None:
    text = '  filter-id=staff \r\n\n # for the office\nTUNNEL-TYPE:01 = VLAN\nCisco-AVPair = "shell:priv-lvl=15"'
    normalised = 'Filter-Id = "staff"\n# for the office\nTunnel-Type:1 = "VLAN"\nCisco-AVPair = "shell:priv-lvl=15"'
    assert check(text) == normalised
    assert check(normalised) == normalised
    assert encode_profile(text, SHIPPED) == encode_profile(normalised, SHIPPED)


def test_a_profile_is_sent_in_its_order() -> None:
    assert described(VLAN + "Filter-Id = staff\nCisco-AVPair = shell:priv-lvl=15") == [
        ("Tunnel-Type:1", "VLAN"),
        ("Tunnel-Medium-Type:1", "IEEE-802"),
        ("Tunnel-Private-Group-ID:1", "20"),
        ("Filter-Id", "staff"),
        ("Cisco-AVPair", "shell:priv-lvl=15"),
    ]


@given(st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=60))
def test_every_text_that_can_be_seen_can_be_sent(value: str) -> None:
    quoted = value.replace("\\", "\\\\").replace('"', '\\"')
    line = f'Filter-Id = "{quoted}"'
    assert check(line) == line
    assert encode_profile(line, SHIPPED).octets[2:] == value.encode()


def test_no_profile_at_all_is_no_octets() -> None:
    assert encode_profile("# nothing yet\n\n", SHIPPED).octets == b""
    assert check("\n") == ""


# The end of a session


def test_a_profile_is_sent_as_it_is_where_no_period_ends() -> None:
    profile = encode_profile("Session-Timeout = 3600\nTermination-Action = Default\nClass = a", SHIPPED)
    assert profile.limited_to(None) == profile.octets


@pytest.mark.parametrize(("own", "period", "sent"), [(3600, 60, "60"), (60, 3600, "60"), (60, 60, "60")])
def test_the_sooner_end_of_a_session_is_sent_once(own: int, period: int, sent: str) -> None:
    profile = encode_profile(f"Session-Timeout = {own}\nTermination-Action = Default\nClass = a", SHIPPED)
    assert SHIPPED.describe(profile.limited_to(period)) == [
        ("Class", "a"),
        ("Session-Timeout", sent),
        ("Termination-Action", "RADIUS-Request"),
    ]


def test_the_longest_profile_leaves_room_for_the_servers_own() -> None:
    assert ATTRIBUTES_LIMIT - PROFILE_LIMIT >= 12 + 2 * 250

"""One spelling per person and per password, and nothing of a password in an error."""

import traceback

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from precis_i18n import get_profile

from radiusd_mfa.core.names import (
    NameProblem,
    PasswordProblem,
    Username,
    check_new_password,
    escaped,
    prepare_password,
    prepare_realm,
)

VISIBLE_ASCII = st.characters(min_codepoint=0x21, max_codepoint=0x7E)
PRINTABLE_ASCII = st.characters(min_codepoint=0x20, max_codepoint=0x7E)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"ali\xffce",
        b"alice\r",
        b"al\nice",
        b"\x1b[2Jalice",
        b"alice\0",
        b"alice\x7f",
        "ali\u0085ce".encode(),
        b" ",
        b"a b",
    ],
)
def test_a_name_that_could_forge_a_log_line_or_is_no_text_is_refused(raw: bytes) -> None:
    with pytest.raises(NameProblem):
        Username.parse(raw)


@pytest.mark.parametrize("raw", ["\ud800", "alice\udcff", "\u200balice", "ali\u202ece", "al\u00a0ice"])
def test_invisible_characters_and_lone_surrogates_are_refused(raw: str) -> None:
    with pytest.raises(NameProblem):
        Username.parse(raw)


def test_a_name_over_253_octets_is_refused() -> None:
    with pytest.raises(NameProblem, match="at most 253 octets, this one has 254"):
        Username.parse("a" * 254)
    with pytest.raises(NameProblem, match="at most 253 octets, this one has 254"):
        Username.parse("é" * 127)
    assert Username.parse("a" * 253).text == "a" * 253


def test_a_name_that_outgrows_253_octets_in_lower_case_is_refused() -> None:
    with pytest.raises(NameProblem, match="in lower case"):
        Username.parse("İ" * 126)


def test_the_complaint_about_a_name_is_one_printable_sentence() -> None:
    with pytest.raises(NameProblem) as caught:
        Username.parse(b"eve\x1b[31m\r\nAccess-Accept")
    assert str(caught.value).isprintable()
    assert r"“eve\x1b[31m\r\nAccess-Accept”" in str(caught.value)
    assert "U+001B" in str(caught.value)


def test_a_mixed_up_direction_of_writing_is_refused() -> None:
    with pytest.raises(NameProblem, match="bidi_rule"):
        Username.parse("aא")


def test_homoglyphs_are_other_people() -> None:
    latin, cyrillic = Username.parse("alice"), Username.parse("\u0430lice")
    assert latin != cyrillic


@pytest.mark.parametrize("raw", ["ALICE", "Alice", b"aLiCe", "\uff21\uff2c\uff29\uff23\uff25", "\uff41lice"])
def test_upper_case_and_full_width_letters_are_the_same_person(raw: bytes | str) -> None:
    assert Username.parse(raw) == Username("alice")


def test_a_composed_and_a_decomposed_letter_are_the_same_person() -> None:
    assert Username.parse("JOSE\u0301") == Username.parse("josé") == Username("josé")


@pytest.mark.parametrize("raw", ["CORP\\alice", "alice@corp.example", "alice+vpn", "aa:bb:cc"])
def test_a_name_may_hold_what_realms_are_written_with(raw: str) -> None:
    assert Username.parse(raw).text == raw.lower()


@given(st.text(VISIBLE_ASCII, min_size=1, max_size=253))
def test_the_short_way_for_ascii_names_agrees_with_precis(name: str) -> None:
    assert Username.parse(name).text == get_profile("UsernameCaseMapped").enforce(name)


@given(st.text(min_size=1, max_size=40))
@example("ŉ")
@example("ς\u0345")
def test_a_prepared_name_prepares_to_itself_from_text_and_from_octets(name: str) -> None:
    try:
        prepared = Username.parse(name)
    except NameProblem:
        return
    assert Username.parse(prepared.text) == Username.parse(name.encode()) == prepared


@given(st.binary(max_size=300))
def test_no_octets_make_a_name_raise_anything_but_a_name_problem(raw: bytes) -> None:
    try:
        text = Username.parse(raw).text
    except NameProblem as problem:
        text = str(problem)
    assert text.isprintable()


@pytest.mark.parametrize(
    "raw", [b"", b"pw\0x", b"pa\xffss", b"pw\n", b"\x1b", "pw\u0085".encode(), "a\u200bb".encode()]
)
def test_what_is_no_text_is_no_password(raw: bytes) -> None:
    with pytest.raises(PasswordProblem):
        prepare_password(raw)


@pytest.mark.parametrize("raw", [b"canary\xff", b"canary\x07", "canary\udcff", "canary" + "é" * 64, "canary\u200b"])
def test_no_error_and_no_traceback_holds_the_password(raw: bytes | str) -> None:
    with pytest.raises(PasswordProblem) as caught:
        prepare_password(raw)
    assert "canary" not in "".join(traceback.format_exception(caught.value))
    # A UnicodeError in the chain would carry the whole text in its arguments.
    assert caught.value.__context__ is None


def test_passwords_keep_case_spaces_and_width() -> None:
    assert prepare_password(b"  Pa Ss ") == "  Pa Ss "
    assert prepare_password("\uff30\uff41".encode()) == "\uff30\uff41"


def test_passwords_are_composed_and_their_spaces_are_ascii() -> None:
    assert prepare_password("pa\u00a0sse\u0301".encode()) == "pa ssé"


def test_128_octets_are_a_password_and_129_are_not() -> None:
    assert prepare_password(b"x" * 128) == "x" * 128
    with pytest.raises(PasswordProblem, match="at most 128 octets"):
        prepare_password(b"x" * 129)


@given(st.text(PRINTABLE_ASCII, min_size=1, max_size=128))
def test_the_short_way_for_ascii_passwords_agrees_with_precis(password: str) -> None:
    assert prepare_password(password.encode()) == get_profile("OpaqueString").enforce(password)


@given(st.binary(max_size=140))
def test_no_octets_make_a_password_raise_anything_but_a_password_problem(raw: bytes) -> None:
    try:
        prepared = prepare_password(raw)
    except PasswordProblem:
        return
    assert prepare_password(prepared) == prepared


@pytest.mark.parametrize("text", ["", "x" * 112, "é" * 56])
def test_a_new_password_that_leaves_no_room_for_a_code_is_refused(text: str) -> None:
    with pytest.raises(PasswordProblem):
        check_new_password(text)


def test_the_refusal_of_a_new_password_names_the_limit_and_not_the_password() -> None:
    with pytest.raises(PasswordProblem) as caught:
        check_new_password("canary" * 20)
    assert "at most 111 octets, this one has 120" in str(caught.value)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("text", ["x" * 111, "é" * 55, "x"])
def test_a_new_password_may_fill_the_room_beside_the_longest_code(text: str) -> None:
    check_new_password(text)
    assert len(text.encode() + b"ab3de-fgh4k-mnp5q") <= 128


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"a\x1b[2J\r\n\0", r"a\x1b[2J\r\n\x00"),
        (b"\xff\xc3\xa9", r"\xffé"),
        ("a\u202eb\U000e0001", r"a\u202eb\U000e0001"),
        ("\ud800", r"\ud800"),
        ("CORP\\alice", r"CORP\\alice"),
        (b"", ""),
    ],
)
def test_foreign_text_is_shown_printable(raw: bytes | str, shown: str) -> None:
    assert escaped(raw) == shown


def test_a_typed_escape_does_not_look_like_the_character() -> None:
    assert escaped("\x1b") != escaped(r"\x1b")


def test_long_foreign_text_is_cut_and_shows_that_it_was() -> None:
    assert escaped("x" * 64) == "x" * 64
    assert escaped(b"x" * 10_000) == "x" * 64 + "…"
    assert escaped("\n" * 10_000, limit=5) == r"\n\n…"


@given(st.one_of(st.binary(), st.text()), st.integers(1, 80))
def test_whatever_is_shown_is_printable_and_bounded(raw: bytes | str, limit: int) -> None:
    shown = escaped(raw, limit)
    assert shown.isprintable()
    assert len(shown) <= limit + 1


# Realms


@pytest.mark.parametrize(
    "raw", ["alice", "@", "\\\\", "alice@", "@corp.example", "corp\\", "\\\\alice", "@\\\\", "a" * 253]
)
def test_a_name_without_a_realm_or_without_anybody_before_it_has_none(raw: str) -> None:
    assert Username.parse(raw).without_realm() is None


def test_a_part_that_is_no_name_leaves_the_whole_without_a_realm() -> None:
    """By the Bidi Rule a name from the right must not end in a dash (RFC 5893 2), and a longer one may contain it."""
    assert Username.parse("\u05d0-@\u05d0").without_realm() is None
    with pytest.raises(NameProblem):
        Username.parse("\u05d0-")


@pytest.mark.parametrize(
    ("raw", "realm", "name"),
    [
        ("Alice@CORP.example", "corp.example", "alice"),
        ("CORP\\Alice", "corp", "alice"),
        ("alice@example.org@corp", "corp", "alice@example.org"),
        ("CORP\\alice@sales", "sales", "corp\\alice"),
        ("a\\b\\c", "a", "b\\c"),
        ("alicé@BÜRO", "büro", "alicé"),
    ],
)
def test_a_realm_stands_behind_the_last_at_or_before_the_first_backslash(raw: str, realm: str, name: str) -> None:
    assert Username.parse(raw).without_realm() == (realm, Username(name))


@given(st.text(VISIBLE_ASCII.filter(lambda c: c not in "@\\"), min_size=1, max_size=100))
def test_both_ways_to_write_a_realm_mean_the_same(realm: str) -> None:
    split = Username.parse(f"alice@{realm}").without_realm()
    assert split == (prepare_realm(realm), Username("alice"))
    assert Username.parse(f"{realm}\\alice").without_realm() == split


@pytest.mark.parametrize("raw", ["", "@corp", "corp\\", "a@b", "co rp", "\x1b[2J"])
def test_what_is_no_realm_is_refused(raw: str) -> None:
    with pytest.raises(NameProblem):
        prepare_realm(raw)

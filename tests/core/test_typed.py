"""Typed text: every reading that could be meant, none that couldn't."""

from base64 import b64encode

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from radiusd_mfa.core.backup_codes import ALPHABET, LETTERS, BackupCode
from radiusd_mfa.core.names import PasswordProblem, prepare_password
from radiusd_mfa.core.typed import Answer, Reading, TotpCode, Typed, answer, appended, selectors

CODE = TotpCode("492039")
BACKUP = BackupCode("ab", "3defgh4kmnp5q")
SEPARATORS = ",; "


def scrv1(password: bytes, response: bytes) -> bytes:
    return b"SCRV1:" + b64encode(password) + b":" + b64encode(response)


def is_password(text: str) -> bool:
    try:
        prepare_password(text)
    except PasswordProblem:
        return False
    return True


PASSWORDS = st.one_of(
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=60),
    st.text("0123456789,; -", min_size=1, max_size=30),
    st.text(st.sampled_from([*ALPHABET, "-", "\u0301", "é", "\uff14", "א"]), min_size=1, max_size=30),
    st.text(min_size=1, max_size=20),
    st.just("SCRV1:cHc=:no-sense"),
).filter(is_password)
TOTP_CODES = st.from_regex(r"[0-9]{6}|[0-9]{8}", fullmatch=True).map(TotpCode)
BACKUP_CODES = st.builds(
    lambda body, last: BackupCode(body[:2], body[2:] + last),
    st.text(ALPHABET, min_size=14, max_size=14),
    st.sampled_from(LETTERS),
)


@st.composite
def typed_codes(draw: st.DrawFn) -> tuple[TotpCode | BackupCode, str]:
    """Draw a code and one of the ways to type it."""
    code = draw(st.one_of(TOTP_CODES, BACKUP_CODES))
    if isinstance(code, TotpCode):
        return code, code.digits
    return code, draw(st.sampled_from([code.shown, code.canonical, code.shown.upper()]))


# What has no reading at all.


def test_an_empty_text_is_refused_before_anybody_is_asked() -> None:
    assert appended(b"") == Typed((), "empty-password")


@pytest.mark.parametrize(
    "raw", [b"hunter\xff492039", b"pw\0", b"pw\0" + b"492039", b"\x1b492039", b"pw\r\n", b"\0" * 16]
)
def test_what_is_no_text_is_refused_without_an_exception(raw: bytes) -> None:
    assert appended(raw) == Typed((), "not-text")
    assert appended(raw, separators=SEPARATORS, code_first=True) == Typed((), "not-text")


@given(st.binary(max_size=128), st.booleans())
def test_no_octets_raise_and_every_text_has_readings_or_a_refusal(raw: bytes, code_first: bool) -> None:
    typed = appended(raw, digit_lengths=(6, 8), separators=SEPARATORS, code_first=code_first)
    assert bool(typed.readings) != bool(typed.refusal)
    assert all(reading.password for reading in typed.readings)
    assert len(selectors(typed)) <= 2
    answer(raw)


def test_a_code_alone_is_only_ever_a_password() -> None:
    assert appended(b"492039") == Typed((Reading("492039"),))
    assert appended(b"ab3de-fgh4k-mnp5q") == Typed((Reading("ab3de-fgh4k-mnp5q"),))


def test_a_separator_is_no_password_by_being_left_over() -> None:
    assert appended(b",492039", separators=",") == Typed((Reading(",", CODE), Reading(",492039")))


# Password and code in one text.


def test_a_code_behind_the_password_is_the_likelier_reading() -> None:
    assert appended(b"hunter2492039") == Typed((Reading("hunter2", CODE), Reading("hunter2492039")))


def test_each_length_of_code_is_tried_in_the_order_given() -> None:
    readings = appended(b"hunter12345678", digit_lengths=(8, 6)).readings
    assert readings == (
        Reading("hunter", TotpCode("12345678")),
        Reading("hunter12", TotpCode("345678")),
        Reading("hunter12345678"),
    )


@pytest.mark.parametrize("raw", [b"hunter49203", b"hunter492039!", b"hunter492039 ", b"hunter 492 039", b"hunterx"])
def test_a_text_that_ends_in_no_code_is_all_password(raw: bytes) -> None:
    assert appended(raw) == Typed((Reading(raw.decode()),))


@pytest.mark.parametrize(
    "digits", ["\uff14\uff19\uff12\uff10\uff13\uff19", "\u0664\u0669\u0662\u0660\u0663\u0669", "49203\u00b2"]
)
def test_digits_of_other_scripts_belong_to_the_password(digits: str) -> None:
    assert appended(f"hunter{digits}".encode()) == Typed((Reading(f"hunter{digits}"),))


@pytest.mark.parametrize(
    "shape", ["ab3de-fgh4k-mnp5q", "ab3defgh4kmnp5q", "AB3DE-FGH4K-MNP5Q", "ab3de fgh4k mnp5q", "AB3DE FGH4K-MNP5Q"]
)
def test_a_backup_code_is_read_with_its_dashes_with_spaces_in_their_places_and_without(shape: str) -> None:
    typed = appended(b"hunter2" + shape.encode())
    assert typed == Typed((Reading("hunter2", BACKUP), Reading("hunter2" + shape)))
    assert selectors(typed) == ("ab",)


@pytest.mark.parametrize(
    "shape",
    [
        "ab3 defgh4k mnp5q",
        "ab3-defgh4k-mnp5q",
        "ab3de-fgh4kmnp5q",
        "ab3de fgh4kmnp5q",
        "ab3de-fgh4k-mnp56",
        "ab3de-fgl4k-mnp5q",
        "ab3de_fgh4k_mnp5q",
    ],
)
def test_dashes_and_spaces_out_of_place_and_strange_letters_make_no_backup_code(shape: str) -> None:
    typed = appended(b"hunter2!" + shape.encode())
    assert typed == Typed((Reading("hunter2!" + shape),))
    assert selectors(typed) == ()


@given(PASSWORDS, typed_codes())
def test_whatever_the_password_the_reading_that_was_meant_is_among_them(
    password: str, coded: tuple[TotpCode | BackupCode, str]
) -> None:
    code, shape = coded
    raw = (password + shape).encode()
    assume(len(raw) <= 128)
    typed = appended(raw, digit_lengths=(6, 8))
    assert Reading(prepare_password(password), code) in typed.readings
    assert typed.readings[-1] == Reading(prepare_password(password + shape))


@given(PASSWORDS, typed_codes(), st.sampled_from(["", *SEPARATORS]))
def test_nas_entries_with_separators_still_take_every_password(
    password: str, coded: tuple[TotpCode | BackupCode, str], separator: str
) -> None:
    code, shape = coded
    raw = (password + separator + shape).encode()
    assume(len(raw) <= 128)
    readings = appended(raw, digit_lengths=(6, 8), separators=SEPARATORS).readings
    assert Reading(prepare_password(password), code) in readings


@given(PASSWORDS, typed_codes(), st.sampled_from(["", *SEPARATORS]))
def test_nas_entries_with_the_code_first_still_take_every_password(
    password: str, coded: tuple[TotpCode | BackupCode, str], separator: str
) -> None:
    code, shape = coded
    raw = (shape + separator + password).encode()
    assume(len(raw) <= 128)
    readings = appended(raw, digit_lengths=(6, 8), separators=SEPARATORS, code_first=True).readings
    assert Reading(prepare_password(password), code) in readings


@given(PASSWORDS)
def test_a_password_without_a_code_is_always_a_reading(password: str) -> None:
    assert Reading(prepare_password(password)) in appended(password.encode()).readings


@given(PASSWORDS, TOTP_CODES, BACKUP_CODES)
def test_the_end_of_the_text_says_which_kind_of_code_there_may_be(
    password: str, code: TotpCode, backup_code: BackupCode
) -> None:
    digits = (password + code.digits).encode()
    letters = (password + backup_code.shown).encode()
    assume(len(letters) <= 128)
    assert selectors(appended(digits)) == ()
    assert not any(isinstance(reading.code, TotpCode) for reading in appended(letters).readings)


# Separators, and the code first.


def test_the_separated_reading_comes_before_the_unseparated_one() -> None:
    assert appended(b"hunter2,492039", separators=SEPARATORS) == Typed(
        (Reading("hunter2", CODE), Reading("hunter2,", CODE), Reading("hunter2,492039"))
    )


def test_a_separator_that_the_nas_entry_does_not_name_belongs_to_the_password() -> None:
    assert Reading("hunter2", CODE) not in appended(b"hunter2;492039", separators=",").readings
    assert Reading("hunter2", CODE) not in appended(b"hunter2;492039").readings


def test_only_one_separator_is_taken_off() -> None:
    passwords = [reading.password for reading in appended(b"hunter2,,492039", separators=",").readings]
    assert passwords == ["hunter2,", "hunter2,,", "hunter2,,492039"]


def test_the_code_is_looked_for_in_front_where_the_nas_entry_says_so() -> None:
    assert appended(b"492039hunter2", code_first=True) == Typed((Reading("hunter2", CODE), Reading("492039hunter2")))
    assert appended(b"ab3de-fgh4k-mnp5q;hunter2", code_first=True, separators=";") == Typed(
        (Reading("hunter2", BACKUP), Reading(";hunter2", BACKUP), Reading("ab3de-fgh4k-mnp5q;hunter2"))
    )


def test_the_code_is_not_looked_for_at_the_other_end() -> None:
    assert appended(b"492039hunter", code_first=False) == Typed((Reading("492039hunter"),))
    assert appended(b"hunter492039", code_first=True) == Typed((Reading("hunter492039"),))


# OpenVPN's static challenge.


@pytest.mark.parametrize(
    ("raw", "refusal"),
    [
        (scrv1(b"", b"492039"), "empty-password"),
        (scrv1(b"", b""), "empty-password"),
        (scrv1(b"pa\xffss", b"492039"), "not-text"),
        (scrv1(b"pw\0", b"492039"), "not-text"),
        (scrv1(b"hunter2", b"49203"), "scrv1"),
        (scrv1(b"hunter2", b"\xff"), "scrv1"),
        (scrv1(b"hunter2", b" "), "scrv1"),
        (scrv1(b"hunter2", "\uff14\uff19\uff12\uff10\uff13\uff19".encode()), "scrv1"),
        (scrv1(b"hunter2", b"what now?"), "scrv1"),
    ],
)
def test_a_static_challenge_that_makes_no_sense_is_refused(raw: bytes, refusal: str) -> None:
    typed = appended(raw)
    assert typed.readings == ()
    assert typed.refusal == refusal


@pytest.mark.parametrize(
    ("response", "reading"),
    [
        (b"492039", Reading("hunter2", CODE)),
        (b"492 039", Reading("hunter2", CODE)),
        (b"AB3DE-FGH4K-MNP5Q", Reading("hunter2", BACKUP)),
        (b"ab3defgh4kmnp5q", Reading("hunter2", BACKUP)),
        (b"SMS", Reading("hunter2", word="sms")),
        (b"", Reading("hunter2")),
    ],
)
def test_a_static_challenge_has_exactly_one_reading(response: bytes, reading: Reading) -> None:
    assert appended(scrv1(b"hunter2", response)) == Typed((reading,))
    assert appended(scrv1(b"hunter2", response), code_first=True, separators=SEPARATORS) == Typed((reading,))


def test_a_password_in_a_static_challenge_is_not_taken_apart() -> None:
    assert appended(scrv1(b"hunter2111111", b"492039")) == Typed((Reading("hunter2111111", CODE),))


@pytest.mark.parametrize(
    "password",
    [
        "SCRV1:",
        "SCRV1:x",
        "SCRV1:cHc=",
        "SCRV1:cHc=:not-base64",
        "SCRV1:cH:cHc=",
        "SCRV1:c!Hc=:NDkyMDM5",
        "SCRV1:cHc=:cHc=:",
        "scrv1:cHc=:cHc=",
    ],
)
def test_a_password_that_only_begins_like_a_static_challenge_is_a_password(password: str) -> None:
    assert Reading(password) in appended(password.encode()).readings
    assert Reading(password, CODE) in appended(password.encode() + b"492039").readings


@given(PASSWORDS, typed_codes())
def test_a_static_challenge_gives_every_password_back(password: str, coded: tuple[TotpCode | BackupCode, str]) -> None:
    code, shape = coded
    assume(len(password.encode()) <= 128)
    typed = appended(scrv1(password.encode(), shape.encode()), digit_lengths=(6, 8))
    assert typed == Typed((Reading(prepare_password(password), code),))


# The answer to a challenge.


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"   ",
        b"49203",
        b"4920391",
        b"492039\0",
        b"492-039",
        b"\xff",
        "\uff14\uff19\uff12\uff10\uff13\uff19".encode(),
        "s\u043cs".encode(),
        b"hunter2",
        b"two words",
        b"x" * 17,
        b"ab3de-fgh4k-mnp56",
    ],
)
def test_an_answer_that_is_neither_code_nor_word_is_nothing(raw: bytes) -> None:
    assert answer(raw) == Answer()


@pytest.mark.parametrize("raw", [b"492039", b"  492039 ", b"492 039", b"4 9 2 0 3 9"])
def test_an_answer_may_have_the_spaces_that_apps_show(raw: bytes) -> None:
    assert answer(raw) == Answer(CODE)


def test_an_answer_has_one_of_the_lengths_asked_for() -> None:
    assert answer(b"492039", (8,)) == Answer()
    assert answer(b"1234 5678", (6, 8)) == Answer(TotpCode("12345678"))


@pytest.mark.parametrize("raw", [b"ab3de-fgh4k-mnp5q", b" AB3DE FGH4K MNP5Q", b"ab3defgh4kmnp5q"])
def test_an_answer_may_be_a_backup_code(raw: bytes) -> None:
    assert answer(raw) == Answer(BACKUP)


@pytest.mark.parametrize("raw", [b"sms", b"SMS", b" Sms "])
def test_an_answer_may_be_a_word(raw: bytes) -> None:
    assert answer(raw) == Answer(word="sms")


def test_nothing_that_was_typed_prints() -> None:
    everything = [
        appended(b"canary492039"),
        appended(b"canaryab3de-fgh4k-mnp5q"),
        appended(scrv1(b"canary", b"canaryword")),
        answer(b"canary"),
        answer(b"492039"),
    ]
    assert "canary" not in f"{everything}"
    assert "492039" not in f"{everything}"
    assert "mnp5q" not in f"{everything}"

"""Backup codes: one shape, no bias, never to be taken for a TOTP code."""

import os
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radiusd_mfa.core.backup_codes import ALPHABET, LETTERS, BackupCode, make_set, tidy

SHOWN = "ab3de-fgh4k-mnp5q"
CANONICAL = "ab3defgh4kmnp5q"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ab3defgh4kmnp5",  # 14
        "ab3defgh4kmnp5qq",  # 16
        "ab3defgh4kmnp56",  # ends in a digit
        "al3defgh4kmnp5q",  # l
        "ao3defgh4kmnp5q",  # o
        "a03defgh4kmnp5q",
        "a13defgh4kmnp5q",
        "ab3de_fgh4k_mnp5q",
        "ab3de\tfgh4k\tmnp5q",
        "\uff41b3defgh4kmnp5q",
        "ab3defgh4\u212amnp5q",  # the Kelvin sign has k as its lower case
        "ab3defgh\u0664kmnp5q",
        "---------------",
        "222222222222222",
    ],
)
def test_what_has_not_the_shape_is_no_backup_code(text: str) -> None:
    assert tidy(text) is None


@pytest.mark.parametrize(
    "text", [SHOWN, CANONICAL, SHOWN.upper(), " ab3de fgh4k mnp5q ", "ab3de - fgh4k - mnp5q", "AB3DEFGH4K-mnp5q"]
)
def test_case_dashes_and_spaces_do_not_matter(text: str) -> None:
    assert tidy(text) == BackupCode("ab", "3defgh4kmnp5q")


def test_a_code_is_shown_in_groups_of_five_and_hashed_without_dashes() -> None:
    code = BackupCode("ab", "3defgh4kmnp5q")
    assert code.shown == SHOWN
    assert code.canonical == CANONICAL


def test_a_code_does_not_print_its_secret() -> None:
    code = BackupCode("ab", "3defgh4kmnp5q")
    assert "3defgh4kmnp5q" not in f"{code} {code!r}"
    assert "mnp5q" not in f"{code} {code!r}"


@pytest.mark.parametrize("count", [-1, 0, 101])
def test_a_set_of_no_codes_or_of_hundreds_is_refused(count: int) -> None:
    with pytest.raises(ValueError, match="1 to 100"):
        make_set(count, os.urandom)


@given(st.integers(1, 100), st.integers())
def test_every_code_of_a_set_reads_back_and_selectors_are_distinct(count: int, seed: int) -> None:
    codes = make_set(count, random.Random(seed).randbytes)
    assert len({code.selector for code in codes}) == len(codes) == count
    for code in codes:
        assert tidy(code.shown) == tidy(code.canonical) == code
        assert code.canonical[-1] in LETTERS
        assert len(code.selector) == 2


def test_a_selector_drawn_twice_is_drawn_again() -> None:
    letters = iter([b"\0"] * 3)
    bodies = iter([bytes(14), bytes(14), bytes([1] * 14)])
    first, second = make_set(2, lambda octets: next(letters if octets == 1 else bodies))
    assert (first.selector, second.selector) == ("aa", "bb")


def test_a_digit_drawn_for_the_last_place_is_drawn_again_and_not_reduced() -> None:
    last = iter([bytes([31]), bytes([24]), bytes([23])])
    (code,) = make_set(1, lambda octets: next(last) if octets == 1 else bytes(octets))
    assert code.canonical == "a" * 14 + "z"


def test_every_character_is_as_likely_as_every_other() -> None:
    chance = random.Random(6238)
    codes = [make_set(1, chance.randbytes)[0].canonical for _ in range(4_000)]
    body = Counter("".join(code[:-1] for code in codes))
    last = Counter(code[-1] for code in codes)
    assert set(body) == set(ALPHABET)
    assert set(last) == set(LETTERS)
    # Five standard deviations around 1750 and 167: a modulo bias of one part in eight would show.
    assert all(abs(times - 56_000 / 32) < 5 * 41.2 for times in body.values())
    assert all(abs(times - 4_000 / 24) < 5 * 12.6 for times in last.values())


def test_a_code_has_at_least_64_secret_bits() -> None:
    assert len(ALPHABET) == len(set(ALPHABET)) == 32
    assert not set(ALPHABET) & set("01lo")
    assert len(ALPHABET) ** 12 * len(LETTERS) >= 2**64

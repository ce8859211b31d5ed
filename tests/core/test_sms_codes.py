"""Codes that are sent: drawn evenly, and not too many of them."""

from collections import Counter
from itertools import pairwise
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from radiusd_mfa.core import sms_codes
from radiusd_mfa.core.sms_codes import MOST_AN_HOUR, PAUSE

NOW = 1_800_000_000.0


def test_a_code_is_six_ascii_digits_with_its_leading_zeros() -> None:
    assert sms_codes.draw(lambda _count: bytes(4)) == "000000"
    assert sms_codes.draw(lambda _count: (1_000_042).to_bytes(4, "big")) == "000042"


def test_a_draw_that_would_make_some_codes_likelier_is_drawn_again() -> None:
    draws = iter(
        [(2**32 - 1).to_bytes(4, "big"), (4_294_000_000).to_bytes(4, "big"), (4_293_999_999).to_bytes(4, "big")]
    )
    assert sms_codes.draw(lambda _count: next(draws)) == "999999"


def test_every_digit_comes_as_often_in_every_place() -> None:
    chance = Random(7)
    codes = [sms_codes.draw(chance.randbytes) for _ in range(20_000)]
    for place in range(6):
        counts = Counter(code[place] for code in codes)
        assert all(1_800 < counts[digit] < 2_200 for digit in "0123456789")


def test_the_first_code_may_be_sent_at_once() -> None:
    assert sms_codes.wait("", NOW) == 0


def test_another_code_has_to_wait() -> None:
    history = sms_codes.sent("", NOW)
    assert sms_codes.wait(history, NOW) == PAUSE
    assert sms_codes.wait(history, NOW + PAUSE - 1) == 1
    assert sms_codes.wait(history, NOW + PAUSE) == 0


def test_the_sixth_code_has_to_wait_until_the_first_is_an_hour_old() -> None:
    history = ""
    for number in range(MOST_AN_HOUR):
        history = sms_codes.sent(history, NOW + 60 * number)
    assert sms_codes.wait(history, NOW + 300) == 3300
    assert sms_codes.wait(history, NOW + 3600) == 0
    history = sms_codes.sent(history, NOW + 3600)
    assert sms_codes.wait(history, NOW + 3630) == 30  # the second one


def test_a_clock_that_went_back_closes_no_phone_for_longer_than_the_pause() -> None:
    assert sms_codes.wait(sms_codes.sent("", NOW + 86_400), NOW) == PAUSE


@given(st.lists(st.floats(0, 10_000), max_size=40))
def test_no_hour_ever_has_more_than_five_codes_and_none_come_too_soon(asked: list[float]) -> None:
    history, sent = "", list[float]()
    for at in sorted(asked):
        if sms_codes.wait(history, NOW + at) <= 0:
            history = sms_codes.sent(history, NOW + at)
            sent.append(at)
    assert all(later - earlier >= PAUSE - 0.01 for earlier, later in pairwise(sent))
    assert all(sent[end] - sent[end - MOST_AN_HOUR] >= 3599.9 for end in range(MOST_AN_HOUR, len(sent)))
    assert len(history.split()) <= MOST_AN_HOUR

"""A policy says what it means, and a new one what it changes."""

from dataclasses import replace

import pytest
from hypothesis import given

from radiusd_mfa.core.policy import T0, parse
from radiusd_mfa.core.policy_words import difference, moment, period, rule_sentence, sentences
from tests.support.policy_texts import VALID_POLICIES


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "Everybody everywhere: a second factor at every connection."),
        ('roles = ["owner"]', "Owners everywhere: a second factor at every connection."),
        ('roles = ["member", "admin", "owner"]', "Everybody everywhere: a second factor at every connection."),
        (
            'roles = ["admin", "owner"]\nsurfaces = ["control-panel", "client-app"]\nevery = "2d"',
            "Owners and admins in the client application and on the control panel: a second factor every 2 days.",
        ),
        (
            'surfaces = ["client-app"]\nevery = "1d"\nremember = "device"',
            "Everybody in the client application: a second factor every day, on each device apart.",
        ),
        ('remember = "device"', "Everybody everywhere: a second factor at every connection."),
    ],
)
def test_a_rule_says_who_where_and_how_often(text: str, sentence: str) -> None:
    (rule,) = parse(f"[[require]]\n{text}\n").rules
    assert rule_sentence(rule) == sentence


def test_a_policy_says_what_is_not_as_usual() -> None:
    text = 'mode = "report"\nenrol_by = 2026-12-31\nrequire_all_owners = true\nrequire = []\n'
    tables = '[methods]\nallow = ["totp"]\n[backup_codes]\ncount = 1\nreveal = true\n'
    assert sentences(parse(text + tables)) == (
        "Nobody must give a second factor who has none.",
        "These rules stop nobody yet: whoever has no second factor signs in with the password, and it is counted.",
        "Whoever has no second factor yet may sign in with the password until the end of 2026-12-31 (UTC).",
        "It can be applied once every owner has a second factor.",
        "Codes count from an authenticator app only.",
        "A set has a single backup code, for recovery.",
        "Users may see their unused backup codes again.",
    )


def test_the_same_rule_twice_is_said_once() -> None:
    assert sentences(parse("[[require]]\n[[require]]\n")) == sentences(T0)


def test_a_difference_is_what_no_longer_holds_and_what_is_new() -> None:
    new = parse('enrol_by = 2026-12-31T18:00:00+02:00\n[[require]]\nroles = ["owner"]\n[backup_codes]\ncount = 12\n')
    assert difference(T0, new) == (
        "No longer: Everybody everywhere: a second factor at every connection.",
        "New: Owners everywhere: a second factor at every connection.",
        "New: Whoever has no second factor yet may sign in with the password until 2026-12-31 16:00:00 UTC.",
        "New: A set has 12 backup codes.",
    )


@given(VALID_POLICIES, VALID_POLICIES)
def test_policies_that_mean_something_else_are_told_apart(one: str, other: str) -> None:
    old, new = parse(one), parse(other)
    assert difference(old, old) == ()
    same = replace(old, rules=frozenset(old.rules)) == replace(new, rules=frozenset(new.rules))  # type: ignore[arg-type]
    if difference(old, new) == ():
        assert same or sentences(old) == sentences(new)
    else:
        assert not same
        assert len(difference(old, new)) == len(difference(new, old))


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (60, "minute"),
        (90 * 60, "90 minutes"),
        (3_600, "hour"),
        (36 * 3_600, "36 hours"),
        (86_400, "day"),
        (61, "61 seconds"),
    ],
)
def test_a_period_is_told_in_its_largest_whole_unit(seconds: float, words: str) -> None:
    assert period(seconds) == words


@pytest.mark.parametrize(
    ("at", "words"),
    [
        (1_798_761_600.0, "the end of 2026-12-31 (UTC)"),
        (1_798_761_601.0, "2027-01-01 00:00:01 UTC"),
        (253_402_300_800.0, "the end of 9999-12-31 (UTC)"),
    ],
)
def test_a_moment_is_told_in_utc(at: float, words: str) -> None:
    assert moment(at) == words

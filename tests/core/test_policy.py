"""A policy's text is understood completely, or every complaint about it has its line."""

from collections.abc import Sequence
from typing import Final

import pytest
from hypothesis import given

from radiusd_mfa.core.facts import MethodKind
from radiusd_mfa.core.policy import (
    MOST_CHARACTERS,
    MOST_LINES,
    ROLES,
    SURFACES,
    T0,
    Mode,
    Policy,
    PolicyProblem,
    Remember,
    Rule,
    parse,
    rules_at_sign_in,
)
from tests.support.policy_texts import POLICY_TEXTS, VALID_POLICIES

DAY: Final = 86_400.0
WHEN: Final = "a date (2026-12-31), or a time with its zone (2026-12-31T18:00:00Z)"
WHERE: Final = 'a list of "vpn", "network-device", "client-app" or "control-panel", or "all"'
NO_PERIODS: Final = (
    *('""', '"0m"', '"0h"', '"91d"', '"2161h"', '"129601m"', '"30s"', '"1.5h"', '"-1h"', '"+1h"', '"1H"', '" 1h"'),
    *('"1h "', '"1h30m"', '"012h"', '"\u0661h"', '"connections"', '"never"', "12", "12.0", "true", "[]", "1979-05-27"),
)
OF_ANOTHER_KIND: Final = (
    *("mode = true", "mode = []", 'mode = "ENFORCE"', 'mode = ""', "require_all_owners = 1", "require_all_owners = []"),
    *("require = 1", "require = {}", "require = [1]", "require = [[]]", "[require]", "require.every = 1"),
    *("methods = 1", "[[methods]]", "methods = []", "backup_codes = 10", "[[backup_codes]]"),
    *("[methods]\nallow = []", '[methods]\nallow = "totp"', '[methods]\nallow = "all"', '[methods]\nallow = ["mail"]'),
    *("[backup_codes]\ncount = 0", "[backup_codes]\ncount = true", "[backup_codes]\ncount = 1.0"),
    *('[backup_codes]\ncount = "1"', "[backup_codes]\ncount = -1", '[backup_codes]\nreveal = "no"'),
    *('[[require]]\nremember = "DEVICE"', "[[require]]\nremember = true", '"" = 1', "[x]", "[[x]]", "a.b.c = 1"),
)


def complaints(text: str) -> Sequence[str]:
    with pytest.raises(PolicyProblem) as problem:
        parse(text)
    assert rules_at_sign_in(text) == T0, "T7: what can't be understood means MFA required of everybody"
    assert str(problem.value) == "\n".join(map(str, problem.value.complaints))
    return [str(complaint) for complaint in problem.value.complaints]


def complaint(text: str) -> str:
    (only,) = complaints(text)
    return only


def rule(lines: str) -> Rule:
    (only,) = parse(f"[[require]]\n{lines}\n").rules
    return only


# What is refused.


def test_all_complaints_come_at_once_in_the_order_of_the_lines() -> None:
    text = """\
# for the office
mode = "enforced"
enrol_by = 2026
require_all_owners = "yes"
colour = "blue"

[[require]]
roles = ["owner", "amdin"]
surfaces = [
  "vpn",
  "control-pannel",
]

[[require]]
role = "all"
every = "12 hours"
remember = "laptop"

[methods]
allow = ["topt"]

[backup_codes]
count = 21
reveal = 1
"""
    assert complaints(text) == [
        'line 2: “mode” is "enforce" or "report", not "enforced"; did you mean “enforce”?',
        f"line 3: “enrol_by” is {WHEN}, not 2026.",
        'line 4: “require_all_owners” is true or false, not "yes".',
        "line 5: There is no “colour”.",
        'line 8: “roles” is a list of "owner", "admin" or "member", or "all", not "amdin"; did you mean “admin”?',
        f'line 9: “surfaces” is {WHERE}, not "control-pannel"; did you mean “control-panel”?',
        "line 15: There is no “role” in [[require]]; did you mean “roles”?",
        'line 16: “every” is "connection" or a period from "1m" to "90d", such as "12h", not "12 hours".',
        'line 17: “remember” is "user" or "device", not "laptop".',
        'line 20: “allow” is a list of "totp" or "sms", not "topt"; did you mean “totp”?',
        "line 23: “count” is a number from 1 to 20, not 21.",
        "line 24: “reveal” is true or false, not 1.",
    ]


def test_a_key_behind_a_table_that_belongs_before_it_is_told_its_place() -> None:
    belongs = "it belongs above the first line in brackets."
    assert complaint('[[require]]\nmode = "report"\n') == f"line 2: There is no “mode” in [[require]]; {belongs}"
    assert complaint("[methods]\nenrol_by = 2026-12-31\n").endswith(belongs)
    assert complaint('every = "12h"\n') == "line 1: There is no “every”; it belongs below [[require]]."
    assert complaint("[backup_codes]\nallow = []\n").endswith("in [backup_codes]; it belongs below [methods].")


@pytest.mark.parametrize("key", ["roles", "surfaces"])
@pytest.mark.parametrize(
    "value",
    [
        "[]",
        '""',
        '"none"',
        '"owner"',
        '"vpn"',
        "[1]",
        '["owner", 1]',
        '["all", "none"]',
        '[["owner"]]',
        '[["all"]]',
        "true",
        "{}",
        '"ALL"',
    ],
)
def test_who_and_where_are_lists_of_known_names_and_never_empty(key: str, value: str) -> None:
    assert complaint(f"[[require]]\n{key} = {value}\n").startswith(f"line 2: “{key}” is a list of ")


@pytest.mark.parametrize("value", NO_PERIODS)
def test_a_period_is_minutes_hours_or_days_from_a_minute_to_90_days(value: str) -> None:
    assert complaint(f"[[require]]\nevery = {value}\n").startswith("line 2: “every” is")


@pytest.mark.parametrize(
    "value",
    ["2026-12-31T18:00:00", "18:00:00", '"2026-12-31"', "20261231", "true", "[]", "1999-12-31", "1999-12-31T00:00:00Z"],
)
def test_a_date_to_enrol_by_is_a_date_or_has_a_zone(value: str) -> None:
    assert complaint(f"enrol_by = {value}\n").startswith("line 1: “enrol_by” is a date")


@pytest.mark.parametrize("text", OF_ANOTHER_KIND)
def test_a_value_of_another_kind_is_refused(text: str) -> None:
    assert complaints(text)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("mode", 1),
        ('mode = "report', 1),
        ('\n\nmode = "report"\nmode = "report"\n', 4),
        ("[[require]]\n[require]\n", 2),
        ("require = []\n[[require]]\n", 2),
        ("x = [\n1,\n", 2),
        ('x = """\n\n', 1),
        ("enrol_by = 2026-02-30\n", 1),
        ("\x00", 1),
        ("a = 1\r\rb = 2", 1),
        ("x = " + "[" * 2_000, 1),
        ("x = " + "9" * 5_000, 1),
    ],
)
def test_what_is_no_toml_is_told_with_its_line(text: str, line: int) -> None:
    assert complaint(text).startswith(f"line {line}: This is no TOML: ")


def test_no_policy_is_so_long_that_reading_it_takes_time() -> None:
    parse("#" * MOST_CHARACTERS)
    parse("\n" * MOST_LINES)
    for text in ("#" * (MOST_CHARACTERS + 1), "\n" * (MOST_LINES + 1)):
        assert complaint(text).startswith("line 1: A policy has at most ")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (".".join(["a"] * 102) + " = 1", 1),
        ("\n[" + ".".join(["a"] * 102) + "]", 2),
        ("x = {" + "a." * 101 + "a = 1}", 1),
    ],
)
def test_a_key_of_a_thousand_keys_is_refused_before_it_takes_seconds_of_every_sign_in(text: str, line: int) -> None:
    assert complaint(text) == f"line {line}: A line has at most 100 dots, this one has more."


def test_foreign_text_in_a_complaint_is_shown_escaped_and_cut() -> None:
    assert "\x1b" not in complaint('mode = "\\u001b[31m"')
    assert len(complaint(f'mode = "{"x" * 5_000}"')) < 200
    assert len(complaint("x" * 5_000 + " = 1")) < 200
    assert complaint(f"[backup_codes]\ncount = 0x{'f' * 5_000}").endswith("not a number of that size.")


# What is understood.


@pytest.mark.parametrize(
    "text", ["", "\n \n", "# nothing is said\n", "[methods]\n", "[backup_codes]\n", "[[require]]\n"]
)
def test_where_nothing_is_said_everybody_needs_mfa_everywhere_at_every_connection(text: str) -> None:
    assert parse(text) == rules_at_sign_in(text) == T0
    assert T0.rules == (Rule(frozenset(ROLES), frozenset(SURFACES), None, Remember.USER),)


def test_no_text_at_all_means_mfa() -> None:
    assert rules_at_sign_in(None) == rules_at_sign_in("") == rules_at_sign_in(" \n\t") == T0


def test_the_policy_of_the_design_is_read_as_it_is_written() -> None:
    text = """\
mode = "enforce"
enrol_by = 2026-12-31

[[require]]
roles = ["owner", "admin"]
surfaces = ["control-panel", "client-app", "vpn"]
every = "connection"

[[require]]
roles = ["member"]
surfaces = ["client-app"]
every = "12h"
remember = "device"

[methods]
allow = ["totp", "sms"]

[backup_codes]
count = 10
reveal = false
"""
    assert parse(text) == Policy(
        rules=(
            Rule(frozenset({"owner", "admin"}), frozenset({"control-panel", "client-app", "vpn"})),
            Rule(frozenset({"member"}), frozenset({"client-app"}), 43_200.0, Remember.DEVICE),
        ),
        enrol_by=1_798_761_600.0,
    )


@pytest.mark.parametrize("word", ['"all"', '"any"', '["all"]'])
def test_all_and_any_are_everything(word: str) -> None:
    assert rule(f"roles = {word}\nsurfaces = {word}") == Rule()


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("1m", 60), ("90m", 5_400), ("1h", 3_600), ("12h", 43_200), ("1d", DAY), ("90d", 90 * DAY), ("2160h", 90 * DAY)],
)
def test_periods_are_seconds(written: str, seconds: float) -> None:
    assert rule(f'every = "{written}"').every == seconds


def test_every_connection_is_no_period() -> None:
    assert rule('every = "connection"').every is None


@pytest.mark.parametrize(
    ("written", "at"),
    [
        ("2000-01-01", 946_771_200.0),
        ("2026-12-31", 1_798_761_600.0),
        ("9999-12-31", 253_402_300_800.0),
        ("2026-12-31T18:00:00Z", 1_798_740_000.0),
        ("2026-12-31T18:00:00+02:00", 1_798_732_800.0),
        ("2026-12-31 18:00:00.5-00:30", 1_798_741_800.5),
        ("9999-12-31T23:59:59-23:59", 253_402_387_139.0),
    ],
)
def test_a_day_ends_at_midnight_utc_and_a_time_has_its_zone(written: str, at: float) -> None:
    assert parse(f"enrol_by = {written}").enrol_by == at


def test_each_other_value_is_read() -> None:
    text = 'mode = "report"\nrequire_all_owners = true\nrequire = []\n'
    tables = '[methods]\nallow = ["sms"]\n[backup_codes]\ncount = 1\nreveal = true\n'
    sms = frozenset({MethodKind.SMS})
    wanted = Policy((), Mode.REPORT, require_all_owners=True, allow=sms, backup_codes=1, reveal=True)
    assert parse(text + tables) == rules_at_sign_in(text + tables) == wanted


def test_an_empty_list_of_rules_requires_nobody_and_is_not_the_same_as_none() -> None:
    assert parse("require = []").rules == ()
    assert parse("").rules == T0.rules


def test_only_rules_about_a_role_on_a_surface_match() -> None:
    policy = parse(
        '[[require]]\nroles = ["owner"]\nsurfaces = ["vpn"]\n[[require]]\nsurfaces = ["vpn"]\nevery = "1h"\n'
    )
    owner, everybody = policy.rules
    assert policy.matching("owner", "vpn") == (owner, everybody)
    assert policy.matching("member", "vpn") == (everybody,)
    assert policy.matching("owner", "client-app") == ()
    assert policy.matching("guest", "vpn") == policy.matching("owner", "door") == T0.rules


# Whatever is written.


def parsed(text: str) -> Policy | PolicyProblem:
    try:
        return parse(text)
    except PolicyProblem as problem:
        return problem


@given(POLICY_TEXTS)
def test_a_text_is_a_policy_or_a_list_of_complaints_and_never_anything_else(text: str) -> None:
    found = parsed(text)
    assert rules_at_sign_in(text) == (found if isinstance(found, Policy) else T0)
    if isinstance(found, PolicyProblem):
        lines = [each.line for each in found.complaints]
        assert lines == sorted(lines)
        assert 1 <= min(lines) <= max(lines) <= text.count("\n") + 1


@given(VALID_POLICIES)
def test_what_is_valid_has_no_complaint_with_a_comment_or_without(text: str) -> None:
    assert parse(text) == parse(f"# before\n{text}\n# behind")

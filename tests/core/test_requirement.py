"""Whatever a policy says, nobody gets in without a second factor but by a rule that a reader would agree with."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st

from radiusd_mfa.core.circumstances import Circumstances, Place, Seen, read, recorded
from radiusd_mfa.core.facts import Attempt, Facts, Membership, MethodKind, Nas, TeamRules
from radiusd_mfa.core.policy import ROLES, SURFACES, rules_at_sign_in
from radiusd_mfa.core.policy_lines import UNREADABLE
from radiusd_mfa.core.requirement import Policies, policies_of, replay
from radiusd_mfa.core.verdict import Found, Outcome, Reason, Verdict
from radiusd_mfa.core.verification import Verification
from tests.support.judging import (
    ALICE,
    BACKUP,
    EARLIER_TEXT,
    METHOD,
    NOW,
    PASSWORD,
    STEP,
    STORED,
    TEXT,
    attempt,
    code,
    judged,
    wrong_code,
)
from tests.support.policy_texts import POLICY_TEXTS, VALID_POLICIES

HOUR: Final = 3_600.0
AGES: Final = st.sampled_from([-1.0, 0.0, 59.0, 60.0, HOUR, 90 * 60 - 1, 12 * HOUR - 1, 12 * HOUR, 30 * 24 * HOUR])
TYPED: Final = (PASSWORD, PASSWORD + code(), PASSWORD + code(-1), PASSWORD + wrong_code(), PASSWORD + BACKUP.shown)
VERIFICATIONS: Final = st.none() | st.builds(
    Verification,
    AGES.map(lambda age: NOW - age),
    st.sampled_from([TEXT, EARLIER_TEXT]),
    st.just(3),
    st.just("de:vi:ce"),
)


def memberships(texts: st.SearchStrategy[str]) -> st.SearchStrategy[tuple[Membership, ...]]:
    teams = st.builds(
        TeamRules,
        st.integers(1, 9),
        st.just("ops"),
        st.sampled_from(["mfa", "no-mfa"]),
        st.none() | texts | texts,
        st.integers(0, 3),
    )
    one = st.builds(Membership, teams, st.sampled_from(ROLES))
    return st.lists(one, max_size=2, unique_by=lambda membership: membership.team.id).map(tuple)


def facts(texts: st.SearchStrategy[str]) -> st.SearchStrategy[Facts]:
    return st.builds(
        Facts,
        user=st.builds(replace, st.just(ALICE), enrolled_before=st.booleans()),
        methods=st.sampled_from(
            [(), (METHOD,), (replace(METHOD, kind=MethodKind.SMS),), (replace(METHOD, watermark=STEP),)]
        ),
        backup_codes=st.sampled_from([(), (STORED,), (replace(STORED, used=True),)]),
        team_id=st.sampled_from([0, 0, 0, 5]),
        memberships=memberships(texts),
        verification=VERIFICATIONS,
        latest=VERIFICATIONS,
    )


NASES: Final = st.builds(
    Nas,
    st.just(3),
    st.just("gate"),
    st.sampled_from(SURFACES),
    challenge=st.booleans(),
    otp_only=st.sampled_from([False, False, False, True]),
    retry_grace=st.sampled_from([0.0, 0.0, 30.0]),
)
ATTEMPTS: Final = st.builds(
    attempt,
    st.sampled_from([*TYPED, *(text.removeprefix(PASSWORD) for text in TYPED), "letmein", "letmein" + code()]),
    NASES,
    device=st.sampled_from(["de:vi:ce", ""]),
)


# No policy text whatsoever.


class Unreadable(Exception):
    """A reader would not know what is meant."""


def readers_rules(text: str, role: str, surface: str) -> tuple[Mapping[str, Any], Sequence[Mapping[str, Any]]]:
    """Read a policy by hand, and give up at anything odd: the document, and the rules about this role and surface."""
    try:
        document = tomllib.loads(text)
    except UNREADABLE as error:
        raise Unreadable from error
    top = {"mode", "enrol_by", "require_all_owners", "require", "methods", "backup_codes"}
    rules = document.get("require", [{}])
    if set(document) - top or not isinstance(rules, list):
        raise Unreadable
    about = []
    for rule in rules:
        if not isinstance(rule, dict) or set(rule) - {"roles", "surfaces", "every", "remember"}:
            raise Unreadable
        about.append(rule)
    return document, [
        rule for rule in about if means(rule, "roles", role, ROLES) and means(rule, "surfaces", surface, SURFACES)
    ]


def means(rule: Mapping[str, Any], key: str, name: str, known: Sequence[str]) -> bool:
    names = rule.get(key, "all")
    if names in ("all", "any"):
        return True
    if not isinstance(names, list) or not names or not set(names) <= set(known):
        raise Unreadable
    return name in names


def is_later(value: object) -> bool:
    """Whether somebody who reads this date at NOW thinks that there is time left."""
    now = datetime.fromtimestamp(NOW, UTC)
    if isinstance(value, datetime):
        return value.tzinfo is not None and now < value
    return isinstance(value, date) and now.date() <= value


def lasts(rule: Mapping[str, Any], made: Attempt, known: Facts) -> bool:
    """Whether a reader thinks that the period of this rule lasts."""
    written = re.fullmatch(r"(\d+)([mhd])", str(rule.get("every")))
    per_device = rule.get("remember") == "device"
    candidates = [known.verification] if per_device else [known.verification, known.latest]
    if written is None or (per_device and not made.device):
        return False
    length = timedelta(**{{"m": "minutes", "h": "hours", "d": "days"}[written[2]]: int(written[1])}).total_seconds()
    return any(seen is not None and 0 <= NOW - seen.at < length for seen in candidates)


def a_reader_agrees(membership: Membership, made: Attempt, known: Facts) -> bool:
    """Whether somebody who reads this team's policy would let the user in with the password alone."""
    team = membership.team
    if team.policy is None:
        return team.plan == "no-mfa" and not known.methods
    try:
        document, rules = readers_rules(team.policy, membership.role, made.nas.surface)
    except Unreadable:
        return False
    if known.methods:
        return all(lasts(rule, made, known) for rule in rules)
    if not rules or document.get("mode") == "report":
        return True
    assert known.user is not None
    return is_later(document.get("enrol_by")) and not known.user.enrolled_before


def proves_a_factor(verdict: Verdict) -> bool:
    return verdict.spend is not None or verdict.reason is Reason.REPEAT


@settings(max_examples=1_000)
@given(ATTEMPTS, facts(POLICY_TEXTS))
def test_no_policy_text_whatsoever_turns_a_required_factor_into_an_accept_without_one(
    made: Attempt, known: Facts
) -> None:
    verdict = judged(made, known).verdict
    if verdict.outcome is not Outcome.ACCEPT or proves_a_factor(verdict):
        return
    assert known.memberships, "without a team MFA is required of everybody (T0)"
    assert all(a_reader_agrees(membership, made, known) for membership in known.memberships)
    if known.methods:
        assert verdict.reason is Reason.PERIOD, "who has set up MFA gets in without it only while a period lasts"
        assert verdict.relies_on in (known.verification, known.latest)
        assert verdict.session is not None


@given(ATTEMPTS, facts(POLICY_TEXTS))
def test_no_policy_text_opens_without_the_right_password(made: Attempt, known: Facts) -> None:
    verdict = judged(made, known, right_hash=lambda _text, _stored: False).verdict
    if not made.nas.otp_only:
        assert verdict.outcome is not Outcome.ACCEPT or verdict.reason is Reason.REPEAT


@given(facts(VALID_POLICIES), NASES)
def test_the_right_password_and_a_fresh_code_that_counts_always_open(known: Facts, nas: Nas) -> None:
    known = replace(known, team_id=0, backup_codes=(STORED,))
    made = attempt(BACKUP.shown if nas.otp_only else PASSWORD + BACKUP.shown, replace(nas, retry_grace=0.0))
    assert judged(made, known).verdict.reason is Reason.BACKUP_CODE


# The strictest of several teams.

PLACES: Final = st.builds(Place, st.just(0), st.just("ops"), st.sampled_from(ROLES), st.sampled_from(["mfa", "no-mfa"]))
CIRCUMSTANCES: Final = st.builds(
    Circumstances,
    at=st.just(NOW),
    surface=st.sampled_from(SURFACES),
    found=st.sampled_from([Found.NOTHING, Found.SPENT, Found.WRONG, Found.TOTP]),
    kinds=st.sampled_from([frozenset(), frozenset({MethodKind.TOTP}), frozenset({MethodKind.SMS})]),
    enrolled_before=st.booleans(),
    device=st.none() | st.builds(Seen, AGES.map(lambda age: NOW - age), st.booleans()),
    latest=st.none() | st.builds(Seen, AGES.map(lambda age: NOW - age), st.booleans()),
)


def says(circumstances: Circumstances, places: Sequence[Place], policies: Policies) -> bool:
    return replay(circumstances._replace(places=tuple(places)), policies).outcome is Outcome.ACCEPT


@settings(max_examples=500)
@given(CIRCUMSTANCES, st.lists(st.tuples(PLACES, st.none() | VALID_POLICIES), min_size=2, max_size=3))
def test_several_teams_are_at_least_as_strict_as_each_of_them(
    circumstances: Circumstances, teams: Sequence[tuple[Place, str | None]]
) -> None:
    places = [place._replace(team_id=number) for number, (place, _text) in enumerate(teams, start=1)]
    policies = {
        place.team_id: rules_at_sign_in(text)
        for place, (_place, text) in zip(places, teams, strict=True)
        if text is not None
    }
    if not says(circumstances, places, policies):
        return
    for place in places:
        policy = policies.get(place.team_id)
        asks_nothing = (
            place.plan == "no-mfa" if policy is None else not policy.matching(place.role, circumstances.surface)
        )
        # A team that asks nothing knows no period either: who has set up MFA is asked, unless another team's lasts.
        assert says(circumstances, [place], policies) or (asks_nothing and circumstances.kinds)


@given(CIRCUMSTANCES, PLACES, VALID_POLICIES, VALID_POLICIES)
def test_the_order_of_the_teams_does_not_matter(
    circumstances: Circumstances, place: Place, one: str, other: str
) -> None:
    policies = {1: rules_at_sign_in(one), 2: rules_at_sign_in(other)}
    there = [place._replace(team_id=1), place._replace(team_id=2)]
    decisions = {
        replay(circumstances._replace(places=places), policies) for places in (tuple(there), tuple(reversed(there)))
    }
    assert len(decisions) == 1


# What is kept is judged again.


@settings(max_examples=500)
@given(ATTEMPTS, facts(POLICY_TEXTS))
def test_what_was_recorded_of_a_sign_in_is_judged_again_as_it_was(made: Attempt, known: Facts) -> None:
    verdict = judged(made, known).verdict
    circumstances = read(recorded(made, known, verdict))
    assert replay(circumstances, policies_of(known.memberships)) == (verdict.outcome, verdict.reason)

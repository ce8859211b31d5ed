"""Who must give a second factor, where and how often: every combination, against a reading of the rules by hand."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Final

import pytest

from radiusd_mfa.core.circumstances import read, recorded
from radiusd_mfa.core.facts import Earlier, Facts, Membership, Method, MethodKind, Nas, Person, TeamRules
from radiusd_mfa.core.policy import ROLES, SURFACES
from radiusd_mfa.core.requirement import policies_of, replay
from radiusd_mfa.core.verdict import Mark, Outcome, Reason, SpendBackupCode, SpendStep, Verdict
from radiusd_mfa.core.verification import Verification
from tests.support.judging import (
    ALICE,
    BACKUP,
    EARLIER_TEXT,
    METHOD,
    NOW,
    OTP_ONLY,
    PASSWORD,
    STEP,
    STORED,
    TEXT,
    attempt,
    code,
    judged,
    verdict_of,
    wrong_code,
)

PERIOD: Final = 12 * 3_600.0
OTHER: Final = "de:vi:ce:2"
RULES: Final = ("no policy", "nobody", "other role", "other surface", "connection", "period", "both")
ENROLMENTS: Final = ("never", "before", "enrolled")
PERIODS: Final = {"none": None, "holds": 3_600.0, "just holds": PERIOD - 1, "ended": PERIOD, "future": -1.0}
MODES: Final = ("enforce", "report", "enrol_by past", "enrol_by future")
PLANS: Final = ("mfa", "no-mfa")
REMEMBERED: Final = ("user", "device")
TYPED: Final = {
    "nothing": PASSWORD,
    "fresh code": PASSWORD + code(),
    "wrong code": PASSWORD + wrong_code(),
    "same text again": PASSWORD + code(-1),
}
PAST, FUTURE = "2027-01-14", "2027-01-15"  # NOW is in the morning of 2027-01-15
R: Final = Reason


@dataclass(frozen=True)
class Case:
    role: str
    surface: str
    rule: str
    enrolment: str
    period: str
    mode: str
    plan: str
    remember: str
    typed: str
    challenge: bool = False

    @property
    def asks(self) -> bool:
        if self.rule == "no policy":
            return self.plan == "mfa"
        return self.rule in ("connection", "period", "both")

    @property
    def age(self) -> float | None:
        return PERIODS[self.period]

    @property
    def in_period(self) -> bool:
        return self.rule == "period" and self.period in ("holds", "just holds")


def cases(rule: str, mode: str) -> Iterator[Case]:
    everything = product(ROLES, SURFACES, ENROLMENTS, PERIODS, PLANS, REMEMBERED, TYPED, (False, True))
    for role, surface, enrolment, period, plan, remember, typed, challenge in everything:
        yield Case(role, surface, rule, enrolment, period, mode, plan, remember, typed, challenge)


def expected(case: Case) -> tuple[Outcome, Reason]:
    """Say by hand what should happen; reads like the rules, and nothing like the code."""
    if case.enrolment == "enrolled":
        if case.typed == "fresh code":
            return Outcome.ACCEPT, R.TOTP
        if case.in_period and case.typed in ("nothing", "same text again"):
            return Outcome.ACCEPT, R.PERIOD
        if case.typed == "nothing":
            return (Outcome.CHALLENGE, R.CODE_DUE) if case.challenge else (Outcome.REJECT, R.CODE_MISSING)
        return Outcome.REJECT, R.CODE_REUSED if case.typed == "same text again" else R.WRONG_CODE
    alone = R.NOT_ENROLLED
    if not case.asks:
        alone = R.NOT_REQUIRED
    elif case.rule != "no policy" and case.mode == "report":
        alone = R.REPORTED
    elif case.rule != "no policy" and case.mode == "enrol_by future" and case.enrolment == "never":
        alone = R.ENROL_LATER
    if case.typed == "nothing":
        return Outcome.REJECT if alone is R.NOT_ENROLLED else Outcome.ACCEPT, alone
    return Outcome.REJECT, R.NOT_ENROLLED if alone is R.NOT_ENROLLED else R.WRONG_CODE


def policy_text(case: Case) -> str | None:
    """Write the policy of a case as TOML, None where there is none."""
    if case.rule == "no policy":
        return None
    head = {
        "enforce": "",
        "report": 'mode = "report"\n',
        "enrol_by past": f"enrol_by = {PAST}\n",
        "enrol_by future": f"enrol_by = {FUTURE}\n",
    }[case.mode]
    other_role, other_surface = ROLES[ROLES.index(case.role) - 1], SURFACES[SURFACES.index(case.surface) - 1]
    connection = f'[[require]]\nroles = ["{case.role}"]\nsurfaces = ["{case.surface}"]\nevery = "connection"\n'
    period = f'[[require]]\nroles = ["{case.role}"]\nsurfaces = "all"\nevery = "12h"\nremember = "{case.remember}"\n'
    return (
        head
        + {
            "nobody": "require = []\n",
            "other role": f'[[require]]\nroles = ["{other_role}"]\n',
            "other surface": f'[[require]]\nsurfaces = ["{other_surface}"]\n',
            "connection": connection,
            "period": period,
            "both": period + connection,
        }[case.rule]
    )


def facts_of(case: Case) -> Facts:
    """Put together what the store would know; where a period is kept per device, another device has a fresh one."""
    text = TEXT if case.typed == "same text again" else EARLIER_TEXT
    seen = None if case.age is None else Verification(NOW - case.age, text, 3, "de:vi:ce")
    latest = seen if case.remember == "user" else Verification(NOW - 1, EARLIER_TEXT, 3, OTHER)
    team = TeamRules(7, "ops", case.plan, policy_text(case), version=1)
    return Facts(
        user=replace(ALICE, enrolled_before=case.enrolment != "never"),
        methods=(replace(METHOD, watermark=STEP - 1),) if case.enrolment == "enrolled" else (),
        team_id=7,
        memberships=(Membership(team, case.role),),
        verification=seen if case.remember == "device" else None,
        latest=latest,
    )


def judged_case(case: Case) -> tuple[Verdict, Facts]:
    nas = Nas(3, "gate", case.surface, team_id=7, challenge=case.challenge)
    made, facts = attempt(TYPED[case.typed], nas), facts_of(case)
    verdict = judged(made, facts).verdict
    replayed = replay(read(recorded(made, facts, verdict)), policies_of(facts.memberships))
    assert replayed == (verdict.outcome, verdict.reason), case
    return verdict, facts


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("rule", RULES)
def test_every_combination_of_rule_role_surface_enrolment_period_mode_and_plan(rule: str, mode: str) -> None:
    for case in cases(rule, mode):
        verdict, facts = judged_case(case)
        assert (verdict.outcome, verdict.reason) == expected(case), case
        assert (verdict.spend is not None) == (verdict.reason is R.TOTP), case
        relied_on = facts.verification if case.remember == "device" else facts.latest
        assert verdict.relies_on == (relied_on if verdict.reason is R.PERIOD else None), case
        assert verdict.session == expected_session(case, verdict.reason), case
        assert (verdict.enrol_by is not None) == (verdict.reason is R.ENROL_LATER), case
        assert (verdict.mark is Mark.WRONG_CODE) == (verdict.reason in (R.WRONG_CODE, R.CODE_REUSED)), case


def expected_session(case: Case, reason: Reason) -> int | None:
    if reason is R.PERIOD:
        return int(PERIOD - (case.age or 0))
    return int(PERIOD) if reason is R.TOTP and case.rule in ("period", "both") else None


# Beside the product: what has another shape than one rule of one team.


def member(text: str | None, *, role: str = "member", plan: str = "mfa", team: int = 7) -> Membership:
    return Membership(TeamRules(team, f"team {team}", plan, text), role)


def known(
    *memberships: Membership,
    seen: Verification | None = None,
    latest: Verification | None = None,
    methods: tuple[Method, ...] = (METHOD,),
    user: Person = ALICE,
    team_id: int = 0,
) -> Facts:
    return Facts(
        user=user,
        methods=methods,
        backup_codes=(STORED,) if methods else (),
        memberships=memberships,
        verification=seen,
        latest=latest,
        team_id=team_id,
    )


def outcome(facts: Facts, text: str = PASSWORD, nas: Nas | None = None, device: str = "de:vi:ce") -> Reason:
    return verdict_of(attempt(text, nas, device=device), facts).reason


HOURLY: Final = '[[require]]\nevery = "1h"\n'
DAILY: Final = '[[require]]\nevery = "1d"\n'
PER_DEVICE: Final = '[[require]]\nevery = "1d"\nremember = "device"\n'
ALWAYS: Final = "[[require]]\n"
NOBODY: Final = "require = []\n"
REPORT: Final = 'mode = "report"\n'
LATER: Final = f"enrol_by = {FUTURE}\n"
MUCH_LATER: Final = "enrol_by = 2027-06-30T12:00:00Z\n"


def ago(seconds: float, text: bytes = EARLIER_TEXT, device: str = "de:vi:ce") -> Verification:
    return Verification(NOW - seconds, text, 3, device)


@pytest.mark.parametrize("seconds", [0.0, 1.0, 3_599.0])
def test_the_shorter_of_two_periods_is_the_one_that_counts(seconds: float) -> None:
    facts = known(member(HOURLY), member(DAILY, team=8), latest=ago(seconds))
    verdict = verdict_of(attempt(PASSWORD), facts)
    assert (verdict.reason, verdict.session) == (R.PERIOD, int(3_600 - seconds))
    assert verdict_of(attempt(PASSWORD + code()), facts).session == 3_600


def test_without_a_team_the_strictest_of_the_users_teams_holds() -> None:
    assert outcome(known(member(HOURLY), member(DAILY, team=8), latest=ago(3_600))) is R.CODE_MISSING
    assert outcome(known(member(ALWAYS), member(DAILY, team=8), latest=ago(1))) is R.CODE_MISSING
    assert outcome(known(member(None), member(DAILY, team=8), latest=ago(1))) is R.CODE_MISSING
    assert outcome(known(member(NOBODY), member(DAILY, team=8), latest=ago(1))) is R.PERIOD


@pytest.mark.parametrize("texts", [(NOBODY,), (NOBODY, NOBODY)])
def test_who_has_set_up_mfa_is_asked_where_no_rule_asks_for_it(texts: tuple[str, ...]) -> None:
    memberships = [member(text, team=number) for number, text in enumerate(texts, start=1)]
    assert outcome(known(*memberships, latest=ago(1))) is R.CODE_MISSING
    assert outcome(known(*memberships), PASSWORD + code()) is R.TOTP


UNENROLLED: Final = {
    (NOBODY, NOBODY): R.NOT_REQUIRED,
    (NOBODY, REPORT): R.REPORTED,
    (REPORT, LATER): R.ENROL_LATER,
    (MUCH_LATER, LATER): R.ENROL_LATER,
    (NOBODY, None): R.NOT_ENROLLED,
    (REPORT, ALWAYS): R.NOT_ENROLLED,
    (LATER, ALWAYS): R.NOT_ENROLLED,
    (LATER, "rubbish"): R.NOT_ENROLLED,
}


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("texts", UNENROLLED)
def test_the_unenrolled_get_in_only_where_each_of_their_teams_lets_them(
    texts: tuple[str, str | None], turned: bool
) -> None:
    one, other = reversed(texts) if turned else texts
    assert outcome(known(member(one), member(other, team=8), methods=())) is UNENROLLED[texts]


def test_of_two_dates_until_which_one_may_wait_the_earlier_is_told() -> None:
    verdict = verdict_of(attempt(PASSWORD), known(member(MUCH_LATER), member(LATER, team=8), methods=()))
    assert verdict.enrol_by == 1_800_057_600.0  # 2027-01-16T00:00:00Z, the end of the day


def test_a_date_is_over_at_the_end_of_its_day_and_not_a_second_later() -> None:
    facts = known(member(LATER), methods=())
    for at, reason in ((1_800_057_599.0, R.ENROL_LATER), (1_800_057_600.0, R.NOT_ENROLLED)):
        assert verdict_of(attempt(PASSWORD, at=at), facts).reason is reason


def test_no_team_at_all_means_mfa() -> None:
    assert outcome(known(methods=())) is R.NOT_ENROLLED
    assert outcome(known(latest=ago(1), seen=ago(1))) is R.CODE_MISSING


def test_a_stranger_to_the_team_gets_nowhere_with_the_right_password_and_code() -> None:
    for text in (PASSWORD, PASSWORD + code(), PASSWORD + BACKUP.shown):
        assert outcome(known(team_id=7), text) is R.NOT_A_MEMBER
    assert outcome(known(team_id=7), code(), OTP_ONLY) is R.NOT_A_MEMBER


def test_a_plan_without_mfa_asks_nothing_and_a_policy_in_the_database_holds_all_the_same() -> None:
    assert outcome(known(member(None, plan="no-mfa"), methods=())) is R.NOT_REQUIRED
    for text in (ALWAYS, "", " ", "# nothing\n", "rubbish"):
        assert outcome(known(member(text, plan="no-mfa"), methods=())) is R.NOT_ENROLLED


@pytest.mark.parametrize("plan", ["MFA", "", "free", "no_mfa"])
def test_a_plan_that_nobody_knows_is_one_with_mfa(plan: str) -> None:
    assert outcome(known(member(None, plan=plan), methods=())) is R.NOT_ENROLLED


@pytest.mark.parametrize(("role", "surface"), [("guest", "vpn"), ("member", "door"), ("Member", "vpn"), ("", "")])
def test_a_role_or_surface_that_nobody_knows_needs_mfa_whatever_the_rules(role: str, surface: str) -> None:
    nas = Nas(3, "gate", surface)
    for text in (NOBODY, '[[require]]\nroles = ["owner"]\n', DAILY):
        assert outcome(known(member(text, role=role), methods=()), nas=nas) is R.NOT_ENROLLED
        assert outcome(known(member(text, role=role), latest=ago(1)), nas=nas) is R.CODE_MISSING


# Methods that a policy does not allow.

SMS_ONLY: Final = '[methods]\nallow = ["sms"]\n'
TOTP_ONLY: Final = '[methods]\nallow = ["totp"]\n'


def test_a_code_of_a_method_that_no_policy_allows_does_not_count() -> None:
    facts = known(member(SMS_ONLY), latest=ago(1))
    for text in (PASSWORD, PASSWORD + code(), PASSWORD + wrong_code()):
        assert outcome(facts, text) is R.NOT_ENROLLED
    verdict = verdict_of(attempt(PASSWORD + code()), facts)
    assert (verdict.spend, verdict.mark) == (None, Mark.WRONG_CODE)


def test_a_backup_code_counts_whatever_the_methods_are() -> None:
    verdict = verdict_of(attempt(PASSWORD + BACKUP.shown), known(member(SMS_ONLY)))
    assert verdict.spend == SpendBackupCode(STORED.id)


def test_two_teams_that_allow_different_methods_leave_none() -> None:
    facts = known(member(SMS_ONLY), member(TOTP_ONLY, team=8), methods=(METHOD, replace(METHOD, kind=MethodKind.SMS)))
    assert outcome(facts, PASSWORD + code()) is R.NOT_ENROLLED


def test_of_two_methods_the_allowed_one_counts() -> None:
    other = replace(METHOD, id=10, seed=b"another seed with 20", kind=MethodKind.SMS)
    facts = known(member(TOTP_ONLY), methods=(other, METHOD))
    assert verdict_of(attempt(PASSWORD + code()), facts).spend == SpendStep(METHOD.id, STEP)
    assert outcome(facts, PASSWORD + code(method=other)) is R.WRONG_CODE


@pytest.mark.parametrize("head", [REPORT, LATER, NOBODY])
def test_whoever_has_set_up_a_method_is_asked_for_it_while_a_policy_of_other_methods_stops_nobody(head: str) -> None:
    facts = known(member(head + SMS_ONLY), latest=ago(1))
    assert outcome(facts) is R.CODE_MISSING
    assert outcome(facts, PASSWORD + wrong_code()) is R.WRONG_CODE
    assert outcome(facts, PASSWORD + code()) is R.TOTP


# Periods.


def test_a_nas_that_names_no_device_keeps_no_period_for_one() -> None:
    facts = known(member(PER_DEVICE), seen=ago(1, device=""), latest=ago(1, device=""))
    assert outcome(facts, device="") is R.CODE_MISSING
    assert outcome(known(member(DAILY), latest=ago(1, device="")), device="") is R.PERIOD


def test_a_period_is_worth_nothing_at_a_nas_that_sends_only_codes() -> None:
    facts = known(member(DAILY), seen=ago(1, TEXT), latest=ago(1, TEXT), methods=(replace(METHOD, watermark=STEP),))
    assert outcome(facts, "", OTP_ONLY) is R.CODE_MISSING
    assert outcome(facts, code(), OTP_ONLY) is R.CODE_REUSED
    assert outcome(facts, wrong_code(), OTP_ONLY) is R.WRONG_CODE


@pytest.mark.parametrize("text", [NOBODY, REPORT, LATER])
def test_a_nas_that_sends_only_codes_lets_nobody_in_without_one(text: str) -> None:
    for typed in ("", wrong_code(), "sms", PASSWORD):
        assert verdict_of(attempt(typed, OTP_ONLY), known(member(text), methods=())).outcome is Outcome.REJECT


def test_a_code_at_a_nas_that_sends_only_codes_starts_a_session_of_the_period() -> None:
    assert verdict_of(attempt(code(), OTP_ONLY), known(member(HOURLY))).session == 3_600


def test_a_laptop_may_repeat_its_own_text_though_a_phone_gave_another_code_since() -> None:
    laptop, phone = ago(600, TEXT), ago(60, EARLIER_TEXT, OTHER)
    facts = known(member(HOURLY), seen=laptop, latest=phone)
    verdict = verdict_of(attempt(PASSWORD + wrong_code()), facts)
    assert (verdict.reason, verdict.relies_on) == (R.PERIOD, laptop)
    old = replace(facts, verification=ago(3_600, TEXT))
    assert outcome(old, PASSWORD + wrong_code()) is R.WRONG_CODE


def test_the_text_of_another_device_is_no_text_of_this_one_where_periods_are_kept_per_device() -> None:
    facts = known(member(PER_DEVICE), seen=ago(60), latest=ago(60, TEXT, OTHER))
    assert outcome(facts, PASSWORD + wrong_code()) is R.WRONG_CODE


def test_a_repeated_text_with_a_wrong_password_is_a_wrong_password() -> None:
    facts = known(member(DAILY), seen=ago(60, TEXT), latest=ago(60, TEXT))
    assert outcome(facts, "letmein" + code()) is R.WRONG_PASSWORD


def test_the_last_second_of_a_period_makes_a_session_of_one_second() -> None:
    verdict = verdict_of(attempt(PASSWORD), known(member(HOURLY), latest=ago(3_599.9)))
    assert (verdict.reason, verdict.session) == (R.PERIOD, 1)


@pytest.mark.parametrize("at", [float("inf"), float("-inf"), float("nan")])
def test_a_time_that_is_none_is_no_verification(at: float) -> None:
    strange = Verification(at, TEXT, 3, "de:vi:ce")
    for text in (DAILY, PER_DEVICE):
        made, facts = attempt(PASSWORD), known(member(text), seen=strange, latest=strange)
        verdict = verdict_of(made, facts)
        assert verdict.reason is R.CODE_MISSING
        assert read(recorded(made, facts, verdict)).latest is None


# An Accept that is told again.


@pytest.mark.parametrize(
    ("reason", "session"), [(R.TOTP, 3_590), (R.BACKUP_CODE, 3_590), (R.PERIOD, 3_000), (R.REPEAT, 3_000)]
)
def test_an_accept_that_is_told_again_has_the_rest_of_its_session(reason: Reason, session: int) -> None:
    facts = known(member(HOURLY), seen=ago(600), latest=ago(600))
    told = verdict_of(attempt(PASSWORD), replace(facts, earlier=Earlier(NOW - 10, Outcome.ACCEPT, reason)))
    assert (told.reason, told.session, told.settled_before) == (reason, session, True)


def test_a_node_whose_clock_is_ahead_lengthens_no_session() -> None:
    facts = replace(known(member(HOURLY)), earlier=Earlier(NOW + 20, Outcome.ACCEPT, R.TOTP))
    assert verdict_of(attempt(PASSWORD), facts).session == 3_600


def test_a_period_that_ended_between_two_answers_leaves_a_second() -> None:
    earlier = Earlier(NOW - 10, Outcome.ACCEPT, R.PERIOD)
    facts = replace(known(member(HOURLY), latest=ago(3_605)), earlier=earlier)
    assert verdict_of(attempt(PASSWORD), facts).session == 1


def test_the_date_until_which_one_may_wait_is_told_again() -> None:
    facts = replace(known(member(LATER), methods=()), earlier=Earlier(NOW - 10, Outcome.ACCEPT, R.ENROL_LATER))
    verdict = verdict_of(attempt(PASSWORD), facts)
    assert (verdict.enrol_by, verdict.session) == (1_800_057_600.0, None)


def test_a_refusal_that_is_told_again_has_no_session() -> None:
    facts = replace(known(member(HOURLY), latest=ago(1)), earlier=Earlier(NOW - 10, Outcome.REJECT, R.WRONG_CODE))
    assert verdict_of(attempt(PASSWORD), facts).session is None


@pytest.mark.parametrize("device", ["de:vi:ce", ""])
def test_a_retry_within_the_grace_has_the_rest_of_the_session(device: str) -> None:
    nas = Nas(3, "gate", "vpn", retry_grace=30.0)
    for text in (HOURLY, '[[require]]\nevery = "1h"\nremember = "device"\n'):
        facts = known(member(text), seen=ago(10, TEXT, device), latest=ago(10, TEXT, device))
        verdict = verdict_of(attempt(PASSWORD + code(), nas, device=device), facts)
        assert (verdict.reason, verdict.session) == (R.REPEAT, 3_590)

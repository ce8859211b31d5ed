"""What a phone is worth at a sign-in, judged: when a code is sent, and what is claimed by whom."""

from dataclasses import replace
from typing import Final

import pytest

from radiusd_mfa.core.facts import Facts, Membership, MethodKind, Nas, Phones, SmsCode, TeamRules
from radiusd_mfa.core.sms_codes import PAUSE, sent
from radiusd_mfa.core.verdict import Mark, Outcome, Reason, SpendSms, SpendStep, Verdict
from tests.support.judging import ALICE, CHALLENGING, METHOD, NOW, OTP_ONLY, PASSWORD, attempt, code, plain, verdict_of

CODE: Final = "314159"
PHONE: Final = replace(METHOD, id=11, seed=b"", kind=MethodKind.SMS)
GOOD: Final = SmsCode(11, b"digest of it", NOW + 60, frozenset({CODE}))
PHONES: Final = Phones(11, "678", preferred=True, code=GOOD)
ONLY: Final = Facts(user=ALICE, methods=(PHONE,), phones=PHONES)
"""Alice has nothing but a phone."""
BOTH: Final = replace(ONLY, methods=(METHOD, PHONE), phones=replace(PHONES, preferred=False))
"""She has an authenticator, too, and prefers it."""
JUST_SENT: Final = replace(ONLY, phones=replace(PHONES, history=sent("", NOW - PAUSE + 1)))
APPS: Final = Membership(TeamRules(7, "ops", "mfa", '[methods]\nallow = ["totp"]\n', version=1), "member")
MESSAGES: Final = Membership(TeamRules(7, "ops", "mfa", '[methods]\nallow = ["sms"]\n', version=1), "member")


def in_team(facts: Facts, membership: Membership) -> Facts:
    return replace(facts, team_id=7, memberships=(membership,))


def told(verdict: Verdict) -> tuple[Outcome, Reason, int | None]:
    return verdict.outcome, verdict.reason, verdict.sends


REJECT, ACCEPT, CHALLENGE = Outcome.REJECT, Outcome.ACCEPT, Outcome.CHALLENGE
ALONE: Final = {
    "only a phone": (ONLY, Reason.SMS_SENT, 11),
    "a phone preferred": (replace(BOTH, phones=PHONES), Reason.SMS_SENT, 11),
    "an authenticator preferred": (BOTH, None, None),
    "only a phone, which is not the default": (replace(ONLY, phones=BOTH.phones), Reason.SMS_SENT, 11),
    "only sms allowed": (in_team(BOTH, MESSAGES), Reason.SMS_SENT, 11),
    "sms not allowed": (in_team(replace(BOTH, phones=PHONES), APPS), None, None),
    "one sent just now": (JUST_SENT, Reason.SMS_NOT_NOW, None),
}


@pytest.mark.parametrize(("nas", "outcome"), [(plain(), REJECT), (CHALLENGING, CHALLENGE)], ids=["plain", "challenge"])
@pytest.mark.parametrize(("facts", "reason", "sends"), ALONE.values(), ids=ALONE)
def test_the_password_alone(nas: Nas, outcome: Outcome, facts: Facts, reason: Reason | None, sends: int | None) -> None:
    otherwise = Reason.CODE_DUE if nas.challenge else Reason.CODE_MISSING
    verdict = verdict_of(attempt(PASSWORD, nas), facts)
    assert told(verdict) == (outcome, reason or otherwise, sends)
    assert verdict.mark is Mark.CLEAR
    assert verdict.spend is None


@pytest.mark.parametrize("facts", [ONLY, BOTH, in_team(BOTH, MESSAGES)])
def test_the_code_that_was_sent_is_claimed(facts: Facts) -> None:
    verdict = verdict_of(attempt(PASSWORD + CODE), facts)
    assert told(verdict) == (ACCEPT, Reason.SMS, None)
    assert verdict.spend == SpendSms(11, b"digest of it")


WORTHLESS: Final = {
    "another": (ONLY, "271828"),
    "expired": (replace(ONLY, phones=replace(PHONES, code=replace(GOOD, expires=NOW))), CODE),
    "used": (replace(ONLY, phones=replace(PHONES, code=None)), CODE),
    "not allowed": (in_team(BOTH, APPS), CODE),
}


@pytest.mark.parametrize(("facts", "typed"), WORTHLESS.values(), ids=WORTHLESS)
def test_a_code_that_is_worthless_counts_as_a_guess(facts: Facts, typed: str) -> None:
    verdict = verdict_of(attempt(PASSWORD + typed), facts)
    assert told(verdict) == (REJECT, Reason.WRONG_CODE, None)
    assert verdict.mark is Mark.WRONG_CODE
    assert verdict.spend is None


def test_a_wrong_password_with_the_right_code_claims_and_sends_nothing() -> None:
    verdict = verdict_of(attempt("hunter3" + CODE), ONLY)
    assert told(verdict) == (REJECT, Reason.WRONG_PASSWORD, None)
    assert verdict.spend is None
    assert verdict.phone == ""


def test_digits_that_are_both_claim_the_step_before_the_code() -> None:
    digits = code()
    facts = replace(BOTH, phones=replace(PHONES, code=replace(GOOD, typed=frozenset({digits}))))
    verdict = verdict_of(attempt(PASSWORD + digits), facts)
    assert isinstance(verdict.spend, SpendStep)
    spent = replace(facts, methods=(replace(METHOD, watermark=verdict.spend.step), PHONE))
    assert verdict_of(attempt(PASSWORD + digits), spent).spend == SpendSms(11, b"digest of it")


def test_the_word_at_a_nas_that_sends_only_codes_is_refunded_and_needs_a_challenge_to_be_shown() -> None:
    """Nobody has shown a password here: wrong ones before it must not be forgotten."""
    assert told(verdict_of(attempt("sms", OTP_ONLY), BOTH)) == (REJECT, Reason.CODE_MISSING, None)
    verdict = verdict_of(attempt("sms", replace(OTP_ONLY, challenge=True)), BOTH)
    assert told(verdict) == (CHALLENGE, Reason.SMS_SENT, 11)
    assert verdict.mark is Mark.REFUND


@pytest.mark.parametrize("typed", ["help", "", "mail"])
def test_no_other_word_sends_anything(typed: str) -> None:
    verdict = verdict_of(attempt(typed, replace(OTP_ONLY, challenge=True)), BOTH)
    assert told(verdict) == (REJECT, Reason.CODE_MISSING, None)

"""The decision: facts, typed text and time in; a verdict with its claims out.

Two steps, both pure. `examine` reads the facts and either has the verdict already or asks a `Question` that costs a
password hash. `decide` takes the answer. In between nothing is held: the question may take 30 ms or 3 s.

Every way to a Reject that an outsider can cause asks a question of the same cost, about a password that is nobody's
if need be: how long an answer takes tells nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final, assert_never

from radiusd_mfa.core import set_up_answers, sms_codes, throttle
from radiusd_mfa.core.circumstances import Circumstances
from radiusd_mfa.core.facts import Attempt, Earlier, Facts, Method, MethodKind, StoredBackupCode
from radiusd_mfa.core.policy import Remember
from radiusd_mfa.core.readings import (
    WINDOW,
    AskedForSms,
    Factor,
    Hypothesis,
    NothingTyped,
    SpentCode,
    WrongCode,
    hypotheses,
    hypothesis,
)
from radiusd_mfa.core.requirement import Requirement, decided, policies_of, requirement
from radiusd_mfa.core.set_up import Dialogue, Finish, Unhashed
from radiusd_mfa.core.throttle import Admission
from radiusd_mfa.core.totp import step_at
from radiusd_mfa.core.typed import Answer, Reading, Typed
from radiusd_mfa.core.values import quick
from radiusd_mfa.core.verdict import Found, Mark, Outcome, Reason, SpendBackupCode, SpendSms, SpendStep, Verdict
from radiusd_mfa.core.verification import Verification

RETRANSMITTED_FOR: Final = 60.0
"""Seconds in which the same request has the same verdict again; later its octets are a replay (RFC 5080 2.2.2)."""
LONGEST_GRACE: Final = 60.0
"""Seconds of a NAS entry's `retry_grace`, whatever another program wrote there: it is no period without a policy."""

_FRESH: Final = (Reason.TOTP, Reason.BACKUP_CODE, Reason.SMS, Reason.SET_UP_DONE)
_PROVEN: Final = (*_FRESH, Reason.PERIOD, Reason.REPEAT)
_OF_SET_UP: Final = (Reason.SET_UP, Reason.RECORD_DUE)


@quick
@dataclass(frozen=True, slots=True)
class Question:
    """Which of these readings is right? At most three passwords, mostly two, in this order, against one stored hash."""

    hypotheses: tuple[Hypothesis, ...]
    stored: str | None = field(default=None, repr=False)
    """The hash to check against; None: any hash, for the time it takes; the answer is ignored."""
    passwords_count: bool = True
    """False where the password is settled already (a challenge, an OTP-only NAS): only a code's hash is asked about."""
    otherwise: Reason = Reason.WRONG_PASSWORD
    """The reason of the Reject if no reading is right."""
    optional: bool = False
    """Whether the question may be left out when hashing is busy (an account that is closed anyway)."""
    unhashed: Unhashed | None = None
    """Not a question at all but a wish: the hashes of these backup codes, with which a set-up is done."""

    @property
    def about_nobody(self) -> bool:
        """Whether no answer can help."""
        return self.passwords_count and self.stored is None


@quick
@dataclass(frozen=True, slots=True)
class Right:
    """The answer: this reading's password is right, and so is its backup code if it has one."""

    hypothesis: Hypothesis
    code: bool = True
    hashes: tuple[str, ...] = field(default=(), repr=False)
    """Of the backup codes, where they were wished for."""


def examine(attempt: Attempt, facts: Facts) -> Verdict | Question:
    """Return the verdict where the facts alone tell it, otherwise the question that the passwords must answer."""
    if facts.earlier is not None:
        return _again(attempt, facts, facts.earlier)
    if _repeats(attempt, facts):
        return _repeated(attempt, facts)
    barred = _barred(attempt, facts)
    if barred is not None:
        return _about_nobody(attempt, barred)
    counting = _with_methods_that_count(attempt, facts)
    if isinstance(attempt.typed, Answer):
        return _examine_answer(attempt, attempt.typed, facts, counting)
    return Question(
        hypotheses(attempt.typed, counting, attempt.at),
        stored=facts.user.password_hash if facts.user else None,
        otherwise=Reason.WRONG_PASSWORD if attempt.typed.refusal is None else Reason.UNREADABLE,
    )


def decide(attempt: Attempt, facts: Facts, question: Question, answer: Right | None) -> Verdict:
    """Return the verdict that follows from the answer; None: no reading was right."""
    redeems = attempt.state is not None and facts.challenge is not None
    if answer is None or question.about_nobody:
        return _refused(facts, question.otherwise, redeems=redeems)
    if question.unhashed is not None:
        return _set_up_done(attempt, facts, Finish(question.unhashed.recording, answer.hashes))
    found = _found(answer)
    circumstances = Circumstances.of(attempt, facts, found)
    required = requirement(circumstances, policies_of(facts.memberships))
    outcome, reason = decided(circumstances, required)
    verdict = Verdict(
        outcome,
        reason,
        mark=_mark(found, reason, facts, attempt),
        spend=_spend(answer.hypothesis.factor) if reason in _FRESH else None,
        redeems=redeems,
        relies_on=_relied_on(facts, required) if reason is Reason.PERIOD else None,
        session=_session(reason, required, facts, given_at=attempt.at, now=attempt.at),
        enrol_by=required.enrol_by if reason is Reason.ENROL_LATER else None,
        clock_is_behind=outcome is Outcome.REJECT and _clock_is_behind(facts.methods, attempt.at),
        found=found,
        weighed=circumstances,
    )
    if facts.phones is None:
        return verdict
    sends = facts.phones.to if reason is Reason.SMS_SENT else None
    return replace(verdict, sends=sends, phone=_phone(facts, required))


def _again(attempt: Attempt, facts: Facts, earlier: Earlier) -> Verdict:
    """Tell an earlier verdict again, an Accept never without its limits: the first one may be lost on its way."""
    if abs(attempt.at - earlier.at) > RETRANSMITTED_FOR:
        return Verdict(Outcome.REJECT, Reason.REPLAYED)
    again = Verdict(earlier.outcome, earlier.reason, settled_before=True)
    if earlier.outcome is Outcome.CHALLENGE and earlier.reason in _OF_SET_UP:
        return _shown_again(facts, again)
    if earlier.outcome is not Outcome.ACCEPT:
        # The same octets on every node (I6): what was said of a phone is said again.
        return again if facts.phones is None else replace(again, phone=_phone(facts, _required(attempt, facts)))
    if not facts.memberships:
        # With the membership its limits are gone, and an Accept without them would be another one.
        return Verdict(Outcome.REJECT, Reason.REPLAYED) if facts.user is None or _strange(facts) else again
    required = _required(attempt, facts)
    return replace(
        again,
        session=_session(earlier.reason, required, facts, given_at=earlier.at, now=attempt.at),
        enrol_by=required.enrol_by if earlier.reason is Reason.ENROL_LATER else None,
    )


def _shown_again(facts: Facts, again: Verdict) -> Verdict:
    """Show a secret or codes again only as long as an answer to them is waited for, and never later (ATTACKS 28)."""
    if facts.set_up is None or not facts.set_up.following_is_open:
        return Verdict(Outcome.REJECT, Reason.REPLAYED)
    return replace(again, recording=facts.set_up.following)


def _repeats(attempt: Attempt, facts: Facts) -> bool:
    """Whether a client that retries with a new authenticator asks again what was accepted just now (R12)."""
    done = facts.verification
    if done is None or attempt.nas.retry_grace <= 0 or facts.user is None or facts.user.disabled or _strange(facts):
        return False
    # Either way round: the retry may have been settled first, or by a node whose clock is a little ahead.
    grace = min(attempt.nas.retry_grace, LONGEST_GRACE)
    return done.text == attempt.text and abs(attempt.at - done.at) <= grace


def _repeated(attempt: Attempt, facts: Facts) -> Verdict:
    session = None
    if facts.memberships:
        required = _required(attempt, facts)
        session = _session(Reason.REPEAT, required, facts, given_at=attempt.at, now=attempt.at)
    # What is told again must still be so: whoever revokes a method ends this too (X5).
    return Verdict(Outcome.ACCEPT, Reason.REPEAT, relies_on=facts.verification, session=session)


def _required(attempt: Attempt, facts: Facts) -> Requirement:
    """Say what the policies ask for, whatever was typed."""
    return requirement(Circumstances.of(attempt, facts, Found.NOTHING), policies_of(facts.memberships))


def _strange(facts: Facts) -> bool:
    """Whether the sign-in is into a team that the user does not belong to."""
    return facts.team_id != 0 and not facts.memberships


def _barred(attempt: Attempt, facts: Facts) -> Reason | None:
    """Return why nothing that is typed can help, None where the typed text decides."""
    if facts.user is None:
        return Reason.UNKNOWN_USER
    if _strange(facts):
        return Reason.NOT_A_MEMBER
    closed = _closed(attempt, facts)
    if closed is not None:
        return closed
    if facts.user.disabled:
        return Reason.DISABLED
    if facts.user.password_hash is None and isinstance(attempt.typed, Typed):
        return Reason.NO_PASSWORD
    return None


def _closed(attempt: Attempt, facts: Facts) -> Reason | None:
    known_device = facts.verification is not None
    admission = throttle.weigh(facts.history, attempt.charge, known_device=known_device)
    if admission is Admission.KNOWN_WRONG and _is_of_its_period(attempt, facts):
        admission = throttle.weigh(facts.history, attempt.charge, known_device=known_device, known_right=True)
    match admission:
        case Admission.ADMITTED:
            return None
        case Admission.CLOSED:
            return Reason.THROTTLED
        case Admission.KNOWN_WRONG:
            return Reason.KNOWN_WRONG
        case other:
            assert_never(other)


def _is_of_its_period(attempt: Attempt, facts: Facts) -> bool:
    """Whether this very text began a period that lasts here: refused elsewhere since, it is good for a rekey (R11)."""
    required = _required(attempt, facts)
    return required.repeated and required.enrolled and not isinstance(attempt.typed, Answer)


def _about_nobody(attempt: Attempt, reason: Reason) -> Question:
    """Ask what takes as long as for a user with a wrong password; nothing in the answer can accept.

    A flood on an account that is closed must not keep the hash threads from others: there the question is optional.
    """
    optional = reason in (Reason.THROTTLED, Reason.KNOWN_WRONG)
    asked = () if isinstance(attempt.typed, Answer) else hypotheses(attempt.typed, Facts(), attempt.at)
    return Question(asked, otherwise=reason, optional=optional)


def _with_methods_that_count(attempt: Attempt, facts: Facts) -> Facts:
    """Leave out the methods whose codes the policies don't let count."""
    policies = policies_of(facts.memberships).values()
    if all(method.kind in policy.allow for policy in policies for method in facts.methods):
        return facts
    allowed = _required(attempt, facts).allowed
    return replace(
        facts,
        methods=tuple(method for method in facts.methods if method.kind in allowed),
        phones=facts.phones if MethodKind.SMS in allowed else None,
    )


def _examine_answer(attempt: Attempt, typed: Answer, facts: Facts, counting: Facts) -> Verdict | Question:
    """Judge the second packet of a challenge, or the only one of an OTP-only NAS."""
    redeems = facts.challenge is not None
    if attempt.dialogue is not None and attempt.dialogue.stage:
        return _examine_set_up(attempt, typed, facts, attempt.dialogue)
    if (attempt.state is not None or not attempt.nas.otp_only) and not _challenge_holds(attempt, facts):
        return Verdict(Outcome.REJECT, Reason.BAD_STATE, redeems=redeems)
    if typed.code is None and typed.word != sms_codes.WORD:
        return Verdict(Outcome.REJECT, Reason.CODE_MISSING, redeems=redeems, found=Found.NOTHING)
    only = hypothesis(Reading(password="", code=typed.code, word=typed.word), counting, attempt.at)
    question = Question((only,), passwords_count=False)
    if isinstance(only.factor, StoredBackupCode):
        return question
    return decide(attempt, facts, question, Right(only))


def _examine_set_up(attempt: Attempt, typed: Answer, facts: Facts, dialogue: Dialogue) -> Verdict | Question:
    """Judge an answer within a set-up; the last one costs the hashes of the backup codes."""
    if not _challenge_holds(attempt, facts):
        return Verdict(Outcome.REJECT, Reason.BAD_STATE, redeems=facts.challenge is not None)
    answered = set_up_answers.answered(attempt, typed, facts, _required(attempt, facts), dialogue=dialogue)
    if isinstance(answered, Verdict):
        return answered
    nothing = Hypothesis("", NothingTyped())
    return Question((nothing,), passwords_count=False, unhashed=Unhashed(dialogue.root, answered))


def _set_up_done(attempt: Attempt, facts: Facts, finish: Finish) -> Verdict:
    required = _required(attempt, facts)
    session = _session(Reason.SET_UP_DONE, required, facts, given_at=attempt.at, now=attempt.at)
    return Verdict(Outcome.ACCEPT, Reason.SET_UP_DONE, mark=Mark.CLEAR, redeems=True, session=session, finish=finish)


def _challenge_holds(attempt: Attempt, facts: Facts) -> bool:
    """State is bound to NAS and user, never to port or Id (CLIENTS: challenges come back from other ports)."""
    challenge = facts.challenge
    if challenge is None or facts.user is None:
        return False
    return (challenge.user_id, challenge.nas_id) == (facts.user.id, attempt.nas.id) and attempt.at < challenge.expires


def _refused(facts: Facts, reason: Reason, *, redeems: bool) -> Verdict:
    mark = Mark.REFUND
    if reason is Reason.WRONG_PASSWORD:
        mark = Mark.WRONG_PASSWORD if facts.verification is None else Mark.WRONG_PASSWORD_KNOWN_DEVICE
    return Verdict(Outcome.REJECT, reason, mark=mark, redeems=redeems)


def _found(answer: Right) -> Found:
    match answer.hypothesis.factor:
        case SpendStep() | SpendSms() as right:
            return Found.TOTP if isinstance(right, SpendStep) else Found.SMS
        case StoredBackupCode(used=used):
            return (Found.SPENT if used else Found.BACKUP_CODE) if answer.code else Found.WRONG
        case SpentCode():
            return Found.SPENT
        case WrongCode():
            return Found.WRONG
        case NothingTyped() | AskedForSms() as nothing:
            return Found.NOTHING if isinstance(nothing, NothingTyped) else Found.ASKED
        case other:
            assert_never(other)


def _mark(found: Found, reason: Reason, facts: Facts, attempt: Attempt) -> Mark:
    """Count a code that opens nothing as a guess, unless there is nothing to guess: then the password was right."""
    if found is Found.ASKED and isinstance(attempt.typed, Answer):
        return Mark.REFUND  # neither a guess nor a credential, and on an OTP-only NAS nobody has shown a password here
    if found not in (Found.WRONG, Found.SPENT) or reason is Reason.PERIOD:
        return Mark.CLEAR
    guessable = facts.methods or facts.backup_codes or reason is not Reason.NOT_ENROLLED
    return Mark.WRONG_CODE if guessable else Mark.CLEAR


def _spend(factor: Factor) -> SpendStep | SpendBackupCode | SpendSms | None:
    match factor:
        case SpendStep() | SpendSms():
            return factor
        case StoredBackupCode(id=code_id):
            return SpendBackupCode(code_id)
        case SpentCode() | WrongCode() | NothingTyped() | AskedForSms():
            return None
        case other:
            assert_never(other)


def _phone(facts: Facts, required: Requirement) -> str:
    """Return the end of the number to which a code may be sent; empty where codes by SMS don't count."""
    return facts.phones.ending if facts.phones is not None and MethodKind.SMS in required.allowed else ""


def _relied_on(facts: Facts, required: Requirement) -> Verification | None:
    return facts.verification if required.relies_on is Remember.DEVICE else facts.latest


def _session(reason: Reason, required: Requirement, facts: Facts, *, given_at: float, now: float) -> int | None:
    """Return the seconds, at least 1, until the first period ends; None where nothing of the kind was proven."""
    if reason not in _PROVEN:
        return None
    if reason not in _FRESH:
        given_at = facts.verification.at if facts.verification else 0.0
    left = [
        min(every, max(demand.until or 0.0, given_at + every) - now)
        for demand in required.demands
        if (every := demand.rule.every) is not None
    ]
    return max(1, int(min(left))) if left else None


def _clock_is_behind(methods: Sequence[Method], now: float) -> bool:
    """Whether a watermark lies in the future, where a code was refused: an alarm, since the clock went back."""
    return any(method.watermark > step_at(now, method.period) + WINDOW for method in methods)

"""The decision: facts, typed text and time in; a verdict with its claims out.

Two steps, both pure. `examine` reads the facts and either has the verdict already or asks a `Question` that costs a
password hash. `decide` takes the answer. In between nothing is held: the question may take 30 ms or 3 s.

Every way to a Reject that an outsider can cause asks a question of the same cost, about a password that is nobody's
if need be: how long an answer takes tells nothing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, assert_never

from radiusd_mfa.core import throttle
from radiusd_mfa.core.backup_codes import BackupCode
from radiusd_mfa.core.facts import Attempt, Earlier, Facts, Method, StoredBackupCode
from radiusd_mfa.core.throttle import Admission
from radiusd_mfa.core.totp import matching_steps, step_at
from radiusd_mfa.core.typed import Answer, Reading, TotpCode, Typed
from radiusd_mfa.core.verdict import Mark, Outcome, Reason, SpendBackupCode, SpendStep, Verdict

RETRANSMITTED_FOR: Final = 60.0
"""Seconds in which the same request has the same verdict again; later its octets are a replay (RFC 5080 2.2.2)."""
WINDOW: Final = 1
"""Time steps accepted before and after the current one (RFC 6238 5.2)."""
USUAL_DIGITS: Final = 6
MOST_READINGS: Final = 4
"""Passwords that one text may cost; two, except where separators or codes of two lengths leave room for another."""


@dataclass(frozen=True, slots=True)
class NothingTyped:
    """No code beside the password."""


@dataclass(frozen=True, slots=True)
class WrongCode:
    """Something of a code's shape that is none of the user's codes."""


@dataclass(frozen=True, slots=True)
class SpentCode:
    """A code that was right and is used up."""


Factor = SpendStep | StoredBackupCode | NothingTyped | WrongCode | SpentCode


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """One reading of the typed text, and what its code is worth if its password is right."""

    password: str = field(repr=False)
    factor: Factor
    backup_code: str = field(default="", repr=False)
    """The typed backup code, to be checked against the hash of a `StoredBackupCode`."""


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

    @property
    def about_nobody(self) -> bool:
        """Whether no answer can help."""
        return self.passwords_count and self.stored is None


@dataclass(frozen=True, slots=True)
class Right:
    """The answer: this reading's password is right, and so is its backup code if it has one."""

    hypothesis: Hypothesis
    code: bool = True


def examine(attempt: Attempt, facts: Facts) -> Verdict | Question:
    """Return the verdict where the facts alone tell it, otherwise the question that the passwords must answer."""
    if facts.earlier is not None:
        return _again(facts.earlier, attempt.at)
    if _repeats(attempt, facts):
        return Verdict(Outcome.ACCEPT, Reason.REPEAT)
    barred = _barred(attempt, facts)
    if barred is not None:
        return _about_nobody(attempt, barred)
    if isinstance(attempt.typed, Answer):
        return _examine_answer(attempt, attempt.typed, facts)
    return Question(
        _hypotheses(attempt.typed, facts, attempt.at),
        stored=facts.user.password_hash if facts.user else None,
        otherwise=Reason.WRONG_PASSWORD if attempt.typed.refusal is None else Reason.UNREADABLE,
    )


def decide(attempt: Attempt, facts: Facts, question: Question, answer: Right | None) -> Verdict:
    """Return the verdict that follows from the answer; None: no reading was right."""
    redeems = attempt.state is not None and facts.challenge is not None
    if answer is None or question.about_nobody:
        return _refused(facts, question.otherwise, redeems=redeems)
    verdict = _worth(attempt, facts, answer)
    return replace(verdict, redeems=redeems, clock_is_behind=_clock_is_behind(facts.methods, verdict, attempt.at))


def _again(earlier: Earlier, now: float) -> Verdict:
    if abs(now - earlier.at) <= RETRANSMITTED_FOR:
        return Verdict(earlier.outcome, earlier.reason, settled_before=True)
    return Verdict(Outcome.REJECT, Reason.REPLAYED)


def _repeats(attempt: Attempt, facts: Facts) -> bool:
    """Whether a client that retries with a new authenticator asks again what was accepted just now (R12)."""
    done = facts.verification
    if done is None or attempt.nas.retry_grace <= 0 or facts.user is None or facts.user.disabled:
        return False
    # Either way round: the retry may have been settled first, or by a node whose clock is a little ahead.
    return done.text == attempt.text and abs(attempt.at - done.at) <= attempt.nas.retry_grace


def _barred(attempt: Attempt, facts: Facts) -> Reason | None:
    """Return why nothing that is typed can help, None where the typed text decides."""
    if facts.user is None:
        return Reason.UNKNOWN_USER
    closed = _closed(attempt, facts)
    if closed is not None:
        return closed
    if facts.user.disabled:
        return Reason.DISABLED
    if facts.user.password_hash is None and isinstance(attempt.typed, Typed):
        return Reason.NO_PASSWORD
    return None


def _closed(attempt: Attempt, facts: Facts) -> Reason | None:
    match throttle.weigh(facts.history, attempt.charge, known_device=facts.verification is not None):
        case Admission.ADMITTED:
            return None
        case Admission.CLOSED:
            return Reason.THROTTLED
        case Admission.KNOWN_WRONG:
            return Reason.KNOWN_WRONG
        case other:
            assert_never(other)


def _about_nobody(attempt: Attempt, reason: Reason) -> Question:
    """Ask what takes as long as for a user with a wrong password; nothing in the answer can accept.

    A flood on an account that is closed must not keep the hash threads from others: there the question is optional.
    """
    optional = reason in (Reason.THROTTLED, Reason.KNOWN_WRONG)
    hypotheses = () if isinstance(attempt.typed, Answer) else _hypotheses(attempt.typed, Facts(), attempt.at)
    return Question(hypotheses, otherwise=reason, optional=optional)


def _examine_answer(attempt: Attempt, typed: Answer, facts: Facts) -> Verdict | Question:
    """Judge the second packet of a challenge, or the only one of an OTP-only NAS."""
    redeems = facts.challenge is not None
    if not attempt.nas.otp_only and not _challenge_holds(attempt, facts):
        return Verdict(Outcome.REJECT, Reason.BAD_STATE, redeems=redeems)
    if typed.code is None:
        return Verdict(Outcome.REJECT, Reason.CODE_MISSING, redeems=redeems)
    hypothesis = _hypothesis(Reading(password="", code=typed.code), facts, attempt.at)
    question = Question((hypothesis,), passwords_count=False)
    if isinstance(hypothesis.factor, StoredBackupCode):
        return question
    return decide(attempt, facts, question, Right(hypothesis))


def _challenge_holds(attempt: Attempt, facts: Facts) -> bool:
    """State is bound to NAS and user, never to port or Id (CLIENTS: challenges come back from other ports)."""
    challenge = facts.challenge
    if challenge is None or facts.user is None:
        return False
    return (challenge.user_id, challenge.nas_id) == (facts.user.id, attempt.nas.id) and attempt.at < challenge.expires


def _hypotheses(typed: Typed, facts: Facts, now: float) -> tuple[Hypothesis, ...]:
    """Order the readings: the cheap factor chooses. There are few, so that a text costs few hashes.

    A code that matches makes its reading the likely one, and the whole text the other. Without a match the whole
    text is the likely password, and the readings with a code tell whether a right password came with a wrong code:
    one that is left out would let codes be guessed at the price of passwords.
    """
    digits = {method.digits for method in facts.methods} or {USUAL_DIGITS}
    read = [_hypothesis(reading, facts, now) for reading in typed.readings if _plausible(reading, digits)]
    whole = [h for h in read if isinstance(h.factor, NothingTyped)]
    matched = sorted((h for h in read if _matched(h)), key=lambda h: isinstance(h.factor, SpentCode))
    wrong = [h for h in read if isinstance(h.factor, WrongCode)]
    return (*matched, *whole)[:MOST_READINGS] if matched else (*whole, *wrong)[:MOST_READINGS]


def _plausible(reading: Reading, digits: Iterable[int]) -> bool:
    return not isinstance(reading.code, TotpCode) or len(reading.code.digits) in digits


def _matched(hypothesis: Hypothesis) -> bool:
    return isinstance(hypothesis.factor, SpendStep | StoredBackupCode | SpentCode)


def _hypothesis(reading: Reading, facts: Facts, now: float) -> Hypothesis:
    match reading.code:
        case None:
            return Hypothesis(reading.password, NothingTyped())
        case TotpCode(digits):
            return Hypothesis(reading.password, _totp(digits, facts.methods, now))
        case BackupCode() as code:
            return Hypothesis(reading.password, _backup_code(code, facts.backup_codes), code.canonical)
        case other:
            assert_never(other)


def _totp(digits: str, methods: Sequence[Method], now: float) -> SpendStep | SpentCode | WrongCode:
    """Find the earliest unspent step of any method that has this code."""
    spent = False
    for method in methods:
        steps = matching_steps(
            digits,
            seed=method.seed,
            digits=method.digits,
            period=method.period,
            algorithm=method.algorithm,
            now=now,
            window=WINDOW,
        )
        for step in steps:
            if step > method.watermark:
                return SpendStep(method.id, step)
            spent = True
    return SpentCode() if spent else WrongCode()


def _backup_code(code: BackupCode, rows: Sequence[StoredBackupCode]) -> StoredBackupCode | WrongCode:
    return next((row for row in rows if row.selector == code.selector), WrongCode())


def _refused(facts: Facts, reason: Reason, *, redeems: bool) -> Verdict:
    mark = Mark.REFUND
    if reason is Reason.WRONG_PASSWORD:
        mark = Mark.WRONG_PASSWORD if facts.verification is None else Mark.WRONG_PASSWORD_KNOWN_DEVICE
    return Verdict(Outcome.REJECT, reason, mark=mark, redeems=redeems)


def _worth(attempt: Attempt, facts: Facts, answer: Right) -> Verdict:
    """Say what a right password is worth together with its code."""
    match answer.hypothesis.factor:
        case SpendStep() as spend:
            return Verdict(Outcome.ACCEPT, Reason.TOTP, mark=Mark.CLEAR, spend=spend)
        case StoredBackupCode() as row:
            return _worth_of_backup_code(row, right=answer.code)
        case SpentCode():
            return Verdict(Outcome.REJECT, Reason.CODE_REUSED, mark=Mark.WRONG_CODE)
        case WrongCode():
            return _wrong_code(facts)
        case NothingTyped():
            return _password_alone(attempt, facts)
        case other:
            assert_never(other)


def _worth_of_backup_code(row: StoredBackupCode, *, right: bool) -> Verdict:
    if not right:
        return Verdict(Outcome.REJECT, Reason.WRONG_CODE, mark=Mark.WRONG_CODE)
    if row.used:
        return Verdict(Outcome.REJECT, Reason.CODE_REUSED, mark=Mark.WRONG_CODE)
    return Verdict(Outcome.ACCEPT, Reason.BACKUP_CODE, mark=Mark.CLEAR, spend=SpendBackupCode(row.id))


def _password_alone(attempt: Attempt, facts: Facts) -> Verdict:
    """Without any policy MFA is required of everybody at every connection (T0): the password is never enough."""
    if not facts.methods:
        return Verdict(Outcome.REJECT, Reason.NOT_ENROLLED, mark=Mark.CLEAR)
    if attempt.nas.challenge:
        return Verdict(Outcome.CHALLENGE, Reason.CODE_DUE, mark=Mark.CLEAR)
    return Verdict(Outcome.REJECT, Reason.CODE_MISSING, mark=Mark.CLEAR)


def _wrong_code(facts: Facts) -> Verdict:
    if not facts.methods:
        return Verdict(Outcome.REJECT, Reason.NOT_ENROLLED, mark=Mark.CLEAR)
    return Verdict(Outcome.REJECT, Reason.WRONG_CODE, mark=Mark.WRONG_CODE)


def _clock_is_behind(methods: Sequence[Method], verdict: Verdict, now: float) -> bool:
    """Whether a code was refused while a watermark lies in the future: an alarm, since the clock went back."""
    if verdict.outcome is not Outcome.REJECT:
        return False
    return any(method.watermark > step_at(now, method.period) + WINDOW for method in methods)

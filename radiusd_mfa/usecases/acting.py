"""Prove who somebody is, for `--as` and for the pages: one real sign-in, at this machine instead of at a NAS.

The same throttle, the same order of statements, the same audit log as over RADIUS. Two things are stricter: a code must
be spent now, whatever period or policy would let a password suffice, and nobody learns which of the two was wrong.
"""

import base64
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from radiusd_mfa.core.facts import Attempt, Facts, Nas
from radiusd_mfa.core.judge import Right, decide, examine
from radiusd_mfa.core.names import Username
from radiusd_mfa.core.readings import AskedForSms, NothingTyped
from radiusd_mfa.core.totp import CODE_LENGTHS
from radiusd_mfa.core.typed import appended
from radiusd_mfa.core.verdict import Mark, Outcome, Reason, Verdict
from radiusd_mfa.usecases.actors import Claimant, Person
from radiusd_mfa.usecases.changes import Refusal
from radiusd_mfa.usecases.ports import Clock, Entropy, SignInStore, StoreFault
from radiusd_mfa.usecases.sign_in import SignIn

SURFACE: Final = "control-panel"
NOBODY: Final = Refusal(
    "User name, password or code is not right, or there were too many wrong ones; wait for the next code and try again."
)
"""The one answer to everything that proves nothing; to be given a second later, as a RADIUS server does."""
_TRIES: Final = 4


Weigh = Callable[[Verdict, Right | None], Verdict]
"""Gets a verdict and the reading that was right, and may make it stricter."""


@dataclass(frozen=True, slots=True)
class Given:
    """What somebody says to be somebody; octets as they were typed."""

    name: Username
    password: bytes = field(repr=False)
    code: bytes | None = field(default=None, repr=False)
    """None: it stands behind the password, in the same text."""
    device: str = ""
    """Where it was typed, if that is known: guesses from elsewhere delay nobody on a device that was used before."""


@dataclass(frozen=True, slots=True)
class Door:
    """Where people prove who they are: `cli` or `pages`, and what it takes."""

    name: str
    sign_in: SignIn
    store: SignInStore
    clock: Clock
    entropy: Entropy = field(repr=False)


@dataclass(frozen=True, slots=True)
class Texted:
    """The password was right, and a code was sent by SMS, or the last one is still to be typed: ask for it."""

    sentence: str
    sent: bool


@dataclass(frozen=True, slots=True)
class Judged:
    """A verdict that stands, what it was made of, and the reading that was right."""

    verdict: Verdict
    facts: Facts
    right: Right | None


def prove(given: Given, *, door: Door) -> Person | Texted | Refusal:
    """Say who it is after the right password and a code that is spent by it; raises `StoreFault`.

    The word `sms` in the place of the code has one sent, and so has the password alone of whoever prefers that.
    """
    judged = signed_in(_attempt(given, door), door, _with_a_code, in_a_period=False)
    user, verdict = judged.facts.user, judged.verdict
    texted = texted_by(verdict)
    if texted is not None:
        return texted
    if user is None or verdict.outcome is not Outcome.ACCEPT:
        return NOBODY
    return Person(user.id, user.name)


def prove_password(given: Given, *, door: Door) -> Claimant | Refusal:
    """Say who claims to be somebody with the right password alone; raises `StoreFault`.

    Guesses are charged as those of a sign-in are. What the password is good for is for the use case to say.
    """
    judged = signed_in(_attempt(replace(given, code=b""), door), door, _without_sending)
    user = judged.facts.user
    if user is None or user.password_hash is None or judged.right is None:
        return NOBODY
    return Claimant(user.id, user.name, user.password_hash)


def texted_by(verdict: Verdict) -> Texted | None:
    """Say what became of the wish for a code by SMS; None: there was none, or codes by SMS don't count."""
    match verdict.reason:
        case Reason.SMS_SENT:
            return Texted(f"A code was sent to your phone ending in {verdict.phone}.", sent=True)
        case Reason.SMS_NOT_NOW:
            return Texted(
                "No other code can be sent right now. The last one is good for ten minutes, once.", sent=False
            )
        case _:
            return None


def signed_in(attempt: Attempt, door: Door, weigh: Weigh, *, in_a_period: bool = True) -> Judged:
    """Judge one attempt at this machine and make the verdict true, after `weigh` has had its say; may take seconds.

    Without `in_a_period` no period lasts: a code is due now.
    """
    (facts,) = door.store.open([attempt])
    for _ in range(_TRIES):
        judged = _judged(attempt, facts, door, weigh, in_a_period=in_a_period)
        # Without a challenge: that one has proved the password is kept by whoever asks, and not in the NAS's State.
        settlement = replace(door.sign_in.settlement(attempt, judged.facts, judged.verdict), challenge=None)
        (audit_id,) = door.store.settle([settlement])
        if audit_id is not None:
            return judged
        # Another sign-in was first, or the user was changed meanwhile: what is true now decides.
        (facts,) = door.store.reread([attempt])
    raise StoreFault("the user is being changed all the time; try again")


def _judged(attempt: Attempt, facts: Facts, door: Door, weigh: Weigh, *, in_a_period: bool) -> Judged:
    if facts.fault:
        raise StoreFault(facts.fault)
    examined = examine(attempt, facts)
    if isinstance(examined, Verdict):
        return Judged(weigh(examined, None), facts, None)
    answer = door.sign_in.answer(examined)
    right = None if examined.about_nobody else answer
    if right is not None and not in_a_period:
        # Only now: what was verified where says also whose guesses delay whom.
        facts = replace(facts, verification=None, latest=None)
    return Judged(weigh(decide(attempt, facts, examined, answer), right), facts, right)


def _with_a_code(verdict: Verdict, right: Right | None) -> Verdict:
    """Refuse what would be accepted without a code: to act for somebody is more than to connect again."""
    if verdict.outcome is Outcome.REJECT or verdict.spend is not None:
        return verdict
    if right is None or isinstance(right.hypothesis.factor, NothingTyped | AskedForSms):
        return Verdict(Outcome.REJECT, Reason.CODE_MISSING, mark=Mark.CLEAR)
    return Verdict(Outcome.REJECT, Reason.CODE_REUSED, mark=Mark.WRONG_CODE)


def _without_sending(verdict: Verdict, _right: Right | None) -> Verdict:
    """Send no code where nobody is going to ask for one."""
    if texted_by(verdict) is None:
        return verdict
    return Verdict(Outcome.REJECT, Reason.CODE_MISSING, mark=Mark.CLEAR)


def _attempt(given: Given, door: Door) -> Attempt:
    typed = given.password if given.code is None else apart(given.password, given.code)
    return Attempt(
        request=door.entropy(16),
        at=door.clock(),
        nas=Nas(id=0, name=door.name, surface=SURFACE),
        shown_name=given.name.text,
        user=given.name,
        typed=appended(typed, digit_lengths=CODE_LENGTHS),
        text=door.sign_in.text_digest(user=given.name.text, text=typed, at_prompt=False),
        device=given.device,
    )


def apart(password: bytes, code: bytes) -> bytes:
    """Write both as OpenVPN's static challenge does, so that no digit of a password is ever taken for the code."""
    return b"SCRV1:" + base64.b64encode(password) + b":" + base64.b64encode(code)

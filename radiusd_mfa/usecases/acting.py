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
from radiusd_mfa.core.readings import NothingTyped
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
class Judged:
    """A verdict that stands, what it was made of, and the reading that was right."""

    verdict: Verdict
    facts: Facts
    right: Right | None


def prove(given: Given, *, door: Door) -> Person | Refusal:
    """Say who it is after the right password and a code that is spent by it; raises `StoreFault`."""
    judged = signed_in(_attempt(given, door), door, _with_a_code)
    user = judged.facts.user
    if user is None or judged.verdict.outcome is not Outcome.ACCEPT:
        return NOBODY
    return Person(user.id, user.name)


def prove_password(given: Given, *, door: Door) -> Claimant | Refusal:
    """Say who claims to be somebody with the right password alone; raises `StoreFault`.

    Guesses are charged as those of a sign-in are. What the password is good for is for the use case to say.
    """
    judged = signed_in(_attempt(replace(given, code=b""), door), door, lambda verdict, _right: verdict)
    user = judged.facts.user
    if user is None or user.password_hash is None or judged.right is None:
        return NOBODY
    return Claimant(user.id, user.name, user.password_hash)


def signed_in(attempt: Attempt, door: Door, weigh: Callable[[Verdict, Right | None], Verdict]) -> Judged:
    """Judge one attempt at this machine and make the verdict true, after `weigh` has had its say; may take seconds."""
    (facts,) = door.store.open([attempt])
    for _ in range(_TRIES):
        judged = _judged(attempt, facts, door, weigh)
        # Without a challenge: that one has proved the password is kept by whoever asks, and not in the NAS's State.
        settlement = replace(door.sign_in.settlement(attempt, facts, judged.verdict), challenge=None)
        (audit_id,) = door.store.settle([settlement])
        if audit_id is not None:
            return judged
        # Another sign-in was first, or the user was changed meanwhile: what is true now decides.
        (facts,) = door.store.reread([attempt])
    raise StoreFault("the user is being changed all the time; try again")


def _judged(attempt: Attempt, facts: Facts, door: Door, weigh: Callable[[Verdict, Right | None], Verdict]) -> Judged:
    if facts.fault:
        raise StoreFault(facts.fault)
    examined = examine(attempt, facts)
    if isinstance(examined, Verdict):
        return Judged(weigh(examined, None), facts, None)
    answer = door.sign_in.answer(examined)
    right = None if examined.about_nobody else answer
    return Judged(weigh(decide(attempt, facts, examined, answer), right), facts, right)


def _with_a_code(verdict: Verdict, right: Right | None) -> Verdict:
    """Refuse what would be accepted without a code: to act for somebody is more than to connect again."""
    if verdict.outcome is Outcome.REJECT or verdict.spend is not None:
        return verdict
    if right is None or isinstance(right.hypothesis.factor, NothingTyped):
        return Verdict(Outcome.REJECT, Reason.CODE_MISSING, mark=Mark.CLEAR)
    return Verdict(Outcome.REJECT, Reason.CODE_REUSED, mark=Mark.WRONG_CODE)


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

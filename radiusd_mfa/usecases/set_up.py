"""Lead a user through a set-up by Access-Challenges (R6): what is shown of it, and what becomes of it.

All of it follows from the State and the key, so that a retransmission, another node and a restart show the same (I6):
the secret and the backup codes are in no table before they count. What they become is one piece of work in the
transaction that settles the last packet. Knows no SQL and no packet.
"""

import re
from collections.abc import Callable, Sequence
from typing import Final

from radiusd_mfa.core import set_up
from radiusd_mfa.core.backup_codes import BackupCode, make_set
from radiusd_mfa.core.facts import Attempt, Nas, Person
from radiusd_mfa.core.set_up import Dialogue, Finish, Recording
from radiusd_mfa.core.totp import NEW_SEED_OCTETS
from radiusd_mfa.core.verdict import Outcome, Reason, Verdict
from radiusd_mfa.usecases import actors
from radiusd_mfa.usecases.admin_ports import NewAuditEntry, NewMethod, User
from radiusd_mfa.usecases.books import Books
from radiusd_mfa.usecases.codes import CodeSet
from radiusd_mfa.usecases.enrol import finish
from radiusd_mfa.usecases.ports import Digests
from radiusd_mfa.usecases.set_up_ports import NewChallenge

LIFETIME: Final = 600.0
"""Seconds in which a packet of the set-up must be answered: to type a secret into a phone takes its time."""
LABEL: Final = "authenticator"
_ROOT_DIGITS: Final = 30
_BEGINS: Final = b"s"
"""What the State of a set-up begins with; any other is hexadecimal."""
_STATE: Final = re.compile(rb"s([1-9])([0-9a-f]{30})")


def dialogue_of(nas: Nas, request: bytes, state: bytes | None, digests: Digests) -> Dialogue | None:
    """Say where in a set-up a request stands; None where it neither goes on with one nor may begin one.

    That a State has the right form proves nothing: the store must know its digest.
    """
    if state is None:
        if not nas.set_up:
            return None
        root, stage = digests.digest("set-up", request).hex()[:_ROOT_DIGITS], 0
    elif (parts := _STATE.fullmatch(state)) is not None:
        root, stage = parts[2].decode(), int(parts[1])
    else:
        return None
    following = state_digest(state_at(root, stage + 1), digests)
    return Dialogue(root, stage, following, seed_of(root, digests) if stage == set_up.FIRST_CODE else b"")


def state_digest(state: bytes, digests: Digests) -> bytes:
    """Return the digest under which the store knows a State."""
    return digests.digest("state-stored", state)


def state_at(root: str, stage: int) -> bytes:
    """Return the State of the challenge at a stage: 32 characters, of which 120 bits are nobody's to guess."""
    return _BEGINS + f"{stage}{root}".encode()


def seed_of(root: str, digests: Digests) -> bytes:
    """Return the secret of a set-up, 160 bits."""
    return _stream("set-up seed", root, digests)(NEW_SEED_OCTETS)


def codes_of(root: str, count: int, digests: Digests) -> Sequence[BackupCode]:
    """Return the backup codes of a set-up; fewer are the first ones of more."""
    return make_set(count, _stream("set-up codes", root, digests))


def alongside(
    attempt: Attempt, user: Person | None, verdict: Verdict, digests: Digests
) -> Callable[[Books], bool] | None:
    """Return what must be done with the verdict in its transaction; None where it is of no set-up."""
    dialogue = attempt.dialogue
    if dialogue is None or user is None or verdict.settled_before:
        return None
    if verdict.finish is not None:
        done = verdict.finish
        codes = codes_of(dialogue.root, done.recording.codes, digests)
        return lambda books: _complete(user, attempt, seed_of(dialogue.root, digests), done, codes, books)
    if verdict.outcome is Outcome.CHALLENGE and verdict.reason in (Reason.SET_UP, Reason.RECORD_DUE):
        challenge = _challenge(attempt, user, dialogue, verdict.recording)
        return lambda books: _first_method(user, books) is not None and books.challenges.issue(challenge)
    return None


def _challenge(attempt: Attempt, user: Person, dialogue: Dialogue, recording: Recording | None) -> NewChallenge:
    return NewChallenge(
        state=dialogue.following,
        user_id=user.id,
        nas_id=attempt.nas.id,
        kind="enrol" if recording is None else "record",
        granted_to=user.password_hash or "",
        expires_at=attempt.at + LIFETIME,
        step=recording.step if recording else None,
        codes=recording.codes if recording else None,
    )


def _first_method(user: Person, books: Books) -> User | None:
    """Return the user as long as there is no confirmed method: somebody may have set one up on the page meanwhile."""
    found = books.people.find(user.name)
    if found is None or any(method.confirmed for method in books.methods.summaries(found.id)):
        return None
    return found


def _complete(
    person: Person, attempt: Attempt, seed: bytes, done: Finish, codes: Sequence[BackupCode], books: Books
) -> bool:
    """Let the method and its backup codes count; False, and nothing done, if the user has a method by now."""
    user = _first_method(person, books)
    if user is None:
        return False
    for abandoned in books.methods.summaries(user.id):
        books.methods.remove(abandoned.id)
    method_id = books.methods.add(user.id, NewMethod(seed, LABEL), attempt.at)
    assert method_id is not None  # noqa: S101 - the others are gone
    counts = books.methods.confirm(method_id, done.recording.step, attempt.at)
    assert counts  # noqa: S101 - nobody has seen it yet
    (method,) = books.methods.of(user.id)
    actor = actors.Person(user.id, user.name)
    finish(user, method, books, CodeSet(codes, done.hashes), at=attempt.at, actor=actor)
    books.audit.append(
        NewAuditEntry(
            at=attempt.at,
            verb="mfa-confirm",
            outcome="done",
            actor=actor.shown,
            user=user.name,
            nas=attempt.nas.name,
            detail={"dialogue": True},
        )
    )
    return True


def _stream(purpose: str, root: str, digests: Digests) -> Callable[[int], bytes]:
    """Return what gives octets as chance does, and the same ones each time: keyed digests of a counter."""
    given, waiting = 0, b""

    def octets(count: int) -> bytes:
        nonlocal given, waiting
        while len(waiting) < count:
            waiting += digests.digest(purpose, root.encode(), given.to_bytes(4, "big"))
            given += 1
        taken, waiting = waiting[:count], waiting[count:]
        return taken

    return octets

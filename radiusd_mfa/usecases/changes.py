"""A change by an administrator: one transaction, one audit row, done or refused.

Owns what a refusal is, how a change is written down, and that a person may do nothing but what a use case permits:
who acts is checked in the transaction of the change, with the rows locked that the check is about. Knows no SQL.
"""

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar, assert_never

from radiusd_mfa.core.names import escaped
from radiusd_mfa.usecases.actors import OPERATOR, Actor, Claimant, Operator, Person
from radiusd_mfa.usecases.admin_ports import NewAuditEntry
from radiusd_mfa.usecases.books import Administration, Books
from radiusd_mfa.usecases.ports import Clock

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a change was not made, and what to do about it, in a sentence for people."""

    sentence: str


@dataclass(frozen=True, slots=True)
class Change:
    """What is about to be changed, by whom; `detail` goes into the audit log and holds no secret."""

    verb: str
    user: str | None = None
    nas: str | None = None
    detail: Mapping[str, object] = field(default_factory=dict)
    actor: Actor | Claimant = OPERATOR
    team: str | None = None
    """The team that is changed: locked before anybody is, whoever acts, or two who act in it would deadlock."""


Permit = Callable[[Books], Refusal | None]
"""Says what a person lacks for a change, None if nothing; called in the change's own transaction."""


def recorded(
    change: Change,
    work: Callable[[Books], T | Refusal],
    *,
    store: Administration,
    clock: Clock,
    permit: Permit | None = None,
) -> T | Refusal:
    """Do the work and write it down in the same transaction; refused work is written down as such.

    A person may do it only if there is a `permit` that has nothing against it; the operator always may (X6).
    """

    def both(books: Books) -> T | Refusal:
        if change.team is not None:
            books.teams.lock(change.team)
        result = barred(change, permit, books) or work(books)
        refused = isinstance(result, Refusal)
        why = {"why": result.sentence} if isinstance(result, Refusal) else {}
        books.audit.append(
            NewAuditEntry(
                at=clock(),
                verb=change.verb,
                outcome="refused" if refused else "done",
                actor=change.actor.shown,
                user=change.user,
                nas=change.nas,
                detail={**change.detail, **why},
            )
        )
        return result

    return store.change(both)


def viewed(
    change: Change,
    look: Callable[[Books], T | Refusal],
    *,
    store: Administration,
    clock: Clock,
    permit: Permit | None = None,
) -> T | Refusal:
    """Look something up; that the operator looks is not written down, that a person was refused is.

    Whoever looks locks nothing: SQLite has one writer, and a look at a month of sign-ins would silence the server.
    """
    result = store.view(lambda books: _blind(change, permit, books) or look(books))
    if isinstance(change.actor, Operator) or not isinstance(result, Refusal):
        return result
    refused = result
    return recorded(change, lambda _books: refused, store=store, clock=clock, permit=lambda _books: refused)


def barred(change: Change, permit: Permit | None, books: Books) -> Refusal | None:
    """Say what keeps the actor from this change, with the rows of both people locked."""
    match change.actor:
        case Operator():
            return None
        case Person() | Claimant() as person:
            # In one order, so that two who act upon each other at once wait for each other, and see what was done.
            for name in sorted({person.name, change.user or person.name}):
                books.people.lock(name)
            return _blind(change, permit, books)
        case other:
            assert_never(other)


def _blind(change: Change, permit: Permit | None, books: Books) -> Refusal | None:
    """Say what keeps the actor from looking."""
    if isinstance(change.actor, Operator):
        return None
    if not _is_still_there(change.actor, books):
        return Refusal(f"“{escaped(change.actor.name)}” was changed meanwhile; prove anew who you are.")
    return only_the_operator(change) if permit is None else permit(books)


def only_the_operator(change: Change) -> Refusal:
    """Refuse a person what no permission allows."""
    return Refusal(f"Only the operator of the machine may do this ({change.verb}); leave --as out, if that is you.")


def _is_still_there(person: Person | Claimant, books: Books) -> bool:
    found = books.people.find(person.name)
    if found is None or found.id != person.user_id or found.disabled:
        return False
    return not isinstance(person, Claimant) or found.password_hash == person.granted_to


def unknown(what: str, name: str, known: Iterable[str], *, command: str) -> Refusal:
    """Refuse a name that nobody has, with the names that may have been meant or the command that lists them."""
    near = difflib.get_close_matches(name, list(known), n=3, cutoff=0.6)
    if near:
        meant = " or ".join(escaped(each) for each in near)
        return Refusal(f"There is no {what} “{escaped(name)}”; is {meant} meant?")
    return Refusal(f"There is no {what} “{escaped(name)}”; to see them all: radiusd-mfa {command}")

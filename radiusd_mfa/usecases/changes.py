"""A change by an administrator: one transaction, one audit row, done or refused.

Owns what a refusal is and how a change is written down. Knows no SQL.
"""

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

from radiusd_mfa.core.names import escaped
from radiusd_mfa.usecases.admin_ports import NewAuditEntry
from radiusd_mfa.usecases.books import Administration, Books
from radiusd_mfa.usecases.ports import Clock

OPERATOR: Final = "operator"
"""Who has the machine; the audit log says so (X6)."""
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
    actor: str = OPERATOR


def recorded(
    change: Change, work: Callable[[Books], T | Refusal], *, store: Administration, clock: Clock
) -> T | Refusal:
    """Do the work and write it down in the same transaction; refused work is written down as such."""

    def both(books: Books) -> T | Refusal:
        result = work(books)
        refused = isinstance(result, Refusal)
        why = {"why": result.sentence} if isinstance(result, Refusal) else {}
        books.audit.append(
            NewAuditEntry(
                at=clock(),
                verb=change.verb,
                outcome="refused" if refused else "done",
                actor=change.actor,
                user=change.user,
                nas=change.nas,
                detail={**change.detail, **why},
            )
        )
        return result

    return store.change(both)


def unknown(what: str, name: str, known: Iterable[str], *, command: str) -> Refusal:
    """Refuse a name that nobody has, with the names that may have been meant or the command that lists them."""
    near = difflib.get_close_matches(name, list(known), n=3, cutoff=0.6)
    if near:
        meant = " or ".join(escaped(each) for each in near)
        return Refusal(f"There is no {what} “{escaped(name)}”; is {meant} meant?")
    return Refusal(f"There is no {what} “{escaped(name)}”; to see them all: radiusd-mfa {command}")

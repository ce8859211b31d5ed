"""Old password hashes give way to argon2id at the next sign-in, when the password is known for a moment (O5).

The user notices nothing: what was granted on the old hash stands on the new one. Whoever changes the password meanwhile
wins, for the old hash is part of the condition. Knows no SQL and no thread; the caller sees to it that nobody waits.
"""

from dataclasses import dataclass, field
from typing import Final, Protocol

from radiusd_mfa.core.facts import Person
from radiusd_mfa.core.judge import Question, Right
from radiusd_mfa.usecases.admin_ports import NewAuditEntry
from radiusd_mfa.usecases.books import Administration, Books
from radiusd_mfa.usecases.ports import Clock

SERVER: Final = "server"
"""As which actor the audit log names what nobody asked for."""


class Upgrades(Protocol):
    """Which hashes are old, and how new ones are made."""

    def is_old(self, stored: str) -> bool:
        """Whether a hash is of another kind, or cheaper, than those that are made today."""
        ...

    def make(self, text: str) -> str:
        """Hash a prepared password; takes about 30 ms."""
        ...


@dataclass(frozen=True, slots=True)
class Renewal:
    """A password that was right, for the old hash that it was checked against."""

    user_id: int
    name: str
    password: str = field(repr=False)
    stored: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Renewing:
    """What it takes to renew a hash; `make` and `save` are apart, for one is slow and the other waits for the disk."""

    upgrades: Upgrades
    store: Administration
    clock: Clock

    def due(self, user: Person | None, question: Question, right: Right | None) -> Renewal | None:
        """Return the renewal that follows from a right password whose hash is old; None from every other answer."""
        if right is None or user is None or not question.passwords_count:
            return None
        if question.stored is None or not self.upgrades.is_old(question.stored):
            return None
        return Renewal(user.id, user.name, right.hypothesis.password, question.stored)

    def renew(self, renewal: Renewal) -> bool:
        """Do both."""
        return self.save(renewal, self.make(renewal))

    def make(self, renewal: Renewal) -> str:
        """Compute the new hash."""
        return self.upgrades.make(renewal.password)

    def save(self, renewal: Renewal, made: str) -> bool:
        """Put the new hash in place of the old one; False if that one is not there any more. Raises `StoreFault`."""

        def work(books: Books) -> bool:
            done = books.people.renew_password_hash(renewal.user_id, old=renewal.stored, new=made)
            if done:
                at = self.clock()
                books.audit.append(NewAuditEntry(at, "password-upgrade", "done", SERVER, user=renewal.name))
            return done

        return self.store.change(work)

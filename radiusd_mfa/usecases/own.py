"""What somebody sees of the own account: methods, backup codes, what the teams ask, and where it is remembered."""

from collections.abc import Sequence
from dataclasses import dataclass

from radiusd_mfa.core.names import Username
from radiusd_mfa.usecases.actors import Actor
from radiusd_mfa.usecases.admin_ports import AuditEntry, AuditFilter, MethodSummary, User
from radiusd_mfa.usecases.books import Administration, Books
from radiusd_mfa.usecases.changes import Refusal
from radiusd_mfa.usecases.obligations import Obligations, obligations_of
from radiusd_mfa.usecases.people import changed, nobody, only_oneself
from radiusd_mfa.usecases.ports import Clock


@dataclass(frozen=True, slots=True)
class Own:
    """All that a user's own page shows; looked at in one transaction."""

    methods: Sequence[MethodSummary]
    """The confirmed ones."""
    backup_codes_left: int
    asked: Obligations
    recovered: bool
    """Whether the last sign-in took a backup code: the password alone disables the second factor then (K4)."""


def own(name: Username, *, store: Administration) -> Own | Refusal:
    """Return what a user has set up, and what is asked of the user."""

    def look(books: Books) -> Own | Refusal:
        user = books.people.find(name.text)
        if user is None:
            return nobody(name, books)
        return Own(
            [method for method in books.methods.summaries(user.id) if method.confirmed],
            books.codes.left(user.id),
            obligations_of(user.id, books),
            books.methods.recovered(user.id),
        )

    return store.view(look)


def sign_ins(name: Username, *, since: float, limit: int, store: Administration) -> Sequence[AuditEntry]:
    """Return a user's latest sign-ins, refused ones too, the newest first."""
    wanted = AuditFilter(users=(name.text,), kind="sign-in", since=since, limit=limit)
    return store.view(lambda books: books.audit.list(wanted))


def forget(name: Username, *, store: Administration, clock: Clock, actor: Actor) -> User | Refusal:
    """End every period and every session: everywhere a code is due at the next sign-in."""

    def work(user: User, books: Books) -> User:
        books.people.forget_periods(user.id)
        return user

    return changed("mfa-forget", name, work, store=store, clock=clock, actor=actor, permit=only_oneself(actor))

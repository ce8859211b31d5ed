"""Backup codes: a fresh set makes every earlier code worthless, in the same commit."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from radiusd_mfa.core.backup_codes import BackupCode, make_set
from radiusd_mfa.core.names import Username, escaped
from radiusd_mfa.core.totp import matching_steps
from radiusd_mfa.usecases.actors import OPERATOR, Actor
from radiusd_mfa.usecases.admin_ports import NewBackupCode, StoredMethod, User
from radiusd_mfa.usecases.books import Administration, Books, Hashing
from radiusd_mfa.usecases.changes import Refusal
from radiusd_mfa.usecases.obligations import obligations_of
from radiusd_mfa.usecases.people import changed
from radiusd_mfa.usecases.ports import Clock, Entropy

COUNT: Final = 10


@dataclass(frozen=True, slots=True)
class CodeSet:
    """Fresh backup codes, shown once, and what the database keeps of them."""

    codes: Sequence[BackupCode]
    hashes: Sequence[str] = field(repr=False)

    @property
    def shown(self) -> list[str]:
        """The codes as the user types them."""
        return [code.shown for code in self.codes]


def draw(*, hashing: Hashing, entropy: Entropy, count: int = COUNT) -> CodeSet:
    """Make a set; outside of any transaction, since its hashes take their time."""
    codes = make_set(count, entropy)
    return CodeSet(codes, hashing.make_all([code.canonical for code in codes]))


def keep(user: User, fresh: CodeSet, books: Books) -> None:
    """Make a set the only valid one."""
    books.codes.replace(user.id, to_be_kept(user, fresh, books))


def to_be_kept(user: User, fresh: CodeSet, books: Books) -> Sequence[NewBackupCode]:
    """Return a set as the books keep it: to be seen again only where all of the user's teams allow it (K5)."""
    revealable = obligations_of(user.id, books).reveal
    return [NewBackupCode(*each, revealable) for each in zip(fresh.codes, fresh.hashes, strict=True)]


def regenerate(
    name: Username,
    code: str | None,
    *,
    store: Administration,
    hashing: Hashing,
    clock: Clock,
    entropy: Entropy,
    actor: Actor = OPERATOR,
) -> CodeSet | Refusal:
    """Replace a user's backup codes; `code` is a current code, which is spent. None: the operator vouches (K3)."""
    fresh = draw(hashing=hashing, entropy=entropy)

    def work(user: User, books: Books) -> CodeSet | Refusal:
        methods = [method for method in books.methods.of(user.id) if method.confirmed_at is not None]
        if not methods:
            return Refusal(
                f"“{escaped(user.name)}” has no confirmed method, and backup codes stand in for one; "
                f"first: radiusd-mfa mfa enrol {escaped(user.name)}"
            )
        if code is not None and not spend_current(code, methods, books, clock()):
            return Refusal("This is not a current code, or it was used before; wait for the next one and try again.")
        keep(user, fresh, books)
        return fresh

    vouched = {} if code is not None else {"without_code": True}
    return changed("mfa-backup-codes", name, work, store=store, clock=clock, actor=actor, **vouched)


def spend_current(code: str, methods: Sequence[StoredMethod], books: Books, now: float) -> bool:
    """Spend the step of whichever method shows this code now; False if none does, or if it was spent before."""
    return any(books.methods.spend(method.id, step, now) for method in methods for step in steps_of(code, method, now))


def steps_of(code: str, method: StoredMethod, now: float) -> Sequence[int]:
    """Return the steps at which a method shows this code, around now; spaces inside a code don't count."""
    return matching_steps(
        code.replace(" ", ""),
        seed=method.seed,
        digits=method.digits,
        period=method.period,
        algorithm=method.algorithm,
        now=now,
    )

"""Backup codes: a fresh set makes every earlier code worthless, in the same commit."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from radiusd_mfa.core.backup_codes import BackupCode, make_set, tidy
from radiusd_mfa.core.names import Username, escaped
from radiusd_mfa.core.policy import USUAL_BACKUP_CODES
from radiusd_mfa.core.totp import matching_steps
from radiusd_mfa.usecases import phone_codes
from radiusd_mfa.usecases.actors import OPERATOR, Actor, Operator
from radiusd_mfa.usecases.admin_ports import NewBackupCode, StoredMethod, User
from radiusd_mfa.usecases.books import Administration, Books, Hashing
from radiusd_mfa.usecases.changes import Refusal
from radiusd_mfa.usecases.obligations import obligations_of
from radiusd_mfa.usecases.people import changed, only_oneself
from radiusd_mfa.usecases.phone_codes import Post
from radiusd_mfa.usecases.ports import Clock, Entropy

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class CodeSet:
    """Fresh backup codes, shown once, and what the database keeps of them."""

    codes: Sequence[BackupCode]
    hashes: Sequence[str] = field(repr=False)

    @property
    def shown(self) -> list[str]:
        """The codes as the user types them."""
        return [code.shown for code in self.codes]


def draw(*, hashing: Hashing, entropy: Entropy, count: int = USUAL_BACKUP_CODES) -> CodeSet:
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


@dataclass(frozen=True, slots=True)
class Revealed:
    """The unused backup codes, as the user types them."""

    shown: Sequence[str] = field(repr=False)


def regenerate(
    name: Username,
    code: str | None,
    *,
    store: Administration,
    hashing: Hashing,
    clock: Clock,
    entropy: Entropy,
    post: Post | None = None,
    actor: Actor = OPERATOR,
) -> CodeSet | Refusal:
    """Replace a user's backup codes (K3).

    `code` is a current code, which is spent. None: the user who acts has just spent one, or else the operator vouches.
    With `post` it may be one that was sent to the user's phone.
    """
    fresh = draw(hashing=hashing, entropy=entropy, count=_count_for(name, store))

    def work(user: User, books: Books) -> CodeSet | Refusal:
        refusal = _unproved(user, code, actor, books, clock(), post)
        if refusal is not None:
            return refusal
        keep(user, fresh, books)
        return fresh

    return _by_oneself("mfa-backup-codes", name, work, code, store=store, clock=clock, actor=actor)


def reveal(
    name: Username,
    code: str | None,
    *,
    store: Administration,
    clock: Clock,
    post: Post | None = None,
    actor: Actor = OPERATOR,
) -> Revealed | Refusal:
    """Show the unused backup codes again where all of the user's teams allow it (K5); `code` as in `regenerate`."""

    def work(user: User, books: Books) -> Revealed | Refusal:
        if not obligations_of(user.id, books).reveal:
            return Refusal(
                f"Backup codes of “{escaped(user.name)}” can't be seen again: not every team of the user allows it "
                "(policy backup_codes.reveal). Make new ones: "
                f"radiusd-mfa mfa backup-codes {escaped(user.name)}"
            )
        refusal = _unproved(user, code, actor, books, clock(), post)
        if refusal is not None:
            return refusal
        return _revealed(user, books)

    return _by_oneself("mfa-backup-codes-reveal", name, work, code, store=store, clock=clock, actor=actor)


def _by_oneself(
    verb: str,
    name: Username,
    work: Callable[[User, Books], T | Refusal],
    code: str | None,
    *,
    store: Administration,
    clock: Clock,
    actor: Actor,
) -> T | Refusal:
    vouched: dict[str, Any] = {"without_code": True} if _vouches(code, actor) else {}
    return changed(verb, name, work, store=store, clock=clock, actor=actor, permit=only_oneself(actor), **vouched)


def _unproved(
    user: User, code: str | None, actor: Actor, books: Books, now: float, post: Post | None
) -> Refusal | None:
    """Say what is missing before codes may be made or shown: a method, its use after a backup code, a current code."""
    if not any(method.confirmed for method in books.methods.summaries(user.id)):
        return Refusal(
            f"“{escaped(user.name)}” has no confirmed method, and backup codes stand in for one; "
            f"first: radiusd-mfa mfa enrol {escaped(user.name)}"
        )
    if not _vouches(code, actor) and books.methods.recovered(user.id):
        # K4: who found a backup code must not make more of them.
        return Refusal(
            f"“{escaped(user.name)}” has signed in with a backup code: no codes can be made before a sign-in with the "
            "authenticator, or before a new one is set up."
        )
    methods = [method for method in books.methods.of(user.id) if method.confirmed_at is not None]
    if code is not None and not (
        spend_current(code, methods, books, now)
        or (post is not None and phone_codes.spend_current(user, code, books, post=post, at=now))
    ):
        return Refusal("This is not a current code, or it was used before; wait for the next one and try again.")
    return None


def _vouches(code: str | None, actor: Actor) -> bool:
    return code is None and isinstance(actor, Operator)


def _revealed(user: User, books: Books) -> Revealed | Refusal:
    kept = [tidy(canonical) for canonical in books.codes.revealed(user.id)]
    shown = [code.shown for code in kept if code is not None]
    if len(shown) < books.codes.left(user.id):
        return Refusal(
            f"The backup codes of “{escaped(user.name)}” were made before their team let them be seen again, so only "
            f"hashes are there. Make new ones: radiusd-mfa mfa backup-codes {escaped(user.name)}"
        )
    return Revealed(shown)


def _count_for(name: Username, store: Administration) -> int:
    """Look ahead how many codes the user's teams want, so that the transaction needn't wait for the hashes."""

    def look(books: Books) -> int:
        user = books.people.find(name.text)
        return obligations_of(user.id, books).backup_codes if user else 1

    return store.view(look)


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

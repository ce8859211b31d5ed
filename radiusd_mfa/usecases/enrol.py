"""Authenticators: set up, confirmed by a code, shown, deleted. Only a confirmed one ever lets anybody in (E1, I5)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from radiusd_mfa.core.names import Username, escaped
from radiusd_mfa.core.totp import new_seed, otpauth_uri
from radiusd_mfa.usecases.actors import OPERATOR, Actor
from radiusd_mfa.usecases.admin_ports import MethodSummary, NewMethod, StoredMethod, User
from radiusd_mfa.usecases.books import Administration, Books, Hashing
from radiusd_mfa.usecases.changes import Refusal
from radiusd_mfa.usecases.codes import CodeSet, draw, keep, steps_of
from radiusd_mfa.usecases.people import changed, nobody
from radiusd_mfa.usecases.ports import Clock, Entropy

MOST_WRONG_CODES: Final = 5
"""Wrong codes after which an unconfirmed method is removed: nobody confirms by guessing."""


@dataclass(frozen=True, slots=True)
class Enrolment:
    """An unconfirmed method, and the URI that carries its secret to the authenticator app."""

    method: int
    uri: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Confirmed:
    """A method that counts from now on; the backup codes where it is the user's first."""

    method: int
    codes: CodeSet | None


@dataclass(frozen=True, slots=True)
class Overview:
    """What a user has set up (E4)."""

    user: str
    methods: Sequence[MethodSummary]
    backup_codes_left: int


def start(
    name: Username,
    *,
    label: str,
    issuer: str,
    store: Administration,
    clock: Clock,
    entropy: Entropy,
    actor: Actor = OPERATOR,
) -> Enrolment | Refusal:
    """Make an unconfirmed method; an earlier unconfirmed one is gone, confirmed ones stay as they are."""
    method = NewMethod(new_seed(entropy), label)

    def work(user: User, books: Books) -> Enrolment:
        # By their summaries: a seed that doesn't open any more must not keep the user from setting up anew.
        for abandoned in books.methods.summaries(user.id):
            if not abandoned.confirmed:
                books.methods.remove(abandoned.id)
        method_id = books.methods.add(user.id, method, clock())
        assert method_id is not None  # noqa: S101 - a seed that was drawn a moment ago is nobody's yet
        uri = otpauth_uri(
            method.seed,
            issuer=issuer,
            account=user.name,
            digits=method.digits,
            period=method.period,
            algorithm=method.algorithm,
        )
        return Enrolment(method_id, uri)

    return changed("mfa-enrol", name, work, store=store, clock=clock, actor=actor, label=label)


def confirm(
    name: Username,
    code: str,
    *,
    store: Administration,
    hashing: Hashing,
    clock: Clock,
    entropy: Entropy,
    actor: Actor = OPERATOR,
) -> Confirmed | Refusal:
    """Let the unconfirmed method count once its code was given; the first one brings backup codes (E2)."""
    fresh = draw(hashing=hashing, entropy=entropy) if _will_need_codes(name, code, store, clock()) else None

    def work(user: User, books: Books) -> Confirmed | Refusal:
        methods = _unconfirmed(user, books)
        if not methods:
            return Refusal(
                f"“{escaped(user.name)}” has no method that waits for its first code; "
                f"first: radiusd-mfa mfa enrol {escaped(user.name)}"
            )
        method, now = methods[-1], clock()
        # The highest step: one that a phone ahead of us shows must not be good for a sign-in later.
        step = max(steps_of(code, method, now), default=None)
        if step is None or not books.methods.confirm(method.id, step, now):
            return _wrong_code(user, method, books)
        return _confirmed(user, method, books, fresh)

    return changed("mfa-confirm", name, work, store=store, clock=clock, actor=actor)


def show(name: Username, *, store: Administration) -> Overview | Refusal:
    """Return what a user has set up."""

    def work(books: Books) -> Overview | Refusal:
        user = books.people.find(name.text)
        if user is None:
            return nobody(name, books)
        return Overview(user.name, books.methods.summaries(user.id), books.codes.left(user.id))

    return store.view(work)


def delete(
    name: Username, method_id: int | None, *, store: Administration, clock: Clock, actor: Actor = OPERATOR
) -> MethodSummary | Refusal:
    """Remove a method; with the last one the backup codes go, and what was let in by it ends with it."""

    def work(user: User, books: Books) -> MethodSummary | Refusal:
        methods = books.methods.summaries(user.id)
        chosen = _chosen(user, methods, method_id)
        if isinstance(chosen, Refusal):
            return chosen
        books.methods.remove(chosen.id)
        books.people.forget_periods(user.id)
        left = [method for method in methods if method.confirmed and method.id != chosen.id]
        if not left:
            books.codes.replace(user.id, ())
        elif chosen.is_default:
            books.methods.make_default(user.id, left[0].id)
        return chosen

    said = {} if method_id is None else {"method": method_id}
    return changed("mfa-delete", name, work, store=store, clock=clock, actor=actor, **said)


def _unconfirmed(user: User, books: Books) -> Sequence[StoredMethod]:
    return [method for method in books.methods.of(user.id) if method.confirmed_at is None]


def _will_need_codes(name: Username, code: str, store: Administration, now: float) -> bool:
    """Look ahead, so that a wrong guess costs no ten hashes and the transaction doesn't wait for them."""

    def look(books: Books) -> bool:
        user = books.people.find(name.text)
        methods = books.methods.of(user.id) if user else ()
        if any(method.confirmed_at is not None for method in methods):
            return False
        return any(steps_of(code, method, now) for method in methods)

    return store.view(look)


def _wrong_code(user: User, method: StoredMethod, books: Books) -> Refusal:
    left = MOST_WRONG_CODES - method.wrong_codes - 1
    if left <= 0:
        books.methods.remove(method.id)
        return Refusal(
            f"The code is wrong, for the {MOST_WRONG_CODES}th time: the set-up is cancelled; "
            f"start again: radiusd-mfa mfa enrol {escaped(user.name)}"
        )
    books.methods.count_wrong_code(method)
    return Refusal(
        f"The code is wrong; {left} more wrong ones cancel the set-up. Take the code that the app shows now, "
        "and compare the clocks of the phone and of this machine."
    )


def _confirmed(user: User, method: StoredMethod, books: Books, fresh: CodeSet | None) -> Confirmed | Refusal:
    confirmed = [each for each in books.methods.summaries(user.id) if each.confirmed]
    if len(confirmed) > 1:
        return Confirmed(method.id, None)
    books.methods.make_default(user.id, method.id)
    if fresh is not None:
        keep(user, fresh, books)
    return Confirmed(method.id, fresh)


def _chosen(user: User, methods: Sequence[MethodSummary], method_id: int | None) -> MethodSummary | Refusal:
    ids = ", ".join(str(method.id) for method in methods)
    if not methods:
        return Refusal(f"“{escaped(user.name)}” has no method; there is nothing to delete.")
    if method_id is None and len(methods) > 1:
        return Refusal(f"“{escaped(user.name)}” has the methods {ids}; say which one with --method ID.")
    chosen = next((method for method in methods if method_id in (None, method.id)), None)
    if chosen is None:
        return Refusal(f"“{escaped(user.name)}” has no method {method_id}; there are: {ids}.")
    return chosen

"""Users: made, shown, switched off and on, given a new password, removed."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

from radiusd_mfa.core.names import Username, check_new_password, escaped, prepare_password
from radiusd_mfa.usecases.actors import OPERATOR, Actor, Claimant, Person
from radiusd_mfa.usecases.admin_ports import Member, MethodSummary, NewUser, User
from radiusd_mfa.usecases.books import Administration, Books, Hashing
from radiusd_mfa.usecases.changes import Change, Permit, Refusal, recorded, unknown, viewed
from radiusd_mfa.usecases.permissions import Permission, allowed, of_oneself
from radiusd_mfa.usecases.ports import Clock

T = TypeVar("T")
UserPermit = Callable[[User, Books], Refusal | None]
"""Says what a person lacks for a change of this user, None if nothing."""
_EMAIL: Final = re.compile(r"[^\s@<>\",;:\\]{1,64}@[^\s@<>\",;:\\]{1,190}")
_PHONE: Final = re.compile(r"\+[1-9][0-9]{6,14}")


class ContactProblem(ValueError):
    """A text that is no mail address or phone number; the message is a sentence for people."""


@dataclass(frozen=True, slots=True)
class UserDetails:
    """All that may be shown of a user."""

    user: User
    teams: Sequence[Member]
    methods: Sequence[MethodSummary]
    backup_codes_left: int


@dataclass(frozen=True, slots=True)
class Request:
    """A user to be made, as an administrator asks for it; the password is prepared text."""

    name: Username
    password: str = field(repr=False)
    email: str | None = None
    phone: str | None = None


def new_password(raw: bytes | str) -> str:
    """Prepare a password that is to be set; raises PasswordProblem with a sentence."""
    prepared = prepare_password(raw)
    check_new_password(prepared)
    return prepared


def email_address(text: str) -> str:
    """Return a mail address that can be sent to; raises ContactProblem."""
    if not _EMAIL.fullmatch(text) or not text.isprintable():
        raise ContactProblem(f"“{escaped(text)}” is not a mail address.")
    return text


def phone_number(text: str) -> str:
    """Return a phone number as E.164 writes it, `+4915112345678`; raises ContactProblem."""
    number = re.sub(r"[ ()/.-]", "", text)
    if not _PHONE.fullmatch(number):
        raise ContactProblem(
            f"“{escaped(text)}” is not a phone number: + and the country code first, as in +4915112345678."
        )
    return number


def add(
    request: Request, *, store: Administration, hashing: Hashing, clock: Clock, actor: Actor = OPERATOR
) -> User | Refusal:
    """Make a user with a password."""
    name = request.name.text
    user = NewUser(name, hashing.make(request.password), request.email, request.phone)

    def work(books: Books) -> User | Refusal:
        if books.people.add(user, clock()) is None:
            return Refusal(
                f"There is a user “{escaped(name)}” already; to change the password: radiusd-mfa user password"
            )
        made = books.people.find(name)
        assert made is not None  # noqa: S101 - was made in this very transaction
        return made

    return recorded(Change("user-add", user=name, actor=actor), work, store=store, clock=clock)


def everybody(*, store: Administration) -> Sequence[User]:
    """Return all users by name."""
    return store.view(lambda books: books.people.all())


def show(name: Username, *, store: Administration, clock: Clock, actor: Actor = OPERATOR) -> UserDetails | Refusal:
    """Return all that may be shown of a user."""

    def look(books: Books) -> UserDetails | Refusal:
        user = books.people.find(name.text)
        if user is None:
            return nobody(name, books)
        return UserDetails(
            user,
            books.teams.members(user_id=user.id),
            books.methods.summaries(user.id),
            books.codes.left(user.id),
        )

    return looked_up("user-show", name, look, store=store, clock=clock, actor=actor)


def looked_up(
    verb: str,
    name: Username,
    look: Callable[[Books], T | Refusal],
    *,
    store: Administration,
    clock: Clock,
    actor: Actor,
) -> T | Refusal:
    """Look at a user, which everybody may at oneself, and at others with a permission."""

    def permit(user: User, books: Books) -> Refusal | None:
        if isinstance(actor, Person) and actor.user_id == user.id:
            return None
        return allowed(actor, Permission.MEMBERS_VIEW, about=user, books=books)

    change = Change(verb, user=name.text, actor=actor)
    return viewed(change, look, store=store, clock=clock, permit=_about(name, permit))


def disable(name: Username, *, store: Administration, clock: Clock, actor: Actor = OPERATOR) -> User | Refusal:
    """Refuse every sign-in of a user from this commit on, the running periods and open challenges included."""

    def work(user: User, books: Books) -> User:
        books.people.set_disabled(user.id, disabled=True)
        books.people.forget_periods(user.id)
        return user

    return changed("user-disable", name, work, store=store, clock=clock, actor=actor)


def enable(name: Username, *, store: Administration, clock: Clock, actor: Actor = OPERATOR) -> User | Refusal:
    """Let a user sign in again."""

    def work(user: User, books: Books) -> User:
        books.people.set_disabled(user.id, disabled=False)
        return user

    return changed("user-enable", name, work, store=store, clock=clock, actor=actor)


def remove(name: Username, *, store: Administration, clock: Clock, actor: Actor = OPERATOR) -> User | Refusal:
    """Remove a user; only the audit log remembers."""

    def work(user: User, books: Books) -> User:
        books.people.remove(user.id)
        return user

    return changed("user-remove", name, work, store=store, clock=clock, actor=actor)


def set_password(
    name: Username, password: str, *, store: Administration, hashing: Hashing, clock: Clock, actor: Actor = OPERATOR
) -> User | Refusal:
    """Give a user a new password (prepared text); the old one fails everywhere from this commit on."""
    stored = hashing.make(password)

    def work(user: User, books: Books) -> User:
        books.people.set_password_hash(user.id, stored)
        books.people.forget_periods(user.id)
        # Guesses at the old password say nothing about the new one.
        books.people.forget_wrong_passwords(user.id)
        return user

    return changed("user-password", name, work, store=store, clock=clock, actor=actor)


def changed(
    verb: str,
    name: Username,
    work: Callable[[User, Books], T | Refusal],
    *,
    store: Administration,
    clock: Clock,
    actor: Actor | Claimant,
    permit: UserPermit | None = None,
    **detail: object,
) -> T | Refusal:
    """Do the work with the user's row locked, or refuse a name that nobody has; a person needs the permit."""

    def with_user(books: Books) -> T | Refusal:
        user = books.people.lock(name.text)
        return nobody(name, books) if user is None else work(user, books)

    change = Change(verb, user=name.text, detail=detail, actor=actor)
    return recorded(change, with_user, store=store, clock=clock, permit=_about(name, permit))


def only_oneself(actor: Actor | Claimant) -> UserPermit:
    """Permit what people do to their own account only."""
    return lambda user, _books: of_oneself(actor, user)


def _about(name: Username, permit: UserPermit | None) -> Permit | None:
    if permit is None:
        return None

    def of_user(books: Books) -> Refusal | None:
        user = books.people.find(name.text)
        # To a person no other names are offered: they may be those of strangers.
        return permit(user, books) if user is not None else Refusal(f"There is no user “{escaped(name.text)}”.")

    return of_user


def nobody(name: Username, books: Books) -> Refusal:
    """Refuse a user name that nobody has."""
    return unknown("user", name.text, books.people.names_like(name.text), command="user list")

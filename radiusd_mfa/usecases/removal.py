"""A second factor goes: deleted by its user (X2), disabled by whoever may (X4, K4), or revoked at once (X5).

Owns who may take it from whom, and that nobody slips from under what a team makes mandatory. What a removal takes along
(periods, open challenges, backup codes, links) goes in the same commit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from radiusd_mfa.core.names import Username, escaped
from radiusd_mfa.usecases.acting import NOBODY
from radiusd_mfa.usecases.actors import OPERATOR, Actor, Claimant, Operator
from radiusd_mfa.usecases.admin_ports import MethodSummary, User
from radiusd_mfa.usecases.books import Administration, Books
from radiusd_mfa.usecases.changes import Refusal
from radiusd_mfa.usecases.enrol import abandon
from radiusd_mfa.usecases.mails import tell
from radiusd_mfa.usecases.obligations import Obligations, obligations_of
from radiusd_mfa.usecases.outbox_ports import Mail
from radiusd_mfa.usecases.people import UserPermit, changed, only_oneself
from radiusd_mfa.usecases.permissions import Permission, allowed, with_own_mfa
from radiusd_mfa.usecases.ports import Clock


@dataclass(frozen=True, slots=True)
class Removed:
    """What is no longer there, and whether the user must set up anew at the next sign-in."""

    user: str
    methods: int
    mandatory: bool


def delete(
    name: Username, method_id: int | None, *, store: Administration, clock: Clock, actor: Actor = OPERATOR
) -> MethodSummary | Refusal:
    """Remove a method; with the last one the backup codes go, and what was let in by it ends with it (X2)."""

    def work(user: User, books: Books) -> MethodSummary | Refusal:
        methods = books.methods.summaries(user.id)
        chosen = choose(user, methods, method_id)
        if isinstance(chosen, Refusal):
            return chosen
        left = [method for method in methods if method.confirmed and method.id != chosen.id]
        refusal = _still_owed(user, chosen, left, actor, books)
        if refusal is None:
            books.methods.revoke(user.id, chosen.id)
            _tell_removed(user, chosen, books, at=clock(), actor=actor)
        return refusal or chosen

    said: dict[str, Any] = {} if method_id is None else {"method": method_id}
    permit = only_oneself(actor)
    return changed("mfa-delete", name, work, store=store, clock=clock, actor=actor, permit=permit, **said)


def disable(
    name: Username, *, store: Administration, clock: Clock, actor: Actor | Claimant = OPERATOR
) -> Removed | Refusal:
    """Take a user's second factor away: an administrator that of others (X4), users their own (K4)."""

    def work(user: User, books: Books) -> Removed | Refusal:
        return _all_gone(user, books, at=clock(), actor=actor)

    return changed("mfa-disable", name, work, store=store, clock=clock, actor=actor, permit=_may_disable(actor))


def revoke(
    name: Username, method_id: int | None = None, *, store: Administration, clock: Clock, actor: Actor = OPERATOR
) -> Removed | Refusal:
    """End a method, or all, at this moment: a phone was stolen (X5). Backup codes go too: they may lie beside it."""

    def work(user: User, books: Books) -> Removed | Refusal:
        if method_id is None:
            return _all_gone(user, books, at=clock(), actor=actor)
        chosen = choose(user, books.methods.summaries(user.id), method_id)
        if isinstance(chosen, Refusal):
            return chosen
        removed = books.methods.revoke(user.id, chosen.id)
        # Whoever has the phone may have begun to set up another one with its code.
        abandon(user, books)
        _take_along(user, books)
        _tell_removed(user, chosen, books, at=clock(), actor=actor)
        return Removed(user.name, removed, obligations_of(user.id, books).mandatory)

    said: dict[str, Any] = {} if method_id is None else {"method": method_id}
    permit = may_revoke(actor)
    return changed("mfa-revoke", name, work, store=store, clock=clock, actor=actor, permit=permit, **said)


def password_suffices(name: Username, *, store: Administration) -> bool:
    """Whether a user may disable the own second factor with the password alone: the last sign-in took a backup code."""

    def look(books: Books) -> bool:
        user = books.people.find(name.text)
        return user is not None and books.methods.recovered(user.id)

    return store.view(look)


def choose(user: User, methods: Sequence[MethodSummary], method_id: int | None) -> MethodSummary | Refusal:
    """Return the method that is meant; None: the only one there is."""
    ids = ", ".join(str(method.id) for method in methods)
    if not methods:
        return Refusal(f"“{escaped(user.name)}” has no method; to set one up: radiusd-mfa mfa enrol {user.name}")
    if method_id is None and len(methods) > 1:
        return Refusal(f"“{escaped(user.name)}” has the methods {ids}; say which one with --method ID.")
    chosen = next((method for method in methods if method_id in (None, method.id)), None)
    if chosen is None:
        return Refusal(f"“{escaped(user.name)}” has no method {method_id}; there are: {ids}.")
    return chosen


def _tell_removed(user: User, gone: MethodSummary, books: Books, *, at: float, actor: Actor) -> None:
    if gone.confirmed:  # one that never counted is nothing to be told of
        tell(books, user, Mail.METHOD_REMOVED, at=at, actor=actor, method=gone.kind, label=gone.label)


def _all_gone(user: User, books: Books, *, at: float, actor: Actor | Claimant) -> Removed | Refusal:
    removed = books.methods.revoke(user.id)
    if not removed:
        return Refusal(f"“{escaped(user.name)}” has no second factor; there is nothing to take away.")
    _take_along(user, books)
    tell(books, user, Mail.MFA_DISABLED, at=at, actor=actor)
    return Removed(user.name, removed, obligations_of(user.id, books).mandatory)


def _take_along(user: User, books: Books) -> None:
    books.codes.replace(user.id, ())
    books.people.forget_periods(user.id)
    books.links.void(user.id)


def _may_disable(actor: Actor | Claimant) -> UserPermit:
    def permit(user: User, books: Books) -> Refusal | None:
        if isinstance(actor, Claimant):
            mine = actor.user_id == user.id and books.methods.recovered(user.id)
            return None if mine else NOBODY
        if isinstance(actor, Operator) or actor.user_id != user.id:
            return _of_another(actor, user, books)
        if books.methods.recovered(user.id):
            return None
        return _mandatory(user, obligations_of(user.id, books))

    return permit


def may_revoke(actor: Actor) -> UserPermit:
    """Whoever's phone was stolen may always end it; what is mandatory is then to be set up anew."""

    def permit(user: User, books: Books) -> Refusal | None:
        is_own = not isinstance(actor, Operator) and actor.user_id == user.id
        return None if is_own else _of_another(actor, user, books)

    return permit


def _of_another(actor: Actor, user: User, books: Books) -> Refusal | None:
    lacking = allowed(actor, Permission.MEMBERS_VIEW, Permission.MFA_DISABLE, about=user, books=books)
    return lacking or with_own_mfa(actor, books)


def _still_owed(
    user: User, chosen: MethodSummary, left: Sequence[MethodSummary], actor: Actor, books: Books
) -> Refusal | None:
    """Refuse a person to delete the last method that counts, where one is mandatory; the operator may."""
    if isinstance(actor, Operator) or not chosen.confirmed:
        return None
    owed = obligations_of(user.id, books)
    if any(method.kind in owed.allow for method in left):
        return None
    return _mandatory(user, owed)


def _mandatory(user: User, owed: Obligations) -> Refusal | None:
    if not owed.mandatory:
        return None
    by = f"by team {', '.join(owed.required_by)}" if owed.required_by else "of everybody who is in no team"
    name = escaped(user.name)
    return Refusal(
        f"A second factor is required of “{name}” {by}, and no other method remains. Set up another one first: "
        f"radiusd-mfa mfa enrol {name}"
    )

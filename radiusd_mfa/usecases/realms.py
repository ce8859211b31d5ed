"""Realms: what may stand behind the `@` of a user name or before its backslash, and which team is meant by it (R10)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from radiusd_mfa.core.names import escaped
from radiusd_mfa.usecases.actors import OPERATOR, Actor
from radiusd_mfa.usecases.admin_ports import Realm
from radiusd_mfa.usecases.books import Administration, Books
from radiusd_mfa.usecases.changes import Change, Refusal, recorded, unknown
from radiusd_mfa.usecases.ports import Clock
from radiusd_mfa.usecases.teams import no_team

_SHOWN: Final = 3


@dataclass(frozen=True, slots=True)
class Made:
    """A realm as it is now, and what should be known about it."""

    realm: Realm
    warnings: Sequence[str] = ()


def add(name: str, *, team: str | None, store: Administration, clock: Clock, actor: Actor = OPERATOR) -> Made | Refusal:
    """Make a realm: sign-ins with it go into the team; without one it is only cut off from the name."""

    def work(books: Books) -> Made | Refusal:
        found = books.teams.find(team) if team is not None else None
        if team is not None and found is None:
            return no_team(team, books)
        if not books.realms.add(name, found.id if found else None):
            return _taken(name, books)
        return Made(Realm(name, team), _about_whole_names(name, books))

    change = Change("realm-add", detail={"realm": name, "team": team}, actor=actor)
    return recorded(change, work, store=store, clock=clock)


def everyone(*, store: Administration) -> Sequence[Realm]:
    """Return all realms by name."""
    return store.view(lambda books: books.realms.all())


def remove(name: str, *, store: Administration, clock: Clock, actor: Actor = OPERATOR) -> Realm | Refusal:
    """Remove a realm: a name with it is nobody's from then on, unless a user has it as a whole."""

    def work(books: Books) -> Realm | Refusal:
        known = {realm.name: realm for realm in books.realms.all()}
        if not books.realms.remove(name):
            return unknown("realm", name, known, command="realm list")
        return known[name]

    return recorded(Change("realm-remove", detail={"realm": name}, actor=actor), work, store=store, clock=clock)


def _taken(name: str, books: Books) -> Refusal:
    team = next((realm.team for realm in books.realms.all() if realm.name == name), None)
    means = f"it means team “{team}”" if team else "it is only cut off from names"
    return Refusal(
        f"There is a realm “{escaped(name)}” already, {means}; to change that, remove it first: "
        f"radiusd-mfa realm remove {escaped(name)}"
    )


def _about_whole_names(realm: str, books: Books) -> Sequence[str]:
    """Tell of users whose whole name ends so: theirs it stays, since the whole name is looked for first."""
    whole = [user.name for user in books.people.all() if user.name.endswith(f"@{realm}")]
    if not whole:
        return ()
    shown = ", ".join(escaped(name) for name in whole[:_SHOWN]) + (" and others" if len(whole) > _SHOWN else "")
    part = escaped(whole[0].removesuffix(f"@{realm}"))
    told = (
        f"{len(whole)} users have this realm in their whole name ({shown}); who types that signs in as that user, "
        f"never as “{part}”."
    )
    return (told,)

"""What owners and administrators see of their teams: who has a second factor, and what they may do about it.

Whoever looks sees the own teams only, and of the others not even whether they exist.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from radiusd_mfa.core.names import escaped
from radiusd_mfa.usecases.actors import Person
from radiusd_mfa.usecases.admin_ports import Member, Standing, Team
from radiusd_mfa.usecases.books import Administration, Books
from radiusd_mfa.usecases.changes import Change, Refusal, viewed
from radiusd_mfa.usecases.permissions import Permission, held
from radiusd_mfa.usecases.plans import in_force
from radiusd_mfa.usecases.policy_effects import is_ready, is_required
from radiusd_mfa.usecases.ports import Clock
from radiusd_mfa.usecases.teams import permit_in


@dataclass(frozen=True, slots=True)
class Mine:
    """One's own place in a team, and what it allows."""

    place: Member
    may: frozenset[str]


@dataclass(frozen=True, slots=True)
class Seen:
    """A member as the team's page shows one."""

    standing: Standing
    ready: bool
    """Whether there is a method that counts by the team's policy."""
    required: bool
    """Whether the policy asks this role for one anywhere."""


@dataclass(frozen=True, slots=True)
class TeamPage:
    """A team as whoever may view its members sees it."""

    team: Team
    mine: Mine
    members: Sequence[Seen]


def mine(person: Person, *, store: Administration) -> Sequence[Mine]:
    """Return the teams that somebody is in."""
    return store.view(lambda books: _places(person, books))


def show(name: str, *, store: Administration, clock: Clock, actor: Person) -> TeamPage | Refusal:
    """Return a team with its members and their second factors."""

    def look(books: Books) -> TeamPage | Refusal:
        place, team = _place(actor, name, books), books.teams.find(name)
        if place is None or team is None:
            return not_there(name)
        policy = in_force(team)
        members = [
            Seen(each, is_ready(policy, each), is_required(policy, each.role))
            for each in books.teams.standings(team.id)
        ]
        return TeamPage(team, place, members)

    def permit(books: Books) -> Refusal | None:
        if _place(actor, name, books) is None:
            return not_there(name)
        return permit_in(name, Permission.MEMBERS_VIEW, actor=actor)(books)

    change = Change("member-list", detail={"team": name}, actor=actor)
    return viewed(change, look, store=store, clock=clock, permit=permit)


def not_there(name: str) -> Refusal:
    """Refuse a team that there isn't, in the same words as one that somebody is not in."""
    return Refusal(f"You are in no team “{escaped(name)}”.")


def _place(person: Person, name: str, books: Books) -> Mine | None:
    return next((each for each in _places(person, books) if each.place.team == name), None)


def _places(person: Person, books: Books) -> Sequence[Mine]:
    return [Mine(place, held(place)) for place in books.teams.members(user_id=person.user_id)]

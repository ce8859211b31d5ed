"""Teams and who belongs to them, in which role."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from radiusd_mfa.core.names import NameProblem, Username, escaped, prepare_realm
from radiusd_mfa.usecases.actors import OPERATOR, Actor
from radiusd_mfa.usecases.admin_ports import Member, Team, User
from radiusd_mfa.usecases.books import Administration, Books
from radiusd_mfa.usecases.changes import Change, Permit, Refusal, recorded, unknown, viewed
from radiusd_mfa.usecases.obligations import conceal_where_off
from radiusd_mfa.usecases.people import nobody
from radiusd_mfa.usecases.permissions import Permission, allowed
from radiusd_mfa.usecases.plans import refuse_plan
from radiusd_mfa.usecases.ports import Clock

T = TypeVar("T")
ROLES: Final = ("owner", "admin", "member")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


@dataclass(frozen=True, slots=True)
class TeamDetails:
    """A team, its members and the names of its NAS entries."""

    team: Team
    members: Sequence[Member]
    nas: Sequence[str]


def label(text: str) -> str:
    """Return the name of a team or a NAS entry; raises NameProblem with a sentence."""
    if not _NAME.fullmatch(text):
        raise NameProblem(
            f"“{escaped(text)}” can't be a name here: 1 to 63 ASCII letters, digits, dots, dashes or underscores, "
            "a letter or digit first."
        )
    return text


def add(name: str, *, plan: str, store: Administration, clock: Clock, actor: Actor = OPERATOR) -> Team | Refusal:
    """Make a team, and the realm of its name: `alice@ops` signs in to team ops."""

    def work(books: Books) -> Team | Refusal:
        at = clock()
        team_id = books.teams.add(name, plan, at)
        if team_id is None:
            return Refusal(f"There is a team “{name}” already; to see it: radiusd-mfa team show {name}")
        # A realm that is there already stays what an administrator has made it.
        books.realms.add(prepare_realm(name), team_id)
        return Team(team_id, name, plan, at)

    change = Change("team-add", detail={"team": name, "plan": plan}, actor=actor)
    return recorded(change, work, store=store, clock=clock)


def everyone(*, store: Administration) -> Sequence[Team]:
    """Return all teams by name."""
    return store.view(lambda books: books.teams.all())


def show(name: str, *, store: Administration) -> TeamDetails | Refusal:
    """Return a team with its members and NAS entries."""

    def work(books: Books) -> TeamDetails | Refusal:
        team = books.teams.find(name)
        if team is None:
            return no_team(name, books)
        return TeamDetails(team, books.teams.members(team_id=team.id), _nas_of(team, books))

    return store.view(work)


def set_plan(name: str, plan: str, *, store: Administration, clock: Clock, actor: Actor = OPERATOR) -> Team | Refusal:
    """Change what a team has booked."""

    def work(team: Team, books: Books) -> Team | Refusal:
        refusal = refuse_plan(team, plan)
        if refusal is not None:
            return refusal
        books.teams.set_plan(team.id, plan)
        return team

    return _changed("team-plan", name, work, store=store, clock=clock, actor=actor, plan=plan)


def remove(name: str, *, store: Administration, clock: Clock, actor: Actor = OPERATOR) -> Team | Refusal:
    """Remove a team that no NAS entry belongs to."""

    def work(team: Team, books: Books) -> Team | Refusal:
        nas = _nas_of(team, books)
        if nas:
            # Without its team another rule would hold at that NAS, and nobody would have decided that.
            return Refusal(
                f"Team “{name}” has the NAS entries {', '.join(nas)}; give them another team first: "
                f"radiusd-mfa nas set {nas[0]} --team TEAM"
            )
        people = [standing.user_id for standing in books.teams.standings(team.id)]
        books.teams.remove(team.id)
        conceal_where_off(people, books)
        return team

    return _changed("team-remove", name, work, store=store, clock=clock, actor=actor)


def add_member(
    team: str,
    user: Username,
    *,
    role: str,
    permissions: Sequence[str] = (),
    store: Administration,
    clock: Clock,
    actor: Actor = OPERATOR,
) -> Member | Refusal:
    """Make a user a member of a team, with permissions beyond those of the role."""

    def work(found: Team, person: User, books: Books) -> Member | Refusal:
        if not books.teams.add_member(found.id, person.id, role):
            return Refusal(
                f"“{escaped(person.name)}” is in team “{team}” already; to change the role: radiusd-mfa member set"
            )
        books.teams.set_permissions(found.id, person.id, permissions)
        conceal_where_off([person.id], books)
        return _member(found, person, books)

    said: dict[str, Any] = {"role": role} | ({"permissions": sorted(permissions)} if permissions else {})
    return _changed_member("member-add", team, user, work, store=store, clock=clock, actor=actor, **said)


def set_member(
    team: str,
    user: Username,
    *,
    role: str | None = None,
    permissions: Sequence[str] | None = None,
    store: Administration,
    clock: Clock,
    actor: Actor = OPERATOR,
) -> Member | Refusal:
    """Give a member another role, other permissions, or both; None: as before."""

    def work(found: Team, person: User, books: Books) -> Member | Refusal:
        if not books.teams.members(team_id=found.id, user_id=person.id):
            return _no_member(team, person)
        if role is not None:
            books.teams.set_role(found.id, person.id, role)
        if permissions is not None:
            books.teams.set_permissions(found.id, person.id, permissions)
        return _member(found, person, books)

    said: dict[str, Any] = {} if role is None else {"role": role}
    said |= {} if permissions is None else {"permissions": sorted(permissions)}
    return _changed_member("member-set", team, user, work, store=store, clock=clock, actor=actor, **said)


def remove_member(
    team: str, user: Username, *, store: Administration, clock: Clock, actor: Actor = OPERATOR
) -> Member | Refusal:
    """End a membership; periods that ran for that team end with it."""

    def work(found: Team, person: User, books: Books) -> Member | Refusal:
        if not books.teams.remove_member(found.id, person.id):
            return _no_member(team, person)
        books.people.forget_periods(person.id)
        conceal_where_off([person.id], books)
        return Member(team, person.name, "")

    return _changed_member("member-remove", team, user, work, store=store, clock=clock, actor=actor)


def members(
    *, team: str | None, store: Administration, clock: Clock, actor: Actor = OPERATOR
) -> Sequence[Member] | Refusal:
    """Return the members of a team, or of all."""

    def look(books: Books) -> Sequence[Member] | Refusal:
        if team is None:
            return books.teams.members()
        found = books.teams.find(team)
        return no_team(team, books) if found is None else books.teams.members(team_id=found.id)

    change = Change("member-list", detail={"team": team}, actor=actor)
    permit = None if team is None else permit_in(team, Permission.MEMBERS_VIEW, actor=actor)
    return viewed(change, look, store=store, clock=clock, permit=permit)


def no_team(name: str, books: Books) -> Refusal:
    """Refuse a team that there isn't."""
    return unknown("team", name, [team.name for team in books.teams.all()], command="team list")


def permit_in(name: str, *permissions: Permission, actor: Actor) -> Permit:
    """Return what says whether the actor has these permissions in a team."""
    # By its name: to a person a team that there isn't is like one of others, and no names are offered.
    return lambda books: allowed(actor, *permissions, about=name, books=books)


def _member(team: Team, person: User, books: Books) -> Member:
    (found,) = books.teams.members(team_id=team.id, user_id=person.id)
    return found


def _no_member(team: str, person: User) -> Refusal:
    return Refusal(f"“{escaped(person.name)}” is not in team “{team}”; to see who is: radiusd-mfa member list {team}")


def _nas_of(team: Team, books: Books) -> Sequence[str]:
    return [entry.name for entry in books.nas.all() if entry.settings.team_id == team.id]


def _changed(
    verb: str,
    name: str,
    work: Callable[[Team, Books], T | Refusal],
    *,
    store: Administration,
    clock: Clock,
    actor: Actor,
    **detail: object,
) -> T | Refusal:
    def with_team(books: Books) -> T | Refusal:
        team = books.teams.lock(name)
        return no_team(name, books) if team is None else work(team, books)

    return recorded(Change(verb, detail={"team": name, **detail}, actor=actor), with_team, store=store, clock=clock)


def _changed_member(
    verb: str,
    team: str,
    user: Username,
    work: Callable[[Team, User, Books], Member | Refusal],
    *,
    store: Administration,
    clock: Clock,
    actor: Actor,
    **detail: object,
) -> Member | Refusal:
    def with_both(books: Books) -> Member | Refusal:
        found = books.teams.find(team)
        if found is None:
            return no_team(team, books)
        person = books.people.lock(user.text)
        return nobody(user, books) if person is None else work(found, person, books)

    change = Change(verb, user=user.text, detail={"team": team, **detail}, actor=actor)
    return recorded(change, with_both, store=store, clock=clock)

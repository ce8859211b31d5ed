"""Reply profiles: which attributes the Access-Accepts of a team carry, by role and surface (R7).

Owns who has which; what a line of one may say is the codec's to know, so the text comes checked. Only the operator
writes them: a profile speaks to whatever NAS its team's members sign in at, the operator's own switches among them, and
one line of it makes an administrator of such a device.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

from radiusd_mfa.usecases.actors import OPERATOR, Actor
from radiusd_mfa.usecases.admin_ports import StoredProfile, Team
from radiusd_mfa.usecases.books import Administration, Books
from radiusd_mfa.usecases.changes import Change, Refusal, recorded, viewed
from radiusd_mfa.usecases.permissions import Permission
from radiusd_mfa.usecases.ports import Clock
from radiusd_mfa.usecases.teams import no_team, permit_in

T = TypeVar("T")


def put(profile: StoredProfile, *, store: Administration, clock: Clock, actor: Actor = OPERATOR) -> Refusal | None:
    """Make a profile, or replace the one for the same role and surface."""

    def work(team: Team, books: Books) -> None:
        books.profiles.set(team.id, profile.role, profile.surface, profile.attributes)

    return _changed("profile-set", profile, work, store=store, clock=clock, actor=actor, attributes=profile.attributes)


def every(
    team: str | None, *, store: Administration, clock: Clock, actor: Actor = OPERATOR
) -> Sequence[StoredProfile] | Refusal:
    """Return the profiles of a team, or of all, which is the operator's to see."""

    def look(books: Books) -> Sequence[StoredProfile] | Refusal:
        if team is None:
            return books.profiles.all()
        found = books.teams.find(team)
        return no_team(team, books) if found is None else books.profiles.all(found.id)

    permit = None if team is None else permit_in(team, Permission.MEMBERS_VIEW, actor=actor)
    change = Change("profile-list", detail={"team": team}, actor=actor)
    return viewed(change, look, store=store, clock=clock, permit=permit)


def remove(
    team: str,
    *,
    role: str | None,
    surface: str | None,
    store: Administration,
    clock: Clock,
    actor: Actor = OPERATOR,
) -> Refusal | None:
    """Remove the profile for exactly this role and surface."""

    def work(found: Team, books: Books) -> Refusal | None:
        if books.profiles.remove(found.id, role, surface):
            return None
        return Refusal(
            f"Team “{team}” has no profile for {audience(role, surface)}; to see what it has: "
            f"radiusd-mfa profile list {team}"
        )

    gone = StoredProfile(team, role, surface, "")
    return _changed("profile-remove", gone, work, store=store, clock=clock, actor=actor)


def audience(role: str | None, surface: str | None) -> str:
    """Say for whom a profile is: `members on vpn`, `everybody on every surface`."""
    return f"{f'{role}s' if role else 'everybody'} on {surface or 'every surface'}"


def _changed(
    verb: str,
    profile: StoredProfile,
    work: Callable[[Team, Books], T],
    *,
    store: Administration,
    clock: Clock,
    actor: Actor,
    **detail: object,
) -> T | Refusal:
    def with_team(books: Books) -> T | Refusal:
        team = books.teams.lock(profile.team)
        return no_team(profile.team, books) if team is None else work(team, books)

    said = {"team": profile.team, "role": profile.role, "surface": profile.surface, **detail}
    return recorded(Change(verb, detail=said, actor=actor, team=profile.team), with_team, store=store, clock=clock)

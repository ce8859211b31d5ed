"""What a person may do: by the role in a team, by permissions beyond it, and never to an owner without being one.

The operator may do all. Evaluated in the transaction of the change (see `changes.recorded`); a refusal names all that
is missing, and where. Knows no SQL.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final, assert_never

from radiusd_mfa.core.names import escaped
from radiusd_mfa.usecases.actors import Actor, Claimant, Operator, Person
from radiusd_mfa.usecases.admin_ports import Member, Team, User
from radiusd_mfa.usecases.books import Books
from radiusd_mfa.usecases.changes import Refusal


class Permission(StrEnum):
    """What a role or a membership may allow beyond one's own account."""

    MEMBERS_VIEW = "members.view"
    MFA_DISABLE = "mfa.disable"
    MFA_RESET = "mfa.reset"
    POLICY_WRITE = "policy.write"
    NAS_WRITE = "nas.write"


OWNER: Final = "owner"
GIVEN_BY: Final = "The operator gives permissions: radiusd-mfa member set"
"""Ends every refusal for want of a permission."""
OF_ROLE: Final[Mapping[str, frozenset[Permission]]] = {
    OWNER: frozenset(Permission),
    "admin": frozenset({Permission.MEMBERS_VIEW, Permission.MFA_RESET}),
    "member": frozenset(),
}


def allowed(actor: Actor, *permissions: Permission, about: Team | User | str, books: Books) -> Refusal | None:
    """Say what the actor lacks: in this team (its name will do), or in every team to which this user belongs."""
    match actor:
        case Operator():
            return None
        case Person() as person:
            if isinstance(about, User):
                return _about_user(person, permissions, about, books)
            return _lacking(person, permissions, [about.name if isinstance(about, Team) else about], books)
        case other:
            assert_never(other)


def of_oneself(actor: Actor | Claimant, user: User) -> Refusal | None:
    """Refuse what people do to their own account only; an operator may do it for them."""
    match actor:
        case Operator():
            return None
        case Person(user_id=user_id) | Claimant(user_id=user_id) if user_id == user.id:
            return None
        case Person() | Claimant() as person:
            return Refusal(f"“{escaped(person.name)}” may do this only for “{escaped(person.name)}”.")
        case other:
            assert_never(other)


def with_own_mfa(actor: Actor, books: Books) -> Refusal | None:
    """Refuse whoever has no second factor to decide about that of others (X4, T4)."""
    if isinstance(actor, Operator) or has_mfa(actor.user_id, books):
        return None
    name = escaped(actor.name)
    return Refusal(f"“{name}” has no second factor, and without an own one may not decide about that of others.")


def has_mfa(user_id: int, books: Books) -> bool:
    """Whether a user has a confirmed method."""
    return any(method.confirmed for method in books.methods.summaries(user_id))


def _about_user(person: Person, permissions: Sequence[Permission], user: User, books: Books) -> Refusal | None:
    places = books.teams.members(user_id=user.id)
    if not places:
        return Refusal(f"“{escaped(user.name)}” is in no team, so only the operator may do this.")
    lacking = _lacking(person, permissions, [place.team for place in places], books)
    if lacking is not None:
        return lacking
    mine = _by_team(person, books)
    owned = [place.team for place in places if place.role == OWNER and mine[place.team].role != OWNER]
    if owned:
        return Refusal(
            f"“{escaped(user.name)}” is an owner of {_teams(owned)}, and only another owner of it may do this; "
            f"“{escaped(person.name)}” is none."
        )
    return None


def _lacking(person: Person, permissions: Sequence[Permission], teams: Sequence[str], books: Books) -> Refusal | None:
    mine = _by_team(person, books)
    missing = {team: [each for each in permissions if each not in held(mine.get(team))] for team in teams}
    said = [f"{', '.join(lacks)} in team {escaped(team)}" for team, lacks in missing.items() if lacks]
    if not said:
        return None
    return Refusal(f"“{escaped(person.name)}” lacks {'; '.join(said)}. {GIVEN_BY}")


def _by_team(person: Person, books: Books) -> Mapping[str, Member]:
    return {place.team: place for place in books.teams.members(user_id=person.user_id)}


def held(place: Member | None) -> frozenset[str]:
    """Return what a membership allows; a role or a permission that nobody knows allows nothing."""
    if place is None:
        return frozenset()
    return OF_ROLE.get(place.role, frozenset()) | frozenset(place.permissions)


def _teams(names: Sequence[str]) -> str:
    return f"team{'s' if len(names) > 1 else ''} {', '.join(names)}"

"""What a user's teams ask of the user: whether a second factor is mandatory, which kinds count, how codes are kept.

All teams together, the strictest of each: who belongs to two teams owes something to both. Without any team T0 holds.
Knows no SQL.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from radiusd_mfa.core.facts import MethodKind
from radiusd_mfa.core.policy import ROLES, T0, USUAL_BACKUP_CODES, Mode, Policy
from radiusd_mfa.usecases.admin_ports import Team
from radiusd_mfa.usecases.books import Books
from radiusd_mfa.usecases.plans import in_force


@dataclass(frozen=True, slots=True)
class Obligations:
    """What holds for one user."""

    mandatory: bool
    """Whether some team requires a second factor of the user somewhere."""
    required_by: Sequence[str]
    """The names of the teams that do; none where it is mandatory because there is no team (T0)."""
    allow: frozenset[MethodKind]
    backup_codes: int
    reveal: bool
    """Whether every team lets the user see unused backup codes again (K5)."""


def obligations_of(user_id: int, books: Books) -> Obligations:
    """Read what a user's teams ask, as their policies are now."""
    places = [(place.role, books.teams.find(place.team)) for place in books.teams.members(user_id=user_id)]
    asked = [(role, team, in_force(team)) for role, team in places if team is not None]
    required_by = [team.name for role, team, policy in asked if _requires(policy, role)]
    return Obligations(
        mandatory=bool(required_by) or not asked,
        required_by=required_by,
        allow=T0.allow.intersection(*(policy.allow for _, _, policy in asked)),
        backup_codes=min((policy.backup_codes for _, _, policy in asked), default=USUAL_BACKUP_CODES),
        reveal=bool(asked) and all(policy.reveal for _, _, policy in asked),
    )


def conceal_where_off(user_ids: Collection[int], books: Books) -> None:
    """Forget which codes were kept to be seen again of users whose teams no longer all allow it: hashes remain (K5).

    Of all of them together: a team may have ten thousand members.
    """
    holders = books.codes.revealable(user_ids)
    places = books.teams.names_of(holders)
    names = {name for names in places.values() for name in names}
    revealing = {name for name in names if _reveals(books.teams.find(name))}
    books.codes.conceal({each for each in holders if each not in places or not places[each] <= revealing})


def _reveals(team: Team | None) -> bool:
    return team is not None and in_force(team).reveal


def _requires(policy: Policy, role: str) -> bool:
    """Whether it is enforced of this role on any surface; a role that nobody knows is required to (T7)."""
    if policy.mode is Mode.REPORT:
        return False
    return role not in ROLES or any(role in rule.roles for rule in policy.rules)

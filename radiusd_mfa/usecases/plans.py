"""What a team has booked: with MFA or without, and what a team without it can't do (E8).

A policy in the database holds whatever the plan says: nothing here may ever open a door.
"""

from typing import Final

from radiusd_mfa.core.names import escaped
from radiusd_mfa.core.policy import NO_MFA, Policy, rules_at_sign_in
from radiusd_mfa.usecases.admin_ports import Team, User
from radiusd_mfa.usecases.books import Books
from radiusd_mfa.usecases.changes import Refusal

MFA: Final = "mfa"
PLANS: Final = (MFA, NO_MFA)
NOBODY: Final = Policy(rules=())
"""What holds in a team whose plan is without MFA and that has no policy."""


def lacks_mfa(team: Team) -> bool:
    """Whether nobody needs a second factor for this team: its plan has none, and no policy says otherwise."""
    return team.plan == NO_MFA and team.policy is None


def in_force(team: Team) -> Policy:
    """Return what holds in a team: its policy, T0 where it has none or one that nobody understands."""
    return NOBODY if lacks_mfa(team) else rules_at_sign_in(team.policy)


def refuse_policy(team: Team) -> Refusal | None:
    """Refuse a policy for a team whose plan is without MFA."""
    if team.plan != NO_MFA:
        return None
    return Refusal(
        f"The plan of team “{team.name}” is without MFA, so it can't have a policy; with the other plan it can: "
        f"radiusd-mfa team plan {team.name} {MFA}"
    )


def refuse_plan(team: Team, plan: str) -> Refusal | None:
    """Refuse to take MFA from a team that has a policy: the policy would go on to hold, and nobody would expect it."""
    if plan != NO_MFA or team.policy is None:
        return None
    return Refusal(
        f"Team “{team.name}” has a policy, which needs a plan with MFA; to give the policy up first: "
        f"radiusd-mfa policy remove {team.name}"
    )


def refuse_set_up(user: User, books: Books) -> Refusal | None:
    """Refuse a second factor to a user who belongs to teams, all of them without MFA; without a team it is allowed."""
    names = sorted({place.team for place in books.teams.members(user_id=user.id)})
    teams = [books.teams.find(name) for name in names]
    if not teams or not all(team is None or lacks_mfa(team) for team in teams):
        return None
    plans = f"the plan of team {names[0]} is" if len(names) == 1 else f"the plans of teams {', '.join(names)} are"
    return Refusal(
        f"“{escaped(user.name)}” can't set up a second factor: {plans} without MFA. With the other plan it works: "
        f"radiusd-mfa team plan {names[0]} {MFA}"
    )

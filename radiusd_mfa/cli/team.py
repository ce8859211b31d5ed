"""`radiusd-mfa team`: teams and what they have booked."""

import click

from radiusd_mfa.cli.commands import Group
from radiusd_mfa.cli.output import emit, properties, say, table, timestamp
from radiusd_mfa.cli.parameters import LABEL
from radiusd_mfa.cli.session import Session, granted, with_session
from radiusd_mfa.usecases import teams
from radiusd_mfa.usecases.admin_ports import Team
from radiusd_mfa.usecases.plans import PLANS
from radiusd_mfa.usecases.teams import TeamDetails

_PLAN = click.Choice(PLANS)


@click.group(cls=Group, example="radiusd-mfa team add ops")
def team() -> None:
    """Keep teams: whose rules hold at a NAS, and who belongs to them."""


@team.command("add", example="radiusd-mfa team add ops --plan mfa")
@click.argument("name", type=LABEL)
@click.option("--plan", type=_PLAN, default=PLANS[0], show_default=True, help="What the team has booked.")
@with_session
def add(session: Session, name: str, plan: str) -> None:
    """Make a team."""
    app = session.open()
    made = granted(teams.add(name, plan=plan, store=app.administration, clock=app.clock))
    emit(session, _described(made), lambda: say(f"Team {made.name} is added."))


@team.command("list", example="radiusd-mfa team list")
@with_session
def every(session: Session) -> None:
    """List the teams."""
    found = teams.everyone(store=session.open().administration)
    rows = [(each.name, each.plan, timestamp(each.created_at)) for each in found]
    empty = "There is no team; make one with: radiusd-mfa team add"
    emit(session, [_described(each) for each in found], lambda: table(("NAME", "PLAN", "CREATED"), rows, empty=empty))


@team.command("show", example="radiusd-mfa team show ops")
@click.argument("name", type=LABEL)
@with_session
def show(session: Session, name: str) -> None:
    """Show a team, its members and its NAS entries."""
    details = granted(teams.show(name, store=session.open().administration))
    document = {
        **_described(details.team),
        "members": [{"user": member.user, "role": member.role} for member in details.members],
        "nas": list(details.nas),
    }
    emit(session, document, lambda: _print(details))


@team.command("plan", example="radiusd-mfa team plan ops no-mfa")
@click.argument("name", type=LABEL)
@click.argument("plan", type=_PLAN)
@with_session
def plan(session: Session, name: str, plan: str) -> None:
    """Change what a team has booked."""
    app = session.open()
    granted(teams.set_plan(name, plan, store=app.administration, clock=app.clock))
    emit(session, {"name": name, "plan": plan}, lambda: say(f"Team {name} has the plan {plan}."))


@team.command("remove", example="radiusd-mfa team remove ops")
@click.argument("name", type=LABEL)
@with_session
def remove(session: Session, name: str) -> None:
    """Remove a team; its members stay users."""
    app = session.open()
    granted(teams.remove(name, store=app.administration, clock=app.clock))
    emit(session, {"removed": name}, lambda: say(f"Team {name} is removed."))


def _described(found: Team) -> dict[str, object]:
    return {"name": found.name, "plan": found.plan, "created": timestamp(found.created_at)}


def _print(details: TeamDetails) -> None:
    properties([("name", details.team.name), ("plan", details.team.plan), ("nas", ", ".join(details.nas))])
    say("")
    rows = [(member.user, member.role) for member in details.members]
    table(("MEMBER", "ROLE"), rows, empty="The team has no member; add one with: radiusd-mfa member add")

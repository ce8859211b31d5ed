"""`radiusd-mfa member`: who belongs to which team, in which role."""

import click

from radiusd_mfa.cli.commands import Group
from radiusd_mfa.cli.output import emit, say, table
from radiusd_mfa.cli.parameters import LABEL, USER
from radiusd_mfa.cli.session import Session, granted, with_session
from radiusd_mfa.core.names import Username, escaped
from radiusd_mfa.usecases import teams
from radiusd_mfa.usecases.admin_ports import Member
from radiusd_mfa.usecases.teams import ROLES

_ROLE = click.option("--role", type=click.Choice(ROLES), required=True, help="What the user may do in the team.")


@click.group(cls=Group, example="radiusd-mfa member add ops alice --role owner")
def member() -> None:
    """Say who belongs to which team."""


@member.command("add", example="radiusd-mfa member add ops alice --role owner")
@click.argument("team", type=LABEL)
@click.argument("user", type=USER)
@_ROLE
@with_session
def add(session: Session, team: str, user: Username, role: str) -> None:
    """Make a user a member of a team."""
    app = session.open()
    made = granted(teams.add_member(team, user, role=role, store=app.administration, clock=app.clock))
    emit(session, _described(made), lambda: say(f"{escaped(made.user)} is {role} of team {team}."))


@member.command("list", example="radiusd-mfa member list ops")
@click.argument("team", type=LABEL, required=False)
@with_session
def every(session: Session, team: str | None) -> None:
    """List the members of a team, or of all."""
    found = granted(teams.members(team=team, store=session.open().administration))
    rows = [(each.team, each.user, each.role) for each in found]
    empty = "There is no member; add one with: radiusd-mfa member add"
    emit(session, [_described(each) for each in found], lambda: table(("TEAM", "USER", "ROLE"), rows, empty=empty))


@member.command("set", example="radiusd-mfa member set ops alice --role admin")
@click.argument("team", type=LABEL)
@click.argument("user", type=USER)
@_ROLE
@with_session
def change(session: Session, team: str, user: Username, role: str) -> None:
    """Give a member another role."""
    app = session.open()
    changed = granted(teams.set_role(team, user, role=role, store=app.administration, clock=app.clock))
    emit(session, _described(changed), lambda: say(f"{escaped(changed.user)} is {role} of team {team} now."))


@member.command("remove", example="radiusd-mfa member remove ops alice")
@click.argument("team", type=LABEL)
@click.argument("user", type=USER)
@with_session
def remove(session: Session, team: str, user: Username) -> None:
    """End a membership; the user stays a user."""
    app = session.open()
    gone = granted(teams.remove_member(team, user, store=app.administration, clock=app.clock))
    document = {"removed": {"team": gone.team, "user": gone.user}}
    emit(session, document, lambda: say(f"{escaped(gone.user)} is no longer in team {team}."))


def _described(found: Member) -> dict[str, object]:
    return {"team": found.team, "user": found.user, "role": found.role}

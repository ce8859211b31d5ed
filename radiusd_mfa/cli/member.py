"""`radiusd-mfa member`: who belongs to which team, in which role."""

from typing import Final

import click

from radiusd_mfa.cli.commands import Group
from radiusd_mfa.cli.output import emit, say, table
from radiusd_mfa.cli.parameters import LABEL, USER
from radiusd_mfa.cli.session import Session, granted, with_session
from radiusd_mfa.core.names import Username, escaped
from radiusd_mfa.usecases import teams
from radiusd_mfa.usecases.admin_ports import Member
from radiusd_mfa.usecases.permissions import Permission
from radiusd_mfa.usecases.teams import ROLES

_ROLES: Final = click.Choice(ROLES)
_ROLE: Final = click.option("--role", type=_ROLES, required=True, help="What the user may do in the team.")
_PERMISSION: Final = click.option(
    "--permission",
    "permissions",
    type=click.Choice([permission.value for permission in Permission]),
    multiple=True,
    help="What the user may do beyond that; may be given several times.",
)


@click.group(cls=Group, example="radiusd-mfa member add ops alice --role owner")
def member() -> None:
    """Say who belongs to which team."""


@member.command("add", example="radiusd-mfa member add ops alice --role owner")
@click.argument("team", type=LABEL)
@click.argument("user", type=USER)
@_ROLE
@_PERMISSION
@with_session
def add(session: Session, team: str, user: Username, role: str, permissions: tuple[str, ...]) -> None:
    """Make a user a member of a team."""
    app = session.open()
    made = granted(
        teams.add_member(team, user, role=role, permissions=permissions, store=app.administration, clock=app.clock)
    )
    emit(session, _described(made), lambda: say(f"{escaped(made.user)} is {role} of team {team}."))


@member.command("list", persons=True, example="radiusd-mfa member list ops")
@click.argument("team", type=LABEL, required=False)
@with_session
def every(session: Session, team: str | None) -> None:
    """List the members of a team, or of all."""
    app = session.open()
    found = granted(teams.members(team=team, store=app.administration, clock=app.clock, actor=session.actor(app)))
    rows = [(each.team, each.user, each.role, ", ".join(each.permissions)) for each in found]
    headings = ("TEAM", "USER", "ROLE", "PERMISSIONS")
    empty = "There is no member; add one with: radiusd-mfa member add"
    emit(session, [_described(each) for each in found], lambda: table(headings, rows, empty=empty))


@member.command("set", example="radiusd-mfa member set ops alice --role admin")
@click.argument("team", type=LABEL)
@click.argument("user", type=USER)
@click.option("--role", type=_ROLES, help="What the user may do in the team.")
@_PERMISSION
@click.option("--no-permissions", is_flag=True, help="Nothing beyond the role.")
@with_session
def change(
    session: Session,
    team: str,
    user: Username,
    role: str | None,
    permissions: tuple[str, ...],
    no_permissions: bool,
) -> None:
    """Give a member another role, or other permissions: those that are named, and no others."""
    if permissions and no_permissions:
        raise click.UsageError("Either --permission or --no-permissions, not both.")
    if role is None and not permissions and not no_permissions:
        raise click.UsageError("Say what is to change: --role, --permission or --no-permissions.")
    app = session.open()
    changed = granted(
        teams.set_member(
            team,
            user,
            role=role,
            permissions=permissions if permissions or no_permissions else None,
            store=app.administration,
            clock=app.clock,
        )
    )
    emit(session, _described(changed), lambda: say(f"{escaped(changed.user)} is {changed.role} of team {team} now."))


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
    return {"team": found.team, "user": found.user, "role": found.role, "permissions": list(found.permissions)}

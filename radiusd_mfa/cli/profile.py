"""`radiusd-mfa profile`: the attributes that Access-Accepts of a team carry."""

import sys
from pathlib import Path
from typing import Any, Final

import click

from radiusd_mfa.app import App
from radiusd_mfa.cli.commands import Group
from radiusd_mfa.cli.output import emit, say, table
from radiusd_mfa.cli.parameters import LABEL
from radiusd_mfa.cli.session import REFUSED, Failed, Session, granted, with_session
from radiusd_mfa.core.names import escaped
from radiusd_mfa.radius.profiles import ProfileProblem, check_profile
from radiusd_mfa.usecases import profiles
from radiusd_mfa.usecases.admin_ports import StoredProfile
from radiusd_mfa.usecases.nas import SURFACES
from radiusd_mfa.usecases.profiles import audience
from radiusd_mfa.usecases.teams import ROLES

_MOST_OCTETS: Final = 65_536
_ROLE: Final = click.option("--role", type=click.Choice(ROLES), help="Only for this role. Default: for all.")
_SURFACE: Final = click.option("--surface", type=click.Choice(SURFACES), help="Only there. Default: everywhere.")


@click.group(cls=Group, example="echo 'Filter-Id = \"staff\"' | radiusd-mfa profile set ops --role member -")
def profile() -> None:
    """Say what an Access-Accept carries: VLANs, filters, addresses, vendor attributes."""


@profile.command("set", example="radiusd-mfa profile set ops --role admin --surface vpn admins.txt")
@click.argument("team", type=LABEL)
@_ROLE
@_SURFACE
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@with_session
def put(session: Session, team: str, role: str | None, surface: str | None, file: Path) -> None:
    """Give a team attributes for its Access-Accepts, a line each (`-`: standard input).

    Every line is checked by the dictionaries, as: Filter-Id = "staff"
    """
    app = session.open()
    wanted = StoredProfile(team, role, surface, _checked(_text(file), app))
    granted(profiles.put(wanted, store=app.administration, clock=app.clock))
    emit(session, _described(wanted), lambda: _tell(wanted))


@profile.command("list", persons=True, example="radiusd-mfa profile list ops")
@click.argument("team", type=LABEL, required=False)
@with_session
def every(session: Session, team: str | None) -> None:
    """List the profiles of a team, or of all."""
    app = session.open()
    found = granted(profiles.every(team, store=app.administration, clock=app.clock, actor=session.actor(app)))
    rows = [(each.team, each.role or "all", each.surface or "all", line) for each in found for line in _lines(each)]
    empty = "There is no profile; make one with: radiusd-mfa profile set"
    headings = ("TEAM", "ROLE", "SURFACE", "ATTRIBUTE")
    emit(session, [_described(each) for each in found], lambda: table(headings, rows, empty=empty))


@profile.command("remove", example="radiusd-mfa profile remove ops --role admin --surface vpn")
@click.argument("team", type=LABEL)
@_ROLE
@_SURFACE
@with_session
def remove(session: Session, team: str, role: str | None, surface: str | None) -> None:
    """Remove the profile for exactly this role and surface."""
    app = session.open()
    granted(profiles.remove(team, role=role, surface=surface, store=app.administration, clock=app.clock))
    document = {"removed": {"team": team, "role": role, "surface": surface}}
    emit(session, document, lambda: say(f"The profile of {team} for {audience(role, surface)} is removed."))


def _checked(text: str, app: App) -> str:
    try:
        return check_profile(text, app.dictionary)
    except ProfileProblem as problem:
        complaints = "\n".join(escaped(each, 300) for each in problem.complaints)
        raise Failed(f"Nothing was changed; correct the profile:\n{complaints}", REFUSED) from problem


def _text(file: Path) -> str:
    octets = sys.stdin.buffer.read(_MOST_OCTETS + 1) if str(file) == "-" else _read(file)
    if len(octets) > _MOST_OCTETS:
        raise click.BadParameter(f"A profile has at most {_MOST_OCTETS} octets.", param_hint="FILE")
    try:
        return octets.decode()
    except UnicodeDecodeError as error:
        raise click.BadParameter("It is no UTF-8 text.", param_hint="FILE") from error


def _read(file: Path) -> bytes:
    with file.open("rb") as opened:
        return opened.read(_MOST_OCTETS + 1)


def _tell(made: StoredProfile) -> None:
    count = len(_lines(made))
    what = "1 attribute" if count == 1 else f"{count} attributes"
    say(f"Access-Accepts of {made.team} for {audience(made.role, made.surface)} carry {what}:")
    for line in _lines(made):
        say(f"  {escaped(line, 300)}")


def _lines(found: StoredProfile) -> list[str]:
    return [line for line in found.attributes.split("\n") if line.strip() and not line.startswith("#")]


def _described(found: StoredProfile) -> dict[str, Any]:
    return {"team": found.team, "role": found.role, "surface": found.surface, "attributes": _lines(found)}

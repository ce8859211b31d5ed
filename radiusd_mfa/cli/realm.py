"""`radiusd-mfa realm`: what may stand behind the `@` of a user name."""

import click

from radiusd_mfa.cli.commands import Group
from radiusd_mfa.cli.output import emit, say, table, warn
from radiusd_mfa.cli.parameters import LABEL, Read
from radiusd_mfa.cli.session import Session, granted, with_session
from radiusd_mfa.core.names import escaped, prepare_realm
from radiusd_mfa.usecases import realms
from radiusd_mfa.usecases.admin_ports import Realm

_REALM = Read("realm", prepare_realm)


@click.group(cls=Group, example="radiusd-mfa realm add corp.example --team ops")
def realm() -> None:
    r"""Say which realms there are: `alice@corp` and `CORP\alice` are alice where corp is a realm."""


@realm.command("add", example="radiusd-mfa realm add corp.example --team ops")
@click.argument("name", type=_REALM)
@click.option("--team", type=LABEL, metavar="TEAM", help="Whose rules hold for it. Default: it is only cut off.")
@with_session
def add(session: Session, name: str, team: str | None) -> None:
    """Make a realm. Each team has one of its own name from the beginning."""
    app = session.open()
    made = granted(realms.add(name, team=team, store=app.administration, clock=app.clock))
    document = {**_described(made.realm), "warnings": list(made.warnings)}
    emit(session, document, lambda: say(f"Realm {escaped(name)} {_means(made.realm)}."))
    warn(session, made.warnings)


@realm.command("list", example="radiusd-mfa realm list")
@with_session
def every(session: Session) -> None:
    """List the realms."""
    found = realms.everyone(store=session.open().administration)
    rows = [(each.name, each.team) for each in found]
    empty = "There is no realm; make one with: radiusd-mfa realm add"
    emit(session, [_described(each) for each in found], lambda: table(("REALM", "TEAM"), rows, empty=empty))


@realm.command("remove", example="radiusd-mfa realm remove corp.example")
@click.argument("name", type=_REALM)
@with_session
def remove(session: Session, name: str) -> None:
    """Remove a realm; whoever types it is nobody known from then on."""
    app = session.open()
    gone = granted(realms.remove(name, store=app.administration, clock=app.clock))
    emit(session, {"removed": gone.name}, lambda: say(f"Realm {escaped(gone.name)} is removed."))


def _described(found: Realm) -> dict[str, object]:
    return {"name": found.name, "team": found.team}


def _means(found: Realm) -> str:
    return f"means team {found.team} now" if found.team else "is cut off from user names now"

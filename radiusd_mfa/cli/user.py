"""`radiusd-mfa user`: people and their passwords."""

from typing import Final

import click

from radiusd_mfa.cli import reading
from radiusd_mfa.cli.commands import Group
from radiusd_mfa.cli.mfa import described_method
from radiusd_mfa.cli.output import emit, properties, say, table, timestamp
from radiusd_mfa.cli.parameters import EMAIL, PHONE, USER
from radiusd_mfa.cli.session import Session, granted, with_session
from radiusd_mfa.cli.user_import import import_
from radiusd_mfa.core.names import PasswordProblem, Username, escaped
from radiusd_mfa.usecases import people
from radiusd_mfa.usecases.admin_ports import User
from radiusd_mfa.usecases.people import Request, UserDetails

_PASSWORD_STDIN: Final = click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")


@click.group(cls=Group, example="radiusd-mfa user add alice --email alice@example.org")
def user() -> None:
    """Keep the people who sign in."""


@user.command("add", example="radiusd-mfa user add alice --email alice@example.org")
@click.argument("name", type=USER)
@click.option("--email", type=EMAIL, help="Where mail reaches the user.")
@click.option("--phone", type=PHONE, help="Where SMS reach the user, as +4915112345678.")
@_PASSWORD_STDIN
@with_session
def add(session: Session, name: Username, email: str | None, phone: str | None, password_stdin: bool) -> None:
    """Make a user. The password is asked for, unless standard input has it."""
    app = session.open()
    request = Request(name, _password(from_stdin=password_stdin), email, phone)
    made = granted(people.add(request, store=app.administration, hashing=app.hashing, clock=app.clock))
    next_step = f"Next, an authenticator: radiusd-mfa mfa enrol {escaped(made.name)}"
    emit(session, _described(made), lambda: say(f"User {escaped(made.name)} is added. {next_step}"))


@user.command("list", example="radiusd-mfa user list --json")
@with_session
def every(session: Session) -> None:
    """List the users."""
    found = people.everybody(store=session.open().administration)
    rows = [(each.name, each.email, each.phone, "disabled" if each.disabled else "") for each in found]
    empty = "There is no user; make one with: radiusd-mfa user add"
    headings = ("NAME", "EMAIL", "PHONE", "STATE")
    emit(session, [_described(each) for each in found], lambda: table(headings, rows, empty=empty))


@user.command("show", persons=True, example="radiusd-mfa user show alice")
@click.argument("name", type=USER)
@with_session
def show(session: Session, name: Username) -> None:
    """Show a user, the user's teams and methods."""
    app = session.open()
    details = granted(people.show(name, store=app.administration, clock=app.clock, actor=session.actor(app)))
    document = {
        **_described(details.user),
        "teams": [{"team": member.team, "role": member.role} for member in details.teams],
        "methods": [described_method(method) for method in details.methods],
        "backup_codes_left": details.backup_codes_left,
    }
    emit(session, document, lambda: _print(details))


@user.command("disable", example="radiusd-mfa user disable alice")
@click.argument("name", type=USER)
@with_session
def disable(session: Session, name: Username) -> None:
    """Refuse every sign-in of a user, at once."""
    app = session.open()
    done = granted(people.disable(name, store=app.administration, clock=app.clock))
    emit(session, {"name": done.name, "disabled": True}, lambda: say(f"User {escaped(done.name)} is disabled."))


@user.command("enable", example="radiusd-mfa user enable alice")
@click.argument("name", type=USER)
@with_session
def enable(session: Session, name: Username) -> None:
    """Let a user sign in again."""
    app = session.open()
    done = granted(people.enable(name, store=app.administration, clock=app.clock))
    emit(session, {"name": done.name, "disabled": False}, lambda: say(f"User {escaped(done.name)} is enabled."))


@user.command("remove", example="radiusd-mfa user remove alice")
@click.argument("name", type=USER)
@with_session
def remove(session: Session, name: Username) -> None:
    """Remove a user with all methods and memberships; the audit log stays."""
    app = session.open()
    done = granted(people.remove(name, store=app.administration, clock=app.clock))
    emit(session, {"removed": done.name}, lambda: say(f"User {escaped(done.name)} is removed."))


@user.command("password", example="radiusd-mfa user password alice")
@click.argument("name", type=USER)
@_PASSWORD_STDIN
@with_session
def password(session: Session, name: Username, password_stdin: bool) -> None:
    """Give a user a new password; the old one fails at once."""
    app = session.open()
    text = _password(from_stdin=password_stdin)
    done = granted(people.set_password(name, text, store=app.administration, hashing=app.hashing, clock=app.clock))
    emit(session, {"name": done.name}, lambda: say(f"User {escaped(done.name)} has a new password."))


user.add_command(import_)


def _password(*, from_stdin: bool) -> str:
    raw = reading.secret("Password", option="--password-stdin", from_stdin=from_stdin, twice=True)
    try:
        return people.new_password(raw)
    except PasswordProblem as problem:
        raise click.UsageError(str(problem)) from problem


def _described(found: User) -> dict[str, object]:
    return {
        "name": found.name,
        "email": found.email,
        "phone": found.phone,
        "disabled": found.disabled,
        "has_password": found.password_hash is not None,
        "created": timestamp(found.created_at),
    }


def _print(details: UserDetails) -> None:
    teams = ", ".join(f"{member.team} ({member.role})" for member in details.teams)
    properties(
        [
            *((name.replace("_", "-"), value) for name, value in _described(details.user).items()),
            ("teams", teams),
            ("methods", sum(method.confirmed for method in details.methods)),
            ("backup-codes", details.backup_codes_left),
        ]
    )

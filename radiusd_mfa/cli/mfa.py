"""`radiusd-mfa mfa`: authenticators and backup codes."""

from typing import Final
from urllib.parse import parse_qs, urlsplit

import click

from radiusd_mfa.cli import reading
from radiusd_mfa.cli.commands import Group
from radiusd_mfa.cli.output import emit, say, table, timestamp
from radiusd_mfa.cli.packets import paper
from radiusd_mfa.cli.parameters import USER
from radiusd_mfa.cli.qr import qr_lines
from radiusd_mfa.cli.session import Session, granted, with_session
from radiusd_mfa.core.names import Username, escaped
from radiusd_mfa.usecases import codes, enrol
from radiusd_mfa.usecases.admin_ports import MethodSummary
from radiusd_mfa.usecases.codes import CodeSet
from radiusd_mfa.usecases.enrol import Confirmed, Enrolment, Overview

_CODE_STDIN: Final = click.option("--code-stdin", is_flag=True, help="Read the code from standard input.")
_LONGEST_LABEL: Final = 64


def _label(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    if len(value) > _LONGEST_LABEL or not value.isprintable():
        raise click.BadParameter(f"A label has at most {_LONGEST_LABEL} characters, none of them a control character.")
    return value


@click.group(cls=Group, example="radiusd-mfa mfa enrol alice\nradiusd-mfa mfa confirm alice")
def mfa() -> None:
    """Set up authenticators and backup codes."""


@mfa.command("enrol", example='radiusd-mfa mfa enrol alice --label "my phone"')
@click.argument("user", type=USER)
@click.option("--label", default="", callback=_label, help="What the user calls the device.")
@with_session
def enrol_(session: Session, user: Username, label: str) -> None:
    """Set up an authenticator app: prints a QR code. It counts only after `mfa confirm`."""
    app = session.open()
    made = granted(
        enrol.start(
            user,
            label=label,
            issuer=app.config.issuer,
            store=app.administration,
            clock=app.clock,
            entropy=app.entropy,
        )
    )
    emit(session, {"uri": made.uri, "method": made.method}, lambda: _show_enrolment(user, made))


@mfa.command("confirm", example="radiusd-mfa mfa confirm alice")
@click.argument("user", type=USER)
@_CODE_STDIN
@with_session
def confirm(session: Session, user: Username, code_stdin: bool) -> None:
    """Let the new authenticator count, by a code that it shows. The first one brings 10 backup codes."""
    app = session.open()
    code = reading.code("Code", from_stdin=code_stdin)
    done = granted(
        enrol.confirm(user, code, store=app.administration, hashing=app.hashing, clock=app.clock, entropy=app.entropy)
    )
    document = {"method": done.method, "backup_codes": done.codes.shown if done.codes else []}
    emit(session, document, lambda: _show_confirmed(user, done))


@mfa.command("show", example="radiusd-mfa mfa show alice")
@click.argument("user", type=USER)
@with_session
def show(session: Session, user: Username) -> None:
    """Show what a user has set up; seeds and codes are never shown again."""
    overview = granted(enrol.show(user, store=session.open().administration))
    document = {
        "user": overview.user,
        "methods": [described_method(method) for method in overview.methods],
        "backup_codes_left": overview.backup_codes_left,
    }
    emit(session, document, lambda: _show_overview(overview))


@mfa.command("backup-codes", example="radiusd-mfa mfa backup-codes alice")
@click.argument("user", type=USER)
@_CODE_STDIN
@click.option("--without-code", is_flag=True, help="The operator vouches for the user; the audit log says so.")
@with_session
def backup_codes(session: Session, user: Username, code_stdin: bool, without_code: bool) -> None:
    """Make new backup codes; all earlier ones are worthless at once. Needs a current code, which is used up."""
    if code_stdin and without_code:
        raise click.UsageError("Either --code-stdin or --without-code, not both.")
    app = session.open()
    code = None if without_code else reading.code("Code", from_stdin=code_stdin)
    fresh = granted(
        codes.regenerate(
            user, code, store=app.administration, hashing=app.hashing, clock=app.clock, entropy=app.entropy
        )
    )
    emit(session, {"backup_codes": fresh.shown}, lambda: _show_codes(fresh))


@mfa.command("delete", example="radiusd-mfa mfa delete alice --method 3")
@click.argument("user", type=USER)
@click.option("--method", type=click.IntRange(min=1), metavar="ID", help="Which one, where there are several.")
@with_session
def delete(session: Session, user: Username, method: int | None) -> None:
    """Remove an authenticator, at once; with the last one the backup codes go."""
    app = session.open()
    gone = granted(enrol.delete(user, method, store=app.administration, clock=app.clock))
    reminder = f"Remove the entry “{escaped(user.text)}” from the authenticator app too."
    emit(session, {"removed": gone.id}, lambda: say(f"Method {gone.id} of {escaped(user.text)} is removed. {reminder}"))


def described_method(method: MethodSummary) -> dict[str, object]:
    """Return a method as `--json` prints it."""
    return {
        "id": method.id,
        "kind": method.kind,
        "label": method.label,
        "added": timestamp(method.added),
        "confirmed": method.confirmed,
        "last_used": timestamp(method.last_used),
        "default": method.is_default,
    }


def _show_enrolment(user: Username, made: Enrolment) -> None:
    secret = parse_qs(urlsplit(made.uri).query)["secret"][0]
    groups = " ".join(secret[start : start + 4] for start in range(0, len(secret), 4))
    console = paper()
    drawn = qr_lines(made.uri, console)
    for line in drawn:
        console.print(line)
    how = "Scan this with an authenticator app, or type" if drawn else "Type into an authenticator app"
    say(f"{how} the secret: {groups}")
    say(f"The same as a link: {made.uri}")
    say(f"It counts once its code was given: radiusd-mfa mfa confirm {escaped(user.text)}")


def _show_confirmed(user: Username, done: Confirmed) -> None:
    say(f"Method {done.method} of {escaped(user.text)} counts from now on.")
    if done.codes is not None:
        _show_codes(done.codes)


def _show_codes(fresh: CodeSet) -> None:
    say("Backup codes, each good for one sign-in, shown this once:")
    for code in fresh.shown:
        say(f"  {code}")


def _show_overview(overview: Overview) -> None:
    headings = ("ID", "KIND", "LABEL", "ADDED", "CONFIRMED", "LAST USED", "DEFAULT")
    rows = [tuple(described_method(method).values()) for method in overview.methods]
    name = escaped(overview.user)
    table(headings, rows, empty=f"{name} has no method; set one up with: radiusd-mfa mfa enrol {name}")
    say(f"Backup codes left: {overview.backup_codes_left}")

"""`radiusd-mfa mfa`: authenticators and backup codes."""

import sys
from typing import Final

import click

from radiusd_mfa.app import App
from radiusd_mfa.cli import mfa_reset, reading
from radiusd_mfa.cli.commands import Group
from radiusd_mfa.cli.mfa_shown import LABEL_OPTION, METHOD_OPTION, emit_enrolment, show_codes
from radiusd_mfa.cli.mfa_sms import confirmed, start_sms
from radiusd_mfa.cli.output import emit, say, table, timestamp
from radiusd_mfa.cli.parameters import PHONE, USER
from radiusd_mfa.cli.session import REFUSED, Failed, Session, granted, with_session
from radiusd_mfa.core.names import Username, escaped
from radiusd_mfa.usecases import codes, enrol, removal
from radiusd_mfa.usecases.actors import Actor
from radiusd_mfa.usecases.admin_ports import MethodSummary
from radiusd_mfa.usecases.codes import CodeSet, Revealed
from radiusd_mfa.usecases.enrol import Confirmed, Overview

_CODE_STDIN: Final = click.option("--code-stdin", is_flag=True, help="Read the code from standard input.")


@click.group(cls=Group, example="radiusd-mfa mfa enrol alice\nradiusd-mfa mfa confirm alice")
def mfa() -> None:
    """Set up authenticators and backup codes."""


@mfa.command("enrol", persons=True, example='radiusd-mfa mfa enrol alice --label "my phone"')
@click.argument("user", type=USER)
@LABEL_OPTION
@click.option("--sms", "by_sms", is_flag=True, help="Codes by SMS instead of an app: sends the first one.")
@click.option("--phone", type=PHONE, help="With --sms: where to; the user's own number unless given.")
@with_session
def enrol_(session: Session, user: Username, label: str, by_sms: bool, phone: str | None) -> None:
    """Set up an authenticator app: prints a QR code; or codes by SMS. It counts only after `mfa confirm`."""
    if phone is not None and not by_sms:
        raise click.UsageError("--phone is for --sms.")
    app = session.open()
    if by_sms:
        start_sms(session, app, user, label, phone)
        return
    made = granted(
        enrol.start(
            user,
            label=label,
            issuer=app.config.issuer,
            store=app.administration,
            clock=app.clock,
            entropy=app.entropy,
            actor=session.actor(app),
        )
    )
    emit_enrolment(session, user, made)


@mfa.command("confirm", persons=True, example="radiusd-mfa mfa confirm alice")
@click.argument("user", type=USER)
@_CODE_STDIN
@click.option("--recorded", is_flag=True, help="The user has safely recorded the recovery code that was shown.")
@with_session
def confirm(session: Session, user: Username, code_stdin: bool, recorded: bool) -> None:
    """Let the new authenticator count, by a code that it shows. The first one brings backup codes.

    Where there is a single one (policy backup_codes.count = 1), the user must have recorded it first.
    """
    if code_stdin and recorded:
        raise click.UsageError("Either --code-stdin or --recorded, not both: the code was given before.")
    app = session.open()
    actor = session.actor(app)
    if recorded:
        _acknowledge(session, app, user, actor)
        return
    code = reading.code("Code", from_stdin=code_stdin)
    done = granted(confirmed(app, user, code, actor))
    if not done.counts and done.codes is not None and sys.stdin.isatty() and not session.json:
        _ask_to_record(session, app, user, actor, done.codes)
        return
    document = {
        "method": done.method,
        "counts": done.counts,
        "backup_codes": done.codes.shown if done.codes else [],
    }
    emit(session, document, lambda: _show_confirmed(user, done))


@mfa.command("show", persons=True, example="radiusd-mfa mfa show alice")
@click.argument("user", type=USER)
@with_session
def show(session: Session, user: Username) -> None:
    """Show what a user has set up; seeds and codes are never shown again."""
    app = session.open()
    overview = granted(enrol.show(user, store=app.administration, clock=app.clock, actor=session.actor(app)))
    document = {
        "user": overview.user,
        "methods": [described_method(method) for method in overview.methods],
        "backup_codes_left": overview.backup_codes_left,
    }
    emit(session, document, lambda: _show_overview(overview))


@mfa.command("backup-codes", persons=True, example="radiusd-mfa mfa backup-codes alice")
@click.argument("user", type=USER)
@_CODE_STDIN
@click.option("--without-code", is_flag=True, help="The operator vouches for the user; the audit log says so.")
@click.option("--reveal", is_flag=True, help="Show the unused codes again, where the policy allows it.")
@with_session
def backup_codes(session: Session, user: Username, code_stdin: bool, without_code: bool, reveal: bool) -> None:
    """Make new backup codes; all earlier ones are worthless at once. Needs a current code, which is used up."""
    if code_stdin and without_code:
        raise click.UsageError("Either --code-stdin or --without-code, not both.")
    if session.acting is not None and (code_stdin or without_code):
        raise click.UsageError("With --as the code is given with the password; leave --code-stdin and --without-code.")
    app = session.open()
    actor = session.actor(app)
    given = without_code or session.acting is not None
    code = None if given else reading.code("Code", from_stdin=code_stdin)
    if reveal:
        seen = granted(codes.reveal(user, code, store=app.administration, clock=app.clock, post=app.post, actor=actor))
        emit(session, {"backup_codes": seen.shown}, lambda: _show_revealed(seen))
        return
    fresh = granted(
        codes.regenerate(
            user,
            code,
            store=app.administration,
            hashing=app.hashing,
            clock=app.clock,
            entropy=app.entropy,
            post=app.post,
            actor=actor,
        )
    )
    emit(session, {"backup_codes": fresh.shown}, lambda: show_codes(fresh))


@mfa.command("delete", persons=True, example="radiusd-mfa mfa delete alice --method 3")
@click.argument("user", type=USER)
@METHOD_OPTION
@with_session
def delete(session: Session, user: Username, method: int | None) -> None:
    """Remove an authenticator, at once; with the last one the backup codes go."""
    app = session.open()
    actor = session.actor(app)
    gone = granted(removal.delete(user, method, store=app.administration, clock=app.clock, actor=actor))
    reminder = f"Remove the entry “{escaped(user.text)}” from the authenticator app too."
    emit(session, {"removed": gone.id}, lambda: say(f"Method {gone.id} of {escaped(user.text)} is removed. {reminder}"))


for _command in mfa_reset.COMMANDS:
    mfa.add_command(_command)


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


def _ask_to_record(session: Session, app: App, user: Username, actor: Actor, fresh: CodeSet) -> None:
    """Show the recovery code, and let the method count only once the user says to have it (E3)."""
    show_codes(fresh)
    if not click.confirm("I have safely recorded the recovery code", err=True):
        raise Failed(
            f"Nothing counts yet. Once the code is recorded: radiusd-mfa mfa confirm {escaped(user.text)} --recorded",
            REFUSED,
        )
    _acknowledge(session, app, user, actor)


def _acknowledge(session: Session, app: App, user: Username, actor: Actor) -> None:
    done = granted(enrol.acknowledge(user, store=app.administration, clock=app.clock, actor=actor))
    document: dict[str, object] = {"method": done.method, "counts": True, "backup_codes": []}
    emit(session, document, lambda: _show_confirmed(user, done))


def _show_confirmed(user: Username, done: Confirmed) -> None:
    name = escaped(user.text)
    if done.counts:
        say(f"Method {done.method} of {name} counts from now on.")
    else:
        say(f"The code is right, and method {done.method} counts once this code is recorded.")
    if done.codes is not None:
        show_codes(done.codes)
    if not done.counts:
        say(f"“I have safely recorded it”: radiusd-mfa mfa confirm {name} --recorded")


def _show_revealed(seen: Revealed) -> None:
    say("Backup codes that are not used yet:")
    for code in seen.shown:
        say(f"  {code}")


def _show_overview(overview: Overview) -> None:
    headings = ("ID", "KIND", "LABEL", "ADDED", "CONFIRMED", "LAST USED", "DEFAULT")
    rows = [tuple(described_method(method).values()) for method in overview.methods]
    name = escaped(overview.user)
    table(headings, rows, empty=f"{name} has no method; set one up with: radiusd-mfa mfa enrol {name}")
    say(f"Backup codes left: {overview.backup_codes_left}")

"""`radiusd-mfa nas`: who may ask this server, and with which secret."""

from collections.abc import Callable
from dataclasses import fields
from typing import Any, Final, TypeVar

import click

from radiusd_mfa.app import App
from radiusd_mfa.cli import reading
from radiusd_mfa.cli.commands import Group
from radiusd_mfa.cli.output import emit, on_off, properties, say, table, warn
from radiusd_mfa.cli.parameters import LABEL, RANGE, SWITCH
from radiusd_mfa.cli.session import Session, granted, with_session
from radiusd_mfa.usecases import nas as entries
from radiusd_mfa.usecases.admin_ports import NasRow, NasSettings
from radiusd_mfa.usecases.nas import SET_UPS, SURFACES, Wanted, Written

F = TypeVar("F", bound=Callable[..., Any])
_SEPARATORS: Final = ",; "
_FLAGS: Final = ("secret_stdin", "generate_secret")
_SETTINGS: Final = frozenset(each.name for each in fields(NasSettings)) - {"team_id"}
_OPTIONS: Final = (
    click.option(
        "--team", metavar="TEAM", help="Whose rules hold for sign-ins here; empty: those of the user's teams."
    ),
    click.option("--secret-stdin", is_flag=True, help="Read the shared secret from standard input."),
    click.option("--generate-secret", is_flag=True, help="Make a shared secret of 160 bits and print it once."),
    click.option("--challenge", type=SWITCH, help="Ask for the code in a second step (Access-Challenge)."),
    click.option(
        "--set-up",
        type=click.Choice(SET_UPS),
        help="Who must set up a second factor is sent a link, or led through it by challenges. Default: link.",
    ),
    click.option("--otp-only", type=SWITCH, help="The NAS has checked the password itself and sends only the code."),
    click.option("--separators", metavar="CHARS", help="Any of , ; and space that may stand before the code."),
    click.option("--code-first", type=SWITCH, help="The code stands before the password."),
    click.option(
        "--message-authenticator",
        type=click.Choice(["require", "optional"]),
        help="In requests. Default: require, for loopback optional.",
    ),
    click.option(
        "--reply-message-authenticator", type=click.Choice(["always", "mirror", "never"]), help="Default: always."
    ),
    click.option("--allow-proxy-state", type=SWITCH, help="Also without Message-Authenticator (SoftEther)."),
    click.option("--omit", metavar="ATTR,...", help="Attributes that this NAS is never sent."),
    click.option(
        "--disconnect-port",
        type=click.IntRange(0, 65535),
        metavar="PORT",
        help="Where it takes Disconnect-Requests; 0: nowhere. Default: 3799.",
    ),
    click.option(
        "--retry-grace",
        type=click.IntRange(0, 60),
        metavar="SECONDS",
        help="Seconds in which the same text with a new authenticator is the same sign-in. Default: 0.",
    ),
)


def _settings(command: F) -> F:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@click.group(cls=Group, example="radiusd-mfa nas add office --address 192.0.2.0/24 --surface vpn --generate-secret")
def nas() -> None:
    """Say which network devices and servers may ask, from where, and with which secret."""


@nas.command(
    "add", persons=True, example="radiusd-mfa nas add office --address 192.0.2.0/24 --surface vpn --generate-secret"
)
@click.argument("name", type=LABEL)
@click.option("--address", type=RANGE, required=True, help="Address or CIDR range, IPv4 or IPv6.")
@click.option("--surface", type=click.Choice(SURFACES), required=True, help="What people sign in to there.")
@_settings
@with_session
def add(session: Session, /, name: str, **options: Any) -> None:  # noqa: ANN401 - the options above
    """Make an entry. The secret is asked for, unless an option says where it comes from."""
    app = session.open()
    actor = session.actor(app)
    wanted = _wanted(name, options, app, needs_secret=True)
    written = granted(entries.add(wanted, store=app.administration, clock=app.clock, actor=actor))
    _show_written(session, written, wanted, generated=options["generate_secret"], verb="added")


@nas.command("set", persons=True, example="radiusd-mfa nas set office --challenge on")
@click.argument("name", type=LABEL)
@click.option("--address", type=RANGE, help="Address or CIDR range, IPv4 or IPv6.")
@click.option("--surface", type=click.Choice(SURFACES), help="What people sign in to there.")
@_settings
@with_session
def change(session: Session, /, name: str, **options: Any) -> None:  # noqa: ANN401 - the options above
    """Change an entry; what isn't named stays. Running servers take it over within two seconds."""
    if not any(value if name in _FLAGS else value is not None for name, value in options.items()):
        raise click.UsageError("Nothing to change was named; the options are in: radiusd-mfa nas set --help")
    app = session.open()
    actor = session.actor(app)
    wanted = _wanted(name, options, app, needs_secret=False)
    written = granted(entries.change(wanted, store=app.administration, clock=app.clock, actor=actor))
    _show_written(session, written, wanted, generated=options["generate_secret"], verb="changed")


@nas.command("list", example="radiusd-mfa nas list --json")
@with_session
def every(session: Session) -> None:
    """List the entries."""
    rows = entries.every(store=session.open().administration)
    headings = ("NAME", "ADDRESS", "SURFACE", "TEAM", "CHALLENGE", "MESSAGE-AUTHENTICATOR")
    cells = [
        (
            row.name,
            row.settings.address,
            row.settings.surface,
            row.team,
            on_off(row.settings.challenge),
            row.settings.message_authenticator,
        )
        for row in rows
    ]
    empty = "There is no NAS entry; make one with: radiusd-mfa nas add"
    emit(session, [described(row) for row in rows], lambda: table(headings, cells, empty=empty))


@nas.command("show", persons=True, example="radiusd-mfa nas show office")
@click.argument("name", type=LABEL)
@with_session
def show(session: Session, name: str) -> None:
    """Show an entry with all its settings; the secret is never shown."""
    app = session.open()
    row = granted(entries.show(name, store=app.administration, clock=app.clock, actor=session.actor(app)))
    emit(session, described(row), lambda: _print(row))


@nas.command("remove", persons=True, example="radiusd-mfa nas remove office")
@click.argument("name", type=LABEL)
@with_session
def remove(session: Session, name: str) -> None:
    """Remove an entry; its packets are dropped from then on."""
    app = session.open()
    actor = session.actor(app)
    row = granted(entries.remove(name, store=app.administration, clock=app.clock, actor=actor))
    emit(session, {"removed": row.name}, lambda: say(f"NAS entry {row.name} ({row.settings.address}) is removed."))


def described(row: NasRow) -> dict[str, object]:
    """Return an entry as `--json` prints it."""
    settings = row.settings
    return {
        "name": row.name,
        "address": settings.address,
        "surface": settings.surface,
        "team": row.team,
        "challenge": settings.challenge,
        "set_up": settings.set_up,
        "otp_only": settings.otp_only,
        "separators": settings.separators,
        "code_first": settings.code_first,
        "message_authenticator": settings.message_authenticator,
        "reply_message_authenticator": settings.reply_message_authenticator,
        "allow_proxy_state": settings.allow_proxy_state,
        "omit": list(settings.omit),
        "retry_grace": settings.retry_grace,
        "disconnect_port": settings.disconnect_port,
    }


def _print(row: NasRow) -> None:
    pairs = [(name, ", ".join(value) if isinstance(value, list) else value) for name, value in described(row).items()]
    properties([(name.replace("_", "-"), _switchable(value)) for name, value in pairs])


def _switchable(value: object) -> object:
    return on_off(value) if isinstance(value, bool) else value


def _wanted(name: str, options: dict[str, Any], app: App, *, needs_secret: bool) -> Wanted:
    settings = {key: value for key, value in options.items() if key in _SETTINGS and value is not None}
    if "separators" in settings and set(settings["separators"]) - set(_SEPARATORS):
        raise click.BadParameter("A separator is a comma, a semicolon or a space.", param_hint="--separators")
    if "omit" in settings:
        settings["omit"] = _attributes(settings["omit"], app)
    if "retry_grace" in settings:
        settings["retry_grace"] = float(settings["retry_grace"])
    secret = _secret(app, options, needs_secret=needs_secret)
    return Wanted(name, settings, options["team"], secret)


def _attributes(text: str, app: App) -> tuple[str, ...]:
    """Return the names as the dictionaries spell them: the server looks them up again."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    kinds = [app.dictionary.kind(name) for name in names]
    spelled = tuple(dict.fromkeys(app.dictionary.name(kind) for kind in kinds))
    if "Message-Authenticator" in spelled:
        raise click.BadParameter(
            "Message-Authenticator has an option of its own: --reply-message-authenticator never", param_hint="--omit"
        )
    return spelled


def _secret(app: App, options: dict[str, Any], *, needs_secret: bool) -> bytes | None:
    if options["secret_stdin"] and options["generate_secret"]:
        raise click.UsageError("Either --secret-stdin or --generate-secret, not both.")
    if options["generate_secret"]:
        return entries.generated_secret(app.entropy)
    if not (options["secret_stdin"] or needs_secret):
        return None
    option = "--generate-secret, or --secret-stdin"
    raw = reading.secret("Shared secret", option=option, from_stdin=options["secret_stdin"], twice=True)
    try:
        return entries.shared_secret(raw)
    except entries.SecretProblem as problem:
        raise click.UsageError(str(problem)) from problem


def _show_written(session: Session, written: Written, wanted: Wanted, *, generated: bool, verb: str) -> None:
    secret = wanted.secret.decode() if generated and wanted.secret else None
    document: dict[str, object] = {**described(written.entry), "warnings": list(written.warnings)}
    if secret is not None:
        document["secret"] = secret

    def text() -> None:
        say(f"NAS entry {written.entry.name} for {written.entry.settings.address} is {verb}.")
        if secret is not None:
            say(f"Its shared secret, shown this once: {secret}")

    emit(session, document, text)
    warn(session, written.warnings)

"""`radiusd-mfa sessions`: what may still be running, and its end."""

from collections.abc import Callable, Sequence
from ipaddress import ip_address
from typing import Final

import click

from radiusd_mfa.app import App
from radiusd_mfa.cli import reading
from radiusd_mfa.cli.commands import Group
from radiusd_mfa.cli.output import emit, say, table, timestamp
from radiusd_mfa.cli.parameters import LABEL, SINCE, USER, Read
from radiusd_mfa.cli.session import REFUSED, Session, granted, with_session
from radiusd_mfa.config import Endpoint
from radiusd_mfa.core.names import Username, escaped
from radiusd_mfa.server.disconnecting import PATIENCE, Unanswered, disconnect
from radiusd_mfa.usecases import sessions as running
from radiusd_mfa.usecases.actors import Actor
from radiusd_mfa.usecases.sessions import Listing, MayRun, Remembered, Scope, Target, Told

_LATELY: Final = "24h"
_WHY: Final = {
    Unanswered.NOBODY_LISTENS: "nobody listens there: switch its dynamic authorization on, or see --disconnect-port",
    Unanswered.NOT_GENUINE: "what answered does not know the shared secret",
    Unanswered.NO_REPLY: "no answer: is dynamic authorization on, and is this server allowed to ask?",
    Unanswered.NOT_SENT: "nothing could be sent there",
}


def _address(text: str) -> str:
    return str(ip_address(text))


_SINCE_OPTION: Final = click.option(
    "--since", type=SINCE, default=_LATELY, show_default=True, metavar="TIME", help="Sign-ins from then on."
)


@click.group(cls=Group, example="radiusd-mfa sessions list alice")
def sessions() -> None:
    """See what may still be running of a user, and end it."""


@sessions.command("list", example="radiusd-mfa sessions list alice --since 7d")
@click.argument("user", type=USER, required=False)
@_SINCE_OPTION
@with_session
def list_(session: Session, user: Username | None, since: Callable[[float], float]) -> None:
    """List accepted sign-ins whose sessions may still run, and reauthentication periods in force."""
    app = session.open()
    found = granted(running.listed(user, since(app.clock()), store=app.administration, clock=app.clock))
    document = [*map(_described_run, found.sessions), *map(_described_period, found.periods)]
    emit(session, document, lambda: _show(found))


@sessions.command("disconnect", persons=True, example="radiusd-mfa sessions disconnect alice --yes")
@click.argument("user", type=USER)
@click.option("--nas", type=LABEL, help="Ask this NAS entry alone.")
@click.option("--address", type=Read("address", _address), help="Where to ask an entry that covers a range.")
@click.option("--known-as", metavar="NAME", help="The User-Name that the NAS knows, as it was typed there.")
@_SINCE_OPTION
@reading.YES
@click.option("--timeout", type=click.FloatRange(0.1, 60), default=PATIENCE, show_default=True, help="Seconds, each.")
@with_session
def disconnect_(
    session: Session,
    user: Username,
    *,
    nas: str | None,
    address: str | None,
    known_as: str | None,
    since: Callable[[float], float],
    yes: bool,
    timeout: float,
) -> None:
    """End a user's periods and page sessions, and tell the NASes to end the user's sessions (RFC 5176)."""
    if address is not None and nas is None:
        raise click.UsageError("--address is of one entry; say of which with --nas.")
    app = session.open()
    actor = session.actor(app)
    reading.confirm(f"End everything that {escaped(user.text)} is signed in to?", yes=yes)
    told = cut(app, user, Scope(since(app.clock()), nas, address, known_as), actor=actor, patience=timeout)
    emit(session, {"user": user.text, "nas": described(told)}, lambda: show(user, told))
    if not all(each.done for each in told):
        click.get_current_context().exit(REFUSED)


def cut(app: App, user: Username, scope: Scope, *, actor: Actor, patience: float = PATIENCE) -> Sequence[Told]:
    """End what runs of a user, and return what each NAS said."""

    def ask(name: str, target: Target) -> tuple[bool, str]:
        where = Endpoint(target.address, target.port)
        answer = disconnect(name, where, secret=target.secret, patience=patience)
        if isinstance(answer, Unanswered):
            return False, _WHY[answer]
        if answer.done:
            return True, "done"
        return False, f"refused: {answer.words or 'it does not say why'}"

    return granted(
        running.end(
            user,
            scope,
            entries=app.nas_store.read(),
            ask=ask,
            store=app.administration,
            clock=app.clock,
            actor=actor,
        )
    )


def described(told: Sequence[Told]) -> list[dict[str, object]]:
    """Return what each NAS said, as `--json` prints it."""
    return [{"nas": each.nas, "address": each.address, "done": each.done, "said": each.said} for each in told]


def show(user: Username, told: Sequence[Told]) -> None:
    """Print what has ended, and what the NASes said."""
    say(f"The periods and page sessions of {escaped(user.text)} have ended.")
    show_told(told)


def show_told(told: Sequence[Told]) -> None:
    """Print what each NAS said."""
    if not told:
        say("No NAS has accepted this user in that time; none was asked.")
    for each in told:
        where = f" ({each.address})" if each.address else ""
        say(f"{escaped(each.nas)}{where}: {escaped(each.said, 300)}")


def _described_run(run: MayRun) -> dict[str, object]:
    return {
        "kind": "session",
        "user": run.user,
        "nas": run.nas,
        "surface": run.surface,
        "device": run.device,
        "since": timestamp(run.since),
        "until": timestamp(run.until),
        "audit": run.audit,
    }


def _described_period(period: Remembered) -> dict[str, object]:
    return {
        "kind": "period",
        "user": period.user,
        "nas": period.nas,
        "surface": period.surface,
        "device": period.device,
        "since": timestamp(period.since),
        "until": timestamp(period.until),
        "team": period.team,
    }


def _show(found: Listing) -> None:
    headings = ("USER", "NAS", "SURFACE", "DEVICE", "SINCE", "UNTIL")
    rows = [
        (each.user, each.nas, each.surface, each.device, timestamp(each.since), timestamp(each.until))
        for each in found.sessions
    ]
    table(headings, rows, empty="No sign-in was accepted in that time that may still run.")
    if found.periods:
        say("\nPeriods in force, in which the password suffices:")
        periods = [
            (each.user, each.nas, each.surface, each.device, timestamp(each.since), timestamp(each.until))
            for each in found.periods
        ]
        table(headings, periods, empty="")

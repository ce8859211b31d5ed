"""What the commands about second factors share: how a secret and codes are shown, once, and two options."""

from typing import Final
from urllib.parse import parse_qs, urlsplit

import click

from radiusd_mfa.cli.output import emit, say
from radiusd_mfa.cli.packets import paper
from radiusd_mfa.cli.qr import qr_lines
from radiusd_mfa.cli.session import Session
from radiusd_mfa.core.names import Username, escaped
from radiusd_mfa.usecases.codes import CodeSet
from radiusd_mfa.usecases.enrol import Enrolment

_LONGEST_LABEL: Final = 64


def _label(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    if len(value) > _LONGEST_LABEL or not value.isprintable():
        raise click.BadParameter(f"A label has at most {_LONGEST_LABEL} characters, none of them a control character.")
    return value


LABEL_OPTION: Final = click.option("--label", default="", callback=_label, help="What the user calls the device.")
METHOD_OPTION: Final = click.option(
    "--method", type=click.IntRange(min=1), metavar="ID", help="Which one, where there are several."
)


def emit_enrolment(session: Session, user: Username, made: Enrolment) -> None:
    """Print the secret of an unconfirmed method, for the app and once."""
    emit(session, {"uri": made.uri, "method": made.method}, lambda: _show_enrolment(user, made))


def show_codes(fresh: CodeSet) -> None:
    """Print backup codes for people."""
    say("Backup codes, each good for one sign-in, shown this once:")
    for code in fresh.shown:
        say(f"  {code}")


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

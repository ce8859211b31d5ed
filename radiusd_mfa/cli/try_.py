"""`radiusd-mfa try`: one real sign-in against a running server, and why it ended so."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, islice
from typing import Final, assert_never

import click

from radiusd_mfa.app import App
from radiusd_mfa.cli import reading
from radiusd_mfa.cli.commands import Command
from radiusd_mfa.cli.loopback import way_to
from radiusd_mfa.cli.output import emit
from radiusd_mfa.cli.packets import code_name, columns, described_packet, packet_text, paper
from radiusd_mfa.cli.parameters import LABEL, USER
from radiusd_mfa.cli.session import REFUSED, WRONG_USAGE, Failed, Session, with_session
from radiusd_mfa.config import Endpoint
from radiusd_mfa.core.names import Username, escaped
from radiusd_mfa.radius.wire import Attribute, Code, Packet
from radiusd_mfa.server.client import PATIENCE, Client, ClientProblem, Exchange, Silence, named
from radiusd_mfa.usecases.admin_ports import AuditEntry, AuditFilter
from radiusd_mfa.usecases.audit import entries as audit_entries
from radiusd_mfa.usecases.ports import NasEntry
from radiusd_mfa.usecases.reasons import meaning, remedy

_LONGEST_STATION: Final = 253
ROUNDS: Final = 8
"""Challenges that are answered; a server that asks for ever is left."""


@dataclass
class SignInTry:
    """What was sent and answered so far, and the row of the audit log about the last of it."""

    user: Username
    entry: NasEntry
    target: Endpoint
    before: int
    """The id of the row that was the newest when it began."""
    exchanges: list[Exchange] = field(default_factory=list)
    row: AuditEntry | None = None

    @property
    def outcome(self) -> str:
        """`accept`, `reject`, `challenge` (nobody answered it) or `silence`."""
        reply = self.exchanges[-1].reply
        return "silence" if isinstance(reply, Silence) else code_name(reply.code).removeprefix("Access-").lower()


def _station(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    if len(value.encode(errors="surrogatepass")) > _LONGEST_STATION:
        raise click.BadParameter(f"An attribute has at most {_LONGEST_STATION} octets.")
    return value


@click.command("try", cls=Command, example="radiusd-mfa try alice --nas localhost")
@click.argument("user", type=USER)
@click.option("--nas", type=LABEL, required=True, help="Ask as this NAS entry, with its shared secret.")
@click.option("--server", metavar="ADDR:PORT", help="Where the server listens. Default: as configured.")
@click.option("--text-stdin", is_flag=True, help="Read the secret text, and on further lines answers to challenges.")
@click.option("--device", default="", callback=_station, metavar="STATION", help="Sent as Calling-Station-Id.")
@click.option("--timeout", type=click.FloatRange(0.1, 60), default=PATIENCE, show_default=True, help="Seconds.")
@with_session
def try_(
    session: Session,
    user: Username,
    nas: str,
    server: str | None,
    text_stdin: bool,
    device: str,
    timeout: float,
) -> None:
    """Sign in over real RADIUS packets, and say why the server answered so; the wire never tells."""
    asked = None if server is None else _endpoint(server)
    app = session.open()
    entry, source, target = way_to(nas, app, asked=asked)
    texts = _texts(entry, from_stdin=text_stdin)
    last = newest(app, user, nas)
    done = SignInTry(user, entry, target, before=last.id if last else 0)
    try:
        with Client(target, source=source, secret=entry.secret, expects_signed=_signs(entry)) as client:
            for exchange in _rounds(client, done, device, texts, timeout):
                done.exchanges.append(exchange)
                if not session.json:
                    _show(app, exchange)
    except ClientProblem as problem:
        raise Failed(str(problem), REFUSED) from problem
    _finish(session, app, done)


def _finish(session: Session, app: App, done: SignInTry) -> None:
    reply = done.exchanges[-1].reply
    row = newest(app, done.user, done.entry.nas.name)
    done.row = row if row and row.id > done.before else None
    document = {
        "user": done.user.text,
        "nas": done.entry.nas.name,
        "server": str(done.target),
        "outcome": done.outcome,
        "reason": done.row.reason if done.row else None,
        "audit": done.row.id if done.row else None,
        "exchanges": [_described(app, exchange) for exchange in done.exchanges],
    }
    emit(session, document, partial(_show_why, done))
    match reply:
        case Silence():
            raise Failed(_about_silence(reply, done.target), REFUSED)
        case Packet(code=Code.ACCESS_ACCEPT):
            return
        case Packet(code=Code.ACCESS_CHALLENGE):
            raise Failed("The challenge was not answered; on standard input the answer is the next line.", REFUSED)
        case Packet():
            click.get_current_context().exit(REFUSED)
        case other:
            assert_never(other)


def newest(app: App, user: Username, nas: str) -> AuditEntry | None:
    """Return the newest row about this user's sign-ins at a NAS: it is committed before its reply is sent (I2)."""
    wanted = AuditFilter(users=user.found_as, nas=nas, kind="sign-in", limit=1)
    return next(iter(audit_entries(wanted, store=app.administration)), None)


def _show_why(done: SignInTry) -> None:
    if done.row is not None:
        show_row(done.row)
    elif done.outcome != "silence":
        paper().print("This database has no audit row about it: the server there works with another one.", style="red")


def show_row(row: AuditEntry) -> None:
    """Print why, from the audit log."""
    style = {"accept": "green", "challenge": "yellow"}.get(row.outcome, "red")
    console = paper()
    console.print(f"Audit row {row.id}: {row.outcome}, {row.reason}", style=style)
    todo = remedy(row.reason, user=escaped(row.user or "USER"), nas=row.nas or "NAS")
    for sentence in filter(None, (meaning(row.reason), todo)):
        console.print(f"  {sentence}", style="dim")


def _rounds(
    client: Client, asked: SignInTry, device: str, texts: Iterator[bytes], patience: float
) -> Iterator[Exchange]:
    """Ask, and answer challenges as long as there is something to answer with."""
    state: bytes | None = None
    for typed in islice(texts, ROUNDS):
        given = named(asked.user.text, nas=asked.entry.nas.name, source=client.source.host, device=device, state=state)
        exchange = client.sign_in(typed, attributes=given, patience=patience)
        yield exchange
        reply = exchange.reply
        if isinstance(reply, Silence) or reply.code != Code.ACCESS_CHALLENGE:
            return
        state = reply.found.get(Attribute.STATE)


def _texts(entry: NasEntry, *, from_stdin: bool) -> Iterator[bytes]:
    """Yield what the user types: first the secret text, then the answers, each asked for when it is due."""
    first = "Code" if entry.nas.otp_only else "Password, and right after it the code"
    if from_stdin:
        text = reading.secret(first, option="--text-stdin", from_stdin=True)
        return iter(line.removesuffix(b"\r") for line in text.split(b"\n"))
    prompts = chain([first], iter(lambda: "Answer", ""))
    return (reading.secret(prompt, option="--text-stdin", from_stdin=False) for prompt in prompts)


def _signs(entry: NasEntry) -> bool:
    # We sign every request, so a mirrored reply is signed too.
    return entry.reply_message_authenticator != "never"


def _show(app: App, exchange: Exchange) -> None:
    console = paper()
    wide = columns(console)
    console.print(packet_text(exchange.request, app.dictionary, arrow="→", columns=wide, note=_tries(exchange)))
    if isinstance(exchange.reply, Packet):
        took = f", after {exchange.seconds * 1000:.0f} ms"
        console.print(packet_text(exchange.reply.octets, app.dictionary, arrow="←", columns=wide, note=took))


def _tries(exchange: Exchange) -> str:
    return f", sent {exchange.sent} times" if exchange.sent > 1 else ""


def _described(app: App, exchange: Exchange) -> dict[str, object]:
    reply = exchange.reply
    return {
        "request": described_packet(exchange.request, app.dictionary),
        "reply": described_packet(reply.octets, app.dictionary) if isinstance(reply, Packet) else None,
        "sent": exchange.sent,
        "seconds": round(exchange.seconds, 3),
    }


def _about_silence(silence: Silence, target: Endpoint) -> str:
    match silence:
        case Silence.NOBODY_LISTENS:
            return f"Nobody listens on {target}. Start the server with: radiusd-mfa serve --listen {target}"
        case Silence.NOT_GENUINE:
            return (
                f"What came from {target} was not made with the shared secret of this database's NAS entry; "
                "does the server there work with another database?"
            )
        case Silence.NO_REPLY:
            return (
                f"No reply from {target}. Ask radiusd-mfa doctor, and look at the server's log: it names every packet "
                "that it drops, and a database that fails or is slow (then it is silent, so that a NAS asks the next "
                "server). A NAS entry that was just changed works after two seconds. Does another program listen there?"
            )
        case other:
            assert_never(other)


def _endpoint(text: str) -> Endpoint:
    try:
        return Endpoint.parse(text)
    except ValueError as error:
        raise Failed(f"--server {escaped(text)}: {error}", WRONG_USAGE) from error

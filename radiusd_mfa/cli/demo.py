"""`radiusd-mfa demo`: all of it on throw-away files, with a real sign-in before your eyes; then it keeps serving."""

import shlex
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Final

import click
from rich.console import Console
from rich.live import Live
from rich.text import Text

from radiusd_mfa.cli.commands import Command
from radiusd_mfa.cli.demo_world import NAS, PASSWORD, TEAM, USER, Demo, demo_world
from radiusd_mfa.cli.output import emit
from radiusd_mfa.cli.packets import columns, described_packet, packet_text, paper
from radiusd_mfa.cli.qr import qr_lines
from radiusd_mfa.cli.session import REFUSED, WRONG_USAGE, Failed, Session, with_session
from radiusd_mfa.config import Endpoint
from radiusd_mfa.core.names import escaped
from radiusd_mfa.core.verdict import Reason
from radiusd_mfa.radius.wire import Code, Packet
from radiusd_mfa.server.client import Client, Exchange, named
from radiusd_mfa.usecases.admin_ports import AuditEntry, AuditFilter
from radiusd_mfa.usecases.audit import entries

_DEFAULT: Final = "127.0.0.1:1812"
_GAP: Final = "   "
_FACTS: Final = 41
"""Columns that stand beside the QR code where there is room."""
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class SignedIn:
    """One sign-in of the demo: what was asked and answered, and what the audit log says of it."""

    exchange: Exchange
    reply: Packet
    row: AuditEntry


@click.command("demo", cls=Command, example="radiusd-mfa demo")
@click.option(
    "--listen", metavar="ADDR:PORT", default=_DEFAULT, show_default=True, help="Where; without it a free port is found."
)
@click.option("--once", is_flag=True, help="End after the sign-ins.")
@with_session
def demo(session: Session, listen: str, once: bool) -> None:
    """Show a real sign-in on throw-away files: a user, a QR code, two packets; then keep serving until Ctrl-C."""
    wanted = _endpoint(listen)
    with _ended_by_signals(), demo_world(wanted, profile=session.profile) as made:
        console = Console(quiet=True) if session.json else paper()
        _show_set_up(console, made, wanted)
        typed = PASSWORD + made.phone.codes.now()
        accepted = _sign_in(made, typed, Code.ACCESS_ACCEPT)
        _show_accepted(console, made, accepted, typed)
        refused = _sign_in(made, typed, Code.ACCESS_REJECT)
        _show_refused(console, made, refused)
        emit(session, _document(made, (accepted, refused)), lambda: _show_what_next(console, made, once=once))
        if not once:
            _serve(console, made, seen=(accepted.row, refused.row))


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Let Ctrl-C, SIGTERM and a closed terminal end the block quietly; further ones wait until all is cleaned up."""

    def wait(_number: int, _frame: object) -> None:
        # Not SIG_IGN: Python complains aloud about a signal that came in just before it.
        return

    def end(_number: int, _frame: object) -> None:
        for each in _SIGNALS:
            signal.signal(each, wait)
        raise KeyboardInterrupt

    before = {each: signal.signal(each, end) for each in _SIGNALS}
    try:
        yield
    except KeyboardInterrupt:
        click.echo("\nThe demo has ended; its files are gone.", err=True)
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _sign_in(demo: Demo, typed: str, expected: Code) -> SignedIn:
    with Client(demo.server, source=demo.source, secret=demo.secret) as client:
        exchange = client.sign_in(typed.encode(), attributes=named(USER.text, nas=NAS, source=demo.source))
    row = _newest(demo)
    if row is None or not isinstance(exchange.reply, Packet) or exchange.reply.code != expected:
        raise Failed(f"The demo expected {expected.name} and got {row.reason if row else 'silence'}.", REFUSED)
    return SignedIn(exchange, exchange.reply, row)


def _newest(demo: Demo) -> AuditEntry | None:
    return next(iter(entries(AuditFilter(kind="sign-in", limit=1), store=demo.app.administration)), None)


def _show_set_up(console: Console, demo: Demo, wanted: Endpoint) -> None:
    _heading(console, "A user, an authenticator, a NAS", "all of it thrown away at the end")
    drawn = qr_lines(demo.phone.uri, console)
    facts = _facts(demo)
    if wanted.port not in (0, demo.server.port):
        facts += [Text(f"{wanted} is taken, so it is this one", "yellow")]
    if drawn and len(drawn[0]) + len(_GAP) + _FACTS <= console.width:
        blank = Text(" " * len(drawn[0]))
        for code, fact in zip_longest(drawn, facts):
            console.print(Text.assemble(code or blank, _GAP, fact or ""))
        return
    for line in (*(drawn or [Text(demo.phone.uri)]), Text(), *facts):
        console.print(line)


def _facts(demo: Demo) -> list[Text]:
    codes = demo.phone.backup_codes
    pairs = zip(codes[::2], codes[1::2], strict=True)
    return [
        Text(),
        _fact("team", TEAM),
        _fact("user", f"{USER.text}, its owner"),
        _fact("password", PASSWORD),
        _fact("code now", _spaced(demo.phone.codes.now())),
        Text(),
        Text("Scan the code with any authenticator app,", "dim"),
        Text("or type codes from here.", "dim"),
        Text(),
        Text("backup codes, each good for one sign-in", "dim"),
        *(Text(f"{one}  {other}", "bold") for one, other in pairs),
        Text(),
        _fact("NAS", f"{NAS}, at {demo.source}"),
        _fact("server", str(demo.server)),
        _fact("pages", demo.pages),
    ]


def _fact(name: str, value: str) -> Text:
    return Text.assemble((name.ljust(10), "dim"), (value, "bold"))


def _show_accepted(console: Console, demo: Demo, signed: SignedIn, typed: str) -> None:
    _heading(console, f"alice types {typed}", "the password, and right after it the code")
    _show_packets(console, demo, signed)


def _show_refused(console: Console, demo: Demo, signed: SignedIn) -> None:
    _heading(console, "The same text again", "a code buys one sign-in")
    _show_packets(console, demo, signed)
    _heading(console, "The audit log", "the reasons stay here; every Reject looks the same on the wire")
    for row in reversed(entries(AuditFilter(kind="sign-in", limit=2), store=demo.app.administration)):
        console.print(_row(row))


def _show_packets(console: Console, demo: Demo, signed: SignedIn) -> None:
    dictionary, exchange = demo.app.dictionary, signed.exchange
    wide = columns(console)
    console.print(packet_text(exchange.request, dictionary, arrow="→", columns=wide))
    took = f", after {exchange.seconds * 1000:.0f} ms"
    console.print(packet_text(signed.reply.octets, dictionary, arrow="←", columns=wide, note=took))


def _show_what_next(console: Console, demo: Demo, *, once: bool) -> None:
    if once:
        return
    _heading(console, "Now you, in another terminal", f"serving on {demo.server} until Ctrl-C")
    try_, radtest = _commands(demo)
    console.print(Text("With the code that is shown below or on your phone, typed after the password:", "dim"))
    if len(try_) + 2 > columns(console):
        try_ = try_.replace(" ", " \\\n      ", 1)
    console.print(Text(f"  {try_}", "bold"))
    console.print(Text("With a browser, as alice, with that code:", "dim"))
    console.print(Text(f"  {demo.pages}", "bold"))
    console.print(Text("With a backup code, from the FreeRADIUS tools:", "dim"))
    console.print(Text(f"  {radtest}\n", "bold"))


def _commands(demo: Demo) -> tuple[str, str]:
    state = shlex.quote(str(demo.app.config.state_dir))
    is_default = str(demo.server) == _DEFAULT
    server = "" if is_default else f" --server {demo.server}"
    try_ = f"RADIUSD_MFA_STATE_DIR={state} {_program()} try {USER.text} --nas {NAS}{server}"
    version = " -6" if ":" in demo.server.host else ""
    typed, secret = PASSWORD + demo.phone.backup_codes[0], demo.secret.decode()
    return try_, f"radtest{version} {USER.text} {typed} {demo.server} 0 {secret}"


def _program() -> str:
    """Return how this program is started from anywhere."""
    started = Path(sys.argv[0])
    if started.name != "radiusd-mfa":
        return f"{shlex.quote(sys.executable)} -m radiusd_mfa"
    found = shutil.which("radiusd-mfa")
    if found is not None and Path(found).resolve() == started.resolve():
        return "radiusd-mfa"
    return shlex.quote(str(started.absolute()))


def _serve(console: Console, demo: Demo, *, seen: tuple[AuditEntry, ...]) -> None:
    """Say who signs in, and on a terminal which code is the current one, until a signal comes."""
    rows = list(seen)
    with Live(console=console, auto_refresh=False, transient=True) as live:
        while True:
            for row in _since(demo, rows[-1].id):
                rows.append(row)
                console.print(_row(row))
            if console.is_terminal:
                live.update(_code_now(demo, rows, time.time()), refresh=True)
            time.sleep(0.5)


def _since(demo: Demo, seen: int) -> list[AuditEntry]:
    newest = entries(AuditFilter(kind="sign-in", limit=100), store=demo.app.administration)
    return [row for row in reversed(newest) if row.id > seen]


def _code_now(demo: Demo, rows: Sequence[AuditEntry], now: float) -> Text:
    """Return what the phone shows, and whether it was used already: then the next one is worth the wait."""
    codes = demo.phone.codes
    left = codes.interval - int(now) % codes.interval
    spent = any(row.reason == Reason.TOTP and row.at // codes.interval == now // codes.interval for row in rows)
    return Text.assemble(
        ("code now  ", "dim"),
        (_spaced(codes.at(int(now))), "strike dim" if spent else "bold"),
        (f"  is used up, the next one comes in {left} s" if spent else f"  for {left} s more", "dim"),
    )


def _row(row: AuditEntry) -> Text:
    at = time.strftime("%H:%M:%S", time.localtime(row.at))
    style = {"accept": "green", "challenge": "yellow"}.get(row.outcome, "red")
    who = f"{escaped(row.user or '')} at {row.nas}"
    return Text.assemble((f"  {at}  ", "dim"), f"{who}  ", (f"{row.outcome}  {row.reason}", style))


def _heading(console: Console, title: str, aside: str) -> None:
    console.print(Text.assemble("\n", (title, "bold underline"), (f"  {aside}", "dim"), "\n"))


def _spaced(code: str) -> str:
    return f"{code[:3]} {code[3:]}"


def _document(demo: Demo, signed: tuple[SignedIn, ...]) -> dict[str, object]:
    return {
        "server": str(demo.server),
        "pages": demo.pages,
        "state_dir": str(demo.app.config.state_dir),
        "team": TEAM,
        "user": USER.text,
        "password": PASSWORD,
        "uri": demo.phone.uri,
        "backup_codes": demo.phone.backup_codes,
        "nas": {"name": NAS, "address": demo.source, "secret": demo.secret.decode()},
        "sign_ins": [_described(demo, each) for each in signed],
        "commands": _commands(demo),
    }


def _described(demo: Demo, signed: SignedIn) -> dict[str, object]:
    return {
        "outcome": signed.row.outcome,
        "reason": signed.row.reason,
        "audit": signed.row.id,
        "request": described_packet(signed.exchange.request, demo.app.dictionary),
        "reply": described_packet(signed.reply.octets, demo.app.dictionary),
    }


def _endpoint(text: str) -> Endpoint:
    try:
        return Endpoint.parse(text)
    except ValueError as error:
        raise Failed(f"--listen {escaped(text)}: {error}", WRONG_USAGE) from error

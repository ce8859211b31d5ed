"""`radiusd-mfa top`: what a running server does, as it does it."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import click
from rich.console import Console, RenderableType
from rich.live import Live

from radiusd_mfa.app import App
from radiusd_mfa.cli.commands import Command
from radiusd_mfa.cli.output import emit, timestamp
from radiusd_mfa.cli.parameters import ENDPOINT
from radiusd_mfa.cli.session import REFUSED, WRONG_USAGE, Failed, Session, with_session
from radiusd_mfa.cli.top_view import screen
from radiusd_mfa.config import Endpoint
from radiusd_mfa.metrics.overview import Overview, overview
from radiusd_mfa.metrics.reading import Between, UnreachableProblem, fetch
from radiusd_mfa.usecases import audit as log
from radiusd_mfa.usecases.admin_ports import AuditEntry, AuditFilter
from radiusd_mfa.usecases.ports import StoreFault

_REFUSALS: Final = 30
_UNSET: Final = (
    "metrics_listen is not set, so no server says what it does. Put this into the settings and restart "
    '`radiusd-mfa serve`: metrics_listen = "127.0.0.1:9812" (or RADIUSD_MFA_METRICS_LISTEN=127.0.0.1:9812)'
)


@dataclass(frozen=True, slots=True)
class _Seen:
    overview: Overview
    refusals: Sequence[AuditEntry] | str
    """A sentence, where the database can't be read."""


@click.command("top", cls=Command, example="radiusd-mfa top\nradiusd-mfa top --once --json")
@click.option("--interval", type=click.FloatRange(1, 60), default=2.0, show_default=True, help="Seconds between looks.")
@click.option("--once", is_flag=True, help="Look once, over one interval, and end.")
@click.option("--address", type=ENDPOINT, metavar="ADDR:PORT", help="Another server's metrics than metrics_listen.")
@with_session
def top(session: Session, interval: float, once: bool, address: Endpoint | None) -> None:
    """Show what the server does: sign-ins, times, queues, NASes, last refusals. Ctrl-C ends.

    Reads the metrics of `serve` (metrics_listen) and the audit log.
    """
    endpoint = address or session.config.metrics_listen
    if endpoint is None:
        raise Failed(_UNSET, WRONG_USAGE)
    console = Console()
    if not (once or session.json or console.is_terminal):
        raise Failed("Standard output is no terminal; to look once: radiusd-mfa top --once", WRONG_USAGE)
    looks = _looks(session.open(), endpoint, interval)
    draw = partial(_draw, console, endpoint)
    try:
        if once or session.json:
            seen = next(looks)
            emit(session, _document(seen), lambda: console.print(draw(seen)))
        else:
            with Live(console=console, screen=True, auto_refresh=False) as live:
                for seen in looks:
                    live.update(draw(seen), refresh=True)
    except UnreachableProblem as problem:
        raise Failed(str(problem), REFUSED) from problem
    except KeyboardInterrupt:
        return


def _looks(app: App, endpoint: Endpoint, interval: float) -> Iterator[_Seen]:
    before = fetch(endpoint)
    while True:
        time.sleep(interval)
        after = fetch(endpoint)
        yield _Seen(overview(Between(before, after)), _refusals(app))
        before = after


def _refusals(app: App) -> Sequence[AuditEntry] | str:
    wanted = AuditFilter(kind="sign-in", outcome="reject", limit=_REFUSALS)
    try:
        return log.entries(wanted, store=app.administration)
    except StoreFault as fault:
        return f"The audit log can't be read: {fault}"


def _draw(console: Console, endpoint: Endpoint, seen: _Seen) -> RenderableType:
    return screen(seen.overview, seen.refusals, where=str(endpoint), height=console.height)


def _document(seen: _Seen) -> dict[str, object]:
    of = seen.overview
    return {
        "version": of.version,
        "started": timestamp(of.started),
        "at": timestamp(of.clock),
        "seconds": of.seconds,
        "workers": [
            {"worker": each.number, "healthy": each.healthy, "starts": each.starts, "memory": each.resident_memory}
            for each in of.workers
        ],
        "sign_ins": dict(of.outcomes),
        "reasons": [{"outcome": outcome, "reason": reason, "rate": rate} for outcome, reason, rate in of.reasons],
        "unanswered": of.unanswered,
        "dropped": dict(of.dropped),
        "times": {
            stage: None if quantiles is None else dict(zip(("p50", "p99"), quantiles, strict=True))
            for stage, quantiles in of.times.items()
        },
        "queues": dict(of.queues),
        "hash_threads": {"count": of.hash_threads, "busy": of.hash_threads_busy},
        "nas": [
            {
                "name": each.name,
                "sign_ins": dict(each.sign_ins),
                "dropped": each.dropped,
                "last": timestamp(each.last),
            }
            for each in of.nases
        ],
        "audit_unsealed": of.unsealed,
        "outbox_waiting": of.outbox_waiting,
        "refusals": None if isinstance(seen.refusals, str) else [_refusal(each) for each in seen.refusals],
    }


def _refusal(entry: AuditEntry) -> dict[str, object]:
    return {
        "id": entry.id,
        "at": timestamp(entry.at),
        "user": entry.user,
        "nas": entry.nas,
        "reason": entry.reason,
    }

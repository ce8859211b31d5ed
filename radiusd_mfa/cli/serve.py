"""`radiusd-mfa serve`: the daemon in the foreground."""

import gc
import logging
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import click

from radiusd_mfa.app import FAULTS, UNUSABLE, App
from radiusd_mfa.cli.commands import Command
from radiusd_mfa.cli.serve_metrics import metrics_of
from radiusd_mfa.cli.session import REFUSED, WRONG_USAGE, Failed, Session, with_session
from radiusd_mfa.config import Config, ConfigProblem, Endpoint
from radiusd_mfa.logs import Lines, begin_log, change_log
from radiusd_mfa.server.activation import HandedProblem, handed
from radiusd_mfa.server.succession import Incumbent, RenewalProblem, Succession
from radiusd_mfa.server.systemd import NOBODY, Manager, Pulse, manager
from radiusd_mfa.server.tally import Count, Level, Tallies, Tally
from radiusd_mfa.server.udp import Listener, ListenProblem
from radiusd_mfa.server.workers import Parent, adopt, bind

_log: Final = logging.getLogger(__name__)
_GARBAGE: Final = 50_000
"""Objects beyond those that have gone from which the collector looks for circles. A sign-in leaves none, so at the
usual 700 it looks at each batch several times for nothing: 4 us a sign-in."""
_BOUND: Final = ("listen", "workers", "metrics_listen")
"""Settings that a reload leaves as they are: the sockets stay."""


@dataclass(frozen=True, slots=True)
class _Place:
    """What stays when a daemon follows another: the sockets, and where it counts."""

    listeners: Sequence[Listener]
    tally: Tally
    lines: Lines
    workers: int
    """How many share the port, this one included."""


@click.command(cls=Command, example="radiusd-mfa serve --listen 127.0.0.1:1812 --workers 2")
@click.option("--listen", multiple=True, metavar="ADDR:PORT", help="Where to listen; may be given several times.")
@click.option("--workers", type=click.IntRange(1, 64), help="Processes that share the port; one unless configured.")
@with_session
def serve(session: Session, listen: tuple[str, ...], workers: int | None) -> None:
    """Answer RADIUS requests until SIGTERM or Ctrl-C.

    Prints one line when it is ready. SIGTERM finishes what was taken, at most 5 seconds. SIGHUP reads the settings
    and the key file anew; if anything is wrong with them, it says so in the log and goes on as before. Sockets that
    systemd hands over are taken instead of binding any.
    """
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until there is somebody to reload
    config, told = session.config, manager()
    endpoints = [_endpoint(text) for text in listen] or config.listen
    given = handed_over(socket.SOCK_DGRAM, listen)
    app = session.open()  # what can't work is said before anything is started
    app.refuse_loss()
    app.close()
    lines = begin_log(config)
    workers = workers or config.workers
    try:
        sockets = adopt(given, workers) if given else bind(endpoints, workers)
    except ListenProblem as problem:
        raise Failed(str(problem), REFUSED) from problem
    except HandedProblem as problem:
        raise Failed(str(problem), WRONG_USAGE) from problem
    addresses = ", ".join(listener.shown for listener in sockets[0])

    def ready() -> None:
        click.echo(f"radiusd-mfa is ready on {addresses}")
        told.ready(f"Serves on {addresses}" + (f", {workers} workers" if workers > 1 else ""))

    tallies = Tallies(len(sockets))
    metrics = metrics_of(session, tallies, lines)
    serve_one = partial(_serve, session, tallies, lines)
    if len(sockets) > 1:
        beside = metrics.run if metrics is not None else None
        sys.exit(Parent(sockets, serve_one, partial(_obstacles, session, lines), beside, told).run(ready))
    if metrics is not None:
        metrics.start()
    serve_one(0, sockets[0], ready, told.pulse, told)


def handed_over(kind: socket.SocketKind, listen: object) -> list[socket.socket]:
    """Return the sockets that systemd hands over; refuses to have others named by --listen beside them."""
    try:
        given = handed(kind)
    except HandedProblem as problem:
        raise Failed(str(problem), WRONG_USAGE) from problem
    if given and listen:
        raise Failed("systemd hands over sockets, and --listen names others; leave one of them out", WRONG_USAGE)
    return given


def _serve(
    session: Session,
    tallies: Tallies,
    lines: Lines,
    worker: int,
    listeners: Sequence[Listener],
    ready: Callable[[], None],
    pulse: Pulse,
    told: Manager = NOBODY,
) -> None:
    """Serve until SIGTERM, with a share of the hash threads where there are other workers."""
    place = _Place(listeners, tallies.of(worker), lines, len(tallies))
    lines.lost = partial(place.tally.add, Count.LOG_LINES_LOST)
    place.tally.add(Count.STARTS)
    place.tally.set(Level.STARTED, time.time())
    first = _incumbent(session, place)
    gc.freeze()  # what exists now stays: a full collection need not look at it for every thousandth sign-in
    gc.set_threshold(_GARBAGE)
    Succession(first, partial(_renewed, session, place), told, pulse).run(ready)


def _incumbent(session: Session, place: _Place) -> Incumbent:
    session.narrow(hash_threads=max(1, session.config.hash_threads // place.workers))
    app = App.open(session.config, profile=session.profile)
    try:
        app.refuse_loss()
        app.nas_store.touch()  # as a daemon does first: where it can't, the one before is not to stand down
        return Incumbent(app.daemon_on(place.listeners, place.tally, place.lines.write), app.leave, app.close)
    except BaseException:
        app.close()
        raise


def _renewed(session: Session, place: _Place) -> Incumbent:
    """Open a daemon with what the settings say now."""
    before = session.config
    try:
        _tell_what_stays(before, session.reload())
        made = _incumbent(session, place)
    except ConfigProblem as problem:
        raise RenewalProblem(problem.problems) from problem
    except (*UNUSABLE, *FAULTS, OSError) as problem:
        session.restore(before)
        raise RenewalProblem((str(problem),)) from problem
    change_log(place.lines, session.config)
    return made


def _obstacles(session: Session, lines: Lines) -> Sequence[str]:
    """Read the settings anew, for the workers that are started later; return what would keep those from starting."""
    before = session.config
    problems: tuple[str, ...] = ()
    try:
        session.reload()
        _rehearse(session)
    except ConfigProblem as problem:
        problems = problem.problems
    except (*UNUSABLE, *FAULTS, OSError) as problem:
        session.restore(before)
        problems = (str(problem),)
    for sentence in problems:
        _log.error("not reloaded, the settings stay as they were: %s", sentence)
    if not problems:
        change_log(lines, session.config)
    return problems


def _rehearse(session: Session) -> None:
    """Open what a worker opens; soon or not at all, for who waits here feeds the watchdog."""
    app = App.open(session.config, profile=session.profile, deadline=session.config.database_deadline)
    try:
        app.refuse_loss()
    finally:
        app.close()


def _tell_what_stays(before: Config, after: Config) -> None:
    for name in _BOUND:
        if getattr(before, name) != getattr(after, name):
            _log.warning("%s has changed; that takes a restart", name)


def _endpoint(text: str) -> Endpoint:
    try:
        return Endpoint.parse(text)
    except ValueError as error:
        raise Failed(f"--listen {text}: {error}", WRONG_USAGE) from error

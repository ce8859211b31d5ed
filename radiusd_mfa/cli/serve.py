"""`radiusd-mfa serve`: the daemon in the foreground."""

import gc
import logging
import sys
from collections.abc import Callable, Sequence
from functools import partial

import click

from radiusd_mfa.app import App
from radiusd_mfa.cli.commands import Command
from radiusd_mfa.cli.session import REFUSED, WRONG_USAGE, Failed, Session, with_session
from radiusd_mfa.config import Endpoint
from radiusd_mfa.server.udp import Listener, ListenProblem
from radiusd_mfa.server.workers import Parent, bind


@click.command(cls=Command, example="radiusd-mfa serve --listen 127.0.0.1:1812 --workers 2")
@click.option("--listen", multiple=True, metavar="ADDR:PORT", help="Where to listen; may be given several times.")
@click.option("--workers", type=click.IntRange(1, 64), help="Processes that share the port; one unless configured.")
@with_session
def serve(session: Session, listen: tuple[str, ...], workers: int | None) -> None:
    """Answer RADIUS requests until SIGTERM or Ctrl-C.

    Prints one line when it is ready. SIGTERM finishes what was taken, at most 5 seconds.
    """
    config = session.config
    endpoints = [_endpoint(text) for text in listen] or config.listen
    app = session.open()  # what can't work is said before anything is started
    app.refuse_loss()
    app.close()
    logging.basicConfig(level=config.log_level.upper(), format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    try:
        sockets = bind(endpoints, workers or config.workers)
    except ListenProblem as problem:
        raise Failed(str(problem), REFUSED) from problem
    addresses = ", ".join(listener.shown for listener in sockets[0])

    def ready() -> None:
        click.echo(f"radiusd-mfa is ready on {addresses}")

    if len(sockets) == 1:
        _serve(session, sockets[0], ready)
    else:
        sys.exit(Parent(sockets, partial(_serve_as_worker, session, len(sockets))).run(ready))


def _serve(session: Session, listeners: Sequence[Listener], ready: Callable[[], None]) -> None:
    app = App.open(session.config, profile=session.profile)
    try:
        daemon = app.daemon_on(listeners)
        daemon.stop_on_signals()
        gc.freeze()  # what exists now stays: a full collection need not look at it for every thousandth sign-in
        daemon.run(ready=ready)
    finally:
        app.close()


def _serve_as_worker(session: Session, workers: int, listeners: Sequence[Listener], ready: Callable[[], None]) -> None:
    """Serve with this worker's share of the hash threads."""
    threads = max(1, session.config.hash_threads // workers)
    session.narrow(hash_threads=threads)
    _serve(session, listeners, ready)


def _endpoint(text: str) -> Endpoint:
    try:
        return Endpoint.parse(text)
    except ValueError as error:
        raise Failed(f"--listen {text}: {error}", WRONG_USAGE) from error

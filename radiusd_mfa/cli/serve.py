"""`radiusd-mfa serve`: the daemon in the foreground."""

import logging

import click

from radiusd_mfa.cli.commands import Command
from radiusd_mfa.cli.session import REFUSED, WRONG_USAGE, Failed, Session, with_session
from radiusd_mfa.config import Endpoint
from radiusd_mfa.server.udp import ListenProblem


@click.command(cls=Command)
@click.option("--listen", multiple=True, metavar="ADDR:PORT", help="Where to listen; may be given several times.")
@with_session
def serve(session: Session, listen: tuple[str, ...]) -> None:
    r"""Answer RADIUS requests until SIGTERM or Ctrl-C.

    Prints one line when it is ready. SIGTERM finishes what was taken, at most 5 seconds.

    \b
    Example:
      radiusd-mfa serve --listen 127.0.0.1:1812
    """
    endpoints = [_endpoint(text) for text in listen]
    app = session.open()
    logging.basicConfig(level=app.config.log_level.upper(), format="%(asctime)s %(levelname)s %(message)s")
    try:
        daemon = app.daemon(endpoints)
    except ListenProblem as problem:
        raise Failed(str(problem), REFUSED) from problem
    daemon.stop_on_signals()
    daemon.run(ready=lambda: click.echo(f"radiusd-mfa is ready on {', '.join(daemon.addresses)}"))


def _endpoint(text: str) -> Endpoint:
    try:
        return Endpoint.parse(text)
    except ValueError as error:
        raise Failed(f"--listen {text}: {error}", WRONG_USAGE) from error

"""`radiusd-mfa portal`: the pages in the foreground."""

import logging
import signal
import socket

import click

from radiusd_mfa.cli.commands import Command
from radiusd_mfa.cli.serve import handed_over
from radiusd_mfa.cli.session import REFUSED, WRONG_USAGE, Failed, Session, with_session
from radiusd_mfa.config import Endpoint
from radiusd_mfa.logs import begin_log
from radiusd_mfa.portal.server import PortalServer
from radiusd_mfa.portal.site import PortalProblem
from radiusd_mfa.server.systemd import manager


@click.command(cls=Command, example="radiusd-mfa portal --listen 127.0.0.1:8080")
@click.option("--listen", metavar="ADDR:PORT", help="Where to listen, instead of portal_listen.")
@with_session
def portal(session: Session, listen: str | None) -> None:
    """Serve the pages on which people set up their second factor, until SIGTERM or Ctrl-C.

    Prints one line when they are ready. For others than this machine, set portal_url, and serve them by TLS. Sockets
    that systemd hands over are taken instead of binding one. SIGHUP takes up a renewed certificate.
    """
    config, told = session.config, manager()
    given = handed_over(socket.SOCK_STREAM, listen)
    endpoint = config.portal_listen if listen is None else _endpoint(listen)
    app = session.open()
    app.refuse_loss()
    begin_log(config)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    try:
        server = PortalServer(app, endpoint, given)
    except PortalProblem as problem:
        raise Failed(str(problem), REFUSED) from problem

    def ready() -> None:
        click.echo(f"radiusd-mfa portal is ready at {server.url}, on {server.address}")
        told.ready(f"Serves {server.url} on {server.address}")

    server.stop_on_signals(told.stopping)
    signal.signal(signal.SIGHUP, lambda _number, _frame: server.renew_certificate())
    server.run(ready, told.pulse.beat_if_due)


def _endpoint(text: str) -> Endpoint:
    try:
        return Endpoint.parse(text)
    except ValueError as error:
        raise Failed(f"--listen {text}: {error}", WRONG_USAGE) from error

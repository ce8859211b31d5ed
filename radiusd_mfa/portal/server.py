"""The HTTP server around the pages: bound socket in, requests served until it is told to stop.

The one home of uvicorn. It believes no header about who asks, and writes no addresses of pages down: a link to set up
a second factor has its secret in them.
"""

import logging
import signal
import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import uvicorn

from radiusd_mfa.app import App
from radiusd_mfa.config import Endpoint
from radiusd_mfa.portal.app import portal
from radiusd_mfa.portal.connections import Connection
from radiusd_mfa.portal.protection import MOST_HEAD
from radiusd_mfa.portal.site import PortalProblem, Site, site

_log: Final = logging.getLogger(__name__)
AT_ONCE: Final = 512
"""Connections served at once; a refusal holds one for a second and no thread."""
_KEEP: Final = 30
_PATIENCE: Final = 5


class _Server(uvicorn.Server):
    """Leaves signals to whoever runs it: uvicorn would raise them once more at the end, and die of them."""

    turned: Callable[[], None] = staticmethod(lambda: None)
    """Called ten times a second, by the loop itself."""

    async def on_tick(self, counter: int) -> bool:
        """See uvicorn."""
        self.turned()
        return await super().on_tick(counter)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


class PortalServer:
    """Serves on sockets that are bound already, here or by who `handed` them over: `run` returns after `stop`."""

    def __init__(self, app: App, listen: Endpoint, handed: Sequence[socket.socket] = ()) -> None:
        config = app.config
        tls = config.tls_certificate is not None
        self._sockets = list(handed) or [_bound(listen)]
        self.address: Final = Endpoint(*self._sockets[0].getsockname()[:2])
        try:
            self.site: Final[Site] = site(app, self.address, tls=tls)
            self._server = _Server(_settings(self.site))
        except PortalProblem:
            self._close()
            raise
        # Its settings leave a way out by the handlers of others, and an address may have a link's secret in it.
        logging.getLogger("uvicorn.access").disabled = True

    @property
    def url(self) -> str:
        """Where people find it."""
        return self.site.place.url

    def run(self, ready: Callable[[], None] = lambda: None, turned: Callable[[], None] = lambda: None) -> None:
        """Serve; `ready` is called once, when connections are taken, `turned` while the loop turns."""
        self._server.turned = turned
        try:
            ready()  # the socket listens: whoever comes now waits in its queue
            self._server.run(self._sockets)
        finally:
            self._close()
            self.site.workers.close()

    def _close(self) -> None:
        for one in self._sockets:
            one.close()

    def stop(self) -> None:
        """Finish what was taken, and end `run`. Safe in any thread."""
        self._server.should_exit = True

    def renew_certificate(self) -> None:
        """Take what the files of the certificate hold now, for new connections; a wrong one changes nothing."""
        context, config = self._server.config.ssl, self.site.app.config
        if context is None or config.tls_certificate is None:
            return
        try:
            for each in (ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), context):  # a rehearsal: half of it would be no good
                each.load_cert_chain(config.tls_certificate, config.tls_key)
        except OSError as error:
            _log.error("the certificate stays as it was: %s: %s", config.tls_certificate, _why(error))
        else:
            _log.info("the certificate is read anew")

    def stop_on_signals(self, stopping: Callable[[], None] = lambda: None) -> None:
        """End on SIGTERM and SIGINT, and say so; for the main thread."""

        def stop(*_signal: object) -> None:
            stopping()
            self.stop()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)


def _settings(of: Site) -> uvicorn.Config:
    """Return uvicorn's settings; raises PortalProblem where the certificate or its key can't be used."""
    config = of.app.config
    made = uvicorn.Config(
        portal(of),
        http=Connection,
        h11_max_incomplete_event_size=MOST_HEAD,
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=AT_ONCE,
        timeout_keep_alive=_KEEP,
        timeout_graceful_shutdown=_PATIENCE,
        ssl_certfile=config.tls_certificate,
        ssl_keyfile=config.tls_key,
    )
    try:
        made.load()  # now, and not after it was said that the pages are ready
    except OSError as error:  # ssl.SSLError is one; it names no octet of a key
        files = f"{config.tls_certificate}, {config.tls_key}"
        raise PortalProblem(f"tls_certificate, tls_key: {files}: {_why(error)}") from error
    return made


def _why(error: OSError) -> str:
    return error.strerror or type(error).__name__


def _bound(listen: Endpoint) -> socket.socket:
    family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind((listen.host, listen.port))
        made.listen(256)
    except OSError as error:
        made.close()
        raise PortalProblem(f"Can't listen on {listen}: {error.strerror}") from error
    return made

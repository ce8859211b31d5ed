"""The address at which Prometheus asks: GET /metrics, one connection after the other, and never for long.

It shares nothing with sign-ins but memory that it only reads. What somebody does to it, by asking without end or by
saying nothing, is at the cost of others who ask for metrics: a text is made at most once a second, a connection is
closed after 2 s whatever it has said, and who says nothing holds nobody else up for longer than that.
"""

import logging
import socket
from collections.abc import Callable
from threading import Event, Thread
from time import monotonic, time
from typing import Final

from radiusd_mfa.config import Endpoint
from radiusd_mfa.metrics.exposition import CONTENT_TYPE, exposition
from radiusd_mfa.server.tally import Tallies
from radiusd_mfa.usecases.figures import Figures

_log: Final = logging.getLogger(__name__)
PATIENCE: Final = 2.0
"""Seconds for all that one connection may take."""
FRESH: Final = 1.0
"""Seconds in which the same text is told again."""
READ: Final = 10.0
"""Seconds between two readings of the database."""
_HEAD: Final = 8192
"""Octets of the longest request."""
_WAITING: Final = 8
_PLAIN: Final = "text/plain; charset=utf-8"

ReadFigures = Callable[[float], Figures]
"""Reads the database, at these Unix seconds; raises whatever keeps it from that."""


class MetricsProblem(Exception):
    """The address of the metrics can't be listened on; the sentence says why."""


def bound(endpoint: Endpoint) -> socket.socket:
    """Return a listening socket; raises MetricsProblem."""
    one = socket.socket(socket.AF_INET6 if ":" in endpoint.host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind((endpoint.host, endpoint.port))
        one.listen(_WAITING)
    except OSError as error:
        one.close()
        raise MetricsProblem(f"metrics_listen: can't listen on {endpoint}: {error.strerror}") from error
    return one


class MetricsEndpoint:
    """Answers on a socket that listens already."""

    def __init__(self, listening: socket.socket, tallies: Tallies, read: ReadFigures) -> None:
        self._socket = listening
        self._address = Endpoint(*listening.getsockname()[:2])
        self._tallies = tallies
        self._read = read
        self._figures: Figures | None = None
        self._text = b""
        self._made = -FRESH

    def start(self) -> None:
        """Answer in threads of its own, which end with the process."""
        Thread(target=self.run, name="metrics", daemon=True).start()

    def run(self) -> None:
        """Answer for ever, or until the socket is closed."""
        _log.info("metrics are at http://%s/metrics", self._address)
        Thread(target=self._read_for_ever, name="figures", daemon=True).start()
        while True:
            try:
                connection, _address = self._socket.accept()
            except OSError as error:
                if self._socket.fileno() < 0:
                    return
                _log.warning("a connection for metrics was not taken: %s", error)
                Event().wait(FRESH)  # out of descriptors: not to be asked again at once
                continue
            with connection:
                self._serve(connection)

    def _serve(self, connection: socket.socket) -> None:
        until = monotonic() + PATIENCE
        try:
            head = _received(connection, until)
            connection.settimeout(max(0.01, until - monotonic()))
            connection.sendall(self._answer(head))
        except OSError:
            return  # gone, or slower than we wait for
        except Exception:  # noqa: BLE001 - a defect of ours must not end the thread; the next one asks anew
            _log.exception("a request for metrics could not be answered")

    def _answer(self, head: bytes) -> bytes:
        method, _, rest = head.partition(b" ")
        path = rest.partition(b" ")[0].partition(b"?")[0]
        if not head.endswith(b"\r\n\r\n"):
            return _response("400 Bad Request", b"This is no request.\n")
        if method != b"GET":
            return _response("405 Method Not Allowed", b"Only GET.\n", more="Allow: GET\r\n")
        if path != b"/metrics":
            return _response("404 Not Found", b"The metrics are at /metrics\n")
        return _response("200 OK", self._fresh(), kind=CONTENT_TYPE)

    def _fresh(self) -> bytes:
        now = monotonic()
        if now - self._made >= FRESH:
            self._text = exposition(self._tallies, self._figures)
            self._made = now
        return self._text

    def _read_for_ever(self) -> None:
        quiet = False
        while True:
            try:
                self._figures = self._read(time())
                quiet = False
            except Exception as fault:  # noqa: BLE001 - whatever it is, what was read last stays, and says how old it is
                if not quiet:
                    _log.warning("the metrics miss what only the database knows: %s", fault)
                quiet = True
            Event().wait(READ)


def _received(connection: socket.socket, until: float) -> bytes:
    head = b""
    while b"\r\n\r\n" not in head and len(head) < _HEAD:
        connection.settimeout(max(0.01, until - monotonic()))
        more = connection.recv(_HEAD)
        if not more or monotonic() > until:
            break
        head += more
    return head[: head.find(b"\r\n\r\n") + 4] if b"\r\n\r\n" in head else head


def _response(status: str, body: bytes, *, kind: str = _PLAIN, more: str = "") -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{more}"
        "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body

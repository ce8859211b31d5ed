"""The metrics beside a server: in a thread of its only process, or in a process of their own beside several workers."""

import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from radiusd_mfa.cli.session import REFUSED, Failed, Session
from radiusd_mfa.config import ConfigProblem, Endpoint
from radiusd_mfa.installation import FiguresReader, open_figures
from radiusd_mfa.logs import Lines, change_log
from radiusd_mfa.server.tally import Tallies
from radiusd_mfa.usecases.figures import Figures


@dataclass(slots=True)
class _FiguresOfNow:
    """Reads the database that the settings name; after a reload that may be another one."""

    session: Session
    _reader: FiguresReader | None = None
    _url: str = field(default="", repr=False)

    def __call__(self, now: float) -> Figures:
        config = self.session.config
        if self._reader is None or self._url != config.database_url:
            if self._reader is not None:
                self._reader.close()
            self._reader, self._url = open_figures(config), config.database_url
        return self._reader.read(now)


class Metrics:
    """What answers Prometheus; the address is taken at once. Raises Failed where that can't be done."""

    def __init__(self, session: Session, listen: Endpoint, tallies: Tallies, lines: Lines) -> None:
        # Whoever wants no metrics pays nothing for them.
        from radiusd_mfa.metrics.endpoint import MetricsEndpoint, MetricsProblem, bound  # noqa: PLC0415 - as it says

        try:
            listening = bound(listen)
        except MetricsProblem as problem:
            raise Failed(str(problem), REFUSED) from problem
        self._session: Final = session
        self._lines: Final = lines
        self._endpoint: Final = MetricsEndpoint(listening, tallies, _FiguresOfNow(session))

    def start(self) -> None:
        """Answer in a thread of this process."""
        self._endpoint.start()

    def run(self, ready: Callable[[], None]) -> None:
        """Answer until SIGTERM, in a process of its own."""
        signal.signal(signal.SIGHUP, lambda _number, _frame: self._reload())
        ready()
        self._endpoint.run()

    def _reload(self) -> None:
        try:
            self._session.reload()
        except ConfigProblem:
            return  # the parent has said what is wrong, and those of before stay
        change_log(self._lines, self._session.config)


def metrics_of(session: Session, tallies: Tallies, lines: Lines) -> Metrics | None:
    """Take the address that is configured; None: no metrics are wanted. Raises Failed."""
    listen = session.config.metrics_listen
    return None if listen is None else Metrics(session, listen, tallies, lines)

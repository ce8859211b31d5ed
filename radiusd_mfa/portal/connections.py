"""A browser's connection, and how long it may take: nobody holds one by saying nothing, or by saying it slowly.

Owns the deadlines; the rest is uvicorn's, which has one for silence after a reply only. Knows no page.
"""

import asyncio
from typing import Final

from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_WITHIN: Final = 10.0
"""Seconds from the connection to the end of the first request's headers."""
ALL_WITHIN: Final = 60.0
"""Seconds from there until the reply was taken; a form must come in a few of them, and hashes may be waited for."""


class Connection(H11Protocol):
    """A connection that is closed where what is due next does not come in time."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._allow(HEAD_WITHIN)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._allow(None)
        super().connection_lost(exc)

    def handle_events(self) -> None:
        """Give a request its own time, once its headers are there."""
        before = self.cycle
        super().handle_events()
        if self.cycle is not before:
            self._allow(ALL_WITHIN)

    def on_response_complete(self) -> None:
        """Begin to wait for the next request; what is left of the body of this one counts as silence."""
        self._allow(self.timeout_keep_alive)
        super().on_response_complete()

    def _allow(self, seconds: float | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = None if seconds is None else self.loop.call_later(seconds, self._give_up)

    def _give_up(self) -> None:
        # Not closed in good order: that would wait for a reply to be taken, and by TLS for a farewell.
        self.transport.abort()

"""What only the database knows of how the server does: how far the audit log is sealed, what waits to be delivered."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Figures:
    """As they were at `at`; times are Unix seconds."""

    at: float
    last_seal: float | None
    """When the newest seal over the audit log was made; None: there is none."""
    unsealed: int
    """Rows of the audit log behind it."""
    waiting: int
    """Mails and messages that are still to be delivered."""
    oldest_waiting: float | None
    """When the oldest of them was written."""
    given_up: int
    """Mails and messages that were given up and are still kept."""


class FiguresStore(Protocol):
    """Reads them."""

    def read(self, now: float) -> Figures:
        """Return them as they are; raises `StoreFault`."""
        ...

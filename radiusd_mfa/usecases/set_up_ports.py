"""What a set-up in dialogue needs from the store: the challenges of its later packets.

Knows no SQL. Its place among the books of a transaction is in `books`.
"""

from dataclasses import dataclass
from typing import Literal, Protocol


@dataclass(frozen=True, slots=True)
class NewChallenge:
    """A challenge of a set-up that goes out; what it rests on, and what it carries, as in the table."""

    state: bytes
    """Digest of its State."""
    user_id: int
    nas_id: int
    kind: Literal["enrol", "record"]
    granted_to: str
    expires_at: float
    step: int | None = None
    codes: int | None = None


class Challenges(Protocol):
    """Challenges of set-ups."""

    def issue(self, challenge: NewChallenge) -> bool:
        """Make a challenge; False if its NAS entry is gone, or the challenge is there already."""
        ...

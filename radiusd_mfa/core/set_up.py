"""The set-up of a first authenticator by Access-Challenges (R6): what its packets stand for, and when each may go on.

    password  ->  the secret is shown  ->  its first code  ->  backup codes are shown  ->  "saved"  ->  Access-Accept

Everything that is shown follows from the State and the key (usecases.set_up), so that a retransmission, another node
and a restart show the same (I6), and nothing of it is kept before it counts. Knows no key, no store and no text.
"""

from dataclasses import dataclass, field
from typing import Final

from radiusd_mfa.core.totp import Algorithm

SAVED: Final = "saved"
"""What a person types who has written the backup codes down (E3)."""
CODES_AT_ONCE: Final = 10
"""Backup codes that one Reply-Message has room for (RFC 2865 5.18: 253 octets)."""
FIRST_CODE: Final = 1
"""The stage at which the secret is shown and its first code is due."""
FIRST_PIECE: Final = 2
"""The stage at which the first backup codes are shown; each later one shows the next."""
DIGITS: Final = 6
PERIOD: Final = 30
ALGORITHM: Final = Algorithm.SHA1


@dataclass(frozen=True, slots=True)
class Dialogue:
    """Where in a set-up a request stands; on a NAS that can lead through one, any request may begin one."""

    root: str = field(repr=False)
    """From which everything that is shown follows: the State less its stage."""
    stage: int
    """What the request answers: 0, nothing yet; else the stage of its State."""
    following: bytes
    """Digest of the State of the challenge that may come next."""
    seed: bytes = field(default=b"", repr=False)
    """The secret that was shown, where its first code is due."""


@dataclass(frozen=True, slots=True)
class Recording:
    """Backup codes on their way to paper: how many there are, and the time step of the first code that was given."""

    step: int
    codes: int

    @property
    def last_stage(self) -> int:
        """The stage that shows the last of them."""
        return FIRST_PIECE + (self.codes - 1) // CODES_AT_ONCE

    def shown_at(self, stage: int) -> tuple[int, int]:
        """Return the first and the last number, counted from 1, of the codes that are shown at a stage."""
        first = (stage - FIRST_PIECE) * CODES_AT_ONCE + 1
        return first, min(first + CODES_AT_ONCE - 1, self.codes)


@dataclass(frozen=True, slots=True)
class Progress:
    """What the store knows of a set-up, read for whoever has no authenticator where one may be set up."""

    has_method: bool = False
    """Whether the user has a confirmed method of any kind: then no password alone adds another."""
    open: Recording | None = None
    """What the challenge carries that is answered."""
    following_is_open: bool = False
    """Whether the next challenge was sent and not answered yet."""
    following: Recording | None = None
    """What that one carries."""


@dataclass(frozen=True, slots=True)
class Unhashed:
    """Backup codes that are written down, and whose hashes are all that is missing."""

    root: str = field(repr=False)
    recording: Recording


@dataclass(frozen=True, slots=True)
class Finish:
    """What becomes true with the Accept: the method counts from this step on, and the codes with these hashes."""

    recording: Recording
    hashes: tuple[str, ...] = field(repr=False)

"""What the use cases of keys need from the store and from the key file. Knows no SQL, no file and no key."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Resealed:
    """What one short transaction did."""

    done: int
    unopened: Sequence[str]
    """Why values could not be opened; these stay as they are."""


class Sealed(Protocol):
    """The sealed values of the database."""

    def by_key(self) -> Mapping[str, int]:
        """Count them by the id of the key that sealed them."""
        ...

    def keep_root(self) -> None:
        """Keep the root of digests in the database, so that it follows from no key any more."""
        ...

    def reseal(self) -> Iterator[Resealed]:
        """Seal everything by the active key that another one has sealed, some values at a time."""
        ...


class Keys(Protocol):
    """The key ring in use."""

    @property
    def active_id(self) -> str:
        """The key that seals."""
        ...

    @property
    def ids(self) -> Sequence[str]:
        """All keys."""
        ...

    @property
    def waiting(self) -> Sequence[str]:
        """Those that were made and don't seal yet."""
        ...

    def refresh(self) -> None:
        """Take up what is new in the key file."""
        ...


class KeyFile(Protocol):
    """The key file of this machine; raises what `keys` raises."""

    def append(self, *, waits: bool) -> None:
        """Add a new key; it seals from now on, unless it waits."""
        ...

    def activate(self) -> None:
        """Let keys that wait seal."""
        ...

    def remove(self, key_id: str) -> None:
        """Remove a key."""
        ...

    def put_back(self) -> None:
        """Undo the last removal."""
        ...

"""What passes between the readers of foreign files and the import: what a file says of somebody, unjudged.

A reader turns octets into these values and judges nothing but the form of its file; what a user name, a hash or a seed
may be is for `importing` to say.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from radiusd_mfa.usecases.admin_ports import ImportedUser, NewMethod

FIELDS: Final = (
    "username",
    "password",
    "password_hash",
    "email",
    "phone",
    "team",
    "role",
    "totp_secret",
    "totp_digits",
    "totp_period",
    "totp_algorithm",
)
"""What can be said of a user; all are texts but for `NUMBERS`."""
NUMBERS: Final = ("totp_digits", "totp_period")


class FileProblem(ValueError):
    """What is wrong with a place in a file, or with all of it; never holds a password, a hash or a seed."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What one place in a file says of a user, by the names in `FIELDS`; several may speak of the same user."""

    place: str
    """Where it stands, for a complaint: `line 7312`, `token TOTP00012345`, `alice/.google_authenticator`."""
    fields: Mapping[str, object] = field(repr=False)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Something of a file that can't come along, and is no mistake: counted by its reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class Misread:
    """A place that is not what it should be."""

    place: str
    sentence: str


Found = Entry | LeftOut | Misread


@dataclass(frozen=True, slots=True)
class Reading:
    """What a reader made of a file; `found` is read only once."""

    found: Iterable[Found] = field(repr=False)
    joins: bool = False
    """Whether several entries of one user belong together; False: the second one is a mistake."""
    label: str = "imported"
    """Of the authenticators that come from there."""


class Imports(Protocol):
    """Users and authenticators by the thousand."""

    def ids(self) -> Mapping[str, int]:
        """Return all user names with their ids."""
        ...

    def lock_ids(self) -> Mapping[str, int]:
        """Return all user names with their ids, and let nobody add one before this transaction ends."""
        ...

    def add(self, users: Sequence[ImportedUser], at: float) -> None:
        """Make many users at once, whose names are known to be free; their methods count from now on."""
        ...

    def missing(self, methods: Sequence[tuple[int, NewMethod]]) -> Sequence[tuple[int, NewMethod]]:
        """Return those that the user with the id does not have yet, by their seeds."""
        ...

    def add_methods(self, methods: Sequence[tuple[int, NewMethod]], at: float) -> None:
        """Give users methods that they don't have; they count from now on."""
        ...

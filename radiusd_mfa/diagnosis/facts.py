"""What was found out about an installation; None and empty where it could not be, or there is nothing.

Times are Unix seconds. Knows not how anything was found out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from radiusd_mfa.diagnosis.findings import Area
from radiusd_mfa.usecases.sighting_ports import Sighting, Stranger


@dataclass(frozen=True, slots=True)
class Trouble:
    """What could not even be looked at, as the program says it: its sentence has the remedy in it."""

    area: Area
    where: str
    what: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class File:
    """A file or directory that holds secrets; `kept_from` are the bits that its mode must not have."""

    path: str
    mode: int
    kept_from: int
    owner: str
    wanted_owner: str
    """Who owns the state directory: the server runs as that user."""


@dataclass(frozen=True, slots=True)
class Disk:
    """Where an SQLite database lies."""

    path: str
    free: int
    """Octets."""
    inside: int = 0
    """Octets that removed rows have left in the file of the database."""


@dataclass(frozen=True, slots=True)
class Buffer:
    """The largest receive buffer that the system gives, and what the server asks for, in octets."""

    most: int
    wanted: int


@dataclass(frozen=True, slots=True)
class Clock:
    """This machine's clock beside others that it can be held against."""

    now: float
    database: float | None = None
    """The clock of the database's machine, at the same moment; None for SQLite."""
    newest: float | None = None
    """The latest time in the newest rows of the audit log."""


@dataclass(frozen=True, slots=True)
class Seals:
    """How far the audit log is sealed; `oldest_unsealed` is the time of the first row behind the last seal."""

    oldest_unsealed: float | None
    unsealed: int


class Answer(StrEnum):
    """What came of asking a server whether it lives."""

    ALIVE = "alive"
    NOBODY = "nobody"
    """Nothing listens there."""
    SILENT = "silent"
    NOT_GENUINE = "not-genuine"
    NOT_ASKED = "not-asked"
    """No NAS entry covers an address of this machine from which it could be asked."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A configured address and what came of asking there."""

    address: str
    answer: Answer


@dataclass(frozen=True, slots=True)
class Nas:
    """A NAS entry, what it was seen to do, and what the audit log has of its sign-ins."""

    id: int
    name: str
    address: str
    secret_octets: int | None = None
    """None: it can't be opened."""
    requires_signature: bool = True
    allows_proxy_state: bool = False
    challenge: bool = False
    retry_grace: float = 0.0
    week: Sighting = field(default_factory=Sighting)
    lately: Sighting = field(default_factory=Sighting)
    """Today and yesterday."""
    codes_missing: int = 0
    """Sign-ins with the right password alone, where a code was due."""
    repeats: Sequence[float] = ()
    """Seconds after which a text came again whose code had just been accepted, and was refused."""


@dataclass(frozen=True, slots=True)
class Policy:
    """A team's policy that can't be understood."""

    team: str
    complaints: Sequence[str]


@dataclass(frozen=True, slots=True)
class Profile:
    """A reply profile that can't be sent; role and surface are None for all."""

    team: str
    role: str | None
    surface: str | None
    complaint: str


@dataclass(frozen=True, slots=True)
class Outbox:
    """Mails and messages that don't go out."""

    waiting: int = 0
    """Those that are due for a while."""
    oldest: float | None = None
    """When the first of them was due."""
    given_up: int = 0
    """In the last day."""
    last_error: str | None = None
    gone: int = 0
    """Also given up in the last day, and what they say is not kept any more."""


@dataclass(frozen=True, slots=True)
class Facts:
    """All that was found out."""

    now: float
    troubles: Sequence[Trouble] = ()
    looked_at: frozenset[Area] = frozenset(Area)
    files: Sequence[File] = ()
    disk: Disk | None = None
    buffer: Buffer | None = None
    clock: Clock | None = None
    seals: Seals | None = None
    loss: str | None = None
    """What the database lacks that this machine has seen in it, as a sentence."""
    servers: Sequence[Asked] = ()
    nases: Sequence[Nas] = ()
    strangers: Sequence[tuple[str, Stranger]] = ()
    policies: Sequence[Policy] = ()
    profiles: Sequence[Profile] = ()
    unenrolled: int = 0
    """Users of whom a second factor is required, and who have none."""
    hashes: Mapping[str, int] = field(default_factory=dict)
    """Users by the kind of their password hash."""
    outbox: Outbox = field(default_factory=Outbox)
    sends_mail: bool = False
    sends_sms: bool = False
    portal_url: str | None = None

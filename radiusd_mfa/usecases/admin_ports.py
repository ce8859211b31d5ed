"""What passes between administration and its store: rows and wishes, as frozen values.

Knows no SQL. The protocols that take and give them are in `books`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from radiusd_mfa.core.backup_codes import BackupCode
from radiusd_mfa.core.totp import Algorithm


@dataclass(frozen=True, slots=True)
class User:
    """A user's row."""

    id: int
    name: str
    email: str | None
    phone: str | None
    password_hash: str | None = field(repr=False)
    disabled: bool
    backup_generation: int
    created_at: float


@dataclass(frozen=True, slots=True)
class NewUser:
    """A user to be made; the password is hashed already."""

    name: str
    password_hash: str | None = field(repr=False)
    email: str | None = None
    phone: str | None = None


@dataclass(frozen=True, slots=True)
class NewMethod:
    """An authenticator to be made, with its seed in clear: the store seals it."""

    seed: bytes = field(repr=False)
    label: str
    digits: int = 6
    period: int = 30
    algorithm: Algorithm = Algorithm.SHA1
    replaces: int | None = None
    """The method that goes when this one is confirmed; 0: every other one of the user."""


@dataclass(frozen=True, slots=True)
class ImportedUser:
    """A user taken over from elsewhere, with membership and authenticators if there are any."""

    user: NewUser
    team_id: int | None = None
    role: str = "member"
    methods: tuple[NewMethod, ...] = ()


@dataclass(frozen=True, slots=True)
class StoredMethod:
    """A user's authenticator, its seed opened; times are Unix seconds."""

    id: int
    user_id: int
    kind: str
    label: str
    seed: bytes = field(repr=False)
    digits: int
    period: int
    algorithm: Algorithm
    watermark: int
    created_at: float
    confirmed_at: float | None
    last_used_at: float | None
    is_default: bool
    wrong_codes: int
    """Wrong codes at the confirmation so far; 0 once it is confirmed."""
    replaces: int | None = None
    """As in `NewMethod`."""


@dataclass(frozen=True, slots=True)
class NewBackupCode:
    """A backup code to be kept: by its hash, and sealed beside it where the user may see it again (K5)."""

    code: BackupCode
    hash: str = field(repr=False)
    revealable: bool = False


@dataclass(frozen=True, slots=True)
class MethodSummary:
    """What may be shown of a method (E4)."""

    id: int
    kind: str
    label: str
    added: float
    confirmed: bool
    last_used: float | None
    is_default: bool


@dataclass(frozen=True, slots=True)
class StoredPeriod:
    """A verification that a policy may still let count; `team_id` 0: the sign-in was into no team."""

    user_id: int
    user: str
    nas: str | None
    """None: the entry is gone, or it was a page or a command of this machine."""
    surface: str
    device: str
    team_id: int
    at: float


@dataclass(frozen=True, slots=True)
class Team:
    """A team's row."""

    id: int
    name: str
    plan: str
    created_at: float
    policy: str | None = None
    """The TOML of its policy; None: it has none, which is T0."""
    policy_version: int = 0
    """Counts the changes of the policy, its removal included; 0: there never was one."""


@dataclass(frozen=True, slots=True)
class PolicyVersion:
    """A policy as a team had it from some time on; `text` is None where it was removed."""

    version: int
    text: str | None
    at: float
    actor: str


@dataclass(frozen=True, slots=True)
class Realm:
    """What may stand behind the `@` of a user name, and the team that is meant by it; None: it is only cut off."""

    name: str
    team: str | None


@dataclass(frozen=True, slots=True)
class StoredProfile:
    """Reply attributes of a team; None: for every role, on every surface."""

    team: str
    role: str | None
    surface: str | None
    attributes: str


@dataclass(frozen=True, slots=True)
class Member:
    """One user's place in one team."""

    team: str
    user: str
    role: str
    permissions: tuple[str, ...] = ()
    """Beyond those of the role, in alphabetical order."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A member, and whether this one could give a second factor."""

    user_id: int
    user: str
    role: str
    disabled: bool
    kinds: frozenset[str]
    """Of the confirmed methods: `totp`, `sms`."""
    enrolled_before: bool
    """Whether there ever was a confirmed method (K4)."""


@dataclass(frozen=True, slots=True)
class NasSettings:
    """All of a NAS entry that can be set, but for its name and its secret."""

    address: str
    """The range in its one spelling, with the prefix length: `192.0.2.0/24`, `2001:db8::1/128`."""
    surface: str
    team_id: int | None = None
    challenge: bool = False
    otp_only: bool = False
    separators: str = ""
    code_first: bool = False
    message_authenticator: str = "require"
    reply_message_authenticator: str = "always"
    allow_proxy_state: bool = False
    omit: tuple[str, ...] = ()
    retry_grace: float = 0.0
    set_up: str = "link"
    """How whoever must enrol is told: `link` or `dialogue`."""
    disconnect_port: int = 3799
    """Where the NAS takes Disconnect-Requests (RFC 5176 2.1); 0: nowhere."""


@dataclass(frozen=True, slots=True)
class NasRow:
    """A NAS entry; the secret stays in the store."""

    id: int
    name: str
    settings: NasSettings
    team: str | None
    created_at: float


@dataclass(frozen=True, slots=True)
class NewAuditEntry:
    """A change for the audit log; `detail` never holds a secret."""

    at: float
    verb: str
    outcome: str
    """`done` or `refused`."""
    actor: str
    user: str | None = None
    nas: str | None = None
    detail: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """A row of the audit log; `kind` is `sign-in` or `change`."""

    id: int
    at: float
    kind: str
    user: str | None
    nas: str | None
    surface: str | None
    device: str | None
    outcome: str
    reason: str
    actor: str | None
    detail: str | None
    facts: str | None = None
    """Of a sign-in: what its verdict was made of (core.circumstances); only where one row or a replay is asked for."""


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which rows of the audit log are wanted; None: any."""

    users: tuple[str, ...] = ()
    """One of these names; none: any user, or nobody."""
    nas: str | None = None
    outcome: str | None = None
    kind: str | None = None
    since: float | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True)
class NewLink:
    """A link to be made: the digest of its secret, and what whoever has the link may do for whom."""

    hash: bytes = field(repr=False)
    purpose: str
    user_id: int
    created_at: float
    expires_at: float
    made_by: str
    """As the audit log names who acts."""


@dataclass(frozen=True, slots=True)
class Link:
    """A link that was made; times are Unix seconds."""

    purpose: str
    user_id: int
    user: str
    created_at: float
    expires_at: float
    used_at: float | None
    made_by: str

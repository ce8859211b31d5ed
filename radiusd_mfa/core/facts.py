"""What is known when a sign-in is judged: the attempt as it came in, and the facts that the store had at that moment.

Owns the frozen values between the store and the judge. Knows no SQL, socket or clock.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import blake2s

from radiusd_mfa.core.names import Username
from radiusd_mfa.core.set_up import Dialogue, Progress
from radiusd_mfa.core.throttle import PENDING, Charge, written
from radiusd_mfa.core.totp import Algorithm
from radiusd_mfa.core.typed import Answer, Typed
from radiusd_mfa.core.values import quick
from radiusd_mfa.core.verdict import Outcome, Reason
from radiusd_mfa.core.verification import Verification


@dataclass(frozen=True, slots=True)
class Nas:
    """A NAS entry, as far as it matters for the decision; how its packets are protected is the codec's business."""

    id: int
    name: str
    surface: str
    team_id: int | None = None
    challenge: bool = False
    """Whether the NAS can show an Access-Challenge."""
    otp_only: bool = False
    """Whether the NAS has checked the password itself and sends nothing but the code."""
    retry_grace: float = 0.0
    """Seconds in which the same user, text and station have the same verdict again."""
    set_up: bool = False
    """Whether whoever must enrol is led through it by Access-Challenges; otherwise the Reject names the page."""


@quick
@dataclass(frozen=True, slots=True)
class Attempt:
    """One sign-in request: who asks, from where, and what was typed, in all its possible readings."""

    request: bytes
    """16 octets: digest of the client's address, port and packet; a retransmission has the same."""
    at: float
    """Unix time in seconds at which the request came in."""
    nas: Nas
    shown_name: str
    """The user name as it was sent, escaped, for the audit log."""
    user: Username | None
    """None: the name that was sent can be nobody's."""
    typed: Typed | Answer = field(repr=False)
    """`Answer` where nothing but a code is expected: after a challenge, or from an OTP-only NAS."""
    text: bytes = field(repr=False)
    """8 octets: keyed digest of what was typed, and at which prompt."""
    device: str = ""
    """Calling-Station-Id without its port; empty where the NAS sends none."""
    state: bytes | None = None
    """Digest of the State attribute, where there was one."""
    realm: str = ""
    """The realm of `alice@realm` or `REALM\\alice`, in lower case; empty where the name has none."""
    local: Username | None = None
    """The name without its realm: who it is, where the database knows the realm and no user has the whole name."""
    dialogue: Dialogue | None = field(default=None, repr=False)
    """Where in a set-up the request stands; None: it is in none, and the NAS can't begin one."""

    charge: Charge = field(init=False, repr=False)
    """What the throttle is charged for this attempt, before anything is checked."""

    def __post_init__(self) -> None:
        """Work the charge out once: it is needed at every stage."""
        device = blake2s(self.device.encode(errors="surrogatepass"), digest_size=4).hexdigest()
        place = (self.nas.id, device, self.text.hex(), self.request.hex())
        charge = Charge(self.at, PENDING, *place, written(self.at, PENDING, *place))
        object.__setattr__(self, "charge", charge)


class MethodKind(StrEnum):
    """What gives a user the codes."""

    TOTP = "totp"
    SMS = "sms"


@quick
@dataclass(frozen=True, slots=True)
class Person:
    """A user's row."""

    id: int
    name: str
    password_hash: str | None = field(repr=False)
    disabled: bool = False
    enrolled_before: bool = False
    """Whether the user has ever had a confirmed method: no grace for the unenrolled is meant for such a user (K4)."""


@dataclass(frozen=True, slots=True)
class ReplyProfile:
    """Attributes that an Access-Accept of a team carries; None: for every role, on every surface."""

    role: str | None
    surface: str | None
    attributes: str
    """As an administrator wrote them, a line each: `Filter-Id = "staff"`."""


@dataclass(frozen=True, slots=True)
class TeamRules:
    """A team as it stood when the facts were read; the memberships of one batch share it."""

    id: int
    name: str
    plan: str
    policy: str | None = None
    """The TOML of its policy (core.policy); None: it has none."""
    version: int = 0
    profiles: tuple[ReplyProfile, ...] = ()


@dataclass(frozen=True, slots=True)
class Membership:
    """The user's place in a team."""

    team: TeamRules
    role: str


@quick
@dataclass(frozen=True, slots=True)
class Method:
    """A confirmed authenticator of the user, its seed opened."""

    id: int
    seed: bytes = field(repr=False)
    digits: int
    period: int
    algorithm: Algorithm
    watermark: int
    """The highest time step that was ever spent."""
    kind: MethodKind = MethodKind.TOTP


@dataclass(frozen=True, slots=True)
class StoredBackupCode:
    """A backup code of the user's valid generation whose selector was typed."""

    id: int
    selector: str
    hash: str = field(repr=False)
    used: bool = False


@dataclass(frozen=True, slots=True)
class SmsCode:
    """The code that was sent to a user last and is not used; of it, what was typed that is right."""

    method_id: int
    digest: bytes = field(repr=False)
    expires: float
    typed: frozenset[str] = field(default=frozenset(), repr=False)
    """The typed digits that are this code: one text has several readings."""


@dataclass(frozen=True, slots=True)
class Phones:
    """What the confirmed phones of a user are good for at a sign-in."""

    to: int
    """The method to whose phone a code goes."""
    ending: str
    """The last digits of its number."""
    preferred: bool
    """Whether the code goes there without being asked for: it is the default method."""
    history: str = ""
    """When codes were sent (core.sms_codes)."""
    code: SmsCode | None = None


@dataclass(frozen=True, slots=True)
class OpenChallenge:
    """An Access-Challenge that was sent and not answered yet; its password was right."""

    user_id: int
    nas_id: int
    expires: float


@dataclass(frozen=True, slots=True)
class Earlier:
    """This very request was settled before: by another worker, another node, or before a crash."""

    at: float
    outcome: Outcome
    reason: Reason


@quick
@dataclass(frozen=True, slots=True)
class Facts:
    """All that the store knew about one attempt, read in the transaction that charged the throttle."""

    user: Person | None = None
    methods: tuple[Method, ...] = ()
    backup_codes: tuple[StoredBackupCode, ...] = ()
    challenge: OpenChallenge | None = None
    team_id: int = 0
    """The team that is signed in to: the NAS entry's, else the realm's; 0: none."""
    memberships: tuple[Membership, ...] = ()
    """The user's place in that team, empty for a stranger to it; without such a team all of the user's memberships."""
    verification: Verification | None = None
    """The last one for this team on this device of this NAS, made with the password that is still valid."""
    latest: Verification | None = None
    """The last one for this team on this surface, on whichever device, made with the password that is still valid."""
    earlier: Earlier | None = None
    history: str = field(default="", repr=False)
    """The user's throttle history, this attempt's charge included (core.throttle)."""
    phones: Phones | None = None
    """Read only for a user who has one."""
    set_up: Progress | None = None
    """Read only where a set-up in dialogue may begin or go on: for a user without an authenticator."""
    fault: str = ""
    """Why these facts can't be judged (a seed that does not open): our own fault, so there is no answer at all."""

"""The answer to a sign-in, why it is so, and what must be true in the database for it to be given."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from radiusd_mfa.core.set_up import Finish, Recording
from radiusd_mfa.core.values import quick
from radiusd_mfa.core.verification import Verification

if TYPE_CHECKING:
    from radiusd_mfa.core.circumstances import Circumstances


class Outcome(StrEnum):
    """What the NAS is told."""

    ACCEPT = "accept"
    REJECT = "reject"
    CHALLENGE = "challenge"


class Reason(StrEnum):
    """Why. For the audit and the log; the wire never tells (a Reject looks like every other Reject)."""

    TOTP = "totp"
    BACKUP_CODE = "backup-code"
    SMS = "sms"
    REPEAT = "repeat"
    """The same text again within the NAS entry's retry grace."""
    PERIOD = "period"
    """The password alone, or the very text of the last sign-in again, while a period of the team's policy lasts."""
    NOT_REQUIRED = "not-required"
    """Nobody asks this role for a second factor on this surface, and the user has none."""
    REPORTED = "reported"
    """The policy only reports: the user has no second factor and would have been refused."""
    ENROL_LATER = "enrol-later"
    """The user has no second factor yet, and time to set one up."""
    SET_UP = "set-up"
    """Password right, second factor mandatory and missing: the NAS was asked to lead the user through the set-up."""
    RECORD_DUE = "record-due"
    """In a set-up: the first code was right, and the backup codes were shown, which must be written down first."""
    SET_UP_DONE = "set-up-done"
    """Password and first code were right and the backup codes are written down: the new second factor counts."""
    CODE_DUE = "code-due"
    """The password was right; the NAS was asked for the code."""
    SMS_SENT = "sms-sent"
    """The password was right, and a code was sent to the user's phone; where the NAS can't ask for it, a Reject."""
    SMS_NOT_NOW = "sms-not-now"
    """As before, but codes were sent just now, or many of them: no other one was; the last one may be good still."""

    UNREADABLE = "unreadable"
    """The packet or the text can't be a sign-in: two passwords, CHAP, forbidden characters, an empty password."""
    UNKNOWN_USER = "unknown-user"
    DISABLED = "disabled"
    NO_PASSWORD = "no-password"  # noqa: S105 - a reason's name, not a password
    """The user has no password here."""
    WRONG_PASSWORD = "wrong-password"  # noqa: S105 - as above
    WRONG_CODE = "wrong-code"
    CODE_REUSED = "code-reused"
    CODE_MISSING = "code-missing"
    """The password was right and nothing else was given, on a NAS that can't be challenged."""
    NOT_ENROLLED = "not-enrolled"
    NOT_RECORDED = "not-recorded"
    """In a set-up: the user did not say that the backup codes are written down; nothing of it counts."""
    NOT_A_MEMBER = "not-a-member"
    """The NAS or the realm belongs to a team, and the user is not in it."""
    KNOWN_WRONG = "known-wrong"
    """The very text that was found wrong a while ago; it was not evaluated again."""
    THROTTLED = "throttled"
    BAD_STATE = "bad-state"
    """The State is foreign, expired or used, or belongs to another NAS or user."""
    REPLAYED = "replayed"
    """The octets of a request that was settled longer ago than any client retransmits."""


class Found(StrEnum):
    """What was found beside a right password, or where nothing but a code is expected."""

    NOTHING = "nothing"
    TOTP = "totp"
    BACKUP_CODE = "backup-code"
    SMS = "sms"
    ASKED = "asked"
    """No code, but the word that asks for one by SMS."""
    SPENT = "spent"
    """A code that was right and is used up."""
    WRONG = "wrong"
    """Something of a code's shape that is none of the user's codes."""


class Mark(StrEnum):
    """What becomes of the throttle charge when the sign-in is settled."""

    REFUND = ""
    """No guess was made: the charge is taken back."""
    CLEAR = "ok"
    """The right credential: the charge is taken back, and wrong passwords before it are forgotten."""
    WRONG_CODE = "c"
    """A code was guessed, with the right password."""
    WRONG_PASSWORD = "p"  # noqa: S105 - a mark, not a password
    WRONG_PASSWORD_KNOWN_DEVICE = "k"  # noqa: S105 - as above
    """A password was guessed, from a device on which the user had signed in before."""


@dataclass(frozen=True, slots=True)
class SpendStep:
    """Claims a time step of a method: must raise the watermark, or the claim is lost."""

    method_id: int
    step: int


@dataclass(frozen=True, slots=True)
class SpendBackupCode:
    """Claims a backup code: must find it unused and of the valid generation, or the claim is lost."""

    code_id: int


@quick
@dataclass(frozen=True, slots=True)
class SpendSms:
    """Claims the code that was sent to a phone: must find it unused, not replaced and in its time, or is lost."""

    method_id: int
    digest: bytes = field(repr=False)


@quick
@dataclass(frozen=True, slots=True)
class Verdict:
    """Outcome, reason, and the claims that must hold in the settling transaction before the outcome may be told."""

    outcome: Outcome
    reason: Reason
    mark: Mark = Mark.REFUND
    spend: SpendStep | SpendBackupCode | SpendSms | None = None
    sends: int | None = None
    """Claims that a code is sent to this method's phone: none may have been sent too lately, or the claim is lost."""
    phone: str = ""
    """The last digits of the phone to which a code was sent, or is if it is asked for; empty: to none."""
    redeems: bool = False
    """Whether the State of the attempt is used up; must find it, or the claim is lost."""
    settled_before: bool = False
    """The verdict of this very request stands in the database already: nothing is written."""
    relies_on: Verification | None = None
    """The verification whose period lets the password suffice; must still stand, or the claim is lost (X5)."""
    session: int | None = None
    """Seconds after which the NAS is to end the session, for the period ends then (T3)."""
    enrol_by: float | None = None
    """Unix time until which the unenrolled user may go on with the password; the Accept says so (T8)."""
    clock_is_behind: bool = False
    """A method's watermark is ahead of the clock by more than the window: the clock went back."""
    recording: Recording | None = None
    """The backup codes that this challenge of a set-up shows."""
    finish: Finish | None = None
    """Claims the set-up of the user's first method: must find no other, or the claim is lost."""
    found: Found | None = None
    """What was weighed against the policies; None: the reason is one that no policy has a say in."""
    weighed: "Circumstances | None" = field(default=None, compare=False, repr=False)
    """In which circumstances, where that is known still: what the audit row keeps."""

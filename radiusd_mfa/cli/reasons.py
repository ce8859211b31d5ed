"""What each reason of the audit log means for the administrator who asks why; the wire never tells."""

from collections.abc import Mapping
from typing import Final

from radiusd_mfa.core.verdict import Reason

_MEANINGS: Final[Mapping[str, str]] = {
    Reason.TOTP: "The password and the authenticator's code were right; that code is used up now.",
    Reason.BACKUP_CODE: "The password and the backup code were right; that code is used up now.",
    Reason.REPEAT: "The same text was accepted a moment ago, within the NAS entry's retry grace.",
    Reason.PERIOD: "The password was right, and a period of the team's policy lasts in which it suffices.",
    Reason.NOT_REQUIRED: "The password was right; nobody asks this role for a code there, and the user has none.",
    Reason.REPORTED: "The password was right; the policy only counts that the user has no second factor.",
    Reason.ENROL_LATER: "The password was right; the user has until the policy's enrol_by to set up a second factor.",
    Reason.SET_UP: "The password was right; the user is led through setting up a second factor.",
    Reason.CODE_DUE: "The password was right; the code is asked for in a second step.",
    Reason.UNREADABLE: "What was sent can't be a sign-in: an empty password, or forbidden characters.",
    Reason.UNKNOWN_USER: "There is no such user: radiusd-mfa user list",
    Reason.DISABLED: "The user is disabled: radiusd-mfa user enable USER",
    Reason.NO_PASSWORD: "The user has no password here: radiusd-mfa user password USER",
    Reason.WRONG_PASSWORD: "The password is wrong, whatever code came with it.",
    Reason.WRONG_CODE: "The password is right and the code is wrong; compare the clocks of phone and server.",
    Reason.CODE_REUSED: "The password is right and the code is used up; wait for the next one.",
    Reason.CODE_MISSING: "The password is right and no code came; type it right after the password.",
    Reason.NOT_ENROLLED: "The password is right and there is no authenticator: radiusd-mfa mfa enrol USER",
    Reason.NOT_A_MEMBER: "The NAS entry or the realm belongs to a team that the user is not in: radiusd-mfa member add",
    Reason.KNOWN_WRONG: "The very same text was found wrong a moment ago; it was not checked again.",
    Reason.THROTTLED: "Too many failures; the account is closed for a while, and opens by itself.",
    Reason.BAD_STATE: "The challenge is expired, used, or another user's.",
    Reason.REPLAYED: "The same packet was answered long ago.",
}


def meaning(reason: str) -> str:
    """Return the sentence for a reason; nothing for one that a newer program has written."""
    return _MEANINGS.get(reason, "")

"""What each reason of the audit log means for whoever asks why, and what can be done; the wire never tells."""

from collections.abc import Mapping
from typing import Final

from radiusd_mfa.core.verdict import Reason

_MEANINGS: Final[Mapping[str, str]] = {
    Reason.TOTP: "The password and the authenticator's code were right; that code is used up now.",
    Reason.BACKUP_CODE: "The password and the backup code were right; that code is used up now.",
    Reason.SMS: "The password and the code that was sent by SMS were right; that code is used up now.",
    Reason.REPEAT: "The same text was accepted a moment ago, within the NAS entry's retry grace.",
    Reason.PERIOD: "The password was right, and a period of the team's policy lasts in which it suffices.",
    Reason.NOT_REQUIRED: "The password was right; nobody asks this role for a code there, and the user has none.",
    Reason.REPORTED: "The password was right; the policy only counts that the user has no second factor.",
    Reason.ENROL_LATER: "The password was right; the user has until the policy's enrol_by to set up a second factor.",
    Reason.SET_UP: "The password was right; the user is led through setting up a second factor.",
    Reason.RECORD_DUE: "In a set-up: the first code was right; the backup codes are shown and must be written down.",
    Reason.SET_UP_DONE: "Password and first code were right, the backup codes are recorded: the new method counts now.",
    Reason.CODE_DUE: "The password was right; the code is asked for in a second step.",
    Reason.SMS_SENT: "The password was right; a code was sent to the user's phone.",
    Reason.SMS_NOT_NOW: "The password was right; no other code by SMS could be sent yet, and the last one may be good.",
    Reason.UNREADABLE: "What was sent can't be a sign-in: an empty password, or forbidden characters.",
    Reason.UNKNOWN_USER: "There is no such user.",
    Reason.DISABLED: "The user is disabled.",
    Reason.NO_PASSWORD: "The user has no password here.",
    Reason.WRONG_PASSWORD: "The password is wrong, whatever code came with it.",
    Reason.WRONG_CODE: "The password is right and the code is wrong.",
    Reason.CODE_REUSED: "The password is right and the code is used up.",
    Reason.CODE_MISSING: "The password is right and no code came, where one is due.",
    Reason.NOT_ENROLLED: "The password is right, a second factor is due, and the user has none that counts.",
    Reason.NOT_RECORDED: "In a set-up: the user did not type “saved”, so nothing of it counts.",
    Reason.NOT_A_MEMBER: "The NAS entry or the realm belongs to a team that the user is not in.",
    Reason.KNOWN_WRONG: "The very same text was found wrong a moment ago; it was not checked again.",
    Reason.THROTTLED: "Too many failures; the account is closed for a while, and opens by itself.",
    Reason.BAD_STATE: "The challenge is expired, used, or another user's; in a set-up, or there is a method by now.",
    Reason.REPLAYED: "The same packet was answered long ago.",
}
_REMEDIES: Final[Mapping[str, str]] = {
    Reason.REPORTED: "Let the user set one up before the policy enforces it: radiusd-mfa mfa enrol {user}",
    Reason.ENROL_LATER: "Let the user set one up in time: radiusd-mfa mfa enrol {user}",
    Reason.CODE_DUE: "The user types the code at the prompt; if none appears, the NAS can't show challenges: "
    "radiusd-mfa nas set {nas} --challenge off",
    Reason.SMS_SENT: "The user types the code at the prompt, or signs in again with the code right after the password. "
    "If none comes: radiusd-mfa outbox list",
    Reason.SMS_NOT_NOW: "Codes are sent half a minute apart, and five an hour; the user takes the last one, or waits.",
    Reason.UNREADABLE: "Look at what the client sends: radiusd-mfa try {user} --nas {nas} shows the same sign-in as it "
    "should be.",
    Reason.UNKNOWN_USER: "Look for the name as it was meant, and for its realm: radiusd-mfa user list; "
    "radiusd-mfa realm list",
    Reason.DISABLED: "radiusd-mfa user enable {user}",
    Reason.NO_PASSWORD: "radiusd-mfa user password {user}",
    Reason.WRONG_PASSWORD: "The user types it again, or gets a new one: radiusd-mfa user password {user}",
    Reason.WRONG_CODE: "Compare the clocks of the phone and of this machine, and whether the app shows the entry of "
    "the last set-up: radiusd-mfa mfa show {user}",
    Reason.CODE_REUSED: "Each code is good for one sign-in: wait for the next one. A client that asks again by itself: "
    "radiusd-mfa nas set {nas} --retry-grace SECONDS, or a policy with a period.",
    Reason.CODE_MISSING: "The code is typed right after the password; a NAS that can show a second prompt: "
    "radiusd-mfa nas set {nas} --challenge on",
    Reason.NOT_ENROLLED: "radiusd-mfa mfa enrol {user}",
    Reason.NOT_RECORDED: "The user begins anew, with the password and another secret, and types “saved” at the end.",
    Reason.SET_UP: "The user types the key into the app, and then the code that it shows; where the NAS shows no text: "
    "radiusd-mfa nas set {nas} --set-up link",
    Reason.NOT_A_MEMBER: "radiusd-mfa member add TEAM {user} --role member",
    Reason.KNOWN_WRONG: "A client repeats what was wrong; let it forget the stored password.",
    Reason.THROTTLED: "It opens by itself; until then nothing that is typed is looked at.",
    Reason.BAD_STATE: "The user begins anew, with the password.",
}


def meaning(reason: str) -> str:
    """Return the sentence for a reason; nothing for one that a newer program has written."""
    return _MEANINGS.get(reason, "")


def remedy(reason: str, *, user: str = "USER", nas: str = "NAS") -> str:
    """Say what the user or an administrator can do, with these names in the commands; nothing where all is well."""
    return _REMEDIES.get(reason, "").format(user=user, nas=nas)

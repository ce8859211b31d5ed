"""What a set-up in dialogue tells the person, each in one Reply-Message: clients may show only the first.

Plain ASCII, with what is to be typed at the end, where a prompt stands.
"""

from collections.abc import Sequence
from typing import Final

from radiusd_mfa.core.set_up import SAVED, Recording
from radiusd_mfa.core.totp import seed_to_base32
from radiusd_mfa.radius.wire import VALUE_LIMIT

_GROUP: Final = 4
_TYPE_SAVED: Final = f" Then type: {SAVED}"


def secret_shown(seed: bytes, portal_url: str | None) -> str:
    """Tell which key goes into the app; where there is room, also the page that shows a QR code instead."""
    key = seed_to_base32(seed)
    groups = " ".join(key[start : start + _GROUP] for start in range(0, len(key), _GROUP))
    text = f"Set up your authenticator app: add an account with the key {groups} (time-based)."
    then = " Then type the code that it shows."
    page = f" Or sign in at {portal_url} for a QR code." if portal_url else ""
    return text + page + then if len((text + page + then).encode()) <= VALUE_LIMIT else text + then


def codes_shown(codes: Sequence[str], recording: Recording, stage: int) -> str:
    """Tell the backup codes of one piece."""
    first, last = recording.shown_at(stage)
    shown = " ".join(codes[first - 1 : last])
    if recording.codes == 1:
        return f"Write down your recovery code: {shown}{_TYPE_SAVED}"
    return f"Write down backup codes {first} to {last} of {recording.codes}: {shown}{_TYPE_SAVED}"

"""What people read who are asked for a code, by SMS or not; each fits into one Reply-Message.

The same words on every node and each time (I6): how long another SMS must wait is not said in seconds.
"""

from typing import Final

from radiusd_mfa.core.verdict import Reason

FOR_A_CODE: Final = (Reason.CODE_DUE, Reason.SMS_SENT, Reason.SMS_NOT_NOW)
"""Why an Access-Challenge asks for a code."""
ABOUT_SMS: Final = (Reason.SMS_SENT, Reason.SMS_NOT_NOW)
"""Why a Reject has a text of its own: the password was right, so it tells nobody else anything."""
_NOT_NOW: Final = (
    "No other code can be sent by SMS right now, please wait a little. The last one is good for ten minutes, once."
)
_APPEND: Final = "Sign in again: type your password and, right after it without a space, the code."


def prompt(reason: Reason, phone: str) -> str:
    """Return what an Access-Challenge says; `phone` is the end of the number that gets codes, empty for none."""
    match reason:
        case Reason.SMS_SENT:
            return f"{_sent(phone)} Enter it, or a code from an authenticator, or a backup code."
        case Reason.SMS_NOT_NOW:
            return f"{_NOT_NOW} Enter it, or a code from an authenticator, or a backup code."
        case _:
            by_sms = " Type sms to get one by SMS." if phone else ""
            return f"Enter the code from your authenticator, or a backup code.{by_sms}"


def to_append(reason: Reason, phone: str) -> str:
    """Return what a Reject says to whoever gave the right password, where the NAS can't ask for the code."""
    return f"{_sent(phone) if reason is Reason.SMS_SENT else _NOT_NOW} {_APPEND}"


def _sent(phone: str) -> str:
    ending = f" ending in {phone}" if phone else ""
    return f"A code was sent to your phone{ending}."

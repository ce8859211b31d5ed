"""Codes by SMS within a transaction: sent, known again, used up.

A code is drawn, its keyed digest kept, and its message written into the outbox, together. A newer code makes the one
before it worthless; how often one may be sent is core.sms_codes' to say, whatever it is asked for.

Why a keyed digest and not argon2id, as for backup codes: there are a million codes of six digits, and whoever has
stolen the database tries them all in hours at the price of argon2id on one processor, in minutes on many. The key is
not in the database, so without it there is nothing to try; and to check costs a sign-in microseconds.
"""

import hmac
import math
from dataclasses import dataclass, field

from radiusd_mfa.core import sms_codes
from radiusd_mfa.usecases.admin_ports import User
from radiusd_mfa.usecases.books import Books
from radiusd_mfa.usecases.changes import Refusal
from radiusd_mfa.usecases.outbox_ports import SMS_CODE, Channel, NewDelivery
from radiusd_mfa.usecases.ports import Digests, Entropy
from radiusd_mfa.usecases.sms_ports import Phone, SentCode


@dataclass(frozen=True, slots=True)
class Post:
    """What it takes to send codes and to know them again."""

    digests: Digests = field(repr=False)
    entropy: Entropy = field(repr=False)


@dataclass(frozen=True, slots=True)
class Sent:
    """A code is on its way to a phone."""

    method: int
    number: str
    """Only the end of it, which tells the owner which phone is meant, and nobody else a number."""
    expires_at: float


def send(user: User, phone: Phone, books: Books, *, post: Post, at: float) -> Sent | Refusal:
    """Send a code to a phone, in this transaction; refused where one was sent just now, or too many this hour."""
    history = books.sms.history(user.id)
    seconds = sms_codes.wait(history, at)
    if seconds > 0:
        return too_soon(seconds)
    code = sms_codes.draw(post.entropy)
    expires = at + sms_codes.LIFETIME
    kept = SentCode(phone.id, _digest(user, phone.id, code, at, post), at, expires)
    books.sms.keep(user.id, kept, history=sms_codes.sent(history, at))
    message = NewDelivery(
        kind=SMS_CODE,
        channel=Channel.SMS,
        recipient=phone.number,
        values={"code": code, "minutes": int(sms_codes.LIFETIME // 60)},
        created_at=at,
        expires_at=expires,
        user_id=user.id,
    )
    books.outbox.add(message)
    return Sent(phone.id, shown(phone.number), expires)


def use(user: User, phone: Phone, code: str, books: Books, *, post: Post, at: float) -> bool:
    """Use up the code that was sent to this phone; False if this is not it, or not any more."""
    kept = books.sms.find(user.id)
    if kept is None or kept.method_id != phone.id or not is_right(code, kept, user, post):
        return False
    return spend(user.id, phone.id, kept.digest, books, at=at)


def spend(user_id: int, method_id: int, digest: bytes, books: Books, *, at: float) -> bool:
    """Use up the code with this digest; False if it was used, replaced, or has expired, or the phone is gone."""
    return books.sms.use(user_id, digest, at=at) and books.sms.used(method_id, at)


def spend_current(user: User, code: str, books: Books, *, post: Post, at: float) -> bool:
    """Use up a code that was sent to any of the user's confirmed phones: what proves a current code there."""
    phones = [phone for phone in books.sms.phones(user.id) if phone.confirmed]
    return any(use(user, phone, code, books, post=post, at=at) for phone in phones)


def shown(number: str) -> str:
    """Return a number as it may be shown: its last digits."""
    return f"…{sms_codes.ending(number)}"


def too_soon(seconds: float) -> Refusal:
    """Refuse to send another code now."""
    return Refusal(f"A code was sent just now, or many were; another one can be sent in {_span(seconds)}.")


def is_right(code: str, kept: SentCode, user: User, post: Post) -> bool:
    """Whether this is the code that was sent, whatever became of it since."""
    typed = code.replace(" ", "")
    if not (typed.isascii() and typed.isdigit()):
        return False
    return hmac.compare_digest(_digest(user, kept.method_id, typed, kept.sent_at, post), kept.digest)


def _digest(user: User, method_id: int, code: str, sent_at: float, post: Post) -> bytes:
    return post.digests.digest(sms_codes.PURPOSE, *sms_codes.bound(user.id, method_id, sent_at, code))


def _span(seconds: float) -> str:
    return f"{math.ceil(seconds)} seconds" if seconds <= 90 else f"{math.ceil(seconds / 60)} minutes"  # noqa: PLR2004

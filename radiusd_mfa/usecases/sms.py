"""Codes by SMS: a phone that is set up by a delivered code, and codes that are sent to it (E6).

A code is drawn, its keyed digest kept, and its message written into the outbox, in one transaction. A newer code makes
the one before it worthless; how often one may be sent is core.sms_codes' to say, whatever it is asked for.

Why a keyed digest and not argon2id, as for backup codes: there are a million codes of six digits, and whoever has
stolen the database tries them all in hours at the price of argon2id on one processor, in minutes on many. The key is
not in the database, so without it there is nothing to try; and to check costs a sign-in microseconds.
"""

import hmac
import math
from dataclasses import dataclass, field
from typing import Final

from radiusd_mfa.core import sms_codes
from radiusd_mfa.core.facts import MethodKind
from radiusd_mfa.core.names import Username, escaped
from radiusd_mfa.usecases.actors import OPERATOR, Actor
from radiusd_mfa.usecases.admin_ports import User
from radiusd_mfa.usecases.books import Administration, Books, Hashing
from radiusd_mfa.usecases.changes import Refusal
from radiusd_mfa.usecases.codes import CodeSet, draw, keep
from radiusd_mfa.usecases.obligations import obligations_of
from radiusd_mfa.usecases.outbox_ports import SMS_CODE, Channel, NewDelivery
from radiusd_mfa.usecases.people import changed
from radiusd_mfa.usecases.ports import Clock, Entropy
from radiusd_mfa.usecases.sign_in import Digests
from radiusd_mfa.usecases.sms_ports import Phone, SentCode

MOST_WRONG_CODES: Final = 5
"""Wrong codes after which an unconfirmed phone is removed, as for an authenticator."""
_LAST_DIGITS: Final = 3


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


@dataclass(frozen=True, slots=True)
class Confirmed:
    """A phone that counts from now on; the backup codes where it is the user's first method."""

    method: int
    codes: CodeSet | None


def start(
    name: Username,
    *,
    number: str | None = None,
    label: str = "",
    replaces: int | None = None,
    post: Post,
    store: Administration,
    clock: Clock,
    actor: Actor = OPERATOR,
) -> Sent | Refusal:
    """Make an unconfirmed phone and send it a code; None: the user's own number. Earlier unconfirmed methods are gone.

    `replaces` as for an authenticator (`NewMethod`).
    """

    def work(user: User, books: Books) -> Sent | Refusal:
        wanted = number or user.phone
        refusal = _unfit(user, wanted, books)
        if refusal is not None or wanted is None:
            return refusal or Refusal("There is no number.")
        for abandoned in books.methods.summaries(user.id):
            if not abandoned.confirmed:
                books.methods.remove(abandoned.id)
        now = clock()
        method_id = books.sms.add(user.id, wanted, label=label, at=now, replaces=replaces)
        phone = next(each for each in books.sms.phones(user.id) if each.id == method_id)
        sent = send(user, phone, books, post=post, at=now)
        if isinstance(sent, Refusal):
            books.methods.remove(method_id)
        return sent

    return changed("mfa-enrol", name, work, store=store, clock=clock, actor=actor, kind=MethodKind.SMS, label=label)


def send_again(
    name: Username, *, post: Post, store: Administration, clock: Clock, actor: Actor = OPERATOR
) -> Sent | Refusal:
    """Send another code to the phone that waits for its first one."""

    def work(user: User, books: Books) -> Sent | Refusal:
        phone = _waiting(user, books)
        if phone is None:
            return Refusal(f"“{escaped(user.name)}” has no phone that waits for its first code.")
        return send(user, phone, books, post=post, at=clock())

    return changed("mfa-send", name, work, store=store, clock=clock, actor=actor)


def confirm(
    name: Username,
    code: str,
    *,
    post: Post,
    store: Administration,
    hashing: Hashing,
    clock: Clock,
    actor: Actor = OPERATOR,
) -> Confirmed | Refusal:
    """Let a phone count once the code was given that was sent to it; a user's first method brings backup codes."""
    needed = _will_need_codes(name, code, post, store, clock())
    fresh = draw(hashing=hashing, entropy=post.entropy) if needed else None

    def work(user: User, books: Books) -> Confirmed | Refusal:
        phone, now = _waiting(user, books), clock()
        if phone is None:
            return Refusal(f"“{escaped(user.name)}” has no phone that waits for its first code.")
        if not use(user, phone, code, books, post=post, at=now):
            return _wrong_code(phone, books)
        # An SMS has no time steps; the first one stands for “confirmed”.
        if not books.methods.confirm(phone.id, 1, now):
            return Refusal("The phone was confirmed already.")
        return _confirmed(user, phone, books, fresh)

    return changed("mfa-confirm", name, work, store=store, clock=clock, actor=actor)


def send(user: User, phone: Phone, books: Books, *, post: Post, at: float) -> Sent | Refusal:
    """Send a code to a phone, in this transaction; refused where one was sent just now, or too many this hour."""
    history = books.sms.history(user.id)
    seconds = sms_codes.wait(history, at)
    if seconds > 0:
        return Refusal(f"A code was sent just now. Another one can be sent in {_span(seconds)}.")
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
    if kept is None or kept.method_id != phone.id or not _is(code, kept, user, post):
        return False
    if not books.sms.use(user.id, kept, at=at):
        return False
    books.sms.used(phone.id, at)
    return True


def spend_current(user: User, code: str, books: Books, *, post: Post, at: float) -> bool:
    """Use up a code that was sent to any of the user's confirmed phones: what proves a current code there."""
    phones = [phone for phone in books.sms.phones(user.id) if phone.confirmed]
    return any(use(user, phone, code, books, post=post, at=at) for phone in phones)


def preferred(user: User, books: Books) -> Phone | None:
    """Return the phone to which a sign-in's code goes: the default one, else the oldest; None where there is none."""
    phones = [phone for phone in books.sms.phones(user.id) if phone.confirmed]
    return next((phone for phone in phones if phone.is_default), phones[0] if phones else None)


def shown(number: str) -> str:
    """Return a number as it may be shown: its last digits."""
    return f"…{number[-_LAST_DIGITS:]}"


def _unfit(user: User, number: str | None, books: Books) -> Refusal | None:
    if MethodKind.SMS not in obligations_of(user.id, books).allow:
        return Refusal(
            f"A team of “{escaped(user.name)}” does not allow codes by SMS; an authenticator app can be used."
        )
    if number is None:
        return Refusal(f"“{escaped(user.name)}” has no phone number; name one.")
    if any(phone.confirmed and phone.number == number for phone in books.sms.phones(user.id)):
        return Refusal(f"“{escaped(user.name)}” gets codes at {shown(number)} already.")
    return None


def _waiting(user: User, books: Books) -> Phone | None:
    waiting = [phone for phone in books.sms.phones(user.id) if not phone.confirmed]
    return waiting[-1] if waiting else None


def _will_need_codes(name: Username, code: str, post: Post, store: Administration, now: float) -> bool:
    """Look ahead, so that a wrong guess costs no ten hashes and the transaction doesn't wait for them."""

    def look(books: Books) -> bool:
        user = books.people.find(name.text)
        if user is None or any(method.confirmed for method in books.methods.summaries(user.id)):
            return False
        kept = books.sms.find(user.id)
        return kept is not None and kept.expires_at > now and _is(code, kept, user, post)

    return store.view(look)


def _wrong_code(phone: Phone, books: Books) -> Refusal:
    left = MOST_WRONG_CODES - phone.wrong_codes - 1
    if left <= 0:
        books.methods.remove(phone.id)
        return Refusal(f"The code is wrong, for the {MOST_WRONG_CODES}th time: the set-up is cancelled; start again.")
    books.sms.count_wrong_code(phone)
    return Refusal(f"The code is wrong, or not the last one that was sent; {left} more wrong ones cancel the set-up.")


def _confirmed(user: User, phone: Phone, books: Books, fresh: CodeSet | None) -> Confirmed:
    confirmed = [each for each in books.methods.summaries(user.id) if each.confirmed]
    if len(confirmed) > 1:
        return Confirmed(phone.id, None)
    books.methods.make_default(user.id, phone.id)
    if fresh is not None:
        keep(user, fresh, books)
    return Confirmed(phone.id, fresh)


def _is(code: str, kept: SentCode, user: User, post: Post) -> bool:
    typed = code.replace(" ", "")
    if not (typed.isascii() and typed.isdigit()):
        return False
    return hmac.compare_digest(_digest(user, kept.method_id, typed, kept.sent_at, post), kept.digest)


def _digest(user: User, method_id: int, code: str, sent_at: float, post: Post) -> bytes:
    """Bind a code to user, method and moment, so that no two digests of one code are alike."""
    place = (str(user.id).encode(), str(method_id).encode(), sent_at.hex().encode())
    return post.digests.digest("sms-code", *place, code.encode())


def _span(seconds: float) -> str:
    return f"{math.ceil(seconds)} seconds" if seconds <= 90 else f"{math.ceil(seconds / 60)} minutes"  # noqa: PLR2004

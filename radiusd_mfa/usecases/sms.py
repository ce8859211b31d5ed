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
from radiusd_mfa.usecases.actors import OPERATOR, Actor, Claimant
from radiusd_mfa.usecases.admin_ports import User
from radiusd_mfa.usecases.books import Administration, Books, Hashing
from radiusd_mfa.usecases.changes import Refusal
from radiusd_mfa.usecases.codes import draw
from radiusd_mfa.usecases.enrol import Confirmed, beyond_a_claim, codes_with, finish, hold, waiting_phones
from radiusd_mfa.usecases.obligations import obligations_of
from radiusd_mfa.usecases.outbox_ports import SMS_CODE, Channel, NewDelivery
from radiusd_mfa.usecases.people import changed, only_oneself
from radiusd_mfa.usecases.plans import refuse_set_up
from radiusd_mfa.usecases.ports import Clock, Digests, Entropy
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


def start(
    name: Username,
    *,
    number: str | None = None,
    label: str = "",
    replaces: int | None = None,
    post: Post,
    store: Administration,
    clock: Clock,
    actor: Actor | Claimant = OPERATOR,
) -> Sent | Refusal:
    """Make an unconfirmed phone and send it a code; None: the user's own number. Earlier unconfirmed methods are gone.

    `replaces` as for an authenticator (`NewMethod`). Whoever has given a password only may set up the first method.
    """

    def work(user: User, books: Books) -> Sent | Refusal:
        wanted = number or user.phone
        refusal = beyond_a_claim(actor, replaces, user, books) or _unfit(user, wanted, books)
        if refusal is not None or wanted is None:
            return refusal or Refusal(f"“{escaped(user.name)}” has no phone number; name one.")
        return _begin(user, wanted, label, replaces, books, post=post, at=clock())

    said = {"kind": MethodKind.SMS, "label": label}
    permit = only_oneself(actor)
    return changed("mfa-enrol", name, work, store=store, clock=clock, actor=actor, permit=permit, **said)


def send_again(
    name: Username, *, post: Post, store: Administration, clock: Clock, actor: Actor | Claimant = OPERATOR
) -> Sent | Refusal:
    """Send another code to the phone that waits for its first one."""

    def work(user: User, books: Books) -> Sent | Refusal:
        phones = waiting_phones(user, books)
        if not phones:
            return _nothing_waits(user)
        return send(user, phones[-1], books, post=post, at=clock())

    permit = only_oneself(actor)
    return changed("mfa-send-code", name, work, store=store, clock=clock, actor=actor, permit=permit)


def confirm(
    name: Username,
    code: str,
    *,
    post: Post,
    store: Administration,
    hashing: Hashing,
    clock: Clock,
    actor: Actor | Claimant = OPERATOR,
    recorded_first: bool = False,
) -> Confirmed | Refusal:
    """Let a phone count once the code was given that was sent to it; the rest is as for an authenticator."""
    count = _codes_to_come(name, code, post, store, clock())
    fresh = draw(hashing=hashing, entropy=post.entropy, count=count) if count else None

    def work(user: User, books: Books) -> Confirmed | Refusal:
        phones, now = waiting_phones(user, books), clock()
        if not phones:
            return _nothing_waits(user)
        phone = phones[-1]
        refusal = beyond_a_claim(actor, phone.replaces, user, books)
        if refusal is not None:
            return refusal
        if not use(user, phone, code, books, post=post, at=now):
            return _wrong_code(phone, books)
        # A text message has no time step; the second in which its code was given stands for it.
        if fresh is not None and (recorded_first or len(fresh.codes) == 1):
            return hold(user, phone, int(now), fresh, books) or _wrong_code(phone, books)
        if not books.methods.confirm(phone.id, int(now), now):
            return _wrong_code(phone, books)
        return finish(user, phone, books, fresh, at=now, actor=actor)

    permit = only_oneself(actor)
    return changed("mfa-confirm", name, work, store=store, clock=clock, actor=actor, permit=permit)


def waits(name: Username, *, store: Administration) -> bool:
    """Whether what waits for its first code is a phone, and not an authenticator."""

    def look(books: Books) -> bool:
        user = books.people.find(name.text)
        return user is not None and bool(waiting_phones(user, books))

    return store.view(look)


def send(user: User, phone: Phone, books: Books, *, post: Post, at: float) -> Sent | Refusal:
    """Send a code to a phone, in this transaction; refused where one was sent just now, or too many this hour."""
    history = books.sms.history(user.id)
    seconds = sms_codes.wait(history, at)
    if seconds > 0:
        return _too_soon(seconds)
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


def _begin(
    user: User, number: str, label: str, replaces: int | None, books: Books, *, post: Post, at: float
) -> Sent | Refusal:
    """Make a phone and send it a code; where none may be sent now, nothing is changed."""
    seconds = sms_codes.wait(books.sms.history(user.id), at)
    if seconds > 0:
        return _too_soon(seconds)
    for abandoned in books.methods.summaries(user.id):
        if not abandoned.confirmed:
            books.methods.remove(abandoned.id)
    method_id = books.sms.add(user.id, number, label=label, at=at, replaces=replaces)
    phone = next(each for each in books.sms.phones(user.id) if each.id == method_id)
    return send(user, phone, books, post=post, at=at)


def _unfit(user: User, number: str | None, books: Books) -> Refusal | None:
    refusal = refuse_set_up(user, books)
    if refusal is not None:
        return refusal
    if MethodKind.SMS not in obligations_of(user.id, books).allow:
        return Refusal(f"A team of “{escaped(user.name)}” does not allow codes by SMS; set up an authenticator app.")
    if any(phone.confirmed and phone.number == number for phone in books.sms.phones(user.id)):
        return Refusal(f"“{escaped(user.name)}” gets codes at {shown(number or '')} already.")
    return None


def _nothing_waits(user: User) -> Refusal:
    return Refusal(f"“{escaped(user.name)}” has no phone that waits for its first code.")


def _too_soon(seconds: float) -> Refusal:
    return Refusal(f"A code was sent just now, or many were; another one can be sent in {_span(seconds)}.")


def _codes_to_come(name: Username, code: str, post: Post, store: Administration, now: float) -> int:
    """Look ahead how many codes it brings, so that a wrong guess costs no hashes and no transaction waits for them."""

    def look(books: Books) -> int:
        user = books.people.find(name.text)
        phones = waiting_phones(user, books) if user else ()
        kept = books.sms.find(user.id) if user else None
        if user is None or not phones or kept is None or kept.expires_at <= now or not _is(code, kept, user, post):
            return 0
        return codes_with(phones[-1], user, books)

    return store.view(look)


def _wrong_code(phone: Phone, books: Books) -> Refusal:
    left = MOST_WRONG_CODES - phone.wrong_codes - 1
    if left <= 0:
        books.methods.remove(phone.id)
        return Refusal(f"The code is wrong, for the {MOST_WRONG_CODES}th time: the set-up is cancelled; start again.")
    books.sms.count_wrong_code(phone)
    return Refusal(f"The code is wrong, or not the last one that was sent; {left} more wrong ones cancel the set-up.")


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

"""Phones as second factors: set up by a delivered code, and codes for whoever is to give one (E6)."""

from typing import Final

from radiusd_mfa.core import sms_codes
from radiusd_mfa.core.facts import MethodKind
from radiusd_mfa.core.names import Username, escaped
from radiusd_mfa.usecases.actors import OPERATOR, Actor, Claimant
from radiusd_mfa.usecases.admin_ports import User
from radiusd_mfa.usecases.books import Administration, Books, Hashing
from radiusd_mfa.usecases.changes import Refusal
from radiusd_mfa.usecases.codes import draw
from radiusd_mfa.usecases.enrol import Confirmed, abandon, beyond_a_claim, codes_with, finish, hold, waiting_phones
from radiusd_mfa.usecases.obligations import obligations_of
from radiusd_mfa.usecases.people import changed, only_oneself
from radiusd_mfa.usecases.phone_codes import Post, Sent, is_right, send, shown, too_soon, use
from radiusd_mfa.usecases.plans import refuse_set_up
from radiusd_mfa.usecases.ports import Clock
from radiusd_mfa.usecases.sms_ports import Phone

MOST_WRONG_CODES: Final = 5
"""Wrong codes after which an unconfirmed phone is removed, as for an authenticator."""
MOST_TO_A_NUMBER: Final = 5
"""Codes within an hour to a number that is being set up, whoever asks: it may be a stranger's, or cost a fortune."""
_HOUR: Final = 3600.0


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
        at = clock()
        return _too_many(phones[-1].number, books, at) or send(user, phones[-1], books, post=post, at=at)

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


def _begin(
    user: User, number: str, label: str, replaces: int | None, books: Books, *, post: Post, at: float
) -> Sent | Refusal:
    """Make a phone and send it a code; where none may be sent now, nothing is changed."""
    seconds = sms_codes.wait(books.sms.history(user.id), at)
    if seconds > 0:
        return too_soon(seconds)
    refusal = _too_many(number, books, at)
    if refusal is not None:
        return refusal
    abandon(user, books)
    method_id = books.sms.add(user.id, number, label=label, at=at, replaces=replaces)
    phone = next(each for each in books.sms.phones(user.id) if each.id == method_id)
    return send(user, phone, books, post=post, at=at)


def _too_many(number: str, books: Books, at: float) -> Refusal | None:
    if books.sms.sent_to(number, since=at - _HOUR) < MOST_TO_A_NUMBER:
        return None
    return Refusal(f"Many codes were sent to {shown(number)} within the hour; another one can be sent later.")


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


def _codes_to_come(name: Username, code: str, post: Post, store: Administration, now: float) -> int:
    """Look ahead how many codes it brings, so that a wrong guess costs no hashes and no transaction waits for them."""

    def look(books: Books) -> int:
        user = books.people.find(name.text)
        phones = waiting_phones(user, books) if user else ()
        kept = books.sms.find(user.id) if user else None
        if user is None or not phones or kept is None or kept.expires_at <= now or not is_right(code, kept, user, post):
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

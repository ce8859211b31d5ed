"""Codes by SMS at a sign-in: sent or spent in the transaction that settles the verdict (R4).

Nothing is sent where the verdict does not become true, and a retransmission, whose verdict stands already, sends
nothing again (I6). Knows no SQL and no packet.
"""

from collections.abc import Callable

from radiusd_mfa.core.facts import Attempt, Person
from radiusd_mfa.core.verdict import SpendSms, Verdict
from radiusd_mfa.usecases.books import Books
from radiusd_mfa.usecases.phone_codes import Post, Sent, send, spend


def alongside(attempt: Attempt, user: Person | None, verdict: Verdict, post: Post) -> Callable[[Books], bool] | None:
    """Return what must be done with the verdict in its transaction; None where it is about no code by SMS."""
    if user is None:
        return None
    spent, to = verdict.spend, verdict.sends
    if isinstance(spent, SpendSms):
        return lambda books: spend(user.id, spent.method_id, spent.digest, books, at=attempt.at)
    if to is not None:
        return lambda books: _send(user, to, books, post=post, at=attempt.at)
    return None


def _send(person: Person, method_id: int, books: Books, *, post: Post, at: float) -> bool:
    """Send a code; False where the phone is gone by now, another code was sent first, or the user was changed."""
    user = books.people.find(person.name)
    # A Reject grants nothing, so nobody else looks whether the password that was right still is (ATTACKS 23).
    if user is None or user.disabled or user.password_hash != person.password_hash:
        return False
    phone = next((each for each in books.sms.phones(user.id) if each.id == method_id and each.confirmed), None)
    return phone is not None and isinstance(send(user, phone, books, post=post, at=at), Sent)

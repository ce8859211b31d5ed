"""Tell people by mail what happened to their account, in the very transaction in which it happens.

Owns when a mail has come too late. Knows no template and no mail server.
"""

from radiusd_mfa.usecases.actors import Actor, Claimant, Operator
from radiusd_mfa.usecases.admin_ports import User
from radiusd_mfa.usecases.books import Books
from radiusd_mfa.usecases.outbox_ports import NEEDS, WORTH_TELLING, Channel, Mail, NewDelivery


def tell(
    books: Books, user: User, mail: Mail, *, at: float, actor: Actor | Claimant | None = None, **values: object
) -> bool:
    """Write a mail to a user into the outbox; False where the user has no mail address.

    `actor` is who did it, if that is known. Links end at `expires` (Unix seconds), and so does the mail.
    """
    if values.keys() != NEEDS[mail]:
        raise TypeError(f"a mail {mail} takes {sorted(NEEDS[mail])}, not {sorted(values)}")
    if user.email is None:
        return False
    delivery = NewDelivery(
        kind=mail,
        channel=Channel.MAIL,
        recipient=user.email,
        values={"user": user.name, "at": at, "actor": _named(actor, user), **values},
        created_at=at,
        expires_at=_expires(values, at),
        user_id=user.id,
    )
    books.outbox.add(delivery)
    return True


def _named(actor: Actor | Claimant | None, user: User) -> str:
    """Return who did it, nothing where that is the user: who is told so knows best whether it was."""
    if actor is None or (not isinstance(actor, Operator) and actor.user_id == user.id):
        return ""
    return actor.shown


def _expires(values: dict[str, object], at: float) -> float:
    expires = values.get("expires")
    return at + WORTH_TELLING if expires is None else float(str(expires))

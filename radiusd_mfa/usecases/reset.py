"""A method gives way to a new one: by its user with a current code (X1), or by a link from an administrator (X3).

Either way the old one works until the new one is confirmed, and from that commit on no longer, on any node (I5). Owns
the links: 256 random bits, of which a digest is kept, good once, for an hour, for one user. A link signs nobody in:
without the right password it does nothing.
"""

import base64
import hashlib
from dataclasses import dataclass, field, replace
from typing import Any, Final

from radiusd_mfa.core.names import Username, escaped
from radiusd_mfa.core.totp import new_seed
from radiusd_mfa.usecases.actors import OPERATOR, Actor, Claimant
from radiusd_mfa.usecases.admin_ports import NewLink, NewMethod, User
from radiusd_mfa.usecases.books import Administration, Books
from radiusd_mfa.usecases.changes import Refusal
from radiusd_mfa.usecases.enrol import Enrolment, begin, refuse_app
from radiusd_mfa.usecases.mails import tell
from radiusd_mfa.usecases.outbox_ports import Mail
from radiusd_mfa.usecases.people import changed, only_oneself
from radiusd_mfa.usecases.permissions import Permission, allowed
from radiusd_mfa.usecases.ports import Clock, Entropy
from radiusd_mfa.usecases.removal import choose

PURPOSE: Final = "reset"
LIFETIME: Final = 3_600.0
_TOKEN_OCTETS: Final = 32
_EVERY_EARLIER_ONE: Final = 0
_MOST_CHARACTERS: Final = 2_000


@dataclass(frozen=True, slots=True)
class Invitation:
    """A link for one user; whoever made it for another person is not to see its token."""

    user: str
    email: str | None
    token: str = field(repr=False)
    expires_at: float
    """Unix time."""
    mailed: bool = False
    """Whether the user is sent the link."""

    def link(self, portal_url: str | None) -> str | None:
        """Return the link to the page, None where there are no pages."""
        return None if portal_url is None else f"{portal_url.rstrip('/')}/{PURPOSE}/{self.token}"


def own(
    name: Username,
    method_id: int | None,
    *,
    label: str,
    issuer: str,
    store: Administration,
    clock: Clock,
    entropy: Entropy,
    actor: Actor = OPERATOR,
) -> Enrolment | Refusal:
    """Make an unconfirmed method that takes the place of a confirmed one once it is confirmed itself (X1)."""
    method = NewMethod(new_seed(entropy), label)

    def work(user: User, books: Books) -> Enrolment | Refusal:
        confirmed = [each for each in books.methods.summaries(user.id) if each.confirmed]
        chosen = choose(user, confirmed, method_id)
        if isinstance(chosen, Refusal):
            return chosen
        return begin(user, replace(method, replaces=chosen.id), books, issuer=issuer, at=clock())

    said: dict[str, Any] = {} if method_id is None else {"method": method_id}
    permit = only_oneself(actor)
    return changed("mfa-reset", name, work, store=store, clock=clock, actor=actor, permit=permit, **said)


def invite(
    name: Username,
    *,
    store: Administration,
    clock: Clock,
    entropy: Entropy,
    portal_url: str | None = None,
    actor: Actor = OPERATOR,
) -> Invitation | Refusal:
    """Make a link by which a user sets up a new method; an earlier link is void, and nothing else changes yet (X3).

    Where there are pages, it is mailed to the user.
    """
    token = base64.urlsafe_b64encode(entropy(_TOKEN_OCTETS)).decode().rstrip("=")

    def work(user: User, books: Books) -> Invitation | Refusal:
        refusal = refuse_app(user, books)
        if refusal is not None:
            return refusal
        now = clock()
        books.links.add(NewLink(_digest(token), PURPOSE, user.id, now, now + LIFETIME, actor.shown))
        return _mailed(Invitation(user.name, user.email, token, now + LIFETIME), user, books, portal_url, now, actor)

    def permit(user: User, books: Books) -> Refusal | None:
        return allowed(actor, Permission.MEMBERS_VIEW, Permission.MFA_RESET, about=user, books=books)

    return changed("mfa-reset-link", name, work, store=store, clock=clock, actor=actor, permit=permit)


def redeem(
    claimant: Claimant,
    token: str,
    *,
    label: str,
    issuer: str,
    store: Administration,
    clock: Clock,
    entropy: Entropy,
) -> Enrolment | Refusal:
    """Use a link up and make an unconfirmed method, which takes the place of all others once it is confirmed (X3).

    `claimant` has given the right password (`acting.prove_password`), with the guesses counted.
    """
    method = NewMethod(new_seed(entropy), label, replaces=_EVERY_EARLIER_ONE)

    def work(user: User, books: Books) -> Enrolment | Refusal:
        refusal = refuse_app(user, books) or _use(token, user, books, clock())
        return refusal or begin(user, method, books, issuer=issuer, at=clock())

    name, permit = Username(claimant.name), only_oneself(claimant)
    return changed("mfa-redeem", name, work, store=store, clock=clock, actor=claimant, permit=permit)


def token_in(text: str) -> str:
    """Return the token of what somebody pasted: a link, or the token alone."""
    return text.strip().rstrip("/").rpartition("/")[2]


def _mailed(made: Invitation, user: User, books: Books, portal_url: str | None, now: float, actor: Actor) -> Invitation:
    """Send the link to the user, as one to begin with where there is nothing yet that it would replace."""
    link = made.link(portal_url)
    if link is None:
        return made
    has_method = any(method.confirmed for method in books.methods.summaries(user.id))
    mail = Mail.RESET_LINK if has_method else Mail.SET_UP_LINK
    mailed = tell(books, user, mail, at=now, actor=actor, link=link, expires=made.expires_at)
    return replace(made, mailed=mailed)


def _use(token: str, user: User, books: Books, now: float) -> Refusal | None:
    """Use the link up, if it is this user's: somebody else's stays good for its owner."""
    digest = _digest(token)
    link = books.links.find(digest)
    is_theirs = link is not None and (link.user_id, link.purpose) == (user.id, PURPOSE)
    if is_theirs and books.links.use(digest, now) is not None:
        return None
    return Refusal(
        f"This link is not good for “{escaped(user.name)}”, or not any more: it can be used once, within an hour. "
        "Ask for a new one."
    )


def _digest(token: str) -> bytes:
    # 256 random bits can't be guessed, so one plain digest keeps them from whoever reads the table.
    return hashlib.sha256(token[:_MOST_CHARACTERS].encode(errors="replace")).digest()

"""What a user calls a method, and which one is the default: nothing that lets anybody in or keeps anybody out."""

from typing import Final

from radiusd_mfa.core.names import Username, escaped
from radiusd_mfa.usecases.actors import OPERATOR, Actor
from radiusd_mfa.usecases.admin_ports import MethodSummary, User
from radiusd_mfa.usecases.books import Administration, Books
from radiusd_mfa.usecases.changes import Refusal
from radiusd_mfa.usecases.people import changed, only_oneself
from radiusd_mfa.usecases.ports import Clock
from radiusd_mfa.usecases.removal import choose

MOST_CHARACTERS: Final = 40


def label_of(text: str) -> str:
    """Return a label as it is kept: one line that can be shown, of at most 40 characters; nothing for nothing."""
    shown = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(shown.split())[:MOST_CHARACTERS].strip()


def rename(
    name: Username,
    method_id: int,
    label: str,
    *,
    store: Administration,
    clock: Clock,
    actor: Actor = OPERATOR,
) -> MethodSummary | Refusal:
    """Give a method another label."""

    def work(user: User, books: Books) -> MethodSummary | Refusal:
        chosen = choose(user, books.methods.summaries(user.id), method_id)
        if not isinstance(chosen, Refusal):
            books.methods.rename(chosen.id, label)
        return chosen

    said: dict[str, object] = {"method": method_id, "label": label}
    return changed("mfa-rename", name, work, store=store, clock=clock, actor=actor, permit=only_oneself(actor), **said)


def make_default(
    name: Username, method_id: int, *, store: Administration, clock: Clock, actor: Actor = OPERATOR
) -> MethodSummary | Refusal:
    """Let a confirmed method be the one that is asked for first (E5)."""

    def work(user: User, books: Books) -> MethodSummary | Refusal:
        chosen = choose(user, books.methods.summaries(user.id), method_id)
        if isinstance(chosen, Refusal):
            return chosen
        if not chosen.confirmed:
            return Refusal(f"This method of “{escaped(user.name)}” was never confirmed, so it can't be the default.")
        books.methods.make_default(user.id, chosen.id)
        return chosen

    permit = only_oneself(actor)
    return changed("mfa-default", name, work, store=store, clock=clock, actor=actor, permit=permit, method=method_id)

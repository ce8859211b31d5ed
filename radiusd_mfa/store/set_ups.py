"""Set-ups in dialogue in the database: how far one is, and verdicts with which more must become true.

They are rare, and may cost statements of their own; a sign-in that is in none costs nothing here.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from time import monotonic
from typing import Any, Final

import psycopg
from sqlalchemy import Connection, Select, exists, func, select
from sqlalchemy.exc import OperationalError

from radiusd_mfa.core.facts import Attempt, Facts
from radiusd_mfa.core.set_up import Dialogue, Progress, Recording
from radiusd_mfa.keys import KeyRing
from radiusd_mfa.store import schema
from radiusd_mfa.store.administration import OpenBooks
from radiusd_mfa.store.sign_in_rows import Row as SignInRow
from radiusd_mfa.usecases.ports import Settlement

_challenges: Final = schema.challenges.c
_methods: Final = schema.methods.c
_users: Final = schema.users.c
_PATIENCE: Final = 0.2
"""Seconds that a whole batch waits for the locks of others."""


def may_be_in_one(attempt: Attempt, facts: Facts) -> bool:
    """Whether there is something to be read for this attempt: only for a user without an authenticator."""
    return attempt.dialogue is not None and facts.user is not None and not facts.methods


def with_progress(connection: Connection, attempt: Attempt, facts: Facts) -> Facts:
    """Add to the facts how far the set-up is."""
    if attempt.dialogue is None or facts.user is None:
        return facts
    confirmed = exists().where(_methods.user_id == facts.user.id, _methods.confirmed_at.is_not(None))
    has_method = connection.execute(select(confirmed)).scalar_one()
    carried = _carried(connection, attempt, facts, attempt.dialogue)
    progress = Progress(
        has_method=has_method,
        open=carried.get(attempt.state or b""),
        following_is_open=attempt.dialogue.following in carried,
        following=carried.get(attempt.dialogue.following),
    )
    return replace(facts, set_up=progress)


class Locks:
    """Rows of users, locked as administration does; where somebody has one for long, the sign-in is judged again.

    Another node with a sign-in of the same user is done in a moment, which is waited for: judged again at once, it
    would meet that lock until its tries are used up. To wait for more would let one forgotten transaction silence
    everybody in the batch, so all who are in it have one patience together, however many rows somebody holds.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._patience = _PATIENCE
        self._refused: set[int | None] = set()

    def take(self, user_id: int | None) -> bool:
        """Lock a user's row until the end of the transaction; False if that can't be had, or the user is gone."""
        found = select(_users.id).where(_users.id == user_id)
        if user_id in self._refused:
            return False
        if self._connection.execute(found.with_for_update(key_share=True, skip_locked=True)).scalar() is not None:
            return True
        # SQLite has one writer, which holds everything: a row that is not found there is gone.
        if self._connection.dialect.name == "postgresql" and self._waited_for(found):
            return True
        self._refused.add(user_id)
        return False

    def _waited_for(self, found: Select[Any]) -> bool:
        patience, began = int(self._patience * 1e3), monotonic()
        if patience <= 0:  # which PostgreSQL would take for: as long as it likes
            return False
        try:
            with self._connection.begin_nested():
                usual = self._connection.execute(select(func.current_setting("lock_timeout"))).scalar_one()
                self._wait_at_most(f"{patience}ms")
                locked = self._connection.execute(found.with_for_update(key_share=True)).scalar() is not None
                self._wait_at_most(usual)
        except OperationalError as error:
            if not isinstance(error.orig, psycopg.errors.LockNotAvailable):
                raise
            return False
        finally:
            self._patience -= monotonic() - began
        return locked

    def _wait_at_most(self, patience: str) -> None:
        self._connection.execute(select(func.set_config("lock_timeout", patience, True)))


def settle_alongside(
    connection: Connection,
    keys: KeyRing,
    row: SignInRow,
    settlement: Settlement,
    settle: Callable[[Connection, Sequence[SignInRow]], dict[int, int]],
) -> dict[int, int]:
    """Settle one verdict and what goes with it, all or nothing; return its audit id by position if all held.

    The user's row is locked.
    """
    if settlement.alongside is None:
        return {}
    with connection.begin_nested() as savepoint:
        held = settle(connection, [row])
        if held and settlement.alongside(OpenBooks(connection, keys)):
            return held
        savepoint.rollback()
    return {}


def _carried(
    connection: Connection, attempt: Attempt, facts: Facts, dialogue: Dialogue
) -> dict[bytes, Recording | None]:
    """Return what the challenge that is answered and the one after it carry, by their States, as far as they stand."""
    states = [state for state in (attempt.state, dialogue.following) if state is not None]
    granted_to = facts.user.password_hash or "" if facts.user else ""
    columns = select(_challenges.state, _challenges.step, _challenges.codes)
    found = columns.where(_challenges.state.in_(states), _challenges.granted_to == granted_to)
    return {bytes(state): _recording(step, codes) for state, step, codes in connection.execute(found)}


def _recording(step: int | None, codes: int | None) -> Recording | None:
    return None if step is None or codes is None else Recording(step, codes)

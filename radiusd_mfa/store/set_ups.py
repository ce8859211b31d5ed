"""Set-ups in dialogue in the database: how far one is, and verdicts with which more must become true.

They are rare, and may cost statements of their own; a sign-in that is in none costs nothing here.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import psycopg
from sqlalchemy import Connection, exists, func, select
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
_PATIENCE: Final = "200ms"


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


def settle_alongside(
    connection: Connection,
    keys: KeyRing,
    row: SignInRow,
    settlement: Settlement,
    settle: Callable[[Connection, Sequence[SignInRow]], dict[int, int]],
    taken: set[int | None],
) -> dict[int, int]:
    """Settle one verdict and what goes with it, all or nothing; return its audit id by position if all held.

    `taken` holds the users of the batch whose lock somebody else has.
    """
    if settlement.alongside is None or not _lock(connection, row.user_id, taken):
        return {}
    with connection.begin_nested() as savepoint:
        held = settle(connection, [row])
        if held and settlement.alongside(OpenBooks(connection, keys)):
            return held
        savepoint.rollback()
    return {}


def _lock(connection: Connection, user_id: int | None, taken: set[int | None]) -> bool:
    """Lock the user's row as administration does; where somebody has it for long, the sign-in is judged again.

    Another node with a sign-in of the same user is done in a moment, which is waited for: judged again at once, it
    would meet that lock until its tries are used up. To wait for more would let one forgotten transaction silence
    everybody in the batch, so `taken` remembers whose lock could not be had.
    """
    found = select(_users.id).where(_users.id == user_id)
    if user_id in taken:
        return False
    if connection.execute(found.with_for_update(key_share=True, skip_locked=True)).scalar() is not None:
        return True
    try:
        with connection.begin_nested():
            usual = connection.execute(select(func.current_setting("lock_timeout"))).scalar_one()
            _wait_at_most(connection, _PATIENCE)
            locked = connection.execute(found.with_for_update(key_share=True)).scalar() is not None
            _wait_at_most(connection, usual)
    except OperationalError as error:
        if not isinstance(error.orig, psycopg.errors.LockNotAvailable):
            raise
        locked = False
    if not locked:
        taken.add(user_id)
    return locked


def _wait_at_most(connection: Connection, patience: str) -> None:
    connection.execute(select(func.set_config("lock_timeout", patience, True)))


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

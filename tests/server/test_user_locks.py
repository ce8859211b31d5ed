"""A sign-in with which more must become true locks its user, and does not wait for long where somebody else has."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import delete, event, select

from radiusd_mfa.radius.wire import Code
from radiusd_mfa.store import schema
from radiusd_mfa.store.set_ups import Locks
from tests.support.phones import add_phone
from tests.support.sites import Site
from tests.support.taps import Tap
from tests.support.world import World


@contextmanager
def waits(world: World) -> Iterator[list[str]]:
    """Gather the statements that wait for a lock."""
    said: list[str] = []

    def hear(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if "FOR NO KEY UPDATE" in statement and "SKIP LOCKED" not in statement:
            said.append(statement)

    event.listen(world.database.engine, "before_cursor_execute", hear)
    try:
        yield said
    finally:
        event.remove(world.database.engine, "before_cursor_execute", hear)


def test_who_is_gone_is_not_locked(world: World) -> None:
    alice = world.user()
    with world.database.writing() as connection:
        assert not Locks(connection).take(alice.id + 1)
        assert Locks(connection).take(alice.id)


def test_a_forgotten_transaction_that_holds_many_users_is_waited_for_once(world: World) -> None:
    if world.database.dialect == "sqlite":
        pytest.skip("SQLite has one writer: nobody holds a row beside it")
    held, free = [world.user(name).id for name in ("alice", "bob", "carol")], world.user("dave").id
    with world.database.writing() as forgotten:
        forgotten.execute(select(schema.users.c.id).where(schema.users.c.id.in_(held)).with_for_update())
        with waits(world) as waited, world.database.writing() as connection:
            locks = Locks(connection)
            before = connection.exec_driver_sql("SHOW lock_timeout").scalar_one()
            assert [locks.take(user_id) for user_id in (*held, held[0], free)] == [False] * 4 + [True]
            assert connection.exec_driver_sql("SHOW lock_timeout").scalar_one() == before
    assert len(waited) == 1


def test_a_user_who_is_removed_before_the_code_is_sent_is_answered_as_nobody(world: World, site: Site) -> None:
    alice = world.user(enrolled=False, enrolled_before=True)
    add_phone(world, alice)

    def remove(*_: object) -> None:
        with world.database.writing() as connection:
            connection.execute(delete(schema.users).where(schema.users.c.id == alice.id))

    source = site().socket.getsockname()[0]
    with world.daemon(wrap=Tap(before_settle=remove).around) as node:
        assert world.client(node, source=source).ask("alice", b"hunter2").code is Code.ACCESS_REJECT
    assert [reason for _, reason in world.audit()] == ["unknown-user"]

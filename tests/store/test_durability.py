"""What an answer rests on is on the disk before the answer leaves: the commit of a settlement waits for it (I1, I4)."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Connection

from radiusd_mfa.core.facts import Nas
from radiusd_mfa.store.database import Database
from radiusd_mfa.store.sign_ins import SignIns
from radiusd_mfa.usecases.ports import StoreFault
from tests.support.attempts import Desk
from tests.support.world import World

NORMAL, FULL = 1, 2
"""PRAGMA synchronous of SQLite: with FULL a commit waits for the disk, for all that was written before it too."""


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    opened = Database(database_url, deadline=10, for_sign_ins=True)
    yield opened
    opened.close()


def ask(connection: Connection, question: str) -> Any:
    return connection.connection.cursor().execute(question).fetchone()[0]


def test_a_settlement_waits_for_the_disk_after_a_charge_that_did_not(world: World, database: Database) -> None:
    alice = world.user()
    desk = Desk(world, SignIns(database, world.keys), Nas(world.nas(), "vpn", "vpn"))
    desk.store.open([desk.attempt(alice, alice.typed())])
    with database.statement() as connection:
        if database.dialect == "sqlite":
            assert ask(connection, "PRAGMA synchronous") == FULL
        else:
            assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_sqlite_waits_for_the_disk_only_where_it_must(database: Database) -> None:
    waits = []
    for durable in (True, False, True):
        with database.statement(durable=durable) as connection:
            waits.append(ask(connection, "PRAGMA synchronous"))
    assert waits == [FULL, NORMAL, FULL]


@pytest.mark.parametrize("dialect", ["sqlite"])
@pytest.mark.parametrize("hastily", [False, True], ids=["a new connection", "one that wrote a charge before"])
def test_what_an_administrator_changes_waits_for_the_disk(database: Database, hastily: bool) -> None:
    """A second factor that was revoked before the power failed must not be back after it."""
    if hastily:
        with database.statement(durable=False):
            pass
        database.leave()
    with database.writing() as connection:
        assert ask(connection, "PRAGMA synchronous") == FULL


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_what_a_statement_wrote_before_it_failed_is_gone_and_the_next_one_works(database: Database) -> None:
    def write(name: str, statement: str) -> None:
        with database.statement() as connection:
            cursor = connection.connection.cursor()
            cursor.execute("INSERT INTO meta (name, value) VALUES (?, x'00')", (name,))
            cursor.execute(statement)

    with pytest.raises(StoreFault):
        write("lost", "no statement")
    write("kept", "SELECT 1")
    with database.reading() as connection:
        assert connection.exec_driver_sql("SELECT name FROM meta").scalars().all() == ["kept"]

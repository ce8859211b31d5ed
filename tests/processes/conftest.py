"""Daemons as they are in production: processes of their own, several on one database, of one worker and of two."""

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from radiusd_mfa.config import Config
from radiusd_mfa.installation import initialise
from radiusd_mfa.keys import KeyRing
from tests.interop.processes import Process, running
from tests.support.fixtures import world
from tests.support.world import World

__all__ = ["world"]

_CRASH = Path(__file__).parent / "crash"


@pytest.fixture
def keys(config: Config) -> KeyRing:
    initialise(config)
    return KeyRing.load(config.key_file)


@dataclass
class Node:
    """A running daemon; `address` is where it listens, `flags` where a file named like a point ends it there."""

    process: Process
    address: str
    flags: Path
    workers: int

    def crashes(self, point: str) -> None:
        """From now on it dies when it gets to `point`: before-open, after-open, before-settle or after-settle."""
        (self.flags / point).touch()

    def has_crashed(self) -> bool:
        """Whether kill -9 has ended it, or the one of its workers that got to the point."""
        if self.workers == 1:
            return self.process.popen.wait(30) == -9
        return self.process.wait_for(r"worker \d+ ended \(status 9\)") is not None


@dataclass
class Nodes:
    """Starts daemons on the database of a world."""

    environ: dict[str, str]
    directory: Path
    workers: int
    stack: ExitStack = field(default_factory=ExitStack)
    started: int = 0

    def start(self, listen: str = "127.0.0.1:0") -> Node:
        """Start a daemon and wait until it is ready."""
        self.started += 1
        flags = self.directory / f"flags-{self.started}"
        flags.mkdir()
        env = self.environ | {"PYTHONPATH": str(_CRASH), "CRASH_FLAGS": str(flags)}
        command = [sys.executable, "-m", "radiusd_mfa", "serve", "--listen", listen, "--workers", str(self.workers)]
        log = self.directory / f"node-{self.started}.log"
        process = self.stack.enter_context(running(command, log=log, env=env))
        ready = process.wait_for(r"is ready on (\S+:\d+)")
        return Node(process, ready[1], flags, self.workers)

    def again(self, crashed: Node) -> Node:
        """Start what has crashed on the same port; a worker is started by its parent."""
        if crashed.workers == 1:
            return self.start(crashed.address)
        for flag in crashed.flags.iterdir():
            flag.unlink()
        return crashed


@pytest.fixture(params=[1, 2], ids="{} workers".format)
def workers(request: pytest.FixtureRequest) -> int:
    """How many workers each daemon has."""
    return int(request.param)


@pytest.fixture
def nodes(world: World, environ: dict[str, str], tmp_path: Path, workers: int) -> Iterator[Nodes]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RADIUSD_MFA_")}
    database = {"RADIUSD_MFA_DATABASE_URL": world.url, "RADIUSD_MFA_HASH_THREADS": "1"}
    # The cheap hashes of the tests would become expensive ones.
    kept = {"RADIUSD_MFA_UPGRADE_HASHES": "false"}
    made = Nodes(inherited | environ | database | kept, tmp_path, workers)
    with made.stack:
        yield made

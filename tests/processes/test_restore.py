"""A backup of yesterday put in place of today's database: nobody signs in before somebody has seen to it (I1)."""

import shutil
import sqlite3
from pathlib import Path

import pytest

from radiusd_mfa.radius.wire import Code
from tests.conftest import Cli
from tests.processes.conftest import Nodes
from tests.support.taps import eventually
from tests.support.world import World


@pytest.fixture
def workers() -> int:
    """What matters here is the process, not how many of them."""
    return 1


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """A database that is a file can be put back by copying it."""
    return sqlite_url


def test_a_restored_backup_revives_no_code(
    world: World, nodes: Nodes, run_cli: Cli, tmp_path: Path, environ: dict[str, str]
) -> None:
    world.nas()
    alice = world.user(codes=2)
    file = Path(world.url.removeprefix("sqlite:///"))
    marks = Path(environ["RADIUSD_MFA_STATE_DIR"]) / "high-water.json"
    own = {"RADIUSD_MFA_DATABASE_URL": world.url}
    node = nodes.start()
    nas = world.client(node.address)
    nas.ask("nobody", b"x")
    eventually(marks.exists)
    with sqlite3.connect(file) as connection:
        connection.execute("VACUUM INTO ?", (str(tmp_path / "backup"),))
    connection.close()
    before = marks.read_bytes()
    typed = f"hunter2{alice.backup_codes[0].canonical}".encode()
    assert nas.ask("alice", typed).code is Code.ACCESS_ACCEPT
    eventually(lambda: marks.read_bytes() != before)
    node.process.popen.terminate()
    assert node.process.popen.wait(30) == 0

    world.database.close()
    for old in file.parent.glob(f"{file.name}-*"):
        old.unlink()
    shutil.copyfile(tmp_path / "backup", file)
    refused = run_cli("serve", env=own)
    assert refused.exit_code == 2
    assert "db accept-restore" in refused.stderr

    assert run_cli("db", "accept-restore", "--yes", env=own).exit_code == 0
    again = nodes.start()
    nas.turn_to(again.address)
    assert nas.ask("alice", typed).code is Code.ACCESS_REJECT

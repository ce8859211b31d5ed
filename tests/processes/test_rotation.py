"""`keys rotate` while two daemons serve, killed on the way: nobody is turned away, and the next run finishes it."""

import os
import signal
import subprocess
import sys

import pytest
from sqlalchemy import insert, update

from radiusd_mfa.radius.wire import Code
from radiusd_mfa.store import schema
from tests.conftest import Cli
from tests.processes.conftest import Nodes
from tests.support.world import World

USERS = 300
_KILLED = """
import os, signal
from itertools import count
from radiusd_mfa.cli import keys
from radiusd_mfa.cli.main import radiusd_mfa

turns = count()
keys.time.sleep = lambda _: os.kill(os.getpid(), signal.SIGKILL) if next(turns) == 2 else None
radiusd_mfa(["keys", "rotate"])
"""


def _fill(world: World) -> None:
    with world.database.writing() as connection:
        for number in range(USERS):
            user = {"name": f"filler{number}", "created_at": 0.0}
            user_id = connection.execute(insert(schema.users).values(user).returning(schema.users.c.id)).scalar_one()
            method = {"user_id": user_id, "kind": "totp", "created_at": 0.0, "confirmed_at": 1.0}
            row = connection.execute(insert(schema.methods).values(method).returning(schema.methods.c.id)).scalar_one()
            sealed = world.keys.seal(os.urandom(20), table="methods", column="seed", row=row)
            connection.execute(update(schema.methods).where(schema.methods.c.id == row).values(seed=sealed))


@pytest.fixture
def workers() -> int:
    """What matters here is the process, not how many of them."""
    return 1


def test_sign_ins_go_on_while_the_key_is_rotated_and_the_rotation_is_killed(
    world: World, nodes: Nodes, run_cli: Cli
) -> None:
    world.nas()
    users = [world.user(f"user{number}") for number in range(6)]
    _fill(world)
    one, other = nodes.start(), nodes.start()
    nas = world.client(one.address)
    own = {"RADIUSD_MFA_DATABASE_URL": world.url}
    spent = users[0].typed()
    assert nas.ask("user0", spent).code is Code.ACCESS_ACCEPT

    killed = subprocess.run([sys.executable, "-c", _KILLED], env=nodes.environ | own, timeout=60, check=False)
    assert killed.returncode == -signal.SIGKILL
    counts = {key["id"]: key["sealed"] for key in run_cli("keys", "status", "--json", env=own).json["keys"]}
    assert len(counts) == 2
    assert all(counts.values()), "the rotation was killed between its beginning and its end"
    assert nas.ask("user1", users[1].typed()).code is Code.ACCESS_ACCEPT
    nas.turn_to(other.address)
    assert nas.ask("user2", users[2].typed()).code is Code.ACCESS_ACCEPT

    [old] = run_cli("keys", "rotate", "--json", env=own).json["removable"]
    assert nas.ask("user3", users[3].typed()).code is Code.ACCESS_ACCEPT
    assert run_cli("keys", "remove", old, env=own).exit_code == 0
    assert nas.ask("user4", users[4].typed()).code is Code.ACCESS_ACCEPT
    nas.turn_to(nodes.start().address)
    assert nas.ask("user5", users[5].typed()).code is Code.ACCESS_ACCEPT
    assert nas.ask("user0", spent).code is Code.ACCESS_REJECT
    assert "ERROR" not in one.process.output + other.process.output

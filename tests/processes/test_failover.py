"""The database's machine dies, its standby takes over: what is promised with each kind of replication (I1, I2, I4)."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from radiusd_mfa.config import Config
from radiusd_mfa.radius.wire import Code
from tests.conftest import Cli, PostgreSql, migrate
from tests.processes.conftest import Nodes
from tests.processes.test_change_under_load import FailingOver
from tests.support.replication import Pair, pair
from tests.support.taps import eventually
from tests.support.world import TestNas, TestUser, World

USERS = 30


@pytest.fixture
def workers() -> int:
    """A failover is the same to each worker."""
    return 1


@pytest.fixture
def synchronous(request: pytest.FixtureRequest) -> bool:
    return "asynchronous" not in request.node.name


@pytest.fixture
def databases(postgresql: PostgreSql, synchronous: bool) -> Iterator[Pair]:
    """Two of the binaries whose package has made a system user for `postgresql`."""
    assert isinstance(postgresql, PostgreSql)
    with pair(synchronous=synchronous) as made:
        yield made


@pytest.fixture
def database_url(databases: Pair) -> str:
    """Both hosts in one URL, as it is in production."""
    url = Config.load(None, {"RADIUSD_MFA_DATABASE_URL": databases.url}).database_url
    migrate(url)
    return url


def sign_in(nas: FailingOver, users: list[TestUser], codes: list[Code]) -> None:
    for user in users:
        codes.append(nas.ask(user).code)  # noqa: PERF401 - who waits looks at the list meanwhile


def test_with_synchronous_replication_no_code_is_good_twice_and_no_answer_is_lost(
    world: World, nodes: Nodes, databases: Pair
) -> None:
    world.nas()
    users = [world.user(f"user{number}") for number in range(USERS)]
    two = [nodes.start(), nodes.start()]
    nas = FailingOver(world, two)
    codes: list[Code] = []
    with ThreadPoolExecutor(1) as thread:
        through = thread.submit(sign_in, nas, users, codes)
        eventually(lambda: len(codes) >= 5 or through.done(), within=60)
        databases.fail_over()
        through.result()  # each sign-in has an end, so this has one
    assert codes == [Code.ACCESS_ACCEPT] * USERS
    assert Code.ACCESS_REJECT not in nas.late()
    assert world.audit() == [("accept", "totp")] * USERS
    other = world.client(two[1].address)
    for user in users[:10]:  # those from before the primary died, and later ones
        assert other.ask(user.name, nas.spent[user.name]).code is Code.ACCESS_REJECT


def test_without_a_primary_nobody_is_answered_and_a_status_is_not_either(
    world: World, nodes: Nodes, databases: Pair
) -> None:
    world.nas()
    alice = world.user()
    node = nodes.start()
    nas = world.client(node.address)
    databases.primary.kill()
    octets, authenticator = nas.request("alice", alice.typed())
    assert nas.is_ignored(octets, authenticator, timeout=6)
    eventually(lambda: nas.status(timeout=0.5) is None, within=60)
    databases.standby.run("SELECT pg_promote()")
    eventually(lambda: nas.status(timeout=0.5) is not None, within=60)
    assert nas.ask("alice", alice.typed(1)).code is Code.ACCESS_ACCEPT


def test_with_asynchronous_replication_what_is_missing_is_noticed_and_no_server_starts_on_it(
    world: World, nodes: Nodes, databases: Pair, run_cli: Cli, environ: dict[str, str]
) -> None:
    world.nas()
    alice = world.user(codes=2)
    node = nodes.start()
    nas = world.client(node.address)
    marks = Path(environ["RADIUSD_MFA_STATE_DIR"]) / "high-water.json"
    nas.ask("nobody", b"x")
    eventually(marks.exists)
    databases.cut()
    before = marks.read_bytes()
    typed = f"hunter2{alice.backup_codes[0].canonical}".encode()
    assert nas.ask("alice", typed).code is Code.ACCESS_ACCEPT
    eventually(lambda: marks.read_bytes() != before)
    databases.fail_over()
    node.process.wait_for("This machine has seen row .* a standby took over without the last commits")
    own = {"RADIUSD_MFA_DATABASE_URL": databases.url}
    refused = run_cli("serve", env=own)
    assert refused.exit_code == 2
    assert "db accept-restore" in refused.stderr
    # The server that runs goes on, and takes what was accepted as spent too.
    assert run_cli("db", "accept-restore", "--even-unseen", "--yes", env=own).exit_code == 0
    assert verdict(nas, typed) is Code.ACCESS_REJECT
    again = nodes.start()
    assert verdict(world.client(again.address), typed) is Code.ACCESS_REJECT


def verdict(nas: TestNas, typed: bytes) -> Code:
    """Ask, and again when nothing comes: a connection to the primary that died is found broken by its next use."""
    octets, authenticator = nas.request("alice", typed)
    for _ in range(30):
        nas.send(octets)
        if (reply := nas.receive(authenticator, timeout=2)) is not None:
            return reply.code
    raise AssertionError("no reply came")

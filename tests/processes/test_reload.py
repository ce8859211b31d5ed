"""SIGHUP to a serving daemon: new settings without a packet lost, and bad ones change nothing (ATTACKS 31)."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Event, Thread

import pytest

from radiusd_mfa.radius.wire import Code
from radiusd_mfa.store.database import sqlite_path
from tests.processes.conftest import Node, Nodes
from tests.support.taps import eventually
from tests.support.world import World


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """Reloading is the processes' affair, whichever database it is; sign-ins across nodes have tests of their own."""
    return sqlite_url


@pytest.fixture
def settings(tmp_path: Path, nodes: Nodes) -> Path:
    """The settings file of the nodes, which sets `portal_url`: every Reject of who must enrol names it."""
    path = tmp_path / "settings.toml"
    path.write_text('portal_url = "https://one.example/"\n')
    nodes.environ["RADIUSD_MFA_CONFIG"] = str(path)
    return path


@pytest.fixture
def node(world: World, settings: Path, nodes: Nodes) -> Node:
    assert settings.exists()
    world.nas()
    world.user("unenrolled", enrolled=False)
    return nodes.start()


def reload(node: Node) -> None:
    node.process.popen.send_signal(signal.SIGHUP)


def names(world: World, node: Node, part: str) -> bool:
    """Whether the Reject of who has no second factor says this, whichever worker it comes from."""
    nas = world.client(node.address)
    return all(part in nas.ask("unenrolled", b"hunter2", identifier=each).message for each in (0, 1))


def test_new_settings_are_in_force_after_sighup(world: World, node: Node, settings: Path) -> None:
    assert names(world, node, "https://one.example/")
    settings.write_text('portal_url = "https://two.example/"\n')
    reload(node)
    eventually(lambda: names(world, node, "https://two.example/"))
    reload(node)
    assert names(world, node, "https://two.example/")
    node.process.popen.terminate()
    assert node.process.popen.wait(30) == 0
    assert "Traceback" not in node.process.output


def test_bad_settings_are_all_named_and_those_of_before_stay(world: World, node: Node, settings: Path) -> None:
    settings.write_text('portal_url = "https://two.example/"\nchallenge_lifetime = "soon"\nissuers = "x"\n')
    reload(node)
    node.process.wait_for("not reloaded.*challenge_lifetime")
    node.process.wait_for("not reloaded.*issuers.*is issuer meant")
    assert names(world, node, "https://one.example/")
    assert node.process.popen.poll() is None


def test_a_key_file_that_is_gone_changes_nothing(
    world: World, node: Node, settings: Path, environ: dict[str, str]
) -> None:
    alice = world.user()
    settings.write_text('portal_url = "https://two.example/"\n')
    key_file = Path(environ["RADIUSD_MFA_STATE_DIR"]) / "radiusd-mfa.key"
    key_file.rename(key_file.with_suffix(".away"))
    reload(node)
    node.process.wait_for("not reloaded.*radiusd-mfa.key")
    assert world.client(node.address).ask("alice", alice.typed()).code is Code.ACCESS_ACCEPT
    assert names(world, node, "https://one.example/")


def test_a_worker_that_dies_after_a_reload_in_vain_comes_back_with_the_settings_of_before(
    world: World, node: Node, settings: Path, tmp_path: Path
) -> None:
    if node.workers == 1:
        pytest.skip("one process has no parent that starts it again")
    settings.write_text(f'portal_url = "https://two.example/"\nkey_file = "{tmp_path}/none.key"\n')
    reload(node)
    node.process.wait_for("not reloaded.*none.key")
    parent = node.process.popen.pid
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    os.kill(int(children[0]), signal.SIGKILL)
    node.process.wait_for(r"worker \d+ ended \(status 9\)")
    eventually(lambda: names(world, node, "https://one.example/"), within=20)


def test_a_reload_while_the_database_takes_no_writes_ends_nothing(world: World, node: Node, settings: Path) -> None:
    path = sqlite_path(world.url)
    assert path is not None
    settings.write_text('portal_url = "https://two.example/"\n')
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        reload(node)
        node.process.wait_for("not reloaded")
        other.execute("ROLLBACK")
    assert node.process.popen.poll() is None
    eventually(lambda: names(world, node, "https://one.example/"))


def test_what_takes_a_restart_is_said(node: Node, settings: Path) -> None:
    settings.write_text("workers = 3\n")
    reload(node)
    node.process.wait_for("workers has changed; that takes a restart")


def test_no_sign_in_is_lost_while_settings_are_reloaded(world: World, node: Node) -> None:
    """Each request is sent once: who is not answered was lost."""
    users = [world.user(f"user{number}") for number in range(20)]
    over = Event()

    def keep_reloading() -> None:
        while not over.wait(0.2):
            reload(node)

    thread = Thread(target=keep_reloading)
    thread.start()
    nas = world.client(node.address)
    asked = 0
    try:
        while node.process.output.count("reloaded: ") < 4 * node.workers or len(users) == 20:
            assert nas.ask("nobody", b"x").code is Code.ACCESS_REJECT
            asked += 1
            if users and asked % 5 == 0:
                user = users.pop()
                assert nas.ask(user.name, user.typed()).code is Code.ACCESS_ACCEPT
    finally:
        over.set()
        thread.join()
    assert world.audit().count(("accept", "totp")) == 20 - len(users)
    assert len(users) < 20


def test_sigterm_right_after_sighup_ends_it(node: Node) -> None:
    for _ in range(3):
        reload(node)
    node.process.popen.terminate()
    assert node.process.popen.wait(30) == 0
    assert "Traceback" not in node.process.output


def test_a_reject_that_waits_for_its_second_is_sent_by_who_has_taken_it(
    world: World, node: Node, settings: Path
) -> None:
    settings.write_text('reject_delay = 1.5\nportal_url = "https://two.example/"\n')
    node.process.popen.send_signal(signal.SIGHUP)
    node.process.wait_for("reloaded: ")
    nas = world.client(node.address)
    sent = [nas.request("nobody", b"x", identifier=each) for each in (0, 1)]
    before = len(world.audit())
    for octets, _ in sent:
        nas.send(octets)
    eventually(lambda: len(world.audit()) == before + 2)
    reload(node)
    nas.socket.settimeout(10)
    assert {nas.socket.recv(4097)[1] for _ in sent} == {0, 1}


@pytest.fixture
def unready() -> Iterator[subprocess.Popen[bytes]]:
    """A server that has not got as far as to be able to reload."""
    script = "import signal, time; from radiusd_mfa.cli import serve; serve.Session.config = property(lambda _: "
    script += "(print('begun', flush=True), time.sleep(60))); from radiusd_mfa.cli.main import radiusd_mfa; "
    command = [sys.executable, "-c", script + "radiusd_mfa(['serve'])"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=os.environ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        yield process
        process.kill()


def test_a_sighup_that_comes_too_early_ends_nothing(unready: subprocess.Popen[bytes]) -> None:
    unready.send_signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        unready.wait(0.5)

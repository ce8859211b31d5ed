"""`top` beside a real server: as JSON, as text, on a terminal, and without any server."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from http.client import HTTPConnection

import pytest

from tests.conftest import Ran
from tests.processes.conftest import Node, Nodes
from tests.support.taps import eventually
from tests.support.world import World


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """What it reads from the database are rows of the audit log, which have tests of their own on both."""
    return sqlite_url


@pytest.fixture
def workers() -> int:
    return 2


@pytest.fixture
def node(world: World, nodes: Nodes) -> Node:
    world.nas("office-vpn")
    nodes.environ["RADIUSD_MFA_METRICS_LISTEN"] = "127.0.0.1:0"
    return nodes.start()


def address(node: Node) -> str:
    return node.process.wait_for(r"metrics are at http://(\S+)/metrics")[1]


def environ(nodes: Nodes, address: str | None) -> dict[str, str]:
    unset = {name: value for name, value in nodes.environ.items() if name != "RADIUSD_MFA_METRICS_LISTEN"}
    return unset | ({"RADIUSD_MFA_METRICS_LISTEN": address} if address else {})


def top(nodes: Nodes, address: str | None, *options: str) -> Ran:
    command = [sys.executable, "-m", "radiusd_mfa", "top", *options]
    done = subprocess.run(command, env=environ(nodes, address), capture_output=True, text=True, check=False, timeout=60)
    return Ran(done.returncode, done.stdout, done.stderr)


def sign_in(world: World, node: Node) -> None:
    """Refuse a stranger whose name looks like markup, and let alice in."""
    alice = world.user()
    nas = world.client(node.address)
    nas.ask("[bold]nobody", b"x")
    nas.ask("alice", alice.typed())
    host, port = address(node).split(":")

    def counted() -> bool:
        connection = HTTPConnection(host, int(port), timeout=10)
        connection.request("GET", "/metrics")
        return 'nas="office-vpn",outcome="accept"} 1.0' in connection.getresponse().read().decode()

    eventually(counted)


def test_without_metrics_listen_it_says_what_to_set(world: World, nodes: Nodes) -> None:
    assert world.url
    ran = top(nodes, None, "--once")
    assert ran.exit_code == 2
    assert 'metrics_listen = "127.0.0.1:9812"' in ran.stderr


def test_without_a_server_it_says_where_it_asked(world: World, nodes: Nodes) -> None:
    assert world.url
    ran = top(nodes, "127.0.0.1:9", "--once")
    assert ran.exit_code == 1
    assert "No server answers at http://127.0.0.1:9/metrics" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_without_a_terminal_it_wants_to_be_asked_for_one_look(world: World, nodes: Nodes, node: Node) -> None:
    assert world.url
    ran = top(nodes, address(node))
    assert ran.exit_code == 2
    assert "--once" in ran.stderr


def test_as_json_it_is_one_document(world: World, nodes: Nodes, node: Node) -> None:
    sign_in(world, node)
    ran = top(nodes, None, "--json", "--address", address(node), "--interval", "1")
    assert ran.exit_code == 0, ran.stderr
    seen = json.loads(ran.stdout)
    assert [each["healthy"] for each in seen["workers"]] == [True, True]
    assert [each["name"] for each in seen["nas"]] == ["office-vpn"]
    assert [(each["user"], each["reason"]) for each in seen["refusals"]] == [("[bold]nobody", "unknown-user")]
    assert seen["seconds"] >= 1
    assert set(seen["times"]) == {"wait", "open", "hash", "settle", "total"}


def test_on_a_terminal_it_goes_on_until_ctrl_c(world: World, nodes: Nodes, node: Node) -> None:
    sign_in(world, node)
    ours, theirs = pty.openpty()
    env = environ(nodes, address(node)) | {"TERM": "xterm", "COLUMNS": "80", "LINES": "24"}
    command = [sys.executable, "-m", "radiusd_mfa", "top", "--interval", "1"]
    # A shell that runs the tests in the background has them ignore Ctrl-C, and whatever they start.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with subprocess.Popen(command, env=env, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        signal.signal(signal.SIGINT, before)
        os.close(theirs)
        seen = read_until(ours, "[bold]nobody", times=2)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        seen += rest(ours)
    os.close(ours)
    assert "2 of 2 workers well" in seen
    assert "office-vpn" in seen
    assert "Traceback" not in seen
    assert "…" not in seen, "all of it fits into 80 columns"


def read_until(descriptor: int, text: str, *, times: int) -> str:
    seen, until = "", time.monotonic() + 60
    while seen.count(text) < times:
        assert time.monotonic() < until, seen
        if select.select([descriptor], [], [], 1)[0]:
            seen += os.read(descriptor, 65_536).decode()
    return seen


def rest(descriptor: int) -> str:
    seen = b""
    try:
        while more := os.read(descriptor, 65_536):
            seen += more
    except OSError:  # the other end is closed
        return seen.decode()
    return seen.decode()

"""Several workers on one port: the Identifier chooses, a dead one is replaced, all of them stop (R8, I6)."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from radiusd_mfa.radius.wire import Code
from tests.support.taps import eventually
from tests.support.world import TestNas, World


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """Workers are the kernel's and the parent's affair, whichever database it is."""
    return sqlite_url


# A parent whose workers never get as far as to serve.
STARTING = """
import os, sys, time
from radiusd_mfa.server.workers import Parent

def serve(number, listeners, ready, pulse):
    os.write(1, b"started\\n")
    time.sleep(120)

sys.exit(Parent([[], []], serve).run(lambda: None))
"""


@pytest.fixture
def starting() -> Iterator[subprocess.Popen[str]]:
    """Two workers that are busy starting."""
    with subprocess.Popen([sys.executable, "-c", STARTING], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert [process.stdout.readline() for _ in range(2)] == ["started\n", "started\n"]
        workers = workers_of(process)
        yield process
        for worker in (process.pid, *workers):
            with suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)


@pytest.fixture
def served(world: World, environ: dict[str, str], tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Two workers as real processes, on the world's database and keys."""
    key_file = tmp_path / "keys"
    key_file.write_text("test AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n")
    key_file.chmod(0o600)
    world.write_canary()
    own = environ | {"RADIUSD_MFA_DATABASE_URL": world.url, "RADIUSD_MFA_KEY_FILE": str(key_file)}
    command = [sys.executable, "-m", "radiusd_mfa", "serve", "--workers", "2", "--listen", "127.0.0.1:0"]
    with subprocess.Popen(command, env=os.environ | own, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert "ready on" in line
        yield process, line.rsplit(" ", 1)[1].strip()
        process.terminate()
        assert process.wait(15) == 0


def workers_of(process: subprocess.Popen[str]) -> set[int]:
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return {int(child) for child in children.split()}


def answered(nas: TestNas, identifier: int) -> bool:
    octets, authenticator = nas.request("nobody", b"x", identifier=identifier)
    nas.send(octets)
    return nas.receive(authenticator, timeout=4) is not None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_workers_that_have_not_begun_to_serve_stop_too(starting: subprocess.Popen[str], number: signal.Signals) -> None:
    """They have the parent's handlers when they are forked, and must not do what it does."""
    starting.send_signal(number)
    assert starting.wait(30) == 0


def test_workers_end_with_their_parent(starting: subprocess.Popen[str]) -> None:
    """They hold its standard output, so its end is theirs."""
    starting.kill()
    assert starting.communicate(timeout=30)[0] == ""


def test_a_retransmission_meets_the_worker_that_knows_it(
    world: World, served: tuple[subprocess.Popen[str], str]
) -> None:
    """From one socket with many Identifiers: every reply comes again octet for octet, and costs one audit row."""
    _process, address = served
    world.nas()
    nas = world.client(address)
    eventually(lambda: answered(nas, 0))
    before = len(world.audit())
    for identifier in range(1, 33):
        octets, authenticator = nas.request("nobody", b"x", identifier=identifier)
        nas.send(octets)
        first = nas.receive(authenticator)
        nas.send(octets)
        again = nas.receive(authenticator)
        assert first is not None
        assert again is not None
        assert first.octets == again.octets
    assert len(world.audit()) == before + 32


def test_both_workers_share_the_work_of_one_socket(world: World, served: tuple[subprocess.Popen[str], str]) -> None:
    process, address = served
    world.nas()
    nas = world.client(address)
    eventually(lambda: answered(nas, 0))
    first, second = sorted(workers_of(process))
    os.kill(first, signal.SIGSTOP)
    try:
        alive = {identifier % 2 for identifier in range(4) if answered_soon(nas, identifier)}
    finally:
        os.kill(first, signal.SIGCONT)
    assert len(alive) == 1, "one Identifier in two belongs to the worker that was stopped"
    assert {first, second} == workers_of(process)


def answered_soon(nas: TestNas, identifier: int) -> bool:
    octets, authenticator = nas.request("nobody", b"x", identifier=identifier)
    nas.send(octets)
    return nas.receive(authenticator, timeout=1) is not None


def test_a_worker_that_died_is_started_again(world: World, served: tuple[subprocess.Popen[str], str]) -> None:
    process, address = served
    world.nas()
    alice = world.user()
    nas = world.client(address)
    eventually(lambda: answered(nas, 0))
    victim = min(workers_of(process))
    os.kill(victim, signal.SIGKILL)
    eventually(lambda: len(workers_of(process)) == 2 and victim not in workers_of(process), within=20)
    for identifier in (2, 3):
        assert nas.ask("alice", b"wrong", identifier=identifier, timeout=15).code is Code.ACCESS_REJECT
    time.sleep(2.1)  # the back-off after two wrong passwords
    assert nas.ask("alice", alice.typed()).code is Code.ACCESS_ACCEPT


def test_one_code_buys_one_sign_in_whichever_worker_has_it(
    world: World, served: tuple[subprocess.Popen[str], str]
) -> None:
    _process, address = served
    world.nas()
    alice = world.user()
    nas = world.client(address)
    eventually(lambda: answered(nas, 0))
    typed = alice.typed()
    sent = {}
    for identifier in range(32):
        octets, sent[identifier] = nas.request("alice", typed, identifier=identifier)
        nas.send(octets)
    replies: list[bytes] = []
    nas.socket.settimeout(5)
    while len(replies) < 32:
        replies.append(nas.socket.recv(4097))
    assert sum(reply[0] == Code.ACCESS_ACCEPT for reply in replies) == 1
    assert world.audit().count(("accept", "totp")) == 1

"""SIGTERM to a daemon in production: it finishes, says so by exit code 0, and an idle one ends at once (ATTACKS 34)."""

import signal

import pytest

from radiusd_mfa.radius.wire import Code
from tests.processes.conftest import Nodes
from tests.support.taps import eventually
from tests.support.world import World

SIGN_INS = 40


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_daemon_ends_with_0(world: World, nodes: Nodes, number: signal.Signals) -> None:
    world.nas()
    node = nodes.start()
    node.process.popen.send_signal(number)
    assert node.process.popen.wait(30) == 0
    assert "Traceback" not in node.process.output


def test_what_was_committed_when_it_ended_was_answered(world: World, nodes: Nodes) -> None:
    world.nas()
    node = nodes.start()
    nas = world.client(node.address)
    users = [world.user(f"user{number}") for number in range(SIGN_INS)]
    for identifier, user in enumerate(users):
        nas.send(nas.request(user.name, user.typed(), identifier=identifier)[0])
    eventually(world.audit)
    node.process.popen.send_signal(signal.SIGTERM)
    assert node.process.popen.wait(30) == 0
    nas.socket.settimeout(0.5)
    replies: set[int] = set()
    while len(replies) < len(world.audit()):
        octets = nas.socket.recv(4097)  # a reply that is missing is a timeout here
        assert octets[0] == Code.ACCESS_ACCEPT
        replies.add(octets[1])
    assert world.audit() == [("accept", "totp")] * len(replies)

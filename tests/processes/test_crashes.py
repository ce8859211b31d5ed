"""kill -9 at named points, then the retransmission: one verdict, one code, one audit row (I1, I2, I6)."""

import pytest
from sqlalchemy import select

from radiusd_mfa.radius.wire import Code
from radiusd_mfa.store import schema
from tests.processes.conftest import Nodes
from tests.support.phones import add_phone, last_code
from tests.support.world import Reply, TestNas, TestUser, World

REASONS = {"accept": "totp", "reject": "wrong-code", "challenge": "code-due"}
CODES = {"accept": Code.ACCESS_ACCEPT, "reject": Code.ACCESS_REJECT, "challenge": Code.ACCESS_CHALLENGE}


def typed_for(alice: TestUser, verdict: str) -> bytes:
    wrong = f"{(int(alice.code()) + 1) % 10**6:06}"
    return {"accept": alice.typed(), "reject": f"hunter2{wrong}".encode(), "challenge": b"hunter2"}[verdict]


def resend(nas: TestNas, octets: bytes, authenticator: bytes, address: str) -> Reply:
    """Send the same octets from the same socket to a node."""
    host, _, port = address.rpartition(":")
    nas.socket.sendto(octets, (host, int(port)))
    reply = nas.receive(authenticator)
    assert reply is not None, "the retransmission was not answered"
    return reply


@pytest.mark.parametrize("verdict", REASONS)
def test_a_node_killed_between_commit_and_reply_leaves_its_verdict_to_the_others(
    world: World, nodes: Nodes, verdict: str
) -> None:
    world.nas(challenge=True)
    alice = world.user()
    one, other = nodes.start(), nodes.start()
    nas = world.client(one.address)
    octets, authenticator = nas.request("alice", typed_for(alice, verdict))
    one.crashes("after-settle")
    assert nas.is_ignored(octets, authenticator, timeout=0.1)
    assert one.has_crashed()
    assert world.audit() == [(verdict, REASONS[verdict])]
    first = resend(nas, octets, authenticator, other.address)
    again = resend(nas, octets, authenticator, nodes.again(one).address)
    assert first.code is CODES[verdict]
    assert again.octets == first.octets
    assert world.audit() == [(verdict, REASONS[verdict])]
    if verdict == "challenge":
        reply = nas.ask("alice", alice.code().encode(), state=again.state)
        assert reply.code is Code.ACCESS_ACCEPT


@pytest.mark.parametrize("point", ["before-open", "after-open", "before-settle"])
def test_a_node_killed_before_the_commit_leaves_the_code_unspent(world: World, nodes: Nodes, point: str) -> None:
    world.nas()
    alice = world.user()
    one = nodes.start()
    nas = world.client(one.address)
    octets, authenticator = nas.request("alice", alice.typed())
    one.crashes(point)
    assert nas.is_ignored(octets, authenticator, timeout=0.1)
    assert one.has_crashed()
    assert world.audit() == []
    again = nodes.again(one)
    assert resend(nas, octets, authenticator, again.address).code is Code.ACCESS_ACCEPT
    assert nas.ask("alice", alice.typed(1)).code is Code.ACCESS_ACCEPT
    assert world.audit() == [("accept", "totp")] * 2


def messages(world: World) -> int:
    with world.database.reading() as connection:
        return len(connection.execute(select(schema.outbox)).fetchall())


def test_a_node_killed_after_it_had_a_code_sent_leaves_it_to_the_others_and_none_is_sent_again(
    world: World, nodes: Nodes
) -> None:
    world.nas(challenge=True)
    alice = world.user(enrolled=False, enrolled_before=True)
    add_phone(world, alice)
    one, other = nodes.start(), nodes.start()
    nas = world.client(one.address)
    octets, authenticator = nas.request("alice", b"hunter2")
    one.crashes("after-settle")
    assert nas.is_ignored(octets, authenticator, timeout=0.1)
    assert one.has_crashed()
    reply = resend(nas, octets, authenticator, other.address)
    assert reply.code is Code.ACCESS_CHALLENGE
    assert "678" in reply.message
    assert messages(world) == 1
    octets, authenticator = nas.request("alice", last_code(world).encode(), state=reply.state)
    other.crashes("after-settle")
    nas.turn_to(other.address)
    assert nas.is_ignored(octets, authenticator, timeout=0.1)
    assert other.has_crashed()
    assert resend(nas, octets, authenticator, nodes.again(one).address).code is Code.ACCESS_ACCEPT
    assert world.audit() == [("challenge", "sms-sent"), ("accept", "sms")]


def test_a_node_killed_before_the_commit_sends_nothing_and_spends_nothing(world: World, nodes: Nodes) -> None:
    world.nas()
    alice = world.user(enrolled=False, enrolled_before=True)
    add_phone(world, alice)
    one = nodes.start()
    nas = world.client(one.address)
    octets, authenticator = nas.request("alice", b"hunter2")
    one.crashes("before-settle")
    assert nas.is_ignored(octets, authenticator, timeout=0.1)
    assert one.has_crashed()
    assert messages(world) == 0
    again = nodes.again(one)
    assert resend(nas, octets, authenticator, again.address).code is Code.ACCESS_REJECT
    assert messages(world) == 1

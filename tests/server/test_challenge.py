"""Password first, the code in a second packet: one State buys one answer, on any node (R3, ATTACKS 9)."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack

import pytest
from sqlalchemy import func, select, update

from radiusd_mfa.radius.wire import Code
from radiusd_mfa.server.daemon import Daemon
from radiusd_mfa.store import schema
from radiusd_mfa.usecases.ports import Settlement
from tests.support.taps import Tap, eventually
from tests.support.world import TestNas, TestUser, World

LATER = 1
"""The next step's code, which is accepted too; for a second answer in the same half minute."""


@pytest.fixture
def alice(world: World) -> TestUser:
    return world.user(codes=2)


@pytest.fixture
def nas(world: World, daemon: Daemon) -> TestNas:
    world.nas(challenge=True)
    daemon.refresh()
    return world.client(daemon)


@pytest.fixture
def other_node(world: World, nas: TestNas) -> Iterator[Daemon]:
    with world.daemon() as other:
        assert len(other._table) == 1, f"this node does not know {nas}"
        yield other


def challenged(nas: TestNas, user: str = "alice") -> bytes:
    """Give the right password, and return the State of the challenge."""
    reply = nas.ask(user, b"hunter2")
    assert reply.code is Code.ACCESS_CHALLENGE
    return reply.state


def open_challenges(world: World) -> int:
    with world.database.reading() as connection:
        return int(connection.execute(select(func.count()).select_from(schema.challenges)).scalar_one())


def test_a_challenge_tells_the_person_what_to_do(alice: TestUser, nas: TestNas) -> None:
    reply = nas.ask(alice.name, b"hunter2")
    assert reply.code is Code.ACCESS_CHALLENGE
    assert "code" in reply.message
    assert len(reply.state) == 32


def test_a_wrong_password_is_never_challenged(world: World, alice: TestUser, nas: TestNas) -> None:
    assert nas.ask(alice.name, b"hunter3").code is Code.ACCESS_REJECT
    assert open_challenges(world) == 0


def test_a_totp_code_answers_on_another_node_from_another_port_and_id(
    world: World, alice: TestUser, nas: TestNas, other_node: Daemon
) -> None:
    state = challenged(nas)
    elsewhere = world.client(other_node)
    assert elsewhere.ask("alice", alice.code().encode(), state=state).code is Code.ACCESS_ACCEPT
    assert world.audit() == [("challenge", "code-due"), ("accept", "totp")]
    assert open_challenges(world) == 0


@pytest.mark.parametrize("shown", [True, False], ids=["with dashes", "without"])
def test_a_backup_code_answers_once(world: World, alice: TestUser, nas: TestNas, shown: bool) -> None:
    code = alice.backup_codes[0]
    typed = (code.shown if shown else code.canonical).encode()
    assert nas.ask("alice", typed, state=challenged(nas)).code is Code.ACCESS_ACCEPT
    assert nas.ask("alice", typed, state=challenged(nas)).code is Code.ACCESS_REJECT
    assert [reason for _, reason in world.audit()] == ["code-due", "backup-code", "code-due", "code-reused"]


def test_a_state_buys_one_answer(world: World, alice: TestUser, nas: TestNas, other_node: Daemon) -> None:
    state = challenged(nas)
    assert nas.ask("alice", alice.code().encode(), state=state).code is Code.ACCESS_ACCEPT
    for client in (nas, world.client(other_node)):
        assert client.ask("alice", alice.code(LATER).encode(), state=state).code is Code.ACCESS_REJECT
    assert world.audit()[1:] == [("accept", "totp"), ("reject", "bad-state"), ("reject", "bad-state")]


def test_a_wrong_answer_uses_the_state_up(world: World, alice: TestUser, nas: TestNas) -> None:
    state = challenged(nas)
    wrong = f"{(int(alice.code()) + 1) % 10**6:06}".encode()
    assert nas.ask("alice", wrong, state=state).code is Code.ACCESS_REJECT
    assert nas.ask("alice", alice.code().encode(), state=state).code is Code.ACCESS_REJECT
    assert world.audit()[1:] == [("reject", "wrong-code"), ("reject", "bad-state")]


@pytest.mark.parametrize("typed", [b"", b"hunter2", b"\xff", b"hunter2123456"])
def test_an_answer_that_is_no_code_uses_the_state_up(world: World, alice: TestUser, nas: TestNas, typed: bytes) -> None:
    state = challenged(nas)
    assert nas.ask("alice", typed, state=state).code is Code.ACCESS_REJECT
    assert nas.ask("alice", alice.code().encode(), state=state).code is Code.ACCESS_REJECT
    assert ("accept", "totp") not in world.audit()


@pytest.mark.parametrize("state", [bytes(16), b"x", bytes(253)])
def test_a_foreign_state_is_refused(world: World, alice: TestUser, nas: TestNas, state: bytes) -> None:
    challenged(nas)
    assert nas.ask("alice", alice.code().encode(), state=state).code is Code.ACCESS_REJECT
    assert world.audit()[1:] == [("reject", "bad-state")]
    assert open_challenges(world) == 1


def test_password_and_code_together_do_not_mend_a_foreign_state(world: World, alice: TestUser, nas: TestNas) -> None:
    assert nas.ask("alice", alice.typed(), state=bytes(16)).code is Code.ACCESS_REJECT
    assert ("accept", "totp") not in world.audit()


def test_an_expired_state_is_refused(world: World, alice: TestUser, nas: TestNas) -> None:
    state = challenged(nas)
    world.execute(update(schema.challenges).values(expires_at=schema.challenges.c.expires_at - 121))
    assert nas.ask("alice", alice.code().encode(), state=state).code is Code.ACCESS_REJECT
    assert world.audit()[1:] == [("reject", "bad-state")]


def test_the_state_of_another_user_is_refused(world: World, alice: TestUser, nas: TestNas) -> None:
    bob = world.user("bob")
    state = challenged(nas)
    assert nas.ask("bob", bob.code().encode(), state=state).code is Code.ACCESS_REJECT
    assert nas.ask("nobody", alice.code().encode(), state=challenged(nas)).code is Code.ACCESS_REJECT
    assert not [outcome for outcome, _ in world.audit() if outcome == "accept"]


def test_the_state_of_another_nas_is_refused(world: World, alice: TestUser, nas: TestNas, daemon: Daemon) -> None:
    world.nas("other", "127.0.0.2/32", challenge=True)
    daemon.refresh()
    other = world.client(daemon, source="127.0.0.2")
    state = challenged(nas)
    assert other.ask("alice", alice.code().encode(), state=state).code is Code.ACCESS_REJECT
    assert world.audit()[1:] == [("reject", "bad-state")]


def test_a_code_given_at_one_challenge_is_refused_at_the_next(world: World, alice: TestUser, nas: TestNas) -> None:
    code = alice.code().encode()
    assert nas.ask("alice", code, state=challenged(nas)).code is Code.ACCESS_ACCEPT
    assert nas.ask("alice", code, state=challenged(nas)).code is Code.ACCESS_REJECT
    assert world.audit()[-1] == ("reject", "code-reused")


def test_a_disabled_user_cannot_answer(world: World, alice: TestUser, nas: TestNas) -> None:
    state = challenged(nas)
    world.execute(update(schema.users).values(disabled=True))
    assert nas.ask("alice", alice.code().encode(), state=state).code is Code.ACCESS_REJECT
    assert world.audit()[-1] == ("reject", "disabled")


def test_one_state_answered_on_two_nodes_at_once_is_one_accept(world: World, alice: TestUser, nas: TestNas) -> None:
    """Two right codes for one State, both judged before either is settled."""
    meeting, met = threading.Barrier(2), threading.local()

    def meet(_: Sequence[Settlement]) -> None:
        if not getattr(met, "once", False):
            met.once = True
            meeting.wait(20)

    state = challenged(nas)
    with ExitStack() as stack:
        nodes = [stack.enter_context(world.daemon(wrap=Tap(before_settle=meet).around)) for _ in range(2)]
        clients = [world.client(node) for node in nodes]
        asked = [client.request("alice", alice.code(step).encode(), state=state) for step, client in enumerate(clients)]
        for client, (octets, _) in zip(clients, asked, strict=True):
            client.send(octets)
        replies = [client.receive(sent) for client, (_, sent) in zip(clients, asked, strict=True)]
    assert sorted(reply.code for reply in replies if reply) == [Code.ACCESS_ACCEPT, Code.ACCESS_REJECT]
    assert sorted(world.audit()[1:]) == [("accept", "totp"), ("reject", "bad-state")]


def test_a_retransmission_of_the_first_packet_gets_the_same_state(
    world: World, alice: TestUser, nas: TestNas, other_node: Daemon
) -> None:
    octets, authenticator = nas.request("alice", b"hunter2")
    replies = []
    for server in (None, None, other_node):
        if server is None:
            nas.send(octets)
        else:
            host, _, port = server.addresses[0].rpartition(":")
            nas.socket.sendto(octets, (host, int(port)))
        replies.append(nas.receive(authenticator))
    assert len({reply.state for reply in replies if reply is not None}) == 1
    assert len([reply for reply in replies if reply is not None]) == 3
    assert open_challenges(world) == 1
    assert replies[0] is not None
    assert nas.ask("alice", alice.code().encode(), state=replies[0].state).code is Code.ACCESS_ACCEPT


def test_a_late_twin_of_the_first_packet_does_not_open_a_used_state_again(
    world: World, alice: TestUser, nas: TestNas
) -> None:
    """One request on two nodes: the one is answered with a challenge that is used up before the other settles."""
    go_on = threading.Event()

    def wait(_: Sequence[Settlement]) -> None:
        assert go_on.wait(20)

    late = Tap(before_settle=wait)
    with world.daemon(wrap=late.around) as slow:
        octets, authenticator = nas.request("alice", b"hunter2")
        host, _, port = slow.addresses[0].rpartition(":")
        nas.socket.sendto(octets, (host, int(port)))
        eventually(lambda: late.opened)
        nas.send(octets)
        first = nas.receive(authenticator)
        assert first is not None
        assert nas.ask("alice", alice.code().encode(), state=first.state).code is Code.ACCESS_ACCEPT
        go_on.set()
        twin = nas.receive(authenticator)
        assert twin is not None
        assert twin.octets == first.octets
        assert open_challenges(world) == 0
        assert nas.ask("alice", alice.code(LATER).encode(), state=first.state).code is Code.ACCESS_REJECT
    assert world.audit() == [("challenge", "code-due"), ("accept", "totp"), ("reject", "bad-state")]


def test_a_challenge_dies_with_the_password_on_which_it_was_given(world: World, daemon: Daemon) -> None:
    """Also where another program writes the new hash, and knows nothing of challenges (ATTACKS 23)."""
    world.nas(challenge=True)
    daemon.refresh()
    alice, other = world.user(), world.user("bob")
    nas = world.client(daemon)
    state = nas.ask("alice", b"hunter2").state
    with world.database.reading() as connection:
        another_hash = connection.execute(
            select(schema.users.c.password_hash).where(schema.users.c.id == other.id)
        ).scalar_one()
    world.execute(update(schema.users).where(schema.users.c.id == alice.id).values(password_hash=another_hash))
    assert nas.ask("alice", alice.code().encode(), state=state).code is Code.ACCESS_REJECT
    assert world.audit() == [("challenge", "code-due"), ("reject", "bad-state")]

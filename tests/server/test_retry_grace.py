"""A client that retries with a new authenticator has the same verdict again, where its NAS entry says so (R12)."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import select, update

from radiusd_mfa.radius.wire import Code
from radiusd_mfa.server.daemon import Daemon
from radiusd_mfa.store import schema
from tests.support.taps import Tap, eventually
from tests.support.world import TestNas, TestUser, World

STATION = "192.0.2.7[50001]"
REPEATED = [("accept", "totp"), ("repeat", "repeat")]


@pytest.fixture
def alice(world: World) -> TestUser:
    return world.user(codes=1)


@pytest.fixture
def nas(world: World, daemon: Daemon) -> TestNas:
    world.nas(retry_grace=20.0, challenge=True)
    daemon.refresh()
    return world.client(daemon)


@pytest.fixture
def other_node(world: World, nas: TestNas) -> Iterator[Daemon]:
    with world.daemon() as other:
        assert len(other._table) == 1, f"this node does not know {nas}"
        yield other


def spent(world: World) -> list[tuple[int, bytes | None]]:
    with world.database.reading() as connection:
        methods = connection.execute(select(schema.methods.c.watermark, schema.methods.c.last_request)).fetchall()
        codes = connection.execute(select(schema.backup_codes.c.id, schema.backup_codes.c.last_request)).fetchall()
    return [(row[0], row[1]) for row in (*methods, *codes)]


@pytest.mark.parametrize("kind", ["totp", "backup-code"])
def test_a_retry_is_accepted_again_for_one_code_and_one_accepted_row(
    world: World, alice: TestUser, nas: TestNas, other_node: Daemon, kind: str
) -> None:
    typed = alice.typed() if kind == "totp" else f"hunter2{alice.backup_codes[0].shown}".encode()
    assert nas.ask("alice", typed, station=STATION).code is Code.ACCESS_ACCEPT
    before = spent(world)
    for client in (nas, world.client(other_node)):
        assert client.ask("alice", typed, station="192.0.2.7[50002]").code is Code.ACCESS_ACCEPT
    assert spent(world) == before
    assert world.audit() == [("accept", kind), ("repeat", "repeat"), ("repeat", "repeat")]


@pytest.mark.usefixtures("nas")
@pytest.mark.parametrize("where", ["the same node", "another node"])
def test_a_retry_while_the_first_is_pending_is_accepted_too(world: World, alice: TestUser, where: str) -> None:
    """Both have read the facts before either is settled; the loser of the code is judged again."""
    go_on = threading.Event()

    def wait(_: object) -> None:
        assert go_on.wait(20)

    taps = [Tap(before_settle=wait), Tap(before_settle=wait)]
    with world.daemon(wrap=taps[0].around) as one, world.daemon(wrap=taps[1].around) as other:
        clients = [world.client(one), world.client(one if where == "the same node" else other)]
        asked = [client.request("alice", alice.typed(), station=STATION) for client in clients]
        for client, (octets, _) in zip(clients, asked, strict=True):
            client.send(octets)
        eventually(lambda: len(taps[0].opened) + len(taps[1].opened) == 2)
        go_on.set()
        replies = [client.receive(sent) for client, (_, sent) in zip(clients, asked, strict=True)]
    assert [reply and reply.code for reply in replies] == [Code.ACCESS_ACCEPT] * 2
    assert world.audit() == REPEATED


def test_the_first_is_accepted_where_its_retry_was_settled_before_it(
    world: World, alice: TestUser, other_node: Daemon
) -> None:
    go_on = threading.Event()

    def wait(_: object) -> None:
        assert go_on.wait(20)

    late = Tap(before_settle=wait)
    with world.daemon(wrap=late.around) as slow:
        first, retry = world.client(slow), world.client(other_node)
        octets, authenticator = first.request("alice", alice.typed(), station=STATION)
        first.send(octets)
        eventually(lambda: late.opened)
        assert retry.ask("alice", alice.typed(), station=STATION).code is Code.ACCESS_ACCEPT
        go_on.set()
        reply = first.receive(authenticator)
    assert reply is not None
    assert reply.code is Code.ACCESS_ACCEPT
    assert world.audit() == REPEATED


def test_a_retry_from_another_station_is_refused(world: World, alice: TestUser, nas: TestNas) -> None:
    assert nas.ask("alice", alice.typed(), station=STATION).code is Code.ACCESS_ACCEPT
    for station in ("192.0.2.8[50001]", None):
        assert nas.ask("alice", alice.typed(), station=station).code is Code.ACCESS_REJECT
    assert [outcome for outcome, _ in world.audit()] == ["accept", "reject", "reject"]


def test_a_retry_from_another_nas_is_refused(world: World, alice: TestUser, nas: TestNas, daemon: Daemon) -> None:
    world.nas("other", "127.0.0.2/32", retry_grace=20.0)
    daemon.refresh()
    assert nas.ask("alice", alice.typed()).code is Code.ACCESS_ACCEPT
    assert world.client(daemon, source="127.0.0.2").ask("alice", alice.typed()).code is Code.ACCESS_REJECT
    assert world.audit() == [("accept", "totp"), ("reject", "code-reused")]


@pytest.mark.parametrize("other", ["hunter2 {}", "hunter3{}", "HUNTER2{}", "{}hunter2"])
def test_another_text_with_the_same_code_is_refused(world: World, alice: TestUser, nas: TestNas, other: str) -> None:
    assert nas.ask("alice", alice.typed()).code is Code.ACCESS_ACCEPT
    assert nas.ask("alice", other.format(alice.code()).encode()).code is Code.ACCESS_REJECT
    assert [outcome for outcome, _ in world.audit()] == ["accept", "reject"]


def test_the_same_text_of_another_user_is_refused(world: World, alice: TestUser, nas: TestNas) -> None:
    world.user("bob")
    assert nas.ask("alice", alice.typed()).code is Code.ACCESS_ACCEPT
    assert nas.ask("bob", alice.typed()).code is Code.ACCESS_REJECT
    assert [outcome for outcome, _ in world.audit()] == ["accept", "reject"]


def test_a_retry_after_the_grace_is_refused(world: World, alice: TestUser, nas: TestNas) -> None:
    typed = alice.typed()
    assert nas.ask("alice", typed).code is Code.ACCESS_ACCEPT
    world.execute(update(schema.verifications).values(at=schema.verifications.c.at - 21))
    assert nas.ask("alice", typed).code is Code.ACCESS_REJECT
    assert world.audit() == [("accept", "totp"), ("reject", "code-reused")]


def test_a_repeat_does_not_prolong_the_grace(world: World, alice: TestUser, nas: TestNas) -> None:
    typed = alice.typed()
    assert nas.ask("alice", typed).code is Code.ACCESS_ACCEPT
    world.execute(update(schema.verifications).values(at=schema.verifications.c.at - 15))
    assert nas.ask("alice", typed).code is Code.ACCESS_ACCEPT
    world.execute(update(schema.verifications).values(at=schema.verifications.c.at - 6))
    assert nas.ask("alice", typed).code is Code.ACCESS_REJECT
    assert world.audit() == [*REPEATED, ("reject", "code-reused")]


def test_without_the_setting_there_is_no_grace(world: World, alice: TestUser, daemon: Daemon) -> None:
    world.nas()
    daemon.refresh()
    nas = world.client(daemon)
    assert nas.ask("alice", alice.typed()).code is Code.ACCESS_ACCEPT
    assert nas.ask("alice", alice.typed()).code is Code.ACCESS_REJECT


def disable(alice: TestUser) -> Any:
    return update(schema.users).where(schema.users.c.id == alice.id).values(disabled=True)


def forget_text(alice: TestUser) -> Any:
    return update(schema.verifications).where(schema.verifications.c.user_id == alice.id).values(text=b"12345678")


@pytest.mark.parametrize("change", [disable, forget_text])
def test_a_change_of_the_user_ends_the_grace(
    world: World, alice: TestUser, nas: TestNas, change: Callable[[TestUser], Any]
) -> None:
    assert nas.ask("alice", alice.typed()).code is Code.ACCESS_ACCEPT
    world.execute(change(alice))
    assert nas.ask("alice", alice.typed()).code is Code.ACCESS_REJECT


def test_a_rejected_text_is_not_accepted_by_repeating_it(world: World, alice: TestUser, nas: TestNas) -> None:
    wrong = f"hunter2{(int(alice.code()) + 1) % 10**6:06}".encode()
    for _ in range(3):
        assert nas.ask("alice", wrong).code is Code.ACCESS_REJECT
    assert [outcome for outcome, _ in world.audit()] == ["reject"] * 3


def challenged(nas: TestNas) -> bytes:
    reply = nas.ask("alice", b"hunter2")
    assert reply.code is Code.ACCESS_CHALLENGE
    return reply.state


def test_an_answer_that_is_retried_is_accepted_again(world: World, alice: TestUser, nas: TestNas) -> None:
    state = challenged(nas)
    for _ in range(2):
        assert nas.ask("alice", alice.code().encode(), state=state).code is Code.ACCESS_ACCEPT
    assert world.audit()[1:] == REPEATED


def test_a_code_alone_is_no_retry_of_an_answer(world: World, alice: TestUser, nas: TestNas) -> None:
    """Who looked over the shoulder knows the code, not the password; any State would bring it to the prompt."""
    code = alice.code().encode()
    assert nas.ask("alice", code, state=challenged(nas)).code is Code.ACCESS_ACCEPT
    assert nas.ask("alice", code, state=bytes(16)).code is Code.ACCESS_REJECT
    assert world.audit()[1:] == [("accept", "totp"), ("reject", "bad-state")]


def test_a_repeated_code_leaves_no_second_state_open(world: World, alice: TestUser, nas: TestNas) -> None:
    """One State buys one answer: the second challenge asks for a code that was not given yet."""
    code = alice.code().encode()
    assert nas.ask("alice", code, state=challenged(nas)).code is Code.ACCESS_ACCEPT
    second = challenged(nas)
    assert nas.ask("alice", code, state=second).code is Code.ACCESS_REJECT
    assert nas.ask("alice", alice.code(1).encode(), state=second).code is Code.ACCESS_REJECT
    assert [outcome for outcome, _ in world.audit()].count("accept") == 1

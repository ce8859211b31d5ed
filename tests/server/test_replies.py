"""What a NAS is told, and how: signed first, Proxy-State in order, nothing that it must not be sent (R9, R13)."""

from collections.abc import Callable
from typing import Any

import pytest

from radiusd_mfa.radius.wire import Attribute, Code
from radiusd_mfa.server.daemon import Daemon
from tests.support.packets import build, new_authenticator, none_is_answered, user
from tests.support.world import Reply, TestNas, TestUser, World

PROXY_STATE = int(Attribute.PROXY_STATE)
SIGNED = int(Attribute.MESSAGE_AUTHENTICATOR)


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """Replies are encoded after the database has done its work."""
    return sqlite_url


@pytest.fixture
def alice(world: World) -> TestUser:
    return world.user()


Entry = Callable[..., TestNas]


@pytest.fixture
def entry(world: World, daemon: Daemon) -> Entry:
    """Add a NAS entry with these columns, and return its NAS."""

    def add(**columns: Any) -> TestNas:
        world.nas(**columns)
        daemon.refresh()
        return world.client(daemon)

    return add


def ask(nas: TestNas, typed: bytes, *, signed: bool, reply_signed: bool = False, **options: Any) -> Reply:
    octets, authenticator = nas.request("alice", typed, message_authenticator=signed, **options)
    nas.send(octets)
    reply = nas.receive(authenticator, signed=reply_signed)
    assert reply is not None
    return reply


def kinds(reply: Reply) -> list[int]:
    return [kind for kind, _ in reply.packet.attributes]


def every_reply(nas: TestNas, alice: TestUser, **options: Any) -> dict[Code, Reply]:
    replies = [ask(nas, typed, **options) for typed in (alice.typed(), b"hunter2", b"hunter3")]
    return {reply.code: reply for reply in replies}


def test_message_authenticator_is_required_and_comes_first_by_default(alice: TestUser, entry: Entry) -> None:
    nas = entry(challenge=True)
    unsigned, _ = nas.request("alice", alice.typed(), message_authenticator=False)
    assert none_is_answered(nas, [unsigned])
    replies = every_reply(nas, alice, signed=True, reply_signed=True)
    assert set(replies) == {Code.ACCESS_ACCEPT, Code.ACCESS_REJECT, Code.ACCESS_CHALLENGE}
    assert {kinds(reply)[0] for reply in replies.values()} == {SIGNED}
    assert {kinds(reply).count(SIGNED) for reply in replies.values()} == {1}


@pytest.mark.usefixtures("alice")
@pytest.mark.parametrize(
    ("rule", "of_signed", "of_unsigned"),
    [("always", True, True), ("mirror", True, False), ("never", False, False)],
)
def test_replies_are_signed_as_the_entry_says(entry: Entry, rule: str, of_signed: bool, of_unsigned: bool) -> None:
    nas = entry(message_authenticator="optional", reply_message_authenticator=rule, challenge=True)
    for signed, expected in ((True, of_signed), (False, of_unsigned)):
        replies = [ask(nas, typed, signed=signed) for typed in (b"hunter2", b"hunter3")]
        assert [SIGNED in kinds(reply) for reply in replies] == [expected] * 2


def test_in_optional_a_wrong_signature_is_still_dropped(alice: TestUser, entry: Entry) -> None:
    nas = entry(message_authenticator="optional")
    octets, authenticator = nas.request("alice", alice.typed())
    at = octets.index(bytes((SIGNED, 18))) + 2
    wrong = octets[:at] + bytes(16) + octets[at + 16 :]
    assert none_is_answered(nas, [wrong])
    assert ask(nas, alice.typed(), signed=False).code is Code.ACCESS_ACCEPT
    assert authenticator


def test_proxy_states_are_echoed_in_order_in_every_reply(alice: TestUser, entry: Entry) -> None:
    nas = entry(challenge=True)
    values = [b"first", b"second", b"first", bytes(253), b"\0"]
    attributes = [(PROXY_STATE, value) for value in values]
    for reply in every_reply(nas, alice, signed=True, reply_signed=True, attributes=attributes).values():
        assert reply.values(Attribute.PROXY_STATE) == values
        assert kinds(reply)[-len(values) :] == [PROXY_STATE] * len(values)


def test_as_much_proxy_state_as_is_allowed_fits_into_every_reply(alice: TestUser, entry: Entry) -> None:
    nas = entry(challenge=True)
    attributes = [(PROXY_STATE, bytes(253))] * 8
    replies = every_reply(nas, alice, signed=True, reply_signed=True, attributes=attributes)
    assert {len(reply.values(Attribute.PROXY_STATE)) for reply in replies.values()} == {8}
    assert max(len(reply.octets) for reply in replies.values()) <= 4096


def test_an_unsigned_proxy_state_is_echoed_where_the_entry_allows_it(alice: TestUser, entry: Entry) -> None:
    nas = entry(message_authenticator="optional", allow_proxy_state=True)
    reply = ask(nas, alice.typed(), signed=False, attributes=[(PROXY_STATE, b"SoftEther")])
    assert reply.code is Code.ACCESS_ACCEPT
    assert reply.values(Attribute.PROXY_STATE) == [b"SoftEther"]


def test_no_reply_holds_octets_that_the_user_chose(world: World, entry: Entry) -> None:
    """BlastRADIUS needs them: a name, a station or a State of the request in its reply."""
    world.user("mallory-was-here")
    nas = entry(message_authenticator="optional", challenge=True)
    for typed in (b"hunter2", b"chosen-password", b""):
        octets, authenticator = nas.request(
            "mallory-was-here", typed, station="chosen-station", message_authenticator=False
        )
        nas.send(octets)
        reply = nas.receive(authenticator, signed=False)
        assert reply is not None
        for chosen in (b"mallory", b"chosen"):
            assert chosen not in reply.octets


def test_what_an_entry_omits_is_not_sent(alice: TestUser, entry: Entry) -> None:
    nas = entry(omit="Reply-Message,Attr-27", challenge=True)
    replies = every_reply(nas, alice, signed=True, reply_signed=True, attributes=[(PROXY_STATE, b"p")])
    assert not any(Attribute.REPLY_MESSAGE in kinds(reply) for reply in replies.values())
    assert Attribute.STATE in kinds(replies[Code.ACCESS_CHALLENGE])
    assert all(kinds(reply)[0] == SIGNED for reply in replies.values())
    assert all(reply.values(Attribute.PROXY_STATE) == [b"p"] for reply in replies.values())


@pytest.mark.usefixtures("alice")
def test_every_reject_of_one_nas_looks_the_same(world: World, entry: Entry) -> None:
    world.user("disabled", disabled=True)
    world.user("unenrolled", enrolled=False)
    nas = entry()
    asked = [
        ("alice", b"hunter2"),
        ("alice", b"hunter3"),
        ("alice", b""),
        ("alice", b"hunter2000000"),
        ("nobody", b"hunter2"),
        ("disabled", b"hunter2123456"),
        ("unenrolled", b"hunter2"),
        ("\u202ealice", b"hunter2"),
    ]
    replies = [nas.ask(name, typed) for name, typed in asked]
    assert {reply.code for reply in replies} == {Code.ACCESS_REJECT}
    assert len({tuple(reply.values(Attribute.REPLY_MESSAGE)) for reply in replies}) == 1
    assert len({len(reply.octets) for reply in replies}) == 1


def test_a_status_server_is_answered_with_an_empty_accept(entry: Entry) -> None:
    nas = entry()
    reply = nas.status()
    assert reply is not None
    assert reply.code is Code.ACCESS_ACCEPT
    assert kinds(reply) == [SIGNED]


def test_a_status_server_has_its_proxy_state_echoed(entry: Entry) -> None:
    nas = entry()
    authenticator = new_authenticator()
    pairs = [(PROXY_STATE, b"a"), (SIGNED, bytes(16)), (PROXY_STATE, b"b")]
    nas.send(build(pairs, authenticator=authenticator, code=Code.STATUS_SERVER))
    reply = nas.receive(authenticator)
    assert reply is not None
    assert reply.values(Attribute.PROXY_STATE) == [b"a", b"b"]


def test_a_status_server_signs_nobody_in(world: World, alice: TestUser, entry: Entry) -> None:
    nas = entry()
    authenticator = new_authenticator()
    nas.send(build([(SIGNED, bytes(16)), user()], authenticator=authenticator, code=Code.STATUS_SERVER))
    reply = nas.receive(authenticator)
    assert reply is not None
    assert kinds(reply) == [SIGNED]
    assert world.audit() == []
    assert nas.ask("alice", alice.typed()).code is Code.ACCESS_ACCEPT

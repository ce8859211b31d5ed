"""Packets that must not work, over a running daemon: dropped before any SQL, or refused (ATTACKS 1 to 6 and 10)."""

from collections.abc import Iterator

import pytest

from radiusd_mfa.radius.packet import AccessRequest, NasRules, StatusRequest, read_request
from radiusd_mfa.radius.wire import Attribute, Cause, Code, Packet
from radiusd_mfa.server import intake
from radiusd_mfa.server.daemon import Daemon
from radiusd_mfa.server.drops import FAULT, UNKNOWN_NAS
from tests.support.packets import SIGNATURE, build, new_authenticator, none_is_answered, password, user
from tests.support.taps import Tap, eventually
from tests.support.world import TestNas, TestUser, World

NAS_IP_ADDRESS = 4
PROXY_STATE = int(Attribute.PROXY_STATE)


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """What is dropped or refused for its form never gets as far as a dialect."""
    return sqlite_url


@pytest.fixture
def tap() -> Tap:
    return Tap()


@pytest.fixture
def daemon(world: World, tap: Tap) -> Iterator[Daemon]:
    with world.daemon(wrap=tap.around) as running:
        yield running


@pytest.fixture
def alice(world: World) -> TestUser:
    return world.user(codes=1)


def signed(alice: TestUser, *more: tuple[int, bytes]) -> bytes:
    authenticator = new_authenticator()
    return build(
        [SIGNATURE, user(), password(alice.typed(), authenticator), *more],
        authenticator=authenticator,
    )


def with_length(octets: bytes, length: int) -> bytes:
    return octets[:2] + length.to_bytes(2) + octets[4:]


def malformed(alice: TestUser) -> dict[Cause, list[bytes]]:
    """Sign-ins that would be accepted but for their form."""
    good = signed(alice)
    return {
        Cause.SHORT: [b"", b"\1", good[:19]],
        Cause.LENGTH: [
            with_length(good, 19),
            with_length(good, 0),
            with_length(good, len(good) + 1),
            with_length(good.ljust(4097, b"\0"), 4097),
            with_length(good, 0xFFFF),
        ],
        Cause.ATTRIBUTE_LENGTH: [
            with_length(good, len(good) + 2) + b"\x06\0",
            with_length(good, len(good) + 2) + b"\x06\1",
        ],
        Cause.ATTRIBUTE_OVERRUN: [
            with_length(good, len(good) + 2) + b"\x06\3",
            with_length(good, len(good) + 1) + b"\x06",
        ],
        Cause.TOO_MANY_ATTRIBUTES: [signed(alice, *[(NAS_IP_ADDRESS, b"")] * 250)],
    }


def test_malformed_packets_reach_no_sql_and_get_no_answer(
    alice: TestUser, daemon: Daemon, nas: TestNas, tap: Tap
) -> None:
    packets = malformed(alice)
    for of_one_cause in packets.values():
        assert none_is_answered(nas, of_one_cause)
    assert dict(daemon.drops.counts) == {cause: len(octets) for cause, octets in packets.items()}
    assert tap.opened == []


def test_octets_after_length_and_empty_attributes_say_nothing(alice: TestUser, nas: TestNas) -> None:
    authenticator = new_authenticator()
    pairs = [(NAS_IP_ADDRESS, b""), SIGNATURE, user(), (24, b""), password(alice.typed(), authenticator)]
    nas.send(build(pairs, authenticator=authenticator) + b"\x01\x03?")
    reply = nas.receive(authenticator)
    assert reply is not None
    assert reply.code is Code.ACCESS_ACCEPT


def test_a_request_without_a_right_message_authenticator_reaches_no_sql(
    alice: TestUser, daemon: Daemon, nas: TestNas, tap: Tap
) -> None:
    authenticator = new_authenticator()
    rest = [user(), password(alice.typed(), authenticator)]
    forged = {
        Cause.MESSAGE_AUTHENTICATOR_MISSING: [rest],
        Cause.MESSAGE_AUTHENTICATOR_REPEATED: [[SIGNATURE, *rest, SIGNATURE]],
        Cause.MESSAGE_AUTHENTICATOR_LENGTH: [[(80, b""), *rest], [(80, bytes(15)), *rest], [(80, bytes(17)), *rest]],
        Cause.MESSAGE_AUTHENTICATOR_WRONG: [[(80, bytes([1] * 16)), *rest]],
    }
    for pairs in forged.values():
        assert none_is_answered(nas, [build(each, authenticator=authenticator) for each in pairs])
    wrong_secret = build([SIGNATURE, *rest], authenticator=authenticator, secret=b"another secret")
    assert none_is_answered(nas, [wrong_secret])
    assert dict(daemon.drops.counts) == {
        Cause.MESSAGE_AUTHENTICATOR_MISSING: 1,
        Cause.MESSAGE_AUTHENTICATOR_REPEATED: 1,
        Cause.MESSAGE_AUTHENTICATOR_LENGTH: 3,
        Cause.MESSAGE_AUTHENTICATOR_WRONG: 2,
    }
    assert tap.opened == []


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_message_authenticator_is_accepted_in_any_place(alice: TestUser, nas: TestNas, place: int) -> None:
    authenticator = new_authenticator()
    pairs = [user(), password(alice.typed(), authenticator)]
    pairs.insert(place, SIGNATURE)
    nas.send(build(pairs, authenticator=authenticator))
    reply = nas.receive(authenticator)
    assert reply is not None
    assert reply.code is Code.ACCESS_ACCEPT


def test_a_forged_packet_neither_reads_nor_evicts_an_answer(
    world: World, alice: TestUser, daemon: Daemon, nas: TestNas
) -> None:
    octets, authenticator = nas.request("alice", alice.typed(), identifier=9)
    nas.send(octets)
    accepted = nas.receive(authenticator)
    assert accepted is not None
    # The same Id and authenticator, which would read the answer; and the same Id with another, which would evict it.
    tampered = octets[:-1] + bytes([octets[-1] ^ 1])
    other = octets[:4] + new_authenticator() + octets[20:]
    assert none_is_answered(nas, [tampered, other])
    assert daemon.drops.counts[Cause.MESSAGE_AUTHENTICATOR_WRONG] == 2
    nas.send(octets)
    again = nas.receive(authenticator)
    assert again is not None
    assert again.octets == accepted.octets
    assert world.audit() == [("accept", "totp")]


def test_a_flood_of_strangers_and_forgers_reaches_neither_sql_nor_hash(
    world: World, alice: TestUser, daemon: Daemon, tap: Tap
) -> None:
    world.nas(address="127.0.0.1/32")
    daemon.refresh()
    decent = world.client(daemon)
    stranger = world.client(daemon, source="127.0.0.2")
    forger = world.client(daemon, secret=b"another secret")
    for _ in range(300):
        stranger.send(stranger.request("alice", alice.typed())[0])
        forger.send(forger.request("alice", alice.typed())[0])
    assert eventually(lambda: daemon.drops.counts.total() == 600)
    assert daemon.drops.counts[UNKNOWN_NAS] == 300
    assert daemon.drops.counts[Cause.MESSAGE_AUTHENTICATOR_WRONG] == 300
    assert tap.opened == []  # no facts, no question: nothing asks the hash threads before the facts are read
    assert daemon._pool.waiting == 0
    assert decent.ask("alice", alice.typed()).code is Code.ACCESS_ACCEPT
    assert world.audit() == [("accept", "totp")]


def test_an_unsigned_proxy_state_is_dropped(world: World, alice: TestUser, daemon: Daemon, tap: Tap) -> None:
    world.nas(message_authenticator="optional")
    daemon.refresh()
    nas = world.client(daemon)
    octets, _ = nas.request("alice", alice.typed(), attributes=[(PROXY_STATE, b"p")], message_authenticator=False)
    assert none_is_answered(nas, [octets])
    assert dict(daemon.drops.counts) == {Cause.PROXY_STATE: 1}
    assert tap.opened == []


def test_more_proxy_state_than_a_reply_can_echo_is_dropped(
    alice: TestUser, daemon: Daemon, nas: TestNas, tap: Tap
) -> None:
    octets, _ = nas.request("alice", alice.typed(), attributes=[(PROXY_STATE, bytes(200))] * 12)
    assert none_is_answered(nas, [octets])
    assert dict(daemon.drops.counts) == {Cause.PROXY_STATE_LENGTH: 1}
    assert tap.opened == []


def test_what_a_packet_says_of_its_nas_is_never_believed(world: World, alice: TestUser, daemon: Daemon) -> None:
    world.nas("here", "127.0.0.1/32")
    world.nas("there", "127.0.0.2/32", challenge=True, secret=b"the other secret")
    daemon.refresh()
    nas = world.client(daemon)
    claims = [(NAS_IP_ADDRESS, bytes((127, 0, 0, 2))), (Attribute.NAS_IDENTIFIER, b"there")]
    assert nas.ask(alice.name, b"hunter2", attributes=claims).code is Code.ACCESS_REJECT
    liar = world.client(daemon, secret=b"the other secret")
    assert liar.is_ignored(liar.request("alice", alice.typed(), attributes=claims)[0], timeout=0.2)
    assert world.audit() == [("reject", "code-missing")]


def hidden(length: int) -> tuple[int, bytes]:
    return int(Attribute.USER_PASSWORD), bytes(range(1, length + 1))


@pytest.mark.parametrize(
    "credentials",
    [
        ["right", (int(Attribute.CHAP_PASSWORD), bytes(17))],
        ["right", (int(Attribute.EAP_MESSAGE), b"\x02\1\0\5\1")],
        ["right", "right"],
        ["right", user()],
        ["right", (int(Attribute.STATE), b"a"), (int(Attribute.STATE), b"b")],
        [hidden(0)],
        [hidden(15)],
        [hidden(17)],
        [hidden(129)],
        [hidden(144)],
        [],
    ],
    ids=["CHAP", "EAP", "two passwords", "two names", "two States", "0", "15", "17", "129", "144", "no password"],
)
def test_credentials_that_cannot_be_read_are_refused(
    world: World, alice: TestUser, nas: TestNas, credentials: list[str | tuple[int, bytes]]
) -> None:
    authenticator = new_authenticator()
    right = password(alice.typed(), authenticator)
    pairs = [right if isinstance(each, str) else each for each in credentials]
    nas.send(build([SIGNATURE, user(), *pairs], authenticator=authenticator))
    reply = nas.receive(authenticator)
    assert reply is not None
    assert reply.code is Code.ACCESS_REJECT
    assert world.audit() == [("reject", "unreadable")]
    assert nas.ask("alice", alice.typed()).code is Code.ACCESS_ACCEPT  # it spent nothing and charged nothing


def test_an_unsigned_status_server_and_other_packet_types_are_dropped(world: World, daemon: Daemon, tap: Tap) -> None:
    world.nas(message_authenticator="optional")
    daemon.refresh()
    nas = world.client(daemon)
    authenticator = new_authenticator()
    unsigned = build([], authenticator=authenticator, code=Code.STATUS_SERVER)
    others = [
        build([SIGNATURE, user()], authenticator=authenticator, code=code)
        for code in (0, 2, 3, Code.ACCOUNTING_REQUEST, Code.ACCOUNTING_RESPONSE, 11, 13, 40, 43, 255)
    ]
    assert none_is_answered(nas, [unsigned, *others])
    assert dict(daemon.drops.counts) == {Cause.MESSAGE_AUTHENTICATOR_MISSING: 1, Cause.CODE: len(others)}
    assert tap.opened == []


def test_a_flood_of_status_server_delays_no_sign_in_and_reaches_no_sql(
    alice: TestUser, daemon: Daemon, nas: TestNas, world: World, tap: Tap
) -> None:
    flooder = world.client(daemon)
    authenticator = new_authenticator()
    for identifier in range(256):
        flooder.send(build([SIGNATURE], authenticator=authenticator, identifier=identifier, code=Code.STATUS_SERVER))
    assert nas.ask("alice", alice.typed()).code is Code.ACCESS_ACCEPT
    assert len(tap.opened) == 1


def test_a_defect_that_one_packet_meets_ends_nothing_for_the_others(
    alice: TestUser, daemon: Daemon, nas: TestNas, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stumbling(packet: Packet, rules: NasRules) -> AccessRequest | StatusRequest:
        if b"stumble" in packet.octets:
            raise RuntimeError("a defect")
        return read_request(packet, rules)

    monkeypatch.setattr(intake, "read_request", stumbling)
    octets, authenticator = nas.request("stumble", b"x")
    assert nas.is_ignored(octets, authenticator)
    assert nas.ask("alice", alice.typed()).code is Code.ACCESS_ACCEPT
    assert daemon.drops.counts[FAULT] == 1

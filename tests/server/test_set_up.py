"""A first authenticator, set up by Access-Challenges: nothing of it counts before all of it is done (R6, E3)."""

import os
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from sqlalchemy import func, insert, select, update

from radiusd_mfa.core.names import Username
from radiusd_mfa.core.verdict import Reason
from radiusd_mfa.radius.wire import VALUE_LIMIT, Attribute, Code
from radiusd_mfa.server.daemon import Daemon
from radiusd_mfa.store import schema
from radiusd_mfa.store.administration import AdministrationStore
from radiusd_mfa.store.nas_table import NasTableReader
from radiusd_mfa.usecases import explain
from radiusd_mfa.usecases.admin_ports import AuditFilter
from radiusd_mfa.usecases.ports import Settlement
from radiusd_mfa.usecases.reasons import meaning
from tests.support.clock import Clock
from tests.support.set_ups import Led, code_of, codes_in, key_in
from tests.support.sites import PORTAL, TWELVE_HOURS, Site, limit, member
from tests.support.taps import Tap, eventually
from tests.support.world import Reply, TestNas, World

DIALOGUE: dict[str, Any] = {"challenge": True, "set_up": "dialogue"}
BEGUN = ("challenge", "set-up")
SHOWN = ("challenge", "record-due")
DONE = ("accept", "set-up-done")


@pytest.fixture
def nas(site: Site) -> TestNas:
    return site(**DIALOGUE)


@pytest.fixture
def alice(world: World, clock: Clock) -> Led:
    return Led(world.user(enrolled=False), clock)


@pytest.fixture
def other_node(world: World, nas: TestNas) -> Iterator[Daemon]:
    with world.daemon(portal_url=PORTAL) as other:
        assert len(other._table) == 1, f"this node does not know {nas}"
        yield other


def count(world: World, table: Any, *where: Any) -> int:
    with world.database.reading() as connection:
        return int(connection.execute(select(func.count()).select_from(table).where(*where)).scalar_one())


def nothing_counts(world: World) -> bool:
    """Whether there is no method, no backup code and no Accept."""
    accepted = [row for row in world.audit() if row[0] == "accept"]
    return not accepted and count(world, schema.methods) == 0 and count(world, schema.backup_codes) == 0


def sent_again(nas: TestNas, octets: bytes, authenticator: bytes, server: Daemon | None = None) -> Reply:
    """Send the same datagram from the same port, to this server or another."""
    if server is None:
        nas.send(octets)
    else:
        host, _, port = server.addresses[0].rpartition(":")
        nas.socket.sendto(octets, (host, int(port)))
    reply = nas.receive(authenticator)
    assert reply is not None
    return reply


def test_password_first_code_and_saved_set_up_a_method_that_counts(
    world: World, clock: Clock, alice: Led, nas: TestNas
) -> None:
    alice.password(nas)
    shown = alice.first_code(nas)
    assert nothing_counts(world)
    assert alice.saved(nas).code is Code.ACCESS_ACCEPT
    assert world.audit() == [BEGUN, SHOWN, DONE]
    assert "saved" in shown.message
    assert len(set(alice.codes)) == 10
    assert count(world, schema.methods, schema.methods.c.confirmed_at.is_not(None), schema.methods.c.is_default) == 1
    assert count(world, schema.backup_codes) == 10
    assert count(world, schema.challenges) == 0
    clock.at += 60
    assert nas.ask("alice", alice.user.typed(at=clock.at)).code is Code.ACCESS_ACCEPT
    for code in (alice.codes[0], alice.codes[-1]):
        assert nas.ask("alice", f"hunter2{code}".encode()).code is Code.ACCESS_ACCEPT
        assert nas.ask("alice", f"hunter2{code}".encode()).code is Code.ACCESS_REJECT


def test_the_first_code_is_good_for_nothing_else(world: World, clock: Clock, alice: Led, nas: TestNas) -> None:
    alice.password(nas)
    alice.first_code(nas, offset=1)
    assert alice.saved(nas).code is Code.ACCESS_ACCEPT
    for offset in (0, 1):
        typed = b"hunter2" + code_of(alice.seed, clock.at, offset)
        assert nas.ask("alice", typed).code is Code.ACCESS_REJECT
    assert world.audit()[-1] == ("reject", "code-reused")


def test_each_message_has_room_in_one_attribute(alice: Led, nas: TestNas) -> None:
    for reply in (alice.password(nas), alice.first_code(nas)):
        (only,) = reply.values(Attribute.REPLY_MESSAGE)
        assert len(only) <= VALUE_LIMIT
        assert only.isascii()


def test_the_secret_comes_with_the_page_that_shows_it_as_qr_code(alice: Led, nas: TestNas) -> None:
    message = alice.password(nas).message
    assert PORTAL in message
    assert message.endswith("type the code that it shows.")


def test_a_change_is_recorded_and_the_user_told(world: World, alice: Led, nas: TestNas) -> None:
    world.execute(update(schema.users).values(email="alice@example.org"))
    alice.password(nas)
    alice.first_code(nas)
    alice.saved(nas)
    with world.database.reading() as connection:
        row = connection.execute(select(schema.audit).where(schema.audit.c.kind == "change")).one()
    assert (row.reason, row.outcome, row.user_name, row.actor) == ("mfa-confirm", "done", "alice", "alice")
    assert count(world, schema.outbox) == 1


def test_the_set_up_goes_on_at_another_node_and_after_a_restart(
    world: World, alice: Led, nas: TestNas, other_node: Daemon
) -> None:
    alice.password(nas)
    nas.turn_to(other_node.addresses[0])
    alice.first_code(nas)
    with world.daemon() as restarted:
        nas.turn_to(restarted.addresses[0])
        assert alice.saved(nas).code is Code.ACCESS_ACCEPT
    assert world.audit() == [BEGUN, SHOWN, DONE]


def test_each_packet_sent_again_gets_the_same_octets_there_and_elsewhere(
    world: World, clock: Clock, alice: Led, nas: TestNas, other_node: Daemon
) -> None:
    typed, state, last = alice.user.password.encode(), None, None
    for step in range(3):
        octets, authenticator = nas.request(alice.user.name, typed, state=state)
        nas.send(octets)
        first = nas.receive(authenticator)
        assert first is not None
        for server in (None, other_node):
            assert sent_again(nas, octets, authenticator, server).octets == first.octets
        if step == 0:
            typed, state = code_of(key_in(first.message), clock.at), first.state
        elif step == 1:
            typed, state = b"saved", first.state
        last = first
    assert last is not None
    assert last.code is Code.ACCESS_ACCEPT
    assert world.audit() == [BEGUN, SHOWN, DONE]


def test_neither_secret_nor_codes_are_shown_again_once_they_are_answered(
    world: World, clock: Clock, alice: Led, nas: TestNas, other_node: Daemon
) -> None:
    first = nas.request("alice", b"hunter2")
    shown = sent_again(nas, *first)
    second = nas.request("alice", code_of(key_in(shown.message), clock.at), state=shown.state)
    alice.state = sent_again(nas, *second).state
    assert sent_again(nas, *first, other_node).code is Code.ACCESS_REJECT
    assert alice.saved(nas).code is Code.ACCESS_ACCEPT
    assert sent_again(nas, *second, other_node).code is Code.ACCESS_REJECT
    assert world.audit() == [BEGUN, SHOWN, ("reject", "replayed"), DONE, ("reject", "replayed")]


def test_a_wrong_first_code_ends_the_set_up_and_counts(world: World, clock: Clock, alice: Led, nas: TestNas) -> None:
    for _ in range(5):
        alice.password(nas)
        alice.user.seed = alice.seed
        wrong = alice.user.wrong_code(at=clock.at).encode()
        assert nas.ask("alice", wrong, state=alice.state).code is Code.ACCESS_REJECT
        assert nas.ask("alice", code_of(alice.seed, clock.at), state=alice.state).code is Code.ACCESS_REJECT
        clock.at += 1
    assert world.audit() == [BEGUN, ("reject", "wrong-code"), ("reject", "bad-state")] * 4 + [
        BEGUN,
        ("reject", "wrong-code"),
        ("reject", "throttled"),
    ]
    assert nothing_counts(world)


def test_each_attempt_shows_another_secret(alice: Led, nas: TestNas) -> None:
    assert len({key_in(alice.password(nas).message) for _ in range(3)}) == 3


@pytest.mark.parametrize("typed", [b"", b"sms", b"hunter2", b"\xff", b"ab3de-fgh4k-mnp5q"])
def test_what_is_no_code_ends_the_set_up(world: World, clock: Clock, alice: Led, nas: TestNas, typed: bytes) -> None:
    alice.password(nas)
    assert nas.ask("alice", typed, state=alice.state).code is Code.ACCESS_REJECT
    assert nas.ask("alice", code_of(alice.seed, clock.at), state=alice.state).code is Code.ACCESS_REJECT
    assert nothing_counts(world)


@pytest.mark.parametrize("typed", [b"", b"no", b"save", b"saved!", b"123456", b"\xff", b"hunter2"])
def test_without_saved_nothing_counts(world: World, alice: Led, nas: TestNas, typed: bytes) -> None:
    alice.password(nas)
    alice.first_code(nas)
    assert nas.ask("alice", typed, state=alice.state).code is Code.ACCESS_REJECT
    assert alice.saved(nas).code is Code.ACCESS_REJECT
    assert world.audit()[2:] == [("reject", "not-recorded"), ("reject", "bad-state")]
    assert nothing_counts(world)


def test_saved_may_be_typed_as_people_type(alice: Led, nas: TestNas) -> None:
    alice.password(nas)
    alice.first_code(nas)
    assert nas.ask("alice", b" Saved ", state=alice.state).code is Code.ACCESS_ACCEPT


def test_saved_in_place_of_the_first_code_sets_nothing_up(world: World, alice: Led, nas: TestNas) -> None:
    alice.password(nas)
    assert alice.saved(nas).code is Code.ACCESS_REJECT
    assert nothing_counts(world)


def test_no_stage_is_skipped_by_changing_the_state(world: World, clock: Clock, alice: Led, nas: TestNas) -> None:
    alice.password(nas)
    later = alice.state.replace(b"s1", b"s2", 1)
    assert nas.ask("alice", b"saved", state=later).code is Code.ACCESS_REJECT
    alice.first_code(nas)
    earlier = alice.state.replace(b"s2", b"s1", 1)
    assert nas.ask("alice", code_of(alice.seed, clock.at), state=earlier).code is Code.ACCESS_REJECT
    assert world.audit() == [BEGUN, ("reject", "bad-state"), SHOWN, ("reject", "bad-state")]
    assert nothing_counts(world)


def test_a_state_is_good_once(world: World, clock: Clock, alice: Led, nas: TestNas, other_node: Daemon) -> None:
    alice.password(nas)
    first = alice.state
    alice.first_code(nas)
    assert nas.ask("alice", code_of(alice.seed, clock.at), state=first).code is Code.ACCESS_REJECT
    assert alice.saved(nas).code is Code.ACCESS_ACCEPT
    nas.turn_to(other_node.addresses[0])
    assert alice.saved(nas).code is Code.ACCESS_REJECT
    assert world.audit() == [BEGUN, SHOWN, ("reject", "bad-state"), DONE, ("reject", "bad-state")]
    assert count(world, schema.methods) == 1


@pytest.mark.parametrize("stage", ["first code", "saved"])
def test_the_state_of_somebody_else_is_refused(
    world: World, clock: Clock, alice: Led, nas: TestNas, stage: str
) -> None:
    world.user("mallory", enrolled=False)
    alice.password(nas)
    typed = code_of(alice.seed, clock.at)
    if stage == "saved":
        alice.first_code(nas)
        typed = b"saved"
    assert nas.ask("mallory", typed, state=alice.state).code is Code.ACCESS_REJECT
    assert world.audit()[-1] == ("reject", "bad-state")
    assert nothing_counts(world)


def test_the_state_of_another_nas_is_refused(clock: Clock, alice: Led, nas: TestNas, site: Site) -> None:
    alice.password(nas)
    elsewhere = site(**DIALOGUE)
    assert elsewhere.ask("alice", code_of(alice.seed, clock.at), state=alice.state).code is Code.ACCESS_REJECT


@pytest.mark.parametrize("after", [599, 601])
def test_ten_minutes_are_given_to_each_step(world: World, clock: Clock, alice: Led, nas: TestNas, after: float) -> None:
    alice.password(nas)
    clock.at += after
    reply = nas.ask("alice", code_of(alice.seed, clock.at), state=alice.state)
    assert reply.code is (Code.ACCESS_CHALLENGE if after < 600 else Code.ACCESS_REJECT)
    if after < 600:
        alice.state = reply.state
        clock.at += after
        assert alice.saved(nas).code is Code.ACCESS_ACCEPT
    else:
        assert nothing_counts(world)


def changed_password(world: World) -> None:
    world.user("bob", "another password")
    other = select(schema.users.c.password_hash).where(schema.users.c.name == "bob").scalar_subquery()
    world.execute(update(schema.users).where(schema.users.c.name == "alice").values(password_hash=other))
    world.execute(schema.methods.delete())


def disabled(world: World) -> None:
    world.execute(update(schema.users).values(disabled=True))


def enrolled_by_sms(world: World) -> None:
    values = {"kind": "sms", "created_at": 1.0, "confirmed_at": 2.0, "watermark": 0}
    with world.database.writing() as connection:
        user_id = connection.execute(select(schema.users.c.id)).scalar_one()
        connection.execute(insert(schema.methods).values(user_id=user_id, **values))


@pytest.mark.parametrize("change", [changed_password, disabled, enrolled_by_sms])
@pytest.mark.parametrize("stage", ["first code", "saved"])
def test_what_changes_meanwhile_ends_the_set_up(
    world: World, clock: Clock, alice: Led, nas: TestNas, stage: str, change: Any
) -> None:
    alice.password(nas)
    typed = code_of(alice.seed, clock.at)
    if stage == "saved":
        alice.first_code(nas)
        typed = b"saved"
    change(world)
    assert nas.ask("alice", typed, state=alice.state).code is Code.ACCESS_REJECT
    assert "accept" not in {outcome for outcome, _ in world.audit()}
    assert count(world, schema.methods, schema.methods.c.kind == "totp") == 0


def test_who_leaves_the_team_meanwhile_is_refused(world: World, clock: Clock, site: Site) -> None:
    ops = world.team()
    nas, alice = site(ops, **DIALOGUE), Led(member(world, ops, enrolled=False), clock)
    alice.password(nas)
    alice.first_code(nas)
    world.execute(schema.memberships.delete())
    assert alice.saved(nas).code is Code.ACCESS_REJECT
    assert world.audit()[-1] == ("reject", "not-a-member")
    assert nothing_counts(world)


def test_the_nas_may_be_told_otherwise_meanwhile(
    world: World, clock: Clock, alice: Led, nas: TestNas, node: Daemon
) -> None:
    alice.password(nas)
    world.execute(update(schema.nas).values(set_up="link"))
    node.refresh()
    assert nas.ask("alice", code_of(alice.seed, clock.at), state=alice.state).code is Code.ACCESS_REJECT
    assert world.audit()[-1] == ("reject", "bad-state")


def test_a_method_confirmed_between_judging_and_settling_keeps_the_set_up_out(
    world: World, site: Site, alice: Led
) -> None:
    """Somebody enrols on the page in the very moment; the database decides, and nothing of the set-up remains."""
    nas = site(**DIALOGUE)
    alice.password(nas)
    alice.first_code(nas)
    enrolled: list[bool] = []

    def enrol(settlements: Sequence[Settlement]) -> None:
        if settlements[0].alongside is not None and not enrolled:
            enrolled.append(True)
            enrolled_by_sms(world)

    with world.daemon(wrap=Tap(before_settle=enrol).around) as node:
        nas.turn_to(node.addresses[0])
        assert alice.saved(nas).code is Code.ACCESS_REJECT
    assert enrolled
    assert world.audit() == [BEGUN, SHOWN, ("reject", "bad-state")]
    assert count(world, schema.backup_codes) == 0
    assert count(world, schema.methods, schema.methods.c.kind == "totp") == 0


def test_two_set_ups_at_once_end_in_one_method(
    world: World, clock: Clock, alice: Led, nas: TestNas, node: Daemon, other_node: Daemon
) -> None:
    twin = Led(alice.user, clock)
    for each in (alice, twin):
        each.password(nas)
        each.first_code(nas)
    asked = [nas.request("alice", b"saved", state=each.state)[0] for each in (alice, twin)]

    def both_ended() -> list[tuple[str, str]]:
        # As a NAS does: the one that meets the other's lock may be left to its retransmission.
        for octets, server in zip(asked, (node, other_node), strict=True):
            nas.turn_to(server.addresses[0])
            nas.send(octets)
        rows = [row for row in world.audit() if row[0] != "challenge"]
        return rows if len(rows) > 1 else []

    ended = eventually(both_ended)
    assert sorted(ended) == [DONE, ("reject", "bad-state")]
    assert count(world, schema.methods) == 1
    assert count(world, schema.backup_codes) == 10


def test_twenty_codes_come_in_two_pieces(world: World, clock: Clock, site: Site) -> None:
    ops = world.team(policy="[backup_codes]\ncount = 20\n")
    nas, alice = site(ops, **DIALOGUE), Led(member(world, ops, enrolled=False), clock)
    alice.password(nas)
    first = alice.first_code(nas)
    assert len(codes_in(first.message)) == 10
    second = alice.saved_piece(nas)
    assert "11 to 20 of 20" in second.message
    assert nothing_counts(world)
    assert alice.saved(nas).code is Code.ACCESS_ACCEPT
    assert len(set(alice.codes)) == 20
    for code in (alice.codes[0], alice.codes[19]):
        assert nas.ask("alice", f"hunter2{code}".encode()).code is Code.ACCESS_ACCEPT
    assert world.audit()[:4] == [BEGUN, SHOWN, SHOWN, DONE]


def test_the_longest_piece_has_room_in_one_attribute(world: World, clock: Clock, site: Site) -> None:
    ops = world.team(policy="[backup_codes]\ncount = 20\n")
    nas, alice = site(ops, **DIALOGUE), Led(member(world, ops, enrolled=False), clock)
    alice.password(nas)
    alice.first_code(nas)
    (only,) = alice.saved_piece(nas).values(Attribute.REPLY_MESSAGE)
    assert len(only) <= VALUE_LIMIT


def test_a_single_recovery_code_must_be_recorded_too(world: World, clock: Clock, site: Site) -> None:
    ops = world.team(policy="[backup_codes]\ncount = 1\nreveal = true\n")
    nas, alice = site(ops, **DIALOGUE), Led(member(world, ops, enrolled=False), clock)
    alice.password(nas)
    assert "recovery code" in alice.first_code(nas).message
    assert nothing_counts(world)
    assert alice.saved(nas).code is Code.ACCESS_ACCEPT
    store = AdministrationStore(world.database, world.keys)
    kept = store.view(lambda books: books.codes.revealed(alice.user.id))
    assert [alice.codes[0].replace("-", "")] == list(kept)


def test_the_accept_has_the_limit_of_a_period_which_begins_then(world: World, clock: Clock, site: Site) -> None:
    ops = world.team(policy=TWELVE_HOURS)
    nas, alice = site(ops, **DIALOGUE), Led(member(world, ops, enrolled=False), clock)
    alice.password(nas)
    alice.first_code(nas)
    assert limit(alice.saved(nas)) == 12 * 3600
    clock.at += 60
    assert nas.ask("alice", b"hunter2").code is Code.ACCESS_ACCEPT
    assert world.audit()[-1] == ("accept", "period")


def test_the_word_alone_never_signs_in_within_a_period(world: World, clock: Clock, site: Site) -> None:
    ops = world.team(policy=TWELVE_HOURS)
    nas, alice = site(ops, **DIALOGUE), Led(member(world, ops, enrolled=False), clock)
    alice.password(nas)
    alice.first_code(nas)
    assert alice.saved(nas).code is Code.ACCESS_ACCEPT
    assert nas.ask("alice", b"saved").code is Code.ACCESS_REJECT
    assert alice.saved(nas).code is Code.ACCESS_REJECT


@pytest.mark.parametrize(
    "columns",
    [
        {"set_up": "link", "challenge": True},
        {"set_up": "link"},
        {"set_up": "dialogue"},
        {"set_up": "dialogue", "otp_only": True},
        {"set_up": "dialogue", "otp_only": True, "challenge": True},
    ],
    ids=str,
)
def test_any_other_nas_refuses_and_names_the_page(
    world: World, alice: Led, site: Site, columns: dict[str, Any]
) -> None:
    """Whatever another program writes: without challenges there is no dialogue, and a name alone sets nothing up."""
    nas = site(**columns)
    for typed in (b"hunter2", b"123456", b"hunter2123456"):
        reply = nas.ask(alice.user.name, typed)
        assert reply.code is Code.ACCESS_REJECT
        assert PORTAL in reply.message
    assert count(world, schema.challenges) == 0


@pytest.mark.parametrize("typed", [b"hunter3", b"", b"hunter2123456"])
def test_only_the_password_begins_a_set_up(world: World, alice: Led, nas: TestNas, typed: bytes) -> None:
    reply = nas.ask(alice.user.name, typed)
    assert reply.code is Code.ACCESS_REJECT
    assert count(world, schema.challenges) == 0


@pytest.mark.parametrize(
    ("policy", "outcome", "reason"),
    [
        ("require = []\n", "accept", "not-required"),
        ('mode = "report"\n', "accept", "reported"),
        ("enrol_by = 2999-12-31\n", "accept", "enrol-later"),
        ('[methods]\nallow = ["sms"]\n', "reject", "not-enrolled"),
    ],
)
def test_only_who_must_and_can_is_led(world: World, site: Site, policy: str, outcome: str, reason: str) -> None:
    ops = world.team(policy=policy)
    member(world, ops, enrolled=False)
    site(ops, **DIALOGUE).ask("alice", b"hunter2")
    assert world.audit() == [(outcome, reason)]


def test_who_has_a_method_of_another_kind_adds_none_by_the_password_alone(
    world: World, alice: Led, nas: TestNas
) -> None:
    enrolled_by_sms(world)
    assert nas.ask(alice.user.name, b"hunter2").code is Code.ACCESS_CHALLENGE
    assert world.audit() == [("challenge", "sms-sent")]
    assert count(world, schema.challenges, schema.challenges.c.kind != "code") == 0, "none that leads to a set-up"


def test_who_gave_a_second_factor_up_is_led_to_a_new_one(world: World, clock: Clock, nas: TestNas) -> None:
    """K4: at the next sign-in, and earlier backup codes stay worthless."""
    bob = Led(world.user("bob", enrolled=False, enrolled_before=True, codes=1), clock)
    old = bob.user.backup_codes[0].shown
    bob.password(nas)
    bob.first_code(nas)
    assert bob.saved(nas).code is Code.ACCESS_ACCEPT
    assert nas.ask("bob", f"hunter2{old}".encode()).code is Code.ACCESS_REJECT


def test_a_nas_that_is_removed_meanwhile_spoils_no_batch(world: World, alice: Led, nas: TestNas) -> None:
    """Settled for an entry that is gone, the challenge is given up alone."""

    def remove(_: Sequence[Settlement]) -> None:
        world.execute(schema.nas.delete())

    with world.daemon(wrap=Tap(before_settle=remove).around) as node:
        nas.turn_to(node.addresses[0])
        octets, authenticator = nas.request(alice.user.name, b"hunter2")
        assert nas.is_ignored(octets, authenticator)
    assert world.audit() == []


def test_every_packet_of_a_set_up_can_be_explained(world: World, alice: Led, nas: TestNas) -> None:
    """Weighed again from what is recorded, each comes to the verdict that was sent."""
    alice.password(nas)
    alice.first_code(nas)
    alice.saved(nas)
    alice.saved(nas)
    store = AdministrationStore(world.database, world.keys)
    entries = store.view(lambda books: books.audit.list(AuditFilter(users=("alice",), kind="sign-in")))
    told = [explain.row(entry.id, store=store) for entry in entries]
    assert [isinstance(each, explain.Explained) and each.agrees for each in told] == [True] * 4
    assert all(meaning(entry.reason) for entry in entries)


@pytest.mark.parametrize(("set_up", "reason"), [("dialogue", Reason.SET_UP), ("link", Reason.NOT_ENROLLED)])
def test_explain_says_who_would_be_led(world: World, alice: Led, site: Site, set_up: str, reason: Reason) -> None:
    site(challenge=True, set_up=set_up)
    (entry,) = NasTableReader(world.database, world.keys).read()
    (prospect,) = explain.prospects(
        Username(alice.user.name), [entry], store=world.sign_in_store(), clock=alice.clock, entropy=os.urandom
    )
    assert prospect.alone.reason is reason
    assert count(world, schema.challenges) == 0

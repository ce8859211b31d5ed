"""Codes by SMS at a sign-in (R4): sent after the right password, brought by a real gateway, good once, on any node."""

import threading
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any, Final

import pytest
from sqlalchemy import delete, update

from radiusd_mfa.core.facts import Nas
from radiusd_mfa.core.sms_codes import LIFETIME, MOST_AN_HOUR, PAUSE
from radiusd_mfa.radius.wire import Attribute, Code
from radiusd_mfa.server.daemon import Daemon
from radiusd_mfa.store import schema
from radiusd_mfa.store.sign_ins import SignIns
from radiusd_mfa.usecases.ports import Settlement
from tests.support.attempts import Desk
from tests.support.clock import Clock
from tests.support.phones import ENDING, NUMBER, Post, add_phone, wrong
from tests.support.post import gateway
from tests.support.sites import TWELVE_HOURS, Site, member
from tests.support.taps import Tap
from tests.support.world import Reply, TestNas, TestUser, World

ACCEPT, REJECT, CHALLENGE = Code.ACCESS_ACCEPT, Code.ACCESS_REJECT, Code.ACCESS_CHALLENGE
OTHER_NUMBER: Final = "+4915187654321"
ONLY_APPS: Final = '[[require]]\nevery = "connection"\n[methods]\nallow = ["totp"]\n'
ONLY_SMS: Final = '[[require]]\nevery = "connection"\n[methods]\nallow = ["sms"]\n'


@pytest.fixture
def post(world: World, clock: Clock) -> Iterator[Post]:
    with gateway() as running:
        yield Post(world, running, clock)


@pytest.fixture
def alice(world: World) -> TestUser:
    """Alice has nothing but a phone, and her backup codes."""
    made = world.user(enrolled=False, enrolled_before=True, codes=2)
    add_phone(world, made)
    return made


@pytest.fixture
def bob(world: World) -> TestUser:
    """Bob has an authenticator, which he prefers, and a phone."""
    made = world.user("bob")
    add_phone(world, made, OTHER_NUMBER, is_default=False)
    return made


@pytest.fixture
def asking(site: Site) -> TestNas:
    """A NAS that can show challenges."""
    return site(challenge=True)


@pytest.fixture
def plain(site: Site) -> TestNas:
    """A NAS that can't."""
    return site()


def elsewhere(world: World, nas: TestNas, other: Daemon) -> TestNas:
    """Give the same NAS another socket, which asks another node."""
    return world.client(other, source=nas.socket.getsockname()[0])


def reasons(world: World) -> list[str]:
    return [reason for _, reason in world.audit()]


def only_row(post: Post, table: Any) -> Any:
    (row,) = post.rows(table)
    return row


# Nothing is sent to whoever does not give the password, and nothing but the code that was sent lets anybody in.


@pytest.mark.usefixtures("alice")
def test_a_wrong_password_sends_nothing_and_is_answered_like_everybodys(
    world: World, asking: TestNas, plain: TestNas, post: Post
) -> None:
    world.user("carol")
    for nas in (asking, plain):
        told = nas.ask("alice", b"hunter3")
        assert told.code is REJECT
        for name in ("carol", "nobody"):
            other = nas.ask(name, b"hunter3")
            assert [value for kind, value in other.packet.attributes if kind == Attribute.REPLY_MESSAGE] == told.values(
                Attribute.REPLY_MESSAGE
            )
            assert len(other.octets) == len(told.octets)
    assert post.count == 0


@pytest.mark.usefixtures("alice")
def test_a_wrong_code_does_not_sign_in_and_is_no_longer_asked_about(world: World, asking: TestNas, post: Post) -> None:
    state = asking.ask("alice", b"hunter2").state
    code = post.code()
    assert asking.ask("alice", wrong(code).encode(), state=state).code is REJECT
    assert asking.ask("alice", code.encode(), state=state).code is REJECT
    assert reasons(world) == ["sms-sent", "wrong-code", "bad-state"]


@pytest.mark.usefixtures("alice")
def test_a_code_that_was_used_is_worthless(world: World, plain: TestNas, post: Post) -> None:
    plain.ask("alice", b"hunter2")
    typed = f"hunter2{post.code()}".encode()
    assert plain.ask("alice", typed).code is ACCEPT
    assert plain.ask("alice", typed).code is REJECT
    assert reasons(world) == ["sms-sent", "sms", "wrong-code"]


@pytest.mark.usefixtures("alice")
def test_a_code_is_worthless_after_ten_minutes(world: World, plain: TestNas, post: Post, clock: Clock) -> None:
    plain.ask("alice", b"hunter2")
    typed = f"hunter2{post.code()}".encode()
    clock.at += LIFETIME
    assert plain.ask("alice", typed).code is REJECT
    clock.at -= 0.5
    assert plain.ask("alice", typed).code is REJECT  # known to be wrong
    assert reasons(world) == ["sms-sent", "wrong-code", "known-wrong"]


@pytest.mark.usefixtures("alice")
def test_a_newer_code_makes_the_one_before_worthless(plain: TestNas, post: Post, clock: Clock) -> None:
    plain.ask("alice", b"hunter2")
    first = post.code()
    clock.at += PAUSE
    plain.ask("alice", b"hunter2")
    second = post.code()
    assert plain.ask("alice", f"hunter2{first}".encode()).code is REJECT
    assert plain.ask("alice", f"hunter2{second}".encode()).code is ACCEPT


@pytest.mark.usefixtures("alice")
def test_the_code_of_one_user_is_nothing_to_another(world: World, plain: TestNas, post: Post) -> None:
    carol = world.user("carol", enrolled=False, enrolled_before=True)
    add_phone(world, carol, OTHER_NUMBER)
    plain.ask("alice", b"hunter2")
    plain.ask("carol", b"hunter2")
    codes = dict(post.delivered())
    assert plain.ask("alice", f"hunter2{codes[OTHER_NUMBER]}".encode()).code is REJECT
    assert plain.ask("alice", f"hunter2{codes[NUMBER]}".encode()).code is ACCEPT
    assert plain.ask("carol", f"hunter2{codes[OTHER_NUMBER]}".encode()).code is ACCEPT


def test_a_code_dies_with_its_phone(world: World, alice: TestUser, plain: TestNas, post: Post) -> None:
    plain.ask("alice", b"hunter2")
    code = post.code()
    world.execute(delete(schema.methods).where(schema.methods.c.kind == "sms"))
    add_phone(world, alice)
    assert plain.ask("alice", f"hunter2{code}".encode()).code is REJECT


@pytest.mark.usefixtures("alice")
def test_a_phone_that_is_not_confirmed_gets_nothing_and_lets_nobody_in(
    world: World, asking: TestNas, post: Post
) -> None:
    world.execute(update(schema.methods).values(confirmed_at=None))
    assert asking.ask("alice", b"hunter2").code is REJECT
    assert post.count == 0
    assert reasons(world) == ["not-enrolled"]


# With challenge = on.


@pytest.mark.usefixtures("alice")
def test_the_challenge_says_that_a_code_was_sent_and_shows_the_end_of_the_number_only(
    world: World, asking: TestNas, post: Post
) -> None:
    reply = asking.ask("alice", b"hunter2")
    assert reply.code is CHALLENGE
    assert "sent to your phone" in reply.message
    assert ENDING in reply.message
    assert NUMBER[-4:] not in reply.message
    assert post.delivered()[0][0] == NUMBER
    assert asking.ask("alice", post.code().encode(), state=reply.state).code is ACCEPT
    assert world.audit() == [("challenge", "sms-sent"), ("accept", "sms")]


@pytest.mark.usefixtures("alice")
def test_what_was_used_is_taken_down(asking: TestNas, post: Post, clock: Clock) -> None:
    state = asking.ask("alice", b"hunter2").state
    assert only_row(post, schema.sms_codes).digest is not None
    clock.at += 20
    asking.ask("alice", post.code().encode(), state=state)
    method, kept = only_row(post, schema.methods), only_row(post, schema.sms_codes)
    assert method.last_used_at == clock.at
    assert kept.digest is None
    audited = [row.detail for row in post.rows(schema.audit)]
    assert audited == [None, f'{{"method": {method.id}}}']


@pytest.mark.usefixtures("alice")
def test_another_node_takes_the_code(world: World, asking: TestNas, post: Post) -> None:
    state = asking.ask("alice", b"hunter2").state
    with world.daemon() as other:
        assert elsewhere(world, asking, other).ask("alice", post.code().encode(), state=state).code is ACCEPT


def test_sms_typed_at_the_prompt_sends_one_to_whoever_has_a_phone(
    world: World, bob: TestUser, asking: TestNas, post: Post
) -> None:
    first = asking.ask("bob", b"hunter2")
    assert "Type sms" in first.message
    assert post.count == 0
    second = asking.ask("bob", b"SMS", state=first.state)
    assert second.code is CHALLENGE
    assert second.state != first.state
    assert OTHER_NUMBER[-3:] in second.message
    assert asking.ask("bob", bob.code().encode(), state=first.state).code is REJECT  # one State, one answer
    third = asking.ask("bob", b"hunter2")
    assert asking.ask("bob", post.code().encode(), state=second.state).code is ACCEPT
    assert third.code is CHALLENGE
    assert reasons(world) == ["code-due", "sms-sent", "bad-state", "code-due", "sms"]


def test_the_authenticator_still_answers_after_a_code_was_sent(
    world: World, bob: TestUser, asking: TestNas, post: Post, clock: Clock
) -> None:
    state = asking.ask("bob", b"hunter2").state
    state = asking.ask("bob", b"sms", state=state).state
    assert asking.ask("bob", bob.code(at=clock.at).encode(), state=state).code is ACCEPT
    assert reasons(world)[-1] == "totp"
    assert post.count == 1


def test_whoever_has_no_phone_is_not_told_of_it_and_gets_nothing(world: World, asking: TestNas, post: Post) -> None:
    world.user("carol")
    reply = asking.ask("carol", b"hunter2")
    assert "sms" not in reply.message
    assert asking.ask("carol", b"sms", state=reply.state).code is REJECT
    assert reasons(world) == ["code-due", "code-missing"]
    assert post.count == 0


def test_a_backup_code_answers_as_well(alice: TestUser, asking: TestNas, post: Post) -> None:
    state = asking.ask("alice", b"hunter2").state
    assert asking.ask("alice", alice.backup_codes[0].shown.encode(), state=state).code is ACCEPT
    assert post.count == 1


# Without it.


@pytest.mark.usefixtures("alice")
def test_the_reject_says_that_a_code_was_sent_and_to_append_it(world: World, plain: TestNas, post: Post) -> None:
    reply = plain.ask("alice", b"hunter2")
    assert reply.code is REJECT
    assert f"sent to your phone ending in {ENDING}" in reply.message
    assert "right after it" in reply.message
    assert plain.ask("alice", f"hunter2{post.code()}".encode()).code is ACCEPT
    assert world.audit() == [("reject", "sms-sent"), ("accept", "sms")]


@pytest.mark.usefixtures("bob")
def test_who_prefers_the_authenticator_is_sent_nothing_unasked(plain: TestNas, post: Post) -> None:
    assert "sent" not in plain.ask("bob", b"hunter2").message
    assert post.count == 0


WAYS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "appended": ("{password}{code}", {}),
    "comma": ("{password},{code}", {"separators": ",; "}),
    "first": ("{code}{password}", {"code_first": True}),
    "first with space": ("{code} {password}", {"code_first": True, "separators": " "}),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("password", ["hunter2", "pw123456", "a,b;c d", "12345678"])
def test_the_code_is_typed_as_the_entry_says(world: World, site: Site, post: Post, way: str, password: str) -> None:
    """A password that ends in digits is tried as a whole, too, and nothing is spent by the reading that loses."""
    template, columns = WAYS[way]
    nas, carol = site(**columns), world.user("carol", password, enrolled=False, enrolled_before=True)
    add_phone(world, carol)
    assert nas.ask("carol", password.encode()).code is REJECT
    typed = template.format(password=password, code=post.code())
    assert nas.ask("carol", typed.encode()).code is ACCEPT
    assert reasons(world) == ["sms-sent", "sms"]


def scrv1(password: str, response: str) -> bytes:
    return ":".join(["SCRV1", *(b64encode(part.encode()).decode() for part in (password, response))]).encode()


@pytest.mark.usefixtures("bob")
def test_openvpn_static_challenge_asks_for_a_code_and_brings_it(plain: TestNas, post: Post) -> None:
    """Its prompt stands beside the password, so `sms` can be typed there by whoever prefers the authenticator."""
    assert "sent to your phone" in plain.ask("bob", scrv1("hunter2", "sms")).message
    assert plain.ask("bob", scrv1("hunter3", "sms")).code is REJECT
    assert plain.ask("bob", scrv1("hunter2", post.code())).code is REJECT  # the wrong password has its delay
    assert post.count == 1


@pytest.mark.usefixtures("alice")
def test_openvpn_static_challenge_with_the_code(plain: TestNas, post: Post) -> None:
    plain.ask("alice", scrv1("hunter2", ""))
    assert plain.ask("alice", scrv1("hunter2", post.code())).code is ACCEPT


# How often.


@pytest.mark.usefixtures("alice")
def test_where_none_may_be_sent_now_the_challenge_says_so_and_the_last_one_is_good(
    world: World, asking: TestNas, post: Post, clock: Clock
) -> None:
    asking.ask("alice", b"hunter2")
    code = post.code()
    clock.at += PAUSE - 1
    reply = asking.ask("alice", b"hunter2")
    assert reply.code is CHALLENGE
    assert "No other code can be sent" in reply.message
    again = asking.ask("alice", b"sms", state=reply.state)
    assert again.code is CHALLENGE
    assert post.count == 1
    assert asking.ask("alice", code.encode(), state=again.state).code is ACCEPT
    assert reasons(world) == ["sms-sent", "sms-not-now", "sms-not-now", "sms"]


@pytest.mark.usefixtures("alice")
def test_five_an_hour_are_sent_whatever_is_asked_and_wherever(
    asking: TestNas, plain: TestNas, post: Post, clock: Clock
) -> None:
    for number in range(MOST_AN_HOUR + 2):
        (asking, plain)[number % 2].ask("alice", b"hunter2")
        clock.at += PAUSE
    assert post.count == MOST_AN_HOUR
    assert "No other code" in plain.ask("alice", b"hunter2").message
    clock.at += 3_600
    assert "was sent" in plain.ask("alice", b"hunter2").message


@pytest.mark.usefixtures("alice")
def test_asking_for_codes_opens_no_closed_account(world: World, asking: TestNas, post: Post, clock: Clock) -> None:
    """Five wrong codes close it, whatever new challenges and new codes there are (ATTACKS 15)."""
    state = asking.ask("alice", b"hunter2").state
    for number in range(5):
        code = post.code()
        clock.at += PAUSE
        state = asking.ask("alice", b"sms", state=state).state
        assert asking.ask("alice", f"{(int(code) + number + 7) % 10**6:06}".encode(), state=state).code is REJECT
        if number < 4:
            state = asking.ask("alice", b"hunter2").state
    assert asking.ask("alice", b"hunter2").code is REJECT
    assert asking.ask("alice", f"hunter2{post.code()}".encode()).code is REJECT
    assert reasons(world)[-2:] == ["throttled", "throttled"]
    assert reasons(world).count("wrong-code") == 5


# What else the team's policy, the NAS entry and the name say.


def test_where_the_policy_does_not_allow_sms_none_is_sent_and_none_counts(world: World, site: Site, post: Post) -> None:
    """Also a code that was sent while it did."""
    team = world.team(policy=None)
    bob = member(world, team, "bob")
    phone = add_phone(world, bob)
    asking = site(team, challenge=True)
    state = asking.ask("bob", b"hunter2").state
    code = post.code()
    world.execute(update(schema.teams).values(policy=ONLY_APPS, policy_version=1))
    assert asking.ask("bob", code.encode(), state=state).code is REJECT
    reply = asking.ask("bob", b"hunter2")
    assert "sms" not in reply.message
    assert asking.ask("bob", b"sms", state=reply.state).code is REJECT
    assert phone
    assert post.count == 1
    assert reasons(world) == ["sms-sent", "wrong-code", "code-due", "code-missing"]


def test_where_only_sms_counts_it_is_sent_to_whoever_prefers_another_method(
    world: World, site: Site, post: Post
) -> None:
    team = world.team(policy=ONLY_SMS)
    bob = member(world, team, "bob")
    add_phone(world, bob, is_default=False)
    nas = site(team)
    assert "sent to your phone" in nas.ask("bob", b"hunter2").message
    assert nas.ask("bob", bob.typed()).code is REJECT
    assert nas.ask("bob", f"hunter2{post.code()}".encode()).code is ACCEPT


def test_a_code_by_sms_begins_a_period_in_which_none_is_sent(
    world: World, site: Site, post: Post, clock: Clock
) -> None:
    team = world.team(policy=TWELVE_HOURS)
    carol = member(world, team, "carol", enrolled=False, enrolled_before=True)
    add_phone(world, carol)
    nas = site(team)
    nas.ask("carol", b"hunter2")
    typed = f"hunter2{post.code()}".encode()
    assert nas.ask("carol", typed).code is ACCEPT
    clock.at += 3_600
    assert nas.ask("carol", b"hunter2").code is ACCEPT
    assert nas.ask("carol", typed).code is ACCEPT  # R11: the very text, whose code is spent
    assert post.count == 1
    clock.at += 12 * 3_600
    assert nas.ask("carol", b"hunter2").code is REJECT
    assert post.count == 2
    assert reasons(world) == ["sms-sent", "sms", "period", "period", "sms-sent"]


def test_a_realm_leads_to_the_same_phone(world: World, site: Site, post: Post) -> None:
    team = world.team(realms=["corp"])
    carol = member(world, team, "carol", enrolled=False, enrolled_before=True)
    add_phone(world, carol)
    nas = site()
    nas.ask("carol@corp", b"hunter2")
    assert nas.ask("CORP\\carol", f"hunter2{post.code()}".encode()).code is ACCEPT


@pytest.mark.parametrize("policy", ['mode = "report"\n', "enrol_by = 2099-01-01\n"], ids=["report", "enrol_by"])
def test_a_policy_that_stops_nobody_yet_asks_whoever_has_a_phone(
    world: World, site: Site, post: Post, policy: str
) -> None:
    team = world.team(policy=policy + TWELVE_HOURS)
    carol = member(world, team, "carol", enrolled=False, enrolled_before=True)
    add_phone(world, carol)
    nas = site(team)
    assert nas.ask("carol", b"hunter2").code is REJECT
    assert nas.ask("carol", f"hunter2{post.code()}".encode()).code is ACCEPT


@pytest.mark.usefixtures("alice")
def test_an_otp_only_nas_that_shows_no_challenge_sends_nothing_and_takes_codes(
    site: Site, plain: TestNas, post: Post
) -> None:
    """Whoever reaches such a NAS may not have given any password yet: nothing is sent from there."""
    otp_only = site(otp_only=True)
    for typed in (b"sms", b"", b"hunter2"):
        assert otp_only.ask("alice", typed).code is REJECT
    assert post.count == 0
    plain.ask("alice", b"hunter2")
    assert otp_only.ask("alice", post.code().encode()).code is ACCEPT


@pytest.mark.usefixtures("alice")
def test_an_otp_only_nas_that_shows_challenges_has_a_code_sent_when_it_is_asked_to(
    world: World, site: Site, post: Post
) -> None:
    nas = site(otp_only=True, challenge=True)
    assert nas.ask("alice", b"").code is REJECT
    assert post.count == 0
    reply = nas.ask("alice", b"sms")
    assert reply.code is CHALLENGE
    assert nas.ask("alice", post.code().encode(), state=reply.state).code is ACCEPT
    assert reasons(world) == ["code-missing", "sms-sent", "sms"]


def test_digits_that_are_a_step_of_the_authenticator_and_the_code_too_sign_in_twice(
    world: World, bob: TestUser, asking: TestNas, post: Post, clock: Clock
) -> None:
    """Each is spent once: first the step, then the code that was sent."""
    state = asking.ask("bob", b"hunter2").state
    asking.ask("bob", b"sms", state=state)
    code = bob.code(at=clock.at)
    sent = only_row(post, schema.sms_codes)
    made_of = (str(bob.id).encode(), str(sent.method_id).encode(), sent.sent_at.hex().encode(), code.encode())
    world.execute(update(schema.sms_codes).values(digest=world.keys.digest("sms-code", *made_of)))
    told = [asking.ask("bob", f"hunter2{code}".encode()).code for _ in range(3)]
    assert told == [ACCEPT, ACCEPT, REJECT]
    assert reasons(world)[2:] == ["totp", "sms", "code-reused"]


def test_a_password_that_looks_like_password_and_code_spends_nothing(world: World, plain: TestNas, post: Post) -> None:
    """The whole text is the password, and its end happens to be the code: the reading that loses spends nothing."""
    carol = world.user("carol", "hunter2123456", enrolled=False, enrolled_before=True)
    add_phone(world, carol)
    plain.ask("carol", b"hunter2123456")
    sent = only_row(post, schema.sms_codes)
    made_of = (str(carol.id).encode(), str(sent.method_id).encode(), sent.sent_at.hex().encode(), b"123456")
    world.execute(update(schema.sms_codes).values(digest=world.keys.digest("sms-code", *made_of)))
    assert plain.ask("carol", b"hunter2123456").code is REJECT
    assert only_row(post, schema.sms_codes).digest is not None
    assert plain.ask("carol", b"hunter2123456123456").code is ACCEPT


# Retransmissions, and the same at once on two nodes.


def answer_to(nas: TestNas, octets: bytes, authenticator: bytes, server: Daemon) -> Reply:
    nas.turn_to(server.addresses[0])
    nas.send(octets)
    reply = nas.receive(authenticator)
    assert reply is not None
    return reply


@pytest.mark.parametrize("challenge", [True, False])
@pytest.mark.usefixtures("alice")
def test_a_retransmission_sends_nothing_again_and_has_the_same_octets_on_any_node(
    world: World, site: Site, node: Daemon, post: Post, challenge: bool
) -> None:
    nas = site(challenge=challenge)
    octets, authenticator = nas.request("alice", b"hunter2")
    with world.daemon(portal_url="https://mfa.example.net/") as other:
        told = [answer_to(nas, octets, authenticator, server) for server in (node, node, other)]
    assert len({reply.octets for reply in told}) == 1
    assert ENDING in told[0].message
    assert post.count == 1
    assert reasons(world) == ["sms-sent"]


@pytest.mark.usefixtures("bob")
def test_a_retransmission_of_the_word_sends_nothing_again(
    world: World, asking: TestNas, node: Daemon, post: Post
) -> None:
    state = asking.ask("bob", b"hunter2").state
    octets, authenticator = asking.request("bob", b"sms", state=state)
    with world.daemon() as other:
        told = [answer_to(asking, octets, authenticator, server) for server in (node, other)]
    assert told[0].octets == told[1].octets
    assert post.count == 1
    asking.turn_to(node.addresses[0])
    assert asking.ask("bob", post.code().encode(), state=told[1].state).code is ACCEPT


class Meeting:
    """Holds what two nodes have judged until both have, once."""

    def __init__(self) -> None:
        self._barrier, self._met = threading.Barrier(2), threading.local()

    def __call__(self, _: Sequence[Settlement]) -> None:
        if not getattr(self._met, "once", False):
            self._met.once = True
            self._barrier.wait(20)

    def ask(self, world: World, nas: TestNas, texts: Sequence[bytes], user: str = "alice") -> list[Code]:
        """Ask two nodes, both of which judge before either settles."""
        with ExitStack() as stack:
            nodes = [stack.enter_context(world.daemon(wrap=Tap(before_settle=self).around)) for _ in range(2)]
            clients = [elsewhere(world, nas, each) for each in nodes]
            asked = [client.request(user, typed) for client, typed in zip(clients, texts, strict=True)]
            for client, (octets, _) in zip(clients, asked, strict=True):
                client.send(octets)
            replies = [client.receive(sent) for client, (_, sent) in zip(clients, asked, strict=True)]
        return sorted(reply.code for reply in replies if reply is not None)


@pytest.mark.usefixtures("alice")
def test_one_code_at_two_nodes_at_once_is_one_accept(world: World, plain: TestNas, post: Post) -> None:
    plain.ask("alice", b"hunter2")
    typed = f"hunter2{post.code()}".encode()
    assert Meeting().ask(world, plain, [typed, typed]) == [ACCEPT, REJECT]
    assert sorted(reasons(world)) == ["sms", "sms-sent", "wrong-code"]


@pytest.mark.usefixtures("alice")
def test_two_nodes_at_once_send_one_code(world: World, plain: TestNas, post: Post) -> None:
    assert Meeting().ask(world, plain, [b"hunter2", b"hunter2"]) == [REJECT, REJECT]
    assert post.count == 1
    assert sorted(reasons(world)) == ["sms-not-now", "sms-sent"]


def test_who_is_disabled_before_the_code_is_sent_is_sent_none(
    world: World, alice: TestUser, plain: TestNas, post: Post
) -> None:
    def disable(*_: object) -> None:
        with world.database.writing() as connection:
            connection.execute(update(schema.users).where(schema.users.c.id == alice.id).values(disabled=True))

    with world.daemon(wrap=Tap(before_settle=disable).around) as other:
        assert elsewhere(world, plain, other).ask("alice", b"hunter2").code is REJECT
    assert post.count == 0
    assert reasons(world) == ["disabled"]


def test_a_code_that_nobody_can_read_leaves_its_user_alone_without_an_answer(
    world: World, alice: TestUser, bob: TestUser, plain: TestNas
) -> None:
    if world.database.dialect != "sqlite":
        pytest.skip("PostgreSQL keeps no words where a number belongs")
    plain.ask("alice", b"hunter2")
    with world.database.writing() as connection:
        connection.exec_driver_sql("UPDATE sms_codes SET sent_at = 'yesterday'")
    desk = Desk(world, SignIns(world.database, world.keys), Nas(1, "gate", "vpn"))
    of_alice, of_bob = desk.store.open([desk.attempt(user, b"hunter2123456") for user in (alice, bob)])
    assert "yesterday" in of_alice.fault
    assert of_bob.phones is not None

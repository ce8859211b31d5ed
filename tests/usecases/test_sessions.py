"""What may still be running of a user, and its end."""

from collections.abc import Sequence

import pytest

from radiusd_mfa.core.circumstances import Circumstances, Place
from radiusd_mfa.core.names import Username
from radiusd_mfa.core.verdict import Found
from radiusd_mfa.store import schema
from radiusd_mfa.usecases import nas, realms, sessions
from radiusd_mfa.usecases.actors import OPERATOR, Actor
from radiusd_mfa.usecases.changes import Refusal
from radiusd_mfa.usecases.nas import Wanted, Written
from radiusd_mfa.usecases.sessions import Listing, Scope, Target, Told
from tests.support.acting import colleague, join, team
from tests.support.administered import Refuses, World

HALF_A_DAY = 43_200.0
PERIOD = '[[require]]\nroles = ["owner", "admin", "member"]\nsurfaces = ["vpn"]\nevery = "12h"\n'
SECRET = b"a shared secret"


def _accept(world: World, user: Username, gate: str = "gate", *, ago: float = 60.0, place: Place | None = None) -> None:
    """Leave behind the row of an accepted sign-in."""
    at = world.clock.now - ago
    facts = Circumstances(at, "vpn", Found.TOTP, places=(place,) if place else ()).written()
    world.insert(
        schema.audit,
        at=at,
        kind="sign-in",
        request=f"{user.text} {gate} {at}".encode(),
        user_name=user.text,
        nas_name=gate,
        surface="vpn",
        device="laptop",
        outcome="accept",
        reason="totp",
        facts=facts,
    )


def _gate(world: World, name: str = "gate", address: str = "192.0.2.1", **settings: object) -> None:
    wanted = Wanted(name, {"address": f"{address}/32" if "/" not in address else address, "surface": "vpn"} | settings)
    made = nas.add(Wanted(name, wanted.settings, secret=SECRET), **world.needs)
    assert isinstance(made, Written), made


class Asked:
    """Stands where packets would go out, and says yes unless told otherwise."""

    def __init__(self, *, done: bool = True, said: str = "done") -> None:
        self.targets: list[Target] = []
        self.answer = (done, said)

    def __call__(self, name: str, target: Target) -> tuple[bool, str]:
        assert name == "alice"
        self.targets.append(target)
        return self.answer


def _end(
    world: World, ask: Asked, *, gate: str | None = None, address: str | None = None, actor: Actor = OPERATOR
) -> Sequence[Told] | Refusal:
    scope = Scope(world.clock.now - 86_400, gate, address)
    entries = world.app.nas_store.read()
    return sessions.end(Username.parse("alice"), scope, entries=entries, ask=ask, actor=actor, **world.needs)


def _listed(world: World, name: str | None = None, ago: float = 86_400.0) -> Listing:
    user = Username.parse(name) if name else None
    found = sessions.listed(user, world.clock.now - ago, **world.needs)
    assert isinstance(found, Listing)
    return found


def test_nobody_but_the_operator_and_who_may_disable_mfa_ends_sessions_of_others(
    world: World, refuses: Refuses
) -> None:
    alice, bob = world.user("alice"), colleague(world, "bob")
    join(world, team(world), alice, "member")
    join(world, "ops", bob.name, "admin")
    world.signed_in_before(alice)
    ask = Asked()
    refuses(_end(world, ask, actor=bob.person()), "lacks mfa.disable in team ops")
    assert ask.targets == []
    assert world.count(schema.verifications, user_id=world.user_id(alice)) == 1
    assert [outcome for outcome, _ in world.audit("sessions-disconnect")] == ["refused"]


def test_who_may_disable_mfa_ends_sessions_of_others_and_everybody_the_own_ones(world: World) -> None:
    alice, bob = colleague(world, "alice"), colleague(world, "bob")
    join(world, team(world), alice.name, "member")
    join(world, "ops", bob.name, "admin", "mfa.disable")
    for actor in (bob, alice):
        person = actor.person()
        told = _end(world, Asked(), actor=person)
        assert told == []
        assert world.count(schema.verifications, user_id=world.user_id(alice.name)) == 0
        assert [outcome for outcome, _ in world.audit("sessions-disconnect")][:1] == ["done"]


def test_a_person_ends_the_sessions_of_nobody_behind_a_realm_that_is_not_known(world: World, refuses: Refuses) -> None:
    alice = colleague(world, "alice")
    _gate(world)
    _accept(world, Username.parse("alice"))
    names: list[str] = []

    def ask(name: str, _target: Target) -> tuple[bool, str]:
        names.append(name)
        return True, "done"

    def end(actor: Actor) -> Sequence[Told] | Refusal:
        return sessions.end(
            Username.parse("alice"),
            Scope(world.clock.now - 86_400, known_as="alice@elsewhere"),
            entries=world.app.nas_store.read(),
            ask=ask,
            actor=actor,
            **world.needs,
        )

    refuses(end(alice.person()), "is not “alice” with a realm that is known here")
    assert names == []
    end(OPERATOR)
    assert isinstance(realms.add("elsewhere", team=None, **world.needs), realms.Made)
    end(alice.person())
    assert names == ["alice@elsewhere"] * 2


def test_a_nas_that_is_not_there_is_refused_before_anything_ends(world: World, refuses: Refuses) -> None:
    world.signed_in_before(world.user("alice"))
    refuses(_end(world, Asked(), gate="nowhere"), "There is no NAS entry “nowhere”")
    assert world.count(schema.verifications) == 1


def test_everything_ends_and_each_nas_that_accepted_the_user_is_asked(world: World) -> None:
    user = world.user("alice")
    for name, address in (("gate", "192.0.2.1"), ("other", "2001:db8::1/128"), ("unused", "192.0.2.9")):
        _gate(world, name, address)
    for name in ("gate", "gate", "other", "pages"):
        _accept(world, user, name, ago=world.count(schema.audit))
    _accept(world, user, "unused", ago=2 * 86_400)
    world.insert(
        schema.portal_sessions,
        hash=b"h",
        user_id=world.user_id(user),
        stage="in",
        how="totp",
        granted_to="",
        created_at=0,
        seen_at=0,
    )
    ask = Asked()
    told = _end(world, ask)
    assert ask.targets == [Target("gate", "192.0.2.1", 3799, SECRET), Target("other", "2001:db8::1", 3799, SECRET)]
    assert told == [Told(each.name, f"{each.address} port 3799", True, "done") for each in ask.targets]
    assert world.count(schema.portal_sessions) == 0
    assert [outcome for outcome, _ in world.audit("disconnect")] == ["done", "done"]
    assert "shared" not in repr(ask.targets)


def test_what_a_nas_refuses_is_told_and_recorded(world: World) -> None:
    user = world.user("alice")
    _gate(world, disconnect_port=1700)
    _accept(world, user)
    told = _end(world, Asked(done=False, said="refused: no such session"))
    assert told == [Told("gate", "192.0.2.1 port 1700", False, "refused: no such session")]
    ((outcome, detail),) = world.audit("disconnect")
    assert (outcome, detail["said"]) == ("refused", "refused: no such session")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"address": "192.0.2.0/24"}, "say which address to ask with --nas gate --address"),
        ({"disconnect_port": 0}, "its NAS entry says that it can't"),
    ],
)
def test_who_can_not_be_asked_is_named_and_the_periods_end_all_the_same(
    world: World, settings: dict[str, object], said: str
) -> None:
    user = world.user("alice")
    world.signed_in_before(user)
    nas.remove("gate", **world.needs)
    _gate(world, **settings)  # type: ignore[arg-type]  # as above
    world.insert(
        schema.verifications,
        user_id=world.user_id(user),
        nas_id=1,
        device="",
        surface="vpn",
        at=world.clock.now,
        text=b"t",
    )
    _accept(world, user)
    ask = Asked()
    told = _end(world, ask)
    assert not isinstance(told, Refusal)
    assert [each.done for each in told] == [False]
    assert said in told[0].said
    assert ask.targets == []
    assert world.count(schema.verifications) == 0


def test_an_entry_for_a_range_is_asked_where_it_is_said(world: World) -> None:
    world.user("alice")
    _gate(world, address="192.0.2.0/24")
    ask = Asked()
    assert _end(world, ask, gate="gate", address="192.0.2.7")
    assert [each.address for each in ask.targets] == ["192.0.2.7"]
    outside = Asked()
    _end(world, outside, gate="gate", address="192.0.3.7")
    assert outside.targets == []


def test_an_entry_that_is_gone_is_named(world: World) -> None:
    _accept(world, world.user("alice"))
    told = _end(world, Asked())
    assert told == [Told("gate", "", False, "its NAS entry is gone, and with it its secret")]


def test_the_last_sign_in_of_each_device_is_listed_until_its_session_has_ended(world: World) -> None:
    alice, bob = world.user("alice"), world.user("bob")
    place = Place(1, team(world, policy=PERIOD), "member", "mfa", 1)
    _accept(world, alice, ago=900, place=place)
    _accept(world, alice, ago=60, place=place)
    _accept(world, alice, "other", ago=HALF_A_DAY + 1, place=place)
    _accept(world, bob, ago=30)
    found = [(each.user, each.nas, each.device, each.until) for each in _listed(world).sessions]
    now = world.clock.now
    assert found == [("bob", "gate", "laptop", None), ("alice", "gate", "laptop", now - 60 + HALF_A_DAY)]
    assert [each.user for each in _listed(world, "bob").sessions] == ["bob"]
    assert _listed(world, "alice", ago=10).sessions == []


def test_a_period_is_listed_as_long_as_the_policy_of_today_lets_it_last(world: World) -> None:
    user = world.user("alice")
    join(world, team(world, policy=PERIOD), user, "member")
    world.signed_in_before(user)
    with world.app.database.writing() as connection:
        stored = world.app.administration.view(lambda books: books.people.find("alice"))
        assert stored is not None
        connection.execute(schema.verifications.update().values(granted_to=stored.password_hash))
    ((nas_name, until),) = [(each.nas, each.until) for each in _listed(world).periods]
    assert (nas_name, until) == ("gate", world.clock.now + HALF_A_DAY)
    world.clock.now += HALF_A_DAY + 1
    assert _listed(world).periods == []


def test_nobody_of_an_unknown_name_is_listed(world: World, refuses: Refuses) -> None:
    refuses(sessions.listed(Username.parse("nobody"), 0.0, **world.needs), "There is no user “nobody”")

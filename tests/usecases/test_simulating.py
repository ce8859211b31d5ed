import tracemalloc

import pytest
from sqlalchemy import insert

from radiusd_mfa.core.circumstances import Circumstances, Place, Seen
from radiusd_mfa.core.facts import MethodKind
from radiusd_mfa.core.verdict import Found, Reason
from radiusd_mfa.store import schema
from radiusd_mfa.usecases import policies, simulating, teams
from radiusd_mfa.usecases.actors import Person
from radiusd_mfa.usecases.simulating import Fate, Simulation
from tests.support.administered import Refuses, World

HOUR = 3_600
DAY = 24 * HOUR
EVERYBODY = '[[require]]\nevery = "connection"\n'
HALF_A_DAY = '[[require]]\nevery = "12h"\n'
PER_DEVICE = f'{HALF_A_DAY}remember = "device"\n'
TOTP = frozenset({MethodKind.TOTP})


@pytest.fixture
def ops(world: World) -> World:
    teams.add("ops", plan="mfa", **world.needs)
    return world


def _team_id(world: World, name: str = "ops") -> int:
    found = world.app.administration.view(lambda books: books.teams.find(name))
    assert found is not None
    return found.id


def _record(
    world: World,
    ago: float,
    *,
    user: str = "mia",
    found: Found | None = Found.TOTP,
    reason: Reason = Reason.TOTP,
    apart: Reason | None = None,
    kinds: frozenset[MethodKind] = TOTP,
    device: str = "",
    latest: float | None = None,
    team: str = "ops",
    teams_too: tuple[Place, ...] = (),
    challenge: bool = False,
    code_only: bool = False,
) -> None:
    at = world.clock.now - ago
    team_id = _team_id(world, team)
    facts = Circumstances(
        at,
        "vpn",
        found,
        apart,
        kinds,
        team_id=team_id if not teams_too else 0,
        places=(Place(team_id, team, "member", "mfa", 0), *teams_too),
        latest=None if latest is None else Seen(world.clock.now - latest),
        challenge=challenge,
        code_only=code_only,
    )
    columns = {"kind": "sign-in", "user_name": user, "nas_name": "gate", "surface": "vpn", "device": device}
    with world.app.database.writing() as connection:
        connection.execute(
            insert(schema.audit).values(at=at, outcome="accept", reason=reason, facts=facts.written(), **columns)
        )


def _simulate(world: World, text: str, days: int = 30) -> Simulation:
    found = simulating.simulate("ops", text, days=days, **world.needs)
    assert isinstance(found, Simulation), found
    return found


def _would(simulation: Simulation) -> dict[Fate, int]:
    return dict(+simulation.total.would)


def test_a_policy_that_asks_at_every_connection_asks_at_every_sign_in(ops: World) -> None:
    for hours in (30, 20, 10):
        _record(ops, hours * HOUR, reason=Reason.PERIOD, found=Found.NOTHING, latest=(hours + 1) * HOUR)
    found = _simulate(ops, EVERYBODY)
    assert _would(found) == {Fate.ASKED: 3}
    assert dict(+found.total.did) == {Fate.PERIOD: 3}


def test_a_period_runs_from_the_code_that_would_have_been_given_not_from_each_that_was(ops: World) -> None:
    """Whoever gave a code every two hours would, with a period of 12, have given one every 12 hours."""
    for hours in range(48, 0, -2):
        _record(ops, hours * HOUR, latest=(hours + 2) * HOUR if hours < 48 else None)
    found = _simulate(ops, HALF_A_DAY)
    assert found.total.did == {Fate.ASKED: 24}
    assert _would(found) == {Fate.ASKED: 4, Fate.PERIOD: 20}


def test_the_period_of_whoever_gave_a_code_before_the_first_row_runs_on(ops: World) -> None:
    for hours in (10, 8, 6):
        _record(ops, hours * HOUR, reason=Reason.PERIOD, found=Found.NOTHING, latest=19 * HOUR)
    assert _would(_simulate(ops, HALF_A_DAY)) == {Fate.PERIOD: 2, Fate.ASKED: 1}


def test_where_only_the_code_is_typed_no_period_helps(ops: World) -> None:
    for hours in (3, 2):
        _record(ops, hours * HOUR, code_only=True)
    assert _would(_simulate(ops, HALF_A_DAY)) == {Fate.ASKED: 2}


def test_who_would_have_been_asked_is_taken_to_have_given_a_code(ops: World) -> None:
    for hours in (30, 28, 17, 1):
        _record(ops, hours * HOUR, reason=Reason.NOT_REQUIRED, found=Found.NOTHING)
    found = _simulate(ops, HALF_A_DAY)
    assert _would(found) == {Fate.ASKED: 3, Fate.PERIOD: 1}


def test_each_device_has_a_period_of_its_own(ops: World) -> None:
    for hours, device in ((5, "laptop"), (4, "phone"), (3, "laptop"), (2, "")):
        _record(ops, hours * HOUR, device=device, found=Found.NOTHING, reason=Reason.CODE_MISSING)
    assert _would(_simulate(ops, PER_DEVICE)) == {Fate.ASKED: 3, Fate.PERIOD: 1}
    assert _would(_simulate(ops, HALF_A_DAY)) == {Fate.ASKED: 1, Fate.PERIOD: 3}


def test_who_has_no_second_factor_would_be_refused_counted_or_given_time(ops: World) -> None:
    user = ops.user("max")
    teams.add_member("ops", user, role="member", **ops.needs)
    _record(ops, HOUR, user="max", found=Found.NOTHING, reason=Reason.NOT_REQUIRED, kinds=frozenset())
    refused = _simulate(ops, EVERYBODY)
    assert (_would(refused), refused.unenrolled) == ({Fate.NOT_ENROLLED: 1}, ["max"])
    assert _would(_simulate(ops, f'mode = "report"\n{EVERYBODY}')) == {Fate.REPORTED: 1}
    assert _would(_simulate(ops, f"enrol_by = 2099-01-01\n{EVERYBODY}")) == {Fate.ENROL_LATER: 1}
    assert _would(_simulate(ops, "require = []")) == {Fate.NOT_REQUIRED: 1}


def test_who_has_set_one_up_since_is_not_named(ops: World) -> None:
    user, _, _ = ops.enrolled("max")
    teams.add_member("ops", user, role="member", **ops.needs)
    _record(ops, HOUR, user="max", found=Found.NOTHING, reason=Reason.NOT_ENROLLED, kinds=frozenset())
    found = _simulate(ops, EVERYBODY)
    assert (_would(found), found.unenrolled) == ({Fate.NOT_ENROLLED: 1}, [])


def test_a_sign_in_of_two_packets_is_one(ops: World) -> None:
    _record(ops, 60, found=Found.NOTHING, reason=Reason.CODE_DUE, challenge=True)
    _record(ops, 55, found=Found.TOTP, challenge=True, code_only=True)
    found = _simulate(ops, EVERYBODY)
    assert (_would(found), found.total.sign_ins) == ({Fate.ASKED: 1}, 1)


def test_wrong_passwords_and_codes_other_teams_and_older_ones_are_left_out(ops: World) -> None:
    teams.add("dev", plan="mfa", **ops.needs)
    _record(ops, HOUR, found=None, apart=Reason.WRONG_PASSWORD, reason=Reason.WRONG_PASSWORD)
    _record(ops, HOUR, found=Found.WRONG, reason=Reason.WRONG_CODE)
    _record(ops, HOUR, team="dev")
    _record(ops, 8 * DAY)
    found = _simulate(ops, EVERYBODY, days=7)
    assert (found.total.sign_ins, found.unreadable) == (0, 0)


def test_the_other_teams_keep_the_policy_that_they_had(ops: World) -> None:
    teams.add("dev", plan="mfa", **ops.needs)
    policies.apply("dev", EVERYBODY, **ops.needs)
    policies.apply("dev", "require = []", **ops.needs)
    for version in (1, 2):
        dev = Place(_team_id(ops, "dev"), "dev", "member", "mfa", version)
        _record(ops, HOUR, user=f"user{version}", found=Found.NOTHING, kinds=frozenset(), teams_too=(dev,))
    found = _simulate(ops, "require = []")
    assert found.users["user1"].would == {Fate.NOT_ENROLLED: 1}
    assert found.users["user2"].would == {Fate.NOT_REQUIRED: 1}


def test_rows_without_facts_or_with_foreign_ones_are_counted_and_left_out(ops: World) -> None:
    with ops.app.database.writing() as connection:
        for facts in (None, "", "{}", "[]", "no json", '{"at": "x"}'):
            connection.execute(
                insert(schema.audit).values(
                    at=ops.clock.now - 1, kind="sign-in", outcome="accept", reason="totp", facts=facts
                )
            )
    found = _simulate(ops, EVERYBODY)
    assert (found.total.sign_ins, found.unreadable) == (0, 6)


def test_memory_grows_with_people_and_not_with_sign_ins(ops: World) -> None:
    _record(ops, HOUR)
    with ops.app.database.writing() as connection:
        row = connection.execute(schema.audit.select().where(schema.audit.c.kind == "sign-in")).mappings().one()
        rows = [{**row, "id": None, "at": ops.clock.now - number} for number in range(20_000)]
        for each in rows:
            del each["id"]
        connection.execute(insert(schema.audit), rows)
    del rows
    tracemalloc.start()
    try:
        assert _simulate(ops, EVERYBODY).total.sign_ins == 20_001
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 8_000_000


def test_a_policy_or_a_team_that_is_none_is_refused(ops: World, refuses: Refuses) -> None:
    refuses(simulating.simulate("ops", "modus = 1", days=1, **ops.needs), "line 1: There is no “modus”")
    refuses(simulating.simulate("obs", EVERYBODY, days=1, **ops.needs), "is ops meant?")


def test_a_member_may_not_look_at_the_others_sign_ins(ops: World, refuses: Refuses) -> None:
    user, _, _ = ops.enrolled("mia")
    teams.add_member("ops", user, role="member", **ops.needs)
    mia = Person(ops.user_id(user), "mia")
    refused = simulating.simulate("ops", EVERYBODY, days=1, **ops.needs, actor=mia)
    refuses(refused, "lacks policy.write in team ops")
    assert [row[0] for row in ops.audit("policy-simulate")] == ["refused"]

"""One person under the names that are configured, with one throttle; and the team that a realm means (R10, T5)."""

import pytest
from sqlalchemy import insert, select

from radiusd_mfa.core.throttle import parse
from radiusd_mfa.radius.wire import Code
from radiusd_mfa.store import schema
from tests.support.clock import Clock
from tests.support.sites import TWELVE_HOURS, Site, member
from tests.support.world import World

ACCEPT, REJECT = Code.ACCESS_ACCEPT, Code.ACCESS_REJECT
SPELLINGS = ("alice", "ALICE", "CORP\\alice", "corp\\Alice", "alice@corp.example", "Alice@CORP.example")


def realm(world: World, name: str, team_id: int | None = None) -> None:
    world.execute(insert(schema.realms).values(name=name, team_id=team_id))


@pytest.mark.parametrize("name", ["CORP\\alice", "alice@corp.example", "alice@", "\\alice", "alice@corp@corp.example"])
def test_a_realm_that_is_not_configured_is_part_of_the_name(world: World, site: Site, clock: Clock, name: str) -> None:
    alice = world.user()
    realm(world, "corp")
    realm(world, "example")
    refused = site().ask(name.replace("CORP", "CORP2"), alice.typed(at=clock.at))
    assert refused.code is REJECT
    assert world.audit() == [("reject", "unknown-user")]


def test_all_spellings_are_one_person_with_one_use_of_a_code(world: World, site: Site, clock: Clock) -> None:
    alice, nas = world.user(), site()
    realm(world, "corp")
    realm(world, "corp.example")
    for name, again in zip(SPELLINGS, SPELLINGS[2:] + SPELLINGS[:2], strict=True):
        clock.at += 300
        assert nas.ask(name, alice.typed(at=clock.at)).code is ACCEPT
        assert nas.ask(again, alice.typed(at=clock.at)).code is REJECT
    assert world.audit() == [("accept", "totp"), ("reject", "code-reused")] * len(SPELLINGS)


def test_all_spellings_share_one_throttle(world: World, site: Site, clock: Clock) -> None:
    alice, nas = world.user(), site()
    realm(world, "corp")
    realm(world, "corp.example")
    right = {alice.code(offset, at=clock.at) for offset in range(-2, 3)}
    wrong = [digits for number in range(20) if (digits := f"{number:06}") not in right]
    for name, digits in zip(SPELLINGS, wrong, strict=False):
        nas.ask(name, f"hunter2{digits}".encode(), station=name)
    with world.database.reading() as connection:
        histories = connection.execute(select(schema.throttles.c.history)).scalars().all()
    assert [[entry.mark for entry in parse(history)] for history in histories] == [["c"] * 5]
    assert world.audit()[-1] == ("reject", "throttled")


def test_whoever_has_the_whole_name_is_meant_by_it(world: World, site: Site, clock: Clock) -> None:
    alice, other = world.user(), world.user("alice@corp", "swordfish")
    realm(world, "corp")
    nas = site()
    assert nas.ask("alice@corp", other.typed(at=clock.at)).code is ACCEPT
    assert nas.ask("alice@corp", alice.typed(at=clock.at)).code is REJECT
    assert nas.ask("corp\\alice", alice.typed(at=clock.at)).code is ACCEPT


def test_a_realm_without_a_team_only_strips(world: World, site: Site, clock: Clock) -> None:
    team_id = world.team(policy=TWELVE_HOURS)
    alice = member(world, team_id)
    realm(world, "corp")
    nas = site()
    assert nas.ask("alice", alice.typed(at=clock.at)).code is ACCEPT
    assert nas.ask("alice@corp", b"hunter2").code is ACCEPT
    assert world.audit() == [("accept", "totp"), ("accept", "period")]


def test_a_realm_means_its_team_where_the_nas_has_none(world: World, site: Site, clock: Clock) -> None:
    ops = world.team(realms=["ops"])
    sales = world.team("sales", policy="require = []\n", realms=["sales"])
    alice = member(world, ops)
    member(world, sales, "bob", enrolled=False)
    of_nobody, of_ops = site(), site(ops)
    assert of_nobody.ask("bob@sales", b"hunter2").code is ACCEPT
    assert of_nobody.ask("bob@ops", b"hunter2").code is REJECT
    assert of_ops.ask("bob@sales", b"hunter2").code is REJECT
    assert of_ops.ask("alice@sales", alice.typed(at=clock.at)).code is ACCEPT
    assert of_nobody.ask("alice@sales", alice.typed(1, at=clock.at)).code is REJECT
    reasons = ["not-required", "not-a-member", "not-a-member", "totp", "not-a-member"]
    assert [reason for _, reason in world.audit()] == reasons


def test_a_challenge_may_be_answered_under_another_spelling(world: World, site: Site, clock: Clock) -> None:
    alice = world.user()
    realm(world, "corp")
    nas = site(challenge=True)
    state = nas.ask("CORP\\alice", b"hunter2").state
    assert nas.ask("alice@corp", alice.code(at=clock.at).encode(), state=state).code is ACCEPT

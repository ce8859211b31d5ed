"""What was sent, and why: weighed again from what the audit row holds, and never another verdict than the one sent."""

import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import pytest
from sqlalchemy import func, insert, select, update

from radiusd_mfa.config import Config
from radiusd_mfa.core.facts import Attempt, Nas
from radiusd_mfa.core.names import Username
from radiusd_mfa.core.verdict import Outcome, Reason, Verdict
from radiusd_mfa.keys import KeyRing
from radiusd_mfa.store import schema
from radiusd_mfa.store.administration import AdministrationStore
from radiusd_mfa.store.database import Database
from radiusd_mfa.store.nas_table import NasTableReader
from radiusd_mfa.store.outbox_queue import OutboxQueue
from radiusd_mfa.usecases import explain
from radiusd_mfa.usecases.acting import apart
from radiusd_mfa.usecases.changes import Refusal
from radiusd_mfa.usecases.explain import Explained, Prospect
from radiusd_mfa.usecases.outbox_ports import Channel
from radiusd_mfa.usecases.ports import StoreFault
from tests.support.attempts import Desk
from tests.support.phones import add_phone
from tests.support.world import TestUser, World

POLICIES: Final = (
    None,
    "",
    "require = []",
    "no policy at all",
    'mode = "report"',
    "enrol_by = 2999-01-01",
    '[[require]]\nroles = ["member"]\nsurfaces = ["vpn"]\nevery = "12h"',
    '[[require]]\nevery = "1h"\nremember = "device"',
    '[[require]]\nroles = ["owner", "admin"]\n[methods]\nallow = ["sms"]',
    '[[require]]\nsurfaces = ["client-app"]\nevery = "30m"\n[[require]]\nevery = "2h"\nremember = "device"',
)
SIGN_INS: Final = 1_000


@pytest.fixture
def world(sqlite_url: str, keys: KeyRing, environ: dict[str, str]) -> World:
    config = Config.load(None, environ | {"RADIUSD_MFA_DATABASE_URL": sqlite_url})
    return World(Database(sqlite_url, deadline=10), sqlite_url, keys, config)


@pytest.fixture
def desk(world: World) -> Desk:
    return Desk(world, world.sign_in_store(), Nas(world.nas(), "vpn", "vpn"))


def _row(world: World, audit_id: int) -> Explained:
    found = explain.row(audit_id, store=AdministrationStore(world.database, world.keys))
    assert isinstance(found, Explained), found
    return found


def _newest(world: World) -> int:
    with world.database.reading() as connection:
        return int(connection.execute(select(func.max(schema.audit.c.id))).scalar_one())


def _signed_in(desk: Desk, attempt: Attempt) -> tuple[Verdict, int]:
    verdict = desk.signed_in(attempt)
    return verdict, _newest(desk.world)


def _said(found: Explained) -> str:
    weighed = found.weighed
    assert weighed is not None
    rules = [f"{each.team} {each.version} {each.rule} {each.why}" for each in weighed.rules]
    return "\n".join([weighed.team, *rules, *weighed.said, weighed.standing])


# Random sign-ins of random people under random policies


def _people(world: World, chance: random.Random) -> Sequence[TestUser]:
    teams = []
    for number, text in enumerate(POLICIES):
        team_id = world.team(f"team{number}", policy=text, plan=chance.choice(["mfa", "mfa", "no-mfa"]))
        if text is not None:
            values = {"team_id": team_id, "version": 1, "text": text, "at": 0.0, "actor": "operator"}
            world.execute(insert(schema.policies).values(values))
        teams.append(team_id)
    people = []
    for number in range(30):
        user = world.user(
            f"user{number}",
            enrolled=chance.random() < 0.7,
            enrolled_before=chance.random() < 0.2,
            codes=3 * chance.randrange(2),
        )
        if chance.random() < 0.3:
            add_phone(world, user, is_default=chance.random() < 0.5)
        for team_id in chance.sample(teams, chance.choice([0, 1, 1, 1, 2, 3])):
            world.member(user, team_id, chance.choice(["owner", "admin", "member"]))
        people.append(user)
    return people


def _typed(user: TestUser, chance: random.Random, at: float, sent: Mapping[str, str]) -> bytes:
    code = user.code(at=at) if user.method_id else "123456"
    texts = ["", code, code, code, "000000", "wrong"]
    if user.name in sent:
        texts += [sent[user.name]] * 12
    if user.backup_codes:
        texts.append(str(chance.choice(user.backup_codes).canonical))
    password = user.password if chance.random() < 0.9 else "nonsense"
    if chance.random() < 0.1:
        return apart(password.encode(), b"sms")
    return (password + chance.choice(texts)).encode()


def _nases(world: World) -> Sequence[Nas]:
    made = []
    for number in range(8):
        surface = ("vpn", "client-app", "control-panel", "network-device")[number % 4]
        team_id = number + 1 if number < 6 else None
        challenge = number % 3 == 0
        nas_id = world.nas(f"nas{number}", f"192.0.2.{number}/32", surface=surface, challenge=challenge)
        made.append(Nas(nas_id, f"nas{number}", surface, team_id, challenge=challenge))
    return made


def _delivered(world: World, at: float) -> str:
    queue = OutboxQueue(world.database, world.keys)
    claimed = queue.claim([Channel.SMS], now=at, until=at + 60)
    assert claimed is not None
    assert claimed.values is not None
    queue.sent(claimed, at=at)
    return str(claimed.values["code"])


def test_of_a_thousand_random_sign_ins_each_is_explained_by_the_verdict_that_was_sent(desk: Desk) -> None:
    chance = random.Random(20261122)  # one seed: whatever fails, fails again
    people, nases = _people(desk.world, chance), _nases(desk.world)
    now, reasons = time.time() - SIGN_INS * 600, set()
    sent: dict[str, str] = {}
    user = people[0]
    for _ in range(SIGN_INS):
        now += chance.choice([5, 5, 5, 31, 600, 5_000])
        # Mostly the one of before: within the minutes for which a code by SMS is good.
        user, nas = chance.choice([user, user, user, chance.choice(people)]), chance.choice(nases)
        device = chance.choice(["", "02-00-00-00-00-01", "02-00-00-00-00-02"])
        attempt = desk.attempt(user, _typed(user, chance, now, sent), at=now, nas=nas, device=device)
        verdict, audit_id = _signed_in(desk, attempt)
        found = _row(desk.world, audit_id)
        assert found.entry.user == user.name
        assert found.replayed == (verdict.outcome, verdict.reason), found
        assert found.agrees
        reasons.add(verdict.reason)
        if verdict.sends is not None:
            sent[user.name] = _delivered(desk.world, now)
    assert {Reason.SMS, Reason.SMS_SENT} <= reasons
    assert len(reasons) >= 13, reasons  # all that such sign-ins can end with were among them


# What it says


def test_an_explanation_names_the_team_the_version_the_rule_and_until_when_it_is_satisfied(
    world: World, desk: Desk
) -> None:
    team = world.team("ops", policy='[[require]]\nroles = ["member"]\nevery = "12h"\n')
    user = world.user()
    world.member(user, team)
    nas = replace(desk.nas, team_id=team)
    at = time.time()
    _, first = _signed_in(desk, desk.attempt(user, user.typed(), nas=nas, at=at))
    verdict, second = _signed_in(desk, desk.attempt(user, user.password.encode(), nas=nas, at=at + 60))
    assert verdict.reason is Reason.PERIOD
    assert "Due: none was given on this surface" in _said(_row(world, first))
    said = _said(_row(world, second))
    assert "ops 1 Members everywhere: a second factor every 12 hours." in said
    assert "Not due until" in said
    assert "into team ops" in said
    assert "“alice” has a second factor: an authenticator app." in said
    verdict, third = _signed_in(desk, desk.attempt(user, user.password.encode(), nas=nas, at=at + 13 * 3_600))
    assert verdict.reason is Reason.CODE_MISSING
    assert "more than 12 hours ago" in _said(_row(world, third))


def test_the_policy_of_then_is_weighed_not_the_one_of_now(world: World, desk: Desk) -> None:
    team = world.team("ops", policy="require = []")
    world.execute(
        insert(schema.policies).values(team_id=team, version=1, text="require = []", at=0.0, actor="operator")
    )
    user = world.user(enrolled=False)
    world.member(user, team)
    _, audit_id = _signed_in(desk, desk.attempt(user, user.password.encode()))
    world.execute(update(schema.teams).values(policy='mode = "enforce"', policy_version=2))
    found = _row(world, audit_id)
    assert found.agrees
    assert found.replayed == (Outcome.ACCEPT, Reason.NOT_REQUIRED)
    assert "asks no member for a second factor there" in _said(found)


def test_a_policy_that_was_changed_without_a_version_is_noticed(world: World, desk: Desk) -> None:
    team = world.team("ops", policy="require = []")
    user = world.user(enrolled=False)
    world.member(user, team)
    _, audit_id = _signed_in(desk, desk.attempt(user, user.password.encode()))
    world.execute(update(schema.teams).values(policy='mode = "enforce"'))
    found = _row(world, audit_id)
    assert not found.agrees
    assert found.replayed == (Outcome.REJECT, Reason.NOT_ENROLLED)


def test_a_version_that_nobody_kept_is_said_to_be_unknown(world: World, desk: Desk) -> None:
    team = world.team("ops", policy='mode = "enforce"')
    user = world.user(enrolled=False)
    world.member(user, team)
    _, audit_id = _signed_in(desk, desk.attempt(user, user.password.encode()))
    world.execute(update(schema.teams).values(policy="require = []", policy_version=2))
    assert "Version 1 of the policy of team ops is not kept" in _row(world, audit_id).said[0]


def test_the_strictest_of_several_teams_is_said_to_hold(world: World, desk: Desk) -> None:
    user = world.user(enrolled=False)
    for name, text in (("dev", "require = []"), ("ops", None)):
        world.member(user, world.team(name, policy=text))
    verdict, audit_id = _signed_in(desk, desk.attempt(user, user.password.encode()))
    assert verdict.reason is Reason.NOT_ENROLLED
    said = _said(_row(world, audit_id))
    assert "so the strictest of all holds: dev, ops" in said
    assert "Team ops has no policy, so the strictest holds." in said


def test_where_no_policy_had_a_say_none_is_weighed(world: World, desk: Desk) -> None:
    user = world.user()
    for typed, reason in ((b"nonsense", Reason.WRONG_PASSWORD), (b"nonsense", Reason.KNOWN_WRONG)):
        verdict, audit_id = _signed_in(desk, desk.attempt(user, typed))
        assert verdict.reason is reason
        found = _row(world, audit_id)
        assert found.weighed is None
        assert found.agrees


def test_a_row_that_there_is_not_is_refused(world: World) -> None:
    found = explain.row(4711, store=AdministrationStore(world.database, world.keys))
    assert isinstance(found, Refusal)
    assert "no audit row 4711" in found.sentence


@pytest.mark.parametrize("facts", [None, "", "no json", "[]", '{"at":1}'])
def test_a_row_whose_facts_are_not_recorded_is_not_weighed(world: World, facts: str | None) -> None:
    values = {"at": 1.0, "kind": "sign-in", "outcome": "accept", "reason": "totp", "facts": facts}
    world.execute(insert(schema.audit).values(values))
    found = _row(world, _newest(world))
    assert (found.weighed, found.replayed, found.agrees) == (None, None, False)
    assert "not recorded" in found.said[0]


def test_no_secret_stands_in_what_is_recorded_or_explained(world: World, desk: Desk) -> None:
    user = world.user(password="canary-password")
    attempt = desk.attempt(user, user.typed(), device="02-00-00-00-00-01")
    _, audit_id = _signed_in(desk, attempt)
    found = _row(world, audit_id)
    shown = repr(found)
    for secret in ("canary-password", user.code(), attempt.text.hex(), attempt.request.hex(), "$argon2"):
        assert secret not in shown


# What would happen now


def _now(world: World, desk: Desk, user: str, *, device: str = "", **nas: bool) -> Prospect:
    (entry,) = NasTableReader(world.database, world.keys).read()
    assert entry.nas.id == desk.nas.id
    changed = replace(entry, nas=replace(entry.nas, **nas))  # type: ignore[arg-type]
    needs = {"store": desk.store, "clock": time.time, "entropy": bytes}
    (found,) = explain.prospects(Username.parse(user), [changed], device=device, **needs)  # type: ignore[arg-type]
    return found


def _state(world: World) -> list[object]:
    with world.database.reading() as connection:
        tables = (schema.throttles, schema.audit, schema.methods, schema.verifications, schema.challenges)
        return [connection.execute(table.select()).all() for table in tables]


def test_what_would_happen_is_told_and_nothing_is_written(world: World, desk: Desk) -> None:
    user = world.user()
    before = _state(world)
    found = _now(world, desk, "ALICE")
    assert (found.user, found.alone.reason, found.opens_at) == (user.name, Reason.CODE_MISSING, None)
    assert found.with_code is not None
    assert found.with_code.outcome is Outcome.ACCEPT
    assert _now(world, desk, "alice", challenge=True).alone.outcome is Outcome.CHALLENGE
    assert _now(world, desk, "alice", otp_only=True).alone.reason is Reason.CODE_MISSING
    assert _state(world) == before


@pytest.mark.parametrize(
    ("user", "reason"),
    [("nobody", Reason.UNKNOWN_USER), ("gone", Reason.DISABLED), ("new", Reason.NOT_ENROLLED)],
)
def test_who_can_not_sign_in_is_told_why(world: World, desk: Desk, user: str, reason: Reason) -> None:
    world.user("gone", disabled=True)
    world.user("new", enrolled=False)
    found = _now(world, desk, user)
    assert (found.alone.reason, found.with_code) == (reason, None)
    assert (found.weighed is None) == (reason is not Reason.NOT_ENROLLED)


def test_a_closed_account_opens_when_it_is_said_to(world: World, desk: Desk) -> None:
    user = world.user()
    at = time.time()
    for number in range(5):
        desk.signed_in(desk.attempt(user, user.password.encode() + f"{number:06}".encode(), at=at))
    found = _now(world, desk, "alice")
    assert found.alone.reason is Reason.THROTTLED
    assert found.opens_at is not None
    opens = found.opens_at
    assert at + 299 < opens <= at + 302
    closed = desk.signed_in(desk.attempt(user, user.password.encode(), at=opens - 5))
    assert closed.reason is Reason.THROTTLED
    opened = desk.signed_in(desk.attempt(user, user.password.encode(), at=opens))
    assert opened.reason is Reason.CODE_MISSING


def test_a_period_lasts_on_its_device(world: World, desk: Desk) -> None:
    team = world.team("ops", policy='[[require]]\nevery = "1h"\nremember = "device"\n')
    user = world.user()
    world.member(user, team)
    world.execute(update(schema.nas).values(team_id=team))
    desk.signed_in(desk.attempt(user, user.typed(), nas=replace(desk.nas, team_id=team), device="laptop"))
    found = _now(world, desk, "alice", device="laptop")
    assert (found.alone.reason, found.team) == (Reason.PERIOD, "ops")
    assert found.alone.session is not None
    assert _now(world, desk, "alice", device="phone").alone.reason is Reason.CODE_MISSING
    nowhere = _now(world, desk, "alice").weighed
    assert nowhere is not None
    assert "names no device" in nowhere.rules[0].why


def test_a_seed_that_does_not_open_is_our_own_fault_and_told_as_such(world: World, desk: Desk) -> None:
    world.user()
    world.execute(update(schema.methods).values(seed=b"garbage"))
    with pytest.raises(StoreFault, match="would not be answered at all"):
        _now(world, desk, "alice")

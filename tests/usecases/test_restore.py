"""A database that is older than this machine has seen it: noticed, and accepted only with everything spent."""

from pathlib import Path

import pytest
from sqlalchemy import delete, insert, select, update

from radiusd_mfa.core.totp import step_at
from radiusd_mfa.high_water import HighWater, HighWaterProblem
from radiusd_mfa.installation import NotReadyProblem
from radiusd_mfa.store import schema
from radiusd_mfa.usecases import outbox, restore
from radiusd_mfa.usecases.enrol import Confirmed
from radiusd_mfa.usecases.restore import Accepted
from tests.support.administered import Refuses, World


def keep(world: World) -> restore.Loss | None:
    """Do what a server does every second."""
    world.clock.now += 1
    return restore.keep(world.clock(), chain=world.app.audit_chain, marks=world.app.marks)


def accept(world: World, *, keep_backup_codes: bool = False, marks: HighWater | None = None) -> object:
    return restore.accept(
        keep_backup_codes=keep_backup_codes,
        chain=world.app.audit_chain,
        marks=marks or world.app.marks,
        store=world.app.administration,
        clock=world.clock,
        entropy=world.app.entropy,
    )


def lose_the_end(world: World, *, after_seal: int = 0) -> None:
    """Leave of the log what an older copy of the database has of it."""
    seals, rows = schema.audit_seals, schema.audit
    with world.app.database.writing() as connection:
        left = connection.execute(select(seals.c.last_id).where(seals.c.id == after_seal)).scalar() or 0
        connection.execute(delete(seals).where(seals.c.id > after_seal))
        connection.execute(delete(rows).where(rows.c.id > left))


@pytest.fixture
def lost(world: World) -> World:
    """Alice's authenticator and backup codes, and a log without the end that this machine has seen."""
    alice = world.user()
    assert keep(world) is None
    made = world.start(alice)
    assert isinstance(world.confirm(alice, world.code(made)), Confirmed)
    assert keep(world) is None
    lose_the_end(world, after_seal=1)
    return world


def rows(world: World, *columns: object) -> list[tuple[object, ...]]:
    with world.app.database.reading() as connection:
        return [tuple(row) for row in connection.execute(select(*columns))]  # type: ignore[call-overload]


def test_a_database_that_only_grew_is_no_older_one(world: World, refuses: Refuses) -> None:
    for name in ("alice", "bob"):
        world.user(name)
        assert keep(world) is None
        world.app.refuse_loss()
    refuses(accept(world), "nothing to accept")


def test_of_many_workers_one_seals(world: World) -> None:
    world.user()
    keep(world)
    world.user("bob")
    for _ in range(3):
        restore.keep(world.clock.now + 0.5, chain=world.app.audit_chain, marks=world.app.marks)
    assert world.app.audit_chain.unsealed() == 1
    restore.keep(world.clock.now - 60, chain=world.app.audit_chain, marks=world.app.marks)
    assert world.app.audit_chain.unsealed() == 0, "a clock that is behind keeps nobody from sealing"


def test_a_new_machine_has_seen_nothing_and_lost_nothing(world: World, tmp_path: Path) -> None:
    world.user()
    keep(world)
    assert restore.find_loss(chain=world.app.audit_chain, marks=HighWater(tmp_path / "none.json")) is None


def test_what_was_voided_is_not_tried_again(lost: World) -> None:
    at = lost.clock.now
    mail = {"kind": "mfa-disabled", "channel": "mail", "recipient": "r@x", "payload": b"p", "created_at": at}
    with lost.app.database.writing() as connection:
        connection.execute(insert(schema.outbox).values(**mail, due_at=at, expires_at=at + 86_400))
    assert isinstance(accept(lost), Accepted)
    assert list(outbox.retry_all(store=lost.app.administration, clock=lost.clock)) == []


def test_an_older_copy_is_refused_with_the_command_that_helps(lost: World) -> None:
    with pytest.raises(NotReadyProblem, match="db accept-restore"):
        lost.app.refuse_loss()


def test_a_log_that_has_nothing_left_is_noticed(lost: World) -> None:
    lose_the_end(lost)
    with pytest.raises(NotReadyProblem, match="is empty"):
        lost.app.refuse_loss()


def test_an_older_copy_that_went_on_is_still_noticed(lost: World) -> None:
    """The mark stays where it was, however many seals the copy gains."""
    for name in ("bob", "carol", "dave"):
        lost.user(name)
        assert keep(lost) is not None
    with pytest.raises(NotReadyProblem):
        lost.app.refuse_loss()


def test_what_is_accepted_has_every_code_until_now_spent(lost: World) -> None:
    accepted = accept(lost)
    assert isinstance(accepted, Accepted)
    assert (accepted.voided.methods, accepted.voided.backup_codes) == (1, 1)
    assert rows(lost, schema.methods.c.watermark) == [(step_at(lost.clock.now, 30) + 1,)]
    assert rows(lost, schema.users.c.backup_generation) == [(2,)]
    lost.app.refuse_loss()
    assert keep(lost) is None


def test_a_watermark_is_never_lowered(lost: World) -> None:
    with lost.app.database.writing() as connection:
        connection.execute(update(schema.methods).values(watermark=10**12))
    accepted = accept(lost)
    assert isinstance(accepted, Accepted)
    assert accepted.voided.methods == 0
    assert rows(lost, schema.methods.c.watermark) == [(10**12,)]


def test_backup_codes_stay_good_only_where_that_is_asked_for(lost: World) -> None:
    accepted = accept(lost, keep_backup_codes=True)
    assert isinstance(accepted, Accepted)
    assert accepted.voided.backup_codes == 0
    assert rows(lost, schema.users.c.backup_generation) == [(1,)]


def test_what_is_accepted_has_no_link_period_session_or_message_left(lost: World) -> None:
    tables = (schema.links, schema.challenges, schema.verifications, schema.portal_sessions)
    user, nas = {"user_id": 1}, {"nas_id": 1}
    with lost.app.database.writing() as connection:
        at = lost.clock.now
        connection.execute(insert(schema.links).values(hash=b"l", purpose="reset", expires_at=at + 60, **user))
        challenge = {"state": b"s", "kind": "code", "granted_to": "", "expires_at": at + 60}
        gate = {"name": "gate", "address": "192.0.2.1/32", "secret": b"x", "surface": "vpn", "created_at": at}
        if not connection.execute(select(schema.nas.c.id)).first():
            connection.execute(insert(schema.nas).values(id=1, **gate))
        connection.execute(insert(schema.challenges).values(**challenge, **user, **nas))
        period = {"device": "", "surface": "vpn", "at": at, "text": b"x"}
        connection.execute(insert(schema.verifications).values(**period, **user, **nas))
        session = {"hash": b"h", "stage": "in", "how": "totp", "granted_to": "", "created_at": at, "seen_at": at}
        connection.execute(insert(schema.portal_sessions).values(**session, **user))
        connection.execute(insert(schema.sms_codes).values(digest=b"d", **user))
        mail = {"kind": "k", "channel": "mail", "recipient": "r", "payload": b"p", "created_at": at, "due_at": at}
        connection.execute(insert(schema.outbox).values(**mail, expires_at=at + 60))
    assert isinstance(accept(lost), Accepted)
    assert [rows(lost, table) for table in tables] == [[]] * 4
    assert rows(lost, schema.sms_codes.c.digest) == [(None,)]
    assert set(rows(lost, schema.outbox.c.due_at, schema.outbox.c.payload)) == {(None, None)}


def test_who_accepted_what_is_in_the_log(lost: World) -> None:
    accept(lost)
    entries = rows(lost, schema.audit.c.reason, schema.audit.c.actor, schema.audit.c.outcome)
    assert ("db-accept-restore", "operator", "done") in entries


def test_the_marks_of_other_machines_are_of_the_database_that_is_lost(lost: World, tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_bytes((lost.app.config.state_dir / "high-water.json").read_bytes())
    accept(lost)
    assert restore.find_loss(chain=lost.app.audit_chain, marks=HighWater(other)) is None


def test_the_same_older_copy_restored_once_more_is_noticed_again(lost: World) -> None:
    identity = lost.app.audit_chain.standing().identity
    accept(lost)
    lose_the_end(lost, after_seal=1)
    with lost.app.database.writing() as connection:
        value = {"value": bytes.fromhex(identity)}
        connection.execute(update(schema.meta).where(schema.meta.c.name == "identity").values(value))
    with pytest.raises(NotReadyProblem):
        lost.app.refuse_loss()


@pytest.mark.parametrize("text", ["", "[]", "{", '{"x": 1}', '{"x": {"seal": 1}}', '{"x": {"seal": "x"}}', "\udcff"])
def test_damaged_marks_are_said_to_be_damaged(tmp_path: Path, text: str) -> None:
    """Taken for none, they would be a way to have a loss overlooked."""
    path = tmp_path / "high-water.json"
    path.write_text(text, errors="surrogateescape")
    with pytest.raises(HighWaterProblem, match=r"high-water\.json is damaged"):
        HighWater(path).of("x")

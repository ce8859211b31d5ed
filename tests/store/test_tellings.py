"""Whom the audit log says to tell: everybody once, whatever commits late and however many look."""

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Connection, delete, insert, select, text

from radiusd_mfa.keys import KeyRing
from radiusd_mfa.store import schema
from radiusd_mfa.store.database import Database
from radiusd_mfa.store.outbox import PAYLOAD
from radiusd_mfa.store.outbox_queue import OutboxQueue
from radiusd_mfa.store.tellings import MANY
from radiusd_mfa.usecases.outbox_ports import WORTH_TELLING, Channel, Mail

NOW = 1_800_000_000.0  # eight o'clock in the morning, UTC
ALICE = {"id": 1, "name": "alice", "email": "alice@example.org", "created_at": NOW - 1e7, "backup_generation": 2}


@pytest.fixture
def queue(database: Database, keys: KeyRing) -> OutboxQueue:
    with database.writing() as connection:
        connection.execute(insert(schema.users).values(ALICE))
    return OutboxQueue(database, keys)


def sign_in(connection: Connection, reason: str = "backup-code", at: float = NOW, user: str = "alice") -> None:
    outcome = "accept" if reason in ("backup-code", "totp") else "reject"
    values = {"at": at, "kind": "sign-in", "user_name": user, "nas_name": "vpn", "outcome": outcome, "reason": reason}
    connection.execute(insert(schema.audit).values(values))


def signed_in(database: Database, reason: str = "backup-code", times: int = 1, **values: object) -> None:
    with database.writing() as connection:
        for _ in range(times):
            sign_in(connection, reason, **values)  # type: ignore[arg-type]


def told(database: Database, keys: KeyRing) -> Sequence[tuple[str, dict[str, object]]]:
    with database.reading() as connection:
        rows = connection.execute(select(schema.outbox).order_by(schema.outbox.c.id)).all()
    return [(row.kind, json.loads(keys.open(row.payload, row=row.id, **PAYLOAD))) for row in rows]


def test_a_used_backup_code_is_told_once_with_how_many_are_left(
    queue: OutboxQueue, database: Database, keys: KeyRing
) -> None:
    with database.writing() as connection:
        for number, (generation, used) in enumerate([(1, None), (2, None), (2, None), (2, NOW)]):
            values = {"user_id": 1, "generation": generation, "selector": f"a{number}", "hash": "", "used_at": used}
            connection.execute(insert(schema.backup_codes).values(values))
    signed_in(database)
    assert [queue.gather(now=NOW + late) for late in (1, 2, 3600, WORTH_TELLING)] == [1, 0, 0, 0]
    [(kind, values)] = told(database, keys)
    assert kind == Mail.BACKUP_CODE_USED
    assert (values["user"], values["left"], values["where"], values["at"]) == ("alice", 2, "vpn", NOW)


@pytest.mark.parametrize("reason", ["totp", "wrong-password", "throttled", "code-reused"])
def test_other_sign_ins_are_told_to_nobody(queue: OutboxQueue, database: Database, reason: str) -> None:
    signed_in(database, reason, times=20)
    assert queue.gather(now=NOW) == 0


def test_each_used_code_is_told(queue: OutboxQueue, database: Database, keys: KeyRing) -> None:
    signed_in(database, times=3)
    assert queue.gather(now=NOW) == 3
    signed_in(database)
    assert queue.gather(now=NOW) == 1
    assert len(told(database, keys)) == 4


def test_what_was_sent_and_forgotten_by_nobody_is_not_told_again(queue: OutboxQueue, database: Database) -> None:
    signed_in(database)
    queue.gather(now=NOW)
    claimed = queue.claim([Channel.MAIL], now=NOW, until=NOW + 1)
    assert claimed is not None
    queue.sent(claimed, at=NOW)
    queue.tidy(now=NOW + WORTH_TELLING)
    assert queue.gather(now=NOW + WORTH_TELLING - 1) == 0


def test_after_three_days_nobody_is_told_any_more(queue: OutboxQueue, database: Database) -> None:
    """Switched on late, mail begins with what is worth telling."""
    signed_in(database)
    signed_in(database, "wrong-code", times=MANY)
    assert queue.gather(now=NOW + WORTH_TELLING) == 0
    assert queue.gather(now=NOW + WORTH_TELLING - 1) == 2


def test_a_user_without_an_address_is_told_once_there_is_one(
    queue: OutboxQueue, database: Database, keys: KeyRing
) -> None:
    with database.writing() as connection:
        connection.execute(text("UPDATE users SET email = NULL"))
    signed_in(database)
    assert queue.gather(now=NOW) == 0
    with database.writing() as connection:
        connection.execute(text("UPDATE users SET email = 'alice@example.org'"))
    assert queue.gather(now=NOW) == 1
    assert told(database, keys)[0][1]["user"] == "alice"


def test_a_later_user_of_the_same_name_is_not_told(queue: OutboxQueue, database: Database) -> None:
    signed_in(database)
    with database.writing() as connection:
        connection.execute(delete(schema.users))
        connection.execute(insert(schema.users).values(ALICE | {"id": 2, "created_at": NOW + 1}))
    assert queue.gather(now=NOW + 2) == 0


def test_a_sign_in_that_commits_late_is_told_though_a_later_one_was_told_before(
    database: Database, keys: KeyRing
) -> None:
    """A cursor over ids would have run past it. Only PostgreSQL has two writers at once."""
    if database.dialect == "sqlite":
        pytest.skip("SQLite has one writer at a time, so ids commit in their order")
    with database.writing() as connection:
        connection.execute(insert(schema.users).values(ALICE))
    queue = OutboxQueue(database, keys)
    with database.writing() as slow:
        sign_in(slow, at=NOW)
        signed_in(database, at=NOW + 1)
        assert queue.gather(now=NOW + 2) == 1
    assert queue.gather(now=NOW + 3) == 1
    assert sorted(values["at"] for _, values in told(database, keys)) == [NOW, NOW + 1]  # type: ignore[type-var]


def test_many_nodes_that_look_at_once_tell_once(queue: OutboxQueue, database: Database, keys: KeyRing) -> None:
    signed_in(database, times=20)
    signed_in(database, "wrong-code", times=MANY)
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: queue.gather(now=NOW), range(4)))
    assert sum(found) == 21
    assert len(told(database, keys)) == 21


def test_a_few_wrong_codes_are_told_to_nobody(queue: OutboxQueue, database: Database) -> None:
    signed_in(database, "wrong-code", times=MANY - 1)
    signed_in(database, "wrong-code", at=NOW - 86_400)  # the day before
    assert queue.gather(now=NOW) == 0


def test_many_wrong_codes_are_told_once_a_day(queue: OutboxQueue, database: Database, keys: KeyRing) -> None:
    signed_in(database, "wrong-code", times=MANY)
    assert queue.gather(now=NOW) == 1
    signed_in(database, "wrong-code", times=MANY, at=NOW + 60)
    assert queue.gather(now=NOW + 60) == 0
    signed_in(database, "wrong-code", times=MANY, at=NOW + 86_400)
    assert queue.gather(now=NOW + 86_400) == 1
    assert [(kind, values["count"]) for kind, values in told(database, keys)] == [(Mail.WRONG_CODES, MANY)] * 2


def test_ordinary_sign_ins_are_not_looked_at(queue: OutboxQueue, database: Database) -> None:
    """The index of those that matter leads the query, so its cost does not grow with the audit log."""
    from radiusd_mfa.store import tellings  # noqa: PLC0415 - its statements, as they are

    for statement in (tellings._used_codes(NOW), tellings._attacked(int(NOW // 86_400), NOW)):
        with database.writing() as connection:
            if database.dialect == "postgresql":
                connection.execute(text("SET LOCAL enable_seqscan = off"))
            literal = statement.compile(connection, compile_kwargs={"literal_binds": True})
            explain = "EXPLAIN QUERY PLAN " if database.dialect == "sqlite" else "EXPLAIN "
            plan = "\n".join(str(row) for row in connection.execute(text(explain + str(literal).replace(":", "\\:"))))
        assert "ix_audit_told" in plan
    assert queue.gather(now=NOW) == 0

"""The chain of seals: what somebody does to the audit log behind the program's back is found, and is named."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any

import pytest
from sqlalchemy import delete, insert, select, text, update

from radiusd_mfa.keys import KeyRing
from radiusd_mfa.store import audit_chain, schema
from radiusd_mfa.store.administration import AdministrationStore
from radiusd_mfa.store.audit_chain import AuditSeals
from radiusd_mfa.store.database import Database
from radiusd_mfa.usecases import audit as audit_log
from radiusd_mfa.usecases.audit import Found, Verified
from radiusd_mfa.usecases.audit_ports import Mark
from radiusd_mfa.usecases.changes import Refusal
from tests.support.world import World

NOW = time.time()
DAY = 86_400.0
_rows = schema.audit.c
_seals = schema.audit_seals.c


@pytest.fixture
def chain(database: Database, keys: KeyRing) -> AuditSeals:
    return AuditSeals(database, keys)


def record(world: World, names: Sequence[str], *, at: float = NOW) -> list[int]:
    """Append a row for each name, as programs do, and return their ids."""
    with world.database.writing() as connection:
        return [
            connection.execute(
                insert(schema.audit)
                .values(at=at, kind="sign-in", request=name.encode(), user_name=name, outcome="accept", reason="totp")
                .returning(_rows.id)
            ).scalar_one()
            for name in names
        ]


def verified(chain: AuditSeals, mark: Mark | None = None) -> Verified:
    return audit_log.verify(chain=chain, clock=lambda: NOW, mark=mark)


def found(chain: AuditSeals) -> list[tuple[Found, tuple[int, ...]]]:
    return [(each.kind, each.rows or each.seals) for each in verified(chain).findings]


@pytest.fixture
def ids(world: World, chain: AuditSeals) -> list[int]:
    """Nine rows under three seals."""
    made = []
    for names in ("abc", "def", "ghi"):
        made += record(world, names)
        assert chain.seal(NOW) == 3
    return made


def test_what_nobody_touched_is_intact(chain: AuditSeals, ids: list[int]) -> None:
    shown = verified(chain)
    assert (shown.is_intact, shown.rows, shown.seals, shown.unsealed) == (True, 9, 3, 0)
    assert shown.last is not None
    assert shown.last.last_id == ids[-1]


def test_an_empty_log_is_intact(chain: AuditSeals) -> None:
    assert verified(chain) == Verified(0, 0, None, 0, None, [])


CHANGED_ROWS = [
    ("at", NOW - 1),
    ("kind", "change"),
    ("request", b"other"),
    ("request", None),
    ("user_name", "mallory"),
    ("user_name", None),
    ("user_name", ""),
    ("nas_name", "gate"),
    ("surface", "vpn"),
    ("device", "x"),
    ("outcome", "reject"),
    ("reason", "backup-code"),
    ("actor", "operator"),
    ("detail", "{}"),
    ("facts", "null"),
]


def test_a_row_that_was_changed_in_any_column_is_named(world: World, chain: AuditSeals, ids: list[int]) -> None:
    with world.database.reading() as connection:
        whole = connection.execute(select(schema.audit).where(_rows.id == ids[4])).one()._asdict()
    for column, value in CHANGED_ROWS:
        world.execute(update(schema.audit).where(_rows.id == ids[4]).values(whole | {column: value}))
        assert found(chain) == [(Found.CHANGED, (ids[4],))], column
    world.execute(update(schema.audit).where(_rows.id == ids[4]).values(whole))
    assert found(chain) == []


def test_every_column_of_the_log_is_sealed() -> None:
    """A new one needs a new version of what is sealed: else it could be changed without a trace."""
    assert set(audit_chain._CONTENT) == set(schema.audit.c)


@pytest.mark.parametrize("index", [0, 4, 8])
def test_a_row_that_was_removed_is_named(world: World, chain: AuditSeals, ids: list[int], index: int) -> None:
    world.execute(delete(schema.audit).where(_rows.id == ids[index]))
    assert found(chain) == [(Found.REMOVED, (ids[index],))]


def test_a_row_that_was_inserted_among_sealed_ones_is_named(world: World, chain: AuditSeals, ids: list[int]) -> None:
    world.execute(delete(schema.audit).where(_rows.id == ids[4]))
    values = {"at": NOW, "kind": "sign-in", "outcome": "accept", "reason": "totp"}
    for row in (ids[0] - 1, ids[4]):
        world.execute(insert(schema.audit).values(id=row, **values))
    assert found(chain) == [(Found.INSERTED, (ids[0] - 1,)), (Found.CHANGED, (ids[4],))]


def test_rows_that_changed_places_are_named_across_seals(world: World, chain: AuditSeals, ids: list[int]) -> None:
    for old, new in ((ids[1], 10_000), (ids[7], ids[1]), (10_000, ids[7])):
        world.execute(update(schema.audit).where(_rows.id == old).values(id=new))
    assert found(chain) == [(Found.MOVED, (ids[1], ids[7])), (Found.MOVED, (ids[7], ids[1]))]


def test_a_row_that_was_moved_to_a_free_place_is_named_once(world: World, chain: AuditSeals) -> None:
    first, second, third = record(world, "abc")
    world.execute(delete(schema.audit).where(_rows.id == second))
    chain.seal(NOW)
    world.execute(update(schema.audit).where(_rows.id == third).values(id=second))
    assert found(chain) == [(Found.MOVED, (second, third))]
    assert first < second


CHANGED_SEALS = [
    ("version", 2),
    ("after_id", 0),
    ("last_id", 999),
    ("entries", 2),
    ("newest_at", 1.0),
    ("sealed_at", 1.0),
    ("digest", bytes(32)),
    ("digests", b""),
    ("digests", None),
    ("digests", b"x"),
    ("previous", bytes(32)),
    ("mac", bytes(32)),
    ("pruned", bytes(32)),
]


@pytest.mark.usefixtures("ids")
def test_a_seal_that_was_changed_is_named(world: World, chain: AuditSeals) -> None:
    with world.database.reading() as connection:
        whole = connection.execute(select(schema.audit_seals).where(_seals.id == 2)).one()._asdict()
    for column, value in CHANGED_SEALS:
        world.execute(update(schema.audit_seals).where(_seals.id == 2).values(whole | {column: value}))
        assert (Found.SEAL_CHANGED, (2,)) in found(chain), column
    world.execute(update(schema.audit_seals).where(_seals.id == 2).values(whole))
    assert found(chain) == []


def test_a_row_and_its_seal_changed_together_without_the_key_are_found(
    world: World, chain: AuditSeals, database: Database, ids: list[int]
) -> None:
    """Whoever has the database and not the key can make no seal, not even by having another key make one."""
    forger = AuditSeals(database, KeyRing([("test", bytes(32))]))
    world.execute(update(schema.audit).where(_rows.id == ids[7]).values(user_name="mallory"))
    world.execute(delete(schema.audit_seals).where(_seals.id == 3))
    forger.seal(NOW)
    assert (Found.SEAL_CHANGED, (3,)) in found(chain)


@pytest.mark.usefixtures("ids")
@pytest.mark.parametrize(("gone", "missing"), [((1,), (1, 1)), ((2,), (2, 2)), ((1, 2), (1, 2))])
def test_seals_that_were_removed_are_named(
    world: World, chain: AuditSeals, gone: tuple[int, ...], missing: tuple[int, int]
) -> None:
    world.execute(delete(schema.audit_seals).where(_seals.id.in_(gone)))
    assert (Found.SEALS_MISSING, missing) in found(chain)


def _mark(chain: AuditSeals) -> Mark:
    last = chain.standing().last
    assert last is not None
    return Mark(last.id, last.mac, last.last_id, last.sealed_at)


def test_an_end_that_was_cut_off_is_found_by_the_mark(world: World, chain: AuditSeals, ids: list[int]) -> None:
    mark = _mark(chain)
    assert verified(chain, mark).is_intact
    world.execute(delete(schema.audit_seals).where(_seals.id == 3))
    world.execute(delete(schema.audit).where(_rows.id > ids[5]))
    assert [each.kind for each in verified(chain).findings] == [], "nothing in the database shows it"
    assert [each.kind for each in verified(chain, mark).findings] == [Found.CUT_OFF]


def test_a_chain_that_was_cut_off_and_has_grown_again_is_another_one(
    world: World, chain: AuditSeals, ids: list[int]
) -> None:
    mark = _mark(chain)
    world.execute(delete(schema.audit_seals).where(_seals.id == 3))
    world.execute(delete(schema.audit).where(_rows.id > ids[5]))
    for name in "xyz":
        record(world, name)
        chain.seal(NOW)
    assert [each.kind for each in verified(chain, mark).findings] == [Found.CUT_OFF]


@pytest.mark.usefixtures("ids")
def test_what_is_sealed_stays_sealed_when_the_key_is_rotated(database: Database) -> None:
    rotated = KeyRing([("test", bytes(range(32))), ("new", bytes(32))])
    assert verified(AuditSeals(database, rotated)).is_intact


def test_two_nodes_seal_one_chain(world: World, database: Database, keys: KeyRing) -> None:
    nodes = [AuditSeals(database, keys) for _ in range(4)]
    with ThreadPoolExecutor(4) as threads:
        for number in range(10):
            record(world, [f"{number}-{name}" for name in "abc"])
            list(threads.map(lambda node: node.seal(NOW), nodes))
    shown = verified(nodes[0])
    assert (shown.is_intact, shown.rows, shown.unsealed) == (True, 30, 0)


def test_many_rows_are_sealed_in_batches(world: World, chain: AuditSeals, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_chain, "BATCH", 4)
    record(world, [str(number) for number in range(10)])
    assert chain.seal(NOW) == 10
    shown = verified(chain)
    assert (shown.is_intact, shown.rows, shown.seals) == (True, 10, 3)


def test_what_comes_while_it_seals_waits_for_the_next_seal(
    world: World, chain: AuditSeals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or it would seal row by row for as long as sign-ins come, and take from them what that costs."""
    late = iter("bcdef")
    append = chain._append

    def appended(*arguments: Any) -> bool:
        done = append(*arguments)
        record(world, [*islice(late, 1)])
        return done

    monkeypatch.setattr(chain, "_append", appended)
    record(world, "a")
    assert [chain.seal(NOW) for _ in range(3)] == [1, 1, 1]


def test_the_work_of_sealing_is_cut_into_slices(
    world: World, database: Database, keys: KeyRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    record(world, [str(number) for number in range(200)])
    monkeypatch.setattr(audit_chain, "sleep", pauses.append)
    AuditSeals(database, keys, beside_sign_ins=True).seal(NOW)
    assert len(pauses) == 4 + 3, "while 200 rows are read, and while they are digested"


def test_a_flood_is_sealed_bit_by_bit(
    world: World, database: Database, keys: KeyRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The seals of a second cost the sign-ins of that second so much and no more."""
    monkeypatch.setattr(audit_chain, "BATCH", 4)
    record(world, [str(number) for number in range(10)])
    beside = AuditSeals(database, keys, beside_sign_ins=True)
    assert [beside.seal(NOW) for _ in range(4)] == [4, 4, 2, 0]


@pytest.mark.parametrize("dialect", ["postgresql"])
class TestOnPostgresql:
    """Ids are committed in any order there."""

    def test_a_row_that_is_committed_late_is_sealed_then_and_looks_like_no_other(
        self, world: World, chain: AuditSeals, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(audit_chain, "PATIENCE", 0.1)
        with world.database.writing() as late:
            late.execute(insert(schema.audit).values(at=NOW, kind="change", outcome="done", reason="late"))
            record(world, "a")
            assert chain.seal(NOW) == 0, "the older row is not there yet"
        assert chain.seal(NOW) == 2
        assert verified(chain).is_intact

    def test_a_row_whose_transaction_ends_while_it_is_waited_for_is_sealed(
        self, world: World, chain: AuditSeals
    ) -> None:
        with ThreadPoolExecutor(1) as threads:
            with world.database.writing() as late:
                late.execute(insert(schema.audit).values(at=NOW, kind="change", outcome="done", reason="late"))
                record(world, "a")
                sealing = threads.submit(chain.seal, NOW)
                late.execute(text("SELECT pg_sleep(0.05)"))
            assert sealing.result() == 2

    def test_rows_that_begin_later_are_not_waited_for(
        self, world: World, chain: AuditSeals, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Or a busy server would never be sealed: somebody always writes."""
        record(world, "a")
        holders = audit_chain._have_ended

        def with_a_newcomer(connection: object) -> bool:
            ended = holders(connection)  # type: ignore[arg-type]
            newcomer.execute(insert(schema.audit).values(at=NOW, kind="change", outcome="done", reason="later"))
            return ended

        monkeypatch.setattr(audit_chain, "_have_ended", with_a_newcomer)
        with world.database.writing() as newcomer:
            assert chain.seal(NOW) == 1

    def test_no_row_is_missed_while_many_write_and_seal(
        self, world: World, database: Database, keys: KeyRing, chain: AuditSeals
    ) -> None:
        nodes = [AuditSeals(database, keys) for _ in range(2)]

        def write(writer: int) -> None:
            for number in range(25):
                with world.database.writing() as connection:
                    values = {"at": NOW, "kind": "sign-in", "outcome": "accept", "reason": f"{writer}-{number}"}
                    connection.execute(insert(schema.audit).values(values))
                    connection.execute(text("SELECT pg_sleep(0.002 * random())"))

        with ThreadPoolExecutor(6) as threads:
            writers = [threads.submit(write, number) for number in range(4)]
            while not all(writer.done() for writer in writers):
                list(threads.map(lambda node: node.seal(NOW), nodes))
        shown = verified(chain)
        assert (shown.is_intact, shown.rows, shown.unsealed) == (True, 100, 0)
        assert shown.seals > 1

    def test_a_transaction_that_never_ends_is_complained_about(
        self, world: World, chain: AuditSeals, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(audit_chain, "PATIENCE", 0.0)
        monkeypatch.setattr(audit_chain, "_TOO_LONG", 0.0)
        with world.database.writing() as late:
            late.execute(insert(schema.audit).values(at=NOW, kind="change", outcome="done", reason="late"))
            record(world, "a")
            chain.seal(NOW)
            assert caplog.records == []
            chain.seal(NOW)
        assert "pg_stat_activity" in caplog.text


@pytest.fixture
def prune(chain: AuditSeals, database: Database, keys: KeyRing) -> Callable[..., int | Refusal]:
    store = AdministrationStore(database, keys)

    def run(before: float, **options: bool) -> int | Refusal:
        settings = {"even_if_damaged": False, **options}
        return audit_log.prune(
            before, chain=chain, store=store, clock=lambda: NOW, mark=None, pause=lambda: None, **settings
        )

    return run


@pytest.fixture
def old(world: World, chain: AuditSeals) -> list[int]:
    """Ten rows of a hundred days ago to ten days ago, a seal for each."""
    made = []
    for number in range(10):
        made += record(world, [str(number)], at=NOW - (100 - 10 * number) * DAY)
        chain.seal(NOW)
    return made


def ids_left(world: World) -> list[int]:
    with world.database.reading() as connection:
        rows = select(_rows.id).where(_rows.kind == "sign-in").order_by(_rows.id)
        return list(connection.execute(rows).scalars())


def test_a_log_that_was_pruned_is_intact_and_goes_on(
    world: World, chain: AuditSeals, prune: Callable[..., int | Refusal], old: list[int]
) -> None:
    assert prune(NOW - 65 * DAY) == 4
    assert ids_left(world) == old[4:]
    shown = verified(chain)
    assert (shown.is_intact, shown.pruned_upto) == (True, old[3])
    assert prune(NOW - 45 * DAY) == 2
    assert ids_left(world) == old[6:]
    record(world, "new")
    assert verified(chain).is_intact
    assert prune(NOW - 45 * DAY) == 0


@pytest.mark.usefixtures("old")
def test_pruning_leaves_one_seal_for_all_that_is_gone(world: World, prune: Callable[..., int | Refusal]) -> None:
    prune(NOW - 65 * DAY)
    with world.database.reading() as connection:
        seals = select(_seals.id, _seals.digests.is_(None)).order_by(_seals.id).limit(2)
        assert [tuple(row) for row in connection.execute(seals)] == [(4, True), (5, False)]


@pytest.mark.usefixtures("old")
def test_who_pruned_what_is_in_the_log(world: World, prune: Callable[..., int | Refusal]) -> None:
    prune(NOW - 65 * DAY)
    with world.database.reading() as connection:
        rows = select(_rows.actor, _rows.outcome).where(_rows.reason == "audit-prune")
        assert [tuple(row) for row in connection.execute(rows)] == [("operator", "done")] * 2


@pytest.mark.usefixtures("old")
def test_a_pruning_that_was_broken_off_is_in_the_log_too(world: World, chain: AuditSeals, database: Database) -> None:
    def break_off() -> None:
        raise KeyboardInterrupt

    store = AdministrationStore(database, world.keys)
    with pytest.raises(KeyboardInterrupt):
        audit_log.prune(
            NOW - 65 * DAY,
            chain=chain,
            store=store,
            clock=lambda: NOW,
            mark=None,
            even_if_damaged=False,
            pause=break_off,
        )
    assert ids_left(world)[0] > 1
    with world.database.reading() as connection:
        rows = select(_rows.actor, _rows.outcome).where(_rows.reason == "audit-prune")
        assert [tuple(row) for row in connection.execute(rows)] == [("operator", "done")]


def test_a_row_below_what_was_pruned_is_named(
    world: World, chain: AuditSeals, prune: Callable[..., int | Refusal], old: list[int]
) -> None:
    prune(NOW - 65 * DAY)
    values = {"at": 1.0, "kind": "sign-in", "outcome": "accept", "reason": "totp"}
    world.execute(insert(schema.audit).values(id=old[1], **values))
    assert found(chain) == [(Found.INSERTED, (old[1],))]


def test_nobody_prunes_without_the_key(
    world: World, chain: AuditSeals, database: Database, prune: Callable[..., int | Refusal], old: list[int]
) -> None:
    forger = AuditSeals(database, KeyRing([("test", bytes(32))]))
    assert forger.prune(NOW - 65 * DAY) == 4
    assert (Found.SEAL_CHANGED, (4,)) in found(chain)
    assert isinstance(prune(NOW - 45 * DAY), Refusal)
    assert ids_left(world) == old[4:]


def test_a_damaged_log_is_pruned_only_by_who_says_so(
    world: World, prune: Callable[..., int | Refusal], old: list[int]
) -> None:
    world.execute(delete(schema.audit).where(_rows.id == old[0]))
    refused = prune(NOW - 65 * DAY)
    assert isinstance(refused, Refusal)
    assert "audit verify" in refused.sentence
    assert ids_left(world) == old[1:]
    assert prune(NOW - 65 * DAY, even_if_damaged=True) == 3


def test_the_last_month_is_never_pruned(world: World, prune: Callable[..., int | Refusal], old: list[int]) -> None:
    refused = prune(NOW - 29 * DAY)
    assert isinstance(refused, Refusal)
    assert "30 days" in refused.sentence
    assert ids_left(world) == old


def test_a_mark_on_a_seal_that_was_pruned_since_is_no_loss(
    world: World, chain: AuditSeals, prune: Callable[..., int | Refusal]
) -> None:
    record(world, "a", at=NOW - 90 * DAY)
    chain.seal(NOW)
    mark = _mark(chain)
    for name in "bcd":
        record(world, name, at=NOW - 80 * DAY)
        chain.seal(NOW)
    prune(NOW - 70 * DAY)
    assert verified(chain, mark).is_intact


def test_an_export_goes_on_where_the_last_one_ended(world: World, chain: AuditSeals, ids: list[int]) -> None:
    def exported(after: int, **times: float | None) -> list[int]:
        when = {"since": None, "until": None, **times}
        return [each.id for each in audit_log.export(after=after, chain=chain, clock=lambda: NOW, **when)]

    assert exported(0) == ids
    assert exported(ids[6]) == ids[7:]
    assert exported(ids[-1]) == []
    new = record(world, "x", at=NOW + 5)
    assert exported(ids[-1]) == new
    assert exported(0, since=NOW + 1) == new
    assert exported(0, until=NOW + 1) == ids

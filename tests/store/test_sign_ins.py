"""The sign-in store by itself: `open` charges, `settle` arbitrates, on both databases (O6, I1, I2, I3)."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import delete, insert, select, text, update

from radiusd_mfa.core import throttle
from radiusd_mfa.core.facts import Attempt, Facts, Nas
from radiusd_mfa.core.verdict import Mark, Outcome, Reason, SpendBackupCode, SpendStep, Verdict
from radiusd_mfa.store import schema
from radiusd_mfa.store.database import Database
from radiusd_mfa.usecases.ports import Settlement, StoreFault
from radiusd_mfa.usecases.renewing import Renewal
from tests.support.attempts import Desk
from tests.support.world import TestUser, World


@pytest.fixture
def desk(world: World) -> Desk:
    nas_id = world.nas(challenge=True)
    return Desk(world, world.sign_in_store(), Nas(nas_id, "vpn", "vpn", challenge=True))


@pytest.fixture
def alice(world: World) -> TestUser:
    return world.user(codes=3)


def rows(world: World, table: Any) -> list[Any]:
    with world.database.reading() as connection:
        return list(connection.execute(select(table)).fetchall())


def history(world: World, user: TestUser) -> str:
    found = {row.user_id: row.history for row in rows(world, schema.throttles)}
    return str(found.get(user.id, ""))


def watermark(world: World) -> int:
    return int(rows(world, schema.methods)[0].watermark)


def wrong(user: TestUser, number: int = 1) -> bytes:
    return f"hunter2{(int(user.code()) + number) % 10**6:06}".encode()


def test_open_charges_before_anything_is_checked(world: World, desk: Desk, alice: TestUser) -> None:
    attempt = desk.attempt(alice, wrong(alice))
    (facts,) = desk.store.open([attempt])
    assert facts.history == history(world, alice) == str(attempt.charge)


def test_reread_does_not_charge(world: World, desk: Desk, alice: TestUser) -> None:
    attempt = desk.attempt(alice, wrong(alice))
    opened = desk.store.open([attempt])
    assert desk.store.reread([attempt]) == opened
    assert history(world, alice) == str(attempt.charge)


def test_a_batch_of_one_user_reads_the_charges_before_its_own(desk: Desk, alice: TestUser) -> None:
    attempts = [desk.attempt(alice, wrong(alice, number)) for number in range(1, 8)]
    settlements = desk.opened(*attempts)
    admitted = [each for each in settlements if each.verdict.reason is Reason.WRONG_CODE]
    assert len(admitted) == 5  # ATTACKS 16: not more than five guesses, also when they are in flight at once
    assert {each.verdict.reason for each in settlements[5:]} == {Reason.THROTTLED}


def test_a_success_takes_its_charge_back_and_a_wrong_code_leaves_it(world: World, desk: Desk, alice: TestUser) -> None:
    failed = desk.attempt(alice, wrong(alice))
    assert desk.signed_in(failed).reason is Reason.WRONG_CODE
    counted = history(world, alice)
    assert [charge.mark for charge in throttle.parse(counted)] == ["c"]
    assert desk.signed_in(desk.attempt(alice, alice.typed())).outcome is Outcome.ACCEPT
    assert history(world, alice) == counted


def test_charges_of_a_batch_that_meets_a_user_twice_are_each_settled(world: World, desk: Desk, alice: TestUser) -> None:
    settlements = desk.opened(desk.attempt(alice, wrong(alice)), desk.attempt(alice, alice.typed()))
    assert None not in desk.store.settle(settlements)
    assert [charge.mark for charge in throttle.parse(history(world, alice))] == ["c"]


def test_two_batches_in_flight_settle_their_own_charges_only(world: World, desk: Desk, alice: TestUser) -> None:
    (first,) = desk.opened(desk.attempt(alice, wrong(alice)))
    (second,) = desk.opened(desk.attempt(alice, alice.typed()))
    assert desk.store.settle([first]) != [None]
    assert desk.store.settle([second]) != [None]
    assert [charge.mark for charge in throttle.parse(history(world, alice))] == ["c"]


def test_a_refund_takes_back_its_own_charge_and_no_other_of_the_same_request(
    world: World, desk: Desk, alice: TestUser
) -> None:
    """A retransmission is charged anew; that it is checked under this charge must not be forgotten (I3)."""
    request, now = bytes(range(16)), time.time()
    left = desk.attempt(alice, wrong(alice), request=request, at=now)
    again = desk.attempt(alice, wrong(alice), request=request, at=now + 2)
    (unchecked,) = desk.store.open([left])
    (facts,) = desk.store.open([again])
    desk.store.refund([(left, unchecked), (desk.attempt("nobody", b"x"), Facts())])
    assert history(world, alice) == str(again.charge)
    desk.store.settle([desk.judged(again, facts)])
    assert [charge.mark for charge in throttle.parse(history(world, alice))] == [Mark.WRONG_CODE]


def test_settle_writes_one_row_for_each_and_says_which(world: World, desk: Desk, alice: TestUser) -> None:
    bob = world.user("bob")
    settlements = desk.opened(
        desk.attempt(alice, alice.typed()),
        desk.attempt(bob, b"hunter2"),
        desk.attempt("nobody", b"hunter2123456"),
        desk.attempt(bob, wrong(bob)),
    )
    ids = desk.store.settle(settlements)
    told = {row.id: (row.user_name, row.outcome, row.reason, row.nas_name) for row in rows(world, schema.audit)}
    assert [told[each] for each in ids if each is not None] == [
        ("alice", "accept", "totp", "vpn"),
        ("bob", "challenge", "code-due", "vpn"),
        ("nobody", "reject", "unknown-user", "vpn"),
        ("bob", "reject", "wrong-code", "vpn"),
    ]


@pytest.mark.parametrize("batches", [1, 2])
@pytest.mark.parametrize("kind", ["totp", "backup"])
def test_the_same_code_twice_is_spent_once(world: World, desk: Desk, alice: TestUser, batches: int, kind: str) -> None:
    """Both are judged on the same facts; the database decides."""
    typed = alice.typed() if kind == "totp" else f"hunter2{alice.backup_codes[0].canonical}".encode()
    both = desk.opened(desk.attempt(alice, typed), desk.attempt(alice, typed, device="elsewhere"))
    assert [each.verdict.outcome for each in both] == [Outcome.ACCEPT] * 2
    ids = desk.store.settle(both) if batches == 1 else [*desk.store.settle(both[:1]), *desk.store.settle(both[1:])]
    assert sorted(each is None for each in ids) == [False, True]
    assert [outcome for outcome, _ in world.audit()] == ["accept"]
    loser = both[ids.index(None)].attempt
    assert desk.judge(loser, *desk.store.reread([loser])).reason is Reason.CODE_REUSED


def test_two_codes_of_one_user_in_one_batch_never_lower_the_watermark(
    world: World, desk: Desk, alice: TestUser
) -> None:
    later, now = (desk.attempt(alice, alice.typed(step)) for step in (1, 0))
    settlements = desk.opened(later, now)
    ids = desk.store.settle(settlements)
    steps = [each.verdict.spend.step for each in settlements if isinstance(each.verdict.spend, SpendStep)]
    won = [step for step, audit_id in zip(steps, ids, strict=True) if audit_id is not None]
    assert won
    assert watermark(world) == max(won)
    assert len(world.audit()) == len(won)


def test_an_older_step_is_lost_however_late_it_settles(world: World, desk: Desk, alice: TestUser) -> None:
    older, newer = desk.opened(desk.attempt(alice, alice.typed(0)), desk.attempt(alice, alice.typed(1)))
    assert desk.store.settle([newer]) != [None]
    before = watermark(world)
    assert desk.store.settle([older]) == [None]
    assert watermark(world) == before


def test_two_settlements_of_one_challenge_are_one_answer(world: World, desk: Desk, alice: TestUser) -> None:
    for together in (True, False):
        first = desk.attempt(alice, b"hunter2")
        assert desk.signed_in(first).outcome is Outcome.CHALLENGE
        state = desk.sign_in.state_for(first)
        codes = [code.canonical.encode() for code in alice.backup_codes]
        code = codes[0] if together else codes[1]
        both = desk.opened(desk.attempt(alice, code, state=state), desk.attempt(alice, codes[2], state=state))
        ids = desk.store.settle(both) if together else [i for each in both for i in desk.store.settle([each])]
        assert sorted(each is None for each in ids) == [False, True]
        assert rows(world, schema.challenges) == []
        world.execute(
            update(schema.backup_codes)
            .where(schema.backup_codes.c.selector == alice.backup_codes[2].selector)
            .values(used_at=None)
        )


def answered(desk: Desk, user: TestUser, code: bytes) -> Settlement:
    """Let a challenge be given and answered, and the answer be judged."""
    first = desk.attempt(user, b"hunter2")
    assert desk.signed_in(first).outcome is Outcome.CHALLENGE
    (answer,) = desk.opened(desk.attempt(user, code, state=desk.sign_in.state_for(first)))
    assert answer.verdict.outcome is Outcome.ACCEPT
    return answer


@pytest.mark.parametrize("kind", ["totp", "backup"])
def test_an_answer_that_meets_a_renewal_of_the_hash_still_finds_its_challenge(
    world: World, desk: Desk, alice: TestUser, kind: str
) -> None:
    """Judged before the renewal and settled after it: the State must not be used up by what is judged again (I4)."""
    code = alice.code() if kind == "totp" else alice.backup_codes[0].canonical
    answer = answered(desk, alice, code.encode())
    user = answer.facts.user
    assert user is not None
    assert user.password_hash is not None
    assert world.renewing().save(
        Renewal(user.id, user.name, alice.password, user.password_hash), "of the same password"
    )
    assert desk.store.settle([answer]) == [None]
    (facts,) = desk.store.reread([answer.attempt])
    assert desk.store.settle([desk.judged(answer.attempt, facts)]) != [None]
    assert [outcome for outcome, _reason in world.audit()] == ["challenge", "accept"]
    assert rows(world, schema.challenges) == []


@pytest.mark.parametrize("dialect", ["postgresql"])
def test_an_answer_that_meets_whoever_holds_the_users_row_still_finds_its_challenge(
    world: World, desk: Desk, alice: TestUser
) -> None:
    answer = answered(desk, alice, alice.code().encode())
    with world.database.writing() as holding:
        holding.execute(select(schema.users.c.id).where(schema.users.c.id == alice.id).with_for_update())
        assert desk.store.settle([answer]) == [None]
    assert desk.store.settle([answer]) != [None]
    assert rows(world, schema.challenges) == []


def test_an_answer_whose_code_was_spent_meanwhile_uses_its_challenge_up(
    world: World, desk: Desk, alice: TestUser
) -> None:
    answer = answered(desk, alice, alice.code().encode())
    assert desk.signed_in(desk.attempt(alice, alice.typed(), device="elsewhere")).outcome is Outcome.ACCEPT
    assert desk.store.settle([answer]) == [None]
    assert rows(world, schema.challenges) == []
    (facts,) = desk.store.reread([answer.attempt])
    assert desk.judge(answer.attempt, facts).outcome is Outcome.REJECT


def test_the_same_request_twice_is_one_row_and_nothing_of_the_second(world: World, desk: Desk, alice: TestUser) -> None:
    """The first was refused, the second found the code right: the refusal stands, and the code is not spent."""
    request = bytes(range(16))
    (refused,) = desk.opened(desk.attempt(alice, wrong(alice), request=request))
    (right,) = desk.opened(desk.attempt(alice, alice.typed(), request=request))
    accepted = replace(right, facts=replace(right.facts, earlier=None))
    assert accepted.verdict.outcome is Outcome.ACCEPT
    assert desk.store.settle([refused]) != [None]
    before = (watermark(world), history(world, alice), world.audit())
    assert desk.store.settle([accepted]) == [None]
    assert (watermark(world), history(world, alice), world.audit()) == before
    assert rows(world, schema.verifications) == []


def test_the_same_request_twice_in_one_batch_has_the_verdict_of_the_first(
    world: World, desk: Desk, alice: TestUser
) -> None:
    """The clock may have passed to the next step between the two: the audit row tells what both are told (I2)."""
    request = bytes(range(16))
    (refused,) = desk.opened(desk.attempt(alice, wrong(alice), request=request))
    (right,) = desk.opened(desk.attempt(alice, alice.typed(), request=request))
    assert right.verdict.outcome is Outcome.ACCEPT
    first, second = desk.store.settle([refused, right])
    assert first is not None
    assert second is None
    assert world.audit() == [("reject", "wrong-code")]
    assert watermark(world) == 0


def test_an_open_of_a_settled_request_knows_the_verdict_and_charges_nothing(
    world: World, desk: Desk, alice: TestUser
) -> None:
    attempt = desk.attempt(alice, wrong(alice))
    desk.signed_in(attempt)
    before = history(world, alice)
    (facts,) = desk.store.open([attempt])
    assert facts.earlier is not None
    assert (facts.earlier.outcome, facts.earlier.reason) == (Outcome.REJECT, Reason.WRONG_CODE)
    assert history(world, alice) == before


def change_password(alice: TestUser) -> Any:
    return update(schema.users).where(schema.users.c.id == alice.id).values(password_hash="another")


def disable(alice: TestUser) -> Any:
    return update(schema.users).where(schema.users.c.id == alice.id).values(disabled=True)


def regenerate(alice: TestUser) -> Any:
    return update(schema.users).where(schema.users.c.id == alice.id).values(backup_generation=2)


def revoke(alice: TestUser) -> Any:
    return delete(schema.methods).where(schema.methods.c.user_id == alice.id)


def remove(alice: TestUser) -> Any:
    return delete(schema.users).where(schema.users.c.id == alice.id)


def unconfirm(alice: TestUser) -> Any:
    return update(schema.methods).where(schema.methods.c.user_id == alice.id).values(confirmed_at=None)


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (change_password, "totp"),
        (change_password, "backup"),
        (change_password, "challenge"),
        (disable, "totp"),
        (disable, "backup"),
        (disable, "challenge"),
        (regenerate, "backup"),
        (revoke, "totp"),
        (unconfirm, "totp"),
        (remove, "totp"),
        (remove, "challenge"),
    ],
)
def test_what_changed_while_a_password_was_hashed_is_what_counts(
    world: World, desk: Desk, alice: TestUser, change: Callable[[TestUser], Any], kind: str
) -> None:
    backup = f"hunter2{alice.backup_codes[0].canonical}".encode()
    typed = {"totp": alice.typed(), "backup": backup, "challenge": b"hunter2"}[kind]
    (settlement,) = desk.opened(desk.attempt(alice, typed))
    assert settlement.verdict.outcome is not Outcome.REJECT
    world.execute(change(alice))
    assert desk.store.settle([settlement]) == [None]
    assert world.audit() == []
    assert rows(world, schema.challenges) == []
    (facts,) = desk.store.reread([settlement.attempt])
    assert desk.judge(settlement.attempt, facts).outcome is Outcome.REJECT


@pytest.mark.parametrize("dialect", ["postgresql"])
def test_a_user_whose_row_somebody_holds_keeps_no_neighbour_waiting(world: World, desk: Desk, alice: TestUser) -> None:
    """A forgotten transaction of a control panel must not silence everybody who signs in beside that user."""
    bob = world.user("bob")
    batch = desk.opened(desk.attempt(alice, alice.typed()), desk.attempt(bob, bob.typed()))
    with world.database.writing() as holding:
        holding.execute(update(schema.users).where(schema.users.c.id == alice.id).values(disabled=True))
        lost, settled = desk.store.settle(batch)
    assert lost is None
    assert settled is not None
    assert desk.store.settle(batch[:1]) == [None], "now the user is disabled"


def test_a_user_who_is_removed_while_being_refused_is_still_recorded(world: World, desk: Desk, alice: TestUser) -> None:
    (settlement,) = desk.opened(desk.attempt(alice, wrong(alice)))
    world.execute(remove(alice))
    assert desk.store.settle([settlement]) != [None]
    assert world.audit() == [("reject", "wrong-code")]


def test_a_nas_that_is_gone_loses_its_challenge_and_no_neighbours_sign_in(
    world: World, desk: Desk, alice: TestUser
) -> None:
    bob = world.user("bob")
    gone = Nas(world.nas("gone", "127.0.0.9/32"), "gone", "vpn", challenge=True)
    settlements = desk.opened(desk.attempt(bob, b"hunter2", nas=gone), desk.attempt(alice, alice.typed()))
    world.execute(delete(schema.nas).where(schema.nas.c.id == gone.id))
    lost, kept = desk.store.settle(settlements)
    assert lost is None
    assert kept is not None
    assert world.audit() == [("accept", "totp")]


def test_a_seed_that_does_not_open_is_a_fault_of_that_user_only(world: World, desk: Desk, alice: TestUser) -> None:
    bob = world.user("bob")
    world.execute(update(schema.methods).where(schema.methods.c.user_id == bob.id).values(seed=b"not sealed"))
    facts = desk.store.open([desk.attempt(bob, b"hunter2123456"), desk.attempt(alice, alice.typed())])
    assert "bob" in facts[0].fault
    assert facts[1].fault == ""
    assert len(facts[1].methods) == 1


ODD = ['"', "\\", '\\"', "{}", "{a,b}", ",", "NULL", "null", "'; DROP TABLE users; --", "%s", "%(a)s", ":a", "?", "$1"]
ODD += ["\x1e", "\x1f", "\x1e\x1f\x1e", "a\x1fb", '"\x1e"', "\n", " ", "ё", "😀", "\u2028", "\\x00", "x" * 300]


def test_a_verdict_of_another_version_is_a_fault_of_that_request_only(
    world: World, desk: Desk, alice: TestUser
) -> None:
    bob = world.user("bob")
    told = desk.attempt(alice, alice.typed())
    values = {"at": told.at, "kind": "sign-in", "request": told.request, "outcome": "accept", "reason": "by-magic"}
    world.execute(insert(schema.audit).values(values))
    unreadable, good = desk.store.open([told, desk.attempt(bob, bob.typed())])
    assert "alice" in unreadable.fault
    assert "by-magic" in unreadable.fault
    assert not good.fault


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_a_seed_that_is_no_octets_is_a_fault_of_that_user_only(world: World, desk: Desk, alice: TestUser) -> None:
    """SQLite keeps whatever another program writes into a column."""
    bob = world.user("bob")
    world.execute(text("UPDATE methods SET seed = 'JBSWY3DPEHPK3PXP' WHERE user_id = :id").bindparams(id=alice.id))
    spoiled, good = desk.store.open([desk.attempt(alice, alice.typed()), desk.attempt(bob, bob.typed())])
    assert "alice" in spoiled.fault
    assert "JBSWY3DP" not in spoiled.fault
    assert not good.fault


@pytest.mark.parametrize("beside_none", [True, False])
def test_any_text_goes_in_and_comes_out_as_it_is(world: World, desk: Desk, alice: TestUser, beside_none: bool) -> None:
    """Beside each other in one batch, where a quote out of place would move values into other rows."""
    attempts = [
        replace(desk.attempt("nobody", b"x"), user=None, shown_name=text, device=text, at=float(number))
        for number, text in enumerate(ODD)
    ]
    if beside_none:
        attempts.insert(1, desk.attempt(alice, alice.typed()))
    ids = desk.store.settle(desk.opened(*attempts))
    assert None not in ids
    recorded = {row.id: (row.user_name, row.device) for row in rows(world, schema.audit)}
    assert [recorded[each] for each in ids if each is not None] == [
        (attempt.shown_name, attempt.device) for attempt in attempts
    ]


def test_lists_of_one_and_of_many_give_the_same(world: World, desk: Desk) -> None:
    users = [world.user(f"user{number}", codes=1) for number in range(300)]
    attempts = [desk.attempt(user, user.typed()) for user in users]
    settlements = desk.opened(*attempts)
    assert {each.verdict.outcome for each in settlements} == {Outcome.ACCEPT}
    assert {each.facts.user.name for each in settlements if each.facts.user} == {user.name for user in users}
    assert None not in desk.store.settle(settlements)
    assert world.audit() == [("accept", "totp")] * 300
    assert desk.store.settle(desk.opened(*attempts)) == [0] * 300


def settled_by_threads(world: World, batches: list[list[Settlement]]) -> list[list[int | None]]:
    """Settle each batch on a thread and a node of its own, at the same moment."""
    start = threading.Barrier(len(batches))

    def settle(batch: list[Settlement]) -> list[int | None]:
        database = Database(world.url, deadline=10, for_sign_ins=True)
        try:
            store = world.sign_in_store(database)
            start.wait(20)
            return store.settle(batch)
        finally:
            database.close()

    with ThreadPoolExecutor(len(batches)) as threads:
        return list(threads.map(settle, batches))


def test_one_code_settled_by_16_nodes_at_once_is_one_accept(world: World, desk: Desk, alice: TestUser) -> None:
    for typed in (alice.typed(), f"hunter2{alice.backup_codes[0].shown}".encode()):
        settlements = []
        for _ in range(16):
            settlements += desk.opened(desk.attempt(alice, typed))
            world.execute(update(schema.throttles).values(history=""))  # which admits no more than five at once
        assert {each.verdict.outcome for each in settlements} == {Outcome.ACCEPT}
        ids = settled_by_threads(world, [[each] for each in settlements])
        assert sum(audit_id is not None for (audit_id,) in ids) == 1
    assert world.audit() == [("accept", "totp"), ("accept", "backup-code")]


def test_batches_that_lock_the_same_users_in_opposite_order_both_end(world: World, desk: Desk) -> None:
    """Each user twice in each batch, so that histories, methods and verifications are all contended."""
    users = [world.user(f"user{number}") for number in range(12)]
    for _ in range(3):
        batches = []
        for order in (users, users[::-1], users[6:] + users[:6]):
            attempts = [desk.attempt(user, typed) for user in order for typed in (wrong(user), user.typed())]
            batches.append(desk.opened(*attempts))
        done = settled_by_threads(world, batches)
        assert [len(ids) for ids in done] == [24, 24, 24]
        world.execute(update(schema.throttles).values(history=""))
    assert world.audit().count(("accept", "totp")) == 12


@pytest.mark.parametrize("dialect", ["postgresql"])  # SQLite has one writer, so no two can wait for each other
def test_a_deadlock_is_tried_again(world: World, desk: Desk) -> None:
    """A node settles while somebody else's program locks rows against all order."""
    alice, bob = world.user("alina"), world.user("bob")
    settlements = desk.opened(desk.attempt(alice, alice.typed()), desk.attempt(bob, bob.typed()))
    holds, database = threading.Event(), Database(world.url, deadline=10, for_sign_ins=True)

    def step_in() -> None:
        with world.database.writing() as connection:
            lock = select(schema.methods.c.id).with_for_update()
            connection.execute(lock.where(schema.methods.c.user_id == bob.id))
            holds.set()
            connection.exec_driver_sql("SET LOCAL deadlock_timeout = '20s'")  # the other one is to be the victim
            waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
            while connection.exec_driver_sql(waiting).scalar_one() == 0:
                pass
            connection.execute(lock.where(schema.methods.c.user_id == alice.id))

    try:
        with ThreadPoolExecutor(1) as threads:
            other = threads.submit(step_in)
            assert holds.wait(10)
            ids = world.sign_in_store(database).settle(settlements)
            other.result(20)
    finally:
        database.close()
    assert None not in ids
    assert world.audit() == [("accept", "totp")] * 2


@pytest.mark.parametrize("dialect", ["postgresql"])  # as above
def test_a_batch_takes_histories_in_the_order_in_which_everybody_does(world: World, desk: Desk) -> None:
    """One account twice and another once, while another node has sign-ins of both: no deadlock to be tried again."""
    first, last = world.user("first"), world.user("last")
    batch = desk.opened(*[desk.attempt(user, wrong(user, n)) for user, n in ((last, 1), (first, 1), (first, 2))])
    holds, database = threading.Event(), Database(world.url, deadline=10, for_sign_ins=True)

    def elsewhere() -> None:
        with world.database.writing() as connection:
            lock = select(schema.throttles.c.user_id).with_for_update()
            connection.execute(lock.where(schema.throttles.c.user_id == first.id))
            holds.set()
            connection.exec_driver_sql("SET LOCAL deadlock_timeout = '10ms'")  # this one would be the victim
            waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
            while connection.exec_driver_sql(waiting).scalar_one() == 0:
                pass
            connection.execute(lock.where(schema.throttles.c.user_id == last.id))

    try:
        with ThreadPoolExecutor(1) as threads:
            other = threads.submit(elsewhere)
            assert holds.wait(10)
            ids = world.sign_in_store(database).settle(batch)
            other.result(20)
    finally:
        database.close()
    assert None not in ids
    assert [reason for _, reason in world.audit()] == ["wrong-code"] * 3


def test_a_fault_commits_nothing(world: World, desk: Desk, alice: TestUser) -> None:
    attempt = desk.attempt(alice, alice.typed())
    settlements = desk.opened(attempt)
    before = (watermark(world), history(world, alice))
    unwritable = replace(attempt, request=bytes(16), device="\0\ud800")
    refused = Verdict(Outcome.REJECT, Reason.WRONG_PASSWORD)  # claims nothing, so that its row is written
    impossible = replace(settlements[0], attempt=unwritable, verdict=refused)
    with pytest.raises((StoreFault, UnicodeError, ValueError)):
        desk.store.settle([*settlements, impossible])
    assert (watermark(world), history(world, alice), world.audit()) == (*before, [])
    assert desk.store.settle(settlements) != [None]


def test_a_database_without_tables_is_a_store_fault(empty_database_url: str, world: World, desk: Desk) -> None:
    database = Database(empty_database_url, for_sign_ins=True)
    store = world.sign_in_store(database)
    attempt: Attempt = desk.attempt("alice", b"hunter2123456")
    for use in (store.open, store.reread):
        with pytest.raises(StoreFault):
            use([attempt])
    settlements = desk.opened(attempt)
    with pytest.raises(StoreFault):
        store.settle(settlements)
    database.close()


def test_backup_codes_of_an_old_generation_are_not_even_read(world: World, desk: Desk, alice: TestUser) -> None:
    code = alice.backup_codes[0]
    attempt = desk.attempt(alice, f"hunter2{code.canonical}".encode())
    (settlement,) = desk.opened(attempt)
    assert settlement.verdict.spend == SpendBackupCode(settlement.facts.backup_codes[0].id)
    world.execute(regenerate(alice))
    world.execute(
        insert(schema.backup_codes).values(user_id=alice.id, generation=2, selector=code.selector, hash="other")
    )
    (facts,) = desk.store.reread([attempt])
    assert [row.hash for row in facts.backup_codes] == ["other"]


@pytest.mark.parametrize("change", ["removed", "demoted"])
def test_a_place_in_a_team_that_changed_while_a_password_was_hashed_counts_as_it_is(world: World, change: str) -> None:
    team, alice = world.team(), world.user()
    world.member(alice, team, "admin")
    desk = Desk(world, world.sign_in_store(), Nas(world.nas(team_id=team), "vpn", "vpn", team_id=team))
    (settlement,) = desk.opened(desk.attempt(alice, alice.typed()))
    assert settlement.verdict.outcome is Outcome.ACCEPT
    places = schema.memberships
    world.execute(delete(places) if change == "removed" else update(places).values(role="member"))
    assert desk.store.settle([settlement]) == [None]
    assert rows(world, schema.verifications) == []


def test_a_method_that_was_confirmed_meanwhile_is_asked_for(world: World) -> None:
    team, bob = world.team(policy="require = []\n"), world.user("bob")
    world.member(bob, team)
    methods = schema.methods
    world.execute(update(methods).values(confirmed_at=None))
    desk = Desk(world, world.sign_in_store(), Nas(world.nas(team_id=team), "vpn", "vpn", team_id=team))
    (settlement,) = desk.opened(desk.attempt(bob, b"hunter2"))
    assert settlement.verdict.reason is Reason.NOT_REQUIRED
    world.execute(update(methods).values(confirmed_at=1.0))
    assert desk.store.settle([settlement]) == [None]


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("was_first", [True, False])
def test_a_failure_whose_charge_is_gone_is_charged_all_the_same(world: World, together: bool, was_first: bool) -> None:
    """The charge does not wait for the disk: a database that crashes before the verdict comes back without it (I3)."""
    others = "" if was_first else f"{time.time():.3f}/c/1/aa/bb/cc;"
    alice = world.user()
    desk = Desk(world, world.sign_in_store(), Nas(world.nas(), "vpn", "vpn"))
    wrong = [f"hunter2{alice.wrong_code()}".encode(), b"hunter3"][: 1 if together else 2]
    settlements = desk.opened(*[desk.attempt(alice, typed) for typed in wrong])
    throttles = schema.throttles
    world.execute(delete(throttles))
    if others:
        world.execute(insert(throttles).values(user_id=alice.id, history=others))
    assert all(desk.store.settle(settlements))
    left = history(world, alice)
    assert left.startswith(others)
    charged = {charge.request: charge.mark for charge in throttle.parse(left)}
    assert {charged[each.attempt.charge.request] for each in settlements} == {"c", "p"} if not together else {"c"}

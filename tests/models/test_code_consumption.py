"""A model of how codes are used up, on both databases: whatever is interleaved, a code buys one sign-in.

Two nodes open and settle sign-ins in any order, in batches or one by one, with crashes and retransmissions between;
codes are regenerated, authenticators revoked and the clock runs. After every step I1, I6, I7 and I8 must hold. The
throttle is emptied before each sign-in: it has tests of its own, and here it would only hide what comes after it.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import delete, insert, select, update

from radiusd_mfa.core import backup_codes
from radiusd_mfa.core.facts import Attempt, Nas
from radiusd_mfa.core.judge import RETRANSMITTED_FOR
from radiusd_mfa.core.sms_codes import LIFETIME
from radiusd_mfa.core.totp import step_at
from radiusd_mfa.core.verdict import Outcome, Reason, SpendBackupCode, SpendSms, SpendStep, Verdict
from radiusd_mfa.passwords.local import make_hash
from radiusd_mfa.store import schema
from radiusd_mfa.store.database import Database
from radiusd_mfa.store.outbox_queue import OutboxQueue
from radiusd_mfa.usecases.outbox_ports import Channel
from radiusd_mfa.usecases.ports import Settlement
from tests.support.attempts import Desk
from tests.support.phones import add_phone
from tests.support.world import CHEAP, TestUser, World

START = 1_800_000_000.0
CODES = 2
NODES = st.integers(0, 1)
OFFSETS = st.sampled_from([0, 1, -1, 0, 1, -2, 2, 3])
_names = count()


@dataclass
class Sent:
    """An Access-Request as its client has it, to send again."""

    typed: bytes
    request: bytes = field(default_factory=lambda: os.urandom(16))


class CodeConsumption(RuleBasedStateMachine):
    """What may be accepted is known here by other means than the judge's: by what was accepted before."""

    def __init__(self, world: World, nas: Nas, databases: list[Database]) -> None:
        super().__init__()
        self.world = world
        self.desks = [Desk(world, world.sign_in_store(database), nas) for database in databases]
        self.now = START
        self.generation = 1
        self.sent: list[Sent] = []
        self.in_flight: list[tuple[int, Settlement]] = []
        self.spent: set[SpendStep | SpendBackupCode | SpendSms] = set()
        self.texts: list[str] = []
        """All codes that were ever sent to the user's phone."""
        self.good: tuple[str, float] | None = None
        """The one that is good now, and when it was asked for."""
        self.told: dict[bytes, tuple[float, Outcome]] = {}
        self.watermarks: dict[int, int] = {}

    @initialize()
    def enrol_a_user(self) -> None:
        self.user = self.world.user(f"user{next(_names)}", codes=CODES)
        self.codes = {1: list(self.user.backup_codes)}
        add_phone(self.world, self.user)

    # What clients do.

    def request(self, node: int, sent: Sent) -> Settlement:
        self.world.execute(update(schema.throttles).values(history=""))
        desk = self.desks[node]
        attempt = desk.attempt(self.user, sent.typed, request=sent.request, at=self.now)
        (settlement,) = desk.opened(attempt)
        return settlement

    def type(self, node: int, typed: bytes, *, finish: bool) -> None:
        sent = Sent(typed)
        self.sent.append(sent)
        settlement = self.request(node, sent)
        if finish:
            self.settle(node, [settlement])
        else:
            self.in_flight.append((node, settlement))

    @rule(node=NODES, offset=OFFSETS, wrong=st.sampled_from([False, False, False, True]), finish=st.booleans())
    def type_a_totp_code(self, node: int, offset: int, wrong: bool, finish: bool) -> None:
        password = "hunter3" if wrong else self.user.password
        self.type(node, (password + self.user.code(offset, at=self.now)).encode(), finish=finish)

    @rule(node=NODES, index=st.integers(0, CODES - 1), data=st.data(), finish=st.booleans())
    def type_a_backup_code(self, node: int, index: int, data: st.DataObject, finish: bool) -> None:
        generation = data.draw(st.sampled_from(sorted(self.codes)))
        self.type(node, f"{self.user.password}{self.codes[generation][index].shown}".encode(), finish=finish)

    @rule(node=NODES, finish=st.booleans())
    def have_a_code_sent(self, node: int, finish: bool) -> None:
        self.type(node, self.user.password.encode(), finish=finish)

    @precondition(lambda self: self.texts)
    @rule(node=NODES, back=st.integers(1, 3), finish=st.booleans())
    def type_a_code_that_was_sent(self, node: int, back: int, finish: bool) -> None:
        code = self.texts[-min(back, len(self.texts))]
        self.type(node, f"{self.user.password}{code}".encode(), finish=finish)

    @precondition(lambda self: self.sent)
    @rule(node=NODES, data=st.data(), new=st.booleans(), finish=st.booleans())
    def send_again(self, node: int, data: st.DataObject, new: bool, finish: bool) -> None:
        """A retransmission, or the same text under a new authenticator."""
        sent = data.draw(st.sampled_from(self.sent))
        if new:
            self.type(node, sent.typed, finish=finish)
            return
        settlement = self.request(node, sent)
        if finish:
            self.settle(node, [settlement])
        else:
            self.in_flight.append((node, settlement))

    @rule(one_request=st.booleans(), backup=st.booleans(), order=st.sampled_from(["in turn", "together", "later"]))
    def ask_both_nodes_at_once(self, one_request: bool, backup: bool, order: str) -> None:
        """Both have read the facts before either settles: a retransmission, or a new code a second time."""
        code = self.codes[self.generation][0].shown if backup else self.new_code()
        first = Sent((self.user.password + code).encode())
        second = first if one_request else Sent(first.typed)
        self.sent += [first] if one_request else [first, second]
        opened = [self.request(0, first), self.request(1, second)]
        if order == "together":
            self.settle(0, opened)
        elif order == "in turn":
            for node in (1, 0):
                self.settle(node, [opened[node]])
        else:
            self.in_flight += enumerate(opened)

    def new_code(self) -> str:
        """Wait for a code that nobody has used, and read it off."""
        step = max(step_at(self.now, 30) - 1, self.watermark() + 1)
        self.now = max(self.now, (step - 1) * 30.0)
        return self.user.code(step - step_at(self.now, 30), at=self.now)

    # What nodes do.

    @precondition(lambda self: self.in_flight)
    @rule(data=st.data(), size=st.integers(1, 4))
    def settle_a_batch(self, data: st.DataObject, size: int) -> None:
        node, _ = data.draw(st.sampled_from(self.in_flight))
        batch = [each for each in self.in_flight if each[0] == node][:size]
        self.in_flight = [each for each in self.in_flight if each not in batch]
        self.settle(node, [settlement for _, settlement in batch])

    @precondition(lambda self: self.in_flight)
    @rule(node=NODES)
    def crash(self, node: int) -> None:
        self.in_flight = [each for each in self.in_flight if each[0] != node]

    @rule(seconds=st.sampled_from([0.5, 5.0, 29.0, 31.0, 61.0, 120.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    # What administrators do.

    @rule()
    def regenerate(self) -> None:
        self.generation += 1
        self.codes[self.generation] = list(backup_codes.make_set(CODES, os.urandom))
        rows = [
            {
                "user_id": self.user.id,
                "generation": self.generation,
                "selector": code.selector,
                "hash": make_hash(code.canonical, profile=CHEAP),
            }
            for code in self.codes[self.generation]
        ]
        with self.world.database.writing() as connection:
            connection.execute(insert(schema.backup_codes), rows)
            changed = update(schema.users).where(schema.users.c.id == self.user.id)
            connection.execute(changed.values(backup_generation=self.generation))

    @rule()
    def revoke_and_enrol_anew(self) -> None:
        self.world.execute(delete(schema.methods).where(schema.methods.c.user_id == self.user.id))
        fresh: TestUser = self.world.user(f"user{next(_names)}")  # whose authenticator is moved to this user
        moved = update(schema.methods).where(schema.methods.c.user_id == fresh.id).values(user_id=self.user.id)
        self.world.execute(moved)
        self.user = replace(self.user, method_id=fresh.method_id, seed=fresh.seed)
        add_phone(self.world, self.user)
        self.good = None

    # What must come of it.

    def settle(self, node: int, batch: list[Settlement]) -> None:
        """Settle, and judge again what lost a claim, as the pipeline does."""
        store = self.desks[node].store
        while batch:
            lost = []
            for settlement, audit_id in zip(batch, store.settle(batch), strict=True):
                if audit_id is None:
                    lost.append(settlement.attempt)
                else:
                    self.tell(settlement.attempt, settlement.verdict)
            facts = store.reread(lost) if lost else []
            batch = [self.desks[node].judged(*pair) for pair in zip(lost, facts, strict=True)]

    def tell(self, attempt: Attempt, verdict: Verdict) -> None:
        if attempt.request in self.told:
            at, outcome = self.told[attempt.request]
            in_time = abs(attempt.at - at) <= RETRANSMITTED_FOR
            assert verdict.outcome is (outcome if in_time else Outcome.REJECT)  # I6
            return
        self.told[attempt.request] = (attempt.at, verdict.outcome)
        if verdict.sends is not None:
            self.good = self.delivered(), attempt.at
        if verdict.outcome is not Outcome.ACCEPT:
            return
        assert verdict.spend is not None
        assert verdict.spend not in self.spent  # I1
        self.spent.add(verdict.spend)
        self.was_valid(attempt, verdict.spend)

    def was_valid(self, attempt: Attempt, spend: SpendStep | SpendBackupCode | SpendSms) -> None:
        if isinstance(spend, SpendStep):
            assert spend.method_id == self.user.method_id
            assert abs(spend.step - step_at(attempt.at, 30)) <= 1
            return
        if isinstance(spend, SpendSms):
            assert self.good is not None
            code, sent_at = self.good
            (typed,) = [sent.typed for sent in self.sent if sent.request == attempt.request]
            assert typed == f"{self.user.password}{code}".encode()
            assert attempt.at < sent_at + LIFETIME
            self.good = None
            return
        row = self.row(select(schema.backup_codes).where(schema.backup_codes.c.id == spend.code_id))
        assert row.generation == self.generation  # I8

    @precondition(lambda self: not self.in_flight)
    @rule(node=NODES)
    def a_new_code_is_accepted(self, node: int) -> None:
        """Otherwise a store that refuses everybody would pass."""
        sent = Sent((self.user.password + self.new_code()).encode())
        self.sent.append(sent)
        settlement = self.request(node, sent)
        assert (settlement.verdict.outcome, settlement.verdict.reason) == (Outcome.ACCEPT, Reason.TOTP)
        self.settle(node, [settlement])
        assert self.told[sent.request][1] is Outcome.ACCEPT

    @precondition(lambda self: not self.in_flight)
    @rule(node=NODES)
    def a_code_that_was_sent_is_accepted(self, node: int) -> None:
        self.now += 3_600.0  # as many as have been sent
        self.type(node, self.user.password.encode(), finish=True)
        assert self.good is not None
        self.type(1 - node, f"{self.user.password}{self.texts[-1]}".encode(), finish=True)
        assert self.told[self.sent[-1].request][1] is Outcome.ACCEPT
        assert self.good is None

    def delivered(self) -> str:
        """Take the message that was written with a verdict, which is the only one, and return its code."""
        queue = OutboxQueue(self.world.database, self.world.keys)
        claimed = queue.claim([Channel.SMS], now=self.now, until=self.now + 60)
        assert claimed is not None
        assert claimed.values is not None
        queue.sent(claimed, at=self.now)
        self.texts.append(str(claimed.values["code"]))
        return self.texts[-1]

    def row(self, statement: Any) -> Any:
        with self.world.database.reading() as connection:
            return connection.execute(statement).one()

    def watermark(self) -> int:
        return int(self.row(select(schema.methods).where(schema.methods.c.id == self.user.method_id)).watermark)

    @invariant()
    def no_watermark_goes_down(self) -> None:
        if self.user.method_id is None:
            return
        now = self.watermark()
        assert now >= self.watermarks.get(self.user.method_id, 0)  # I7
        self.watermarks[self.user.method_id] = now

    @invariant()
    def every_verdict_has_one_row(self) -> None:
        with self.world.database.reading() as connection:
            own = schema.audit.c.user_name == self.user.name
            rows = connection.execute(select(schema.audit.c.outcome, schema.audit.c.reason).where(own)).fetchall()
        recorded = [row.outcome for row in rows if row.reason != Reason.REPLAYED]
        assert sorted(recorded) == sorted(str(outcome) for _, outcome in self.told.values())  # I2, I6
        assert recorded.count(Outcome.ACCEPT) == len(self.spent)

    @invariant()
    def one_generation_is_valid(self) -> None:
        with self.world.database.reading() as connection:
            valid = select(schema.backup_codes.c.generation).join(
                schema.users,
                (schema.users.c.id == schema.backup_codes.c.user_id)
                & (schema.users.c.backup_generation == schema.backup_codes.c.generation),
            )
            found = set(connection.execute(valid.where(schema.users.c.id == self.user.id)).scalars())
        assert found == {self.generation}  # I8


@pytest.fixture
def two_nodes(world: World) -> Iterator[list[Database]]:
    databases = [Database(world.url, deadline=10, for_sign_ins=True) for _ in range(2)]
    yield databases
    for database in databases:
        database.close()


def test_a_code_buys_one_sign_in_however_sign_ins_are_interleaved(world: World, two_nodes: list[Database]) -> None:
    nas = Nas(world.nas(), "vpn", "vpn")

    class Here(CodeConsumption):
        def __init__(self) -> None:
            super().__init__(world, nas, two_nodes)

    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=25,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )

"""A model of periods, on both databases: after a period has ended, nobody comes in by it (X5, ATTACKS 23, 25).

Two nodes open and settle sign-ins with a code or with the password alone, in any order, while the password changes, the
method is revoked, the period is ended and the clock goes both ways. What the model knows is what was told: a sign-in by
the password alone must rest on a code that was accepted before, in time, and since the last end.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import count

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from sqlalchemy import delete, select, update

from radiusd_mfa.core.facts import Nas
from radiusd_mfa.core.totp import step_at
from radiusd_mfa.core.verdict import Outcome, Reason
from radiusd_mfa.passwords.local import make_hash
from radiusd_mfa.store import schema
from radiusd_mfa.store.administration import AdministrationStore
from radiusd_mfa.store.database import Database
from radiusd_mfa.usecases.ports import Settlement
from tests.support.attempts import Desk
from tests.support.world import CHEAP, World

START = 1_800_000_000.0
PERIOD = 3600.0
NODES = st.integers(0, 1)
DEVICES = st.sampled_from(["phone", "laptop", ""])
ENDS = (
    "a_control_panel_changes_the_password",
    "the_method_is_revoked_and_another_set_up",
    "the_periods_are_ended",
)
_names = count()


class Periods(RuleBasedStateMachine):
    def __init__(self, world: World, nas: Nas, databases: list[Database], remember: str) -> None:
        super().__init__()
        self.world = world
        self.desks = [Desk(world, world.sign_in_store(database), nas) for database in databases]
        self.remember = remember
        self.now = START
        self.in_flight: list[tuple[int, Settlement]] = []
        self.begun: list[tuple[float, str]] = []
        """When and on which device a code was accepted, since the last end of all periods."""
        self.passwords: dict[bytes, str] = {}

    @initialize()
    def enrol_a_user(self) -> None:
        self.user = self.world.user(f"user{next(_names)}")
        policy = f'[[require]]\nevery = "1h"\nremember = "{self.remember}"\n'
        self.world.member(self.user, self.world.team(f"team{next(_names)}", policy=policy))

    # What clients do.

    @rule(node=NODES, device=DEVICES, finish=st.booleans(), code=st.booleans())
    def sign_in(self, node: int, device: str, finish: bool, code: bool) -> None:
        settlement = self.opened(node, device, self.new_code() if code else "")
        if finish:
            self.settle(node, [settlement])
        else:
            self.in_flight.append((node, settlement))

    def opened(self, node: int, device: str, code: str) -> Settlement:
        self.world.execute(update(schema.throttles).values(history=""))
        desk, typed = self.desks[node], (self.user.password + code).encode()
        (settlement,) = desk.opened(desk.attempt(self.user, typed, at=self.now, device=device))
        self.passwords[settlement.attempt.request] = self.user.password
        return settlement

    def new_code(self) -> str:
        """Wait for a code that nobody has used, and read it off."""
        methods = schema.methods.c
        with self.world.database.reading() as connection:
            spent = select(methods.watermark).where(methods.id == self.user.method_id)
            watermark: int = connection.execute(spent).scalar_one()
        step = max(step_at(self.now, 30) - 1, watermark + 1)
        self.now = max(self.now, (step - 1) * 30.0)
        return self.user.code(step - step_at(self.now, 30), at=self.now)

    @rule(seconds=st.sampled_from([1.0, PERIOD / 2, PERIOD - 1, PERIOD, -1.0, -PERIOD]))
    def let_the_clock_run(self, seconds: float) -> None:
        self.now += seconds

    # What nodes do.

    @precondition(lambda self: self.in_flight)
    @rule(data=st.data(), size=st.integers(1, 3))
    def settle_a_batch(self, data: st.DataObject, size: int) -> None:
        node, _ = data.draw(st.sampled_from(self.in_flight))
        batch = [each for each in self.in_flight if each[0] == node][:size]
        self.in_flight = [each for each in self.in_flight if each not in batch]
        self.settle(node, [settlement for _, settlement in batch])

    # Who ends periods.

    @rule()
    def a_control_panel_changes_the_password(self) -> None:
        """And deletes nothing."""
        self.user = replace(self.user, password=f"hunter{next(_names)}")
        stored = make_hash(self.user.password, profile=CHEAP)
        self.world.execute(update(schema.users).where(schema.users.c.id == self.user.id).values(password_hash=stored))
        self.begun.clear()

    @rule()
    def the_method_is_revoked_and_another_set_up(self) -> None:
        AdministrationStore(self.world.database, self.world.keys).change(
            lambda books: books.methods.revoke(self.user.id)
        )
        fresh = self.world.user(f"user{next(_names)}")  # whose authenticator is moved to this user
        moved = update(schema.methods).where(schema.methods.c.id == fresh.method_id)
        self.world.execute(moved.values(user_id=self.user.id))
        self.user = replace(self.user, method_id=fresh.method_id, seed=fresh.seed)
        self.begun.clear()

    @rule()
    def the_periods_are_ended(self) -> None:
        self.world.execute(delete(schema.verifications).where(schema.verifications.c.user_id == self.user.id))
        self.begun.clear()

    @rule(node=NODES, other=NODES, end=st.sampled_from(ENDS), at_once=st.booleans())
    def a_period_ends_while_somebody_comes_back(self, node: int, other: int, end: str, at_once: bool) -> None:
        """What chance alone brings about too rarely."""
        self.settle(node, [self.opened(node, "phone", self.new_code())])
        self.now += 1
        again = self.opened(other, "phone", "")
        getattr(self, end)()
        if at_once:
            self.settle(other, [again])
        else:
            self.in_flight.append((other, again))

    # What must come of it.

    def settle(self, node: int, batch: list[Settlement]) -> None:
        """Settle, and judge again what lost a claim, as the pipeline does."""
        store = self.desks[node].store
        while batch:
            ids = store.settle(batch)
            told = [settlement for settlement, audit_id in zip(batch, ids, strict=True) if audit_id is not None]
            # The codes of a batch first: whether they come before or after the others is the database's business.
            for settlement in sorted(told, key=lambda each: each.verdict.reason is Reason.PERIOD):
                self.tell(settlement)
            lost = [settlement.attempt for settlement, audit_id in zip(batch, ids, strict=True) if audit_id is None]
            facts = store.reread(lost) if lost else []
            batch = [self.desks[node].judged(*pair) for pair in zip(lost, facts, strict=True)]

    def tell(self, settlement: Settlement) -> None:
        attempt, verdict = settlement.attempt, settlement.verdict
        if verdict.outcome is not Outcome.ACCEPT:
            return
        assert self.passwords[attempt.request] == self.user.password
        if verdict.reason is Reason.TOTP:
            self.begun.append((attempt.at, attempt.device))
            return
        assert verdict.reason is Reason.PERIOD
        assert any(self.rests_on(at, device, attempt.at, attempt.device) for at, device in self.begun)
        assert verdict.session is not None
        assert 1 <= verdict.session <= PERIOD

    def rests_on(self, at: float, device: str, now: float, on: str) -> bool:
        here = self.remember == "user" or (device == on != "")
        return here and 0 <= now - at < PERIOD

    @precondition(lambda self: not self.in_flight)
    @rule(node=NODES, other=NODES)
    def a_period_that_lasts_lets_in(self, node: int, other: int) -> None:
        """Otherwise a store that forgets every period would pass."""
        first = self.opened(node, "phone", self.new_code())
        self.settle(node, [first])
        assert (first.verdict.outcome, first.verdict.reason) == (Outcome.ACCEPT, Reason.TOTP)
        self.now += 1
        again = self.opened(other, "phone", "")
        assert (again.verdict.outcome, again.verdict.reason) == (Outcome.ACCEPT, Reason.PERIOD)
        self.settle(other, [again])


@pytest.fixture
def two_nodes(world: World) -> Iterator[list[Database]]:
    databases = [Database(world.url, deadline=10, for_sign_ins=True) for _ in range(2)]
    yield databases
    for database in databases:
        database.close()


@pytest.mark.parametrize("remember", ["user", "device"])
def test_nobody_comes_in_by_a_period_that_has_ended(world: World, two_nodes: list[Database], remember: str) -> None:
    nas = Nas(world.nas(), "vpn", "vpn")

    class Here(Periods):
        def __init__(self) -> None:
            super().__init__(world, nas, two_nodes, remember)

    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=20,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )

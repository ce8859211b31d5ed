"""The pool with real threads: nobody is crowded out, nothing runs late, nothing kills a thread."""

import logging
import os
import threading
from collections.abc import Callable, Iterator
from functools import partial
from queue import SimpleQueue

import pytest

from radiusd_mfa.passwords.pool import Abandoned, Displaced, Expired, HashPool

PATIENCE = 20.0


class Plug:
    """Occupies one thread of a pool until it is pulled."""

    def __init__(self, pool: HashPool) -> None:
        self._runs = threading.Event()
        self._pulled = threading.Event()
        assert pool.submit(self._wait, lane=self, done=lambda _: None)
        assert self._runs.wait(PATIENCE)

    def _wait(self) -> None:
        self._runs.set()
        assert self._pulled.wait(PATIENCE)

    def pull(self) -> None:
        self._pulled.set()


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def make_pool() -> Iterator[Callable[..., HashPool]]:
    pools: list[HashPool] = []

    def make(threads: int = 1, **arguments: object) -> HashPool:
        pools.append(HashPool(threads, **arguments))  # type: ignore[arg-type] # the tests below name real arguments
        return pools[-1]

    yield make
    for pool in pools:
        assert pool.close(PATIENCE)


MakePool = Callable[..., HashPool]


def run(pool: HashPool, job: Callable[[], object]) -> object:
    outcome: SimpleQueue[object] = SimpleQueue()
    assert pool.submit(job, lane="x", done=outcome.put)
    return outcome.get(timeout=PATIENCE)


def test_a_job_whose_deadline_has_passed_never_runs(make_pool: MakePool) -> None:
    clock = Clock()
    pool = make_pool(clock=clock)
    plug = Plug(pool)
    ran: list[str] = []
    outcomes: SimpleQueue[object] = SimpleQueue()
    pool.submit(lambda: ran.append("late"), lane=1, done=outcomes.put, deadline=101.0)
    pool.submit(lambda: ran.append("in time"), lane=1, done=outcomes.put, deadline=200.0)
    clock.now = 150.0
    plug.pull()
    assert isinstance(outcomes.get(timeout=PATIENCE), Expired)
    assert outcomes.get(timeout=PATIENCE) is None
    assert ran == ["in time"]


def test_a_renewed_deadline_lets_the_job_run(make_pool: MakePool) -> None:
    clock = Clock()
    pool = make_pool(clock=clock)
    plug = Plug(pool)
    deadlines = {"request": 101.0}
    outcomes: SimpleQueue[object] = SimpleQueue()
    pool.submit(lambda: "ran", lane=1, done=outcomes.put, deadline=lambda: deadlines["request"])
    clock.now, deadlines["request"] = 150.0, 190.0
    plug.pull()
    assert outcomes.get(timeout=PATIENCE) == "ran"


def test_a_flooding_lane_does_not_delay_another_by_more_than_one_job(make_pool: MakePool) -> None:
    pool = make_pool()
    plug = Plug(pool)
    order: list[str] = []
    for number in range(20):
        pool.submit(partial(order.append, f"flood {number}"), lane="flood", done=lambda _: None)
    for number in range(2):
        pool.submit(partial(order.append, f"calm {number}"), lane="calm", done=lambda _: None)
    plug.pull()
    assert pool.close(PATIENCE)
    assert order[:4] == ["flood 0", "calm 0", "flood 1", "calm 1"]
    assert order[4:] == [f"flood {number}" for number in range(2, 20)]


def test_a_full_pool_costs_the_lane_that_filled_it_its_oldest(make_pool: MakePool) -> None:
    pool = make_pool(capacity=3)
    plug = Plug(pool)
    outcomes: list[object] = []
    assert all(pool.submit(partial(int, number), lane=1, done=outcomes.append) for number in range(5))
    assert [type(outcome) for outcome in outcomes] == [Displaced] * 2
    assert pool.waiting == 3
    plug.pull()
    assert pool.close(PATIENCE)
    assert outcomes[2:] == [2, 3, 4]


def test_a_lane_that_keeps_up_is_served_in_the_order_of_its_coming(make_pool: MakePool) -> None:
    clock = Clock()
    assert order_of_service(make_pool(clock=clock), clock, pause=0.3) == [0, 1, 2]


def test_a_lane_that_does_not_keep_up_is_served_newest_first(make_pool: MakePool) -> None:
    clock = Clock()
    assert order_of_service(make_pool(clock=clock), clock, pause=0.6) == [2, 1, 0]


def order_of_service(pool: HashPool, clock: Clock, *, pause: float) -> list[object]:
    """Let three jobs come with this pause after each, and nobody serve them meanwhile."""
    plug = Plug(pool)
    order: list[object] = []
    for number in range(3):
        pool.submit(partial(int, number), lane=1, done=order.append)
        clock.now += pause
    plug.pull()
    assert pool.close(PATIENCE)
    return order


def test_whoever_was_passed_over_is_told_when_it_is_too_late_and_costs_its_lane_no_turn(make_pool: MakePool) -> None:
    clock = Clock()
    pool = make_pool(clock=clock)
    plug = Plug(pool)
    order: list[object] = []
    pool.submit(lambda: "too late", lane="crowded", done=order.append, deadline=105.0)
    clock.now = 104.0
    pool.submit(lambda: "crowded", lane="crowded", done=order.append)
    pool.submit(lambda: "calm", lane="calm", done=order.append)
    clock.now = 106.0
    plug.pull()
    assert pool.close(PATIENCE)
    assert isinstance(order[0], Expired)
    assert order[1:] == ["crowded", "calm"]


def test_what_could_not_end_in_time_never_runs(make_pool: MakePool) -> None:
    clock = Clock()
    pool = make_pool(clock=clock)
    take(pool, clock, seconds=8.0)  # a job is expected to take one second
    outcome: SimpleQueue[object] = SimpleQueue()
    pool.submit(lambda: "ran", lane=1, done=outcome.put, deadline=clock.now + 0.9)
    assert isinstance(outcome.get(timeout=PATIENCE), Expired)
    pool.submit(lambda: "ran", lane=1, done=outcome.put, deadline=clock.now + 1.1)
    assert outcome.get(timeout=PATIENCE) == "ran"


def test_a_job_that_took_very_long_does_not_keep_all_others_from_running_for_ever(make_pool: MakePool) -> None:
    clock = Clock()
    pool = make_pool(clock=clock)
    take(pool, clock, seconds=800.0)
    outcome: SimpleQueue[object] = SimpleQueue()
    pool.submit(lambda: "ran", lane=1, done=outcome.put, deadline=clock.now + 1.0)
    assert isinstance(outcome.get(timeout=PATIENCE), Expired)
    clock.now += 6.0
    pool.submit(lambda: "ran", lane=1, done=outcome.put, deadline=clock.now + 1.0)
    assert outcome.get(timeout=PATIENCE) == "ran"


def test_the_backlog_is_what_waits_at_the_pace_of_the_threads(make_pool: MakePool) -> None:
    clock = Clock()
    pool = make_pool(threads=2, clock=clock)
    take(pool, clock, seconds=8.0)  # a job is expected to take one second
    plugs = [Plug(pool), Plug(pool)]
    for _ in range(3):
        pool.submit(lambda: None, lane=1, done=lambda _: None)
    assert pool.backlog == 3 * 1.0 / 2
    for plug in plugs:
        plug.pull()


def take(pool: HashPool, clock: Clock, *, seconds: float) -> None:
    """Run a job that takes so long."""

    def job() -> None:
        clock.now += seconds

    assert run(pool, job) is None


def test_a_full_pool_makes_room_for_another_lane_at_the_cost_of_the_longest(make_pool: MakePool) -> None:
    pool = make_pool(capacity=3)
    plug = Plug(pool)
    flood: list[tuple[int, object]] = []

    def note(number: int, outcome: object) -> None:
        flood.append((number, outcome))

    for number in range(3):
        pool.submit(partial(int, number), lane="flood", done=partial(note, number))
    calm: list[object] = []
    assert pool.submit(lambda: "ran", lane="calm", done=calm.append)
    [(oldest, outcome)] = flood
    assert (oldest, type(outcome)) == (0, Displaced)
    assert pool.submit(lambda: "ran again", lane="calm", done=calm.append), "two equal shares stay as they are"
    assert pool.waiting == 3
    plug.pull()
    assert pool.close(PATIENCE)
    assert flood[1:] == [(1, 1), (2, 2)]
    assert [type(calm[0]), *calm[1:]] == [Displaced, "ran again"]


def test_a_full_pool_refuses_a_lane_more_than_it_has_room_for(make_pool: MakePool) -> None:
    pool = make_pool(capacity=2)
    plug = Plug(pool)
    assert [pool.submit(lambda: "ran", lane=lane, done=lambda _: None) for lane in range(3)] == [True, True, False]
    plug.pull()


def test_a_deadline_that_cannot_be_told_is_told_to_the_one_who_asked(make_pool: MakePool) -> None:
    pool = make_pool()

    def fail() -> float:
        raise ValueError("deadline")

    outcome: SimpleQueue[object] = SimpleQueue()
    pool.submit(lambda: "ran", lane=1, done=outcome.put, deadline=fail)
    assert isinstance(outcome.get(timeout=PATIENCE), ValueError)
    assert run(pool, lambda: "alive") == "alive"


def test_optional_work_is_refused_when_anything_waits(make_pool: MakePool) -> None:
    pool = make_pool()
    plug = Plug(pool)
    assert pool.submit(lambda: None, lane=1, done=lambda _: None, optional=True)
    assert not pool.submit(lambda: None, lane=2, done=lambda _: None, optional=True)
    assert pool.submit(lambda: None, lane=2, done=lambda _: None)
    plug.pull()


@pytest.mark.parametrize("error", [ValueError("x"), SystemExit(3), KeyboardInterrupt(), MemoryError()])
def test_what_a_job_raises_reaches_the_one_who_asked_and_the_thread_lives(
    make_pool: MakePool, error: BaseException
) -> None:
    pool = make_pool()

    def fail() -> None:
        raise error

    assert run(pool, fail) is error
    assert run(pool, lambda: "alive") == "alive"


def test_a_receiver_that_fails_is_logged_and_the_thread_lives(
    make_pool: MakePool, caplog: pytest.LogCaptureFixture
) -> None:
    pool = make_pool()

    def fail(_: object) -> None:
        raise ValueError("receiver")

    assert pool.submit(lambda: None, lane=1, done=fail)
    assert run(pool, lambda: "alive") == "alive"
    assert [record.getMessage() for record in caplog.records] == ["the receiver of a password check failed"]


def test_a_closed_pool_takes_nothing_and_finishes_what_it_has(make_pool: MakePool) -> None:
    pool = make_pool(threads=2)
    outcomes: SimpleQueue[object] = SimpleQueue()
    for number in range(10):
        assert pool.submit(partial(int, number), lane=number % 3, done=outcomes.put)
    assert pool.close(PATIENCE)
    assert {outcomes.get_nowait() for _ in range(10)} == set(range(10))
    assert not pool.submit(lambda: None, lane=1, done=outcomes.put)


def test_a_pool_that_cannot_finish_in_time_says_what_it_abandoned(make_pool: MakePool) -> None:
    pool = make_pool()
    plug = Plug(pool)
    outcomes: list[object] = []
    ran: list[str] = []
    pool.submit(lambda: ran.append("too late"), lane=1, done=outcomes.append)
    assert not pool.close(0.0)
    plug.pull()
    assert pool.close(PATIENCE)
    assert [type(outcome) for outcome in outcomes] == [Abandoned]
    assert ran == []


def test_every_job_runs_once_when_many_threads_submit(make_pool: MakePool) -> None:
    pool = make_pool(threads=4, capacity=10_000)
    done: SimpleQueue[object] = SimpleQueue()

    def submit_many(lane: int) -> None:
        for number in range(200):
            assert pool.submit(partial(tuple, (lane, number)), lane=lane, done=done.put)

    threads = [threading.Thread(target=submit_many, args=(lane,)) for lane in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert pool.close(PATIENCE)
    seen = [done.get_nowait() for _ in range(1600)]
    assert done.empty()
    assert set(seen) == {(lane, number) for lane in range(8) for number in range(200)}


def priority() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


def test_hash_threads_step_back_and_the_caller_does_not(make_pool: MakePool) -> None:
    before = priority()
    assert run(make_pool(), priority) == max(15, before)
    assert priority() == before


def test_a_pool_of_a_niced_process_does_not_ask_for_more(make_pool: MakePool) -> None:
    assert run(make_pool(niceness=-20), priority) == priority()


def test_a_system_without_thread_priorities_is_mentioned_once(
    make_pool: MakePool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "setpriority", refuse)
    with caplog.at_level(logging.WARNING):
        pool = make_pool(threads=3)
        assert run(pool, lambda: "works") == "works"
        assert pool.close(PATIENCE)
    assert [record.getMessage() for record in caplog.records] == [
        "hash threads run at normal priority and may delay replies: [Errno 1] Operation not permitted"
    ]

"""The load generator against a real server: what it counts as right is right, what it counts as wrong is wrong."""

import time

import pytest

from bench.lib import freeradius
from bench.lib.accounts import Population
from bench.lib.driver import Subject, opened
from bench.lib.load import Outcome, Plan, start
from bench.lib.postgresql import postgresql
from bench.lib.results import scratch
from bench.lib.tickets import CURRENT_ONLY, Ledger, Tickets


def run(subject: Subject, tickets: Tickets) -> Outcome:
    """Send these tickets, whoever has sent them before."""
    process, receiver = start(
        Plan(subject.server.target, subject.ledger.population, tickets, time.time(), seconds=20.0, concurrency=8)
    )
    said = [receiver.recv() for _ in ("begun", "over", "outcome")]
    process.join(20)
    receiver.close()
    assert isinstance(said[-1], Outcome)
    return said[-1]


def test_a_code_that_was_spent_is_counted_as_a_right_user_rejected(subject: Subject) -> None:
    now = time.time()
    tickets = subject.ledger.take([(now, now + 25)] * 40)
    first, again = run(subject, tickets), run(subject, tickets)
    assert (first.accepted, first.wrong_rejects) == (40, 0)
    assert (again.accepted, again.wrong_rejects) == (0, 40)


def test_a_code_that_grew_old_before_it_was_answered_is_not_counted_as_a_wrong_answer(subject: Subject) -> None:
    """A busy machine sends some again when their time is over: the server is right, the benchmark was late."""
    long_ago = time.time() - 90
    tickets = subject.ledger.take([(long_ago, long_ago)] * 40)
    outcome = run(subject, tickets)
    assert (outcome.accepted, outcome.rejected) == (0, 40)
    assert (outcome.wrong_rejects, outcome.too_old) == (0, 40)


def test_a_wrong_code_is_rejected_and_that_is_no_wrong_answer(subject: Subject) -> None:
    outcome = opened(subject, [(40, 1.0)], wrong_share=1.0, seed=5, among=range(30)).outcome
    assert outcome.sent > 0
    assert (outcome.accepted, outcome.rejected) == (0, outcome.sent)
    assert (outcome.wrong_rejects, outcome.wrong_accepts) == (0, 0)


def test_an_open_loop_of_right_codes_is_accepted_and_its_half_seconds_add_up(subject: Subject) -> None:
    measured = opened(subject, [(40, 1.0)], among=range(30))
    outcome = measured.outcome
    assert 0 < outcome.accepted == outcome.sent
    assert sum(one["offered"] for one in outcome.bins) == sum(one["accepts"] for one in outcome.bins) == outcome.sent
    assert measured.rss_mib["server"] > 1


@pytest.mark.skipif(freeradius.PROGRAM is None, reason="FreeRADIUS is not installed: a peer to measure, no client")
def test_free_radius_with_the_duties_takes_no_code_twice_and_without_them_does(people: Population) -> None:
    """Else the comparison would be one with a server that does less than it is said to do."""
    with scratch() as directory, postgresql(directory) as cluster:
        peer = freeradius.on_postgresql(directory, cluster, [people])
        with peer.serving(duties=True) as careful, peer.serving(duties=False) as careless:
            servers = [Subject("peer", server, Ledger(people, CURRENT_ONLY)) for server in (careful, careless)]
            # It takes the code of the current step only: stay inside one.
            into = time.time() % 30
            time.sleep(30.2 - into if into > 10 else 0.0)
            now = time.time()
            tickets = servers[0].ledger.take([(now, now)] * 20)
            accepted = [[run(subject, tickets).accepted for _ in ("first", "again")] for subject in servers]
        with cluster.connect("freeradius") as connection:
            rows = connection.execute("SELECT count(*) FROM radpostauth").fetchone()
    assert accepted == [[20, 0], [20, 20]]
    assert rows == (40,)

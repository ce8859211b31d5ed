"""A server with a few users, set up through the command line as the benchmarks do it, and nothing timed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.lib import accounts, ours
from bench.lib.accounts import Population
from bench.lib.driver import Subject
from bench.lib.tickets import OURS, Ledger

USERS = 60


@pytest.fixture
def people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Population:
    """Users with a cheap hash; the cache of hashes is not that of the benchmarks."""
    monkeypatch.setattr(accounts, "CACHE", tmp_path / "cache")
    return accounts.cheap(USERS)


@pytest.fixture
def subject(people: Population, tmp_path: Path) -> Iterator[Subject]:
    """Our server on SQLite, in a process of its own."""
    place = ours.on_sqlite(tmp_path)
    place.init()
    place.take_over(people)
    with place.serving(database_deadline=4, reject_delay=0.1) as server:
        yield Subject("radiusd-mfa", server, Ledger(people, OURS))

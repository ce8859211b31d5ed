"""Fixtures around `World`, for the folders whose tests sign in over packets."""

from collections.abc import Iterator

import pytest

from radiusd_mfa.config import Config
from radiusd_mfa.keys import KeyRing
from radiusd_mfa.server.daemon import Daemon
from radiusd_mfa.store.database import Database
from tests.support.world import TestNas, World


@pytest.fixture
def world(database: Database, database_url: str, keys: KeyRing, config: Config) -> Iterator[World]:
    """An empty world on each database; its canary row stands where the daemon proves that it can write."""
    made = World(database, database_url, keys, config)
    yield made
    made.close()


@pytest.fixture
def daemon(world: World) -> Iterator[Daemon]:
    with world.daemon() as running:
        yield running


@pytest.fixture
def nas(world: World, daemon: Daemon) -> TestNas:
    """A NAS at 127.0.0.1, covered by an entry with the defaults of the table."""
    world.nas()
    daemon.refresh()
    return world.client(daemon)

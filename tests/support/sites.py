"""NASes of teams: each at a loopback address of its own, all asking one node that has a portal."""

from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest

from radiusd_mfa.radius.wire import Attribute
from radiusd_mfa.server.daemon import Daemon
from tests.support.clock import Clock
from tests.support.world import Reply, TestNas, TestUser, World

PORTAL: Final = "https://mfa.example.net/"
HOUR: Final = 3_600.0
TWELVE_HOURS: Final = '[[require]]\nevery = "12h"\n'
PER_DEVICE: Final = f'{TWELVE_HOURS}remember = "device"\n'

Site = Callable[..., TestNas]
"""Adds a NAS entry, `site(team_id, surface, **columns)`, and returns its NAS."""


@pytest.fixture
def node(world: World, clock: Clock) -> Iterator[Daemon]:
    assert clock.at > 0  # set before the node looks at it
    with world.daemon(portal_url=PORTAL) as running:
        yield running


@pytest.fixture
def site(world: World, node: Daemon) -> Site:
    addresses = iter(range(1, 250))

    def add(team_id: int | None = None, surface: str = "vpn", **columns: Any) -> TestNas:
        source = f"127.0.1.{next(addresses)}"
        world.nas(f"nas {source}", f"{source}/32", team_id=team_id, surface=surface, **columns)
        node.refresh()
        return world.client(node, source=source)

    return add


def member(world: World, team_id: int, name: str = "alice", *, role: str = "member", **user: Any) -> TestUser:
    """Add a user with a place in a team."""
    made = world.user(name, **user)
    world.member(made, team_id, role)
    return made


def limit(reply: Reply) -> int | None:
    """Return the seconds of Session-Timeout, which never comes without the wish to be asked again."""
    seconds = [int.from_bytes(value) for value in reply.values(Attribute.SESSION_TIMEOUT)]
    actions = [int.from_bytes(value) for value in reply.values(Attribute.TERMINATION_ACTION)]
    assert actions == [1] * len(seconds)
    assert len(seconds) <= 1
    return seconds[0] if seconds else None

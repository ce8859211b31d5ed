"""The pages over a world whose clock stands still, on both databases."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace

import pytest

from radiusd_mfa.app import App
from radiusd_mfa.portal.server import PortalServer
from tests.support.administered import StoppedClock, World
from tests.support.pages import Browser, served


@pytest.fixture
def world(app: App) -> Iterator[World]:
    clock = StoppedClock()
    made = World(replace(app, clock=clock), clock)
    yield made
    made.app.close()


@pytest.fixture
def server(world: World) -> Iterator[PortalServer]:
    with served(world) as running:
        yield running


@pytest.fixture
def browse(server: PortalServer) -> Iterator[Callable[..., Browser]]:
    """Open browsers that know nothing of each other."""
    with ExitStack() as opened:

        def one(**headers: str) -> Browser:
            made = Browser(server.url, headers)
            opened.callback(made.close)
            return made

        yield one


@pytest.fixture
def browser(browse: Callable[..., Browser]) -> Browser:
    return browse()

"""What the tests of use cases share."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from radiusd_mfa.app import App
from radiusd_mfa.usecases.changes import Refusal
from tests.support.administered import Refuses, StoppedClock, World


@pytest.fixture
def world(app: App) -> Iterator[World]:
    clock = StoppedClock()
    made = World(replace(app, clock=clock), clock)
    yield made
    made.app.close()


@pytest.fixture
def refuses() -> Refuses:
    def check(result: object, part: str) -> None:
        assert isinstance(result, Refusal)
        assert part in result.sentence

    return check

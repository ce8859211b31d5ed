"""A tap on the store of a daemon: counts what reaches it, holds it up, or lets it fail, with the real store behind."""

import time
from collections.abc import Callable, Sequence
from typing import Any

from radiusd_mfa.core.facts import Attempt, Facts
from radiusd_mfa.usecases.ports import Settlement, SignInStore


def nothing(*_: object) -> None:
    """Let everything through."""


def eventually(holds: Callable[[], Any], *, within: float = 10.0) -> Any:
    """Return the first true value; a test that waits for other threads looks often and has patience."""
    until = time.monotonic() + within
    while not (value := holds()):
        assert time.monotonic() < until, "it did not come true"
        time.sleep(0.005)
    return value


class Tap:
    """Goes around the store of one daemon: `world.daemon(wrap=tap.around)`."""

    def __init__(
        self,
        *,
        before_open: Callable[[Sequence[Attempt]], None] = nothing,
        before_settle: Callable[[Sequence[Settlement]], None] = nothing,
        after_settle: Callable[[Sequence[Settlement]], None] = nothing,
    ) -> None:
        self.before_open = before_open
        self.before_settle = before_settle
        self.after_settle = after_settle
        self.opened: list[Attempt] = []
        self.settled: list[Settlement] = []
        self._store: SignInStore | None = None

    def around(self, store: SignInStore) -> "Tap":
        self._store = store
        return self

    @property
    def store(self) -> SignInStore:
        assert self._store is not None
        return self._store

    def open(self, attempts: Sequence[Attempt]) -> Sequence[Facts]:
        self.opened += attempts
        self.before_open(attempts)
        return self.store.open(attempts)

    def reread(self, attempts: Sequence[Attempt]) -> Sequence[Facts]:
        return self.store.reread(attempts)

    def refund(self, charged: Sequence[tuple[Attempt, Facts]]) -> None:
        self.store.refund(charged)

    def settle(self, settlements: Sequence[Settlement]) -> Sequence[int | None]:
        self.before_settle(settlements)
        ids = self.store.settle(settlements)
        self.settled += settlements
        self.after_settle(settlements)
        return ids

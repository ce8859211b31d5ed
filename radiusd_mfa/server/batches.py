"""A bounded queue between two stages: what gathers while the one works is one batch for the next.

At low load a batch is one sign-in and waits for nobody; under load batches grow by themselves.
"""

from collections import deque
from collections.abc import Iterable
from threading import Condition
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Batches(Generic[Item]):
    """A queue whose reader takes all that is there, up to a limit."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._items: deque[Item] = deque()
        self._changed = Condition()
        self._closed = False

    def __len__(self) -> int:
        return len(self._items)

    def offer(self, items: Iterable[Item]) -> list[Item]:
        """Take what there is room for, and return the rest."""
        with self._changed:
            left = []
            for item in items:
                if self._closed or len(self._items) >= self._capacity:
                    left.append(item)
                else:
                    self._items.append(item)
            self._changed.notify()
        return left

    def put(self, item: Item) -> None:
        """Take an item that was let in before: the capacity is kept at the entrance, not between stages."""
        with self._changed:
            self._items.append(item)
            self._changed.notify()

    def take(self, limit: int) -> list[Item]:
        """Wait for something and return it, at most `limit` items; nothing when the queue is closed and empty."""
        with self._changed:
            while not self._items and not self._closed:
                self._changed.wait()
            return [self._items.popleft() for _ in range(min(limit, len(self._items)))]

    def close(self) -> None:
        """Let the reader finish what is there, and then end."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

"""Threads for what waits: the database and the hashes; the loop itself never does.

Owns how many there are and how much may wait for them. Fixed threads, for the store keeps a connection for each.
"""

import asyncio
import logging
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from threading import Barrier
from typing import Any, Final, ParamSpec, TypeVar

_log: Final = logging.getLogger(__name__)
P = ParamSpec("P")
T = TypeVar("T")
WAITING: Final = 64
"""Requests that may wait for each kind of thread; more are told to come again."""
_READERS: Final = 4
_NICE: Final = 10


class Busy(Exception):
    """More waits than anybody has the patience for."""


class Workers:
    """Two kinds of threads, so that looking at a page doesn't wait for somebody's argon2id.

    `leave` is called in each thread before it ends.
    """

    def __init__(self, hash_threads: int, leave: Callable[[], None]) -> None:
        self._leave = leave
        self._sizes: Final = {True: hash_threads, False: _READERS}
        self._kinds: Final = {
            True: ThreadPoolExecutor(hash_threads, "page-hash", _be_nice),
            False: ThreadPoolExecutor(_READERS, "page"),
        }
        self._waiting = {True: 0, False: 0}

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do what takes a statement or two; raises Busy."""
        return await self._run(False, partial(work, *args, **kwargs))

    async def hash(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do what computes hashes; raises Busy."""
        return await self._run(True, partial(work, *args, **kwargs))

    def spare(self, work: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> bool:
        """Do what computes a hash and is waited for by nobody, unless somebody waits for hashes; False: it was not."""
        if self._waiting[True]:
            return False
        self._waiting[True] += 1
        done = self._kinds[True].submit(work, *args, **kwargs)
        loop = asyncio.get_running_loop()
        done.add_done_callback(lambda future: loop.call_soon_threadsafe(self._spared, future))
        return True

    def _spared(self, future: Future[Any]) -> None:
        self._waiting[True] -= 1
        if not future.cancelled() and (error := future.exception()) is not None:
            _log.warning("something that can wait was left undone: %s", error)

    def close(self) -> None:
        """Finish what is being done; each thread leaves what is kept for it in order."""
        for kind, threads in self._kinds.items():
            all_there = Barrier(self._sizes[kind])
            left = [threads.submit(self._left, all_there) for _ in range(self._sizes[kind])]
            for each in left:
                each.result()
            threads.shutdown(wait=True, cancel_futures=True)

    def _left(self, all_there: Barrier) -> None:
        all_there.wait()  # so that no thread does it twice, and another never
        self._leave()

    async def _run(self, hashes: bool, work: Callable[[], T]) -> T:
        if self._waiting[hashes] >= WAITING:
            raise Busy
        self._waiting[hashes] += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._kinds[hashes], work)
        finally:
            self._waiting[hashes] -= 1


def _be_nice() -> None:
    """Let the loop have the machine when it wants it; for this thread alone, which Linux can."""
    # Going back up, where the process is nicer already, would need a privilege.
    os.setpriority(os.PRIO_PROCESS, 0, max(_NICE, os.getpriority(os.PRIO_PROCESS, 0)))

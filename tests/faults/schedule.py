"""What goes wrong during a fault run, in an order drawn from the seed; each fault ends before the next begins."""

import asyncio
import random
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from tests.faults.bases import Base, PostgreSql, Sqlite
from tests.faults.evidence import Shift, Span
from tests.faults.nodes import POINTS, Node

HOUR = 3600.0
Fault = Callable[[], Awaitable[None]]


@dataclass
class Faults:
    """Causes faults one after the other; `pace` stretches and shortens how long each lasts."""

    base: Base
    nodes: list[Node]
    chance: random.Random
    pace: float = 1.0
    happened: Counter[str] = field(default_factory=Counter)
    away: list[Span] = field(default_factory=list)
    shifts: list[Shift] = field(default_factory=list)

    def all(self) -> dict[str, Fault]:
        """Return every fault that this database can have, by name."""
        found: dict[str, Fault] = {f"kill -9 {point}": partial(self._kill_at, point) for point in POINTS}
        found["kill -9 from outside"] = self._kill
        found["clock an hour ahead"] = partial(self._shift, HOUR)
        found["clock an hour back"] = partial(self._shift, -HOUR)
        if self.base.disk is not None:
            found["disk full"] = self._fill
        match self.base:
            case PostgreSql() as base:
                found["database stopped, fast"] = partial(self._stop, base, signal.SIGINT, "stopped")
                found["database stopped, immediate"] = partial(self._stop, base, signal.SIGQUIT, "stopped at once")
                found["database frozen"] = partial(self._freeze, base)
                found["database session killed"] = partial(self._kill_session, base)
                found["database read-only"] = partial(self._read_only, base)
            case Sqlite() as base:
                found["database locked by another program"] = partial(self._hold, base)
        return found

    async def cycle(self, names: Sequence[str] | None = None, most: int | None = None) -> None:
        """Cause each of these faults once, or every one, in an order of chance; of them `most` at most."""
        known = self.all()
        chosen = list(known) if names is None else [name for name in names if name in known]
        self.chance.shuffle(chosen)
        for name in chosen[:most]:
            await self._calm(0.5, 2.0)
            print(f"{time.strftime('%H:%M:%S')} {name}", flush=True)
            await known[name]()

    async def _calm(self, least: float, most: float) -> None:
        await asyncio.sleep(self.chance.uniform(least, most) * self.pace)

    async def _lasting(self, least: float, most: float) -> None:
        await self._calm(least, most)

    async def _kill_at(self, point: str) -> None:
        node = self.chance.choice(self.nodes)
        if await asyncio.to_thread(node.kill_at, point, patience=15.0):
            self.happened[f"kill -9 {point}"] += 1
        await self._again(node)

    async def _kill(self) -> None:
        node = self.chance.choice(self.nodes)
        await asyncio.to_thread(node.kill)
        self.happened["kill -9 from outside"] += 1
        await self._again(node)

    async def _again(self, node: Node) -> None:
        if node.is_gone:
            await self._lasting(0.2, 2.0)
            await asyncio.to_thread(node.kill)  # what is left of its group
            await asyncio.to_thread(node.start)

    async def _shift(self, seconds: float) -> None:
        node = self.chance.choice(self.nodes)
        began = time.time()
        node.shift(seconds)
        await self._lasting(3.0, 6.0)
        node.clear()
        self.shifts.append(Shift(seconds, began, time.time()))
        self.happened[f"clock an hour {'ahead' if seconds > 0 else 'back'}"] += 1

    async def _gone(self, what: str, take: Callable[[], None], give: Callable[[], None]) -> None:
        await asyncio.to_thread(take)
        began = time.time()
        await self._lasting(2.0, 8.0)
        ended = time.time()
        await asyncio.to_thread(give)
        self.away.append(Span(what, began, ended))

    async def _stop(self, base: PostgreSql, number: signal.Signals, what: str) -> None:
        await self._gone(what, partial(base.stop, number), base.start)
        self.happened[f"database stopped, {'fast' if number is signal.SIGINT else 'immediate'}"] += 1

    async def _freeze(self, base: PostgreSql) -> None:
        await self._gone("frozen", base.freeze, base.thaw)
        self.happened["database frozen"] += 1

    async def _read_only(self, base: PostgreSql) -> None:
        await self._gone("made read-only", partial(base.lock, read_only=True), partial(base.lock, read_only=False))
        self.happened["database read-only"] += 1

    async def _kill_session(self, base: PostgreSql) -> None:
        await asyncio.to_thread(base.kill_a_session)
        await asyncio.to_thread(base.start)
        self.happened["database session killed"] += 1

    async def _fill(self) -> None:
        """Not among the times when nobody may say to be well: what has room left in the files still writes."""
        disk = self.base.disk
        assert disk is not None
        await asyncio.to_thread(disk.fill)
        await self._lasting(3.0, 6.0)
        disk.free()
        await asyncio.to_thread(self.base.start)  # without room for its log, PostgreSQL ends
        self.happened["disk full"] += 1

    async def _hold(self, base: Sqlite) -> None:
        await self._gone("locked", base.hold, base.start)
        self.happened["database locked by another program"] += 1

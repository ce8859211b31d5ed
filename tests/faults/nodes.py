"""The two daemons of a fault run: processes of their own that can be killed at a point, and started again."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.faults.wire import Address

POINTS: Final = (
    "before-open",
    "during-open",
    "after-open",
    "before-settle",
    "during-settle",
    "after-settle",
    "before-send",
    "after-send",
)
"""Where kill -9 ends a daemon; see tests/processes/crash."""
_CHECKOUT: Final = Path(__file__).parents[2]
_PATHS: Final = os.pathsep.join(map(str, (_CHECKOUT / "tests" / "processes" / "crash", _CHECKOUT)))
"""With the checkout itself: the daemons are of the same one as this program, wherever the package is installed from."""
_PATIENCE: Final = 60.0
_TURN: Final = 0.02


@dataclass
class Node:
    """A daemon with so many workers at one address."""

    name: str
    address: Address
    workers: int
    flags: Path
    log: Path
    environ: Mapping[str, str]
    _popen: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        """Start it and wait until it is ready; where the database is away, it is tried again."""
        until = time.monotonic() + _PATIENCE
        while not self._started():
            if time.monotonic() > until:
                raise RuntimeError(f"{self.name} did not start: {self.log.read_text()[-2000:]}")
            time.sleep(0.2)

    def _started(self) -> bool:
        self.flags.mkdir(exist_ok=True)
        self.clear()
        began = self.log.stat().st_size if self.log.exists() else 0
        host, port = self.address
        command = [sys.executable, "-m", "radiusd_mfa", "serve", "--listen", f"{host}:{port}"]
        with self.log.open("ab") as output:
            self._popen = subprocess.Popen(
                [*command, "--workers", str(self.workers)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**self.environ, "PYTHONPATH": _PATHS, "CRASH_FLAGS": str(self.flags)},
                start_new_session=True,
            )
        while self._popen.poll() is None:
            if b"is ready on" in self.log.read_bytes()[began:]:
                return True
            time.sleep(_TURN)
        return False

    def kill_at(self, point: str, *, patience: float) -> bool:
        """Let it, or one of its workers, end at a point; False where it never gets there."""
        before = self._deaths()
        (self.flags / point).touch()
        until = time.monotonic() + patience
        while time.monotonic() < until:
            if self._popen is not None and self._popen.poll() is not None:
                return True
            if self._deaths() > before:
                self.clear()
                return True
            time.sleep(_TURN)
        self.clear()
        return False

    def _deaths(self) -> int:
        return self.log.read_bytes().count(b"(status 9)") if self.workers > 1 else 0

    @property
    def is_gone(self) -> bool:
        return self._popen is None or self._popen.poll() is not None

    def kill(self) -> None:
        """End all of it at once."""
        if self._popen is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._popen.pid, signal.SIGKILL)
            self._popen.wait()

    def shift(self, seconds: float) -> None:
        """Set its clock so much ahead; the file is replaced, for it is read at every look at the clock."""
        new = self.flags / "clock.new"
        new.write_text(str(seconds))
        new.replace(self.flags / "clock")

    def clear(self) -> None:
        """Take all flags away."""
        for flag in self.flags.iterdir():
            flag.unlink(missing_ok=True)

    def stop(self) -> int:
        """Ask it to end and return how it did."""
        if self._popen is None:
            return 0
        self._popen.terminate()
        try:
            return self._popen.wait(_PATIENCE)
        finally:
            self.kill()

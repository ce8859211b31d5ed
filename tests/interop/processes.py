"""Programs that the tests start, whose output they wait for, and which they end themselves."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PATIENCE: Final = 30.0
"""Seconds until a program that should have said something is a failure."""
_TURN: Final = 0.02


@dataclass(frozen=True)
class Process:
    """A running program that writes all it says into one file."""

    popen: subprocess.Popen[bytes]
    log: Path

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def wait_for(self, pattern: str, *, patience: float = PATIENCE) -> re.Match[str]:
        """Return the first match of `pattern` in its output; that it ends or stays quiet is a failure."""
        until = time.monotonic() + patience
        while True:
            ended = self.popen.poll() is not None
            found = re.search(pattern, self.output)
            if found:
                return found
            assert not ended, f"ended with {self.popen.returncode} before it said {pattern!r}:\n{self.output}"
            assert time.monotonic() < until, f"did not say {pattern!r}:\n{self.output}"
            time.sleep(_TURN)

    def says(self, line: str) -> None:
        """Type a line into it."""
        assert self.popen.stdin is not None
        self.popen.stdin.write(f"{line}\n".encode())
        self.popen.stdin.flush()

    def end(self) -> None:
        """Ask it to end, then make it end, together with what it has started."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self.popen.poll() is not None:
                break
            self.popen.send_signal(number)
            try:
                self.popen.wait(10)
            except subprocess.TimeoutExpired:
                continue
        with suppress(ProcessLookupError):  # nothing is left of its group
            os.killpg(self.popen.pid, signal.SIGKILL)


@contextmanager
def running(
    command: Sequence[str],
    *,
    log: Path,
    env: Mapping[str, str] | None = None,
    stdin: int = subprocess.PIPE,
    inherit: Sequence[int] = (),
    cwd: Path | None = None,
) -> Iterator[Process]:
    """Run a program in a process group of its own until the block ends."""
    with log.open("wb") as output:
        popen = subprocess.Popen(
            command,
            stdin=stdin,
            stdout=output,
            stderr=output,
            env=env,
            cwd=cwd,
            start_new_session=True,
            pass_fds=inherit,
        )
    process = Process(popen, log)
    try:
        yield process
    finally:
        process.end()
        if popen.stdin is not None:
            popen.stdin.close()

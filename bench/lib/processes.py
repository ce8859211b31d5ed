"""Programs that a benchmark starts and ends, and what a tree of processes uses.

Owns processes that it started itself, and ends only those.
"""

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PROC: Final = Path("/proc")


class StartProblem(Exception):
    """A program did not start; the sentence says what it said."""


@dataclass(frozen=True, slots=True)
class Used:
    """CPU seconds so far, resident and shared-adjusted memory now (octets), of a process and its children."""

    cpu: float
    rss: int


class Program:
    """A running program in a process group of its own, with its output in a file."""

    def __init__(
        self, command: Sequence[str], *, log: Path, env: Mapping[str, str] | None = None, user: str | None = None
    ) -> None:
        self.log: Final = log
        with log.open("wb") as output:
            self._popen = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=env, user=user, process_group=0
            )
        self.pid: Final = self._popen.pid

    def wait_for(self, pattern: str, *, patience: float = 60.0) -> re.Match[str]:
        """Return the first match of what it says; raises StartProblem when it ends or stays quiet."""
        until = time.monotonic() + patience
        while True:
            ended = self._popen.poll() is not None
            said = self.log.read_text(errors="replace")
            found = re.search(pattern, said)
            if found:
                return found
            if ended or time.monotonic() > until:
                raise StartProblem(f"{self.log.name} never said {pattern!r}:\n{said[-3000:]}")
            time.sleep(0.01)

    def end(self, first: signal.Signals = signal.SIGTERM) -> None:
        """Ask it to end, then make it."""
        for number in (first, signal.SIGKILL):
            if self._popen.poll() is None:
                self._popen.send_signal(number)
                with suppress(subprocess.TimeoutExpired):
                    self._popen.wait(15)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)


def used(root: int) -> Used:
    """Measure a process tree; what its ended children used counts too."""
    cpu, rss = 0.0, 0
    for pid in _tree(root):
        try:
            fields = (_PROC / str(pid) / "stat").read_text().rsplit(")", 1)[1].split()
            memory = (_PROC / str(pid) / "smaps_rollup").read_text()
        except OSError:
            continue
        cpu += sum(map(int, fields[11:15])) / _TICKS
        # Pss: what processes share is counted once.
        rss += int(re.findall(r"^Pss:\s+(\d+)", memory, re.MULTILINE)[0]) << 10
    return Used(cpu, rss)


def _tree(root: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in _PROC.iterdir():
        if not entry.name.isdigit():
            continue
        with suppress(OSError):
            parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            children.setdefault(parent, []).append(int(entry.name))
    tree = [root]
    for pid in tree:
        tree += children.get(pid, [])
    return tree


def busy() -> float:
    """Return the CPU seconds that the whole machine has used so far."""
    fields = list(map(int, (_PROC / "stat").read_text().split("\n", 1)[0].split()[1:]))
    return (sum(fields[:3]) + sum(fields[5:8])) / _TICKS


def free_port(kind: socket.SocketKind) -> int:
    """Return a port of 127.0.0.1 that nobody has at this moment."""
    with socket.socket(socket.AF_INET, kind) as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])

"""What the kernel tells of a process: a worker's memory, processor time and open files.

Read here since the unit of systemd hides all of /proc but the processes, and the library's own collector wants more.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
# proc_pid_stat(5), counted from the first field behind the name in parentheses.
_USER_TIME, _SYSTEM_TIME, _RESIDENT = 11, 12, 21


@dataclass(frozen=True, slots=True)
class ProcessFigures:
    """As the kernel counts; seconds and octets."""

    cpu_seconds: float
    resident_memory: int
    open_files: int


def process_figures(process: int) -> ProcessFigures | None:
    """Return the figures of a process; None where it is gone."""
    of = Path("/proc") / str(process)
    try:
        fields = of.joinpath("stat").read_bytes().rpartition(b")")[2].split()
        files = sum(1 for _ in of.joinpath("fd").iterdir())
    except OSError:
        return None
    ticks = int(fields[_USER_TIME]) + int(fields[_SYSTEM_TIME])
    return ProcessFigures(ticks / _TICKS, int(fields[_RESIDENT]) * _PAGE, files)

"""What was measured on: the machine and the versions, for every result."""

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from bench.lib import freeradius

_PACKAGES: Final = ("radiusd-mfa", "sqlalchemy", "psycopg", "argon2-cffi", "cryptography", "bcrypt", "pyrad")


def machine() -> dict[str, object]:
    """Describe the machine, and whether something else kept it busy."""
    return {
        "processor": _first("/proc/cpuinfo", "model name"),
        "processors": os.cpu_count(),
        "memory_gib": round(int(_first("/proc/meminfo", "MemTotal").split()[0]) / (1 << 20), 1),
        "system": platform.platform(),
        "load_before": round(os.getloadavg()[0], 2),
    }


def versions(**others: str | None) -> dict[str, str]:
    """Return the versions of all that took part."""
    found: dict[str, str | None] = {"python": platform.python_version(), "commit": _commit()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return {name: text for name, text in (found | {"freeradius": freeradius.version()} | others).items() if text}


def _first(file: str, field: str) -> str:
    for line in Path(file).read_text().splitlines():
        name, _colon, value = line.partition(":")
        if name.strip() == field:
            return value.strip()
    return "unknown"


def _commit() -> str | None:
    command = ["git", "describe", "--always", "--dirty"]
    try:
        done = subprocess.run(
            command, cwd=Path(__file__).parent, capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None

"""Secrets of the tests that must show nowhere: after each test all that it wrote is searched for them (ATTACKS 30).

Searched is what was captured of a test's output and logs, and every file below its `tmp_path`: databases, logs of the
daemons that it started, tracebacks; in the end also the directory of the PostgreSQL of all tests, with its tables and
its write-ahead log. conftest.py takes the hook from here; each xdist worker searches what its own tests wrote.

Seeds and backup codes are drawn by chance; a part of those that `World` draws is fixed, so that they are known
anywhere. Six digits can't be: they are searched for where they were typed (tests/attacks/test_secrecy.py).
"""

from base64 import b32encode, b64encode
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Final

import pytest

from radiusd_mfa.core.backup_codes import BackupCode, make_set

PASSWORDS: Final = ("hunter2", "correct horse", "follow-the-rabbit", "canary-password", "canary-wrong")
SHARED: Final = ("a secret of the tests", "canary-secret", "canary secret", "shared-by-tests-only")
SEED: Final = b"CANARYSEED"
"""Ten octets, with which every seed of `World` begins: 16 whole characters of base32."""
BACKUP: Final = "canwy2"
"""In every backup code of `World`, after its selector."""
BACKUP_SHOWN: Final = f"{BACKUP[:3]}-{BACKUP[3:]}"
"""The same as people see it: in groups of five, of which the selector takes two."""


def _written(octets: bytes) -> Iterator[bytes]:
    """Yield the ways in which a seed may stand somewhere."""
    yield from (octets, octets.hex().encode(), octets.hex().upper().encode())
    yield from (b32encode(octets), b32encode(octets).lower(), b64encode(octets)[: len(octets) * 8 // 6])


NEEDLES: Final = (
    *(text.encode() for text in (*PASSWORDS, *SHARED, BACKUP, BACKUP_SHOWN)),
    *_written(SEED),
)

MEANT: Final = {
    "users*.jsonl": "what `user import` is given",
    "secret": "what radclient is given with -S",
    "pam_radius*.conf": "what pam_radius is given",
}
"""Files, by a pattern of their name, in which a secret is meant to stand, and why."""
OURS: Final = ("serve*.log", "portal*.log", "*.sqlite3*")
_searched: Final[set[Path]] = set()


def seed(entropy: Callable[[int], bytes]) -> bytes:
    """Draw a seed of 20 octets, half of them by chance."""
    return SEED + entropy(10)


def codes(count: int, entropy: Callable[[int], bytes]) -> tuple[BackupCode, ...]:
    """Draw a set of backup codes, whose last letters are chance too."""
    drawn = make_set(count, entropy)
    return tuple(replace(code, secret=BACKUP + code.secret[len(BACKUP) :]) for code in drawn)


def in_text(text: str, where: str) -> list[str]:
    """Say which canaries stand in a text."""
    return [f"{_named(needle)} in {where}" for needle in _in(text.encode(errors="surrogateescape"))]


def in_files(directory: Path, *patterns: str) -> list[str]:
    """Say which canaries stand in which files below a directory, but for those where they are meant to."""
    _searched.add(directory)
    return [
        f"{_named(needle)} in {file.relative_to(directory)}"
        for pattern in patterns or ("*",)
        for file in sorted(directory.rglob(pattern))
        if file.is_file() and not file.is_symlink() and not any(fnmatch(file.name, each) for each in MEANT)
        for needle in _in(file.read_bytes())
    ]


def in_what_is_left(directory: Path) -> list[str]:
    """Search what several tests share; what the real clients have there is theirs, and must hold their passwords."""
    shared = [each for each in directory.iterdir() if each.is_dir() and not each.is_symlink() and each not in _searched]
    return [f"{leak} of {each.name}" for each in shared for leak in in_files(each, *OURS)]


def _in(octets: bytes) -> list[bytes]:
    return [needle for needle in NEEDLES if needle in octets]


def _named(needle: bytes) -> str:
    return f"canary {NEEDLES.index(needle)} ({needle[:3].decode(errors='replace')}…)"


def _of(item: pytest.Item) -> list[str]:
    found = [leak for when, key, text in item._report_sections for leak in in_text(text, f"{key} of {when}")]
    directory = getattr(item, "funcargs", {}).get("tmp_path")
    return found + (in_files(directory) if isinstance(directory, Path) and directory.is_dir() else [])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let a test fail in the end that has shown a secret."""
    report = yield
    if call.when == "teardown" and report.passed:
        leaks = _of(item)
        if leaks:
            report.outcome = "failed"
            report.longrepr = f"{item.nodeid} has shown what must show nowhere:\n" + "\n".join(leaks)
    return report

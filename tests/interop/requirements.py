"""What a test needs from the machine: skipped with its reason where that is missing, but a failure in CI."""

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest


def need(package: str, *, programs: tuple[str, ...] = (), anywhere: tuple[str, ...] = ()) -> None:
    """Go on only where a Debian package is installed: each of the programs, and a file that one pattern fits."""
    # Some of them are for root only and not on everybody's PATH.
    path = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"
    missing = [name for name in programs if shutil.which(name, path=path) is None]
    if anywhere and not any(any(Path("/").glob(pattern)) for pattern in anywhere):
        missing.append(anywhere[0])
    if missing:
        give_up(f"{', '.join(missing)} is missing: apt install {package}")


def need_root() -> None:
    """Go on only as root; nobody else is expected to be able to, not even in CI."""
    if os.geteuid() != 0:
        pytest.skip("needs root, for network and mount namespaces")


def give_up(reason: str) -> NoReturn:
    """Skip the test; CI installs everything, there it is a failure."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)

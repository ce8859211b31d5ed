"""The units of systemd: nothing to complain about, and little that a hole in the program would be good for (O4)."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.interop.requirements import need

UNITS = Path(__file__).parents[2] / "systemd"
SERVICES = sorted(path.name for path in UNITS.glob("*.service"))
PROGRAM = "/opt/radiusd-mfa/bin/radiusd-mfa"
LIMIT = 19
"""Tenths: below 2.0."""


@pytest.fixture
def units(tmp_path: Path) -> list[str]:
    """The units as they are, but for where the program is."""
    need("systemd", programs=("systemd-analyze",))
    made = []
    for unit in (path for kind in ("service", "socket") for path in sorted(UNITS.glob(f"*.{kind}"))):
        copy = tmp_path / unit.name
        copy.write_text(unit.read_text().replace(PROGRAM, sys.executable))
        made.append(str(copy))
    return made


def test_there_is_a_unit_for_each_service_and_a_socket_for_those_that_listen() -> None:
    assert SERVICES == ["radiusd-mfa-outbox.service", "radiusd-mfa-portal.service", "radiusd-mfa.service"]
    assert {path.stem for path in UNITS.glob("*.socket")} == {"radiusd-mfa", "radiusd-mfa-portal"}


@pytest.mark.parametrize("service", SERVICES)
def test_a_unit_exposes_little(service: str) -> None:
    need("systemd", programs=("systemd-analyze",))
    command = ["systemd-analyze", "security", "--offline=yes", "--no-pager", f"--threshold={LIMIT}"]
    rated = subprocess.run([*command, UNITS / service], capture_output=True, text=True, check=False)
    assert rated.returncode == 0, rated.stdout[-2000:] + rated.stderr
    assert re.search(r"Overall exposure level for \S+: [01]\.\d OK", rated.stdout)


def test_systemd_has_no_complaint_about_a_unit(units: list[str]) -> None:
    command = ["systemd-analyze", "verify", "--recursive-errors=no", "--man=no", *units]
    verified = subprocess.run(command, capture_output=True, text=True, check=False)
    ours = [line for line in verified.stderr.splitlines() if "radiusd-mfa" in line]
    assert (verified.returncode, ours) == (0, [])


def test_a_complaint_would_be_seen(units: list[str], tmp_path: Path) -> None:
    broken = tmp_path / "broken" / "radiusd-mfa.service"
    broken.parent.mkdir()
    shutil.copyfile(units[2], broken)
    broken.write_text(broken.read_text().replace("WatchdogSec=30", "WatchdogSec=soon"))
    command = ["systemd-analyze", "verify", "--recursive-errors=no", "--man=no", str(broken)]
    verified = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "radiusd-mfa.service:" in verified.stderr
    assert "soon" in verified.stderr

"""The fault run in short, on both databases; the whole of it is `make faults` (docs/reliability.md)."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


def _alone() -> list[str]:
    """Run in a mount namespace where that is allowed: the small disk that is filled is nobody else's."""
    return ["unshare", "--mount", "--propagation", "private"] if os.geteuid() == 0 and shutil.which("unshare") else []


@pytest.mark.timeout(600)
def test_a_short_fault_run_breaks_no_promise(tmp_path: Path) -> None:
    command = [*_alone(), sys.executable, "-m", "tests.faults.run", "--short", "--out", str(tmp_path)]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=540, check=False
    )
    assert done.returncode == 0, done.stdout
    postgresql, sqlite = json.loads((tmp_path / "faults.json").read_text())["rows"]
    for row in (postgresql, sqlite):
        assert row["violations"] == []
        assert row["verdicts"]["accept"] > row["sign_ins"] / 4, "too few got in for anything to be shown"
        assert row["faults"]
        assert row["probes_answered"]
    assert postgresql["sign_ins"] >= 250

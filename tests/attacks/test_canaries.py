"""The search for canaries after each test finds what is planted (ATTACKS 30); else nothing found says nothing."""

import os
import re
import subprocess
import sys
import tempfile
from base64 import b32encode
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import canaries
from tests.support.canaries import NEEDLES, in_files, in_text, in_what_is_left
from tests.support.world import World

LEAKING = """
import logging, sys
from pathlib import Path

def test_prints(): print("the password is hunter2")
def test_logs(): logging.getLogger("any").error("seed %s", b"CANARYSEED".hex())
def test_writes(tmp_path: Path):
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "serve.log").write_bytes(b"\\0\\1a secret of the tests\\2")
def test_says_nothing(tmp_path: Path): print("all is well")
"""


@pytest.fixture
def elsewhere() -> Iterator[Path]:
    """A directory that is not searched after this test, which would fail by what it plants."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@pytest.mark.parametrize("needle", NEEDLES, ids=range(len(NEEDLES)))
def test_each_canary_is_found_in_a_file_of_whatever_kind(elsewhere: Path, needle: bytes) -> None:
    (elsewhere / "deep").mkdir()
    assert in_files(elsewhere) == []
    (elsewhere / "deep" / "any.sqlite3").write_bytes(b"\xff" * 5000 + needle + b"\0")
    (found,) = in_files(elsewhere)
    assert "deep/any.sqlite3" in found
    assert needle.decode(errors="replace") not in found


def test_what_several_tests_share_is_searched_too_but_not_what_clients_have_there(elsewhere: Path) -> None:
    (elsewhere / "shared").mkdir()
    (elsewhere / "shared" / "client.conf").write_text("password hunter2")
    assert in_what_is_left(elsewhere) == []
    (elsewhere / "again").mkdir()
    (elsewhere / "again" / "serve.log").write_text("password hunter2")
    (found,) = in_what_is_left(elsewhere)
    assert "serve.log of again" in found


def test_a_test_that_shows_a_secret_fails_by_its_name(elsewhere: Path) -> None:
    (elsewhere / "test_leaking.py").write_text(LEAKING)
    (elsewhere / "pytest.ini").write_text("[pytest]\n")
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.support.canaries", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "--basetemp", str(elsewhere / "base"), str(elsewhere)],
        cwd=elsewhere,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    summary = done.stdout.rpartition("short test summary")[2]
    assert set(re.findall(r"^ERROR \S+::(\w+)", summary, re.MULTILINE)) == {"test_prints", "test_logs", "test_writes"}
    assert "hunter2" not in summary


def test_the_secrets_of_a_world_are_canaries(world: World) -> None:
    alice = world.user(codes=3)
    assert in_text(alice.password, "it")
    assert in_text(b32encode(alice.seed).decode(), "it")
    assert in_text(alice.seed.hex(), "it")
    for code in alice.backup_codes:
        assert in_text(code.canonical, "it")
    assert len({code.secret for code in alice.backup_codes}) == 3


def test_a_backup_code_is_found_as_it_is_shown() -> None:
    (code,) = canaries.codes(1, os.urandom)
    assert in_text(code.shown, "it")

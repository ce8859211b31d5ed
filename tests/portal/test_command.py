"""`radiusd-mfa portal` as a process: says where it is, serves, and ends when it is told to."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from radiusd_mfa.portal.presets import all_presets
from radiusd_mfa.shipped import presets
from tests.conftest import Cli


@pytest.fixture
def ready(cli: Cli) -> Cli:
    assert cli("init").exit_code == 0
    return cli


@contextmanager
def running(environ: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RADIUSD_MFA_")}
    command = [sys.executable, "-m", "radiusd_mfa", "portal", "--listen", "127.0.0.1:0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=inherited | environ
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_where_it_is_serves_and_ends(ready: Cli, environ: dict[str, str], number: int) -> None:
    assert ready("nas", "list").exit_code == 0
    with running(environ) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        found = re.fullmatch(r"radiusd-mfa portal is ready at (http://127\.0\.0\.1:\d+), on 127\.0\.0\.1:\d+\n", said)
        assert found, said
        page = httpx.get(f"{found[1]}/sign-in", trust_env=False)
        assert page.status_code == 200
        process.send_signal(number)
        _out, errors = process.communicate(timeout=20)
        assert (process.returncode, errors) == (0, "")


def test_where_it_can_not_serve_it_says_why(ready: Cli) -> None:
    ran = ready("portal", "--listen", "0.0.0.0:0")
    assert (ran.exit_code, ran.stdout) == (1, "")
    assert "portal_url is not set" in ran.stderr
    ran = ready("portal", "--listen", "127.0.0.1:0", env={"RADIUSD_MFA_PORTAL_URL": "http://mfa.example.net/"})
    assert ran.exit_code == 1
    assert "in clear" in ran.stderr
    ran = ready("portal", "--listen", "here")
    assert ran.exit_code == 2
    assert "ADDR:PORT" in ran.stderr


def test_without_a_database_it_says_what_to_do(cli: Cli) -> None:
    ran = cli("portal", "--listen", "127.0.0.1:0")
    assert ran.exit_code == 2
    assert "radiusd-mfa init" in ran.stderr


def test_every_preset_is_offered() -> None:
    assert set(all_presets()) == {path.stem for path in Path(presets()).glob("*.toml")} | {"everyone"}

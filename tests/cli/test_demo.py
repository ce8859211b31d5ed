"""`radiusd-mfa demo`: a real sign-in on throw-away files, that leaves nothing behind."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pyotp
import pytest
import segno

from radiusd_mfa.cli import qr
from tests.conftest import Cli

ANY_PORT = ("--listen", "127.0.0.1:0")
PASSWORD = "follow-the-rabbit"
TRACEBACK = "Traceback"
BLOCKS = {"█": "00", "▀": "01", "▄": "10", " ": "11"}


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the demo puts its throw-away files."""
    directory = tmp_path / "temporary"
    directory.mkdir()
    monkeypatch.setenv("TMPDIR", str(directory))
    monkeypatch.setattr("tempfile.tempdir", None)
    return directory


def test_the_same_code_is_refused_the_second_time(cli: Cli) -> None:
    ran = cli("demo", "--once", "--json", *ANY_PORT)
    assert ran.exit_code == 0
    told = [(each["outcome"], each["reason"], each["reply"]["code"]) for each in ran.json["sign_ins"]]
    assert told == [("accept", "totp", "Access-Accept"), ("reject", "code-reused", "Access-Reject")]


def test_it_prints_the_packets_and_what_the_user_has(cli: Cli) -> None:
    ran = cli("demo", "--once", *ANY_PORT)
    assert ran.exit_code == 0
    wanted = ("→ Access-Request", "← Access-Accept", "→ Access-Request", "← Access-Reject", "reject  code-reused")
    places = [ran.stdout.index(each) for each in wanted[:2]]
    assert places == sorted(places)
    assert all(each in ran.stdout for each in wanted)
    code = re.search(r"code now  (\d{3}) (\d{3})", ran.stdout)
    assert code is not None
    assert f"alice types {PASSWORD}{code[1]}{code[2]}" in ran.stdout
    assert len(re.findall(r"\b[a-z2-9]{5}-[a-z2-9]{5}-[a-z2-9]{5}\b", ran.stdout)) == 10


def test_it_serves_the_pages_too(cli: Cli) -> None:
    ran = cli("demo", "--once", "--json", *ANY_PORT)
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", ran.json["pages"])


def test_it_leaves_nothing_behind_and_touches_no_settings(cli: Cli, temporary: Path, tmp_path: Path) -> None:
    assert cli("demo", "--once", *ANY_PORT).exit_code == 0
    assert list(temporary.iterdir()) == []
    assert not (tmp_path / "state").exists()


def test_a_port_that_is_taken_is_told_and_another_one_is_used(cli: Cli) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        ran = cli("demo", "--once", "--listen", taken)
    assert ran.exit_code == 0
    assert f"{taken} is taken" in ran.stdout


def test_an_address_of_another_machine_is_refused(cli: Cli, temporary: Path) -> None:
    ran = cli("demo", "--once", "--listen", "192.0.2.1:1812")
    assert ran.exit_code == 1
    assert "192.0.2.1:1812" in ran.stderr
    assert list(temporary.iterdir()) == []


def test_a_malformed_address_is_wrong_usage(cli: Cli) -> None:
    ran = cli("demo", "--once", "--listen", "1812")
    assert ran.exit_code == 2
    assert "ADDR:PORT" in ran.stderr


def test_over_ipv6_too(cli: Cli) -> None:
    ran = cli("demo", "--once", "--json", "--listen", "[::1]:0")
    assert (ran.exit_code, ran.json["nas"]["address"]) == (0, "::1")


@pytest.mark.parametrize("columns", ["80", "120"], ids=["stacked", "side by side"])
def test_the_qr_code_on_the_terminal_is_the_link_module_by_module(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    links = []

    real = qr.qr

    def drawn(uri: str) -> str:
        links.append(uri)
        return real(uri)

    monkeypatch.setattr(qr, "qr", drawn)
    ran = cli("demo", "--once", *ANY_PORT, env={"COLUMNS": columns})
    [link] = links
    assert modules(ran.stdout) == [list(row) for row in segno.make(link, error="l", boost_error=False).matrix]
    phone = pyotp.parse_uri(link)
    assert phone.name == "alice"
    assert isinstance(phone, pyotp.TOTP)


def test_a_terminal_too_narrow_for_the_qr_code_gets_the_link(cli: Cli) -> None:
    ran = cli("demo", "--once", *ANY_PORT, env={"COLUMNS": "40"})
    assert "█" not in ran.stdout
    assert "otpauth://totp/" in ran.stdout


def test_a_terminal_without_blocks_gets_the_link(environ: dict[str, str]) -> None:
    with running(environ | {"PYTHONIOENCODING": "latin-1"}, "--once") as (process, _output):
        shown, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "otpauth://totp/" in shown
    assert "\\u2588" not in shown


def modules(output: str) -> list[list[int]]:
    """Read the half blocks back: full is light above and below. The quiet zone of 2 must be light, and is cut off."""
    lines = [line for line in output.splitlines() if line[:2] in ("██", "▀▀")]
    width = len(lines[0].rstrip().partition("   ")[0])
    halves = [[BLOCKS[char] for char in line[:width]] for line in lines]
    rows = [[int(half[place]) for half in line] for line in halves for place in (0, 1)][:width]
    frame = [*rows[0], *rows[1], *rows[-1], *rows[-2], *(cell for row in rows for cell in (*row[:2], *row[-2:]))]
    assert not any(frame)
    return [row[2:-2] for row in rows[2:-2]]


@contextmanager
def running(environ: dict[str, str], *options: str) -> Iterator[tuple[subprocess.Popen[str], IO[str]]]:
    command = [sys.executable, "-m", "radiusd_mfa", "demo", *ANY_PORT, *options]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=os.environ | environ, **pipes) as process:  # type: ignore[call-overload]
        try:
            yield process, process.stdout
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_a_signal_ends_it_quietly(environ: dict[str, str], temporary: Path, number: signal.Signals) -> None:
    with running(environ) as (process, output):
        assert any("in another terminal" in line for line in output)
        process.send_signal(number)
        rest, complaints = process.communicate(timeout=30)
    assert process.returncode == 0
    assert TRACEBACK not in rest + complaints
    assert "its files are gone" in complaints
    assert list(temporary.iterdir()) == []


def test_a_signal_while_it_is_still_being_set_up_ends_it_quietly(environ: dict[str, str], temporary: Path) -> None:
    with running(environ) as (process, output):
        assert "A user, an authenticator" in output.readline() + output.readline()
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGINT)
        rest, complaints = process.communicate(timeout=30)
    assert process.returncode == 0
    assert TRACEBACK not in rest + complaints
    assert list(temporary.iterdir()) == []


def test_the_command_that_it_names_signs_in(environ: dict[str, str]) -> None:
    with running(environ) as (process, output):
        lines = iter(output)
        backup_code = next(found[0] for line in lines if (found := re.search(r"\S{5}-\S{5}-\S{5}", line)))
        command = next(line.strip() for line in lines if "try alice --nas localhost" in line)
        done = subprocess.run(
            ["/bin/sh", "-c", f"{command} --text-stdin --json"],
            input=PASSWORD + backup_code,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert process.poll() is None
        shown = next(line for line in lines if "backup-code" in line)
    assert (done.returncode, json.loads(done.stdout)["reason"]) == (0, "backup-code")
    assert "accept" in shown

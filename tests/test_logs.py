"""The log: no line can be forged, no reader can hold the writer up, and what is missing is said where it is missing."""

import fcntl
import json
import logging
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from radiusd_mfa.logs import JsonFormatter, Lines, TextFormatter
from tests.support.taps import eventually

F_SETPIPE_SZ = 1031
NASTY = 'a"b\\c\n2026-01-01 00:00:00,000 ERROR forged\r\x1b[31m\u202e\ud800\x85\u2028{"what": "forged"}'


def record(message: str, *arguments: object, **fields: object) -> logging.LogRecord:
    made = logging.LogRecord("x", logging.WARNING, "x.py", 1, message, arguments, None)
    if fields:
        made.fields = fields
    return made


def missing(number: int) -> bytes:
    return b"missing %d\n" % number


class Pipe:
    """A pipe as small as they get, and the lines that are written to it."""

    def __init__(self) -> None:
        self.reading, self.writing = os.pipe()
        fcntl.fcntl(self.writing, F_SETPIPE_SZ, 4096)
        self.lines = Lines(self.writing, missing)
        self.lost = 0
        self.lines.lost = self._count

    def _count(self, number: int) -> None:
        self.lost += number

    def read_until(self, last: bytes) -> list[bytes]:
        read = b""
        while not read.endswith(last):
            read += os.read(self.reading, 1 << 20)
        return read.splitlines()


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    os.close(made.reading)
    os.close(made.writing)


def test_a_text_line_that_holds_a_line_is_still_one() -> None:
    lines = TextFormatter("%(levelname)s %(message)s").format(record("user %s", NASTY)).split("\n")
    assert lines[0] == 'WARNING user a"b\\c'
    assert all(line.startswith("    ") for line in lines[1:])
    assert all(line.isprintable() for line in lines)


def test_a_json_line_is_one_object_whatever_is_in_it() -> None:
    line = JsonFormatter().format(record("user %s", NASTY, address=NASTY, number=3))
    assert line.isascii()
    assert line.isprintable()
    read = json.loads(line)
    assert read["what"] == f"user {NASTY}"
    assert (read["address"], read["number"], read["level"]) == (NASTY, 3, "warning")
    assert list(read)[:3] == ["time", "level", "what"]


def test_an_exception_is_a_field() -> None:
    error = ValueError(NASTY)
    made = logging.LogRecord("x", logging.ERROR, "x.py", 1, "failed", (), (ValueError, error, error.__traceback__))
    assert "ValueError" in json.loads(JsonFormatter().format(made))["exception"]


def test_a_reader_that_sleeps_holds_nobody_up_and_gets_all_in_order(pipe: Pipe) -> None:
    """Ten thousand lines into a pipe that has room for forty."""
    for number in range(10_000):
        pipe.lines.write(b"%06d %s\n" % (number, b"x" * 60))
    read = pipe.read_until(b"009999 %s\n" % (b"x" * 60))
    assert [int(line[:6]) for line in read] == list(range(10_000))
    assert pipe.lost == 0


def test_what_is_left_out_is_counted_and_said_in_its_place(pipe: Pipe) -> None:
    for number in range(30_000):
        pipe.lines.write(b"%06d %s\n" % (number, b"x" * 60))
    kept = 30_000 - pipe.lost
    assert 0 < kept < 30_000
    assert [int(line[:6]) for line in pipe.read_until(b"%06d %s\n" % (kept - 1, b"x" * 60))] == list(range(kept))
    pipe.lines.write(b"after\n")
    assert pipe.read_until(b"after\n") == [b"missing %d" % pipe.lost, b"after"]


def test_a_whole_batch_is_written_in_pieces_that_no_other_worker_can_break(pipe: Pipe) -> None:
    pipe.lines.write(b"".join(b"%04d %s\n" % (number, b"x" * 195) for number in range(100)))
    first = os.read(pipe.reading, 1 << 20)
    assert len(first) <= 4096
    assert first.endswith(b"\n")


def test_a_reader_that_is_gone_ends_nothing(pipe: Pipe) -> None:
    os.close(pipe.reading)
    pipe.lines.write(b"x\n")
    pipe.lines.write(b"y\n")
    pipe.reading = os.open("/dev/null", os.O_RDONLY)


def test_a_closed_standard_error_is_never_written_to(tmp_path: Path) -> None:
    """Its number is given to whatever is opened next, the database for example."""
    script = (
        "import os, sys; from pathlib import Path; from radiusd_mfa.config import Config; "
        "from radiusd_mfa.logs import begin_log; import logging; "
        "number = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT); os.dup2(number, 2); "
        "begin_log(Config.load(None, {'RADIUSD_MFA_STATE_DIR': '/nowhere'})); logging.error('a line')"
    )
    file = tmp_path / "database"
    command = ["/bin/sh", "-c", 'exec "$0" -c "$1" "$2" 2>&-', sys.executable, script, str(file)]
    subprocess.run(command, check=True, timeout=60)
    assert file.read_bytes() == b""


def test_the_flags_of_who_shares_the_pipe_stay_as_they_are(pipe: Pipe) -> None:
    pipe.lines.write(b"x\n")
    assert os.get_blocking(pipe.writing)


def test_a_socket_as_of_the_journal_is_not_waited_for_either() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        lines = Lines(ours.fileno(), missing)
        for number in range(5_000):
            lines.write(b"%04d %s\n" % (number, b"x" * 95))
        read = b""
        while not read.endswith(b"4999 " + b"x" * 95 + b"\n"):
            read += theirs.recv(1 << 20)
        assert [int(line[:4]) for line in read.splitlines()] == list(range(5_000))


def test_a_forked_worker_does_not_write_what_waits_in_its_parent(pipe: Pipe) -> None:
    pipe.lines.write(b"".join(b"%06d\n" % number for number in range(1_000)))  # 7000 octets: some of them wait
    child = os.fork()
    if child == 0:
        pipe.lines.finish()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    read = pipe.read_until(b"000999\n")
    assert [int(line) for line in read] == list(range(1_000))
    eventually(lambda: pipe.lines._carrier is None)

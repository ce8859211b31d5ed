"""The log of a process that serves: lines on standard error, text or JSON, that never wait for who reads them.

Owns how a line looks and what becomes of it when the reader is slow: it waits in memory, up to 1 MiB, in its order;
what comes then is left out and counted, and the next line that gets through says how many are missing. A line has one
beginning: nothing that somebody typed can look like another one.
"""

import errno
import json
import logging
import os
import select
import socket
import stat
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from threading import Lock, Thread
from types import MappingProxyType
from typing import Any, Final

from radiusd_mfa.config import Config

LIMIT: Final = 1 << 20
"""Octets that may wait for the reader."""
PATIENCE: Final = 1.0
"""Seconds that the end of a process waits for the reader."""
_AGAIN: Final = 0.05
_CHUNK: Final = select.PIPE_BUF
"""What a pipe takes as a whole or not at all (pipe(7)): lines of several workers never mix."""
_STANDARD_ERROR: Final = 2
_TEXT: Final = "%(asctime)s %(levelname)s %(message)s"
_NO_FIELDS: Final[MappingProxyType[str, object]] = MappingProxyType({})

Missing = Callable[[int], bytes]
"""The line that says how many are missing."""


class Lines:
    """Whole lines to a descriptor, in the order of `write`, which never blocks; any thread may call it."""

    def __init__(self, descriptor: int, missing: Missing) -> None:
        self._put = _way_to(descriptor)
        self.missing = missing
        self.lost: Callable[[int], None] = lambda _number: None
        """Told of lines that are left out."""
        self._lock = Lock()
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._left_out = 0
        self._carrier: Thread | None = None
        # What waits in the parent is the parent's to write.
        os.register_at_fork(after_in_child=self._begin_anew)

    def write(self, lines: bytes) -> None:
        """Take lines, the last one ended too; they are written at once if they can be."""
        with self._lock:
            if self._size + len(lines) > LIMIT:
                number = lines.count(b"\n")
                self._left_out += number
                self.lost(number)
            else:
                if self._left_out:
                    self._add(self.missing(self._left_out))
                    self._left_out = 0
                self._add(lines)
            self._carry()
            if self._waiting and self._carrier is None:
                self._start_carrier()

    def finish(self) -> None:
        """Wait a little for who reads what waits still."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            with self._lock:
                self._carry()
                if not self._waiting:
                    return
            time.sleep(_AGAIN)

    def _add(self, lines: bytes) -> None:
        for chunk in _chunks(lines):
            self._waiting.append(chunk)
            self._size += len(chunk)

    def _carry(self) -> None:
        """Write what the reader has room for; the caller holds the lock."""
        while self._waiting:
            chunk = self._waiting[0]
            written = self._put(chunk)
            self._size -= written
            if written < len(chunk):
                self._waiting[0] = chunk[written:]
                return
            self._waiting.popleft()

    def _start_carrier(self) -> None:
        carrier = Thread(target=self._carry_on, name="log", daemon=True)
        try:
            carrier.start()
        except RuntimeError:
            return  # no thread is to be had; the next line carries on
        self._carrier = carrier

    def _carry_on(self) -> None:
        while True:
            time.sleep(_AGAIN)
            with self._lock:
                self._carry()
                if not self._waiting:
                    self._carrier = None
                    return

    def _begin_anew(self) -> None:
        self._lock = Lock()
        self._waiting.clear()
        self._size = self._left_out = 0
        self._carrier = None


def begin_log(config: Config) -> Lines:
    """Let the log of this process go to standard error from now on, as the settings say."""
    lines = Lines(_STANDARD_ERROR, _missing(as_json=False))
    root = logging.getLogger()
    for before in _handlers():
        root.removeHandler(before)
    root.addHandler(_Handler(lines))
    logging.getLogger("alembic").setLevel(logging.WARNING)
    if threading.excepthook is threading.__excepthook__:  # else somebody else looks after them
        threading.excepthook = _log_thread
    change_log(lines, config)
    return lines


def change_log(lines: Lines, config: Config) -> None:
    """Take over level and format of new settings."""
    root, as_json = logging.getLogger(), config.log_format == "json"
    root.setLevel(config.log_level.upper())
    lines.missing = _missing(as_json=as_json)
    for handler in _handlers():
        handler.setFormatter(JsonFormatter() if as_json else TextFormatter(_TEXT))


def _handlers() -> "list[_Handler]":
    return [handler for handler in logging.getLogger().handlers if isinstance(handler, _Handler)]


class _Handler(logging.Handler):
    def __init__(self, lines: Lines) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._lines.write(f"{self.format(record)}\n".encode(errors="backslashreplace"))
        except Exception:  # noqa: BLE001 - as every handler of logging does
            self.handleError(record)

    def flush(self) -> None:
        self._lines.finish()


class TextFormatter(logging.Formatter):
    """Time, level, message; a message of several lines goes on indented, so that none looks like the next one."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        return "\n    ".join(map(_printable, super().format(record).split("\n")))


class JsonFormatter(logging.Formatter):
    """One object a line: time, level, what happened, and the fields that the record has beside."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        fields: Any = getattr(record, "fields", _NO_FIELDS)
        line = {
            "time": iso(record.created),
            "level": record.levelname.lower(),
            "what": record.getMessage(),
            **fields,
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def iso(at: float) -> str:
    """Return Unix seconds as ISO 8601 in UTC, to the millisecond."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _printable(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def _missing(*, as_json: bool) -> Missing:
    def line(number: int) -> bytes:
        message = "%d lines are missing here: nobody read the log fast enough"
        record = logging.LogRecord(__name__, logging.WARNING, __file__, 0, message, (number,), None)
        formatter = JsonFormatter() if as_json else TextFormatter(_TEXT)
        return f"{formatter.format(record)}\n".encode()

    return line


def _log_thread(args: threading.ExceptHookArgs) -> None:
    name = args.thread.name if args.thread else "a thread"
    if args.exc_value is not None:
        error = (args.exc_type, args.exc_value, args.exc_traceback)
        logging.getLogger(__name__).error("%s ended by a defect", name, exc_info=error)


def _chunks(lines: bytes) -> Iterator[bytes]:
    """Cut between lines, into what can be written as a whole; a line that is longer is cut where it must."""
    start = 0
    while len(lines) - start > _CHUNK:
        end = lines.rfind(b"\n", start, start + _CHUNK) + 1 or start + _CHUNK
        yield lines[start:end]
        start = end
    yield lines[start:]


def _way_to(descriptor: int) -> Callable[[bytes], int]:
    """Return what writes to a descriptor without ever waiting, and says how many octets it has written.

    The flag for that belongs to whoever else has the same file open too, a shell for example. So a socket is asked to
    for each call, and a pipe or terminal is opened once more, by who may.
    """
    if descriptor == _STANDARD_ERROR and sys.__stderr__ is None:
        return len  # it was closed at the start, and its number may be the database's by now
    kind = os.fstat(descriptor).st_mode
    if stat.S_ISSOCK(kind):
        connection = socket.socket(fileno=os.dup(descriptor))
        return lambda octets: _written(
            lambda: connection.send(octets, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL), octets
        )
    if stat.S_ISFIFO(kind) or stat.S_ISCHR(kind):
        try:
            own = os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        except OSError:
            return lambda octets: _written(lambda: _if_ready(descriptor, octets), octets)
        return lambda octets: _written(lambda: os.write(own, octets), octets)
    return lambda octets: _written(lambda: os.write(descriptor, octets), octets)


def _if_ready(descriptor: int, octets: bytes) -> int:
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return os.write(descriptor, octets) if poll.poll(0) else 0


def _written(write: Callable[[], int], octets: bytes) -> int:
    try:
        return write()
    except BlockingIOError:
        return 0
    except OSError as error:
        # Nobody reads any more, or the disk is full: to keep it would help nobody.
        return 0 if error.errno == errno.EINTR else len(octets)

"""Several worker processes on the same port, each with an interpreter of its own.

A parent binds one socket per worker and address, keeps them, and starts the workers; it serves nothing itself. The
kernel gives each datagram to the worker that its RADIUS Identifier names, so that a retransmission meets the worker
that knows it, also where a NAS asks from one port only. A worker that dies is started again on the same sockets: what
arrived meanwhile waits there. When the parent dies, its workers stop: left behind, they would keep the port, and the
kernel would go on giving them the requests that the next server waits for.

A worker whose loop stands still is ended and started again before a service manager's watchdog would end all of them.
"""

import ctypes
import logging
import os
import signal
import socket
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from time import monotonic, sleep
from typing import Final

from radiusd_mfa.config import Endpoint
from radiusd_mfa.server.activation import HandedProblem, by_address
from radiusd_mfa.server.signs import Signs
from radiusd_mfa.server.systemd import NOBODY, Manager, Pulse
from radiusd_mfa.server.udp import Listener

_log: Final = logging.getLogger(__name__)
Serve = Callable[[int, Sequence[Listener], Callable[[], None], Pulse], None]
"""Serves as the worker of this number on these sockets until SIGTERM, calls its third argument when it is ready."""

PATIENCE: Final = 7.0
"""Seconds after SIGTERM until a worker is killed; a daemon needs 5 at most."""
REST: Final = 1.0
"""Seconds until a worker that died is started again, so that a defect at the start does not burn a processor."""
LOOK: Final = 1.0
"""Seconds between two looks at whether the workers' loops turn, where a watchdog asks."""

_STOPS: Final = (signal.SIGTERM, signal.SIGINT)
_TALKING: Final = (signal.SIGHUP, signal.SIGALRM)
"""Whose handlers may log. One that comes in the middle of a line would wait for ever for the lock of that line."""
_PR_SET_PDEATHSIG: Final = 1
"""linux/prctl.h; nothing in the standard library has a name for it."""
_SO_ATTACH_REUSEPORT_CBPF: Final = 51
"""asm-generic/socket.h; the socket module has no name for it."""
_IDENTIFIER: Final = 1
"""Offset of the Identifier in a packet (RFC 2865 3); the filter sees the payload of UDP."""
# Classic BPF (linux/bpf_common.h): BPF_LD|BPF_B|BPF_ABS, BPF_ALU|BPF_MOD|BPF_K, BPF_RET|BPF_A.
_LOAD_OCTET: Final = 0x30
_MODULO: Final = 0x94
_RETURN: Final = 0x16
_INSTRUCTION: Final = struct.Struct("=HBBI")


def bind(endpoints: Sequence[Endpoint], workers: int) -> list[list[Listener]]:
    """Return the sockets of each worker: one for each endpoint. Raises ListenProblem."""
    by_endpoint = [_bind_shared(endpoint, workers) for endpoint in endpoints]
    return [list(of_worker) for of_worker in zip(*by_endpoint, strict=True)]


def _bind_shared(endpoint: Endpoint, workers: int) -> list[Listener]:
    if workers == 1:
        return [Listener.bind(endpoint)]
    first = Listener.bind(endpoint, shared=True)
    port = first.socket.getsockname()[1]  # where any port was asked for, all take the same
    rest = [Listener.bind(Endpoint(endpoint.host, port), shared=True) for _ in range(workers - 1)]
    _steer(first.socket, workers)
    return [first, *rest]


def adopt(sockets: Sequence[socket.socket], workers: int) -> list[list[Listener]]:
    """Return the same of sockets that somebody else has bound; raises HandedProblem.

    More can't be bound beside them: the kernel lets only sockets of one user share a port, and these are root's.
    """
    gathered = by_address(sockets)
    problems = [problem for shared in gathered if (problem := _unshareable(shared, workers))]
    if problems:
        raise HandedProblem(tuple(problems))
    return [[Listener(one) for one in of_worker] for of_worker in zip(*gathered, strict=True)]


def _unshareable(shared: Sequence[socket.socket], workers: int) -> str | None:
    """Steer the sockets of one address; return why they can't be shared out."""
    address = Listener.named(shared[0])
    if len(shared) != workers:
        return (
            f"systemd hands over {len(shared)} of the sockets for {address}, and workers is {workers}: let "
            f"ListenDatagram={address} stand in the unit {workers} times, with ReusePort=yes, or set workers to "
            f"{len(shared)}"
        )
    if workers == 1:
        return None
    try:
        _steer(shared[0], workers)
    except OSError:  # a socket that shares its port with no other takes no such program
        return f"the sockets for {address} do not share the port: the unit is to have ReusePort=yes"
    return None


def _steer(one: socket.socket, workers: int) -> None:
    """Choose the socket by Identifier modulo workers; the kernel counts them in the order of their binding."""
    program = b"".join(
        _INSTRUCTION.pack(*instruction)
        for instruction in ((_LOAD_OCTET, 0, 0, _IDENTIFIER), (_MODULO, 0, 0, workers), (_RETURN, 0, 0, 0))
    )
    kept = ctypes.create_string_buffer(program, len(program))
    filter_program = struct.pack("HL", len(program) // _INSTRUCTION.size, ctypes.addressof(kept))
    one.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_REUSEPORT_CBPF, filter_program)


class Parent:
    """Starts the workers, starts them again, has them reload, and stops them.

    `reloads` says on SIGHUP what keeps them from reloading. `beside` runs in one more process, which has none of the
    sockets, and calls its argument when it is ready. `told` is the manager that started the parent.
    """

    def __init__(
        self,
        sockets: Sequence[Sequence[Listener]],
        serve: Serve,
        reloads: Callable[[], Sequence[str]] = tuple,
        beside: Callable[[Callable[[], None]], None] | None = None,
        told: Manager = NOBODY,
    ) -> None:
        self._sockets = sockets
        self._serve = serve
        self._reloads = reloads
        self._beside = beside
        self._told = told
        self._signs = Signs(len(sockets))
        self._workers: dict[int, int] = {}
        """Number of the worker by process id."""
        self._stopping = False

    def run(self, ready: Callable[[], None]) -> int:
        """Return the exit code, after all workers have ended; `ready` is called once, when all of them are."""
        for number in _STOPS:
            signal.signal(number, lambda _number, _frame: self._stop())
        signal.signal(signal.SIGHUP, lambda _number, _frame: _undisturbed(self._reload))
        waiting = [self._start(number) for number in range(len(self._sockets) + (self._beside is not None))]
        became = [_became_ready(descriptor) for descriptor in waiting]
        if all(became):
            ready()
            self._begin_to_look()
        else:
            self._stop()
        return self._watch()

    def _start(self, number: int) -> int:
        """Start a worker; return a descriptor from which an octet can be read when it is ready."""
        reading, writing = os.pipe()
        self._fork(number, ready=lambda: _tell(writing), unused=reading)
        os.close(writing)
        return reading

    def _fork(self, number: int, *, ready: Callable[[], None], unused: int | None = None) -> None:
        """Start a worker, unless the server stops meanwhile."""
        # A signal waits until the worker stands in the table of those who are told of it.
        with _held_back(_STOPS):
            if self._stopping or signal.sigpending() & set(_STOPS):
                return
            parent = os.getpid()
            process = os.fork()
            if process == 0:
                if unused is not None:
                    os.close(unused)
                _become_child(parent)
                self._be_worker(number, ready)
            self._workers[process] = number

    def _be_worker(self, number: int, ready: Callable[[], None]) -> None:
        """Serve, and end the process without returning into the parent's code."""
        code = 1
        try:
            for other, sockets in enumerate(self._sockets):
                if other != number:
                    for listener in sockets:
                        listener.close()
            if number < len(self._sockets):
                every = LOOK / 2 if self._told.pulse.every else None
                self._serve(number, self._sockets[number], ready, Pulse(every, partial(self._signs.show, number)))
            elif self._beside is not None:
                self._beside(ready)
            code = 0
        except Exception:  # noqa: BLE001 - the last words of a process, whatever they are
            _log.exception("%s ended", self._name(number))
        finally:
            logging.shutdown()
            os._exit(code)

    def _name(self, number: int) -> str:
        return f"worker {number}" if number < len(self._sockets) else "the process beside the workers"

    def _watch(self) -> int:
        failed = False
        while self._workers:
            try:
                process, status = os.wait()
            except ChildProcessError:
                break
            number = self._workers.pop(process)
            if self._stopping:
                # One that had not begun to serve ends by the signal itself, as it should.
                failed = failed or status not in (0, *_STOPS)
                continue
            with _held_back(_TALKING):
                _log.error("%s ended (status %d) and is started again", self._name(number), status)
            sleep(REST)
            if not self._stopping:
                self._fork(number, ready=lambda: None)
        return int(failed)

    def _begin_to_look(self) -> None:
        if self._told.pulse.every and not self._stopping:
            signal.signal(signal.SIGALRM, lambda _number, _frame: _undisturbed(self._look))
            signal.setitimer(signal.ITIMER_REAL, LOOK, LOOK)

    def _look(self) -> None:
        """End a worker that stands still, and tell the manager how it goes; a worker that is away is being replaced."""
        if self._stopping:
            return
        for process, number in self._workers.items():
            if number < len(self._sockets) and self._told.watchdog:
                still = self._signs.still(number) * LOOK
                if still >= self._told.watchdog:
                    _log.error("worker %d has stood still for %d s and is ended", number, still)
                    self._signs.forget(number)
                    _send(process, signal.SIGKILL)
        if (now := monotonic()) >= self._told.pulse.due:
            self._told.pulse.beat(now, good=self._signs.good)

    def _reload(self) -> None:
        if self._stopping:
            return
        self._told.reloading()
        problems = self._reloads()
        if not problems:
            self._signal(signal.SIGHUP)
        self._told.reloaded("; ".join(problems))

    def _stop(self) -> None:
        self._stopping = True
        self._told.stopping()
        self._signal(signal.SIGTERM)
        signal.signal(signal.SIGALRM, lambda _number, _frame: self._signal(signal.SIGKILL))
        signal.setitimer(signal.ITIMER_REAL, PATIENCE)

    def _signal(self, number: signal.Signals) -> None:
        for process in self._workers:
            _send(process, number)


def _send(process: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):  # has ended, and _watch was about to take note of it
        os.kill(process, number)


@contextmanager
def _held_back(numbers: Sequence[signal.Signals]) -> Iterator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _undisturbed(handle: Callable[[], None]) -> None:
    with _held_back(_TALKING):
        handle()


def _become_child(parent: int) -> None:
    """Drop what the parent does on a signal, and end with the parent. Signals are held back meanwhile."""
    # The parent's handler would signal the other workers, and let this one go on.
    for number in _STOPS:
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # it has just been started with what there is to know
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it died before it could be asked for
        os._exit(1)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)


def _tell(writing: int) -> None:
    os.write(writing, b"\0")
    os.close(writing)


def _became_ready(reading: int) -> bool:
    try:
        return os.read(reading, 1) != b""
    finally:
        os.close(reading)

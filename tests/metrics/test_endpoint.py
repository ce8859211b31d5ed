"""The address of the metrics: what it refuses, that it waits for nobody, and that it asks nobody who serves."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from itertools import pairwise

import pytest

from radiusd_mfa.config import Endpoint
from radiusd_mfa.metrics import endpoint
from radiusd_mfa.metrics.endpoint import MetricsEndpoint, MetricsProblem, bound
from radiusd_mfa.metrics.exposition import exposition
from radiusd_mfa.server.tally import Count, Tallies
from radiusd_mfa.usecases.figures import Figures
from radiusd_mfa.usecases.ports import StoreFault
from tests.support.taps import eventually

FIGURES = Figures(at=1_000.0, last_seal=990.0, unsealed=3, waiting=2, oldest_waiting=900.0, given_up=1)


@pytest.fixture
def tallies() -> Tallies:
    return Tallies(2)


@pytest.fixture
def address(tallies: Tallies) -> Iterator[tuple[str, int]]:
    with bound(Endpoint("127.0.0.1", 0)) as listening:
        MetricsEndpoint(listening, tallies, lambda _now: FIGURES).start()
        yield listening.getsockname()


def asked(address: tuple[str, int], method: str = "GET", path: str = "/metrics") -> tuple[int, str]:
    connection = HTTPConnection(*address, timeout=10)
    connection.request(method, path)
    response = connection.getresponse()
    return response.status, response.read().decode()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/metrics", 405),
        ("HEAD", "/metrics", 405),
        ("DELETE", "/metrics", 405),
        ("GET", "/", 404),
        ("GET", "/metrics/../etc/passwd", 404),
        ("GET", "//metrics", 404),
    ],
)
def test_nothing_but_the_metrics_can_be_asked_for(
    address: tuple[str, int], method: str, path: str, status: int
) -> None:
    assert asked(address, method, path)[0] == status


@pytest.mark.parametrize("said", [b"\r\n\r\n", b"GET", b"\x16\x03\x01\x02\x00\x01", b"GET /metrics" + b"x" * 5_000])
def test_what_is_no_request_is_told_so(address: tuple[str, int], said: bytes) -> None:
    with socket.create_connection(address, timeout=10) as connection:
        connection.sendall(said)
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(100).split(b"\r\n")[0] in (
            b"HTTP/1.1 400 Bad Request",
            b"HTTP/1.1 405 Method Not Allowed",
        )


def test_who_says_nothing_or_says_it_slowly_is_closed(
    address: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint, "PATIENCE", 0.3)
    with socket.create_connection(address, timeout=10) as silent, socket.create_connection(address, timeout=10) as slow:
        stop = threading.Event()

        def drip() -> None:
            while not stop.wait(0.05):
                try:
                    slow.sendall(b"G")
                except OSError:
                    return

        thread = threading.Thread(target=drip)
        thread.start()
        try:
            assert silent.recv(1) == b""
            assert asked(address)[0] == 200
        finally:
            stop.set()
            thread.join()


def test_a_database_that_fails_leaves_out_only_what_it_alone_knows(tallies: Tallies) -> None:
    def fails(_now: float) -> Figures:
        raise StoreFault("gone")

    with bound(Endpoint("127.0.0.1", 0)) as listening:
        MetricsEndpoint(listening, tallies, fails).start()
        status, text = asked(listening.getsockname())
    assert status == 200
    assert "radiusd_mfa_worker_healthy" in text
    assert "\nradiusd_mfa_outbox_waiting " not in text


def test_a_database_that_hangs_keeps_nobody_waiting(tallies: Tallies) -> None:
    over = threading.Event()

    def hangs(_now: float) -> Figures:
        over.wait(60)
        return FIGURES

    try:
        with bound(Endpoint("127.0.0.1", 0)) as listening:
            MetricsEndpoint(listening, tallies, hangs).start()
            assert asked(listening.getsockname())[0] == 200
    finally:
        over.set()


def test_the_text_is_made_once_a_second_however_often_it_is_asked_for(
    address: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[float] = []
    make = exposition

    def counted(tallies: Tallies, figures: Figures | None) -> bytes:
        made.append(time.monotonic())
        return make(tallies, figures)

    monkeypatch.setattr(endpoint, "exposition", counted)
    for _ in range(30):
        assert asked(address)[0] == 200
    assert all(later - earlier >= endpoint.FRESH for earlier, later in pairwise(made))
    assert made


def test_what_was_counted_meanwhile_is_told(address: tuple[str, int], tallies: Tallies) -> None:
    tallies.of(0).add(Count.DATABASE_FAILURES)
    tallies.of(1).add(Count.DATABASE_FAILURES, 2)
    eventually(lambda: "\nradiusd_mfa_database_failures_total 3.0\n" in asked(address)[1])


def test_what_the_database_knows_is_told(address: tuple[str, int]) -> None:
    text = eventually(told(address, "outbox_waiting"))
    for name, value in {
        "database_read_timestamp_seconds": 1000,
        "audit_last_seal_timestamp_seconds": 990,
        "audit_unsealed_rows": 3,
        "outbox_waiting": 2,
        "outbox_oldest_waiting_timestamp_seconds": 900,
        "outbox_given_up": 1,
    }.items():
        assert f"\nradiusd_mfa_{name} {float(value)}\n" in text


def told(address: tuple[str, int], name: str) -> Callable[[], str]:
    def text() -> str:
        text = asked(address)[1]
        return text if f"\nradiusd_mfa_{name} " in text else ""

    return text


def test_an_address_that_is_taken_is_named(address: tuple[str, int]) -> None:
    with pytest.raises(MetricsProblem, match=rf"metrics_listen: can't listen on 127.0.0.1:{address[1]}"):
        bound(Endpoint(*address))

"""Connections that say nothing, too little, or too much: none of them is kept from those who want a page."""

import os
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from radiusd_mfa.portal import connections, workers
from radiusd_mfa.portal.server import PortalServer
from radiusd_mfa.portal.site import PortalProblem
from tests.support.administered import World
from tests.support.pages import ANYWHERE, Browser
from tests.support.post import certificate

SOON = 0.2


@pytest.fixture
def dialect() -> str:
    """Nothing here depends on the kind of database."""
    return "sqlite"


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch, server: PortalServer) -> Iterator[socket.socket]:
    monkeypatch.setattr(connections, "HEAD_WITHIN", SOON)
    monkeypatch.setattr(connections, "ALL_WITHIN", SOON)
    with closing(socket.create_connection((server.address.host, server.address.port), timeout=20)) as made:
        yield made


def ended(connection: socket.socket) -> bool:
    """Wait for the end of a connection; False if there is still none."""
    try:
        while connection.recv(65_536):
            pass
    except ConnectionError:
        return True
    except TimeoutError:
        return False
    return True


@pytest.mark.parametrize("said", [b"", b"GET /sign-in HT", b"GET /sign-in HTTP/1.1\r\nHost: x\r\nX: "])
def test_a_connection_that_asks_for_nothing_is_not_kept(hurried: socket.socket, said: bytes) -> None:
    hurried.sendall(said)
    assert ended(hurried)


def test_a_form_that_does_not_come_is_not_waited_for(hurried: socket.socket, server: PortalServer) -> None:
    head = "POST /sign-in HTTP/1.1\r\nHost: {}\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    hurried.sendall(f"{head.format(server.address)}Content-Length: 100\r\n\r\ntoken=".encode())
    assert ended(hurried)


def test_whoever_asks_in_time_is_served_on_one_connection(
    browser: Browser,
) -> None:
    for _ in range(3):
        assert browser.get("/sign-in").status_code == 200
    assert browser.get("/sign-in", headers={"X-Long": "x" * 20_000}).status_code == 431
    assert browser.get("/sign-in").status_code == 200


@pytest.mark.parametrize("spoilt", ["absent", "empty"])
def test_a_certificate_that_can_not_be_used_is_said_before_anything_is_served(
    world: World, tmp_path: Path, spoilt: str
) -> None:
    good, bad = certificate(tmp_path), tmp_path / "spoilt.pem"
    if spoilt == "empty":
        bad.write_text("")
    config = replace(world.app.config, tls_certificate=good, tls_key=bad)
    with pytest.raises(PortalProblem, match=r"tls_key: .*spoilt\.pem: "):
        PortalServer(replace(world.app, config=config), ANYWHERE)  # it does not get to listen


def test_threads_of_a_process_that_is_nice_already_stay_so() -> None:
    """To go back up takes a privilege; a thread that asks for it in vain computes no hash, and no page works."""

    def niceness() -> int:
        os.setpriority(os.PRIO_PROCESS, 0, 15)  # of this thread alone
        workers._be_nice()
        return os.getpriority(os.PRIO_PROCESS, 0)

    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(niceness).result() >= 15

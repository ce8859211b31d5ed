"""What a service manager hands over, where it makes no sense; the rest is in tests/processes/test_systemd.py."""

import os
import socket

import pytest

from radiusd_mfa.server.activation import HandedProblem, handed


@pytest.mark.parametrize("number", ["-1", "two", "\u0662", "9" * 5000])
def test_a_number_of_sockets_that_is_none_is_named(number: str) -> None:
    environ = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": number}
    with pytest.raises(HandedProblem, match="LISTEN_FDS") as raised:
        handed(socket.SOCK_DGRAM, environ)
    assert len(str(raised.value)) < 200
    assert "LISTEN_FDS" not in environ, "a program that we start takes it for its own"


def test_sockets_for_another_process_are_left_alone() -> None:
    assert handed(socket.SOCK_DGRAM, {"LISTEN_PID": str(os.getppid()), "LISTEN_FDS": "2"}) == []

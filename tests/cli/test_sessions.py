"""`radiusd-mfa sessions` over the real command line, with a NAS that takes Disconnect-Requests."""

import sqlite3
import time

import pytest

from tests.conftest import Cli
from tests.support.cut_off import Says, ack, is_genuine, nak, taking

SECRET = b"a shared secret"


@pytest.fixture
def signed_in(ready: Cli, environ: dict[str, str]) -> Cli:
    ready("user", "add", "alice", "--password-stdin", stdin="pw")
    ready("nas", "set", "localhost", "--secret-stdin", stdin=SECRET.decode())
    with sqlite3.connect(f"{environ['RADIUSD_MFA_STATE_DIR']}/radiusd-mfa.sqlite3") as connection:
        connection.execute(
            "INSERT INTO audit (at, kind, request, user_name, nas_name, surface, device, outcome, reason)"
            " VALUES (?, 'sign-in', x'00', 'alice', 'localhost', 'vpn', 'laptop', 'accept', 'totp')",
            (time.time(),),
        )
    return ready


def test_without_a_terminal_it_must_be_said_that_it_is_meant(signed_in: Cli) -> None:
    ran = signed_in("sessions", "disconnect", "alice")
    assert ran.exit_code == 2
    assert "--yes" in ran.stderr


def test_an_address_is_of_one_entry(signed_in: Cli) -> None:
    assert signed_in("sessions", "disconnect", "alice", "--address", "127.0.0.1", "--yes").exit_code == 2
    assert signed_in("sessions", "disconnect", "alice", "--nas", "localhost", "--address", "x", "--yes").exit_code == 2


@pytest.mark.parametrize(
    ("says", "exit_code", "said"),
    [
        (ack(SECRET), 0, "done"),
        (nak(SECRET, 503), 1, "refused: it has no such session"),
        (ack(b"another secret"), 1, "does not know the shared secret"),
    ],
)
def test_what_the_nas_says_is_told(signed_in: Cli, says: Says, exit_code: int, said: str) -> None:
    with taking(says) as nas:
        signed_in("nas", "set", "localhost", "--disconnect-port", str(nas.port))
        command = ("sessions", "disconnect", "alice", "--nas", "localhost", "--address", "127.0.0.1", "--yes")
        ran = signed_in(*command, "--timeout", "20" if exit_code == 0 or "refused" in said else "0.3", "--json")
    assert ran.exit_code == exit_code
    (told,) = ran.json["nas"]
    assert said in told["said"]
    assert told["done"] is (exit_code == 0)
    assert nas.users[0] == b"alice"
    assert is_genuine(nas.requests[0], SECRET)
    (row,) = signed_in("audit", "list", "--json").json[:1]
    assert (row["reason"], row["nas"], row["user"]) == ("disconnect", "localhost", "alice")


@pytest.mark.parametrize("name", ["bob", "CORP\\bob", "alice@bob@corp", "a\nlice", "", "alice@lab"])
def test_by_another_name_nobody_else_is_cut_off(signed_in: Cli, name: str) -> None:
    signed_in("user", "add", "alice@lab", "--password-stdin", stdin="pw")
    with taking(ack(SECRET)) as nas:
        signed_in("nas", "set", "localhost", "--disconnect-port", str(nas.port))
        ran = signed_in("sessions", "disconnect", "alice", "--known-as", name, "--yes")
    assert ran.exit_code == 1
    assert "with a realm" in ran.stderr
    assert nas.users == []


def test_a_nas_is_asked_by_the_name_that_it_knows(signed_in: Cli) -> None:
    with taking(ack(SECRET)) as nas:
        signed_in("nas", "set", "localhost", "--disconnect-port", str(nas.port))
        signed_in("sessions", "disconnect", "alice", "--known-as", "CORP\\alice", "--yes")
    assert nas.users == [b"CORP\\alice"]


def test_a_sign_in_that_may_still_run_is_listed(signed_in: Cli) -> None:
    (run,) = signed_in("sessions", "list", "alice", "--json").json
    assert (run["kind"], run["nas"], run["device"], run["until"]) == ("session", "localhost", "laptop", None)
    assert "alice" in signed_in("sessions", "list").stdout
    assert signed_in("sessions", "list", "--since", "2099-01-01").stdout == ""


def test_a_stolen_phone_can_end_the_sessions_too(signed_in: Cli) -> None:
    users = '{"username": "alice", "totp_secret": "GEZDGNBVGY3TQOJQ"}\n'
    assert signed_in("user", "import", "-", stdin=users).exit_code == 0
    with taking(ack(SECRET)) as nas:
        signed_in("nas", "set", "localhost", "--disconnect-port", str(nas.port), "--address", "127.0.0.1")
        ran = signed_in("mfa", "revoke", "alice", "--now", "--disconnect", "--json")
    assert ran.exit_code == 0, ran.stderr
    assert [each["done"] for each in ran.json["nas"]] == [True]
    assert nas.users == [b"alice"]

"""`radiusd-mfa try`: a real sign-in as a NAS entry, over packets, and why it ended so."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyotp
import pytest

from radiusd_mfa.app import App
from radiusd_mfa.cli import reading
from radiusd_mfa.config import Config, Endpoint
from radiusd_mfa.core.verdict import Reason
from radiusd_mfa.server.daemon import Daemon
from radiusd_mfa.usecases import reasons
from tests.conftest import CHEAP, Cli, Ran

PASSWORD = "correct horse"


@contextmanager
def serving(app: App, listen: str) -> Iterator[Daemon]:
    daemon = app.daemon([Endpoint.parse(listen)])
    ready = threading.Event()
    thread = threading.Thread(target=lambda: daemon.run(ready=ready.set))
    thread.start()
    try:
        assert ready.wait(10)
        yield daemon
    finally:
        daemon.stop()
        thread.join(10)


@pytest.fixture
def app(environ: dict[str, str], cli: Cli) -> Iterator[App]:
    """What `init` makes: an entry “localhost” for 127.0.0.1."""
    assert cli("init").exit_code == 0
    opened = App.open(Config.load(None, environ), profile=CHEAP)
    yield opened
    opened.close()


@pytest.fixture
def daemon(app: App) -> Iterator[Daemon]:
    with serving(app, "127.0.0.1:0") as running:
        yield running


@pytest.fixture
def phone(app: App, cli: Cli) -> pyotp.TOTP:
    """A user of `app` with an authenticator that was confirmed by the code before the current one."""
    assert cli("user", "add", "alice", "--password-stdin", stdin=PASSWORD).exit_code == 0
    uri = cli("mfa", "enrol", "alice", "--json").json["uri"]
    made = pyotp.parse_uri(uri)
    assert isinstance(made, pyotp.TOTP)
    assert made.issuer == app.config.issuer
    confirmed = cli("mfa", "confirm", "alice", "--code-stdin", stdin=made.at(time.time() - 30))
    assert confirmed.exit_code == 0
    return made


def attempt(cli: Cli, daemon: Daemon, text: str, *options: str, nas: str = "localhost") -> Ran:
    where = ("--server", daemon.addresses[0])
    return cli("try", "alice", "--nas", nas, *where, "--text-stdin", *options, stdin=text)


def test_a_wrong_password_is_refused_and_the_audit_says_why(cli: Cli, daemon: Daemon, phone: pyotp.TOTP) -> None:
    ran = attempt(cli, daemon, f"wrong{phone.now()}")
    assert ran.exit_code == 1
    assert "← Access-Reject" in ran.stdout
    assert "reject, wrong-password" in ran.stdout


def test_a_code_buys_one_sign_in_also_here(cli: Cli, daemon: Daemon, phone: pyotp.TOTP) -> None:
    typed = PASSWORD + phone.now()
    first = attempt(cli, daemon, typed, "--json")
    assert (first.exit_code, first.json["outcome"], first.json["reason"]) == (0, "accept", "totp")
    second = attempt(cli, daemon, typed, "--json")
    assert (second.exit_code, second.json["outcome"], second.json["reason"]) == (1, "reject", "code-reused")


def test_the_password_is_in_no_output(cli: Cli, daemon: Daemon, phone: pyotp.TOTP) -> None:
    code = phone.now()
    for options in ((), ("--json",)):
        ran = attempt(cli, daemon, PASSWORD + code, *options)
        assert PASSWORD not in ran.stdout + ran.stderr
        assert code not in ran.stdout + ran.stderr
        assert "(hidden)" in ran.stdout


def test_both_packets_are_shown_by_the_names_of_the_dictionary(cli: Cli, daemon: Daemon, phone: pyotp.TOTP) -> None:
    ran = attempt(cli, daemon, PASSWORD + phone.now())
    request, _, rest = ran.stdout.partition("← Access-Accept")
    assert request.startswith("→ Access-Request")
    for name, value in {"User-Name": "alice", "NAS-IP-Address": "127.0.0.1", "NAS-Identifier": "localhost"}.items():
        assert [name, value] in [line.split() for line in request.splitlines()]
    assert "Message-Authenticator" in rest


@pytest.mark.usefixtures("phone")
def test_an_unanswered_challenge_is_no_success(cli: Cli, daemon: Daemon) -> None:
    cli("nas", "set", "localhost", "--challenge", "on")
    daemon.refresh()
    ran = attempt(cli, daemon, PASSWORD)
    assert ran.exit_code == 1
    assert "← Access-Challenge" in ran.stdout
    assert "not answered" in ran.stderr


def test_a_challenge_is_answered_by_the_next_line(cli: Cli, daemon: Daemon, phone: pyotp.TOTP) -> None:
    cli("nas", "set", "localhost", "--challenge", "on")
    daemon.refresh()
    ran = attempt(cli, daemon, f"{PASSWORD}\n{phone.now()}\n", "--json")
    assert (ran.exit_code, ran.json["outcome"], ran.json["reason"]) == (0, "accept", "totp")
    assert [each["reply"]["code"] for each in ran.json["exchanges"]] == ["Access-Challenge", "Access-Accept"]


def test_a_challenge_is_asked_for_at_the_terminal(
    cli: Cli, daemon: Daemon, phone: pyotp.TOTP, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli("nas", "set", "localhost", "--challenge", "on")
    daemon.refresh()
    asked = []

    def typed(prompt: str, *, option: str, from_stdin: bool) -> bytes:
        assert option == "--text-stdin"
        assert not from_stdin
        asked.append(prompt)
        return (PASSWORD if len(asked) == 1 else phone.now()).encode()

    monkeypatch.setattr(reading, "secret", typed)
    ran = cli("try", "alice", "--nas", "localhost", "--server", daemon.addresses[0])
    assert ran.exit_code == 0
    assert asked == ["Password, and right after it the code", "Answer"]


@pytest.mark.usefixtures("app")
def test_without_a_terminal_the_secret_text_is_not_waited_for(cli: Cli) -> None:
    ran = cli("try", "alice", "--nas", "localhost", "--server", "127.0.0.1:9")
    assert ran.exit_code == 2
    assert "--text-stdin" in ran.stderr


@pytest.mark.usefixtures("app")
def test_a_closed_port_is_told_at_once(cli: Cli) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    ran = cli("try", "alice", "--nas", "localhost", "--server", f"127.0.0.1:{port}", "--text-stdin", stdin="x")
    assert ran.exit_code == 1
    assert f"Nobody listens on 127.0.0.1:{port}" in ran.stderr
    assert "radiusd-mfa serve" in ran.stderr


@pytest.mark.usefixtures("app")
def test_silence_says_where_to_look(cli: Cli) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mute:
        mute.bind(("127.0.0.1", 0))
        where = f"127.0.0.1:{mute.getsockname()[1]}"
        options = ("--server", where, "--text-stdin", "--timeout", "0.2", "--json")
        ran = cli("try", "alice", "--nas", "localhost", *options, stdin="x")
    assert (ran.exit_code, ran.json["outcome"], ran.json["exchanges"][0]["reply"]) == (1, "silence", None)
    assert "log" in ran.stderr


@pytest.mark.usefixtures("app")
def test_a_reply_that_is_not_made_with_the_secret_is_no_reply(cli: Cli) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as forger:
        forger.bind(("127.0.0.1", 0))

        def forge() -> None:
            octets, source = forger.recvfrom(4096)
            forger.sendto(bytes([2, octets[1]]) + (20).to_bytes(2) + bytes(16), source)

        thread = threading.Thread(target=forge)
        thread.start()
        where = f"127.0.0.1:{forger.getsockname()[1]}"
        options = ("--server", where, "--text-stdin", "--timeout", "0.5")
        ran = cli("try", "alice", "--nas", "localhost", *options, stdin="x")
        thread.join(10)
    assert ran.exit_code == 1
    assert "shared secret" in ran.stderr
    assert "Access-Accept" not in ran.stdout


def test_an_unknown_nas_entry_is_named_with_what_may_be_meant(cli: Cli, daemon: Daemon) -> None:
    ran = attempt(cli, daemon, "x", nas="localhots")
    assert ran.exit_code == 1
    assert "is localhost meant?" in ran.stderr


def test_an_entry_for_elsewhere_cannot_be_tried_from_here(cli: Cli, daemon: Daemon) -> None:
    cli("nas", "add", "office", "--address", "192.0.2.0/24", "--surface", "vpn", "--generate-secret")
    ran = attempt(cli, daemon, "x", nas="office")
    assert ran.exit_code == 1
    assert "covers no loopback address" in ran.stderr
    assert "radiusd-mfa nas add office-try" in ran.stderr


@pytest.mark.usefixtures("daemon")
def test_an_entry_that_owns_none_of_its_addresses_names_the_one_that_does(cli: Cli) -> None:
    cli("nas", "add", "six", "--address", "::/0", "--surface", "vpn", "--generate-secret")
    cli("nas", "add", "home", "--address", "::1", "--surface", "vpn", "--generate-secret")
    ran = cli("try", "alice", "--nas", "six", "--server", "[::1]:1812", "--text-stdin", stdin="x")
    assert ran.exit_code == 1
    assert "belongs to NAS entry “home”" in ran.stderr


def test_a_wider_entry_is_tried_from_an_address_that_it_owns(cli: Cli, daemon: Daemon, phone: pyotp.TOTP) -> None:
    cli("nas", "add", "wide", "--address", "127.0.0.0/8", "--surface", "vpn", "--generate-secret")
    daemon.refresh()
    ran = attempt(cli, daemon, PASSWORD + phone.now(), nas="wide")
    assert ran.exit_code == 0
    assert "127.0.0.2" in ran.stdout


@pytest.mark.usefixtures("app")
def test_the_versions_of_entry_and_server_must_be_the_same(cli: Cli) -> None:
    ran = cli("try", "alice", "--nas", "localhost", "--server", "[::1]:1812", "--text-stdin", stdin="x")
    assert ran.exit_code == 1
    assert "other IP version" in ran.stderr


def test_over_ipv6_too(cli: Cli, app: App, phone: pyotp.TOTP) -> None:
    cli("nas", "add", "six", "--address", "::1", "--surface", "vpn", "--generate-secret")
    with serving(app, "[::1]:0") as daemon:
        ran = attempt(cli, daemon, PASSWORD + phone.now(), nas="six")
    assert ran.exit_code == 0
    assert "NAS-IPv6-Address" in ran.stdout


@pytest.mark.usefixtures("app")
def test_an_address_elsewhere_cannot_be_reached_from_loopback(cli: Cli) -> None:
    ran = cli("try", "alice", "--nas", "localhost", "--server", "192.0.2.1:1812", "--text-stdin", stdin="x")
    assert ran.exit_code == 1
    assert "can be sent from 127.0.0.1" in ran.stderr


@pytest.mark.usefixtures("app")
def test_settings_without_a_port_want_the_server_named(cli: Cli) -> None:
    ran = cli("try", "alice", "--nas", "localhost", "--text-stdin", stdin="x")
    assert ran.exit_code == 2
    assert "--server" in ran.stderr


def test_the_configured_address_is_asked(cli: Cli, daemon: Daemon, phone: pyotp.TOTP) -> None:
    # A server that listens everywhere is asked at the loopback address.
    port = daemon.addresses[0].rpartition(":")[2]
    listen = {"RADIUSD_MFA_LISTEN": f"[::]:{port},0.0.0.0:{port}"}
    ran = cli("try", "alice", "--nas", "localhost", "--text-stdin", stdin=PASSWORD + phone.now(), env=listen)
    assert ran.exit_code == 0


@pytest.mark.usefixtures("app")
def test_a_malformed_server_is_wrong_usage(cli: Cli) -> None:
    ran = cli("try", "alice", "--nas", "localhost", "--server", "localhost:1812", "--text-stdin", stdin="x")
    assert ran.exit_code == 2
    assert "is not an IP address" in ran.stderr


def test_a_text_that_radius_cannot_carry_is_refused(cli: Cli, daemon: Daemon) -> None:
    ran = attempt(cli, daemon, "x" * 129)
    assert ran.exit_code == 1
    assert "128 octets" in ran.stderr


def test_without_a_database_it_says_how_to_make_one(cli: Cli, tmp_path: Path) -> None:
    assert not (tmp_path / "state").exists()
    ran = cli("try", "alice", "--nas", "localhost", "--text-stdin", stdin="x")
    assert ran.exit_code == 2
    assert "radiusd-mfa init" in ran.stderr


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_a_meaning(reason: Reason) -> None:
    assert reasons.meaning(reason)
    assert not reasons.meaning("of-a-newer-program")


@pytest.mark.parametrize("digits", [6, 7, 8])
def test_a_seed_that_was_taken_over_signs_in_with_codes_of_its_length(cli: Cli, daemon: Daemon, digits: int) -> None:
    seed = pyotp.random_base32()
    line = {"username": "alice", "password": PASSWORD, "totp_secret": seed, "totp_digits": digits}
    assert cli("user", "import", "-", stdin=json.dumps(line)).exit_code == 0
    ran = attempt(cli, daemon, PASSWORD + pyotp.TOTP(seed, digits=digits).now(), "--json")
    assert (ran.json["outcome"], ran.json["reason"]) == ("accept", "totp")

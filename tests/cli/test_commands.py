"""What single commands do beyond what their use cases are tested for."""

import json
import os
import pty
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy import text

from radiusd_mfa.core.totp import Algorithm, code_at, seed_from_base32, step_at
from radiusd_mfa.passwords.local import verify
from radiusd_mfa.store.database import Database
from radiusd_mfa.store.people import UserTable
from tests.conftest import Cli


def _hash(environ: dict[str, str], name: str) -> str:
    database = Database(f"sqlite:///{environ['RADIUSD_MFA_STATE_DIR']}/radiusd-mfa.sqlite3")
    with database.reading() as connection:
        found = UserTable(connection, keys=None).find(name)  # type: ignore[arg-type]  # finding opens nothing
    database.close()
    assert found is not None
    return found.password_hash or ""


@pytest.mark.parametrize(
    ("typed", "password"),
    [("secret", "secret"), ("secret\n", "secret"), ("secret\r\n", "secret"), (" secret ", " secret ")],
)
def test_one_line_end_is_no_part_of_a_password(ready: Cli, environ: dict[str, str], typed: str, password: str) -> None:
    assert ready("user", "add", "alice", "--password-stdin", stdin=typed).exit_code == 0
    assert verify(password, _hash(environ, "alice"))


@pytest.mark.parametrize("typed", ["", "\n", "x" * 112, "a\0b", "two\nlines\n", b"\xff", "x" * 70_000])
def test_a_password_that_can_not_be_one_is_wrong_usage(ready: Cli, typed: str | bytes) -> None:
    ran = ready("user", "add", "alice", "--password-stdin", stdin=typed)
    assert ran.exit_code == 2
    assert "Traceback" not in ran.stderr
    assert ready("user", "list", "--json").json == []


def test_a_duplicate_name_is_refused(ready: Cli) -> None:
    ready("user", "add", "alice", "--password-stdin", stdin="one")
    ran = ready("user", "add", "ALICE", "--password-stdin", stdin="two")
    assert ran.exit_code == 1
    assert "already" in ran.stderr


def test_at_a_terminal_a_password_is_asked_for_twice_and_never_shown(ready: Cli, environ: dict[str, str]) -> None:
    assert ready("nas", "list").exit_code == 0
    controller, terminal = pty.openpty()
    command = [sys.executable, "-m", "radiusd_mfa", "user", "add", "alice"]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RADIUSD_MFA_")}
    with subprocess.Popen(
        command,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env=inherited | environ,
        start_new_session=True,
    ) as process:
        os.close(terminal)
        shown = b""
        for prompt in (b"Password: ", b"confirmation: "):
            while prompt not in shown:
                shown += os.read(controller, 1000)
            os.write(controller, b"typed secret\n")
        try:
            while piece := os.read(controller, 1000):
                shown += piece
        except OSError:  # Linux says EIO when the last program has closed the terminal
            pass
        assert process.wait(timeout=30) == 0
    os.close(controller)
    assert b"typed secret" not in shown
    assert verify("typed secret", _hash(environ, "alice"))


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--address", "192.0.2.7/24", "--surface", "vpn", "--generate-secret"), "192.0.2.0/24"),
        (("--address", "example.org", "--surface", "vpn", "--generate-secret"), "not an address range"),
        (("--address", "192.0.2.7", "--surface", "vpm", "--generate-secret"), "vpn"),
        (("--address", "192.0.2.7", "--generate-secret"), "--surface"),
        (("--address", "192.0.2.7", "--surface", "vpn", "--generate-secret", "--secret-stdin"), "not both"),
        (("--address", "192.0.2.7", "--surface", "vpn", "--secret-stdin"), "6 to 128 octets, this one has 5"),
        (
            ("--address", "192.0.2.7", "--surface", "vpn", "--generate-secret", "--challenge", "yes"),
            "neither on nor off",
        ),
        (("--address", "192.0.2.7", "--surface", "vpn", "--generate-secret", "--separators", ":"), "semicolon"),
        (("--address", "192.0.2.7", "--surface", "vpn", "--generate-secret", "--retry-grace", "-1"), "--retry-grace"),
        (
            ("--address", "192.0.2.7", "--surface", "vpn", "--generate-secret", "--omit", "Sesion-Timeout"),
            "Session-Timeout",
        ),
        (
            ("--address", "192.0.2.7", "--surface", "vpn", "--generate-secret", "--omit", "Message-Authenticator"),
            "--reply-message-authenticator never",
        ),
    ],
)
def test_a_nas_entry_that_can_not_be_meant_is_wrong_usage(ready: Cli, options: tuple[str, ...], complaint: str) -> None:
    ran = ready("nas", "add", "gate", *options, stdin="short")
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert complaint in ran.stderr
    assert len(ready("nas", "list", "--json").json) == 1


def test_a_generated_secret_is_shown_once_and_a_given_one_never(ready: Cli) -> None:
    line = ("--surface", "vpn", "--json")
    made = ready("nas", "add", "one", "--address", "192.0.2.1", "--generate-secret", *line).json
    assert len(made["secret"]) == 32
    given = ready("nas", "add", "two", "--address", "192.0.2.2", "--secret-stdin", *line, stdin="canary secret")
    assert "secret" not in given.json
    for ran in (given, ready("nas", "show", "two"), ready("nas", "list", "--json"), ready("audit", "list", "--json")):
        assert "canary" not in ran.stdout + ran.stderr
        assert made["secret"] not in ran.stdout + ran.stderr


def test_a_short_secret_is_warned_about_on_standard_error_or_in_the_document(ready: Cli) -> None:
    line = ("--surface", "vpn", "--secret-stdin")
    text = ready("nas", "add", "one", "--address", "192.0.2.1", *line, stdin="elevenchars")
    assert text.exit_code == 0
    assert "Warning: The shared secret has 11 octets" in text.stderr
    document = ready("nas", "add", "two", "--address", "192.0.2.2", *line, "--json", stdin="elevenchars")
    assert document.stderr == ""
    assert "11 octets" in document.json["warnings"][0]


def test_all_of_a_nas_entry_can_be_set_and_is_shown(ready: Cli) -> None:
    ready("team", "add", "ops")
    options = {
        "--address": "198.51.100.0/24",
        "--surface": "network-device",
        "--team": "ops",
        "--challenge": "on",
        "--set-up": "link",
        "--otp-only": "on",
        "--separators": ",;",
        "--code-first": "on",
        "--message-authenticator": "require",
        "--reply-message-authenticator": "mirror",
        "--allow-proxy-state": "on",
        "--omit": "session-timeout, Idle-Timeout",
        "--retry-grace": "5",
        "--disconnect-port": "1700",
    }
    ready("nas", "set", "localhost", *(word for pair in options.items() for word in pair))
    assert ready("nas", "show", "localhost", "--json").json == {
        "name": "localhost",
        "address": "198.51.100.0/24",
        "surface": "network-device",
        "team": "ops",
        "challenge": True,
        "set_up": "link",
        "otp_only": True,
        "separators": ",;",
        "code_first": True,
        "message_authenticator": "require",
        "reply_message_authenticator": "mirror",
        "allow_proxy_state": True,
        "omit": ["Session-Timeout", "Idle-Timeout"],
        "retry_grace": 5.0,
        "disconnect_port": 1700,
    }
    assert ready("nas", "set", "localhost", "--challenge", "off", "--set-up", "link", "--team", "").exit_code == 0
    after = ready("nas", "show", "localhost", "--json").json
    assert (after["challenge"], after["team"], after["otp_only"]) == (False, None, True)


def test_a_change_of_nothing_is_wrong_usage(ready: Cli) -> None:
    assert ready("nas", "set", "localhost").exit_code == 2


def test_from_enrolment_to_backup_codes(ready: Cli) -> None:
    ready("user", "add", "alice", "--password-stdin", stdin="pw")
    enrolled = ready("mfa", "enrol", "alice", "--label", "phone", "--json").json
    assert set(enrolled) == {"uri", "method"}
    assert enrolled["uri"].startswith("otpauth://totp/")
    seed = seed_from_base32(enrolled["uri"].partition("secret=")[2].partition("&")[0])
    assert len(seed) == 20
    wrong = ready("mfa", "confirm", "alice", "--code-stdin", "--json", stdin="wrong")
    assert (wrong.exit_code, wrong.stdout) == (1, "")
    clock = ready("mfa", "show", "alice", "--json").json["methods"][0]
    assert (clock["confirmed"], clock["default"], clock["label"]) == (False, False, "phone")
    codes = _confirm(ready, seed)
    assert len(codes) == 10
    assert all(len(code) == 17 for code in codes)
    shown = ready("mfa", "show", "alice")
    assert not any(code in shown.stdout for code in codes)
    assert "Backup codes left: 10" in shown.stdout
    fresh = ready("mfa", "backup-codes", "alice", "--without-code", "--json").json["backup_codes"]
    assert not set(fresh) & set(codes)
    gone = ready("mfa", "delete", "alice")
    assert "authenticator app" in gone.stdout
    assert ready("mfa", "show", "alice", "--json").json == {"user": "alice", "methods": [], "backup_codes_left": 0}


def _confirm(cli: Cli, seed: bytes) -> list[str]:
    """Confirm with a code as the user types it, with a space and a line end."""
    code = code_at(step_at(time.time(), 30), seed, 6, Algorithm.SHA1)
    document = cli("mfa", "confirm", "alice", "--code-stdin", "--json", stdin=f"{code[:3]} {code[3:]}\n").json
    codes: list[str] = document["backup_codes"]
    return codes


def test_the_terminal_gets_a_qr_code_and_the_secret_as_text(ready: Cli) -> None:
    ready("user", "add", "alice", "--password-stdin", stdin="pw")
    shown = ready("mfa", "enrol", "alice").stdout
    assert "▀" in shown
    assert max(map(len, shown.splitlines()[:20])) <= 80
    secret = shown.partition("secret=")[2][:32]
    assert " ".join(secret[start : start + 4] for start in range(0, 32, 4)) in shown


def test_both_ways_to_vouch_at_once_are_wrong_usage(ready: Cli) -> None:
    assert ready("mfa", "backup-codes", "alice", "--without-code", "--code-stdin").exit_code == 2


def test_an_import_file_with_a_bad_line_7312_imports_nobody(ready: Cli, tmp_path: Path) -> None:
    hashed = "$6$salt$" + "a" * 85 + "."
    lines = [json.dumps({"username": f"user{number}", "password_hash": hashed}) for number in range(10_000)]
    lines[7311] = lines[7311].replace("$6$", "$1$")
    path = tmp_path / "users.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    ran = ready("user", "import", str(path))
    assert (ran.exit_code, ran.stdout) == (1, "")
    assert "line 7312: password_hash:" in ran.stderr
    assert ready("user", "list", "--json").json == []


def test_an_import_file_that_is_not_there_is_wrong_usage(ready: Cli) -> None:
    ran = ready("user", "import", "/nowhere/users.jsonl")
    assert ran.exit_code == 2
    assert "/nowhere/users.jsonl" in ran.stderr


def test_an_import_from_a_directory_with_nobody_in_it_is_refused(ready: Cli, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    ran = ready("user", "import", str(tmp_path / "home"))
    assert ran.exit_code == 1
    assert "no file of google-authenticator is in it" in ran.stderr


def test_a_directory_is_of_google_authenticator_and_of_nothing_else(ready: Cli, tmp_path: Path) -> None:
    ran = ready("user", "import", str(tmp_path), "--format", "csv")
    assert ran.exit_code == 2
    assert "is a directory" in ran.stderr


def test_the_audit_log_is_filtered_and_the_newest_comes_first(ready: Cli) -> None:
    ready("user", "add", "alice", "--password-stdin", stdin="pw")
    ready("user", "disable", "alice")
    ready("user", "disable", "bob")
    rows = ready("audit", "list", "--json").json
    assert [row["reason"] for row in rows] == ["user-disable", "user-disable", "user-add", "nas-add"]
    assert [row["outcome"] for row in rows] == ["refused", "done", "done", "done"]
    assert rows[0]["at"].endswith("Z")
    assert set(rows[0]) >= {"id", "at", "user", "nas", "surface", "outcome", "reason", "actor", "kind", "detail"}
    assert {row["actor"] for row in rows} == {"operator"}

    def ids(*options: str) -> list[int]:
        return [row["id"] for row in ready("audit", "list", "--json", *options).json]

    assert ids("--user", "Alice") == [3, 2]
    assert ids("--nas", "localhost") == [1]
    assert ids("--outcome", "refused") == [4]
    assert ids("--kind", "sign-in") == []
    assert ids("--since", "1h", "--limit", "2") == [4, 3]
    assert ids("--since", "2999-01-01") == []


@pytest.mark.parametrize("since", ["", "soon", "-1h", "1y", "99999999999d", "10000-01-01"])
def test_a_time_that_is_none_is_wrong_usage(ready: Cli, since: str) -> None:
    assert ready("audit", "list", "--since", since).exit_code == 2


def test_keys_say_how_much_they_sealed(ready: Cli) -> None:
    document = ready("keys", "status", "--json").json
    (key,) = document["keys"]
    assert (key["active"], key["present"], key["sealed"]) == (True, True, 2)  # a secret, and the root of the digests


def test_db_status_of_an_old_schema_tells_the_command_that_helps(ready: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    from radiusd_mfa import installation  # noqa: PLC0415 - only here is it given another answer
    from radiusd_mfa.store.upgrade import SchemaStatus  # noqa: PLC0415 - as above

    monkeypatch.setattr(installation, "schema_status", lambda _: SchemaStatus("0001", ("0001", "0002")))
    ran = ready("db", "status", "--json")
    assert ran.exit_code == 2
    assert ran.json["pending"] == ["0002"]
    assert "radiusd-mfa db upgrade" in ran.stderr


def test_what_other_programs_wrote_ends_in_no_traceback(ready: Cli, environ: dict[str, str]) -> None:
    database = Database(f"sqlite:///{environ['RADIUSD_MFA_STATE_DIR']}/radiusd-mfa.sqlite3")
    with database.writing() as connection:
        connection.execute(text("UPDATE nas SET address = 'somewhere'"))
        connection.execute(text("UPDATE audit SET detail = 'not JSON', at = 1e18"))
    database.close()
    assert ready("audit", "list", "--json").json[0]["detail"] == "not JSON"
    made = ready("nas", "add", "gate", "--address", "192.0.2.1", "--surface", "vpn", "--generate-secret")
    assert (made.exit_code, made.stderr) == (0, "")

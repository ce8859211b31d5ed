"""`radiusd-mfa outbox`, and what it delivers, from the command to the mailbox and the phone."""

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from radiusd_mfa.usecases.outbox_ports import Mail
from tests.conftest import Cli
from tests.support.post import PASSWORD, USER, Mailbox, TestGateway, body, certificate, free_port, gateway, mail_server

PASSWORD_FILE = "smtp-password"


@pytest.fixture
def mailbox(tmp_path: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Mailbox]:
    """A running mail server, and the settings for it."""
    made, pem, file = Mailbox(free_port()), certificate(tmp_path), tmp_path / PASSWORD_FILE
    file.touch(mode=0o600)
    file.write_text(PASSWORD)
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    environ |= {
        "RADIUSD_MFA_SMTP_HOST": "127.0.0.1",
        "RADIUSD_MFA_SMTP_PORT": str(made.port),
        "RADIUSD_MFA_SMTP_USER": USER,
        "RADIUSD_MFA_SMTP_PASSWORD_FILE": str(file),
        "RADIUSD_MFA_MAIL_FROM": "mfa@example.net",
        "RADIUSD_MFA_PORTAL_URL": "https://mfa.example.net/",
    }
    with mail_server(made, pem):
        yield made


@pytest.fixture
def sms(environ: dict[str, str]) -> Iterator[TestGateway]:
    """A running gateway, and the settings for it."""
    with gateway() as running:
        environ["RADIUSD_MFA_SMS_URL"] = f"{running.url}/send"
        yield running


@pytest.fixture
def alice(ready: Cli) -> Cli:
    """A machine with a user who has a mail address and a phone."""
    contact = ("--email", "alice@example.org", "--phone", "+4915112345678")
    assert ready("user", "add", "alice", *contact, "--password-stdin", stdin="correct horse").exit_code == 0
    return ready


def test_without_settings_nothing_is_run(alice: Cli) -> None:
    ran = alice("outbox", "run", "--once")
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert "set smtp_host and mail_from for mail, sms_url or sms_apprise_file for SMS" in ran.stderr


@pytest.mark.parametrize(
    ("mode", "text", "sentence"),
    [
        (0o640, PASSWORD, "can be read or changed by others"),
        (0o600, "", "must hold one line"),
        (0o600, "canary\ncanary\n", "must hold one line"),
        (0o600, "canary\xff", "is not text"),
        (None, "", "does not exist"),
    ],
)
def test_a_password_file_that_can_not_be_right_is_refused(
    alice: Cli, mailbox: Mailbox, tmp_path: Path, mode: int | None, text: str, sentence: str
) -> None:
    file = tmp_path / PASSWORD_FILE
    file.write_bytes(text.encode("latin-1"))
    if mode is None:
        file.unlink()
    else:
        file.chmod(mode)
    ran = alice("outbox", "run", "--once")
    assert (ran.exit_code, ran.stdout, mailbox.received) == (2, "", [])
    assert re.search(f"smtp_password_file: .*{sentence}", ran.stderr)
    assert "canary" not in ran.stderr


def test_a_reset_link_goes_from_the_command_to_the_mailbox_and_is_shown_to_nobody_else(
    alice: Cli, mailbox: Mailbox
) -> None:
    made = alice("mfa", "reset", "alice", "--json")
    assert (made.json["link"], made.json["mailed"]) == (None, True)
    waiting = alice("outbox", "list", "--json")
    assert alice("outbox", "run", "--once", "--json").json == {"delivered": 1}
    [message] = mailbox.received
    link = re.search(r"https://mfa\.example\.net/reset/(\S+)", body(message))
    assert link is not None
    sent = alice("outbox", "list", "--json")
    [before], [after] = waiting.json, sent.json
    assert (before["status"], before["kind"], before["recipient"]) == ("waiting", Mail.SET_UP_LINK, "alice@example.org")
    assert (after["status"], after["user"], after["tries"], after["next_try"]) == ("sent", "alice", 1, None)
    shown = waiting.stdout + sent.stdout + alice("outbox", "list").stdout + alice("audit", "list").stdout
    assert link[1] not in shown
    lines = f"{link[0]}\ncorrect horse\n"
    assert "secret=" in alice("mfa", "redeem", "alice", "--json", stdin=lines).json["uri"]


def test_a_phone_is_set_up_by_the_code_that_was_delivered(alice: Cli, sms: TestGateway) -> None:
    sent = alice("mfa", "enrol", "alice", "--sms", "--json")
    assert (sent.json["phone"], sent.exit_code) == ("…678", 0)
    assert alice("outbox", "run", "--once").exit_code == 0
    message = json.loads(sms.asked[0].body)
    assert message["to"] == "+4915112345678"
    code = message["text"].split()[0]
    done = alice("mfa", "confirm", "alice", "--code-stdin", "--json", stdin=code)
    assert (done.json["counts"], len(done.json["backup_codes"])) == (True, 10)
    [method] = alice("mfa", "show", "alice", "--json").json["methods"]
    assert (method["kind"], method["confirmed"], method["default"]) == ("sms", True, True)
    listed = alice("outbox", "list", "--json").stdout + alice("audit", "list", "--json").stdout
    assert code not in listed


def test_a_code_by_sms_acts_for_its_owner(alice: Cli, sms: TestGateway, environ: dict[str, str]) -> None:
    """`sms` in the place of the code has one sent, and it is asked for then; here it is typed a command later."""

    def delivered() -> str:
        assert alice("outbox", "run", "--once").exit_code == 0
        found: str = json.loads(sms.asked[-1].body)["text"].split()[0]
        return found

    alice("mfa", "enrol", "alice", "--sms")
    alice("mfa", "confirm", "alice", "--code-stdin", stdin=delivered())
    with closing(sqlite3.connect(f"{environ['RADIUSD_MFA_STATE_DIR']}/radiusd-mfa.sqlite3")) as database, database:
        database.execute("UPDATE sms_codes SET history = ''")  # half a minute later
    asked = alice("mfa", "show", "alice", "--as", "alice", stdin="correct horse\nsms\n\n")
    assert (asked.exit_code, asked.stdout) == (1, "")
    assert asked.stderr.splitlines()[0] == "A code was sent to your phone ending in 678."
    assert "not right" in asked.stderr
    line = f"correct horse\n{delivered()}\n"
    assert alice("mfa", "show", "alice", "--as", "alice", stdin=line).exit_code == 0
    assert alice("mfa", "show", "alice", "--as", "alice", stdin=line).exit_code == 1
    rows = alice("audit", "list", "--kind", "sign-in", "--json").json
    assert [row["reason"] for row in reversed(rows)] == ["sms-sent", "sms-not-now", "sms", "wrong-code"]


def test_without_a_gateway_no_phone_is_set_up(alice: Cli) -> None:
    ran = alice("mfa", "enrol", "alice", "--sms")
    assert ran.exit_code == 1
    assert "set sms_url or sms_apprise_file" in ran.stderr


def test_a_phone_number_without_sms_is_wrong_usage(alice: Cli) -> None:
    assert alice("mfa", "enrol", "alice", "--phone", "+4915112345678").exit_code == 2


def test_what_waits_can_be_tried_again_and_what_was_sent_can_not(alice: Cli, mailbox: Mailbox) -> None:
    mailbox.on_recipient = lambda _recipient: "451 later"
    alice("mfa", "reset", "alice")
    alice("outbox", "run", "--once")
    [waiting] = alice("outbox", "list", "--status", "waiting", "--json").json
    assert "451 later" in waiting["last_error"]
    mailbox.on_recipient = lambda _recipient: None
    assert alice("outbox", "run", "--once", "--json").json == {"delivered": 0}
    assert alice("outbox", "retry", "--all", "--json").json == {"retried": [waiting["id"]]}
    assert alice("outbox", "run", "--once", "--json").json == {"delivered": 1}
    again = alice("outbox", "retry", str(waiting["id"]))
    assert again.exit_code == 1
    assert "was sent already" in again.stderr
    unknown = alice("outbox", "retry", "99")
    assert (unknown.exit_code, "radiusd-mfa outbox list" in unknown.stderr) == (1, True)


@pytest.mark.parametrize("arguments", [(), ("1", "--all")])
def test_retry_wants_one_or_all(alice: Cli, arguments: tuple[str, ...]) -> None:
    assert alice("outbox", "retry", *arguments).exit_code == 2

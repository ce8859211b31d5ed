"""`radiusd-mfa outbox run` is killed while it sends: every mail arrives, at most one of them twice, none is lost."""

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from threading import Event, Timer

import pytest
from sqlalchemy import func, select, update

from radiusd_mfa.app import App
from radiusd_mfa.config import Config
from radiusd_mfa.core.names import Username
from radiusd_mfa.installation import initialise
from radiusd_mfa.store import schema
from radiusd_mfa.usecases.mails import tell
from radiusd_mfa.usecases.outbox_ports import Mail
from radiusd_mfa.usecases.people import Request, add
from tests.conftest import CHEAP
from tests.support.post import PASSWORD, USER, Mailbox, certificate, free_port, mail_server

MAILS = 8
PATIENCE = 60


@dataclass
class Sending:
    """An outbox with mails in it, a mail server, and processes that bring the one to the other."""

    app: App
    mailbox: Mailbox
    environ: Mapping[str, str]

    @contextmanager
    def worker(self) -> Iterator[subprocess.Popen[str]]:
        command = [sys.executable, "-m", "radiusd_mfa", "outbox", "run"]
        with subprocess.Popen(
            command, env=dict(self.environ), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as running:
            try:
                assert running.stdout is not None
                assert "delivers" in running.stdout.readline()  # it listens to signals now
                yield running
            finally:
                running.kill()

    def claims_run_out(self) -> None:
        """Let the time pass for which a dead worker's mails are its own."""
        with self.app.database.writing() as connection:
            connection.execute(update(schema.outbox).values(claimed_until=None))

    def left(self) -> int:
        with self.app.database.reading() as connection:
            statement = select(func.count()).where(schema.outbox.c.sent_at.is_(None)).select_from(schema.outbox)
            return connection.execute(statement).scalar_one()

    def finish(self) -> str:
        """Run a worker until everything is sent; return what it printed."""
        with self.worker() as running:
            self.wait()
            return stopped(running)

    def wait(self) -> None:
        """Wait until everything is sent."""
        done = Event()
        deadline = Timer(PATIENCE, done.set)
        deadline.start()
        while self.left() and not done.wait(0.05):
            pass
        deadline.cancel()


def stopped(running: subprocess.Popen[str]) -> str:
    running.send_signal(signal.SIGTERM)
    printed, _ = running.communicate(timeout=PATIENCE)
    assert running.returncode == 0
    return printed


@pytest.fixture
def sending(tmp_path: Path, environ: dict[str, str], database_url: str) -> Iterator[Sending]:
    pem, password_file, mailbox = certificate(tmp_path), tmp_path / "smtp-password", Mailbox(free_port())
    password_file.touch(mode=0o600)
    password_file.write_text(PASSWORD)
    settings = environ | {
        "RADIUSD_MFA_DATABASE_URL": database_url,
        "RADIUSD_MFA_SMTP_HOST": "127.0.0.1",
        "RADIUSD_MFA_SMTP_PORT": str(mailbox.port),
        "RADIUSD_MFA_SMTP_USER": USER,
        "RADIUSD_MFA_SMTP_PASSWORD_FILE": str(password_file),
        "RADIUSD_MFA_MAIL_FROM": "mfa@example.net",
    }
    config = Config.load(None, settings)
    initialise(config)
    app = App.open(config, profile=CHEAP)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RADIUSD_MFA_")}
    with mail_server(mailbox, pem):
        yield Sending(app, mailbox, inherited | settings | {"SSL_CERT_FILE": str(pem)})
    app.close()


def fill(app: App) -> None:
    for number in range(MAILS):
        request = Request(Username.parse(f"user{number}"), "correct horse", email=f"user{number}@example.org")
        made = add(request, store=app.administration, hashing=app.hashing, clock=app.clock)
        app.administration.change(lambda books, made=made: tell(books, made, Mail.MFA_DISABLED, at=app.clock()))  # type: ignore[misc]


def killed(running: subprocess.Popen[str]) -> None:
    running.kill()
    running.wait(PATIENCE)


def kill_when_taken(sending: Sending, running: subprocess.Popen[str]) -> None:
    """The server has the mail, and the worker never hears of it."""

    def taken(_message: EmailMessage) -> None:
        if len(sending.mailbox.received) == 3:
            killed(running)

    sending.mailbox.on_message = taken


def kill_before(sending: Sending, running: subprocess.Popen[str]) -> None:
    """The server does not have the mail yet."""

    def asked(_recipient: str) -> None:
        if len(sending.mailbox.received) == 3:
            killed(running)

    sending.mailbox.on_recipient = asked


def kill_after(sending: Sending, running: subprocess.Popen[str]) -> None:
    """The worker may or may not have noted that the mail was taken."""

    def taken(_message: EmailMessage) -> None:
        if len(sending.mailbox.received) == 3:
            Timer(0.002, running.kill).start()

    sending.mailbox.on_message = taken


@pytest.mark.parametrize(("kill", "most_twice"), [(kill_when_taken, 1), (kill_before, 0), (kill_after, 1)])
def test_a_worker_that_is_killed_while_sending_loses_no_mail_and_repeats_at_most_one(
    sending: Sending, kill: Callable[[Sending, subprocess.Popen[str]], None], most_twice: int
) -> None:
    with sending.worker() as running:
        kill(sending, running)
        fill(sending.app)
        running.wait(PATIENCE)
    assert running.returncode == -signal.SIGKILL
    sending.mailbox.on_message = lambda _message: None
    sending.mailbox.on_recipient = lambda _recipient: None
    sending.claims_run_out()
    sending.finish()
    arrived = Counter(str(message["To"]) for message in sending.mailbox.received)
    assert set(arrived) == {f"user{number}@example.org" for number in range(MAILS)}
    assert sorted(arrived.values())[:-1] == [1] * (MAILS - 1)
    assert max(arrived.values()) <= 1 + most_twice
    # Whoever gets one twice can tell by its Message-ID.
    assert len(set(sending.mailbox.ids)) == MAILS


def test_two_workers_at_once_send_each_mail_once(sending: Sending) -> None:
    with sending.worker() as one, sending.worker() as other:
        fill(sending.app)
        sending.wait()
        stopped(one)
        stopped(other)
    assert len(sending.mailbox.received) == MAILS
    assert len(set(sending.mailbox.ids)) == MAILS


def test_a_worker_prints_no_password_and_nothing_of_a_mail(sending: Sending) -> None:
    fill(sending.app)
    printed = sending.finish()
    assert "sent: mfa-disabled" in printed
    assert PASSWORD not in printed
    assert "user0@" not in printed

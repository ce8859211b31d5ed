"""What the tests of the delivery share: a mail server's mailbox, an SMS gateway, and an App that is set up for them."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from radiusd_mfa.app import App
from radiusd_mfa.config import Config
from tests.support.post import PASSWORD, USER, Mailbox, TestGateway, certificate, free_port, gateway


@pytest.fixture(scope="session")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def mailbox(pem: Path, monkeypatch: pytest.MonkeyPatch) -> Mailbox:
    """A mailbox whose server does not run yet, with a certificate that is trusted."""
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    return Mailbox(free_port())


@pytest.fixture
def sms() -> Iterator[TestGateway]:
    with gateway() as running:
        yield running


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    path = tmp_path / "smtp-password"
    path.touch(mode=0o600)
    path.write_text(f"{PASSWORD}\n")
    return path


@pytest.fixture
def config(config: Config, mailbox: Mailbox, sms: TestGateway, password_file: Path) -> Config:
    """The settings of a test, with mail and SMS."""
    return replace(
        config,
        smtp_host="127.0.0.1",
        smtp_port=mailbox.port,
        smtp_user=USER,
        smtp_password_file=password_file,
        mail_from="Example Ltd <mfa@example.net>",
        issuer="Example Ltd",
        portal_url="https://mfa.example.net/",
        sms_url=f"{sms.url}/send",
    )


@pytest.fixture
def app(app: App) -> App:
    return app

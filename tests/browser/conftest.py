"""One Chromium for a worker, and a stage for each test; without a browser the tests are skipped, but not in CI."""

import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from selenium.webdriver import Chrome

from radiusd_mfa.app import App
from radiusd_mfa.config import Config, Endpoint
from radiusd_mfa.portal.server import PortalServer
from tests.browser.chromium import chromium, missing
from tests.browser.stage import Screen, Stage
from tests.support.post import Mailbox, TestGateway, certificate, free_port, gateway, mail_server

WIDE = (1100, 800)


@pytest.fixture
def dialect() -> str:
    """What is driven here are pages; the databases have tests of their own."""
    return "sqlite"


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    lacking = missing()
    if lacking:
        message = f"not installed: {', '.join(lacking)}"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    with chromium(tmp_path_factory.mktemp("chromium")) as running:
        yield running


@pytest.fixture
def mailbox(tmp_path: Path) -> Iterator[Mailbox]:
    made = Mailbox(free_port())
    with mail_server(made, certificate(tmp_path), security="none"):
        yield made


@pytest.fixture
def by_sms() -> Iterator[TestGateway]:
    with gateway() as running:
        yield running


@pytest.fixture
def config(config: Config, mailbox: Mailbox, by_sms: TestGateway) -> Config:
    return replace(
        config,
        issuer="Example Ltd",
        smtp_host="127.0.0.1",
        smtp_port=mailbox.port,
        smtp_security="none",
        mail_from="Example Ltd <mfa@example.net>",
        sms_url=f"{by_sms.url}/send",
    )


@pytest.fixture
def stage(app: App, by_sms: TestGateway) -> Iterator[Stage]:
    server = PortalServer(app, Endpoint("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, name="portal")
    thread.start()
    try:
        yield Stage(app, server, by_sms)
    finally:
        server.stop()
        thread.join(timeout=10)


@pytest.fixture
def screen(driver: Chrome, stage: Stage) -> Screen:
    made = Screen(driver, stage.server.url)
    made.forget()
    made.measure(*WIDE)
    made.appear("light")
    return made

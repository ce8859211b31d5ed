"""OpenVPN with openvpn-auth-radius, server and client each in a network namespace, up to traffic in the tunnel."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.interop.accounting import accounting
from tests.interop.deployment import SECRET, User
from tests.interop.openvpn import CONNECTED, INSIDE, REFUSED, connecting, serving, signs_in
from tests.interop.relay import Relay, relaying
from tests.interop.requirements import need
from tests.interop.vpn import RADIUS_PORT, Office, certify, opened

pytestmark = [pytest.mark.interop, pytest.mark.xdist_group("openvpn")]
_RELAY_PORT = 1912  # four digits: the plugin cuts the fifth off
_ACCOUNTING_PORT = 1813
_PLUGIN = """
NAS-Identifier=OpenVpn
Service-Type=5
Framed-Protocol=1
NAS-Port-Type=5
NAS-IP-Address=127.0.0.1
OpenVPNConfig={directory}/server.conf
subnet=255.255.255.0
overwriteccfiles=true
server
{{
    acctport={accounting}
    authport={port}
    name=127.0.0.1
    retry=2
    wait=5
    sharedsecret={secret}
}}
"""


@contextmanager
def _gateway(directory: Path, *nas_options: str) -> Iterator[Office]:
    need("openvpn", programs=("openvpn",))
    need("openvpn-auth-radius", anywhere=("usr/lib/openvpn/radiusplugin.so",))
    need("openssl", programs=("openssl",))
    with opened(directory, *nas_options) as office:
        certify(directory)
        # The plugin ends a session whose accounting is not answered, and Debian's has no option against that.
        with accounting(("127.0.0.1", _ACCOUNTING_PORT), SECRET, enter=office.site.gateway.enter):
            yield office


@contextmanager
def _serving(office: Office, *, port: int = RADIUS_PORT) -> Iterator[None]:
    """Run OpenVPN's server, which asks for RADIUS at `port` of its own loopback."""
    values = {"directory": office.directory, "secret": SECRET, "port": port, "accounting": _ACCOUNTING_PORT}
    settings = office.file("plugin.conf", _PLUGIN.format(**values))
    with serving(office, f"/usr/lib/openvpn/radiusplugin.so {settings}"):
        yield


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    with _gateway(tmp_path_factory.mktemp("openvpn")) as office, _serving(office):
        yield office


def test_password_and_code_open_a_tunnel_once(office: Office, tmp_path: Path) -> None:
    user = office.server.deployment.user("alice")
    typed = user.typed()
    with connecting(office, tmp_path / "first") as client:
        signs_in(client, user, ("Enter Auth Password:", typed))
        client.wait_for(CONNECTED)
        assert office.site.carries(INSIDE)
    with connecting(office, tmp_path / "second") as client:
        signs_in(client, user, ("Enter Auth Password:", typed))
        client.wait_for(REFUSED)
    assert office.server.deployment.audit(user) == [("accept", "totp"), ("reject", "code-reused")]


def test_a_static_challenge_takes_the_code_beside_the_password(office: Office, tmp_path: Path) -> None:
    user = office.server.deployment.user("carol")
    with connecting(office, tmp_path / "log", "--static-challenge", "Code of your authenticator", "1") as client:
        code = user.code()
        signs_in(client, user, ("Enter Auth Password:", user.password), ("Code of your authenticator", code))
        client.wait_for(CONNECTED)
        assert office.site.carries(INSIDE)
    assert office.server.deployment.audit(user) == [("accept", "totp")]


def test_a_wrong_code_to_a_static_challenge_opens_no_tunnel(office: Office, tmp_path: Path) -> None:
    user = office.server.deployment.user("mallory")
    with connecting(office, tmp_path / "log", "--static-challenge", "Code of your authenticator", "1") as client:
        wrong = f"{(int(user.code()) + 1) % 10**6:06}"
        signs_in(client, user, ("Enter Auth Password:", user.password), ("Code of your authenticator", wrong))
        client.wait_for(REFUSED)
    assert office.server.deployment.audit(user) == [("reject", "wrong-code")]


@pytest.fixture(scope="module")
def lossy_office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Office, Relay]]:
    """A gateway with a network before its RADIUS server that can lose replies."""
    with _gateway(tmp_path_factory.mktemp("lossy")) as office:
        near, far = ("127.0.0.1", _RELAY_PORT), ("127.0.0.1", RADIUS_PORT)
        with relaying(far, near, enter=office.site.gateway.enter) as relay, _serving(office, port=_RELAY_PORT):
            yield office, relay


def _retries_once(office: Office, relay: Relay, user: User, log: Path, *, until: str) -> None:
    """Sign in with the first reply lost on its way."""
    seen = len(relay.requests)
    relay.replies_to_lose = 1
    with connecting(office, log) as client:
        signs_in(client, user, ("Enter Auth Password:", user.typed()))
        client.wait_for(until)
    first, second = relay.requests[seen:]
    assert first.port != second.port
    assert first.authenticator != second.authenticator
    assert first.identifier == second.identifier


def test_a_retry_from_a_new_port_is_a_second_use_of_the_code_without_grace(
    lossy_office: tuple[Office, Relay], tmp_path: Path
) -> None:
    office, relay = lossy_office
    user = office.server.deployment.user("mallory")
    _retries_once(office, relay, user, tmp_path / "log", until=REFUSED)
    assert office.server.deployment.audit(user) == [("accept", "totp"), ("reject", "code-reused")]


def test_a_retry_from_a_new_port_has_the_same_verdict_within_the_retry_grace(
    lossy_office: tuple[Office, Relay], tmp_path: Path
) -> None:
    office, relay = lossy_office
    office.server.deployment.command("nas", "set", "gateway", "--retry-grace", "10")
    time.sleep(2)  # a running server takes a changed entry over within two seconds
    user = office.server.deployment.user("alice")
    _retries_once(office, relay, user, tmp_path / "log", until=CONNECTED)
    assert office.server.deployment.audit(user) == [("accept", "totp"), ("repeat", "repeat")]

"""ocserv asked by openconnect, each in a network namespace, up to traffic through the tunnel."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.interop.deployment import SECRET, User
from tests.interop.namespaces import GATEWAY
from tests.interop.processes import Process, running
from tests.interop.requirements import need
from tests.interop.vpn import Office, certify, opened

pytestmark = [pytest.mark.interop, pytest.mark.xdist_group("ocserv")]
_INSIDE = "10.77.0.1"
_PASSWORD = r"Password:"
_CODE = r"Enter the code from your authenticator"
_CONNECTED = r"Configured as 10\.77\."
# ocserv shows the Reply-Message of a Reject and asks again, but after a challenge it breaks the conversation off.
_REFUSED = r"Sign-in refused\. Type your password and, right after it"
_BROKEN_OFF = r"Failed to complete authentication"
_OCSERV = """
auth = "radius[config={radcli}]"
tcp-port = 443
udp-port = 443
run-as-user = root
run-as-group = root
socket-file = {directory}/ocserv.sock
pid-file = {directory}/ocserv.pid
use-occtl = false
isolate-workers = false
server-cert = {certificate}
server-key = {key}
device = inside
ipv4-network = 10.77.0.0
ipv4-netmask = 255.255.255.0
route = 10.77.0.0/255.255.255.0
max-ban-score = 0
auth-timeout = 60
"""
_RADCLI = """
nas-identifier ocserv
authserver 127.0.0.1
acctserver 127.0.0.1
servers {servers}
dictionary /etc/radcli/dictionary
radius_timeout 10
radius_retries 3
bindaddr *
"""
# openconnect sets nothing up by itself; the usual script would also change the machine's resolv.conf.
_SCRIPT = """#!/bin/sh
[ "$reason" = connect ] || exit 0
ip link set dev "$TUNDEV" up
ip address add "$INTERNAL_IP4_ADDRESS/24" dev "$TUNDEV"
"""


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """A gateway whose users append the code."""
    with _opened(tmp_path_factory.mktemp("append")) as office:
        yield office


@pytest.fixture(scope="module")
def asking_office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """A gateway whose users are asked for the code."""
    with _opened(tmp_path_factory.mktemp("challenge"), "--challenge", "on") as office:
        yield office


@contextmanager
def _opened(directory: Path, *nas_options: str) -> Iterator[Office]:
    need("ocserv", programs=("ocserv",))
    need("openconnect", programs=("openconnect",))
    need("openssl", programs=("openssl",))
    with opened(directory, *nas_options) as office, _ocserv(office):
        yield office


@contextmanager
def _ocserv(office: Office) -> Iterator[None]:
    made = certify(office.directory)
    servers = office.file("servers", f"127.0.0.1 {SECRET}\n")
    radcli = office.file("radcli.conf", _RADCLI.format(servers=servers))
    values = {"certificate": made.certificate, "key": made.key, "directory": office.directory, "radcli": radcli}
    configuration = office.file("ocserv.conf", _OCSERV.format(**values))
    command = [*office.site.gateway.prefix, "ocserv", "--foreground", "--debug", "2", "--config", str(configuration)]
    with running(command, log=office.directory / "ocserv.log") as process:
        process.wait_for(r"initialized ocserv")
        yield


@contextmanager
def _openconnect(office: Office, user: User, log: Path) -> Iterator[Process]:
    script = office.file("tunnel", _SCRIPT, mode=0o700)
    authority = str(office.directory / "gateway.crt")
    options = ["--user", user.name, "--cafile", authority, "--script", str(script), "--no-dtls"]
    command = [*office.site.client.prefix, "openconnect", *options, f"https://{GATEWAY}"]
    with running(command, log=log) as process:
        yield process


def test_a_wrong_password_with_a_right_code_opens_no_tunnel(office: Office, tmp_path: Path) -> None:
    user = office.server.deployment.user("mallory")
    with _openconnect(office, user, tmp_path / "log") as client:
        client.wait_for(_PASSWORD)
        client.says("hunter3" + user.code())
        client.wait_for(_REFUSED)
        assert not re.search(_CONNECTED, client.output)
    assert office.server.deployment.audit(user) == [("reject", "wrong-password")]


def test_password_and_code_open_a_tunnel_once(office: Office, tmp_path: Path) -> None:
    user = office.server.deployment.user("alice")
    typed = user.typed()
    with _openconnect(office, user, tmp_path / "first") as client:
        client.wait_for(_PASSWORD)
        client.says(typed)
        client.wait_for(_CONNECTED)
        assert office.site.carries(_INSIDE)
    with _openconnect(office, user, tmp_path / "second") as client:
        client.wait_for(_PASSWORD)
        client.says(typed)
        client.wait_for(_REFUSED)
    assert office.server.deployment.audit(user) == [("accept", "totp"), ("reject", "code-reused")]


def test_a_wrong_code_in_the_second_round_opens_no_tunnel(asking_office: Office, tmp_path: Path) -> None:
    user = asking_office.server.deployment.user("mallory")
    with _openconnect(asking_office, user, tmp_path / "log") as client:
        client.wait_for(_PASSWORD)
        client.says(user.password)
        client.wait_for(_CODE)
        client.says(f"{(int(user.code()) + 1) % 10**6:06}")
        client.wait_for(_BROKEN_OFF)
        assert not re.search(_CONNECTED, client.output)
    assert asking_office.server.deployment.audit(user) == [("challenge", "code-due"), ("reject", "wrong-code")]


def test_a_password_and_then_a_code_open_a_tunnel(asking_office: Office, tmp_path: Path) -> None:
    user = asking_office.server.deployment.user("alice")
    with _openconnect(asking_office, user, tmp_path / "log") as client:
        client.wait_for(_PASSWORD)
        client.says(user.password)
        client.wait_for(_CODE)
        client.says(user.code())
        client.wait_for(_CONNECTED)
        assert asking_office.site.carries(_INSIDE)
    assert asking_office.server.deployment.audit(user) == [("challenge", "code-due"), ("accept", "totp")]

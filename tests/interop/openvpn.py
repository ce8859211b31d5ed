"""OpenVPN's server on the gateway and its client across the cable, whoever the server asks about passwords."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.interop.deployment import User
from tests.interop.namespaces import GATEWAY, on_a_terminal
from tests.interop.processes import Process, running
from tests.interop.vpn import Office

INSIDE: Final = "10.88.0.1"
CONNECTED: Final = r"Initialization Sequence Completed"
REFUSED: Final = r"AUTH_FAILED"
_SERVER = """
dev tun
proto udp
port 1194
server 10.88.0.0 255.255.255.0
topology subnet
ca {certificate}
cert {certificate}
key {key}
dh none
verify-client-cert none
username-as-common-name
status {directory}/status.log 1
plugin {plugin}
"""
_CLIENT = """
client
dev tun
proto udp
remote {gateway} 1194
nobind
ca {certificate}
remote-cert-tls server
auth-user-pass
auth-retry none
auth-nocache
connect-retry-max 1
"""


@contextmanager
def serving(office: Office, plugin: str, *, within: Sequence[str] = ()) -> Iterator[None]:
    """Run the server with a plugin and its arguments, `within` a program that prepares its surroundings."""
    directory = office.directory
    values = {"certificate": directory / "gateway.crt", "key": directory / "gateway.key", "directory": directory}
    configuration = office.file("server.conf", _SERVER.format(plugin=plugin, **values))
    command = [*office.site.gateway.prefix, *within, "openvpn", "--config", str(configuration)]
    with running(command, log=directory / "server.log") as process:
        process.wait_for(CONNECTED)
        yield


@contextmanager
def connecting(office: Office, log: Path, *options: str) -> Iterator[Process]:
    """Run OpenVPN's client on a terminal of its own."""
    text = _CLIENT.format(gateway=GATEWAY, certificate=office.directory / "gateway.crt")
    configuration = office.file("client.conf", text)
    command = ("openvpn", "--config", str(configuration), *options)
    with running([*office.site.client.prefix, *on_a_terminal(*command)], log=log) as process:
        yield process


def signs_in(client: Process, user: User, *answers: tuple[str, str]) -> None:
    prompts: Sequence[tuple[str, str]] = (("Enter Auth Username:", user.name), *answers)
    for prompt, answer in prompts:
        client.wait_for(prompt)
        client.says(answer)

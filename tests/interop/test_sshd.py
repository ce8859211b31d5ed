"""sshd with PAM and pam_radius_auth, asked by ssh on a terminal."""

import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.interop.conftest import CHALLENGE
from tests.interop.deployment import Server, User
from tests.interop.namespaces import on_a_terminal
from tests.interop.pam import PamServices, need_pam_radius
from tests.interop.processes import Process, running
from tests.interop.requirements import need

pytestmark = pytest.mark.interop
Audit = Callable[[], list[tuple[str, str]]]
_CONFIGURATION = """
ListenAddress {address}:{port}
HostKey {key}
PidFile none
UsePAM yes
StrictModes no
KbdInteractiveAuthentication yes
PasswordAuthentication yes
"""
# sshd lets in only who has an account, and wants a directory in /run: both in its own mount namespace.
_ACCOUNT = 'mount --bind "$0" /etc/passwd && mount -t tmpfs tmpfs /run && mkdir /run/sshd && exec "$@"'
_SIGNED_IN = "this is the shell"
_ADDRESS = "127.0.0.6"


@pytest.fixture
def port(server: Server, user: User, tmp_path: Path) -> Iterator[int]:
    """Where an sshd listens that has an account for the user and asks for the code in a second step."""
    need("openssh-server", programs=("sshd",))
    need("openssh-client", programs=("ssh", "ssh-keygen"))
    need_pam_radius()
    services = PamServices(tmp_path, "sshd")
    services.ask(server.address, CHALLENGE)
    accounts = tmp_path / "passwd"
    accounts.write_text(f"{Path('/etc/passwd').read_text()}{user.name}:x:65533:65534::/:/bin/sh\n")
    key = tmp_path / "host_key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True, timeout=60)
    configuration = tmp_path / "sshd_config"
    with socket.create_server((_ADDRESS, 0)) as free:  # parallel workers each have one
        number = free.getsockname()[1]
    configuration.write_text(_CONFIGURATION.format(key=key, address=_ADDRESS, port=number))
    sshd = ["/usr/sbin/sshd", "-D", "-e", "-f", str(configuration)]
    command = [*services.prefix, "sh", "-c", _ACCOUNT, str(accounts), *sshd]
    with running(command, log=tmp_path / "sshd.log") as process:
        process.wait_for("Server listening")
        yield number


@contextmanager
def _ssh(user: User, port: int, log: Path, *, method: str) -> Iterator[Process]:
    options = {
        "StrictHostKeyChecking": "no",
        "UserKnownHostsFile": "/dev/null",
        "PreferredAuthentications": method,
        "NumberOfPasswordPrompts": "1",
    }
    settings = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    command = ("ssh", "-F", "none", *settings, "-p", str(port), f"{user.name}@{_ADDRESS}", f"echo {_SIGNED_IN}")
    with running(on_a_terminal(*command), log=log) as process:
        yield process


def test_the_code_is_asked_for_at_a_second_prompt(port: int, user: User, audit: Audit, tmp_path: Path) -> None:
    with _ssh(user, port, tmp_path / "log", method="keyboard-interactive") as ssh:
        ssh.wait_for("Password:")
        ssh.says(user.password)
        ssh.wait_for("Enter the code")
        ssh.says(user.code())
        ssh.wait_for(_SIGNED_IN)
    assert audit() == [("challenge", "code-due"), ("accept", "totp")]


def test_a_wrong_code_gives_no_shell(port: int, user: User, audit: Audit, tmp_path: Path) -> None:
    with _ssh(user, port, tmp_path / "log", method="keyboard-interactive") as ssh:
        ssh.wait_for("Password:")
        ssh.says(user.password)
        ssh.wait_for("Enter the code")
        ssh.says(f"{(int(user.code()) + 1) % 10**6:06}")
        ssh.wait_for("Permission denied")
    assert audit() == [("challenge", "code-due"), ("reject", "wrong-code")]


def test_the_method_password_can_not_show_a_second_prompt_and_gets_no_shell(
    port: int, user: User, audit: Audit, tmp_path: Path
) -> None:
    with _ssh(user, port, tmp_path / "log", method="password") as ssh:
        ssh.wait_for("password:")
        ssh.says(user.password)
        ssh.wait_for("Permission denied")
    # Some versions give up at the second prompt, others answer it by themselves, with the password once more.
    first, *rest = audit()
    assert first == ("challenge", "code-due")
    assert [outcome for outcome, _reason in rest if outcome != "reject"] == []

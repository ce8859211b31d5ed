"""strongSwan's IKEv1 with XAuth, whose gateway asks by PAP, each side in a network namespace."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.interop.deployment import SECRET, User
from tests.interop.namespaces import CLIENT, GATEWAY, Namespace
from tests.interop.processes import running
from tests.interop.requirements import need
from tests.interop.vpn import Office, opened

pytestmark = [pytest.mark.interop, pytest.mark.xdist_group("strongswan")]
_CHARON = "/usr/lib/ipsec/charon"
_DAEMON = """
charon {{
    load = random nonce aes md5 sha1 sha2 hmac kdf gmp kernel-netlink socket-default vici xauth-generic eap-radius
    plugins {{
        vici {{
            socket = unix://{socket}
        }}
        eap-radius {{
            accounting = no
            nas_identifier = strongswan
            dae {{
                enable = yes
                listen = 127.0.0.1
                port = 3799
                secret = {secret}
            }}
            servers {{
                mfa {{
                    address = 127.0.0.1
                    auth_port = 1812
                    secret = {secret}
                }}
            }}
        }}
    }}
}}
"""
_GATEWAY = f"""
connections {{
    office {{
        version = 1
        local_addrs = {GATEWAY}
        local {{
            auth = psk
        }}
        remote-psk {{
            auth = psk
        }}
        remote-xauth {{
            auth = xauth-radius
        }}
    }}
}}
secrets {{
    ike-office {{
        secret = "a pre-shared key of the tests"
    }}
}}
"""
_CLIENT = f"""
connections {{{{
    office {{{{
        version = 1
        local_addrs = {CLIENT}
        remote_addrs = {GATEWAY}
        local-psk {{{{
            auth = psk
        }}}}
        local-xauth {{{{
            auth = xauth
            xauth_id = {{name}}
        }}}}
        remote {{{{
            auth = psk
        }}}}
    }}}}
}}}}
secrets {{{{
    ike-office {{{{
        secret = "a pre-shared key of the tests"
    }}}}
    xauth-user {{{{
        id = {{name}}
        secret = "{{typed}}"
    }}}}
}}}}
"""


@dataclass(frozen=True)
class Charon:
    """strongSwan's daemon in a namespace, and the program that tells it what to do."""

    namespace: Namespace
    office: Office
    side: str

    @property
    def socket(self) -> Path:
        return self.office.directory / f"{self.side}.vici"

    def load(self, configuration: str) -> None:
        """Replace connections and secrets."""
        path = self.office.file(f"{self.side}.conf", configuration)
        done = self._swanctl("--load-all", "--clear", "--file", str(path))
        assert done.returncode == 0, done.stdout + done.stderr

    def initiate(self) -> bool:
        """Whether the IKE security association came about."""
        return self._swanctl("--initiate", "--ike", "office", "--timeout", "20").returncode == 0

    def terminate(self) -> None:
        self._swanctl("--terminate", "--ike", "office", "--timeout", "20")

    def associations(self) -> str:
        """Return what swanctl says of the IKE security associations; empty: there is none."""
        return self._swanctl("--list-sas").stdout

    def _swanctl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = ["swanctl", *arguments, "--uri", f"unix://{self.socket}"]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    @contextmanager
    def running(self) -> Iterator[None]:
        settings = self.office.file(f"{self.side}.strongswan", _DAEMON.format(socket=self.socket, secret=SECRET))
        # Two daemons would quarrel about one file in /run, and neither writes a line out while we wait for it.
        own_run = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs tmpfs /run && exec stdbuf -oL "$0"', _CHARON]
        command = [*self.namespace.prefix, "env", f"STRONGSWAN_CONF={settings}", *own_run]
        with running(command, log=self.office.directory / f"{self.side}.log") as process:
            process.wait_for("spawning .* worker threads")
            yield


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Charon]:
    """The client's daemon; the gateway's runs beside it."""
    need("strongswan-charon", anywhere=(_CHARON[1:],))
    need("strongswan-swanctl", programs=("swanctl",))
    need("libcharon-extra-plugins", anywhere=("usr/lib/ipsec/plugins/libstrongswan-eap-radius.so",))
    need("libcharon-extauth-plugins", anywhere=("usr/lib/ipsec/plugins/libstrongswan-xauth-generic.so",))
    with opened(tmp_path_factory.mktemp("strongswan"), "--message-authenticator", "require") as office:
        gateway = Charon(office.site.gateway, office, "gateway")
        client = Charon(office.site.client, office, "client")
        with gateway.running(), client.running():
            gateway.load(_GATEWAY)
            yield client


def _signs_in(client: Charon, user: User, typed: str) -> bool:
    client.load(_CLIENT.format(name=user.name, typed=typed))
    signed_in = client.initiate()
    client.terminate()
    return signed_in


def test_a_wrong_code_makes_no_security_association(client: Charon) -> None:
    user = client.office.server.deployment.user("mallory")
    wrong = f"{(int(user.code()) + 1) % 10**6:06}"
    assert not _signs_in(client, user, user.password + wrong)
    assert client.office.server.deployment.audit(user) == [("reject", "wrong-code")]


def test_password_and_code_make_one_security_association(client: Charon) -> None:
    user = client.office.server.deployment.user("alice")
    typed = user.typed()
    assert _signs_in(client, user, typed)
    assert not _signs_in(client, user, typed)
    assert client.office.server.deployment.audit(user) == [("accept", "totp"), ("reject", "code-reused")]


def test_a_disconnect_request_cuts_the_association_of_its_user(client: Charon) -> None:
    deployment = client.office.server.deployment
    user = deployment.user("carol")
    client.load(_CLIENT.format(name=user.name, typed=user.typed()))
    assert client.initiate()
    assert "ESTABLISHED" in client.associations()
    told = deployment.command("sessions", "disconnect", user.name, "--yes")
    assert [(each["done"], each["said"]) for each in told["nas"]] == [(True, "done")]
    until = time.monotonic() + 20
    while "ESTABLISHED" in client.associations():
        assert time.monotonic() < until, "the association is still there"
        time.sleep(0.1)

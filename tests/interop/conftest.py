from collections.abc import Callable, Iterator
from itertools import count

import pytest

from tests.interop.deployment import Deployment, Server, User

APPEND = "127.0.0.1"
CHALLENGE = "127.0.0.2"
STRICT = "127.0.0.3"
PROXIED = "127.0.0.4"
TEAM = "127.0.0.5"
DIALOGUE = "127.0.0.6"
POLICY = '[[require]]\nevery = "12h"\n'
PROFILE = """
Tunnel-Type:1 = "VLAN"
Tunnel-Medium-Type:1 = "IEEE-802"
Tunnel-Private-Group-Id:1 = "20"
Filter-Id = "staff"
Cisco-AVPair = "shell:priv-lvl=15"
"""


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One daemon for a worker, which knows a client by the loopback address that it comes from."""
    deployment = Deployment(tmp_path_factory.mktemp("interop"))
    deployment.init()
    deployment.nas("append", APPEND)
    deployment.nas("challenge", CHALLENGE, "--challenge", "on")
    deployment.nas("dialogue", DIALOGUE, "--challenge", "on", "--set-up", "dialogue")
    deployment.nas("strict", STRICT, "--message-authenticator", "require")
    deployment.nas("proxied", PROXIED, "--allow-proxy-state", "on")
    deployment.command("team", "add", "staff")
    deployment.command("policy", "apply", "staff", "-", stdin=POLICY)
    deployment.command("profile", "set", "staff", "-", stdin=PROFILE)
    deployment.nas("team", TEAM, "--team", "staff")
    with deployment.serving() as served:
        yield served


_numbers = count(1)


@pytest.fixture
def user(server: Server) -> User:
    """A user of this test only."""
    return server.deployment.user(f"user{next(_numbers)}")


@pytest.fixture
def newcomer(server: Server) -> User:
    """A user of this test only, who has no authenticator yet."""
    return server.deployment.newcomer(f"newcomer{next(_numbers)}")


@pytest.fixture
def audit(server: Server, user: User) -> Callable[[], list[tuple[str, str]]]:
    return lambda: server.deployment.audit(user)

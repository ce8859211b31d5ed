from collections.abc import Callable, Iterator
from itertools import count

import pytest

from tests.interop.deployment import Deployment, Server, User

APPEND = "127.0.0.1"
CHALLENGE = "127.0.0.2"
STRICT = "127.0.0.3"
PROXIED = "127.0.0.4"


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One daemon for a worker, which knows a client by the loopback address that it comes from."""
    deployment = Deployment(tmp_path_factory.mktemp("interop"))
    deployment.init()
    deployment.nas("append", APPEND)
    deployment.nas("challenge", CHALLENGE, "--challenge", "on")
    deployment.nas("strict", STRICT, "--message-authenticator", "require")
    deployment.nas("proxied", PROXIED, "--allow-proxy-state", "on")
    with deployment.serving() as served:
        yield served


_numbers = count(1)


@pytest.fixture
def user(server: Server) -> User:
    """A user of this test only."""
    return server.deployment.user(f"user{next(_numbers)}")


@pytest.fixture
def audit(server: Server, user: User) -> Callable[[], list[tuple[str, str]]]:
    return lambda: server.deployment.audit(user)

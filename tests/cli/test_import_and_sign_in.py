"""Users from other systems sign in over real packets with what they had there, and their hashes become argon2id."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pyotp
import pytest

from radiusd_mfa.app import App
from radiusd_mfa.config import Config, Endpoint
from radiusd_mfa.core.totp import Algorithm, code_at, seed_from_base32, step_at
from radiusd_mfa.radius.wire import Code
from radiusd_mfa.server.daemon import Daemon
from tests.conftest import CHEAP, Cli
from tests.support.world import SECRET, TestNas

EXAMPLES = Path(__file__).parent.parent.parent / "docs" / "import"
SEED = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
OTHER_SEED = "MFRGGZDFMZTWQ2LKNNWG23TPOBYXE43U"


@pytest.fixture
def nas(ready: Cli, environ: dict[str, str]) -> Iterator[TestNas]:
    """A NAS that asks a running server."""
    ready("nas", "set", "localhost", "--secret-stdin", stdin=SECRET.decode())
    app = App.open(Config.load(None, environ), profile=CHEAP)
    daemon: Daemon = app.daemon([Endpoint.parse("127.0.0.1:0")])
    up = threading.Event()
    thread = threading.Thread(target=lambda: daemon.run(ready=up.set))
    thread.start()
    assert up.wait(10)
    asking = TestNas(daemon.addresses[0])
    yield asking
    asking.close()
    daemon.stop()
    thread.join(10)
    app.close()


def _hash(app_environ: dict[str, str], name: str) -> str:
    app = App.open(Config.load(None, app_environ), profile=CHEAP)
    try:
        found = app.administration.view(lambda books: books.people.find(name))
    finally:
        app.close()
    assert found is not None
    return found.password_hash or ""


def test_a_user_of_freeradius_signs_in_and_has_a_new_hash(ready: Cli, nas: TestNas, environ: dict[str, str]) -> None:
    assert ready("user", "import", str(EXAMPLES / "radcheck.csv")).exit_code == 0
    assert _hash(environ, "alice").startswith("$6$")
    typed = "correct horse" + pyotp.TOTP(SEED).now()
    assert nas.ask("alice", typed.encode()).code is Code.ACCESS_ACCEPT
    until = time.monotonic() + 20
    while not _hash(environ, "alice").startswith("$argon2id$"):
        assert time.monotonic() < until, "the hash was not renewed"
        time.sleep(0.05)


def test_a_token_of_privacyidea_gives_codes_here(ready: Cli, nas: TestNas) -> None:
    for name in ("alice", "bob"):
        ready("user", "add", name, "--password-stdin", stdin="pw")
    key = (EXAMPLES / "privacyidea.pi.key").read_text()
    assert ready("user", "import", "--key-stdin", str(EXAMPLES / "privacyidea.pi"), stdin=key).exit_code == 0
    token = pyotp.TOTP(OTHER_SEED, digits=8, digest="sha256", interval=60)
    assert nas.ask("alice", ("pw" + pyotp.TOTP(SEED).now()).encode()).code is Code.ACCESS_ACCEPT
    assert nas.ask("bob", ("pw" + token.now()).encode()).code is Code.ACCESS_ACCEPT


def test_a_phone_of_google_authenticator_gives_codes_here(ready: Cli, nas: TestNas) -> None:
    for name in ("alice", "bob"):
        ready("user", "add", name, "--password-stdin", stdin="pw")
    assert ready("user", "import", str(EXAMPLES / "google-authenticator")).exit_code == 0
    # pyotp takes no seed of 80 bits, which is what this program of Google's has always made.
    code = code_at(step_at(time.time(), 30), seed_from_base32(SEED[:16]), 6, Algorithm.SHA1)
    assert nas.ask("alice", f"pw{code}".encode()).code is Code.ACCESS_ACCEPT
    assert nas.ask("bob", ("pw" + pyotp.TOTP(OTHER_SEED, interval=60).now()).encode()).code is Code.ACCESS_ACCEPT


def test_an_account_of_linux_signs_in_where_the_password_suffices(ready: Cli, nas: TestNas) -> None:
    ready("team", "add", "lab")
    ready("policy", "apply", "lab", "preset:voluntary")
    assert ready("user", "import", str(EXAMPLES / "shadow")).exit_code == 0
    for name in ("alice", "bob", "carol"):
        ready("member", "add", "lab", name, "--role", "member")
        assert nas.ask(name, b"correct horse", timeout=20).code is Code.ACCESS_ACCEPT

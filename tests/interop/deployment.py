"""A radiusd-mfa as an administrator has it: set up through the command line only, served by a process of its own."""

import json
import os
import sqlite3
import subprocess
import sys
import time
from base64 import b32encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from radiusd_mfa.core.totp import Algorithm, code_at, seed_from_base32, step_at
from tests.interop.processes import Process, running

SECRET: Final = "shared-by-tests-only"
PASSWORD: Final = "hunter2"
_PERIOD: Final = 30


@dataclass
class User:
    """A person with an authenticator in hand, who never types one code twice."""

    name: str
    seed: bytes = field(repr=False)
    password: str = field(default=PASSWORD, repr=False)
    _spent: int = 0

    def code(self) -> str:
        """Return the next unused code: the current one, or the one after it, which the window admits already."""
        step = max(step_at(time.time(), _PERIOD), self._spent + 1)
        # A third code within one step lies outside of the window: wait until the phone shows it.
        time.sleep(max(0.0, (step - 1) * _PERIOD - time.time()))
        self._spent = step
        return code_at(step, self.seed, 6, Algorithm.SHA1)

    def typed(self) -> str:
        """Return the password with the next code appended."""
        return self.password + self.code()


@dataclass(frozen=True)
class Deployment:
    """One state directory, and the commands that work on it; `prefix` puts them into a network namespace."""

    directory: Path
    prefix: Sequence[str] = ()

    def command(self, *arguments: str, stdin: str = "", **settings: str) -> Any:
        """Run a command, with settings of its own, that must succeed; return its JSON document."""
        done = subprocess.run(
            self._command(*arguments, "--json"),
            input=stdin,
            capture_output=True,
            text=True,
            env={**self._environ, **{f"RADIUSD_MFA_{name.upper()}": value for name, value in settings.items()}},
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"{' '.join(arguments)}: {done.stderr}"
        return json.loads(done.stdout)

    def init(self) -> None:
        """Start from nothing, without the NAS entry that `init` makes."""
        self.command("init")
        self.command("nas", "remove", "localhost")

    def nas(self, name: str, address: str, *options: str) -> None:
        """Add a NAS entry with the secret of the tests."""
        added = ("nas", "add", name, "--address", address, "--surface", "vpn", "--secret-stdin", *options)
        self.command(*added, stdin=SECRET)

    def user(self, name: str) -> User:
        """Take over a user with an authenticator from another system, so that no code is spent yet."""
        user = User(name, os.urandom(20))
        seed = b32encode(user.seed).decode()
        line = {"username": name, "password": user.password, "totp_secret": seed}
        self.command("user", "import", "-", stdin=json.dumps(line))
        return user

    def newcomer(self, name: str) -> User:
        """Add a user without an authenticator."""
        self.command("user", "add", name, "--password-stdin", stdin=f"{PASSWORD}\n")
        return User(name, b"")

    def holder(self, name: str, password: str, uri: str) -> User:
        """Return the user whose phone has scanned an otpauth URI."""
        secret = parse_qs(urlsplit(uri).query)["secret"][0]
        return User(name, seed_from_base32(secret), password)

    def forget_what_was_sent(self) -> None:
        """Let another code be sent by SMS at once, which takes half a minute otherwise."""
        with closing(sqlite3.connect(self.directory / "state" / "radiusd-mfa.sqlite3")) as database, database:
            database.execute("UPDATE sms_codes SET history = ''")

    def audit(self, user: User) -> list[tuple[str, str]]:
        """Return (outcome, reason) of each of a user's sign-ins, oldest first."""
        rows = self.command("audit", "list", "--user", user.name, "--kind", "sign-in")
        return [(row["outcome"], row["reason"]) for row in reversed(rows)]

    def findings(self) -> list[dict[str, str]]:
        """Ask the doctor."""
        command = self._command("doctor", "--json")
        done = subprocess.run(command, capture_output=True, text=True, env=self._environ, timeout=60, check=False)
        assert done.returncode in (0, 1), done.stderr
        found: list[dict[str, str]] = json.loads(done.stdout)["findings"]
        return found

    @contextmanager
    def serving(self, listen: str = "127.0.0.1:0") -> Iterator["Server"]:
        """Serve until the test is done."""
        command = self._command("serve", "--listen", listen)
        with running(command, log=self.directory / "serve.log", env=self._environ) as process:
            ready = process.wait_for(r"is ready on (\S+):(\d+)")
            yield Server(self, process, ready[1], int(ready[2]))

    def _command(self, *arguments: str) -> list[str]:
        return [*self.prefix, sys.executable, "-m", "radiusd_mfa", *arguments]

    @property
    def _environ(self) -> Mapping[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("RADIUSD_MFA_")}
        return inherited | {
            "RADIUSD_MFA_STATE_DIR": str(self.directory / "state"),
            "RADIUSD_MFA_REJECT_DELAY": "0.1",
            # Two workers and many clients share two processors; what the deadlines are for has tests of its own.
            "RADIUSD_MFA_DATABASE_DEADLINE": "15",
            "RADIUSD_MFA_REQUEST_DEADLINE": "20",
        }


@dataclass(frozen=True)
class Server:
    """A daemon that answers at `host:port`."""

    deployment: Deployment
    process: Process
    host: str
    port: int

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

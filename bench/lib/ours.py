"""Our server, set up as an administrator would: through the command line only, in a throw-away directory."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bench.lib.accounts import Population, lines
from bench.lib.packets import SECRET
from bench.lib.processes import Program

_CHUNK: Final = 100_000


@dataclass(frozen=True, slots=True)
class Server:
    """A running daemon; `started` is the seconds from its start to the line that says that it is ready."""

    pid: int
    target: tuple[str, int]
    started: float


@dataclass(slots=True)
class Installation:
    """One state directory with its database; `imports` is what each import took."""

    directory: Path
    url: str
    settings: Mapping[str, str] = field(default_factory=dict)
    imports: list[dict[str, float]] = field(default_factory=list)

    def init(self) -> None:
        """Make the database, and the NAS entry of the load generator: 127.0.0.1 and no other address."""
        self.directory.mkdir(mode=0o700)
        self._command("init")
        self._command("nas", "set", "localhost", "--secret-stdin", stdin=SECRET)

    def take_over(self, *populations: Population) -> None:
        """Import users from JSON lines with ready hashes, 100,000 at a time."""
        file = self.directory / "users.jsonl"
        for population in populations:
            for first in range(0, population.size, _CHUNK):
                stop = min(population.size, first + _CHUNK)
                with file.open("wb") as output:
                    output.writelines(lines(population, first=first, stop=stop))
                before = time.monotonic()
                self._command("user", "import", str(file))
                took = time.monotonic() - before
                self.imports.append({"users": stop - first, "before": first, "seconds": round(took, 2)})
        file.unlink(missing_ok=True)

    @contextmanager
    def serving(self, *, workers: int | None = None, **settings: object) -> Iterator[Server]:
        """Serve while the block lasts; settings by their names in the configuration."""
        command = [*_PROGRAM, "serve", "--listen", "127.0.0.1:0"]
        if workers is not None:
            command += ["--workers", str(workers)]
        extra = {f"RADIUSD_MFA_{name.upper()}": str(value) for name, value in settings.items()}
        before = time.monotonic()
        program = Program(command, log=self.directory / "serve.log", env=self._environ | extra)
        try:
            ready = program.wait_for(r"is ready on ([0-9.]+):(\d+)")
            yield Server(program.pid, (ready[1], int(ready[2])), time.monotonic() - before)
        finally:
            program.end()

    def _command(self, *arguments: str, stdin: bytes = b"") -> None:
        done = subprocess.run(
            [*_PROGRAM, *arguments],
            input=stdin,
            capture_output=True,
            env=self._environ,
            timeout=3600,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(arguments)}: {done.stderr.decode()}")

    @property
    def _environ(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("RADIUSD_MFA_")}
        own = {"RADIUSD_MFA_STATE_DIR": str(self.directory), "RADIUSD_MFA_DATABASE_URL": self.url}
        # What is measured is the hash that the users came with, from the first sign-in to the last.
        own["RADIUSD_MFA_UPGRADE_HASHES"] = "false"
        return inherited | own | dict(self.settings)


_PROGRAM: Final[Sequence[str]] = (sys.executable, "-m", "radiusd_mfa")


def on_sqlite(directory: Path, name: str = "sqlite") -> Installation:
    """Return an installation on SQLite, as it is without any setting."""
    return Installation(directory / name, f"sqlite:///{directory / name / 'radiusd-mfa.sqlite3'}")

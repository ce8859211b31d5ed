"""Every command of docs/policies is run, against a real server, and prints the lines that are shown there."""

import re
import shlex
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pyotp
import pytest

from radiusd_mfa.app import App
from radiusd_mfa.config import Config, Endpoint
from radiusd_mfa.server.daemon import Daemon
from tests.conftest import CHEAP, Cli, Ran

DOCS = Path(__file__).parent.parent / "docs" / "policies"
PAGES = sorted(path.stem for path in DOCS.glob("*.md") if path.stem != "README")
STEP = 30


@dataclass(frozen=True, slots=True)
class Line:
    """A command as it stands in a page, and the lines that are shown below it."""

    page: str
    typed: str
    shown: tuple[str, ...]


def lines_of(page: str) -> list[Line]:
    found: list[Line] = []
    for block in re.findall(r"^```console\n(.*?)^```$", (DOCS / f"{page}.md").read_text(), re.MULTILINE | re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            typed, *shown = part.rstrip("\n").split("\n")
            found.append(Line(page, typed, tuple(shown)))
    return found


@dataclass
class Phones:
    """The authenticators of everybody, each of which shows a code once."""

    apps: dict[str, pyotp.TOTP] = field(default_factory=dict)
    last: dict[str, int] = field(default_factory=dict)

    def take(self, user: str, ran: Ran) -> None:
        uri = re.search(r"otpauth://\S+", ran.stdout)
        assert uri is not None, ran
        app = pyotp.parse_uri(uri[0])
        assert isinstance(app, pyotp.TOTP)
        self.apps[user] = app

    def code(self, user: str) -> str:
        """Return a code of the window that was not shown before: of the step before this one, this one, the next."""
        step = max(self.last.get(user, 0) + 1, int(time.time() + 5) // STEP - 1)
        # Rarely: only where the page needs the third code just before a step ends.
        while step > time.time() // STEP + 1:
            time.sleep(0.2)
        self.last[user] = step
        return self.apps[user].generate_otp(step)


@contextmanager
def serving(app: App) -> Iterator[Daemon]:
    daemon = app.daemon([Endpoint.parse("127.0.0.1:0")])
    ready = threading.Event()
    thread = threading.Thread(target=lambda: daemon.run(ready=ready.set))
    thread.start()
    try:
        assert ready.wait(10)
        yield daemon
    finally:
        daemon.stop()
        thread.join(10)


@dataclass
class Reader:
    """Does what the page says, as a reader would."""

    cli: Cli
    daemon: Daemon
    phones: Phones = field(default_factory=Phones)

    def follow(self, line: Line) -> None:
        ran = self.run(line.typed)
        printed = ran.stdout + ran.stderr
        said = line.typed + "\n" + printed
        refused = any(shown.startswith(("radiusd-mfa:", "← Access-Reject")) for shown in line.shown)
        assert ran.exit_code == (1 if refused else 0), said
        rest = printed
        for shown in line.shown:
            match = re.search(pattern(shown), rest, re.MULTILINE)
            assert match, f"{line.page}: “{shown}” is not printed, in this order, by\n{said}"
            rest = rest[match.end() :]

    def run(self, typed: str) -> Ran:
        words = shlex.split(re.sub(r"\$([A-Z]+)_CODE", lambda found: self.phones.code(found[1].lower()), typed))
        stdin, arguments = piped(words)
        self.daemon.refresh()
        ran = self.cli(*arguments, stdin=stdin, env={"RADIUSD_MFA_LISTEN": self.daemon.addresses[0]})
        if arguments[:2] == ["mfa", "enrol"]:
            self.phones.take(arguments[2], ran)
        return ran


def piped(words: list[str]) -> tuple[str, list[str]]:
    """Split `echo TEXT | radiusd-mfa ...` or `printf '%s\\n' LINE LINE | radiusd-mfa ...` into input and arguments."""
    before, after = words[: words.index("|")] if "|" in words else [], words[words.index("radiusd-mfa") + 1 :]
    match before:
        case []:
            return "", after
        case ["echo", text]:
            return f"{text}\n", after
        case ["printf", "%s\\n", *texts]:
            return "".join(f"{text}\n" for text in texts), after
        case _:
            raise AssertionError(before)


def pattern(shown: str) -> str:
    """Match a whole line whose columns may be wider apart, and with anything where it has an ellipsis."""
    parts = [re.sub(r"(\\ )+", r"[ ]+", re.escape(part.strip())) for part in shown.split("…")]
    return "^[ ]*" + "[ ]*.*?[ ]*".join(parts) + "[ ]*$"


@pytest.fixture
def reader(cli: Cli, environ: dict[str, str]) -> Iterator[Reader]:
    assert cli("init").exit_code == 0
    app = App.open(Config.load(None, environ), profile=CHEAP)
    try:
        with serving(app) as daemon:
            yield Reader(cli, daemon)
    finally:
        app.close()


def test_the_five_systems_have_a_page_each_and_the_index_names_them() -> None:
    assert PAGES == ["company-accounts", "control-panel", "organisation", "permissions", "team-vpn"]
    index = (DOCS / "README.md").read_text()
    assert all(f"[{page}]({page}.md)" in index for page in PAGES)


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_tells_to_type_prints_what_it_shows(page: str, reader: Reader) -> None:
    lines = lines_of(page)
    assert len(lines) > 10
    for line in lines:
        reader.follow(line)


def test_a_line_that_is_not_printed_is_noticed(reader: Reader) -> None:
    with pytest.raises(AssertionError, match="is not printed"):
        reader.follow(Line("none", "radiusd-mfa team add acme", ("Team acme is removed.",)))
    with pytest.raises(AssertionError):
        reader.follow(Line("none", "radiusd-mfa team add acme", ("Team acme is added.",)))

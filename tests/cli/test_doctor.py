"""`radiusd-mfa doctor` on real installations: what ails them is found, and the command that it names mends it."""

import json
import shlex
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, insert, text, update

from radiusd_mfa.app import App
from radiusd_mfa.config import Config, Endpoint
from radiusd_mfa.core.totp import Algorithm, code_at, step_at
from radiusd_mfa.radius.wire import Code
from radiusd_mfa.server.daemon import Daemon
from radiusd_mfa.store import schema
from radiusd_mfa.store.database import sqlite_path
from radiusd_mfa.store.sightings import SightingTable
from radiusd_mfa.usecases import restore
from tests.conftest import CHEAP, Cli, Ran
from tests.support.world import TestNas

SECRET = "a shared secret of the tests"
SEED = b"12345678901234567890"
USER = '{"username": "%s", "password": "correct horse", "totp_secret": "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"}\n'
HARMLESS = {"receive-buffer"}
"""What may be found on any machine."""


@dataclass
class Site:
    """An installation: its App, its command line, and where its server listens."""

    app: App
    cli: Cli
    env: dict[str, str]

    def run(self, *arguments: str, stdin: str = "") -> Ran:
        return self.cli(*arguments, stdin=stdin, env=self.env)

    def nas(self, name: str, address: str, *options: str, secret: str = SECRET) -> None:
        line = ("nas", "add", name, "--address", address, "--surface", "vpn", "--secret-stdin", *options)
        assert self.run(*line, stdin=secret).exit_code == 0

    def users(self, *names: str) -> None:
        made = self.run("user", "import", "-", stdin="".join(USER % name for name in names))
        assert made.exit_code == 0, made.stderr

    def write(self, statement: Any) -> None:
        with self.app.database.writing() as connection:
            connection.execute(statement)

    def findings(self) -> dict[str, dict[str, str]]:
        """Return what is found, by the name of the check, without what any machine may have."""
        ran = self.run("doctor", "--json")
        assert ran.stderr == ""
        found = {each["check"]: each for each in ran.json["findings"] if each["check"] not in HARMLESS}
        problems = [each for each in ran.json["findings"] if each["weight"] == "problem"]
        assert ran.exit_code == (1 if problems else 0)
        assert ran.json["well"] is not bool(problems)
        return found

    def follow(self, finding: dict[str, str], stdin: str = SECRET) -> Ran:
        """Do what a finding says."""
        program, *arguments = shlex.split(finding["remedy"])
        assert program == "radiusd-mfa"
        return self.run(*arguments, stdin=stdin)

    @contextmanager
    def serving(self) -> Iterator[Daemon]:
        daemon = self.app.daemon([Endpoint.parse("127.0.0.1:0")])
        ready = threading.Event()
        thread = threading.Thread(target=lambda: daemon.run(ready=ready.set))
        thread.start()
        try:
            assert ready.wait(10)
            self.env["RADIUSD_MFA_LISTEN"] = daemon.addresses[0]
            yield daemon
        finally:
            daemon.stop()
            thread.join(10)


@pytest.fixture
def site(cli: Cli, environ: dict[str, str], database_url: str) -> Iterator[Site]:
    env = {"RADIUSD_MFA_DATABASE_URL": database_url}
    if path := sqlite_path(database_url):
        path.chmod(0o600)  # as `init` makes one
    assert cli("init", env=env).exit_code == 0
    app = App.open(Config.load(None, environ | env), profile=CHEAP)
    yield Site(app, cli, env)
    app.close()


def handed_on(site: Site, daemon: Daemon) -> None:
    daemon.sightings.hand_on(SightingTable(site.app.database).add, time.time())


@contextmanager
def client(daemon: Daemon, source: str, secret: str = SECRET) -> Iterator[TestNas]:
    nas = TestNas(daemon.addresses[0], source=source, secret=secret.encode())
    try:
        yield nas
    finally:
        nas.close()


def test_a_new_installation_with_a_server_is_well(site: Site) -> None:
    with site.serving():
        assert site.findings() == {}
        ran = site.run("doctor")
    assert ran.exit_code == 0
    assert "✗" not in ran.stdout
    assert "✓ NAS entries" in ran.stdout


def test_without_a_server_it_says_how_to_start_one(site: Site) -> None:
    # A port that was free a moment ago may be another test's by now, or even the one that the question leaves from.
    site.env["RADIUSD_MFA_LISTEN"] = "127.0.0.1:9"
    found = site.findings()
    assert found["no-server"]["remedy"] == "radiusd-mfa serve"
    assert set(found) == {"no-server"}


def test_a_server_that_is_silent_is_told_from_none(site: Site) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        site.env["RADIUSD_MFA_LISTEN"] = f"127.0.0.1:{silent.getsockname()[1]}"
        assert set(site.findings()) == {"silent-server"}


def test_a_wrong_secret_is_found_and_the_command_mends_it(site: Site) -> None:
    site.nas("office", "127.0.0.2")
    site.users("alice")
    other = "another shared secret"
    with site.serving() as daemon, client(daemon, "127.0.0.2", other) as nas:
        assert nas.is_ignored(nas.request("alice", b"x")[0])
        handed_on(site, daemon)
        found = site.findings()["wrong-secret"]
        assert found["where"] == "office"
        assert site.follow(found, stdin=other).exit_code == 0
        daemon.refresh()
        assert nas.ask("alice", b"wrong").code == Code.ACCESS_REJECT
        handed_on(site, daemon)
        assert site.findings() == {}


def test_a_wrong_secret_is_found_by_garbage_where_nothing_is_signed(site: Site) -> None:
    site.nas("office", "127.0.0.2", "--message-authenticator", "optional")
    with site.serving() as daemon, client(daemon, "127.0.0.2", "another shared secret") as nas:
        for _ in range(3):
            nas.send(nas.request("alice", b"correct horse", message_authenticator=False)[0])
            nas.socket.settimeout(8)
            nas.socket.recv(4096)
        handed_on(site, daemon)
        assert site.findings()["wrong-secret"]["remedy"] == "radiusd-mfa nas set office --secret-stdin"


def test_a_nas_that_does_not_sign_is_let_in_by_the_command(site: Site) -> None:
    site.nas("office", "127.0.0.2", "--message-authenticator", "require")
    with site.serving() as daemon, client(daemon, "127.0.0.2") as nas:
        assert nas.is_ignored(nas.request("alice", b"x", message_authenticator=False)[0])
        handed_on(site, daemon)
        assert site.follow(site.findings()["unsigned"]).exit_code == 0
        daemon.refresh()
        reply = nas.ask("alice", b"x", message_authenticator=False)
        assert reply.code == Code.ACCESS_REJECT
        handed_on(site, daemon)
        assert site.findings() == {}


def test_a_stranger_is_let_in_by_the_command(site: Site) -> None:
    with site.serving() as daemon, client(daemon, "127.0.0.9") as nas:
        for _ in range(3):
            nas.send(nas.request("alice", b"x")[0])
        assert nas.is_ignored(nas.request("alice", b"x")[0])
        handed_on(site, daemon)
        found = site.findings()["stranger"]
        assert found["where"] == "127.0.0.9"
        made = site.follow(found)
        assert made.exit_code == 0
        assert "shown this once" in made.stdout
        assert site.findings() == {}


def test_a_client_that_asks_again_by_itself_gets_the_grace_that_is_suggested(site: Site) -> None:
    site.nas("softether", "127.0.0.2")
    site.users("alice", "bob", "carol")
    with site.serving() as daemon, client(daemon, "127.0.0.2") as nas:
        for name in ("alice", "bob", "carol"):
            typed = b"correct horse" + code_at(step_at(time.time(), 30), SEED, 6, Algorithm.SHA1).encode()
            assert nas.ask(name, typed).code == Code.ACCESS_ACCEPT
            assert nas.ask(name, typed).code == Code.ACCESS_REJECT
        found = site.findings()["retry-grace"]
        assert (found["weight"], found["where"]) == ("advice", "softether")
        assert site.follow(found).exit_code == 0
        assert "retry-grace" not in site.findings()


def test_challenges_that_nobody_answers_and_those_that_nobody_is_given_are_found(site: Site) -> None:
    site.nas("mute", "127.0.0.2", "--challenge", "on")
    site.nas("plain", "127.0.0.3")
    site.users(*(f"user{number}" for number in range(6)))
    with site.serving() as daemon:
        for number in range(3):
            with client(daemon, "127.0.0.2") as nas:
                assert nas.ask(f"user{number}", b"correct horse").code == Code.ACCESS_CHALLENGE
            with client(daemon, "127.0.0.3") as nas:
                assert nas.ask(f"user{number + 3}", b"correct horse").code == Code.ACCESS_REJECT
        handed_on(site, daemon)
        found = site.findings()
        assert found["challenge-unanswered"]["remedy"] == "radiusd-mfa nas set mute --challenge off"
        assert found["challenge-missed"]["remedy"] == "radiusd-mfa nas set plain --challenge on"
        assert site.follow(found["challenge-unanswered"]).exit_code == 0
        assert site.follow(found["challenge-missed"]).exit_code == 0
        assert site.findings() == {}


def test_ranges_within_ranges_and_short_secrets_are_found(site: Site) -> None:
    site.nas("office", "192.0.2.0/24", secret="eleven octs")
    site.nas("gate", "192.0.2.7")
    with site.serving():
        found = site.findings()
        assert "Within its range 192.0.2.0/24 lie 192.0.2.7/32 of “gate”" in found["overlap"]["what"]
        assert site.follow(found["short-secret"]).exit_code == 0
        assert set(site.findings()) == {"overlap"}


def test_what_other_programs_wrote_wrongly_is_found(site: Site) -> None:
    for team in ("ops", "lab"):
        assert site.run("team", "add", team).exit_code == 0
    site.users("alice")
    site.nas("office", "192.0.2.0/24")
    site.write(update(schema.teams).where(schema.teams.c.name == "ops").values(policy="mode = 'enfroce'"))
    team_id = text("(SELECT id FROM teams WHERE name = 'lab')")
    site.write(insert(schema.reply_profiles).values(team_id=team_id, role="admin", attributes="Filter-Id = "))
    site.write(update(schema.users).values(password_hash="$1$md5$crypt"))
    site.write(update(schema.nas).where(schema.nas.c.name == "office").values(address="the office"))
    with site.serving():
        found = site.findings()
    assert "enfroce" in found["policy"]["what"]
    assert found["profile"]["remedy"] == "radiusd-mfa profile set lab --role admin FILE"
    assert set(found) == {"policy", "profile", "hashes", "left-out"}


def test_those_who_must_enrol_are_counted(site: Site) -> None:
    for team, preset in (("ops", "strict"), ("lab", "voluntary")):
        assert site.run("team", "add", team).exit_code == 0
        assert site.run("policy", "apply", team, f"preset:{preset}").exit_code == 0
    site.users("alice")
    for name in ("bob", "carol", "dave", "erin"):
        site.run("user", "add", name, "--password-stdin", stdin="correct horse")
    for name, team in (("alice", "ops"), ("bob", "ops"), ("bob", "lab"), ("carol", "lab"), ("erin", "ops")):
        assert site.run("member", "add", team, name, "--role", "member").exit_code == 0
    assert site.run("user", "disable", "erin").exit_code == 0
    with site.serving():
        # Bob in a team that requires it, Dave in none; Carol's team leaves it to her.
        assert site.findings()["unenrolled"]["what"].startswith("2 users have no second factor")


def test_a_restored_database_a_wrong_clock_and_a_stuck_outbox_are_found(site: Site) -> None:
    now = time.time()
    site.app.audit_chain.seal(now)
    restore.set_mark(chain=site.app.audit_chain, marks=site.app.marks)
    site.write(delete(schema.audit_seals))
    row = {"kind": "sign-in", "outcome": "accept", "reason": "totp"}
    site.write(insert(schema.audit).values(at=now + 3_600, **row))
    mail = {"kind": "reset", "channel": "mail", "recipient": "alice@example.com", "created_at": now - 7_200}
    site.write(insert(schema.outbox).values(due_at=now - 7_000, expires_at=now + 3_600, last_error="refused", **mail))
    site.write(insert(schema.outbox).values(due_at=None, expires_at=now - 60, **mail))
    env = {"RADIUSD_MFA_SMTP_HOST": "mail.example.com", "RADIUSD_MFA_MAIL_FROM": "mfa@example.com"}
    site.env |= env
    found = site.findings()
    assert found["restored"]["remedy"] == "radiusd-mfa db accept-restore"
    assert found["outbox-stuck"]["what"].endswith(": refused")
    assert set(found) == {"restored", "clock-set-back", "outbox-stuck", "given-up", "portal-url"}


def test_unsealed_rows_are_found(site: Site) -> None:
    row = {"kind": "sign-in", "outcome": "accept", "reason": "totp"}
    site.write(insert(schema.audit).values(at=time.time() - 300, **row))
    assert site.findings()["unsealed"]["weight"] == "advice"


def test_what_others_can_read_is_found_and_the_command_mends_it(ready: Cli, environ: dict[str, str]) -> None:
    state = Path(environ["RADIUSD_MFA_STATE_DIR"])
    state.chmod(0o755)
    (state / "radiusd-mfa.sqlite3").chmod(0o644)
    found = [each for each in ready("doctor", "--json").json["findings"] if each["check"] == "mode"]
    assert {each["remedy"] for each in found} == {
        f"chmod 0700 {state}",
        *(f"chmod 0600 {state / name}" for name in ("radiusd-mfa.sqlite3",)),
    }


# What keeps it from looking is told with the rest, and never by a traceback.


def lines(ran: Ran) -> Sequence[str]:
    assert ran.exit_code == 1
    assert "Traceback" not in ran.stdout + ran.stderr
    assert ran.stderr == ""
    return ran.stdout.splitlines()


def test_without_a_database_the_rest_is_told(cli: Cli) -> None:
    printed = "\n".join(lines(cli("doctor")))
    assert "There is no database at" in printed
    assert "radiusd-mfa init" in printed
    assert "does not exist; restore it" in " ".join(printed.split()), "the key file is missing too"
    assert "? NAS entries: not looked at" in printed


def test_bad_settings_are_all_named_at_once(ready: Cli, tmp_path: Path) -> None:
    settings = tmp_path / "settings.toml"
    settings.write_text('listen = "nowhere"\nrejct_delay = 1\n')
    ran = ready(
        "doctor", "--json", "--config", str(settings), env={"RADIUSD_MFA_WORKERS": "many", "RADIUSD_MFA_LISTEN": ""}
    )
    assert ran.exit_code == 1
    said = [each["what"] for each in ran.json["findings"] if each["area"] == "settings"]
    assert len(said) == 3
    assert "database" in ran.json["not_looked_at"]
    missing = ready("doctor", "--config", "/nowhere/at/all.toml")
    assert "/nowhere/at/all.toml: cannot be read" in "\n".join(lines(missing))


def test_with_the_key_of_another_database_all_that_needs_no_key_is_looked_at(site: Site, tmp_path: Path) -> None:
    other = tmp_path / "other"
    assert site.run("init").exit_code == 0
    assert site.cli("init", env={"RADIUSD_MFA_STATE_DIR": str(other), "RADIUSD_MFA_DATABASE_URL": ""}).exit_code == 0
    site.nas("office", "192.0.2.0/24")
    site.nas("gate", "192.0.2.7")
    site.env["RADIUSD_MFA_KEY_FILE"] = f"{other}/radiusd-mfa.key"
    found = site.findings()
    assert found["trouble"]["area"] == "keys"
    assert set(found) == {"trouble", "overlap"}, "a key that is wrong is told once, and not for every entry"


def test_a_key_file_that_others_can_read_is_told_with_the_command(ready: Cli, environ: dict[str, str]) -> None:
    (Path(environ["RADIUSD_MFA_STATE_DIR"]) / "radiusd-mfa.key").chmod(0o644)
    assert "chmod 600" in " ".join(" ".join(lines(ready("doctor"))).split())


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE alembic_version SET version_num = '9999'", "A newer radiusd-mfa has upgraded this database"),
        ("UPDATE alembic_version SET version_num = '0001'", "radiusd-mfa db upgrade"),
        ("DELETE FROM meta", "was never initialised"),
    ],
)
def test_a_database_that_does_not_fit_is_told(site: Site, statement: str, said: str) -> None:
    site.write(text(statement))
    found = site.findings()
    assert said in found["trouble"]["what"]
    assert found["trouble"]["area"] == "database"


def test_a_database_that_is_none_or_gone_is_told(ready: Cli, environ: dict[str, str]) -> None:
    path = Path(environ["RADIUSD_MFA_STATE_DIR"]) / "other.sqlite3"
    path.write_text("this is no database " * 100)
    path.chmod(0o600)
    none = lines(ready("doctor", env={"RADIUSD_MFA_DATABASE_URL": f"sqlite:///{path}"}))
    assert any("not a database" in line for line in none)
    gone = lines(ready("doctor", env={"RADIUSD_MFA_DATABASE_URL": "postgresql://u:canary@127.0.0.1:1/x"}))
    assert any("refused" in line for line in gone)
    assert "canary" not in "".join(gone)


def test_foreign_text_can_not_steer_the_terminal(site: Site) -> None:
    site.write(insert(schema.teams).values(name="evil\x1b]0;x\x07", policy="a\x1b = 1", created_at=0))
    for line in (("doctor",), ("doctor", "--json")):
        ran = site.run(*line)
        assert ran.exit_code == 1
        assert not {"\x1b", "\x07"} & set(ran.stdout)
        assert "evil" in ran.stdout


def test_a_person_can_not_ask_the_doctor(ready: Cli) -> None:
    ready("user", "add", "alice", "--password-stdin", stdin="correct horse")
    ran = ready("doctor", "--as", "alice", stdin="correct horse\n\n")
    assert ran.exit_code == 1
    assert ran.stdout == ""


def test_the_program_as_a_process_ends_with_the_same_codes(run_cli: Cli) -> None:
    assert run_cli("doctor").exit_code == 1
    assert run_cli("init").exit_code == 0
    ran = run_cli("doctor", "--json")  # no port is configured, so nobody is asked
    assert (ran.exit_code, ran.stderr) == (0, "")
    assert json.loads(ran.stdout)["well"] is True

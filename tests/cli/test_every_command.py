"""What holds for each command, whatever it does: bad input ends with a sentence and the right exit code."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from sqlalchemy import text

from radiusd_mfa.cli.main import PLACES, radiusd_mfa
from radiusd_mfa.store.database import Database
from tests.conftest import Cli

# A line for each command that would work after the preparations below; `try`, `serve` and `demo` have their own tests.
LINES = {
    "nas add": ("nas", "add", "gate", "--address", "192.0.2.1", "--surface", "vpn", "--generate-secret"),
    "nas set": ("nas", "set", "localhost", "--challenge", "on"),
    "nas list": ("nas", "list"),
    "nas show": ("nas", "show", "localhost"),
    "nas remove": ("nas", "remove", "localhost"),
    "team add": ("team", "add", "dev"),
    "team list": ("team", "list"),
    "team show": ("team", "show", "ops"),
    "team plan": ("team", "plan", "ops", "no-mfa"),
    "team remove": ("team", "remove", "ops"),
    "user add": ("user", "add", "bob", "--password-stdin"),
    "user list": ("user", "list"),
    "user show": ("user", "show", "alice"),
    "user disable": ("user", "disable", "alice"),
    "user enable": ("user", "enable", "alice"),
    "user remove": ("user", "remove", "alice"),
    "user password": ("user", "password", "alice", "--password-stdin"),
    "user import": ("user", "import", "-"),
    "member add": ("member", "add", "ops", "alice", "--role", "owner"),
    "member list": ("member", "list", "ops"),
    "member set": ("member", "set", "ops", "carol", "--role", "owner"),
    "member remove": ("member", "remove", "ops", "carol"),
    "mfa enrol": ("mfa", "enrol", "alice"),
    "mfa confirm": ("mfa", "confirm", "alice", "--code-stdin"),
    "mfa show": ("mfa", "show", "alice"),
    "mfa backup-codes": ("mfa", "backup-codes", "dave", "--without-code"),
    "mfa delete": ("mfa", "delete", "dave"),
    "mfa reset": ("mfa", "reset", "dave", "--show-link"),
    "mfa redeem": ("mfa", "redeem", "alice"),
    "mfa disable": ("mfa", "disable", "dave", "--yes"),
    "mfa revoke": ("mfa", "revoke", "dave", "--now"),
    "realm add": ("realm", "add", "corp.example", "--team", "ops"),
    "realm list": ("realm", "list"),
    "realm remove": ("realm", "remove", "lab"),
    "policy show": ("policy", "show", "lab"),
    "policy plan": ("policy", "plan", "ops", "preset:team-vpn"),
    "policy apply": ("policy", "apply", "ops", "preset:team-vpn"),
    "policy remove": ("policy", "remove", "lab", "--yes"),
    "policy simulate": ("policy", "simulate", "ops", "preset:strict", "--days", "7"),
    "profile set": ("profile", "set", "ops", "--role", "member", "-"),
    "profile list": ("profile", "list", "ops"),
    "profile remove": ("profile", "remove", "lab"),
    "sessions list": ("sessions", "list"),
    "sessions disconnect": ("sessions", "disconnect", "dave", "--yes"),
    "explain": ("explain", "carol", "--nas", "localhost"),
    "outbox list": ("outbox", "list"),
    "outbox retry": ("outbox", "retry", "--all"),
    "audit list": ("audit", "list"),
    "audit verify": ("audit", "verify"),
    "audit prune": ("audit", "prune", "--before", "365d", "--yes"),
    "keys status": ("keys", "status"),
    "keys rotate": ("keys", "rotate"),
    "db status": ("db", "status"),
    "db upgrade": ("db", "upgrade"),
}
STDIN = {
    "user import": '{"username": "x", "password": "y"}\n',
    "mfa confirm": "000000\n",
    "profile set": 'Filter-Id = "staff"\n',
}
OWN_TESTS = {
    "serve",
    "portal",
    "try",
    "demo",
    "top",
    "init",
    "doctor",
    "outbox run",
    "policy presets",
    "audit export",
    "db accept-restore",
    "keys remove",
}
USERS = '{"username": "%s", "password": "p", "totp_secret": "GEZDGNBVGY3TQOJQ"}\n'
EVERY = pytest.mark.parametrize("name", LINES)


def leaves(group: click.Group, prefix: str = "") -> Iterator[tuple[str, click.Command]]:
    """Yield the full name of each command that does something."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from leaves(command, f"{prefix}{name} ")
        else:
            yield f"{prefix}{name}", command


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the state of the prepared machine is kept: it is made once, and each test has a copy."""
    return tmp_path_factory.mktemp("machine") / "state"


@pytest.fixture
def prepared(cli: Cli, environ: dict[str, str], machine: Path) -> Cli:
    state = Path(environ["RADIUSD_MFA_STATE_DIR"])
    if not machine.exists():
        prepare(cli)
        shutil.copytree(state, machine)
        return cli
    shutil.copytree(machine, state)
    return cli


def prepare(ready: Cli) -> None:
    assert ready("init").exit_code == 0
    for team in ("ops", "lab"):
        ready("team", "add", team)
    ready("policy", "apply", "lab", "preset:voluntary")
    ready("profile", "set", "lab", "-", stdin="Class = 0x01")
    for name in ("alice", "carol"):
        ready("user", "add", name, "--password-stdin", stdin="correct horse")
    ready("member", "add", "ops", "carol", "--role", "member")
    ready("user", "import", "-", stdin=USERS % "dave")
    ready("mfa", "enrol", "alice")


def test_every_command_has_a_line_here() -> None:
    assert {name for name, _ in leaves(radiusd_mfa)} - OWN_TESTS == set(LINES)
    assert {name.split()[0] for name in {*LINES, *OWN_TESTS}} == set(PLACES)


@EVERY
def test_a_command_prints_one_json_document_wherever_json_stands(prepared: Cli, name: str) -> None:
    line, stdin = LINES[name], STDIN.get(name, "pw\n")
    first = prepared("--json", *line, stdin=stdin)
    if name in ("mfa confirm", "mfa redeem"):
        assert first.exit_code == 1  # no code of this app and no link; the right ones have tests of their own
        assert first.stdout == ""
        return
    assert (first.exit_code, first.stderr) == (0, "")
    assert isinstance(first.json, list if name.endswith("list") else dict)


@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_json_and_config_are_taken_anywhere_on_the_line(ready: Cli, place: int) -> None:
    line = ["nas", "show", "localhost"]
    line[place:place] = ["--json"]
    assert ready(*line).json["address"] == "127.0.0.1/32"
    line[place:place] = ["--config", "/nowhere/at/all.toml"]
    assert ready(*line).exit_code == 2


@EVERY
def test_without_a_database_a_command_says_which_one_makes_it(cli: Cli, name: str) -> None:
    ran = cli(*LINES[name], "--json", stdin=STDIN.get(name, "pw\n"))
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert "There is no database at" in ran.stderr
    assert "radiusd-mfa init" in ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize("name", [name for name in LINES if not name.startswith("db ")])
def test_with_a_key_file_of_another_database_nothing_is_done(
    prepared: Cli, name: str, environ: dict[str, str], cli: Cli
) -> None:
    other = environ["RADIUSD_MFA_STATE_DIR"] + "2"
    assert cli("init", env={"RADIUSD_MFA_STATE_DIR": other}).exit_code == 0
    ran = prepared(
        *LINES[name], stdin=STDIN.get(name, "pw\n"), env={"RADIUSD_MFA_KEY_FILE": f"{other}/radiusd-mfa.key"}
    )
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert "key" in ran.stderr
    assert "Traceback" not in ran.stderr


@EVERY
def test_a_database_of_a_newer_program_is_left_alone(prepared: Cli, name: str, environ: dict[str, str]) -> None:
    database = Database(f"sqlite:///{environ['RADIUSD_MFA_STATE_DIR']}/radiusd-mfa.sqlite3")
    with database.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    database.close()
    ran = prepared(*LINES[name], stdin=STDIN.get(name, "pw\n"))
    assert ran.exit_code == 2
    assert "newer radiusd-mfa" in ran.stderr


@EVERY
def test_bad_settings_are_all_named_at_once(prepared: Cli, name: str) -> None:
    ran = prepared(*LINES[name], env={"RADIUSD_MFA_LISTEN": "nowhere", "RADIUSD_MFA_REJECT_DELAY": "soon"})
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert "RADIUSD_MFA_LISTEN" in ran.stderr
    assert "RADIUSD_MFA_REJECT_DELAY" in ran.stderr


@EVERY
def test_an_unknown_option_is_wrong_usage(prepared: Cli, name: str) -> None:
    ran = prepared(*LINES[name], "--no-such-option")
    assert ran.exit_code == 2
    assert "--no-such-option" in ran.stderr


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        (("nas", "show", "lcalhost"), "localhost"),
        (("nas", "set", "lcalhost", "--challenge", "on"), "localhost"),
        (("nas", "remove", "lcalhost"), "localhost"),
        (("nas", "set", "localhost", "--team", "obs"), "ops"),
        (("team", "show", "obs"), "ops"),
        (("team", "plan", "obs", "mfa"), "ops"),
        (("team", "remove", "obs"), "ops"),
        (("user", "show", "alcie"), "alice"),
        (("user", "disable", "alcie"), "alice"),
        (("user", "enable", "alcie"), "alice"),
        (("user", "remove", "alcie"), "alice"),
        (("user", "password", "alcie", "--password-stdin"), "alice"),
        (("member", "add", "ops", "alcie", "--role", "owner"), "alice"),
        (("member", "add", "obs", "alice", "--role", "owner"), "ops"),
        (("member", "set", "ops", "alcie", "--role", "owner"), "alice"),
        (("member", "remove", "obs", "alice"), "ops"),
        (("member", "list", "obs"), "ops"),
        (("mfa", "enrol", "alcie"), "alice"),
        (("mfa", "confirm", "alcie", "--code-stdin"), "alice"),
        (("mfa", "show", "alcie"), "alice"),
        (("mfa", "delete", "alcie"), "alice"),
        (("mfa", "backup-codes", "alcie", "--without-code"), "alice"),
        (("mfa", "reset", "alcie"), "alice"),
        (("mfa", "disable", "alcie", "--yes"), "alice"),
        (("mfa", "revoke", "alcie", "--now"), "alice"),
        (("realm", "add", "corp", "--team", "obs"), "ops"),
        (("realm", "remove", "obs"), "ops"),
        (("policy", "show", "obs"), "ops"),
        (("policy", "show", "obs", "--history"), "ops"),
        (("policy", "plan", "obs", "preset:strict"), "ops"),
        (("policy", "apply", "obs", "preset:strict"), "ops"),
        (("policy", "remove", "obs", "--yes"), "ops"),
        (("policy", "simulate", "obs", "preset:strict"), "ops"),
        (("profile", "remove", "obs"), "ops"),
        (("profile", "list", "obs"), "ops"),
        (("explain", "alice", "--nas", "lcalhost"), "localhost"),
    ],
)
def test_a_name_that_nobody_has_is_refused_with_the_one_that_may_be_meant(
    prepared: Cli, line: tuple[str, ...], meant: str
) -> None:
    ran = prepared(*line, "--json", stdin="123456")
    assert (ran.exit_code, ran.stdout) == (1, "")
    assert f"is {meant} meant?" in ran.stderr


@pytest.mark.parametrize("name", ["", "a\nb", "a\x1b[31mb", "a\0b", "x" * 254, "\udcff"])
def test_what_can_be_nobodys_name_is_wrong_usage_and_never_reaches_the_terminal_raw(ready: Cli, name: str) -> None:
    ran = ready("user", "show", name)
    assert ran.exit_code == 2
    assert not {"\x1b", "\0"} & set(ran.stderr)


def test_foreign_text_in_the_database_can_not_steer_the_terminal(ready: Cli, environ: dict[str, str]) -> None:
    database = Database(f"sqlite:///{environ['RADIUSD_MFA_STATE_DIR']}/radiusd-mfa.sqlite3")
    with database.writing() as connection:
        statement = "INSERT INTO users (name, email, created_at) VALUES (:name, :name, 0)"
        connection.execute(text(statement), {"name": "evil\x1b]0;title\x07\n\u202e"})
    database.close()
    for line in (("user", "list"), ("user", "list", "--json")):
        ran = ready(*line)
        assert ran.exit_code == 0
        assert not {"\x1b", "\x07", "\u202e"} & set(ran.stdout)
    assert len(ready("user", "list").stdout.splitlines()) == 2


def test_a_database_that_is_none_ends_with_a_sentence(ready: Cli, environ: dict[str, str]) -> None:
    path = f"{environ['RADIUSD_MFA_STATE_DIR']}/other.sqlite3"
    with open(path, "w", encoding="ascii") as file:  # noqa: PTH123 - as any program would damage it
        file.write("this is no database " * 100)
    ran = ready("nas", "list", env={"RADIUSD_MFA_DATABASE_URL": f"sqlite:///{path}"})
    assert ran.exit_code == 1
    assert ran.stderr.count("\n") == 1
    assert "Traceback" not in ran.stderr


def test_a_database_server_that_does_not_answer_ends_with_a_sentence(ready: Cli) -> None:
    ran = ready("nas", "list", env={"RADIUSD_MFA_DATABASE_URL": "postgresql://u:canary@127.0.0.1:1/x"})
    assert ran.exit_code == 1
    assert "canary" not in ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize(
    "line",
    [
        ("user", "add", "bob"),
        ("user", "password", "alice"),
        ("nas", "add", "gate", "--address", "192.0.2.1", "--surface", "vpn"),
        ("mfa", "confirm", "alice"),
        ("mfa", "backup-codes", "alice"),
    ],
)
def test_a_secret_is_asked_for_only_at_a_terminal(ready: Cli, line: tuple[str, ...]) -> None:
    ran = ready(*line, stdin="a secret that nobody announced\n")
    assert ran.exit_code == 2
    assert "no terminal" in ran.stderr
    assert "stdin" in ran.stderr


def test_every_help_has_an_example(cli: Cli) -> None:
    for name, _ in leaves(radiusd_mfa):
        ran = cli(*name.split(), "--help")
        assert ran.exit_code == 0
        assert f"  radiusd-mfa {name}" in ran.stdout.partition("Example")[2], name


def test_the_program_runs_as_a_process_and_ends_with_the_same_codes(run_cli: Cli) -> None:
    assert run_cli("nas", "list").exit_code == 2
    made = run_cli("init", "--json")
    assert made.exit_code == 0
    assert json.loads(made.stdout)["nas"]["name"] == "localhost"
    refused = run_cli("nas", "remove", "lcalhost")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert refused.stderr == "radiusd-mfa: There is no NAS entry “lcalhost”; is localhost meant?\n"


@pytest.mark.usefixtures("ready")
@pytest.mark.parametrize(
    "line", ["nas list > /dev/full", "audit export > /dev/full", "user add bob <&-", "nas list >&-"]
)
def test_a_full_disk_and_a_closed_descriptor_end_without_a_traceback(line: str, environ: dict[str, str]) -> None:
    shell = ["sh", "-c", f"{sys.executable} -m radiusd_mfa {line}"]
    ran = subprocess.run(shell, env=os.environ | environ, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert ran.returncode in (0, 1, 2)
    assert "Traceback" not in ran.stderr
    assert "Exception ignored" not in ran.stderr

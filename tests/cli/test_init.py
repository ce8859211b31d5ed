import stat
from pathlib import Path

from tests.conftest import Cli


def _state(environ: dict[str, str]) -> Path:
    return Path(environ["RADIUSD_MFA_STATE_DIR"])


def test_init_makes_everything_and_nobody_else_can_read_it(cli: Cli, environ: dict[str, str]) -> None:
    made = cli("init", "--json")
    assert made.exit_code == 0
    assert made.json["made"] == ["state_dir", "key_file", "database", "schema"]
    state = _state(environ)
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    files = list(state.iterdir())
    assert {path.name for path in files} >= {"radiusd-mfa.key", "radiusd-mfa.sqlite3"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


def test_init_twice_is_harmless_and_shows_no_secret_again(cli: Cli, environ: dict[str, str]) -> None:
    secret = cli("init", "--json").json["nas"]["secret"]
    key = (_state(environ) / "radiusd-mfa.key").read_bytes()
    again = cli("init", "--json")
    assert (again.exit_code, again.json["made"], again.json["nas"]) == (0, [], None)
    assert secret not in cli("init").stdout
    assert (_state(environ) / "radiusd-mfa.key").read_bytes() == key
    assert len(cli("nas", "list", "--json").json) == 1


def test_init_does_not_make_a_new_key_for_a_database_whose_key_is_lost(ready: Cli, environ: dict[str, str]) -> None:
    key = _state(environ) / "radiusd-mfa.key"
    key.unlink()
    ran = ready("init")
    assert ran.exit_code == 2
    assert "restore it" in ran.stderr
    assert not key.exists()


def test_the_first_entry_can_be_replaced(ready: Cli) -> None:
    line = ("nas", "add", "mine", "--address", "127.0.0.1", "--surface", "vpn", "--secret-stdin")
    refused = ready(*line, stdin="a long enough secret")
    assert refused.exit_code == 1
    assert "localhost" in refused.stderr
    assert ready("nas", "remove", "localhost").exit_code == 0
    assert ready(*line, stdin="a long enough secret").exit_code == 0
    assert ready("init").exit_code == 0
    assert [row["name"] for row in ready("nas", "list", "--json").json] == ["mine"]


def test_a_key_file_that_others_can_read_is_refused_with_the_command_that_helps(
    ready: Cli, environ: dict[str, str]
) -> None:
    key = _state(environ) / "radiusd-mfa.key"
    key.chmod(0o644)
    ran = ready("nas", "list")
    assert ran.exit_code == 2
    assert f"chmod 600 {key}" in ran.stderr


def test_init_works_on_postgresql_too(cli: Cli, postgresql_url: str) -> None:
    env = {"RADIUSD_MFA_DATABASE_URL": postgresql_url}
    assert cli("init", "--json", env=env).json["made"] == ["state_dir", "key_file", "database"]
    assert cli("nas", "list", "--json", env=env).json[0]["name"] == "localhost"
    assert cli("db", "status", "--json", env=env).json["current"]

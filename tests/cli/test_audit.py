"""What the audit commands print and how they end; what they find is tested with the chain."""

import json
import sqlite3

import pytest

from tests.conftest import Cli


@pytest.fixture
def altered(ready: Cli, environ: dict[str, str]) -> Cli:
    """A log one of whose sealed rows was changed."""
    assert ready("user", "add", "alice", "--password-stdin", stdin="correct horse").exit_code == 0
    assert ready("audit", "verify").exit_code == 0
    with sqlite3.connect(f"{environ['RADIUSD_MFA_STATE_DIR']}/radiusd-mfa.sqlite3") as connection:
        connection.execute("UPDATE audit SET actor = 'mallory' WHERE user_name = 'alice'")
    connection.close()
    return ready


def test_a_change_behind_the_programs_back_is_named_and_ends_with_1(altered: Cli) -> None:
    ran = altered("audit", "verify")
    assert ran.exit_code == 1
    assert "was changed." in ran.stdout
    assert "1 finding." in ran.stderr
    shown = altered("audit", "verify", "--json")
    assert shown.exit_code == 1
    assert (shown.json["intact"], shown.json["findings"][0]["kind"]) == (False, "changed")


def test_an_intact_log_ends_with_0_and_says_how_far_it_goes(ready: Cli) -> None:
    ran = ready("audit", "verify", "--json")
    assert ran.exit_code == 0
    assert (ran.json["intact"], ran.json["unsealed"], ran.json["last"]["seal"]) == (True, 0, 1)


def test_an_export_is_one_json_object_a_line(ready: Cli) -> None:
    ready("user", "add", "alice", "--password-stdin", stdin="correct horse")
    lines = ready("audit", "export").stdout.splitlines()
    rows = [json.loads(line) for line in lines]
    assert rows[-1]["reason"] == "user-add"
    assert [row["id"] for row in rows] == sorted(row["id"] for row in rows)
    assert ready("audit", "export", "--after", str(rows[-1]["id"])).stdout == ""
    assert ready("audit", "export", "--json").stdout.splitlines()[: len(lines)] == lines


def test_pruning_is_asked_for_at_a_terminal_only(ready: Cli) -> None:
    ran = ready("audit", "prune", "--before", "365d")
    assert ran.exit_code == 2
    assert "--yes" in ran.stderr


def test_the_last_month_is_not_pruned(ready: Cli) -> None:
    ran = ready("audit", "prune", "--before", "1d", "--yes")
    assert (ran.exit_code, ran.stdout) == (1, "")
    assert "30 days" in ran.stderr


def test_nothing_is_accepted_where_nothing_is_lost(ready: Cli) -> None:
    assert ready("db", "accept-restore").exit_code == 2
    ran = ready("db", "accept-restore", "--yes")
    assert ran.exit_code == 1
    assert "nothing to accept" in ran.stderr
    assert ready("db", "accept-restore", "--yes", "--even-unseen", "--json").json["seen"] is None

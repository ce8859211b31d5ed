"""Policies, realms, profiles and explanations at the command line."""

import json
import re
from pathlib import Path

import pytest
from sqlalchemy import text

from radiusd_mfa.cli.policy_files import MOST_OCTETS, all_presets, preset
from radiusd_mfa.core.policy import parse
from radiusd_mfa.core.policy_words import sentences
from radiusd_mfa.core.verdict import Reason
from radiusd_mfa.shipped import presets
from radiusd_mfa.store.database import Database
from radiusd_mfa.usecases import reasons
from tests.conftest import Cli

DOCS = Path(__file__).parent.parent.parent / "docs"
PRESETS = [each.name for each in all_presets()]
FIVE = {"team-vpn", "control-panel", "company-accounts", "permissions", "organisation"}


@pytest.fixture
def ops(ready: Cli) -> Cli:
    ready("team", "add", "ops")
    ready("user", "add", "olga", "--password-stdin", stdin="correct horse")
    ready("member", "add", "ops", "olga", "--role", "owner")
    return ready


# Presets


def test_each_of_the_five_systems_has_a_preset() -> None:
    assert set(PRESETS) >= {*FIVE, "report-only", "strict", "remote-access", "voluntary"}


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_a_policy_says_what_it_does_and_is_documented(name: str) -> None:
    one = preset(name)
    assert sentences(parse(one.text))
    assert 40 < len(one.summary) < 120
    assert one.summary.endswith(".")
    assert f"`{name}`" in (presets() / "README.md").read_text(encoding="utf-8")


def test_a_date_that_a_preset_proposes_is_one() -> None:
    lines = [line for each in all_presets() for line in re.findall(r"^# (enrol_by = .*)$", each.text, re.MULTILINE)]
    assert lines
    assert all(parse(line).enrol_by for line in lines)


def test_presets_are_listed_and_printed_without_any_database(cli: Cli) -> None:
    listed = cli("policy", "presets", "--json")
    assert [each["name"] for each in listed.json] == PRESETS
    assert cli("policy", "presets", "strict").stdout.rstrip("\n") == preset("strict").text.rstrip("\n")
    assert cli("policy", "presets", "strict", "--json").json["text"] == preset("strict").text


@pytest.mark.parametrize("line", [("policy", "presets", "stirct"), ("policy", "plan", "ops", "preset:stirct")])
def test_a_preset_that_there_is_not_is_wrong_usage_with_the_one_that_may_be_meant(
    ops: Cli, line: tuple[str, ...]
) -> None:
    ran = ops(*line)
    assert ran.exit_code == 2
    assert "is strict meant?" in ran.stderr


def test_what_the_document_shows_as_a_policy_is_one() -> None:
    shown = re.findall(r"^```toml\n(.*?)^```$", (DOCS / "policy.md").read_text(), flags=re.MULTILINE | re.DOTALL)
    assert len(shown) == 1
    assert parse(shown[0]).require_all_owners


# Files


def test_a_policy_comes_from_a_file_standard_input_or_a_preset(ops: Cli, tmp_path: Path) -> None:
    file = tmp_path / "ops.toml"
    file.write_text("require = []\n")
    for source, stdin in ((str(file), ""), ("-", "require = []\n"), ("preset:voluntary", "")):
        assert ops("policy", "apply", "ops", source, "--json", stdin=stdin).exit_code == 0
        assert ops("policy", "show", "ops", "--json").json["means"] == [
            "Nobody must give a second factor who has none."
        ]


@pytest.mark.parametrize("octets", [b"\xff", b"#" * (MOST_OCTETS + 1)])
def test_what_is_no_text_or_far_too_much_is_wrong_usage(ops: Cli, octets: bytes) -> None:
    ran = ops("policy", "apply", "ops", "-", stdin=octets)
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert ops("policy", "show", "ops", "--json").json["version"] == 0


def test_a_file_that_is_not_there_is_named(ops: Cli) -> None:
    ran = ops("policy", "apply", "ops", "/nowhere/ops.toml")
    assert ran.exit_code == 2
    assert "/nowhere/ops.toml: No such file" in ran.stderr


# Commands


def test_a_wrong_policy_is_refused_with_every_line_and_what_may_be_meant(ops: Cli) -> None:
    ran = ops("policy", "apply", "ops", "-", stdin='mode = "enfroce"\n[[require]]\nrole = ["member"]\n')
    assert (ran.exit_code, ran.stdout) == (1, "")
    assert "line 1: " in ran.stderr
    assert "did you mean “enforce”?" in ran.stderr
    assert "line 3: " in ran.stderr
    assert "did you mean “roles”?" in ran.stderr
    refused = ops("audit", "list", "--outcome", "refused", "--json").json
    assert [row["reason"] for row in refused] == ["policy-apply"]


def test_a_plan_tells_what_apply_would_refuse(ops: Cli) -> None:
    planned = ops("policy", "plan", "ops", "preset:organisation")
    assert planned.exit_code == 0
    assert "It would be refused: Every owner of team “ops”" in planned.stdout
    assert "Nothing stands against it" not in planned.stdout
    refused = ops("policy", "apply", "ops", "preset:organisation")
    assert refused.exit_code == 1
    document = ops("policy", "plan", "ops", "preset:organisation", "--json").json
    assert refused.stderr == f"radiusd-mfa: {document['refusals'][0]}\n"


def test_a_stale_plan_is_refused(ops: Cli) -> None:
    version = ops("policy", "plan", "ops", "preset:voluntary", "--json").json["version"]
    assert ops("policy", "apply", "ops", "preset:voluntary", "--expect-version", str(version)).exit_code == 0
    ran = ops("policy", "apply", "ops", "preset:report-only", "--expect-version", str(version))
    assert ran.exit_code == 1
    assert "it has version 1 now" in ran.stderr


def test_to_remove_a_policy_must_be_meant(ops: Cli) -> None:
    ops("policy", "apply", "ops", "preset:voluntary")
    ran = ops("policy", "remove", "ops")
    assert ran.exit_code == 2
    assert "--yes" in ran.stderr
    assert ops("policy", "show", "ops", "--json").json["version"] == 1
    assert ops("policy", "remove", "ops", "--yes").exit_code == 0
    assert ops("policy", "show", "ops", "--json").json["text"] is None


def test_a_version_and_the_history_are_asked_for_apart(ops: Cli) -> None:
    assert ops("policy", "show", "ops", "--history", "--version", "1").exit_code == 2
    ops("policy", "apply", "ops", "preset:voluntary")
    ops("policy", "apply", "ops", "preset:strict", "--json")
    assert ops("policy", "show", "ops", "--version", "1", "--json").json["text"] == preset("voluntary").text
    assert ops("policy", "show", "ops", "--version", "7").exit_code == 1


def test_foreign_text_in_a_policy_can_not_steer_the_terminal(ops: Cli, environ: dict[str, str]) -> None:
    database = Database(f"sqlite:///{environ['RADIUSD_MFA_STATE_DIR']}/radiusd-mfa.sqlite3")
    with database.writing() as connection:
        connection.execute(
            text("UPDATE teams SET policy = :policy"), {"policy": '"\x1b]0;x\x07" = 1\n# \u202e\x1b[31m'}
        )
    database.close()
    for line in (("policy", "show", "ops"), ("policy", "show", "ops", "--json"), ("policy", "plan", "ops", "-")):
        ran = ops(*line, stdin='"\x1b[31m" = 1')
        assert not {"\x1b", "\x07", "\u202e"} & set(ran.stdout + ran.stderr)


def test_a_profile_with_an_attribute_that_there_is_not_is_refused_with_the_one_that_may_be_meant(ops: Cli) -> None:
    ran = ops("profile", "set", "ops", "-", stdin='Filter-Ids = "staff"\nFramed-IP-Address = "nowhere"\n')
    assert (ran.exit_code, ran.stdout) == (1, "")
    assert "line 1: " in ran.stderr
    assert "Filter-Id?" in ran.stderr
    assert "line 2: " in ran.stderr
    assert ops("profile", "list", "--json").json == []


def test_a_profile_is_shown_as_the_dictionary_spells_it(ops: Cli) -> None:
    ops("profile", "set", "ops", "--role", "member", "-", stdin="# staff\nfilter-id = staff\n")
    assert ops("profile", "list", "ops", "--json").json == [
        {"team": "ops", "role": "member", "surface": None, "attributes": ['Filter-Id = "staff"']}
    ]


@pytest.mark.parametrize("name", ["a@b", "", "co rp", "a\\b"])
def test_what_can_be_no_realm_is_wrong_usage(ops: Cli, name: str) -> None:
    assert ops("realm", "add", name).exit_code == 2


@pytest.mark.parametrize(
    "line",
    [
        ("explain",),
        ("explain", "olga", "--audit", "1"),
        ("explain", "--audit", "1", "--nas", "localhost"),
        ("explain", "--nas", "localhost"),
        ("explain", "--audit", "0"),
    ],
)
def test_either_a_user_or_a_row_is_explained(ops: Cli, line: tuple[str, ...]) -> None:
    assert ops(*line).exit_code == 2


def test_a_change_is_explained_by_who_made_it_and_why_it_was_refused(ops: Cli) -> None:
    ops("team", "add", "ops")
    newest = ops("audit", "list", "--limit", "1", "--json").json[0]["id"]
    ran = ops("explain", "--audit", str(newest))
    assert ran.exit_code == 0
    assert "by operator" in ran.stdout
    assert "There is a team “ops” already" in ran.stdout
    assert ops("explain", "--audit", str(newest), "--json").json["said"]


def test_what_would_happen_is_told_for_each_nas(ops: Cli) -> None:
    document = ops("explain", "olga", "--json").json
    assert [(each["nas"], each["password_alone"]["reason"]) for each in document["nas"]] == [
        ("localhost", "not-enrolled")
    ]
    shown = ops("explain", "olga", "--nas", "localhost").stdout
    assert "radiusd-mfa mfa enrol olga" in shown
    assert json.loads(ops("explain", "olga", "--nas", "localhost", "--json").stdout)["weighed"]["rules"][0]["due"]


@pytest.mark.parametrize("reason", Reason)
def test_every_refusal_has_something_that_can_be_done(reason: Reason) -> None:
    fine = {
        "totp",
        "backup-code",
        "sms",
        "repeat",
        "period",
        "not-required",
        "set-up",
        "record-due",
        "set-up-done",
        "replayed",
    }
    assert reasons.remedy(reason) or reason in fine
    assert "{" not in reasons.remedy(reason, user="alice", nas="office")

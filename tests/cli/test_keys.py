"""Keys at the command line: a new one, the old one away, and what goes on working."""

from pathlib import Path

import pytest

from tests.conftest import Cli


@pytest.fixture
def enrolled(ready: Cli) -> Cli:
    ready("user", "add", "alice", "--password-stdin", stdin="correct horse")
    ready("mfa", "enrol", "alice")
    return ready


def test_the_old_key_goes_when_nothing_is_sealed_by_it(enrolled: Cli) -> None:
    [old] = [key["id"] for key in enrolled("keys", "status", "--json").json["keys"]]
    assert enrolled("keys", "remove", old).exit_code == 1
    rotated = enrolled("keys", "rotate", "--json").json
    assert (rotated["removable"], rotated["unopened"]) == ([old], [])
    assert enrolled("keys", "remove", old).exit_code == 0
    [left] = enrolled("keys", "status", "--json").json["keys"]
    assert (left["id"], left["active"], left["waits"]) == (rotated["made"], True, False)
    assert enrolled("audit", "verify").exit_code == 0
    assert enrolled("mfa", "show", "alice").exit_code == 0


def test_a_key_is_prepared_and_used_by_the_next_rotation(enrolled: Cli) -> None:
    made = enrolled("keys", "rotate", "--prepare", "--json").json["made"]
    waits = {key["id"]: key["waits"] for key in enrolled("keys", "status", "--json").json["keys"]}
    assert waits[made]
    assert enrolled("keys", "rotate", "--prepare").exit_code == 1
    assert enrolled("keys", "rotate", "--json").json["active"] == made


def test_no_key_is_ever_shown(enrolled: Cli, environ: dict[str, str]) -> None:
    shown = ""
    for line in (("rotate", "--prepare"), ("rotate",), ("status",), ("status", "--json"), ("remove", "x")):
        ran = enrolled("keys", *line)
        shown += ran.stdout + ran.stderr
    text = (Path(environ["RADIUSD_MFA_STATE_DIR"]) / "radiusd-mfa.key").read_text()
    secrets = [line.split()[1] for line in text.splitlines() if not line.startswith("#")]
    assert len(secrets) == 2
    assert not any(secret in shown for secret in secrets)

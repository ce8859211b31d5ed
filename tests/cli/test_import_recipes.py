"""Every import of docs/import.md is run on the files beside it, and prints the lines that are shown there."""

import os
import pty
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from radiusd_mfa.foreign import files
from radiusd_mfa.foreign.files import Format
from tests.conftest import Cli

DOCS = Path(__file__).parent.parent.parent / "docs"
EXAMPLES = DOCS / "import"
BLOCKS = re.findall(r"^```console\n(.*?)^```$", (DOCS / "import.md").read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_a_recipe_prints_what_is_shown(ready: Cli, monkeypatch: pytest.MonkeyPatch, block: str) -> None:
    monkeypatch.chdir(EXAMPLES)
    ready("team", "add", "ops")
    for part in re.split(r"^\$ radiusd-mfa ", block, flags=re.MULTILINE)[1:]:
        typed, *shown = part.rstrip("\n").split("\n")
        command, _, given = typed.partition(" < ")
        ran = ready(*shlex.split(command), stdin=Path(given).read_text() if given else "")
        assert (ran.exit_code, ran.stdout.splitlines()) == (0, shown), ran.stderr


def test_every_example_is_in_a_recipe() -> None:
    used = " ".join(BLOCKS).split()
    assert {each.name for each in EXAMPLES.iterdir()} <= set(used)


def test_a_file_that_a_user_has_made_too_long_is_not_taken(ready: Cli, tmp_path: Path) -> None:
    home = tmp_path / "mallory"
    home.mkdir()
    with (home / ".google_authenticator").open("wb") as long:
        long.truncate((1 << 16) + 1)
    ran = ready("user", "import", str(tmp_path))
    assert (ran.exit_code, ran.stdout) == (1, "")
    assert "mallory/.google_authenticator: has more than 65536 octets" in ran.stderr


def test_the_name_of_a_file_does_not_steer_the_terminal(ready: Cli, tmp_path: Path) -> None:
    (tmp_path / "\rmallory").write_text("no secret\n")
    ran = ready("user", "import", str(tmp_path))
    assert ran.exit_code == 1
    assert "mallory: has no line" in ran.stderr
    assert "\r" not in ran.stderr


def test_what_comes_over_can_be_seen(ready: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(EXAMPLES)
    done: Any = ready(
        *("user", "import", "--make-users", "--key-stdin", "--json", "privacyidea.pi"),
        stdin=(EXAMPLES / "privacyidea.pi.key").read_text(),
    ).json
    assert (done["format"], done["users"], done["methods"], done["methods_added"]) == ("privacyidea", 2, 2, 0)
    assert sum(done["left_out"].values()) == 3
    (method,) = ready("mfa", "show", "bob", "--json").json["methods"]
    assert method["label"] == "privacyIDEA"
    assert method["confirmed"]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("users.jsonl", Format.JSONL),
        ("users.csv", Format.CSV),
        ("radcheck.csv", Format.RADCHECK),
        ("radcheck.tsv", Format.RADCHECK),
        ("privacyidea.csv", Format.PRIVACYIDEA),
        ("privacyidea.pi", Format.PRIVACYIDEA),
        ("privacyidea.pskc.xml", Format.PRIVACYIDEA),
        ("google-authenticator/alice", Format.GOOGLE_AUTHENTICATOR),
        ("shadow", Format.SHADOW),
    ],
)
def test_a_format_is_told_by_its_beginning(name: str, kind: Format) -> None:
    assert files.recognised((EXAMPLES / name).read_bytes()) is kind


def test_how_far_it_is_is_shown_on_a_terminal_only(ready: Cli, environ: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "users.jsonl"
    file.write_text("".join(f'{{"username": "user{n}", "password": "x"}}\n' for n in range(3000)))
    arguments = ("user", "import", "--dry-run", str(file))
    assert ready(*arguments).stderr == ""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RADIUSD_MFA_")}
    shown = {}
    for json in ((), ("--json",)):
        controller, terminal = pty.openpty()
        command = [sys.executable, "-m", "radiusd_mfa", *arguments, *json]
        own = inherited | environ | {"TERM": "xterm", "COLUMNS": "100"}
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=terminal, env=own) as process:
            os.close(terminal)
            shown[json] = _read_all(controller)
            assert process.wait(60) == 0
        os.close(controller)
    assert b"Reading" in shown[()]
    assert shown[("--json",)] == b""


def _read_all(controller: int) -> bytes:
    found = b""
    try:
        while piece := os.read(controller, 4096):
            found += piece
    except OSError:  # Linux says EIO when the last program has closed the terminal
        pass
    return found

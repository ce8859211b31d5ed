"""The recipes of docs/nas: their commands are accepted as they stand."""

import re
import shlex
from pathlib import Path

import pytest

from tests.conftest import Cli

_RECIPES = Path(__file__).parents[2] / "docs" / "nas"
_PAGES = sorted(path for path in _RECIPES.glob("*.md") if path.name != "README.md")


def _commands(page: Path) -> list[list[str]]:
    lines = re.findall(r"radiusd-mfa (nas (?:add|set) [^`\n]+)", page.read_text())
    return [shlex.split(line) for line in lines]


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: page.stem)
def test_the_commands_of_a_recipe_are_accepted_as_they_stand(page: Path, cli: Cli) -> None:
    commands = _commands(page)
    assert "add" in [command[1] for command in commands]
    assert cli("init").exit_code == 0
    for command in commands:
        if command[1] == "add":  # a page's ways are alternatives, for the same address
            for entry in cli("nas", "list", "--json").json:
                cli("nas", "remove", entry["name"])
        ran = cli(*command)
        assert ran.exit_code == 0, ran.stderr


def test_every_recipe_is_in_the_overview() -> None:
    overview = (_RECIPES / "README.md").read_text()
    assert [page.name for page in _PAGES if f"({page.name}" not in overview] == []

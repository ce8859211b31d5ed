"""The documents and the program say the same."""

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from radiusd_mfa.cli.commands import Command
from radiusd_mfa.cli.main import PLACES, radiusd_mfa
from radiusd_mfa.store import schema
from radiusd_mfa.usecases.import_ports import FIELDS
from radiusd_mfa.usecases.nas import SURFACES

DOCS = Path(__file__).parent.parent / "docs"
EVERYWHERE = {"--json", "--config", "--help"}


def _sections(document: str, heading: str) -> dict[str, str]:
    text = (DOCS / document).read_text(encoding="utf-8")
    parts = re.split(rf"^{heading} `([^`]+)`$", text, flags=re.MULTILINE)
    return {name: re.split(r"^#", body, maxsplit=1, flags=re.MULTILINE)[0] for name, body in _pairs(parts[1:])}


def _pairs(parts: list[str]) -> Iterator[tuple[str, str]]:
    yield from zip(parts[::2], parts[1::2], strict=True)


def _commands(group: click.Group, prefix: str) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from _commands(command, f"{prefix} {name}")
        elif command is not None:
            yield f"{prefix} {name}", command


COMMANDS = dict(_commands(radiusd_mfa, "radiusd-mfa"))
DOCUMENTED = _sections("cli.md", "###")


def test_every_command_is_documented_and_every_documented_one_is_there() -> None:
    assert set(COMMANDS) <= set(DOCUMENTED)
    assert {name.split()[1] for name in DOCUMENTED} == set(PLACES)
    assert {name for name in DOCUMENTED if name.split()[1] in {each.split()[1] for each in COMMANDS}} == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_of_a_command_is_documented(name: str) -> None:
    options = {option for each in COMMANDS[name].params for option in each.opts if option.startswith("--")}
    assert {each for each in options - EVERYWHERE if not re.search(rf"{each}(?![\w-])", DOCUMENTED[name])} == set()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_help_has_an_example_that_the_program_would_take(name: str) -> None:
    command = COMMANDS[name]
    assert isinstance(command, Command)
    context = click.Context(command, info_name=name)
    example = command.get_help(context).partition("Example:")[2]
    assert name in example
    options = {option for each in command.get_params(context) for option in each.opts}
    assert set(re.findall(r"--[a-z-]+", example)) <= options | EVERYWHERE
    choices = {opt: each.type for each in command.params for opt in each.opts if isinstance(each.type, click.Choice)}
    for option, value in re.findall(r"(--[a-z-]+) ([\w-]+)", example):
        if option in choices:
            choices[option].convert(value, None, context)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_choice_of_an_option_is_the_word_that_is_typed(name: str) -> None:
    """Of an enumeration click takes the names, as GOOGLE_AUTHENTICATOR where google-authenticator is documented."""
    for each in COMMANDS[name].params:
        if isinstance(each.type, click.Choice):
            assert {type(choice) for choice in each.type.choices} == {str}


def test_every_table_and_column_is_documented_and_every_documented_one_is_there() -> None:
    documented = {
        table: set(re.findall(r"^\| `(\w+)` \|", body, flags=re.MULTILINE))
        for table, body in _sections("schema.md", "##").items()
    }
    assert documented == {name: set(table.c.keys()) for name, table in schema.metadata.tables.items()}


def test_every_field_of_an_import_is_documented() -> None:
    rows = re.findall(r"^\| (`.*`) \|", DOCUMENTED["radiusd-mfa user import"], flags=re.MULTILINE)
    assert {field for row in rows for field in re.findall(r"`(\w+)`", row)} == set(FIELDS)


def test_every_surface_is_documented() -> None:
    assert all(f"`{surface}`" in DOCUMENTED["radiusd-mfa nas add"] for surface in SURFACES)

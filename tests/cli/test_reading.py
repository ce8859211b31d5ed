"""Whether something is meant is asked at a terminal, and nowhere else."""

from types import SimpleNamespace

import click
import pytest
from click.testing import CliRunner

from radiusd_mfa.cli import reading


@click.command()
@reading.YES
def command(yes: bool) -> None:
    """Do something that can't be undone."""
    reading.confirm("Is it meant?", yes=yes)
    click.echo("done")


@pytest.fixture
def _terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "sys", SimpleNamespace(stdin=SimpleNamespace(isatty=lambda: True)))


@pytest.mark.usefixtures("_terminal")
@pytest.mark.parametrize("answer", ["n\n", "\n", ""])
def test_at_a_terminal_nothing_but_yes_is_taken_for_one(answer: str) -> None:
    ran = CliRunner().invoke(command, input=answer)
    assert (ran.exit_code, ran.stdout) == (1, "")


@pytest.mark.usefixtures("_terminal")
def test_at_a_terminal_yes_is_taken() -> None:
    ran = CliRunner().invoke(command, input="y\n")
    assert (ran.exit_code, ran.stdout) == (0, "done\n")


def test_where_nobody_can_be_asked_only_the_option_says_that_it_is_meant() -> None:
    refused = CliRunner().invoke(command, input="y\n")
    assert refused.exit_code == 2
    assert "give --yes if this is meant" in refused.stderr
    assert CliRunner().invoke(command, ["--yes"]).stdout == "done\n"

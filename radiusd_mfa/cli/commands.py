"""Commands and groups that take `--json`, `--config` and `--as` wherever they stand, and load what is asked for."""

from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from radiusd_mfa.cli.parameters import USER
from radiusd_mfa.cli.session import faults, session_of
from radiusd_mfa.core.names import Username


def _set_json(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value:
        session_of(context).json = True


def _set_config(context: click.Context, _parameter: click.Parameter, value: Path | None) -> None:
    if value is not None:
        session_of(context).config_file = value


def _set_acting(context: click.Context, _parameter: click.Parameter, value: Username | None) -> None:
    if value is not None:
        session_of(context).acting = value


def _common() -> list[click.Parameter]:
    return [
        click.Option(
            ["--json"],
            is_flag=True,
            expose_value=False,
            callback=_set_json,
            help="One JSON document on standard output.",
        ),
        click.Option(
            ["--config"],
            type=click.Path(path_type=Path),
            metavar="FILE",
            expose_value=False,
            callback=_set_config,
            help="Settings as TOML (docs/configuration.md).",
        ),
        click.Option(
            ["--as"],
            type=USER,
            metavar="USER",
            expose_value=False,
            callback=_set_acting,
            help="Act as this user, under the user's own permissions; asks for password and code.",
        ),
    ]


class _Common(click.Command):
    """What commands and groups share: the options that all have, and an example that --help shows."""

    def __init__(self, *arguments: Any, example: str = "", **options: Any) -> None:  # noqa: ANN401 - click's
        super().__init__(*arguments, **options)
        self.example = example

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return its own options and those that every command has."""
        *own, last = super().get_params(ctx)
        return [*own, *_common(), last]

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the example."""
        super().format_epilog(ctx, formatter)
        _write_example(self.example, formatter)


class Command(_Common):
    """A command; `example` is shown by --help, and only with `persons` may others than the operator run it."""

    def __init__(self, *arguments: Any, persons: bool = False, **options: Any) -> None:  # noqa: ANN401 - click's
        super().__init__(*arguments, **options)
        self.persons = persons

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's
        """Run the command, unless it is the operator's and somebody acts as another."""
        session = session_of(ctx)
        if session.acting is not None and not self.persons:
            session.refuse_person(ctx.command_path.partition(" ")[2])
        return super().invoke(ctx)


class Group(_Common, click.Group):
    """A group of commands about one subject; `example` is shown by --help."""

    command_class = Command


def _write_example(example: str, formatter: click.HelpFormatter) -> None:
    if not example:
        return
    with formatter.section("Example"):
        for line in example.splitlines():
            formatter.write(f"{'':>{formatter.current_indent}}{line}\n")


class Root(Group):
    """The whole command line: loads a command's module when it is named, and ends every fault with a sentence."""

    def __init__(self, *arguments: Any, places: Mapping[str, str], **options: Any) -> None:  # noqa: ANN401 - click's
        super().__init__(*arguments, **options)
        self._places = places

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """Name the commands whose modules are there, in the order of a first use."""
        return [name for name, place in self._places.items() if find_spec(place.partition(":")[0])]

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load a command."""
        module, _, name = self._places.get(cmd_name, "").partition(":")
        if not module or find_spec(module) is None:
            return None
        command: click.Command = getattr(import_module(module), name)
        return command

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's
        """Run the command that was named."""
        with faults():
            return super().invoke(ctx)

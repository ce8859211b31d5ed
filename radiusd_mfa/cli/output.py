"""What commands print: one JSON document, or text for people; foreign text never reaches the terminal as it is."""

import json
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from radiusd_mfa.cli.session import Session
from radiusd_mfa.core.names import escaped

_LONGEST_CELL = 200


def emit(session: Session, document: object, text: Callable[[], None]) -> None:
    """Print the document for programs, or else let `text` print for people."""
    if session.json:
        # All ASCII: nothing in it can steer a terminal, and no locale can refuse it.
        click.echo(json.dumps(document, indent=2, ensure_ascii=True))
    else:
        text()


def say(sentence: str) -> None:
    """Print a line for people."""
    click.echo(sentence)


def warn(session: Session, warnings: Sequence[str]) -> None:
    """Print warnings on standard error; in JSON they are part of the document."""
    if not session.json:
        for warning in warnings:
            click.echo(f"Warning: {warning}", err=True)


def table(headings: Sequence[str], rows: Sequence[Sequence[object]], *, empty: str) -> None:
    """Print rows: with lines on a terminal, as plain columns elsewhere; `empty` is said where there is none."""
    if not rows:
        click.echo(empty, err=True)
        return
    cells = [[shown(value) for value in row] for row in rows]
    if sys.stdout.isatty():
        _draw(headings, cells)
        return
    widths = [max(map(len, column)) for column in zip(headings, *cells, strict=True)]
    for line in (headings, *cells):
        padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        click.echo("  ".join(padded).rstrip())


def properties(pairs: Sequence[tuple[str, object]]) -> None:
    """Print names and values, one a line."""
    width = max(len(name) for name, _ in pairs)
    for name, value in pairs:
        click.echo(f"{name.ljust(width)}  {shown(value)}".rstrip())


def shown(value: object) -> str:
    """Return a value as a cell: nothing as a dash, text without control characters."""
    match value:
        case None | "":
            return "-"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:g}"
        case _:
            return escaped(str(value), _LONGEST_CELL)


def on_off(value: bool) -> str:
    """Return a switch as the options spell it."""
    return "on" if value else "off"


def timestamp(at: float | None) -> str | None:
    """Return Unix seconds as ISO 8601 in UTC, to the millisecond."""
    if at is None:
        return None
    try:
        moment = datetime.fromtimestamp(at, UTC)
    except (ValueError, OverflowError, OSError):
        return str(at)  # other programs write to the tables too, and some count in milliseconds
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _draw(headings: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    drawn = Table(*headings, box=None, header_style="bold", pad_edge=False)
    for row in cells:
        # Text and not str: what looks like markup in a name stays a name.
        drawn.add_row(*(Text(cell, overflow="fold") for cell in row))
    Console().print(drawn)

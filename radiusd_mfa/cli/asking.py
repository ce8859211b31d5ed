"""Questions before something that can't be taken back."""

import sys

import click


def confirmed(yes: bool, question: str) -> None:
    """Go on only if it is meant: said beforehand, or answered at the terminal."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError("There is no terminal to ask at; give --yes.")
    click.confirm(question, abort=True, err=True)

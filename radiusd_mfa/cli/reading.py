"""Secrets on their way in: by a hidden prompt or standard input, never on the command line, where `ps` shows them."""

import sys
from typing import Final

import click

_MOST_OCTETS: Final = 65_536


def secret(prompt: str, *, option: str, from_stdin: bool, twice: bool = False) -> bytes:
    """Return a secret: from standard input without its line end if so told, else asked for at the terminal."""
    if from_stdin:
        return _stdin(option)
    if not sys.stdin.isatty():
        raise click.UsageError(f"There is no terminal to ask at; give {option} and send it on standard input.")
    text: str = click.prompt(prompt, hide_input=True, confirmation_prompt=twice, err=True)
    return text.encode(errors="surrogateescape")


def code(prompt: str, *, from_stdin: bool) -> str:
    """Return a one-time code; whatever is no text is no code either."""
    return secret(prompt, option="--code-stdin", from_stdin=from_stdin).decode(errors="replace").strip()


def _stdin(option: str) -> bytes:
    raw = sys.stdin.buffer.read(_MOST_OCTETS + 1)
    if len(raw) > _MOST_OCTETS:
        raise click.UsageError(f"Standard input has more than {_MOST_OCTETS} octets; {option} wants one secret.")
    # The one line end that `echo` adds; more than that is part of the secret.
    return raw.removesuffix(b"\n").removesuffix(b"\r") if raw.endswith(b"\n") else raw

"""What is asked for: secrets, and whether something is meant.

Secrets come by a hidden prompt or standard input, never on the command line, where `ps` shows them.
"""

import sys
from typing import Final

import click

from radiusd_mfa.core.names import Username, escaped

_MOST_OCTETS: Final = 65_536
YES: Final = click.option("--yes", is_flag=True, help="Don't ask whether this is meant.")


def secret(prompt: str, *, option: str, from_stdin: bool, twice: bool = False) -> bytes:
    """Return a secret: from standard input without its line end if so told, else asked for at the terminal."""
    if from_stdin:
        return _stdin(option)
    if not sys.stdin.isatty():
        raise click.UsageError(f"There is no terminal to ask at; give {option} and send it on standard input.")
    text: str = click.prompt(prompt, hide_input=True, confirmation_prompt=twice, err=True)
    return text.encode(errors="surrogateescape")


def confirm(question: str, *, yes: bool) -> None:
    """Ask whether this is meant, unless `yes` says so; end the command if it isn't, or if nobody is there to ask."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError("There is no terminal to ask at; give --yes if this is meant.")
    click.confirm(question, abort=True, err=True)


def code(prompt: str, *, from_stdin: bool) -> str:
    """Return a one-time code; whatever is no text is no code either."""
    return secret(prompt, option="--code-stdin", from_stdin=from_stdin).decode(errors="replace").strip()


def credentials(name: Username) -> tuple[bytes, bytes | None]:
    """Return password and code of who acts: asked for at the terminal, or else the first two lines of standard input.

    An empty code means that it stands behind the password, in the same text.
    """
    if sys.stdin.isatty():
        shown = escaped(name.text)
        password = secret(f"Password of {shown}", option="--as", from_stdin=False)
        asked = f"Code of {shown} (sms: have one sent; empty: it was typed behind the password)"
        text: str = click.prompt(asked, default="", show_default=False, hide_input=True, err=True)
        code = text.encode(errors="surrogateescape")
    else:
        password, code = line("--as"), line("--as")
    return password, code or None


def sent_code(name: Username) -> bytes:
    """Return the code that was sent to who acts: asked for at the terminal, or else the next line of standard input."""
    (code,) = lines(f"Code that came to the phone of {escaped(name.text)}")
    return code


def lines(*prompts: str) -> list[bytes]:
    """Return a secret for each prompt: asked for at the terminal, or else as many lines of standard input."""
    if sys.stdin.isatty():
        return [secret(prompt, option="", from_stdin=False) for prompt in prompts]
    return [line(prompt) for prompt in prompts]


def line(option: str) -> bytes:
    """Return the next line of standard input without its line end; what follows is left for others to read."""
    raw = sys.stdin.buffer.readline(_MOST_OCTETS + 1)
    if len(raw) > _MOST_OCTETS:
        raise click.UsageError(
            f"A line of standard input has more than {_MOST_OCTETS} octets; {option} wants a secret."
        )
    return raw.removesuffix(b"\n").removesuffix(b"\r") if raw.endswith(b"\n") else raw


def _stdin(option: str) -> bytes:
    raw = sys.stdin.buffer.read(_MOST_OCTETS + 1)
    if len(raw) > _MOST_OCTETS:
        raise click.UsageError(f"Standard input has more than {_MOST_OCTETS} octets; {option} wants one secret.")
    # The one line end that `echo` adds; more than that is part of the secret.
    return raw.removesuffix(b"\n").removesuffix(b"\r") if raw.endswith(b"\n") else raw

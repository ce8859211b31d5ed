"""Starts the command line: `radiusd-mfa`, or `python -m radiusd_mfa`."""

import io
import os
import sys
from pathlib import Path


def main() -> None:
    """Run the command that the arguments name."""
    _open_what_is_closed()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that can't show a character gets an escape, not a traceback.
            stream.reconfigure(errors="backslashreplace")
    from radiusd_mfa.cli.main import radiusd_mfa  # noqa: PLC0415 - after the streams, which click keeps

    try:
        radiusd_mfa(prog_name="radiusd-mfa")
    finally:
        _end_output()


def _open_what_is_closed() -> None:
    """Have a standard input and output also where who started us closed them: nothing is read, nobody reads."""
    if sys.stdin is None:
        sys.stdin = Path(os.devnull).open(encoding="utf-8")  # noqa: SIM115 - for as long as the program runs
    if sys.stdout is None:
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - as above


def _end_output() -> None:
    """Write what is left, or leave it: Python would complain once more of a full disk, and end with status 120."""
    try:
        sys.stdout.flush()
    except OSError:  # told by the command, in a sentence
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()

"""Starts the command line: `radiusd-mfa`, or `python -m radiusd_mfa`."""

import io
import sys


def main() -> None:
    """Run the command that the arguments name."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that can't show a character gets an escape, not a traceback.
            stream.reconfigure(errors="backslashreplace")
    from radiusd_mfa.cli.main import radiusd_mfa  # noqa: PLC0415 - after the streams, which click keeps

    radiusd_mfa(prog_name="radiusd-mfa")


if __name__ == "__main__":
    main()

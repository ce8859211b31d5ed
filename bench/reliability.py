"""Writes what the fault run and the soak found into docs/reliability.md, as report.py does for performance.md.

Usage: python -m bench.reliability [--results DIRECTORY] [--check]
"""

import sys
from collections.abc import Callable, Mapping
from typing import Any, Final

from bench.report import ROOT, Result, fill, on_machine, picture, table

DOCUMENT: Final = ROOT / "docs" / "reliability.md"
_NAMES: Final = {"postgresql": "PostgreSQL", "sqlite": "SQLite"}
_COUNTED: Final[Mapping[str, Callable[[dict[str, Any]], object]]] = {
    "sign-ins": lambda row: row["sign_ins"],
    "of them with an unspent right code": lambda row: row["right"],
    "answered by an Accept": lambda row: row["got_in"],
    "answered by nobody": lambda row: row["silent"],
    "users": lambda row: row["users"],
    "requests, retransmissions left out": lambda row: row["requests"],
    "datagrams to the servers": lambda row: row["sent"],
    "datagrams from the servers": lambda row: row["replies"],
    "of them answers that were given before": lambda row: row["answered_again"],
    "Status-Server asked": lambda row: row["probes"],
    "Status-Server answered": lambda row: row["probes_answered"],
    "seconds without a database": lambda row: row["away_s"],
    "changes of authenticators and backup codes": lambda row: row["changes"],
    "rows in the audit log": lambda row: row["rows"],
    "seconds": lambda row: row["seconds"],
    "**violations**": lambda row: len(row["violations"]),
}
_REFUSED: Final = (
    "Rejects of a code that was right in itself, by the reason in the audit log; the checker has found each due.\n"
    "Where it is that of an Accept, the same octets came again at a server whose clock was off: a replay to it.\n"
)


def fault_run(result: Result) -> str:
    """Show what was done, what went wrong, and what the checker said."""
    rows = result["rows"]
    headings = [_NAMES[row["label"]] for row in rows]
    counted = [(name, *(value(row) for row in rows)) for name, value in _COUNTED.items()]
    parts = [
        f"Seed {result['settings']['seed']}; radiusd-mfa {result['versions'].get('commit', 'unknown')}.\n",
        table(("", *headings), counted),
        _side_by_side("what was typed", "kinds", rows, headings),
        _side_by_side("what went wrong", "faults", rows, headings),
        _side_by_side("verdict on the wire", "verdicts", rows, headings),
        _side_by_side("reason in the audit log", "reasons", rows, headings),
        _REFUSED,
        _side_by_side("reason", "right_refused", rows, headings),
    ]
    return "\n".join(parts) + on_machine(result)


def _side_by_side(heading: str, key: str, rows: list[dict[str, Any]], headings: list[str]) -> str:
    names = sorted({name for row in rows for name in row[key]})
    return table((heading, *headings), [(name, *(row[key].get(name) for row in rows)) for name in names])


def soak(result: Result) -> str:
    """Show how it was at the beginning and at the end."""
    rows = result["rows"]
    shown = [("minutes", len(rows)), *result["ratios"].items()]
    chosen = rows if len(rows) <= 6 else [*rows[:3], *rows[-3:]]
    minutes = table(
        ("minute", "sign-ins/s", "p50 ms", "p99 ms", "worst ms", "memory MiB", "right users rejected", "unanswered"),
        [
            (
                str(row["minute"]),
                *(row[key] for key in ("rate", "p50_ms", "p99_ms", "max_ms", "mib", "wrong_rejects", "unanswered")),
            )
            for row in chosen
        ],
    )
    return (
        f"Of {len(rows)} minutes.\n\n"
        + table(("", "figure"), shown)
        + f"\n{minutes}"
        + picture("reliability-memory", "Memory over the minutes of the soak")
        + picture("reliability-latency", "Latency over the minutes of the soak")
        + on_machine(result)
    )


BLOCKS: Final[Mapping[str, tuple[str, Callable[[Result], str]]]] = {
    "faults": ("faults", fault_run),
    "soak": ("soak", soak),
}


if __name__ == "__main__":
    sys.exit(fill(__doc__, DOCUMENT, BLOCKS))

"""Writes the figures of bench/results into docs/performance.md, between the markers; no number is typed by hand.

A section keeps its words; what stands between `<!-- figures: NAME -->` and `<!-- end of figures -->` is replaced. Where
a result does not exist yet, the place stays empty.

Usage: python -m bench.report [--results DIRECTORY] [--document FILE] [--check]
"""

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from bench.lib.results import RESULTS

ROOT: Final = Path(__file__).parent.parent
DOCUMENT: Final = ROOT / "docs" / "performance.md"
_BLOCK: Final = re.compile(r"(<!-- figures: ([a-z0-9-]+) -->\n).*?(<!-- end of figures -->)", re.DOTALL)

Result = dict[str, Any]


def number(value: object) -> str:
    """Show three digits, thousands apart; a dash where there is none."""
    if value is None:
        return "-"
    if not isinstance(value, int | float):
        return str(value)
    if value and abs(value) < 100:
        digits = 2 if abs(value) < 10 else 1
        return f"{value:.{digits}f}".rstrip("0").rstrip(".")
    return f"{value:,.0f}"


def table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Make a table; the first column is words, the others are figures."""
    lines = ["| " + " | ".join(headings) + " |", "| --- " + "| ---: " * (len(headings) - 1) + "|"]
    lines += ["| " + " | ".join(number(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def ratios(result: Result, start: str) -> str:
    """Show the ratios whose names begin so."""
    # With three decimals: the second one decides whether a bar is reached.
    rows = [
        (name, f"{value:.3f}" if isinstance(value, float) and 0.01 < abs(value) < 10 else value)
        for name, value in result["ratios"].items()
        if name.startswith(start)
    ]
    return table(("ratio", "figure"), rows)


def picture(name: str, words: str) -> str:
    """Show a plot where it was drawn."""
    return f"\n![{words}](images/{name}.svg)\n" if (DOCUMENT.parent / "images" / f"{name}.svg").exists() else ""


def on_machine(result: Result) -> str:
    """Say when and on what it was measured."""
    machine, versions = result["machine"], result["versions"]
    shown = {
        "radiusd-mfa": "commit",
        "Python": "python",
        "PostgreSQL": "postgresql",
        "FreeRADIUS": "freeradius",
        "psycopg": "psycopg",
        "argon2-cffi": "argon2-cffi",
    }
    known = ", ".join(f"{name} {versions[key]}" for name, key in shown.items() if key in versions)
    settings = ", ".join(f"{name} {_setting(value)}" for name, value in result.get("settings", {}).items())
    before = machine.get("load_before")
    return (
        f"\n{result['at'][:10]}, {machine['processors']} processors ({machine['processor']}), "
        f"{number(machine['memory_gib'])} GiB; {known}. Took {number(result['took_s'] / 60)} minutes."
        + (f" Load of the machine before: {number(before)}." if before is not None else "")
        + (f" Settings: {settings}.\n" if settings else "\n")
        + "".join(f"\nNote: {note}\n" for note in result.get("notes", ()))
    )


def _setting(value: object) -> str:
    if isinstance(value, Mapping):
        return "/".join(f"{name} {_setting(one)}" for name, one in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return " and ".join(map(_setting, value))
    return number(value) if isinstance(value, float) else str(value)


def closed_loop(result: Result, scheme: str) -> str:
    """Show the closed-loop runs of one kind of hash."""
    rows = [row for row in result["rows"] if row.get("scheme") == scheme]
    headings = (
        "server",
        "database",
        "outstanding",
        "sign-ins/s",
        "p50 ms",
        "p99 ms",
        "server CPU µs",
        "database CPU µs",
    )
    return table(headings, [_closed_row(row) for row in rows])


def _closed_row(row: dict[str, Any]) -> tuple[object, ...]:
    cpu, place = row["cpu_us"], "PostgreSQL" if row["database"] == "postgresql" else "SQLite"
    timed = (row["rate"], row["p50_ms"], row["p99_ms"])
    return row["who"], place, row["concurrency"], *timed, cpu["server"], cpu.get("postgresql")


def imports(result: Result) -> str:
    """Show what `user import` took."""
    rows = [
        (f"{row['database']}, {number(one['users'])} users", one["seconds"])
        for row in result["rows"]
        for one in row.get("imports", ())
        if one["users"] >= 10_000
    ]
    return table(("`user import` with ready hashes", "seconds"), rows)


def overload(result: Result) -> str:
    """Show what gets in under overload."""
    headings = (
        "server",
        "offered, in peaks",
        "offered/s",
        "Accepts/s",
        "Accepts, in peaks",
        "share that gets in",
        "wrong answers",
        "p99 ms",
        "memory MiB",
        "well again after s",
        "from the last newcomer s",
    )
    rows = [
        (
            row["who"],
            row["factor"],
            row["offered"],
            row["goodput"],
            row["goodput_share"],
            row["got_in_share"],
            row["wrong_rejects"] + row["wrong_accepts"],
            row["p99_ms"],
            row["rss_mib"]["server"],
            row["recovered_s"],
            row["well_again_s"],
        )
        for row in result["rows"]
        if row["factor"]
    ]
    return table(headings, rows)


def growth(result: Result) -> str:
    """Show the cost of a sign-in by the number of users."""
    headings = ("users", "CPU µs of a sign-in", "server", "database", "sign-ins/s", "start to first Accept s")
    return table(
        headings,
        [
            (
                f"{row['label']}",
                row["cost_us"],
                row["cpu_us"]["server"],
                row["cpu_us"].get("postgresql"),
                row["rate"],
                sorted(row["starts_s"])[len(row["starts_s"]) // 2],
            )
            for row in result["rows"]
        ],
    )


def flood(result: Result) -> str:
    """Show real sign-ins beside forged packets, and what a forged packet costs."""
    beside = [row for row in result["rows"] if "rate" in row]
    only = [row for row in result["rows"] if "server_us_a_packet" in row]
    first = table(
        ("", "sign-ins/s", "p99 ms", "forged/s", "lost by the socket", "wrong answers"),
        [
            (
                row["label"],
                row["rate"],
                row["p99_ms"],
                row.get("forged_a_second"),
                row.get("lost_by_the_socket"),
                row["wrong_rejects"],
            )
            for row in beside
        ],
    )
    second = table(
        ("", "forged/s", "lost by the socket", "server cores", "µs a packet", "transactions/s", "idle transactions/s"),
        [
            (
                row["label"],
                row["forged_a_second"],
                row["lost_by_the_socket"],
                row["server_cores"],
                row["server_us_a_packet"],
                row["transactions_a_second"],
                row["idle_transactions_a_second"],
            )
            for row in only
        ],
    )
    return f"{first}\n{second}"


def storm(result: Result) -> str:
    """Show who gets in after everybody was thrown out."""
    waits = ("p50 ms", "p99 ms", "the last after s")
    headings = ("server", "users", "got in", "share", *waits, "retransmissions", "right users rejected")
    return table(
        headings,
        [
            (
                row["who"],
                row["users"],
                row["got_in"],
                row["got_in_share"],
                row["p50_ms"],
                row["p99_ms"],
                row["last_s"],
                row["retransmissions"],
                row["wrong_rejects"],
            )
            for row in result["rows"]
        ],
    )


def codec(result: Result) -> str:
    """Show one exchange in our codec and in pyrad."""
    rows = [
        (name, figures["ours_us"], figures["pyrad_us"], figures["ratio"])
        for name, figures in result.items()
        if isinstance(figures, dict) and "ratio" in figures
    ]
    words = f"\n{result['machine']}; Python {result['python']}, pyrad {result['pyrad']}.\n"
    return table(("reply with", "ours µs", "pyrad µs", "ratio"), rows) + words


def ceiling(result: Result) -> str:
    """Show what the load generator itself can do."""
    rows = [(row["label"], row["rate"], row["generator_us"], row.get("lag_ms")) for row in result["rows"]]
    return table(("load", "answers/s", "its CPU µs a request", "late by at most ms"), rows)


BLOCKS: Final[Mapping[str, tuple[str, Callable[[Result], str]]]] = {
    "ceiling": ("ceiling", lambda found: ceiling(found) + on_machine(found)),
    "p1": (
        "sign_ins",
        lambda found: (
            ratios(found, "P1")
            + "\n"
            + closed_loop(found, "cheap")
            + picture("performance-throughput-cheap", "Sign-ins a second over outstanding requests, cheap hash")
            + on_machine(found)
        ),
    ),
    "p2": ("sign_ins", lambda found: ratios(found, "P2")),
    "p3": (
        "sign_ins",
        lambda found: (
            ratios(found, "P3")
            + "\n"
            + closed_loop(found, "argon")
            + picture("performance-throughput-argon2id", "Sign-ins a second over outstanding requests, argon2id")
        ),
    ),
    "p4": (
        "sign_ins",
        lambda found: (
            ratios(found, "P4")
            + "\n"
            + closed_loop(found, "bcrypt")
            + picture("performance-throughput-bcrypt", "Sign-ins a second over outstanding requests, bcrypt 10")
        ),
    ),
    "p5": ("sign_ins", lambda found: ratios(found, "P5")),
    "imports": ("sign_ins", imports),
    "p6": (
        "overload",
        lambda found: (
            ratios(found, "P6")
            + "\n"
            + overload(found)
            + picture("performance-goodput", "Accepts a second over the offered load")
            + on_machine(found)
        ),
    ),
    "p7": (
        "growth",
        lambda found: (
            ratios(found, "P7")
            + "\n"
            + growth(found)
            + picture("performance-growth", "CPU of a sign-in over the number of users")
            + on_machine(found)
        ),
    ),
    "p8": ("flood", lambda found: ratios(found, "P8") + "\n" + flood(found) + on_machine(found)),
    "p9": (
        "memory",
        lambda found: (
            ratios(found, "P9") + picture("performance-memory", "Resident memory over sign-ins") + on_machine(found)
        ),
    ),
    "p10": ("growth", lambda found: ratios(found, "P10")),
    "p11": ("codec", codec),
    "storm": ("storm", lambda found: storm(found) + on_machine(found)),
}


Blocks = Mapping[str, tuple[str, Callable[[Result], str]]]


def filled(text: str, results: Path, blocks: Blocks = BLOCKS) -> str:
    """Return the document with the figures of these results; raises KeyError for a marker that nothing fills."""

    def block(found: re.Match[str]) -> str:
        source, make = blocks[found[2]]
        file = results / f"{source}.json"
        # A blank line on each side: a table right below a comment is none for every reader of Markdown.
        figures = f"\n{make(json.loads(file.read_text()))}\n" if file.exists() else ""
        return found[1] + figures + found[3]

    return _BLOCK.sub(block, text)


def fill(description: str | None, document: Path, blocks: Blocks) -> int:
    """Write a document as the command line says, or with --check say whether it is up to date."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--document", type=Path, default=document)
    parser.add_argument(
        "--check", action="store_true", help="change nothing; exit 1 where a figure is not the result's"
    )
    given = parser.parse_args()
    text = given.document.read_text()
    new = filled(text, given.results, blocks)
    if given.check:
        return int(new != text)
    given.document.write_text(new)
    return 0


if __name__ == "__main__":
    sys.exit(fill(__doc__, DOCUMENT, BLOCKS))

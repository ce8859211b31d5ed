"""Results on the screen and as JSON, with the machine and the versions in each."""

import argparse
import json
import math
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from bench.lib.machine import machine, versions

RESULTS: Final = Path(__file__).parent.parent / "results"


def options(description: str | None, **extra: tuple[object, str]) -> argparse.Namespace:
    """Read the command line: what every benchmark takes, and `extra` as name=(default, help)."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=RESULTS, help="directory for the JSON (default: bench/results)")
    parser.add_argument("--quick", action="store_true", help="short runs and few users; the ratios are rough")
    parser.add_argument("--workers", type=int, help="passed to serve")
    for name, (default, text) in extra.items():
        kind = type(default) if default is not None else str
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, default=default, help=f"{text} ({default})")
    # What was started is ended also when this program is told to end.
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit("told to end"))
    return parser.parse_args()


@dataclass(slots=True)
class Report:
    """What one benchmark found; `ratios` are what its bars are about."""

    name: str
    settings: Mapping[str, object]
    rows: list[dict[str, Any]] = field(default_factory=list)
    ratios: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str | None] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    machine: dict[str, object] = field(default_factory=machine)
    began: float = field(default_factory=time.time)

    def add(self, label: str, row: dict[str, Any], *shown: str, **keys: object) -> None:
        """Keep a row and print the numbers named in `shown`."""
        self.rows.append({"label": label, **keys, **row})
        figures = "  ".join(f"{name} {_shown(row.get(name))}" for name in shown)
        print(f"{label:58} {figures}", flush=True)

    def ratio(self, name: str, value: float | None, bar: str = "") -> None:
        """Keep and print a ratio."""
        self.ratios[name] = value
        print(f"  ratio: {name}: {_shown(value)}{f' (bar: {bar})' if bar else ''}", flush=True)

    def write(self, directory: Path) -> None:
        """Write the JSON, and print the machine and the versions."""
        document = {
            "bench": self.name,
            "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.began)),
            "took_s": round(time.time() - self.began, 1),
            "machine": self.machine,
            "versions": versions(**self.versions),
            "settings": dict(self.settings),
            "ratios": self.ratios,
            "notes": self.notes,
            "rows": self.rows,
        }
        directory.mkdir(parents=True, exist_ok=True)
        file = directory / f"{self.name}.json"
        file.write_text(json.dumps(_rounded(document), indent=1, default=str) + "\n")
        print(f"{self.machine}\n{document['versions']}\nwritten: {file}")


@contextmanager
def reporting(name: str, directory: Path, **settings: object) -> Iterator[Report]:
    """Give a report that is written at the end of the block, however it ends: what was measured by then is kept."""
    report = Report(name, settings)
    try:
        yield report
    except BaseException as end:
        report.notes.append(f"ended early: {type(end).__name__} {end}".strip())
        raise
    finally:
        if report.rows:
            report.write(directory)


@contextmanager
def scratch() -> Iterator[Path]:
    """Give a throw-away directory that the users of the databases can pass through."""
    with tempfile.TemporaryDirectory(prefix="radiusd-mfa-bench-", ignore_cleanup_errors=True) as name:
        path = Path(name)
        path.chmod(0o711)
        yield path


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.3g}" if abs(value) < 100 else f"{value:,.0f}"
    if isinstance(value, dict):
        return " ".join(f"{key}={_shown(one)}" for key, one in value.items())
    return str(value)


def _rounded(value: object) -> object:
    if isinstance(value, float):
        return None if math.isnan(value) or math.isinf(value) else float(f"{value:.5g}") if abs(value) < 1e5 else value
    if isinstance(value, Mapping):
        return {str(key): _rounded(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(one) for one in value]
    return value

"""Plots of the results as SVG, readable on light and on dark: the curves of docs/performance.md and reliability.md.

Usage: python -m bench.plots [--results DIRECTORY] [--to DIRECTORY]
"""

import argparse
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, Final

from bench.lib.results import RESULTS

IMAGES: Final = Path(__file__).parent.parent / "docs" / "images"
_WIDTH, _HEIGHT = 760, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 78, 40, 48, 56
_LEGEND: Final = 20
"""Pixels for a line of the legend, below the plot."""
# Told apart with red-green blindness, and on white as on black (Okabe and Ito); dashes tell them apart in grey.
_COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6bb1", "#999999")
_DASHES: Final = ("", "7 4", "2 3", "10 3 2 3")
_STYLE: Final = """
    text { font: 13px system-ui, sans-serif; fill: #24292f; }
    .title { font-weight: 600; font-size: 15px; }
    .grid { stroke: #d0d7de; stroke-width: 1; }
    .axis { stroke: #57606a; stroke-width: 1; }
    .line { fill: none; stroke-width: 2.2; }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3; } .grid { stroke: #30363d; } .axis { stroke: #8b949e; }
    }
"""

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Axis:
    """What an axis shows; `at` are the values that get a mark (logarithmic: also its only ones)."""

    name: str
    logarithmic: bool = False
    at: Sequence[float] = ()


@dataclass(frozen=True, slots=True)
class Plot:
    """Curves by name over two axes."""

    title: str
    x: Axis
    y: Axis
    curves: Mapping[str, Sequence[Point]]
    bar: tuple[str, float] | None = None
    """A level that should be reached, or not be."""


def svg(plot: Plot) -> str:
    """Draw a plot."""
    points = [point for curve in plot.curves.values() for point in curve]
    levels = [y for _x, y in points] + ([plot.bar[1]] if plot.bar else [])
    across = _scale(plot.x, [x for x, _y in points], _LEFT, _WIDTH - _RIGHT - 8, room=False)
    up = _scale(plot.y, levels, _HEIGHT - _BOTTOM, _TOP, room=True)
    height = _HEIGHT + _LEGEND * len(plot.curves) + 8
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img">',
        f"<title>{escape(plot.title)}</title><style>{_STYLE}</style>",
        f'<text class="title" x="{_LEFT}" y="26">{escape(plot.title)}</text>',
        *_frame(plot, across, up),
        *_curves(plot, across, up),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


@dataclass(frozen=True, slots=True)
class _Scale:
    place: Callable[[float], float]
    marks: Sequence[float]


def _scale(axis: Axis, values: Sequence[float], low_at: float, high_at: float, *, room: bool) -> _Scale:
    """Place values between two pixels: linear from zero, with `room` up to the next round value."""
    if axis.logarithmic:
        low, high = math.log(min(values)), math.log(max(values))
        span = (high - low) or 1.0
        return _Scale(
            lambda value: low_at + (math.log(value) - low) / span * (high_at - low_at),
            [mark for mark in axis.at or _decades(values) if min(values) <= mark <= max(values)],
        )
    step = _step(max(values))
    top = step * math.ceil(max(values) * 1.02 / step) if room else max(values) or 1.0
    marks = [step * number for number in range(int(top / step + 1e-9) + 1)]
    return _Scale(lambda value: low_at + value / top * (high_at - low_at), axis.at or marks)


def _decades(values: Sequence[float]) -> list[float]:
    return [10.0**power for power in range(math.floor(math.log10(min(values))), math.ceil(math.log10(max(values))) + 1)]


def _step(highest: float) -> float:
    """Return a round step that makes four to eight marks."""
    if highest <= 0:
        return 1.0
    rough = highest / 5
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)


def _frame(plot: Plot, across: _Scale, up: _Scale) -> Iterator[str]:
    left, right, bottom = _LEFT, _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    for mark in up.marks:
        y = up.place(mark)
        yield f'<line class="grid" x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{_number(mark)}</text>'
    for mark in across.marks:
        x = across.place(mark)
        yield f'<line class="axis" x1="{x:.1f}" x2="{x:.1f}" y1="{bottom}" y2="{bottom + 5}"/>'
        yield f'<text x="{x:.1f}" y="{bottom + 20}" text-anchor="middle">{_number(mark)}</text>'
    yield f'<line class="axis" x1="{left}" x2="{right}" y1="{bottom}" y2="{bottom}"/>'
    yield f'<text x="{(left + right) / 2}" y="{bottom + 42}" text-anchor="middle">{escape(plot.x.name)}</text>'
    middle = (_TOP + bottom) / 2
    yield f'<text transform="translate(18 {middle}) rotate(-90)" text-anchor="middle">{escape(plot.y.name)}</text>'
    if plot.bar is not None:
        name, level = plot.bar
        y = up.place(level)
        yield f'<line class="axis" stroke-dasharray="3 3" x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text x="{right}" y="{y + 15:.1f}" text-anchor="end">{escape(name)}</text>'


def _curves(plot: Plot, across: _Scale, up: _Scale) -> Iterator[str]:
    for index, (name, curve) in enumerate(plot.curves.items()):
        colour, dashes = _COLOURS[index % len(_COLOURS)], _DASHES[index % len(_DASHES)]
        places = [(across.place(x), up.place(y)) for x, y in sorted(curve)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        look = f'class="line" stroke="{colour}" stroke-dasharray="{dashes}"'
        yield f'<polyline {look} points="{path}"/>'
        if len(places) <= 12:
            for x, y in places:
                yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>'
        at = _HEIGHT + 6 + _LEGEND * index
        yield f'<line {look} x1="{_LEFT}" x2="{_LEFT + 34}" y1="{at}" y2="{at}"/>'
        yield f'<text x="{_LEFT + 44}" y="{at + 4}">{escape(name)}</text>'


def _number(value: float) -> str:
    if value >= 1000 and value == int(value):
        return f"{int(value):,}"
    return f"{value:g}"  # also hides that 3 times 0.2 is 0.6000000000000001


def throughput(result: dict[str, Any], scheme: str) -> Plot | None:
    """Sign-ins a second over outstanding requests."""
    curves: dict[str, list[Point]] = {}
    for row in result["rows"]:
        if row.get("scheme") == scheme and row["rate"]:
            name = f"{row['who']}, {'PostgreSQL' if row['database'] == 'postgresql' else 'SQLite'}"
            curves.setdefault(name, []).append((row["concurrency"], row["rate"]))
    levels = sorted({x for curve in curves.values() for x, _y in curve})
    title = {"cheap": "a cheap hash", "argon": "argon2id", "bcrypt": "bcrypt 10"}[scheme]
    axis = Axis("requests outstanding", logarithmic=True, at=levels)
    return Plot(f"Sign-ins a second, {title}", axis, Axis("sign-ins a second"), curves) if curves else None


def goodput(result: dict[str, Any]) -> Plot | None:
    """Share of the peak that gets in over the offered load."""
    curves: dict[str, list[Point]] = {}
    for row in result["rows"]:
        if row.get("factor"):
            curves.setdefault(row["who"], []).append((row["factor"], row["goodput_share"]))
    x, y = Axis("offered load, in peaks", at=(0.5, 1, 2, 3, 4, 5)), Axis("Accepts a second, in peaks")
    return Plot("Goodput under overload", x, y, curves, ("bar at 5 peaks: 0.9", 0.9)) if curves else None


def growth(result: dict[str, Any]) -> Plot | None:
    """CPU of a sign-in over the number of users."""
    curves: dict[str, list[Point]] = {}
    for row in result["rows"]:
        name = "PostgreSQL" if row["database"] == "postgresql" else "SQLite"
        curves.setdefault(f"{name}, server and database", []).append((row["users"], row["cost_us"]))
    levels = sorted({x for curve in curves.values() for x, _y in curve})
    x, y = Axis("users", logarithmic=True, at=levels), Axis("CPU of a sign-in, µs")
    return Plot("Cost of a sign-in over users", x, y, curves) if curves else None


def memory(result: dict[str, Any]) -> Plot | None:
    """Resident memory over sign-ins."""
    curve = [(count, mib) for count, mib in result["rows"][0]["curve"]]
    x, y = Axis("sign-ins"), Axis("resident memory, MiB")
    return Plot("Memory over sign-ins", x, y, {"radiusd-mfa": curve}, ("bar: 150 MiB", 150))


def soak_memory(result: dict[str, Any]) -> Plot | None:
    """Memory over the minutes of a soak."""
    curve = [(row["minute"], row["mib"]) for row in result["rows"]]
    x, y = Axis("minute"), Axis("memory (Pss), MiB")
    return Plot("Memory over a soak", x, y, {"radiusd-mfa": curve}) if curve else None


def soak_latency(result: dict[str, Any]) -> Plot | None:
    """Latency over the minutes of a soak."""
    curves = {
        name: [(row["minute"], row[key]) for row in result["rows"]]
        for name, key in (("half of them within", "p50_ms"), ("99 of 100 within", "p99_ms"))
    }
    return Plot("Latency over a soak", Axis("minute"), Axis("milliseconds"), curves) if result["rows"] else None


PLOTS: Final[Mapping[str, tuple[str, Callable[[dict[str, Any]], Plot | None]]]] = {
    "performance-throughput-cheap": ("sign_ins", lambda result: throughput(result, "cheap")),
    "performance-throughput-argon2id": ("sign_ins", lambda result: throughput(result, "argon")),
    "performance-throughput-bcrypt": ("sign_ins", lambda result: throughput(result, "bcrypt")),
    "performance-goodput": ("overload", goodput),
    "performance-growth": ("growth", growth),
    "performance-memory": ("memory", memory),
    "reliability-memory": ("soak", soak_memory),
    "reliability-latency": ("soak", soak_latency),
}


def draw(results: Path, to: Path) -> list[Path]:
    """Draw what there are results for; return the files."""
    drawn = []
    for name, (source, make) in PLOTS.items():
        file = results / f"{source}.json"
        plot = make(json.loads(file.read_text())) if file.exists() else None
        if plot is not None:
            to.mkdir(parents=True, exist_ok=True)
            (to / f"{name}.svg").write_text(svg(plot))
            drawn.append(to / f"{name}.svg")
    return drawn


def main() -> None:
    """Draw all plots."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--to", type=Path, default=IMAGES)
    given = parser.parse_args()
    for file in draw(given.results, given.to):
        print(file)


if __name__ == "__main__":
    main()

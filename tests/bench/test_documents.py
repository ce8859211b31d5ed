"""Plots and the figures in the documents follow from the results, and from nothing else."""

import json
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from bench import plots, reliability, report
from bench.lib.results import RESULTS
from bench.overload import recovered
from bench.plots import Axis, Plot, svg

SIGN_IN = {"who": "radiusd-mfa", "database": "sqlite", "scheme": "cheap", "rate": 8123.4, "p50_ms": 1.5, "p99_ms": 9.0}


def sign_ins(directory: Path, *, commit: str = "abc") -> None:
    rows = [{**SIGN_IN, "concurrency": level, "cpu_us": {"server": 90.0}} for level in (1, 32, 256)]
    document = {
        "at": "2026-01-02T03:04:05Z",
        "took_s": 60,
        "machine": {"processors": 2, "processor": "any", "memory_gib": 4},
        "versions": {"commit": commit},
        "ratios": {"P1 32 outstanding, same duties": 4.25, "P2": None},
        "rows": rows,
    }
    (directory / "sign_ins.json").write_text(json.dumps(document))


def test_a_section_without_a_result_has_no_figure(tmp_path: Path) -> None:
    text = "words\n<!-- figures: p1 -->\nleft from before: 99,999\n<!-- end of figures -->\n"
    assert report.filled(text, tmp_path) == "words\n<!-- figures: p1 -->\n<!-- end of figures -->\n"


def test_a_marker_that_nothing_fills_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        report.filled("<!-- figures: p99 -->\n<!-- end of figures -->", tmp_path)


def test_the_figures_are_those_of_the_result_and_filling_twice_changes_nothing(tmp_path: Path) -> None:
    sign_ins(tmp_path)
    text = "<!-- figures: p1 -->\n<!-- end of figures -->\n"
    once = report.filled(text, tmp_path)
    assert "| radiusd-mfa | SQLite | 32 | 8,123 |" in once
    assert "| P1 32 outstanding, same duties | 4.250 |" in once
    assert report.filled(once, tmp_path) == once


def test_the_document_has_a_section_for_each_bar_and_the_figures_of_the_results_that_are_kept() -> None:
    text = report.DOCUMENT.read_text()
    assert re.findall(r"^## (P\d+):", text, re.MULTILINE) == [f"P{number}" for number in range(1, 12)]
    assert report.filled(text, RESULTS) == text


def test_the_document_on_reliability_has_the_figures_of_the_results_that_are_kept() -> None:
    text = reliability.DOCUMENT.read_text()
    assert set(re.findall(r"<!-- figures: (\S+) -->", text)) == set(reliability.BLOCKS)
    assert report.filled(text, RESULTS, reliability.BLOCKS) == text


def test_a_plot_is_well_formed_and_shows_every_curve_by_name(tmp_path: Path) -> None:
    sign_ins(tmp_path)
    drawn = plots.draw(tmp_path, tmp_path / "images")
    assert [file.name for file in drawn] == ["performance-throughput-cheap.svg"]
    root = ET.fromstring(drawn[0].read_text())
    lines = root.findall("{http://www.w3.org/2000/svg}polyline")
    assert len(lines) == 1
    assert len(lines[0].attrib["points"].split()) == 3
    assert "radiusd-mfa, SQLite" in drawn[0].read_text()


def test_a_name_cannot_break_out_of_the_plot() -> None:
    made = svg(Plot("a < b & c", Axis("x"), Axis("y"), {"<script>": [(0, 1), (2, 3)]}))
    assert ET.fromstring(made) is not None
    assert "<script>" not in made


def test_well_again_is_not_said_of_a_half_second_before_a_bad_one() -> None:
    good, bad = {"offered": 10.0, "prompt": 10.0}, {"offered": 10.0, "prompt": 2.0}
    assert recovered([good, bad, good, good]) == 1.0
    assert recovered([good, bad]) is None
    assert recovered([good]) == 0.0

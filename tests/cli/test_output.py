import sys

import pytest

from radiusd_mfa.cli.output import table, timestamp


def test_on_a_terminal_a_name_that_looks_like_markup_stays_a_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    table(("NAME", "STATE"), [("[red]x[/red]", None), (":smile:", "\x1b[31m")], empty="")
    shown = capsys.readouterr().out
    assert "[red]x[/red]" in shown
    assert ":smile:" in shown
    assert "\x1b[31m" not in shown
    assert r"\x1b[31m" in shown


def test_an_empty_table_says_so_beside_the_output(capsys: pytest.CaptureFixture[str]) -> None:
    table(("NAME",), [], empty="There is none.")
    assert capsys.readouterr() == ("", "There is none.\n")


@pytest.mark.parametrize(
    ("at", "shown"),
    [
        (None, None),
        (0.0, "1970-01-01T00:00:00.000Z"),
        (1_800_000_000.1234, "2027-01-15T08:00:00.123Z"),
        (1e18, "1e+18"),
        (float("nan"), "nan"),
    ],
)
def test_a_time_is_shown_in_utc_and_one_that_is_none_as_it_is(at: float | None, shown: str | None) -> None:
    assert timestamp(at) == shown

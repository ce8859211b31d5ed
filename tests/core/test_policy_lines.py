"""Each value of a TOML document is found on the line on which it begins."""

import tomllib
from typing import Any, Final

import pytest
from hypothesis import given

from radiusd_mfa.core.policy_lines import UNREADABLE, Lines, Path
from tests.support.policy_texts import POLICY_TEXTS

DOCUMENT: Final = '''\
# a comment with [[require]] in it

top = 1
"quoted key" = "[[require]]"
long = """
[[require]]
every = 1
"""
list = [
  # mode = "report"
  { deep = 1 },
  { deep = 2 },
]
inline = { one = 1, two = { three = 3 } }
a.dotted.key = 1

[[require]]
roles = 1
  [require.inner]
  every = 2

[[require]]

roles = 3
[ methods ]  # spaces
allow = [[1],
[2]]
[a.table]
x = 1
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ((), 1),
        (("top",), 3),
        (("quoted key",), 4),
        (("long",), 5),
        (("list",), 9),
        (("list", 1, "deep"), 9),
        (("inline",), 14),
        (("inline", "two", "three"), 14),
        (("a", "dotted", "key"), 15),
        (("require",), 17),
        (("require", 0), 17),
        (("require", 0, "roles"), 18),
        (("require", 0, "inner"), 19),
        (("require", 0, "inner", "every"), 20),
        (("require", 1), 22),
        (("require", 1, "roles"), 24),
        (("methods",), 25),
        (("methods", "allow"), 26),
        (("a", "table", "x"), 29),
        (("nowhere",), 1),
        (("require", 1, "nowhere"), 22),
        (("require", 7), 17),
    ],
)
def test_a_value_is_found_on_its_line_or_on_that_of_what_is_around_it(path: Path, line: int) -> None:
    assert Lines(DOCUMENT).of(path) == line
    assert Lines(DOCUMENT.replace("\n", "\r\n")).of(path) == line


def test_keys_in_thousands_of_others_are_found_where_the_outermost_is() -> None:
    assert Lines("\n" + ".".join("a" * 3_000) + " = 1").of(("a",) * 3_000) == 2


@given(POLICY_TEXTS)
def test_every_value_of_a_readable_text_has_a_line_on_which_a_key_of_its_path_stands(text: str) -> None:
    try:
        document = tomllib.loads(text)
    except UNREADABLE:
        return
    lines, found = text.split("\n"), Lines(text)
    for path in _keys(document):
        line = lines[found.of(path) - 1]
        assert any(str(key) in line for key in path) or "\\" in line


def _keys(document: dict[str, Any]) -> list[Path]:
    return [(key,) for key in document if key.isalnum()]


def test_a_value_of_a_thousand_lines_is_not_read_a_thousand_times(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    loads = tomllib.loads

    def counted(text: str) -> dict[str, Any]:
        read.append(len(text))
        return loads(text)

    monkeypatch.setattr(tomllib, "loads", counted)
    lines = Lines("top = 1\nlong = [\n" + "1,\n" * 990 + "]\nlast = 1\n")
    assert [lines.of((key,)) for key in ("top", "long", "last")] == [1, 2, 2]
    assert len(read) < 90

"""On which line of a TOML document each value begins, which tomllib does not tell; knows no policy.

A statement of TOML is over at the first line end at which it can be read alone, so tomllib itself finds where each
one ends: no second reader of TOML that could come to another opinion.
"""

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

Path = tuple[str | int, ...]
"""Keys, and indices where an array is entered: `("require", 1, "every")`."""

DEEPEST: Final = 4
"""Keys that a path may have, so that no `a.a.a.a` costs much; what is deeper has the line of what is around it."""
LONGEST: Final = 64
"""Lines after each of which a statement may end; then not after each: it costs to read all of the statement again."""
UNREADABLE: Final = (ValueError, RecursionError)
"""What tomllib raises: a number of 5,000 digits is a plain ValueError, an array in 1,000 others a RecursionError."""


class Lines:
    """The lines of one document, numbered from 1, that tomllib can read as a whole."""

    def __init__(self, text: str) -> None:
        self._lines: dict[Path, int] = {(): 1}
        self._entries: dict[Path, int] = {}
        table: Path = ()
        for line, statement, is_header in _statements(text):
            if is_header:
                table = self._enter(statement, line)
            else:
                self._note(table, statement, line)

    def of(self, path: Path) -> int:
        """Return the line of this value, or of the innermost value around it that has one."""
        while path not in self._lines:
            path = path[:-1]
        return self._lines[path]

    def _enter(self, header: Mapping[str, object], line: int) -> Path:
        """Return the table that a header opens: an array of tables gets one more entry."""
        path: Path = ()
        inner: object = header
        while isinstance(inner, dict) and inner:
            key, inner = next(iter(inner.items()))
            path = (*self._inside(path), key)
        if isinstance(inner, list):
            self._entries[path] = self._entries.get(path, -1) + 1
        path = self._inside(path)
        self._lines.setdefault(path[:1], line)
        self._lines.setdefault(path, line)
        return path

    def _inside(self, path: Path) -> Path:
        return (*path, self._entries[path]) if path in self._entries else path

    def _note(self, path: Path, value: object, line: int) -> None:
        self._lines.setdefault(path, line)
        if len(path) < DEEPEST:
            for key, inner in _entries(value):
                self._note((*path, key), inner, line)


def _entries(value: object) -> Iterable[tuple[str | int, object]]:
    if isinstance(value, dict):
        return value.items()
    return enumerate(value) if isinstance(value, list) else ()


def _statements(text: str) -> Iterator[tuple[int, Mapping[str, object], bool]]:
    """Yield each statement with the line on which it begins, and whether it is the header of a table.

    What comes after a long one may be taken for a part of it.
    """
    statement, begin = "", 1
    lines = text.split("\n")
    for number, line in enumerate(lines, start=1):
        statement = f"{statement}{line}\n"
        if number - begin >= LONGEST and number % LONGEST and number < len(lines):
            continue
        try:
            read = tomllib.loads(statement)
        except UNREADABLE:
            continue  # the value goes on in the next line
        if read:
            yield begin, read, statement.lstrip().startswith("[")
        statement, begin = "", number + 1

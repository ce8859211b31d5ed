"""A table of users: CSV whose header names the same fields as our JSON lines."""

from collections.abc import Iterator, Mapping

from radiusd_mfa.core.names import escaped
from radiusd_mfa.foreign import tables
from radiusd_mfa.foreign.numbers import whole
from radiusd_mfa.usecases.import_ports import FIELDS, NUMBERS, Entry, FileProblem, Found, Misread


def read(text: str) -> Iterator[Found]:
    """Yield an entry for each row; an empty value is as good as none."""
    header = tables.header_of(text)
    if unknown := [name for name in header if name not in FIELDS]:
        names = ", ".join(f"“{escaped(name)}”" for name in unknown)
        yield Misread("line 1", f"unknown field {names}; known are {', '.join(FIELDS)}")
        return
    for number, row in tables.rows(text):
        place = f"line {number}"
        try:
            yield Entry(place, _fields(row))
        except FileProblem as problem:
            yield Misread(place, str(problem))


def _fields(row: Mapping[str, str]) -> Mapping[str, object]:
    # What stands around a password is part of it; everywhere else a space is what somebody's hand left there.
    return {
        name: _number(name, value) if name in NUMBERS else value if name == "password" else value.strip()
        for name, value in row.items()
        if value.strip()
    }


def _number(name: str, value: str) -> int:
    found = whole(value)
    if found is None:
        raise FileProblem(f"{name}: is not a number")
    return found

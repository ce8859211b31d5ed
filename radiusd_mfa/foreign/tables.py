"""Tables as text: CSV as spreadsheets and databases write it, and the tab-separated lines of mysql.

Owns delimiters, quoting and where a row begins; knows no column.
"""

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from radiusd_mfa.usecases.import_ports import FileProblem

_DELIMITERS: Final = (",", ";", "\t")
_BOM: Final = "\ufeff"
MYSQL_NULL: Final = "NULL"
_LINE_END: Final = re.compile(r"[\r\n]")
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)
_MYSQL_ESCAPES: Final = {"n": "\n", "t": "\t", "0": "\0"}
Row = tuple[int, Sequence[str]]


def text_of(octets: bytes) -> str:
    """Return a file as text: UTF-8, with or without its mark, or UTF-16 where its mark says so."""
    encoding = "utf-16" if octets[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return octets.decode(encoding)
    except UnicodeDecodeError as error:
        # Not chained: the error holds the whole file, passwords and all.
        line = octets[: error.start].count(b"\n") + 1
        raise FileProblem(
            f"line {line}: is not UTF-8; save the file as “CSV UTF-8”, or convert it with iconv"
        ) from None


def header_of(text: str) -> Sequence[str]:
    """Return the names in the first line, in lower case; whatever the line is."""
    first = _first_line(text)
    try:
        row = next(csv.reader([first], delimiter=delimiter_of(first)), [])
    except csv.Error:
        return []  # whatever it is, it is the header of nothing
    return [name.strip().lower() for name in row]


def _first_line(text: str) -> str:
    # A spreadsheet may end its lines with CR alone.
    return _LINE_END.split(text.removeprefix(_BOM).lstrip("\r\n"), maxsplit=1)[0]


def delimiter_of(first: str) -> str:
    """Return what separates the names of a header; Excel writes semicolons where commas are for decimals."""
    return max(_DELIMITERS, key=first.count)


def rows(text: str, *, by_mysql: bool = False) -> Iterator[tuple[int, Mapping[str, str]]]:
    """Yield the number of the line on which a row begins, and its values by the names in the header.

    With `by_mysql` values are escaped, and never quoted, where tabs separate them. Raises FileProblem, which names the
    line, where a row is not one.
    """
    delimiter = delimiter_of(_first_line(text))
    found = _plain(text) if by_mysql and delimiter == "\t" else _quoted(text, delimiter)
    _number, header = next(found, (1, []))
    names = [name.strip().removeprefix(_BOM).lower() for name in header]
    if len(set(names)) != len(names):
        raise FileProblem("line 1: the header has a name twice")
    for number, row in found:
        if len(row) != len(names):
            raise FileProblem(f"line {number}: has {len(row)} values, the header has {len(names)}")
        yield number, dict(zip(names, row, strict=True))


def unnamed(text: str) -> Iterator[Row]:
    """Yield the rows of a file of commas that has no header, with the numbers of their lines."""
    yield from _quoted(text, ",")


def _quoted(text: str, delimiter: str) -> Iterator[Row]:
    # Not by splitlines: that ends a line also at what a password may hold, such as U+2028.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    began = 1
    try:
        for row in reader:
            if any(value.strip() for value in row):
                yield began, row
            began = reader.line_num + 1
    except csv.Error as error:
        # Not chained, as everywhere here: what is raised may not hold a row.
        raise FileProblem(f"line {began}: is no row of this table ({error})") from None


def _plain(text: str) -> Iterator[Row]:
    for number, line in enumerate(text.split("\n"), start=1):
        tidy = line.removesuffix("\r")
        if tidy.strip():
            yield number, [_unescaped(value) for value in tidy.split("\t")]


def _unescaped(value: str) -> str:
    if value == MYSQL_NULL:
        return ""
    return _ESCAPED.sub(lambda found: _MYSQL_ESCAPES.get(found[1], found[1]), value)

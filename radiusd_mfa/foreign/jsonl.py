"""JSON lines, one object for each user: the format of our own, which every other can be turned into."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from radiusd_mfa.core.names import escaped
from radiusd_mfa.usecases.import_ports import FIELDS, NUMBERS, Entry, FileProblem, Found, Misread

MOST_OCTETS_IN_A_LINE: Final = 65_536


def read(lines: Iterable[bytes]) -> Iterator[Found]:
    """Yield an entry for each line that is not empty."""
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        place = f"line {number}"
        try:
            yield Entry(place, _fields(line))
        except FileProblem as problem:
            yield Misread(place, str(problem))


def _fields(line: bytes) -> Mapping[str, Any]:
    """Read a line as an object of known fields, each of its type; a null is as good as an absent field."""
    if len(line) > MOST_OCTETS_IN_A_LINE:
        raise FileProblem(f"is longer than {MOST_OCTETS_IN_A_LINE} octets")
    try:
        document = json.loads(line, object_pairs_hook=_without_doubles)
    except FileProblem:
        raise
    except (ValueError, RecursionError):
        # Not chained: the message of the parser quotes the line, and with it a password.
        raise FileProblem("is not JSON") from None
    if not isinstance(document, dict):
        raise FileProblem('is not a JSON object like {"username": "alice", "password": "..."}')
    fields = {name: value for name, value in document.items() if value is not None}
    for name, value in fields.items():
        _check_type(name, value)
    return fields


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        raise FileProblem("has a field twice")
    return dict(pairs)


def _check_type(name: str, value: object) -> None:
    if name not in FIELDS:
        raise FileProblem(f"unknown field “{escaped(name)}”; known are {', '.join(FIELDS)}")
    wanted, word = (int, "a number") if name in NUMBERS else (str, "a text")
    if not isinstance(value, wanted) or isinstance(value, bool):
        raise FileProblem(f"{name}: is not {word}")

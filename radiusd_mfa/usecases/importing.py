"""Users taken over from other systems, as JSON lines: all of a file, or nothing of it.

Every line is read and judged before anything is written; what is wrong is named by its line.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, Final

from radiusd_mfa.core.names import Username, escaped
from radiusd_mfa.core.totp import CODE_LENGTHS, Algorithm, seed_from_base32
from radiusd_mfa.usecases.actors import OPERATOR, Actor
from radiusd_mfa.usecases.admin_ports import ImportedUser, NewMethod, NewUser
from radiusd_mfa.usecases.books import Administration, Books, Hashing
from radiusd_mfa.usecases.changes import Change, Refusal, recorded, unknown
from radiusd_mfa.usecases.people import email_address, new_password, phone_number
from radiusd_mfa.usecases.ports import Clock
from radiusd_mfa.usecases.teams import ROLES

MOST_PROBLEMS: Final = 20
"""Problems that are collected; a file of the wrong kind has one in each line."""
MOST_OCTETS_IN_A_LINE: Final = 65_536
LABEL: Final = "imported"
_PERIODS: Final = range(10, 301)
FIELDS: Final = (
    "username",
    "password",
    "password_hash",
    "email",
    "phone",
    "team",
    "role",
    "totp_secret",
    "totp_digits",
    "totp_period",
    "totp_algorithm",
)
_NEEDS: Final = (
    ("role", "team"),
    ("totp_digits", "totp_secret"),
    ("totp_period", "totp_secret"),
    ("totp_algorithm", "totp_secret"),
)


@dataclass(frozen=True, slots=True)
class Imported:
    """How many users were taken over, and how many of them brought an authenticator."""

    users: int
    methods: int


@dataclass(frozen=True, slots=True)
class _Line:
    """A line that was understood by itself; teams and other users are not looked at yet."""

    number: int
    user: NewUser
    password: str | None = field(repr=False)
    team: str | None
    role: str
    method: NewMethod | None


class _LineProblem(ValueError):
    """What is wrong with a line; never holds a password, a hash or a seed."""


def take_over(
    lines: Iterable[bytes], *, store: Administration, hashing: Hashing, clock: Clock, actor: Actor = OPERATOR
) -> Imported | Refusal:
    """Make a user of each line (docs/cli.md has the fields), or none at all."""
    found, problems = _read(lines, hashing)
    # Hashed before the transaction: a thousand passwords are half a minute in which nobody could write.
    ready = found if problems else _hashed(found, hashing)

    def work(books: Books) -> Imported | Refusal:
        complaints = [*problems, *islice(_conflicts(ready, books), MOST_PROBLEMS)]
        if complaints:
            return _refusal(complaints)
        teams = {team.name: team.id for team in books.teams.all()}
        books.people.add_many([_imported(line, teams) for line in ready], clock())
        return Imported(len(ready), sum(line.method is not None for line in ready))

    change = Change("user-import", detail={"lines": len(found)}, actor=actor)
    return recorded(change, work, store=store, clock=clock)


def _refusal(complaints: Sequence[str]) -> Refusal:
    shown = sorted(complaints, key=_line_number)[:MOST_PROBLEMS]
    more = "" if len(complaints) < MOST_PROBLEMS else "\n... and perhaps more"
    return Refusal("Nothing was imported; correct the file and import it again:\n" + "\n".join(shown) + more)


def _line_number(complaint: str) -> int:
    return int(complaint.removeprefix("line ").partition(":")[0])


def _read(lines: Iterable[bytes], hashing: Hashing) -> tuple[Sequence[_Line], Sequence[str]]:
    found: list[_Line] = []
    problems: list[str] = []
    first_use: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            one = _parsed(number, line, hashing)
            earlier = first_use.setdefault(one.user.name, number)
            if earlier != number:
                _fail(f"user “{escaped(one.user.name)}” stands in line {earlier} already")
            found.append(one)
        except _LineProblem as problem:
            problems.append(f"line {number}: {problem}")
            if len(problems) == MOST_PROBLEMS:
                break
    return found, problems


def _fail(sentence: str) -> None:
    raise _LineProblem(sentence)


def _parsed(number: int, line: bytes, hashing: Hashing) -> _Line:
    fields = _fields(line)
    password, stored = fields.get("password"), fields.get("password_hash")
    if (password is None) == (stored is None):
        raise _LineProblem("needs either password or password_hash")
    if stored is not None and (complaint := hashing.complaint(stored)):
        raise _LineProblem(f"password_hash: {complaint}")
    role = fields.get("role", "member")
    if role not in ROLES:
        raise _LineProblem(f"role: “{escaped(role)}” is none of {', '.join(ROLES)}")
    user = NewUser(
        name=_value(fields, "username", lambda text: Username.parse(text).text) or "",
        password_hash=stored,
        email=_value(fields, "email", email_address),
        phone=_value(fields, "phone", phone_number),
    )
    prepared = _value(fields, "password", new_password)
    return _Line(number, user, prepared, fields.get("team"), role, _method(fields))


def _fields(line: bytes) -> Mapping[str, Any]:
    """Read a line as an object of known fields, each of its type; a null is as good as an absent field."""
    if len(line) > MOST_OCTETS_IN_A_LINE:
        raise _LineProblem(f"is longer than {MOST_OCTETS_IN_A_LINE} octets")
    try:
        document = json.loads(line, object_pairs_hook=_without_doubles)
    except _LineProblem:
        raise
    except (ValueError, RecursionError):
        # Not chained: the message of the parser quotes the line, and with it a password.
        raise _LineProblem("is not JSON") from None
    if not isinstance(document, dict):
        raise _LineProblem('is not a JSON object like {"username": "alice", "password": "..."}')
    fields = {name: value for name, value in document.items() if value is not None}
    for name, value in fields.items():
        _check_type(name, value)
    if "username" not in fields:
        raise _LineProblem("has no username")
    for name, needed in _NEEDS:
        if name in fields and needed not in fields:
            raise _LineProblem(f"has {name}, but no {needed}")
    return fields


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        raise _LineProblem("has a field twice")
    return dict(pairs)


def _check_type(name: str, value: object) -> None:
    if name not in FIELDS:
        raise _LineProblem(f"unknown field “{escaped(name)}”; known are {', '.join(FIELDS)}")
    wanted, word = (int, "a number") if name in ("totp_digits", "totp_period") else (str, "a text")
    if not isinstance(value, wanted) or isinstance(value, bool):
        raise _LineProblem(f"{name}: is not {word}")


def _value(fields: Mapping[str, Any], name: str, read: Callable[[str], str]) -> str | None:
    if name not in fields:
        return None
    try:
        return read(fields[name])
    except ValueError as error:
        raise _LineProblem(f"{name}: {error}") from error


def _method(fields: Mapping[str, Any]) -> NewMethod | None:
    if "totp_secret" not in fields:
        return None
    digits, period = fields.get("totp_digits", 6), fields.get("totp_period", 30)
    algorithm = fields.get("totp_algorithm", Algorithm.SHA1).upper()
    if digits not in CODE_LENGTHS:
        raise _LineProblem(f"totp_digits: {digits} is none of 6, 7, 8")
    if period not in _PERIODS:
        raise _LineProblem(f"totp_period: {period} is not between {_PERIODS[0]} and {_PERIODS[-1]} seconds")
    if algorithm not in {*Algorithm}:
        raise _LineProblem(f"totp_algorithm: “{escaped(algorithm)}” is none of {', '.join(Algorithm)}")
    try:
        seed = seed_from_base32(fields["totp_secret"])
    except ValueError as error:
        raise _LineProblem(f"totp_secret: {error}") from error
    return NewMethod(seed, LABEL, digits, period, Algorithm(algorithm))


def _hashed(lines: Sequence[_Line], hashing: Hashing) -> Sequence[_Line]:
    made = iter(hashing.make_all([line.password for line in lines if line.password is not None]))
    return [
        line if line.password is None else replace(line, user=replace(line.user, password_hash=next(made)))
        for line in lines
    ]


def _conflicts(lines: Sequence[_Line], books: Books) -> Iterable[str]:
    taken, teams = books.people.lock_names(), [team.name for team in books.teams.all()]
    known = set(teams)
    for line in lines:
        if line.user.name in taken:
            yield f"line {line.number}: user “{escaped(line.user.name)}” is in the database already"
        if line.team is not None and line.team not in known:
            yield f"line {line.number}: {unknown('team', line.team, teams, command='team list').sentence}"


def _imported(line: _Line, teams: Mapping[str, int]) -> ImportedUser:
    return ImportedUser(line.user, teams[line.team] if line.team is not None else None, line.role, line.method)

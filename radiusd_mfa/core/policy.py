"""A team's policy: who must give a second factor, where and how often. From TOML to values, or to complaints.

What can't be understood completely is not understood at all: at sign-in time everybody needs a second factor then
(T7). Knows no user, no database and no clock; whether a rule is satisfied is core.circumstances' business.
"""

import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final, TypeVar

from radiusd_mfa.core.facts import MethodKind
from radiusd_mfa.core.names import escaped
from radiusd_mfa.core.policy_lines import UNREADABLE, Lines, Path
from radiusd_mfa.core.policy_values import Wrong, listed, meant, moment, names, number, one_of, period, switch

ROLES: Final = ("owner", "admin", "member")
SURFACES: Final = ("vpn", "network-device", "client-app", "control-panel")
NO_MFA: Final = "no-mfa"
"""The plan of a team that has not booked MFA: without a policy nothing is asked of its members (E8)."""
MOST_BACKUP_CODES: Final = 20
USUAL_BACKUP_CODES: Final = 10
MOST_CHARACTERS: Final = 16_384
MOST_LINES: Final = 1_000
MOST_DOTS: Final = 100
"""Dots in one line: to read a key `a.a.a.a` takes tomllib the square of them, seconds for thousands."""

_TOML_LINE: Final = re.compile(r" \(at line (\d+), column \d+\)")

_TOP: Final = ""
_KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    _TOP: ("mode", "enrol_by", "require_all_owners", "require", "methods", "backup_codes"),
    "[[require]]": ("roles", "surfaces", "every", "remember"),
    "[methods]": ("allow",),
    "[backup_codes]": ("count", "reveal"),
}


class Mode(StrEnum):
    """Whether the rules are enforced, or it is only counted whom they would stop."""

    ENFORCE = "enforce"
    REPORT = "report"


class Remember(StrEnum):
    """For whom a period is kept: for the user on a surface, or for each device at each NAS."""

    USER = "user"
    DEVICE = "device"


@dataclass(frozen=True, slots=True)
class Rule:
    """These roles must give a second factor on these surfaces."""

    roles: frozenset[str] = frozenset(ROLES)
    surfaces: frozenset[str] = frozenset(SURFACES)
    every: float | None = None
    """Seconds until it is asked for again; None: at every connection."""
    remember: Remember = Remember.USER


_EVERYBODY: Final = (Rule(),)


@dataclass(frozen=True, slots=True)
class Policy:
    """What a team asks of its members; the default is T0: everybody, everywhere, at every connection."""

    rules: tuple[Rule, ...] = _EVERYBODY
    mode: Mode = Mode.ENFORCE
    enrol_by: float | None = None
    """Unix time until which the unenrolled may sign in with the password; None: no such time."""
    require_all_owners: bool = False
    """Whether it may only be applied once every owner of the team has a second factor (T4)."""
    allow: frozenset[MethodKind] = frozenset(MethodKind)
    """The kinds of methods whose codes count."""
    backup_codes: int = USUAL_BACKUP_CODES
    """How many codes a set has; 1 is the style of a single recovery code (E3)."""
    reveal: bool = False
    """Whether a user may see the unused codes again (K5)."""

    def matching(self, role: str, surface: str) -> tuple[Rule, ...]:
        """Return the rules about this role on this surface; all of them must be satisfied."""
        if role not in ROLES or surface not in SURFACES:
            return _EVERYBODY  # T7: no policy can say anything about what is none of the known ones
        return tuple([rule for rule in self.rules if role in rule.roles and surface in rule.surfaces])


T0: Final = Policy()


@dataclass(frozen=True, slots=True)
class Complaint:
    """What is wrong with a policy's text, as a sentence, and on which line (from 1)."""

    line: int
    sentence: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.sentence}"


class PolicyProblem(ValueError):
    """A text that is no policy; holds every complaint about it, in the order of the lines."""

    def __init__(self, complaints: Sequence[Complaint]) -> None:
        super().__init__("\n".join(map(str, complaints)))
        self.complaints: Final = tuple(complaints)


def parse(text: str) -> Policy:
    """Read a policy's TOML; raises PolicyProblem with all complaints at once and nothing else."""
    _check_size(text)
    document = _document(text)
    reader = _Reader()
    policy = reader.policy(document)
    if reader.complaints:
        lines = Lines(text)
        complaints = [Complaint(lines.of(path), sentence) for path, sentence in reader.complaints]
        raise PolicyProblem(sorted(complaints, key=lambda complaint: complaint.line))
    return policy


@lru_cache(maxsize=1024)
def rules_at_sign_in(text: str | None) -> Policy:
    """Return what holds at a sign-in: T0 without a policy, and T0 for whatever can't be understood (T7)."""
    if text is None or not text.strip() or _too_big(text) is not None:
        return T0
    try:
        document = tomllib.loads(text)
    except UNREADABLE:
        return T0
    reader = _Reader()
    policy = reader.policy(document)
    return T0 if reader.complaints else policy


def _too_big(text: str) -> Complaint | None:
    """Say what would take long to read, before it is read."""
    if len(text) > MOST_CHARACTERS or text.count("\n") > MOST_LINES:
        return Complaint(1, f"A policy has at most {MOST_CHARACTERS} characters and {MOST_LINES} lines, this one more.")
    for where, line in enumerate(text.split("\n"), start=1):
        if line.count(".") > MOST_DOTS:
            return Complaint(where, f"A line has at most {MOST_DOTS} dots, this one has more.")
    return None


def _check_size(text: str) -> None:
    complaint = _too_big(text)
    if complaint is not None:
        raise PolicyProblem([complaint])


def _document(text: str) -> dict[str, object]:
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise PolicyProblem([Complaint(1, "This is no TOML: values are nested too deeply.")]) from error
    except tomllib.TOMLDecodeError as error:
        raise PolicyProblem([_toml_complaint(text, str(error))]) from error
    except ValueError as error:
        raise PolicyProblem([Complaint(1, "This is no TOML: a number has too many digits.")]) from error


def _toml_complaint(text: str, message: str) -> Complaint:
    place = _TOML_LINE.search(message)
    line = int(place[1]) if place else text.rstrip("\n").count("\n") + 1
    what = escaped(_TOML_LINE.sub("", message).removesuffix(" (at end of document)"), 160)
    return Complaint(line, f"This is no TOML: {what}.")


T = TypeVar("T")


class _Reader:
    """Reads a document and collects every complaint; what it returns beside complaints is worth nothing."""

    def __init__(self) -> None:
        self.complaints: list[tuple[Path, str]] = []

    def policy(self, document: Mapping[str, object]) -> Policy:
        self._check_keys(_TOP, (), document)
        methods = self._table("methods", document)
        backup_codes = self._table("backup_codes", document)
        return Policy(
            rules=self._rules(document),
            mode=self._read(document, ("mode",), _mode, Mode.ENFORCE),
            enrol_by=self._read(document, ("enrol_by",), moment, None),
            require_all_owners=self._read(document, ("require_all_owners",), switch, False),
            allow=self._read(methods, ("methods", "allow"), _kinds, frozenset(MethodKind)),
            backup_codes=self._read(backup_codes, ("backup_codes", "count"), _count, USUAL_BACKUP_CODES),
            reveal=self._read(backup_codes, ("backup_codes", "reveal"), switch, False),
        )

    def _rules(self, document: Mapping[str, object]) -> tuple[Rule, ...]:
        if "require" not in document:
            return _EVERYBODY
        entries = document["require"]
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            self._complain(("require",), "“require” is a list of rules, each below a line [[require]].")
            return _EVERYBODY
        return tuple(self._rule(("require", index), entry) for index, entry in enumerate(entries))

    def _rule(self, path: Path, entry: Mapping[str, object]) -> Rule:
        self._check_keys("[[require]]", path, entry)
        return Rule(
            roles=self._read(entry, (*path, "roles"), _roles, frozenset(ROLES)),
            surfaces=self._read(entry, (*path, "surfaces"), _surfaces, frozenset(SURFACES)),
            every=self._read(entry, (*path, "every"), period, None),
            remember=self._read(entry, (*path, "remember"), _remember, Remember.USER),
        )

    def _table(self, name: str, document: Mapping[str, object]) -> Mapping[str, object]:
        table = document.get(name, {})
        if not isinstance(table, dict):
            self._complain((name,), f"“{name}” is a table, below a line [{name}].")
            return {}
        self._check_keys(f"[{name}]", (name,), table)
        return table

    def _read(self, table: Mapping[str, object], path: Path, read: Callable[[object], T], default: T) -> T:
        key = str(path[-1])
        if key not in table:
            return default
        try:
            return read(table[key])
        except Wrong as wrong:
            self._complain(path, f"“{key}” is {wrong}")
            return default

    def _check_keys(self, where: str, path: Path, table: Mapping[str, object]) -> None:
        inside = f" in {where}" if where else ""
        for key in table:
            if key not in _KEYS[where]:
                self._complain((*path, key), f"There is no “{escaped(key)}”{inside}{_place_of(key, where)}")

    def _complain(self, path: Path, sentence: str) -> None:
        self.complaints.append((path, sentence))


def _place_of(key: str, where: str) -> str:
    """Suggest the key that was meant here, or the place where this one belongs."""
    homes = [home for home, keys in _KEYS.items() if key in keys]
    if homes:
        return f"; it belongs {f'below {homes[0]}' if homes[0] else 'above the first line in brackets'}."
    return meant(key, _KEYS[where])


def _mode(value: object) -> Mode:
    return Mode(one_of(value, tuple(Mode)))


def _remember(value: object) -> Remember:
    return Remember(one_of(value, tuple(Remember)))


def _roles(value: object) -> frozenset[str]:
    return names(value, ROLES)


def _surfaces(value: object) -> frozenset[str]:
    return names(value, SURFACES)


def _kinds(value: object) -> frozenset[MethodKind]:
    return frozenset(map(MethodKind, listed(value, tuple(MethodKind))))


def _count(value: object) -> int:
    return number(value, MOST_BACKUP_CODES)

"""A finding: what is wrong, where, and the command that mends it."""

from dataclasses import dataclass
from enum import StrEnum


class Area(StrEnum):
    """The parts of an installation, in the order in which they rest on each other."""

    SETTINGS = "settings"
    MACHINE = "machine"
    KEYS = "keys"
    DATABASE = "database"
    AUDIT = "audit"
    SERVER = "server"
    NAS = "nas"
    PEOPLE = "people"
    DELIVERY = "delivery"


class Weight(StrEnum):
    """Whether somebody has to look, or it only could be better."""

    PROBLEM = "problem"
    ADVICE = "advice"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found; two checks never find the same."""

    check: str
    """The name of what was looked for, the same in every version."""
    area: Area
    weight: Weight
    where: str
    """Which file, NAS entry, team or address."""
    what: str
    """A sentence or two."""
    remedy: str = ""
    """The command that mends it; empty where there is none, and the sentence says what to do."""


def problem(check: str, area: Area, where: str, what: str, remedy: str = "") -> Finding:
    """Make a finding that somebody has to look at."""
    return Finding(check, area, Weight.PROBLEM, where, what, remedy)


def advice(check: str, area: Area, where: str, what: str, remedy: str = "") -> Finding:
    """Make a finding about what works, and could be better."""
    return Finding(check, area, Weight.ADVICE, where, what, remedy)

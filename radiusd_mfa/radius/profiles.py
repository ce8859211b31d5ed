"""Reply profiles: the attributes that an Access-Accept of a team carries, as text and as octets.

    # A comment; a line each, names as the dictionaries have them.
    Filter-Id = "staff"
    Tunnel-Private-Group-Id:1 = "20"

Owns the text: its lines, quotes and complaints, and what one reply may hold of it. Knows no team, role, NAS or cache;
what an attribute can hold is for attributes.py.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from radiusd_mfa.radius.attribute_values import printable
from radiusd_mfa.radius.attributes import AttributeProblem, Dictionary, Kind
from radiusd_mfa.radius.packet import ATTRIBUTES_LIMIT
from radiusd_mfa.radius.wire import Attribute, session_timeout, termination_action, without

PROFILE_LIMIT: Final = ATTRIBUTES_LIMIT - 512
"""Octets of a profile's attributes; the rest is for a session limit and a Reply-Message of the server's own."""
LINES_LIMIT: Final = 100
"""Attributes of a profile: NASes set aside buffers for a few dozen, and packets of over 200 are taken for attacks."""

_LIMITS: Final = frozenset((Attribute.SESSION_TIMEOUT, Attribute.TERMINATION_ACTION))
# RFC 2865 5.44: 0-1 in an Access-Accept; which of two a NAS obeys is its own secret.
_ONCE: Final[frozenset[Kind]] = frozenset(
    (1, 6, 7, 8, 9, 10, 12, 15, 16, 19, 20, 23, 27, 28, 29, 34, 35, 36, 37, 39, 62, 63)
)
_LINE: Final = re.compile(r"(?P<name>[^\s=\"']+)\s*=\s*(?P<value>\S.*)")
_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\["\\])+)"')
_BARE: Final = re.compile(r"[^\"'](?:[^\"]*[^\"'])?")
_QUOTED_LONGEST: Final = 64


class ProfileProblem(AttributeProblem):
    """What is wrong with the text of a profile: a sentence for each line that is, and for the whole."""

    def __init__(self, complaints: list[str]) -> None:
        super().__init__("\n".join(complaints))
        self.complaints: Final = tuple(complaints)


@dataclass(frozen=True, slots=True)
class EncodedProfile:
    """The attributes of a profile as octets, ready to be sent."""

    octets: bytes = b""
    session: int | None = None
    """Seconds of its Session-Timeout, if it has one."""
    unlimited: bytes = b""
    """The octets without Session-Timeout and Termination-Action."""

    def limited_to(self, seconds: int | None) -> bytes:
        """Return the attributes, with an end of the session after these seconds or sooner, and the NAS asking again.

        Without Termination-Action the NAS would hang up, where the person only has to give a code again
        (RFC 2865 5.29).
        """
        if seconds is None:
            return self.octets
        sooner = seconds if self.session is None else min(seconds, self.session)
        return self.unlimited + session_timeout(sooner) + termination_action(ask_again=True)


@dataclass(frozen=True, slots=True)
class _Written:
    kind: Kind
    normalised: str
    octets: bytes


def check_profile(text: str, dictionary: Dictionary) -> str:
    """Return the text in its one spelling: names as the dictionary has them, values in quotes, comments as they are.

    Raises ProfileProblem with every complaint, each naming its line.
    """
    return "\n".join(line if isinstance(line, str) else line.normalised for line in _read(text, dictionary))


def encode_profile(text: str, dictionary: Dictionary) -> EncodedProfile:
    """Encode the text of a profile; raises ProfileProblem as `check_profile` does."""
    written = [line for line in _read(text, dictionary) if isinstance(line, _Written)]
    octets = b"".join(line.octets for line in written)
    session = next((line.octets for line in written if line.kind == Attribute.SESSION_TIMEOUT), None)
    return EncodedProfile(octets, int.from_bytes(session[2:]) if session else None, without(octets, _LIMITS))


def _read(text: str, dictionary: Dictionary) -> list[_Written | str]:
    """Return the attributes and, as text, the comments."""
    lines: list[_Written | str] = []
    complaints: list[str] = []
    seen: dict[Kind, int] = {}
    for number, line in _numbered(text):
        if line.startswith("#"):
            lines.append(line)
            continue
        try:
            written = _attribute(line, dictionary)
            _refuse_a_second(written, seen, dictionary)
        except AttributeProblem as problem:
            complaints.append(f"line {number}: {problem}")
        else:
            seen.setdefault(written.kind, number)
            lines.append(written)
    complaints += _about_the_whole([line for line in lines if isinstance(line, _Written)])
    if complaints:
        raise ProfileProblem(complaints)
    return lines


def _numbered(text: str) -> Iterator[tuple[int, str]]:
    # Not splitlines(), which would also split at U+2028 inside of a value.
    for number, line in enumerate(text.split("\n"), start=1):
        if stripped := line.strip():
            yield number, stripped


def _attribute(line: str, dictionary: Dictionary) -> _Written:
    if not line.isprintable():
        raise AttributeProblem("it holds characters that can't be seen; give octets in hexadecimal, as 0x0102")
    match = _LINE.fullmatch(line)
    if match is None:
        raise AttributeProblem(f'{_shown(line)} is no attribute; write NAME = "VALUE", such as Filter-Id = "staff"')
    name, value = match["name"], _value(match["value"])
    octets = dictionary.encode(name, value)
    bare, colon, tag = name.partition(":")
    kind = dictionary.kind(bare)
    if kind == Attribute.SESSION_TIMEOUT and not int.from_bytes(octets[2:]):
        raise AttributeProblem("Session-Timeout = 0 means no limit to some NASes; leave it out, or give some seconds")
    quoted = value.replace("\\", "\\\\").replace('"', '\\"')
    return _Written(kind, f'{dictionary.name(kind)}{colon}{int(tag) if tag else ""} = "{quoted}"', octets)


def _value(written: str) -> str:
    """Return what stands in the quotes, or the whole where there are none."""
    if quoted := _QUOTED.fullmatch(written):
        return re.sub(r"\\(.)", r"\1", quoted[1])
    if _BARE.fullmatch(written):
        return written
    raise AttributeProblem(
        f'{_shown(written)} is no value; put it into double quotes, and write \\" for a quote and \\\\ for a backslash'
    )


def _refuse_a_second(written: _Written, seen: dict[Kind, int], dictionary: Dictionary) -> None:
    if written.kind in _ONCE and written.kind in seen:
        name = dictionary.name(written.kind)
        raise AttributeProblem(f"{name} stands in line {seen[written.kind]} already, and a reply carries one; drop one")


def _about_the_whole(written: list[_Written]) -> Iterator[str]:
    if len(written) > LINES_LIMIT:
        yield f"It has {len(written)} attributes; a reply carries at most {LINES_LIMIT} of a profile"
    octets = sum(len(line.octets) for line in written)
    if octets > PROFILE_LIMIT:
        yield f"Its attributes take {octets} octets; a reply has room for {PROFILE_LIMIT} of a profile"


def _shown(text: str) -> str:
    return f"“{printable(text[:_QUOTED_LONGEST])}{'…' if len(text) > _QUOTED_LONGEST else ''}”"

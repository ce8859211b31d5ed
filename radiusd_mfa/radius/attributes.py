"""Attributes by name: the dictionaries, a name and a value to octets, octets to readable pairs.

Owns, with attribute_values, the only import of pyrad. Knows no packet, no NAS and no place where the dictionaries
stand. What is encoded here is encoded once, when a reply profile is read, and kept as octets; nothing of it runs for a
sign-in. pyrad reads the dictionaries and frames the attribute; what it lets through (a tag on an attribute that has
none, a number that overruns into the tag) is refused before.
"""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pyrad.dictionary
import pyrad.packet

from radiusd_mfa.radius.attribute_values import (
    PYRAD_FAULTS,
    WANTED,
    NoValueError,
    hexadecimal,
    pack,
    printable,
    readable,
)

Kind = int | tuple[int, int]
"""Which attribute: its type, or (vendor id, vendor type)."""

_LARGEST_VALUE = 253  # RFC 2865 5: the Length of an attribute is one octet and counts its own two
_VENDOR_HEADER = 6  # RFC 2865 5.26: vendor id, vendor type, vendor length
_LARGEST_TAG = 0x1F  # RFC 2868 3.1: a higher octet is no tag but the first octet of the text
_VENDOR_SPECIFIC = 26
_CLASS = 25

_NEVER_IN_A_REPLY: Mapping[Kind, str] = {
    2: "a password travels in requests only (RFC 2865 5.44)",
    3: "a password travels in requests only (RFC 2865 5.44)",
    24: "the server makes one for each challenge (RFC 2865 5.24)",
    26: "it only wraps vendors' attributes; name the vendor's attribute, such as Cisco-AVPair",
    33: "the server returns those of the request, and no others (RFC 2865 5.33)",
    79: "this server holds no EAP conversation (RFC 3579 3.1)",
    80: "the server computes it for every reply (RFC 3579 3.2)",
}

# Not marked as encrypted by their RFC or vendor, and still a password, a key, or enough to guess one off line.
_SECRETS: frozenset[Kind] = frozenset(
    [
        *(3, 70, 84),
        *((9, 249), (14988, 7), (14988, 16), (14988, 20)),
        *((311, 1), (311, 3), (311, 4), (311, 5), (311, 6), (311, 19), (311, 20), (311, 25), (311, 27)),
    ]
)


class AttributeProblem(Exception):
    """What is wrong with an attribute or a dictionary, where, and what to do about it, in one sentence."""


@dataclass(frozen=True, slots=True)
class _Definition:
    name: str
    kind: Kind
    type: str
    tagged: bool
    encrypted: bool
    values: Mapping[str, bytes]

    @property
    def largest(self) -> int:
        return _LARGEST_VALUE if isinstance(self.kind, int) else _LARGEST_VALUE - _VENDOR_HEADER


@dataclass(frozen=True, slots=True)
class Dictionary:
    """The attributes that the dictionaries define, by name (upper and lower case are the same) and by number."""

    _by_name: Mapping[str, _Definition]
    _by_kind: Mapping[Kind, _Definition]

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Read the file ``dictionary`` in the directory and all that it includes; AttributeProblem if that fails."""
        root = directory / "dictionary"
        try:
            read = pyrad.dictionary.Dictionary(str(root))
        except (pyrad.dictionary.ParseError, OSError, *PYRAD_FAULTS) as fault:
            raise AttributeProblem(
                f"The RADIUS dictionaries in {directory} cannot be read: {fault}; correct that file or install it again"
            ) from fault
        definitions = [
            _Definition(
                name=each.name,
                kind=(read.vendors.GetForward(each.vendor), each.code) if each.vendor else each.code,
                type=each.type,
                tagged=each.has_tag,
                encrypted=each.encrypt != 0,
                values=dict(each.values.forward),
            )
            for each in read.attributes.values()
            # pyrad keys a sub-attribute (tlv, number), which collides with (vendor, number)
            if not each.is_sub_attribute
        ]
        return cls(
            _by_name={each.name.casefold(): each for each in definitions},
            # reversed: of two names for one number the first is shown, the second is an alias
            _by_kind={each.kind: each for each in reversed(definitions)},
        )

    def encode(self, name: str, value: str | int, *, tag: int | None = None) -> bytes:
        """Give the complete octets of an attribute for a reply: type, length, value.

        A vendor's is wrapped in Vendor-Specific (RFC 2865 5.26). The tag (0 to 31, RFC 2868) may stand in the name, as
        in ``Tunnel-Type:1``. AttributeProblem for an unknown name, a value the attribute cannot hold, and attributes
        that a reply must not carry.
        """
        bare, tag = _tag_of(name, tag)
        definition = self._find(bare)
        _refuse_what_no_reply_carries(definition)
        if tag is not None and not definition.tagged:
            raise AttributeProblem(f'{definition.name} has no tag; write its name without ":{tag}"')
        octets = _tagged(definition, _packed(definition, value), tag)
        if len(octets) > definition.largest:
            raise AttributeProblem(
                f"The value of {definition.name} takes {len(octets)} octets with its tag, if any; "
                f"shorten it to {definition.largest}"
            )
        return _framed(definition, octets)

    def kind(self, name: str) -> Kind:
        """Give the number of an attribute; names as ``Attr-241`` and ``Attr-26.9.1`` need no dictionary."""
        numbered = re.fullmatch(r"Attr-(?:26\.([0-9]{1,10})\.)?([0-9]{1,3})", name, re.ASCII | re.IGNORECASE)
        if numbered is None:
            return self._find(name).kind
        vendor, number = numbered.groups()
        if int(number) not in range(1, 256) or int(vendor or 0) >= 1 << 32:
            raise AttributeProblem(f"{_quoted(name)} is no attribute; types run from 1 to 255")
        return int(number) if vendor is None else (int(vendor), int(number))

    def name(self, kind: Kind) -> str:
        """Give the name to show for an attribute; one that no dictionary defines is ``Attr-241`` or ``Attr-26.9.1``."""
        definition = self._by_kind.get(kind)
        if definition is not None:
            return definition.name
        return f"Attr-{kind}" if isinstance(kind, int) else f"Attr-{_VENDOR_SPECIFIC}.{kind[0]}.{kind[1]}"

    def describe(self, octets: bytes) -> list[tuple[str, str]]:
        """Give (name, value) to print for each attribute in the octets; secrets are hidden, control characters escaped.

        Never raises: what cannot be read is shown in hexadecimal, what follows a broken length as ``(malformed)``.
        """
        attributes, rest = _attributes_in(octets)
        pairs = [self._described(kind, value) for each in attributes for kind, value in _unwrapped(*each)]
        return [*pairs, ("(malformed)", hexadecimal(rest))] if rest else pairs

    def _find(self, name: str) -> _Definition:
        definition = self._by_name.get(name.casefold())
        if definition is not None:
            return definition
        near = difflib.get_close_matches(name.casefold(), self._by_name, n=1)
        advice = f"did you mean {self._by_name[near[0]].name}?" if near else "add the dictionary that defines it"
        raise AttributeProblem(f"No dictionary defines the attribute {_quoted(name)}; {advice}")

    def _described(self, kind: Kind, value: bytes) -> tuple[str, str]:
        definition = self._by_kind.get(kind)
        if definition is None:
            return self.name(kind), hexadecimal(value)
        if definition.encrypted or kind in _SECRETS:
            return definition.name, "(hidden)"
        tag, value = _untagged(definition, value)
        return definition.name + (f":{tag}" if tag else ""), _shown(definition, value)


def _refuse_what_no_reply_carries(definition: _Definition) -> None:
    reason = _NEVER_IN_A_REPLY.get(definition.kind)
    if reason is None and definition.encrypted:
        reason = "it is encrypted anew for each request, and a reply profile is encoded once"
    if reason is not None:
        raise AttributeProblem(f"A reply cannot be given {definition.name}: {reason}; take it out of the profile")


def _tag_of(name: str, tag: int | None) -> tuple[str, int | None]:
    bare, colon, written = name.partition(":")
    if colon:
        in_name = int(written) if re.fullmatch(r"[0-9]{1,2}", written, re.ASCII) else -1
        if tag not in (None, in_name):
            raise AttributeProblem(f"{_quoted(name)} names one tag and {tag} is another; give one of them")
        tag = in_name
    if tag is not None and not 0 <= tag <= _LARGEST_TAG:
        raise AttributeProblem(
            f"{_quoted(name)} has a tag that does not exist; tags are numbers from 0 to {_LARGEST_TAG}"
        )
    return bare, tag


def _packed(definition: _Definition, value: str | int) -> bytes:
    if definition.type not in WANTED:
        raise AttributeProblem(
            f"{definition.name} is of the type {definition.type}, which cannot be sent; leave it out"
        )
    named = _named(definition, value) if isinstance(value, str) else None
    if named is not None:
        return named
    try:
        return pack(definition.type, value)
    except NoValueError as fault:
        raise AttributeProblem(_no_value(definition, value)) from fault


def _named(definition: _Definition, value: str) -> bytes | None:
    wanted = value.casefold()
    return next((octets for name, octets in definition.values.items() if name.casefold() == wanted), None)


def _no_value(definition: _Definition, value: str | int) -> str:
    # Python writes no number of thousands of digits in decimal
    written = value if isinstance(value, str) else format(value, "d" if abs(value) < 1 << 64 else "#x")
    sentence = f"{_quoted(written)} is no value of {definition.name}: {WANTED[definition.type]}"
    if not definition.values:
        return sentence
    names = {name.casefold(): name for name in definition.values}
    near = difflib.get_close_matches(written.casefold(), names, n=1)
    return f"{sentence}, or one of its names; " + (
        f"did you mean {names[near[0]]}?" if near else f"the first is {next(iter(names.values()))}"
    )


def _tagged(definition: _Definition, octets: bytes, tag: int | None) -> bytes:
    if not definition.tagged:
        return octets
    if definition.type != "integer":
        # RFC 2868 3.3: without a tag in front, a first octet up to 0x1F would be read as one
        return octets if tag is None and octets[0] > _LARGEST_TAG else bytes([tag or 0]) + octets
    if octets[0]:
        # RFC 2868 3.1: the tag takes the place of the highest octet
        raise AttributeProblem(f"{definition.name} holds numbers up to 16777215 beside its tag; give a smaller one")
    return bytes([tag or 0]) + octets[1:]


def _untagged(definition: _Definition, value: bytes) -> tuple[int, bytes]:
    if not definition.tagged or not value:
        return 0, value
    if definition.type == "integer":
        return value[0], b"\0" + value[1:]
    return (value[0], value[1:]) if value[0] <= _LARGEST_TAG else (0, value)


def _framed(definition: _Definition, octets: bytes) -> bytes:
    # without a dictionary, so that pyrad takes no vendor's key for that of a TLV
    packet = pyrad.packet.Packet(code=pyrad.packet.AccessAccept, id=0, authenticator=bytes(16))
    try:
        packet[definition.kind] = [octets]
        return bytes(packet.ReplyPacket()[20:])
    except PYRAD_FAULTS as fault:
        raise AttributeProblem(
            f"{definition.name} cannot be sent: {fault}; correct its number in the dictionary"
        ) from fault


def _attributes_in(octets: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
    """Give the attributes, and what is left from the first broken length on."""
    attributes = []
    while len(octets) >= 2 and 2 <= octets[1] <= len(octets):  # noqa: PLR2004  # a type and a length, RFC 2865 5
        attributes.append((octets[0], octets[2 : octets[1]]))
        octets = octets[octets[1] :]
    return attributes, octets


def _unwrapped(number: int, value: bytes) -> list[tuple[Kind, bytes]]:
    inner, rest = _attributes_in(value[4:])
    # RFC 2865 5.26: the layout inside is only recommended; another one is shown as it is
    if number != _VENDOR_SPECIFIC or rest or not inner:
        return [(number, value)]
    vendor = int.from_bytes(value[:4])
    return [((vendor, vendor_type), octets) for vendor_type, octets in inner]


def _shown(definition: _Definition, value: bytes) -> str:
    for name, octets in definition.values.items():
        if octets == value:
            return name
    if definition.kind == _CLASS and not value.startswith(b"0x"):
        # octets by RFC 2865 5.25, in practice the name of a group
        return readable("string", value)
    return readable(definition.type, value)


def _quoted(text: str) -> str:
    longest = 64
    return f'"{printable(text[:longest])}{"..." if len(text) > longest else ""}"'

"""Values of attributes: a typed text or number to octets, and octets to a text for people.

Owns the data types (RFC 8044, by the names they have in dictionaries). Knows no attribute, name or tag. pyrad packs
and unpacks; what it takes too kindly ("12_0" as a number, "65" as one octet, a prefix with bits beyond its length) is
refused before.
"""

import re
import struct
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import pyrad.tools

# All that pyrad is known to raise; ipaddress, unicode and hex errors are ValueErrors.
PYRAD_FAULTS = (ValueError, TypeError, LookupError, AttributeError, OverflowError, struct.error)

# What to type for each type that can be sent.
WANTED: Mapping[str, str] = {
    "string": "give a text of at least one character",
    "octets": "give a text, or octets in hexadecimal as 0x0102",
    "integer": "give a whole number from 0 to 4294967295",
    "integer64": "give a whole number from 0 to 18446744073709551615",
    "short": "give a whole number from 0 to 65535",
    "byte": "give a whole number from 0 to 255",
    "signed": "give a whole number from -2147483648 to 2147483647",
    "date": "give seconds since 1970 or a time with its offset, such as 2026-12-31T12:00:00Z",
    "ipaddr": "give an IPv4 address, such as 192.0.2.7",
    "ipv6addr": "give an IPv6 address without a zone, such as 2001:db8::7",
    "ipv6prefix": "give an IPv6 prefix with its length and no bits beyond it, such as 2001:db8:1::/48",
    "ifid": "give four groups of hexadecimal digits, such as 211:22ff:fe33:4455",
    "ether": "give a MAC address, such as 00:11:22:aa:bb:cc",
}


class NoValueError(ValueError):
    """The value is none of the type's; chained to what was found wrong with it."""


def pack(type_: str, value: str | int) -> bytes:
    """Give the octets of a value, at least one; NoValueError if the type holds no such value."""
    try:
        if isinstance(value, bool):
            raise TypeError("a truth value is no number")
        return _PACKERS[type_](type_, value)
    except PYRAD_FAULTS as fault:
        raise NoValueError(type_) from fault


def readable(type_: str, octets: bytes) -> str:
    """Give a printable text for the octets of a value; hexadecimal (``0x0102``) where they are none of the type's."""
    try:
        decoded = pyrad.tools.DecodeAttr(type_, octets)
        if type_ == "date":
            return datetime.fromtimestamp(decoded, UTC).isoformat()
    except PYRAD_FAULTS:
        return hexadecimal(octets)
    return hexadecimal(decoded) if isinstance(decoded, bytes) else printable(str(decoded))


def hexadecimal(octets: bytes) -> str:
    """Give octets as a dictionary would have them typed: ``0x0102``."""
    return "0x" + octets.hex()


def printable(text: str) -> str:
    """Give the text with everything escaped that could move a cursor or hide in a terminal."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def _text(_type: str, value: str | int) -> bytes:
    octets = str(value).encode()
    if not octets:
        raise ValueError("RFC 2865 5: an empty text must not be sent")
    return octets


def _octets(_type: str, value: str | int) -> bytes:
    # not through pyrad, which packs "65" into one octet and unpacks the octets "0x41" once more
    if not isinstance(value, str) or not value.startswith("0x"):
        return _text(_type, value)
    if re.fullmatch(r"0x([0-9a-fA-F]{2})+", value) is None:
        raise ValueError("not pairs of hexadecimal digits")
    return bytes.fromhex(value[2:])


def _number(type_: str, value: str | int) -> bytes:
    # not int(text), which also takes "1_000", " 7 " and the digits of other scripts
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]+|0x[0-9a-fA-F]+", value) is None:
        raise ValueError("not a whole number")
    number = value if isinstance(value, int) else int(value, 16 if value.startswith("0x") else 10)
    return bytes(pyrad.tools.EncodeAttr(type_, number))


def _date(type_: str, value: str | int) -> bytes:
    if isinstance(value, int) or re.fullmatch(r"[0-9]+", value):
        return _number(type_, value)
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is None:
        raise ValueError("a time without an offset is another time elsewhere")
    return _number(type_, int(moment.timestamp()))


def _address(type_: str, value: str | int) -> bytes:
    # pyrad drops a zone ("fe80::1%eth0") and the bits beyond a prefix without a word
    octets = bytes(pyrad.tools.EncodeAttr(type_, value))
    if "%" in str(value):
        raise ValueError("a zone means nothing to another machine")
    if type_ == "ipv6prefix":
        address, slash, _length = str(value).partition("/")
        if not slash or octets[2:] != pyrad.tools.EncodeIPv6Address(address):
            raise ValueError("not a prefix with its length")
    return octets


_PACKERS: Mapping[str, Callable[[str, str | int], bytes]] = {
    "string": _text,
    "octets": _octets,
    **dict.fromkeys(("integer", "integer64", "short", "byte", "signed"), _number),
    "date": _date,
    **dict.fromkeys(("ipaddr", "ipv6addr", "ipv6prefix", "ifid", "ether"), _address),
}

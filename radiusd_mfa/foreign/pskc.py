"""PSKC, the XML that token servers exchange seeds in (RFC 6030): in clear, or under a pre-shared AES-128 key.

privacyIDEA writes the names of all elements in lower case, so case tells nothing here. Nothing is trusted of the
cipher text before its MAC was right: CBC alone would decrypt anything.
"""

import base64
import binascii
import hmac
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final
from xml.etree import ElementTree as ET

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from radiusd_mfa.foreign.tokens import Token, base32
from radiusd_mfa.usecases.import_ports import FileProblem, Misread

_KEY: Final = re.compile(rb"[0-9A-Fa-f]{32}")
_BLOCK: Final = 16
_CBC: Final = "aes128-cbc"
Owners = Mapping[str, tuple[str, str]]


@dataclass(frozen=True, slots=True)
class _Keys:
    """What opens the seeds of a container."""

    cipher: bytes = field(repr=False)
    mac: bytes = field(repr=False)


def is_encrypted(octets: bytes) -> bool:
    """Whether the seeds can't be read without a key."""
    return b"encryptedvalue" in octets.lower()


def read(octets: bytes, key: bytes | None, owners: Owners) -> Iterator[Token | Misread]:
    """Yield the tokens of a container; `key` is hexadecimal, `owners` tells whose is which serial number."""
    container = _container(octets)
    keys = _keys(container, key) if is_encrypted(octets) else None
    for number, package in enumerate(_all(container, "KeyPackage"), start=1):
        place = f"token {number}"
        try:
            yield _token(package, keys, owners)
        except FileProblem as problem:
            yield Misread(place, str(problem))


class _Plain(ET.TreeBuilder):
    """Builds what has no DOCTYPE: entities are what makes XML dangerous, and no PSKC has any.

    The parser says so, for in UTF-16 the octets look otherwise.
    """

    def doctype(self, *_told: object) -> None:
        raise FileProblem("has a DOCTYPE, which no PSKC file needs")


def _container(octets: bytes) -> ET.Element:
    try:
        root = ET.fromstring(octets, ET.XMLParser(target=_Plain()))  # noqa: S314 - see above
    except ET.ParseError as error:
        raise FileProblem(f"is not XML (line {error.position[0]})") from None
    except FileProblem:
        raise
    except (LookupError, ValueError):  # expat asks Python for an encoding that it does not know itself
        raise FileProblem("is XML in an encoding that can't be read; convert it to UTF-8 with iconv") from None
    if _local(root.tag) != "keycontainer":
        raise FileProblem("is XML, but no PSKC KeyContainer (RFC 6030 4)")
    return root


def _token(package: ET.Element, keys: _Keys | None, owners: Owners) -> Token:
    key = _first(package, "Key")
    if key is None:
        raise FileProblem("has no Key")
    serial = _text(package, "SerialNo") or _attribute(key, "Id")
    login, realm = owners.get(serial) or (_text(package, "UserId"), "")
    kind = _attribute(key, "Algorithm").rpartition(":")[2].rpartition("#")[2]
    response, suite = _first(key, "ResponseFormat"), _first(key, "Suite")
    hash_name = "" if suite is None else _attribute(suite, "hashalgo") or (suite.text or "").strip()
    return Token(
        serial=serial,
        kind=kind,
        secret=base32(_secret(key, keys)),
        digits=("" if response is None else _attribute(response, "Length")) or "6",
        period=_text(_first(key, "TimeInterval"), "PlainValue") or "30",
        algorithm=(hash_name or "SHA1").upper().removeprefix("HMAC-"),
        owner=login,
        realm=realm,
    )


def _secret(key: ET.Element, keys: _Keys | None) -> bytes:
    secret = _first(key, "Secret")
    if secret is None:
        raise FileProblem("has no Secret")
    if plain := _text(secret, "PlainValue"):
        return _decoded(plain)
    if keys is None:
        raise FileProblem("has neither a seed in clear nor one that is encrypted")
    method = _first(secret, "EncryptionMethod")
    if method is None or _attribute(method, "Algorithm").rpartition("#")[2].lower() != _CBC:
        raise FileProblem("is encrypted in another way than with AES-128-CBC")
    sealed, mac = _decoded(_text(secret, "CipherValue")), _decoded(_text(secret, "ValueMAC"))
    if not hmac.compare_digest(hmac.digest(keys.mac, sealed, "sha1"), mac):
        raise FileProblem("was changed after it was written, or the key is another one: its MAC is wrong")
    return _opened(sealed, keys.cipher)


def _keys(container: ET.Element, key: bytes | None) -> _Keys:
    if key is None or not _KEY.fullmatch(key.strip()):
        raise FileProblem("needs the key that was shown at the export: 32 hexadecimal digits")
    cipher = bytes.fromhex(key.strip().decode())
    sealed = _text(_first(container, "MACKey"), "CipherValue")
    if not sealed:
        raise FileProblem("is encrypted, but has no MAC key to tell whether the key is right")
    return _Keys(cipher, _opened(_decoded(sealed), cipher))


def _opened(octets: bytes, key: bytes) -> bytes:
    if len(octets) < 2 * _BLOCK or len(octets) % _BLOCK:
        raise FileProblem("is encrypted text of a wrong length")
    decryptor = Cipher(algorithms.AES(key), modes.CBC(octets[:_BLOCK])).decryptor()
    unpadder = PKCS7(8 * _BLOCK).unpadder()
    try:
        return unpadder.update(decryptor.update(octets[_BLOCK:]) + decryptor.finalize()) + unpadder.finalize()
    except ValueError:
        raise FileProblem("can't be opened with this key; it is the one that was shown at the export") from None


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (ValueError, binascii.Error):
        raise FileProblem("has a value that is not base64") from None


def _local(tag: str) -> str:
    return tag.rpartition("}")[2].rpartition(":")[2].lower()


def _all(within: ET.Element, name: str) -> Iterator[ET.Element]:
    wanted = name.lower()
    return (each for each in within.iter() if _local(each.tag) == wanted)


def _first(within: ET.Element | None, name: str) -> ET.Element | None:
    return None if within is None else next(_all(within, name), None)


def _text(within: ET.Element | None, name: str) -> str:
    found = _first(within, name)
    return "" if found is None else (found.text or "").strip()


def _attribute(element: ET.Element, name: str) -> str:
    wanted = name.lower()
    return next((value.strip() for key, value in element.attrib.items() if _local(key) == wanted), "")

"""Token exports of privacyIDEA: what `pi-tokenjanitor find ... export` writes as csv and as pi, and the JSON inside pi.

The csv has no header and says nothing of the hash algorithm; pi is JSON, encrypted as Fernet (RFC-less, but the
`cryptography` package has it). What it writes as PSKC is read in `pskc`.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from cryptography.fernet import Fernet, InvalidToken

from radiusd_mfa.foreign import tables
from radiusd_mfa.foreign.tokens import Token, base32, split_owner
from radiusd_mfa.usecases.import_ports import FileProblem, Misread

FERNET: Final = b"gAAAAA"
"""What every Fernet token begins with: its version, and a time of this century."""
_ROW: Final = re.compile(r"[^,\n]+, *[^,\n]+, *[0-9A-Za-z=]+, *(?:totp|hotp), *[0-9]+(?:, *(?:[0-9]+|None))?")
_COLUMNS: Final = 5
_HEX: Final = re.compile(r"(?:[0-9a-f]{2})+|(?:[0-9A-F]{2})+")
_NOBODY: Final = "n/a"
_PENDING: Final = {"clientwait", "pending", "verify", "failed", "denied", "broken"}


def looks_like_csv(text: str) -> bool:
    """Whether the first line is a row of its csv."""
    return _ROW.fullmatch(text.lstrip().partition("\n")[0].strip()) is not None


def read_csv(text: str) -> Iterator[Token | Misread]:
    """Yield the tokens of a csv: owner, serial, seed, kind, digits, and the time step of a TOTP token."""
    for line, row in tables.unnamed(text):
        values = [value.strip() for value in row]
        if len(values) < _COLUMNS:
            yield Misread(f"line {line}", f"has {len(values)} values, a token has {_COLUMNS} or more")
            continue
        owner, serial, seed, kind, digits, *more = values
        login, realm = ("", "") if owner == _NOBODY else split_owner(owner)
        period = more[0] if more and more[0] != "None" else "30"
        yield Token(serial, kind, _seed(seed), digits, period, "SHA1", login, realm)


def read_json(octets: bytes) -> Iterator[Token | Misread]:
    """Yield the tokens of the JSON that an export of the kind `pi` holds."""
    try:
        document = json.loads(octets)
    except (ValueError, RecursionError):
        # Not chained: the message of the parser may quote a seed.
        raise FileProblem("is not the JSON of a token export") from None
    if not isinstance(document, list):
        raise FileProblem("is not a JSON list of tokens")
    for number, one in enumerate(document, start=1):
        yield _token(one) if isinstance(one, dict) and "serial" in one else Misread(f"token {number}", "is no token")


def decrypted(octets: bytes, key: bytes) -> bytes:
    """Open an export of the kind `pi` with the key that was shown when it was made."""
    try:
        return Fernet(key.strip()).decrypt(octets.strip())
    except (InvalidToken, ValueError) as error:
        raise FileProblem(
            "can't be opened with this key; it is the one that privacyIDEA showed at the export"
        ) from error


def _token(one: Mapping[str, Any]) -> Token:
    info, user = one.get("info_list"), one.get("user")
    about = info if isinstance(info, dict) else {}
    owner = user if isinstance(user, dict) else {}
    return Token(
        serial=str(one["serial"]),
        kind=str(one.get("type") or one.get("tokentype") or "unknown"),
        secret=_seed(str(one.get("otpkey") or "")),
        digits=str(one.get("otplen") or 6),
        period=str(about.get("timeStep") or 30),
        algorithm=str(about.get("hashlib") or "sha1").upper(),
        owner=str(owner.get("login") or ""),
        realm=str(owner.get("realm") or ""),
        unused=_unused(one),
    )


def _unused(one: Mapping[str, Any]) -> str:
    for state, word in (("revoked", "revoked"), ("locked", "locked")):
        if one.get(state):
            return word
    if one.get("active") is False:
        return "disabled"
    return "not set up to the end" if one.get("rollout_state") in _PENDING else ""


def _seed(text: str) -> str:
    """Spell a seed in base32: it is hexadecimal there, unless base32 was asked for (--b32)."""
    return base32(bytes.fromhex(text)) if _HEX.fullmatch(text) else text

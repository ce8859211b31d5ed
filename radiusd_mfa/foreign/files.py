"""Which format a file has, and its reader: named by who imports it, or told by what stands at its beginning.

Told means that no other format begins like that; a file that could be two things is asked about and not guessed.
"""

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, assert_never

from radiusd_mfa.foreign import (
    google_authenticator,
    jsonl,
    privacyidea,
    pskc,
    radcheck,
    shadow,
    table_of_users,
    tables,
    tokens,
)
from radiusd_mfa.usecases.import_ports import FIELDS, FileProblem, Found, Reading


class Format(StrEnum):
    """What is understood."""

    JSONL = "jsonl"
    CSV = "csv"
    RADCHECK = "radcheck"
    PRIVACYIDEA = "privacyidea"
    GOOGLE_AUTHENTICATOR = "google-authenticator"
    SHADOW = "shadow"


_OPENING: Final = 4096
"""Octets at the beginning that tell the format."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """One file: what to call it, the user that its name says, and what is in it."""

    name: str
    user: str
    octets: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Hints:
    """What no file says of itself."""

    now: float
    """Unix seconds."""
    key: bytes | None = field(default=None, repr=False)
    owners: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    keep_realm: bool = False


def recognised(octets: bytes) -> Format:
    """Tell the format of a file; raises FileProblem where it could be anything."""
    head = octets[:_OPENING].lstrip(b"\xef\xbb\xbf \r\n\t")
    if head.startswith((privacyidea.FERNET, b"<")) or _is_token_list(octets):
        return Format.PRIVACYIDEA
    if head.startswith(b"{") or not head:
        return Format.JSONL
    return _of_text(tables.text_of(octets))


def needs_key(octets: bytes) -> bool:
    """Whether a file of privacyIDEA is encrypted."""
    return octets.lstrip().startswith(privacyidea.FERNET) or pskc.is_encrypted(octets)


def read(sheets: Sequence[Sheet], wanted: Format, hints: Hints) -> Reading:
    """Read files, of which only pam_google_authenticator has several; raises FileProblem, also while it is read."""
    if wanted is Format.GOOGLE_AUTHENTICATOR:
        files = ((sheet.name, sheet.user, sheet.octets) for sheet in sheets)
        return Reading(google_authenticator.read(files), label="google-authenticator")
    (sheet,) = sheets
    match wanted:
        case Format.JSONL:
            return Reading(jsonl.read(io.BytesIO(sheet.octets)))
        case Format.CSV:
            return Reading(table_of_users.read(tables.text_of(sheet.octets)))
        case Format.RADCHECK:
            return Reading(radcheck.read(tables.text_of(sheet.octets)), joins=True)
        case Format.SHADOW:
            return Reading(shadow.read(tables.text_of(sheet.octets), hints.now))
        case Format.PRIVACYIDEA:
            return Reading(_privacyidea(sheet.octets, hints), joins=True, label="privacyIDEA")
        case other:
            assert_never(other)


def _privacyidea(octets: bytes, hints: Hints) -> Iterable[Found]:
    plain = octets.lstrip()
    if plain.startswith(privacyidea.FERNET):
        if hints.key is None:
            raise FileProblem("is encrypted; give the key that was shown at the export (--key-stdin)")
        found = privacyidea.read_json(privacyidea.decrypted(plain, hints.key))
    elif plain.startswith((b"<", b"\xef\xbb\xbf<")):
        found = pskc.read(plain, hints.key, hints.owners)
    elif plain.startswith((b"[", b"\xef\xbb\xbf[")):
        found = privacyidea.read_json(plain)
    else:
        found = privacyidea.read_csv(tables.text_of(octets))
    return tokens.entries(found, keep_realm=hints.keep_realm)


def _is_token_list(octets: bytes) -> bool:
    if not octets.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"["):
        return False
    try:
        document = json.loads(octets)
    except (ValueError, RecursionError):
        return False
    return bool(document) and all(isinstance(one, dict) and {"serial", "otpkey"} <= set(one) for one in document)


def _of_text(text: str) -> Format:
    if google_authenticator.looks_like_one(text):
        return Format.GOOGLE_AUTHENTICATOR
    if privacyidea.looks_like_csv(text):
        return Format.PRIVACYIDEA
    header = set(tables.header_of(text))
    if header >= radcheck.COLUMNS:
        return Format.RADCHECK
    if "username" in header and len(header & {*FIELDS}) > 1:
        return Format.CSV
    first = text.partition("\n")[0]
    if first.count(":") == shadow.FIELDS - 1 and first.split(":")[1][:1] in ("$", "!", "*", ""):
        return Format.SHADOW
    raise FileProblem(f"can't be told by its beginning; say what it is: --format {'|'.join(Format)}")

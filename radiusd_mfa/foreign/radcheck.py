"""The table `radcheck` of FreeRADIUS, as PostgreSQL or MySQL write it out: one row for each check item of a user.

What rlm_pap compares with and rlm_totp reads comes along. What cannot be checked here is refused, and whatever else
was checked there is counted, for it is not checked any more.
"""

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from typing import Final

from radiusd_mfa.core.names import escaped
from radiusd_mfa.foreign import tables
from radiusd_mfa.usecases.import_ports import Entry, FileProblem, Found, LeftOut, Misread

COLUMNS: Final = frozenset({"username", "attribute", "value"})
_SHA256_OCTETS: Final = 32
_HEADER: Final = re.compile(r"\{([A-Za-z0-9-]+)\}(.*)", re.DOTALL)
_HEX: Final = re.compile(r"(?:0[xX])?([0-9A-Fa-f]+)")
_CLEAR: Final = ("cleartext-password", "user-password")
_SALTED: Final = ("ssha2-256-password", "ssha2-password")
_UNCHECKABLE: Final = re.compile(
    r"(nt|lm|md5|smd5|sha1?|ssha1?|ssha2-(224|384|512)|(s?sha[23].*)|pbkdf2|ns-mta.*)-password"
)


def read(text: str) -> Iterator[Found]:
    """Yield an entry for each password and each seed; several rows make a user."""
    barred = {row["username"] for _, row in _rows(text) if _is_barred(row)}
    yield from (LeftOut("user with Auth-Type := Reject") for _ in barred)
    for number, row in _rows(text):
        if row["username"] not in barred:
            try:
                yield _item(f"line {number}", row)
            except FileProblem as problem:
                yield Misread(f"line {number}", str(problem))


def _rows(text: str) -> Iterator[tuple[int, Mapping[str, str]]]:
    missing = COLUMNS - set(tables.header_of(text))
    if missing:
        raise FileProblem(f"line 1: the header lacks {', '.join(sorted(missing))}; export radcheck with its header")
    return tables.rows(text, by_mysql=True)


def _is_barred(row: Mapping[str, str]) -> bool:
    return row["attribute"].strip().lower() == "auth-type" and row["value"].strip().lower() == "reject"


def _item(place: str, row: Mapping[str, str]) -> Found:
    name, attribute, value = row["username"], row["attribute"].strip(), row["value"]
    given: Mapping[str, object]
    match attribute.lower():
        case kind if kind in _CLEAR:
            given = {"password": value}
        case "crypt-password":
            given = {"password_hash": value}
        case kind if kind in _SALTED:
            given = {"password_hash": _salted(attribute, value)}
        case "password-with-header":
            given = _with_header(value)
        case "totp-secret":
            given = {"totp_secret": value}
        case kind if _UNCHECKABLE.fullmatch(kind):
            raise FileProblem(
                f"{escaped(attribute)} is a hash that can't be checked here; leave these rows out of the export, and "
                "give the users a new password (user password)"
            )
        case _:
            return LeftOut(f"check item {escaped(attribute)}")
    return Entry(place, {"username": name, **given})


def _with_header(value: str) -> Mapping[str, object]:
    found = _HEADER.fullmatch(value)
    if found is None:
        raise FileProblem("Password-With-Header has no {header}")
    header, rest = found[1].lower(), found[2]
    match header:
        case "clear" | "cleartext":
            return {"password": rest}
        case "crypt" | "argon2":
            return {"password_hash": rest}
        case "ssha256":
            return {"password_hash": _salted("{SSHA256}", rest)}
        case _:
            raise FileProblem(
                f"{{{found[1]}}} is a hash that can't be checked here; leave these rows out of the export, and give "
                "the users a new password (user password)"
            )


def _salted(attribute: str, value: str) -> str:
    """Write a digest with its salt as {SSHA256}; in SQL it is hexadecimal or base64."""
    tidy = value.strip()
    in_hex = _HEX.fullmatch(tidy)
    try:
        octets = bytes.fromhex(in_hex[1]) if in_hex else base64.b64decode(tidy, validate=True)
    except (ValueError, binascii.Error):
        raise FileProblem(f"{attribute} is neither hexadecimal nor base64") from None
    if len(octets) <= _SHA256_OCTETS:
        raise FileProblem(f"{attribute} is no SHA-256 with a salt behind it")
    return "{SSHA256}" + base64.b64encode(octets).decode()

"""Tokens as token servers hand them out: a seed with its owner, apart from any password."""

import base64
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from radiusd_mfa.core.names import escaped
from radiusd_mfa.foreign.numbers import whole
from radiusd_mfa.usecases.import_ports import Entry, FileProblem, Found, LeftOut, Misread


@dataclass(frozen=True, slots=True)
class Token:
    """One token as it stands in an export; numbers are texts still."""

    serial: str
    kind: str
    """`totp` is the one that can come along."""
    secret: str = field(repr=False)
    """Base32."""
    digits: str
    period: str
    algorithm: str
    owner: str = ""
    """The login there; empty: nobody's."""
    realm: str = ""
    unused: str = ""
    """Why it was in no use there; empty: it was."""

    @property
    def place(self) -> str:
        """Where it stands, for a complaint."""
        return f"token {escaped(self.serial)}"


def entries(tokens: Iterable[Token | Misread], *, keep_realm: bool) -> Iterator[Found]:
    """Yield an entry for each token that is in use, belongs to somebody and tells the time.

    Without `keep_realm` the login alone is the name here, which must not make one of two people.
    """
    found = list(tokens)
    realms: dict[str, set[str]] = defaultdict(set)
    for token in found:
        if isinstance(token, Token) and not _absence(token):
            realms[token.owner.casefold()].add(token.realm.casefold())
    for token in found:
        if isinstance(token, Misread):
            yield token
        elif reason := _absence(token):
            yield LeftOut(reason)
        elif not keep_realm and len(realms[token.owner.casefold()]) > 1:
            named = ", ".join(sorted(map(escaped, realms[token.owner.casefold()])))
            sentence = f"“{escaped(token.owner)}” is in several realms ({named}); if the realm is part of the name here"
            yield Misread(token.place, f"{sentence}: --keep-realm")
        else:
            yield _entry(token, keep_realm=keep_realm)


def _absence(token: Token) -> str:
    """Say why a token does not come along, if it doesn't."""
    if token.kind.lower() != "totp":
        return f"token of the kind {escaped(token.kind.lower())}, only TOTP can be taken over"
    if token.unused:
        return f"token that is {token.unused} there"
    return "" if token.owner else "token that belongs to nobody"


def _entry(token: Token, *, keep_realm: bool) -> Found:
    try:
        fields = {
            "username": f"{token.owner}@{token.realm}" if keep_realm and token.realm else token.owner,
            "totp_secret": token.secret,
            "totp_digits": _number(token.digits, "number of digits"),
            "totp_period": _number(token.period, "time step"),
            "totp_algorithm": token.algorithm.replace("-", ""),
        }
    except FileProblem as problem:
        return Misread(token.place, str(problem))
    return Entry(token.place, fields)


def _number(text: str, what: str) -> int:
    found = whole(text)
    if found is None:
        raise FileProblem(f"the {what} is no number")
    return found


def base32(octets: bytes) -> str:
    """Spell octets as a seed is spelled."""
    return base64.b32encode(octets).decode().rstrip("=")


def owners_of(rows: Iterable[tuple[int, Mapping[str, str]]]) -> Mapping[str, tuple[str, str]]:
    """Read a table with the columns `serial` and `username`: whose is which token, as login and realm."""
    owners = {}
    for line, row in rows:
        if not {"serial", "username"} <= set(row):
            raise FileProblem(f"line {line}: the header of the owners lacks serial or username")
        owners[row["serial"].strip()] = split_owner(row["username"])
    return owners


def split_owner(text: str) -> tuple[str, str]:
    """Return login and realm of `alice@corp`; a login may itself hold an @."""
    login, at, realm = text.strip().rpartition("@")
    return (login, realm) if at else (realm, "")

"""What one setting may be: each reader turns a written value into a checked one, or says what is wrong with it.

It owns shapes and bounds. It knows no names of settings, no defaults and no file; a complaint is a ValueError whose
sentence goes on after the name of the setting, and never repeats what may hold a password.
"""

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

_LOG_FORMATS = ("text", "json")
_LOG_LEVELS = ("debug", "info", "warning", "error")
_PORTAL_URL_LIMIT = 200  # a Reply-Message holds 253 octets (RFC 2865 5.18), and a sentence stands around the URL
_ISSUER_LIMIT = 64


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An IP address and a UDP or TCP port to listen on; port 0 lets the system choose."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> "Endpoint":
        """Read ADDR:PORT, an IPv6 address in brackets; raises ValueError with a sentence."""
        bracketed = re.fullmatch(r"\[([^\[\]]*)\]:([0-9]{1,5})", text)
        plain = re.fullmatch(r"([^:\[\]]*):([0-9]{1,5})", text)
        found = bracketed or plain
        if found is None:
            raise ValueError(f"{text!r} is not ADDR:PORT, for example 0.0.0.0:1812 or [::]:1812")
        host, port = found[1], int(found[2])
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            raise ValueError(f"{host!r} is not an IP address; a name is not taken here") from None
        if (address.version == 6) != (bracketed is not None):  # noqa: PLR2004 - the 6 of IPv6
            raise ValueError(f"{text!r}: brackets belong around an IPv6 address, and only there")
        if port > 65535:  # noqa: PLR2004 - the last port there is
            raise ValueError(f"port {port} is over 65535")
        return cls(str(address), port)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Raw:
    """A value as it was written, where it stands, and the directory that relative paths start from.

    In the environment (`spelled`) everything is text; in TOML a number is a number.
    """

    value: object = field(repr=False)
    where: str
    base: Path
    spelled: bool


def plain_text(raw: Raw) -> str:
    """Read any text."""
    if not isinstance(raw.value, str):
        raise ValueError("must be a text in quotes")  # noqa: TRY004 - one kind of complaint
    return raw.value


def path(raw: Raw) -> Path:
    """Read a path, relative to where it was written."""
    text = plain_text(raw)
    if not text or "\0" in text:
        raise ValueError("must name a path")
    try:
        return raw.base / Path(text).expanduser()
    except RuntimeError:
        raise ValueError(f"{text!r} names a home directory that does not exist") from None


def number(low: float, high: float) -> Callable[[Raw], float]:
    """Make a reader of numbers from `low` to `high`."""

    def read(raw: Raw) -> float:
        value = raw.value
        if isinstance(value, str) and raw.spelled:
            value = _spelled_number(value)
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            # Not a word of the value: a number of TOML may have a thousand digits. A comparison refuses nan, too.
            raise ValueError(f"must be a number from {low:g} to {high:g}")
        return float(value)

    return read


def _spelled_number(text: str) -> float | None:
    # float() alone would also take "1_0", "nan" and Arabic digits.
    return float(text) if re.fullmatch(r"-?[0-9]{1,9}(\.[0-9]{1,9})?", text.strip()) else None


def whole(low: int, high: int) -> Callable[[Raw], int]:
    """Make a reader of whole numbers from `low` to `high`."""
    bounded = number(low, high)

    def read(raw: Raw) -> int:
        value = bounded(raw)
        if value != int(value):
            raise ValueError(f"must be a whole number from {low} to {high}")
        return int(value)

    return read


def database_url(raw: Raw) -> str:
    """Read a SQLite or PostgreSQL URL; PostgreSQL's is spelled for psycopg 3."""
    # No complaint repeats the URL: it may hold a password.
    scheme, separator, rest = plain_text(raw).partition("://")
    if not separator or not re.fullmatch(r"[A-Za-z0-9+.-]{1,32}", scheme):
        raise ValueError("must be a URL like sqlite:////var/lib/radiusd-mfa/db.sqlite3 or postgresql://user@host/db")
    match scheme.lower():
        case "sqlite":
            return _sqlite_url(rest, raw.base)
        case "postgresql" | "postgres" | "postgresql+psycopg":
            return "postgresql+psycopg://" + _checked_authority(_one_authority(rest))
        case _:
            raise ValueError(f"has the scheme {scheme!r}; sqlite and postgresql are known")


def _sqlite_url(rest: str, base: Path) -> str:
    name, mark, query = rest.removeprefix("/").partition("?")
    if not rest.startswith("/") or not name or name == ":memory:":
        raise ValueError("must name a file after sqlite:/// since the daemon, the portal and the commands share it")
    # Absolute, so that a start from elsewhere does not make a second, empty database.
    return f"sqlite:///{base / name}{mark}{query}"


def _one_authority(rest: str) -> str:
    """Turn libpq's list of hosts into the parameters that SQLAlchemy has for it; one host stays as it is.

    Of several the one that takes writes is meant, unless the URL says otherwise: a standby would fail each sign-in.
    """
    place, slash, tail = rest.partition("/")
    if place.count("@") > 1:
        # SQLAlchemy ends the password at the first one, and errors would show the rest as the name of a host.
        raise ValueError("has an @ in the user name or the password; write it as %40")
    user, at, hosts = place.rpartition("@")
    if "," not in hosts:
        return rest
    found = [re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?", host) for host in hosts.split(",")]
    parts = [match for match in found if match is not None]
    if len(parts) < len(found):
        raise ValueError("has a host or port that cannot be read; several are written as host1:5432,host2:5432")
    database, _, query = tail.partition("?")
    names, ports = ",".join(part[1].strip("[]") for part in parts), ",".join(part[2] or "5432" for part in parts)
    query = "&".join(filter(None, (query, f"host={names}&port={ports}")))
    if "target_session_attrs=" not in query:
        query += "&target_session_attrs=read-write"
    return f"{user}{at}{slash}{database}?{query}"


def _checked_authority(rest: str) -> str:
    try:
        parts = urlsplit("postgresql://" + rest)
        _ = parts.port
    except ValueError:
        raise ValueError("has a host or port that cannot be read; quote @ : / in a password as %40 %3A %2F") from None
    if not parts.path.strip("/"):
        raise ValueError("names no database after the host")
    return rest


def listen(raw: Raw) -> tuple[Endpoint, ...]:
    """Read the endpoints to listen on."""
    written = raw.value
    if isinstance(written, str) and raw.spelled:
        written = [part.strip() for part in written.split(",") if part.strip()]
    if not isinstance(written, list) or not written or not all(isinstance(text, str) for text in written):
        raise ValueError('must be a list like ["0.0.0.0:1812", "[::]:1812"]; in the environment, separated by commas')
    endpoints = tuple(Endpoint.parse(text) for text in written)
    if twice := [str(one) for one in dict.fromkeys(endpoints) if one.port and endpoints.count(one) > 1]:
        raise ValueError(f"names {twice[0]} twice")
    return endpoints


def portal_url(raw: Raw) -> str:
    """Read the address that users are sent to."""
    text = plain_text(raw)
    try:
        parts = urlsplit(text)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
        parts = urlsplit("")
    if not usable or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("must be an http:// or https:// URL")
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError("must have no user name, query or fragment: it is shown to everyone")
    if len(text) > _PORTAL_URL_LIMIT:
        raise ValueError(f"must not be over {_PORTAL_URL_LIMIT} characters: it must fit into a Reply-Message")
    return text


def issuer(raw: Raw) -> str:
    """Read the name that authenticator apps show."""
    text = plain_text(raw).strip()
    if not text or not text.isprintable() or len(text) > _ISSUER_LIMIT:
        raise ValueError(f"must be 1 to {_ISSUER_LIMIT} printable characters")
    return text


def endpoint(raw: Raw) -> Endpoint:
    """Read one address to listen on."""
    return Endpoint.parse(plain_text(raw))


def switch(raw: Raw) -> bool:
    """Read true or false."""
    value = raw.value
    if isinstance(value, str) and raw.spelled:
        value = {"true": True, "false": False}.get(value.strip().lower())
    if not isinstance(value, bool):
        raise ValueError("must be true or false")  # noqa: TRY004 - one kind of complaint
    return value


def log_format(raw: Raw) -> str:
    """Read how the lines of the log are written."""
    written = plain_text(raw).lower()
    if written not in _LOG_FORMATS:
        raise ValueError(f"must be one of {', '.join(_LOG_FORMATS)}, not {written!r}")
    return written


def log_level(raw: Raw) -> str:
    """Read a level of the log."""
    level = plain_text(raw).lower()
    if level not in _LOG_LEVELS:
        raise ValueError(f"must be one of {', '.join(_LOG_LEVELS)}, not {level!r}")
    return level

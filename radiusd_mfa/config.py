"""The settings of one process: a TOML file and the environment become one frozen Config, or all complaints at once.

It owns the names and defaults of the settings. It opens no database, no socket and no key file: that a URL
has the right shape is known here, that somebody answers there is not.
"""

import difflib
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any

from radiusd_mfa import config_delivery as delivery
from radiusd_mfa import config_portal as portal
from radiusd_mfa import config_values as read
from radiusd_mfa.config_values import Endpoint, Raw

__all__ = ["KEYS", "PREFIX", "Config", "ConfigProblem", "Endpoint", "Key"]

PREFIX = "RADIUSD_MFA_"
_CONFIG_VARIABLE = f"{PREFIX}CONFIG"
_KEY_FILE = "radiusd-mfa.key"
# The last @ ends the password: hiding too much is harmless, hiding too little is not.
_URL_PASSWORD = re.compile(r"^([a-z0-9+]+://[^:/@]*):.*@", re.IGNORECASE | re.DOTALL)
_URL_QUERY_PASSWORD = re.compile(r"([?&](?:ssl)?password=)[^&]*", re.IGNORECASE)


class ConfigProblem(Exception):
    """The settings are wrong; `problems` holds a sentence for each."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Config:
    """All settings, checked and complete; durations are seconds."""

    state_dir: Path
    database_url: str = field(repr=False)
    key_file: Path
    listen: tuple[Endpoint, ...]
    portal_url: str | None
    issuer: str
    hash_threads: int
    workers: int
    password_cache: float
    upgrade_hashes: bool
    database_deadline: float
    reject_delay: float
    challenge_lifetime: float
    request_deadline: float
    log_level: str
    log_format: str
    log_sign_ins: bool
    metrics_listen: Endpoint | None
    smtp_host: str | None
    smtp_port: int
    smtp_security: str
    smtp_user: str | None
    smtp_password_file: Path | None
    mail_from: str | None
    mail_templates: Path | None
    sms_url: str | None = field(repr=False)
    sms_method: str
    sms_headers: tuple[str, ...] = field(repr=False)
    sms_body: str = field(repr=False)
    sms_user: str | None
    sms_secret_file: Path | None
    sms_apprise_file: Path | None
    portal_listen: Endpoint
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...]
    tls_certificate: Path | None
    tls_key: Path | None

    @classmethod
    def load(cls, path: Path | None, environ: Mapping[str, str], *, uid: int | None = None) -> "Config":
        """Read the file (`path`, else RADIUSD_MFA_CONFIG, else none) and the environment, which wins.

        Raises ConfigProblem with every complaint. `uid` is the user the defaults are for: this process's, if None.
        """
        if path is None and environ.get(_CONFIG_VARIABLE):
            path = Path(environ[_CONFIG_VARIABLE])
        problems: list[str] = []
        raw = _from_file(path, problems) | _from_environment(environ, problems)
        values = _read_all(raw, problems)
        _fill_defaults(values, environ, os.getuid() if uid is None else uid)
        if not problems:
            problems += _contradictions(values)
        if problems:
            raise ConfigProblem(tuple(problems))
        return cls(**values)

    @property
    def sends_sms(self) -> bool:
        """Whether there is a way to send text messages."""
        return self.sms_url is not None or self.sms_apprise_file is not None

    @property
    def shown_database_url(self) -> str:
        """The database URL with its passwords hidden, for logs and `doctor`."""
        return _URL_QUERY_PASSWORD.sub(r"\1***", _URL_PASSWORD.sub(r"\1:***@", self.database_url))


@dataclass(frozen=True, slots=True)
class Key:
    """One setting as docs/configuration.md lists it; `read` raises ValueError with a sentence."""

    name: str
    default: str
    read: Callable[[Raw], object]

    @property
    def variable(self) -> str:
        """The environment variable of this setting."""
        return PREFIX + self.name.upper()


KEYS = (
    Key("state_dir", "see below", read.path),
    Key("database_url", "sqlite:///<state_dir>/radiusd-mfa.sqlite3", read.database_url),
    Key("key_file", "see below", read.path),
    Key("listen", '["0.0.0.0:1812", "[::]:1812"]', read.listen),
    Key("portal_url", "none", read.portal_url),
    Key("issuer", "radiusd-mfa", read.issuer),
    Key("hash_threads", "one a CPU", read.whole(1, 256)),
    Key("workers", "1", read.whole(1, 64)),
    Key("password_cache", "0", read.number(0, 3600)),
    Key("upgrade_hashes", "true", read.switch),
    Key("database_deadline", "1.5", read.number(0.05, 30)),
    Key("reject_delay", "1.0", read.number(0, 5)),
    Key("challenge_lifetime", "120", read.number(10, 900)),
    Key("request_deadline", "5.0", read.number(0.5, 60)),
    Key("log_level", "info", read.log_level),
    Key("log_format", "text", read.log_format),
    Key("log_sign_ins", "false", read.switch),
    Key("metrics_listen", "none", read.endpoint),
    Key("smtp_host", "none", delivery.host),
    Key("smtp_port", "587, 465 or 25", read.whole(1, 65535)),
    Key("smtp_security", "starttls", delivery.security),
    Key("smtp_user", "none", delivery.word),
    Key("smtp_password_file", "none", read.path),
    Key("mail_from", "none", delivery.mail_from),
    Key("mail_templates", "none", read.path),
    Key("sms_url", "none", delivery.gateway),
    Key("sms_method", "POST", delivery.method),
    Key("sms_headers", "[]", delivery.headers),
    Key("sms_body", delivery.JSON_BODY, read.plain_text),
    Key("sms_user", "none", delivery.word),
    Key("sms_secret_file", "none", read.path),
    Key("sms_apprise_file", "none", read.path),
    Key("portal_listen", "127.0.0.1:8080", read.endpoint),
    Key("trusted_proxies", "[]", portal.networks),
    Key("tls_certificate", "none", read.path),
    Key("tls_key", "none", read.path),
)
_BY_NAME = {key.name: key for key in KEYS}
_BY_VARIABLE = {key.variable: key for key in KEYS}


def _from_file(path: Path | None, problems: list[str]) -> dict[str, Raw]:
    if path is None:
        return {}
    try:
        document = tomllib.loads(path.read_bytes().decode())
    except OSError as error:
        problems.append(f"{path}: cannot be read: {error.strerror}")
        return {}
    except tomllib.TOMLDecodeError as error:
        problems.append(f"{path}: is not TOML: {error}")
        return {}
    except ValueError:
        # Neither UnicodeDecodeError nor int()'s complaint says anything that an administrator could use.
        problems.append(f"{path}: is not TOML: it holds octets or a number that cannot be read")
        return {}
    base = path.absolute().parent
    known = {
        name: Raw(value, f"{name} in {path}", base, spelled=False)
        for name, value in document.items()
        if name in _BY_NAME
    }
    problems += [
        f"{name} in {path}: unknown key{_suggestion(name, _BY_NAME)}" for name in document if name not in known
    ]
    return known


def _from_environment(environ: Mapping[str, str], problems: list[str]) -> dict[str, Raw]:
    base = _working_directory()
    for variable in environ:
        if not variable.startswith(PREFIX) or variable in {*_BY_VARIABLE, _CONFIG_VARIABLE}:
            continue
        # Only what looks misspelled: other programs around this one use the prefix too.
        if suggestion := _suggestion(variable, _BY_VARIABLE):
            problems.append(f"{variable}: unknown variable{suggestion}")
    # An empty variable is an unset one: that is how a systemd drop-in takes a setting back.
    return {
        key.name: Raw(environ[key.variable], key.variable, base, spelled=True)
        for key in KEYS
        if environ.get(key.variable)
    }


def _working_directory() -> Path:
    try:
        return Path.cwd()
    except FileNotFoundError as error:
        raise ConfigProblem(("the working directory was removed; change to another one",)) from error


def _suggestion(name: str, known: Mapping[str, Key]) -> str:
    close = difflib.get_close_matches(name.lower(), [one.lower() for one in known], n=1, cutoff=0.8)
    return next((f"; is {one} meant?" for one in known if one.lower() in close), "")


def _read_all(raw: Mapping[str, Raw], problems: list[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, one in raw.items():
        try:
            values[name] = _BY_NAME[name].read(one)
        except ValueError as error:
            problems.append(f"{one.where}: {error}")
    return values


def _fill_defaults(values: dict[str, Any], environ: Mapping[str, str], uid: int) -> None:
    if "state_dir" not in values:
        values["state_dir"] = _default_state_dir(environ, uid)
    state_dir = values["state_dir"]
    values.setdefault("database_url", f"sqlite:///{state_dir / 'radiusd-mfa.sqlite3'}")
    values.setdefault("key_file", _default_key_file(state_dir, environ))
    values.setdefault("listen", (Endpoint("0.0.0.0", 1812), Endpoint("::", 1812)))  # noqa: S104 - a NAS is elsewhere
    values.setdefault("portal_url", None)
    values.setdefault("issuer", "radiusd-mfa")
    values.setdefault("hash_threads", os.cpu_count() or 1)
    values.setdefault("workers", 1)
    values.setdefault("password_cache", 0.0)
    values.setdefault("upgrade_hashes", True)
    values.setdefault("database_deadline", 1.5)
    values.setdefault("reject_delay", 1.0)
    values.setdefault("challenge_lifetime", 120.0)
    values.setdefault("request_deadline", 5.0)
    values.setdefault("log_level", "info")
    values.setdefault("log_format", "text")
    values.setdefault("log_sign_ins", False)
    values.setdefault("metrics_listen", None)
    delivery.fill_defaults(values)
    portal.fill_defaults(values)


def _default_state_dir(environ: Mapping[str, str], uid: int) -> Path:
    # systemd.exec(5): several directories are separated by colons; the first is ours.
    if first := environ.get("STATE_DIRECTORY", "").partition(":")[0]:
        return Path(first)
    if uid == 0:
        return Path("/var/lib/radiusd-mfa")
    base = Path(environ.get("XDG_STATE_HOME", ""))
    if not base.is_absolute():  # the XDG specification: a relative path is to be ignored
        base = _home(environ) / ".local" / "state"
    return base / "radiusd-mfa"


def _home(environ: Mapping[str, str]) -> Path:
    try:
        return Path(environ.get("HOME") or Path.home())
    except RuntimeError as error:  # no HOME, and the user is not in the table of users
        raise ConfigProblem(
            ("state_dir: there is no home directory to keep it in; set RADIUSD_MFA_STATE_DIR",)
        ) from error


def _default_key_file(state_dir: Path, environ: Mapping[str, str]) -> Path:
    if credentials := environ.get("CREDENTIALS_DIRECTORY"):
        credential = Path(credentials) / _KEY_FILE
        if credential.exists():
            return credential
    return state_dir / _KEY_FILE


def _contradictions(values: Mapping[str, Any]) -> list[str]:
    deadline, state_dir = values["request_deadline"], str(values["state_dir"])
    found = [
        f"{name} ({values[name]:g} s) must be below request_deadline ({deadline:g} s): the client has given up by then"
        for name in ("database_deadline", "reject_delay")
        if values[name] >= deadline
    ]
    if "?" in state_dir and state_dir in values["database_url"]:
        found.append("state_dir: has a question mark, which a SQLite URL cannot hold; choose another directory")
    return found + delivery.contradictions(values) + portal.contradictions(values)

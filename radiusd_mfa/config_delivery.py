"""What the settings of mail and SMS may be, one by one and together.

Owns their shapes and what contradicts what. Opens no file and no connection; a complaint never repeats what may hold
a secret.
"""

import ipaddress
import re
from collections.abc import Mapping
from email.headerregistry import Address
from typing import Any, Final
from urllib.parse import urlsplit

from radiusd_mfa.config_values import Raw, plain_text

SECURITIES: Final = {"starttls": 587, "tls": 465, "none": 25}
"""How mail is handed to its server, and the port where servers offer that (RFC 8314 3.3)."""
METHODS: Final = ("GET", "POST", "PUT")
PLACEHOLDER: Final = re.compile(r"\{(to|text|secret)\}")
"""What a gateway's address, headers and body may name."""
JSON_BODY: Final = '{"to": "{to}", "text": "{text}"}'
_UNSET: Final = (
    "smtp_host",
    "smtp_user",
    "smtp_password_file",
    "mail_from",
    "mail_templates",
    "sms_url",
    "sms_user",
    "sms_secret_file",
    "sms_apprise_file",
)
_HOST: Final = re.compile(r"[A-Za-z0-9._-]{1,253}|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*")
_ADDRESS: Final = r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9.-]+"
_SENDER: Final = re.compile(rf"(?P<bare>{_ADDRESS})|(?P<name>[^<>\x00-\x1f\x7f]{{0,64}})<(?P<named>{_ADDRESS})>")
_HEADER: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+: ?[\x20-\x7e]+")


def host(raw: Raw) -> str:
    """Read the name or address of a server."""
    found = plain_text(raw)
    if not _HOST.fullmatch(found):
        raise ValueError("must be the name or the IP address of a server, without a port")
    return found


def security(raw: Raw) -> str:
    """Read how the connection to the mail server is protected."""
    found = plain_text(raw).lower()
    if found not in SECURITIES:
        raise ValueError(f"must be one of {', '.join(SECURITIES)}, not {found!r}")
    return found


def word(raw: Raw) -> str:
    """Read a user name of a server."""
    found = plain_text(raw)
    if not found or not found.isprintable():
        raise ValueError("must be printable characters")
    return found


def mail_from(raw: Raw) -> str:
    """Read a sender: an address, or a name and an address in angle brackets."""
    written = plain_text(raw).strip()
    try:
        sender(written)
    except ValueError:
        # Not chained: the parser speaks of tokens.
        raise ValueError('must be a mail address, or like "Example Ltd <mfa@example.net>"') from None
    return written


def sender(written: str) -> Address:
    """Return a sender in its parts; raises ValueError."""
    found = _SENDER.fullmatch(written)
    if found is None:
        raise ValueError("is no sender")
    return Address((found["name"] or "").strip(' "'), addr_spec=found["named"] or found["bare"])


def gateway(raw: Raw) -> str:
    """Read the address of an SMS gateway; it may hold {to}, {text} and {secret} behind the host."""
    # No complaint repeats it: gateways take keys in their address.
    written = plain_text(raw)
    try:
        parts = urlsplit(written)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise ValueError("must be an http:// or https:// URL") from None
    if not usable or not written.isascii() or not written.isprintable() or " " in written or "{" in parts.netloc:
        raise ValueError("must be an http:// or https:// URL")
    if parts.username is not None or parts.fragment:
        raise ValueError("must have no user name or fragment; there is sms_user for that")
    return written


def method(raw: Raw) -> str:
    """Read an HTTP method."""
    found = plain_text(raw).upper()
    if found not in METHODS:
        raise ValueError(f"must be one of {', '.join(METHODS)}")
    return found


def headers(raw: Raw) -> tuple[str, ...]:
    """Read HTTP headers, each `Name: value`; in the environment one a line."""
    written = raw.value
    if isinstance(written, str) and raw.spelled:
        written = [line.strip() for line in written.splitlines() if line.strip()]
    if not isinstance(written, list) or not all(isinstance(each, str) and _HEADER.fullmatch(each) for each in written):
        raise ValueError('must be a list like ["Authorization: Bearer {secret}"]; in the environment, one a line')
    return tuple(written)


def fill_defaults(values: dict[str, Any]) -> None:
    """Give what was not set its default; without a server there is no mail, without a gateway no SMS."""
    for name in _UNSET:
        values.setdefault(name, None)
    values.setdefault("smtp_security", "starttls")
    values.setdefault("smtp_port", SECURITIES[values["smtp_security"]])
    values.setdefault("sms_method", "POST")
    values.setdefault("sms_headers", ())
    values.setdefault("sms_body", JSON_BODY)


def contradictions(values: Mapping[str, Any]) -> list[str]:
    """Return what can't be so together, given all settings with their defaults."""
    return [*_about_mail(values), *_about_sms(values)]


def is_loopback(name: str) -> bool:
    """Whether a server is this machine, by its name or address alone."""
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return name.lower() == "localhost"


def _about_mail(values: Mapping[str, Any]) -> list[str]:
    found = []
    if values["smtp_host"] and not values["mail_from"]:
        found.append("mail_from: is needed with smtp_host, for a mail has a sender")
    if bool(values["smtp_user"]) != bool(values["smtp_password_file"]):
        found.append("smtp_user and smtp_password_file: either both or none")
    if values["smtp_security"] == "none" and values["smtp_host"] and not is_loopback(values["smtp_host"]):
        found.append("smtp_security: none is for a server on this machine only; links would cross the network in clear")
    return found


def _about_sms(values: Mapping[str, Any]) -> list[str]:
    url: str = values["sms_url"] or ""
    found = []
    if url and values["sms_apprise_file"]:
        found.append("sms_url and sms_apprise_file: only one of them")
    if values["sms_user"] and not values["sms_secret_file"]:
        found.append("sms_secret_file: is needed with sms_user")
    if url.startswith("http://") and not is_loopback(urlsplit(url).hostname or ""):
        found.append("sms_url: http:// is for a gateway on this machine only; codes would cross the network in clear")
    if url:
        named = {
            name for part in (url, values["sms_body"], *values["sms_headers"]) for name in PLACEHOLDER.findall(part)
        }
        found += [
            f"sms_url, sms_body: none of them has {{{name}}}, and the gateway must be told"
            for name in ("to", "text")
            if name not in named
        ]
        if "secret" in named and not values["sms_secret_file"]:
            found.append("sms_secret_file: is needed where {secret} stands")
    return found

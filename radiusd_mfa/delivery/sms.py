"""SMS: a text and a number are handed to a gateway over HTTP, as its settings say.

Nothing is followed anywhere: a redirect would carry the secret to somebody else. What a gateway answers is neither kept
nor logged but for its status, since it may repeat the text.
"""

import base64
import http.client
import json
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from email.message import Message
from typing import Final, Protocol
from urllib.parse import quote, quote_plus, urlsplit
from xml.sax.saxutils import escape

from radiusd_mfa.config_delivery import PLACEHOLDER
from radiusd_mfa.delivery.letters import Templates
from radiusd_mfa.delivery.problems import DeliveryProblem, UnreachableProblem
from radiusd_mfa.usecases.outbox_ports import Claimed

TIMEOUT: Final = 20.0
_JSON: Final = "application/json"
_BUSY: Final = (429, 503)
"""Statuses that say: later, and all of you (RFC 6585 4, RFC 9110 15.6.4)."""
_ANSWER_LIMIT: Final = 65_536


class Sender(Protocol):
    """A way to send a text message."""

    def send(self, to: str, text: str) -> None:
        """Hand a text over for a number as `+4915112345678`; raises DeliveryProblem."""
        ...


class SmsCarrier:
    """Writes text messages and hands them to a sender."""

    def __init__(self, sender: Sender, templates: Templates) -> None:
        self._sender = sender
        self._templates = templates

    def deliver(self, claimed: Claimed) -> None:
        """Hand a message over; raises DeliveryProblem."""
        self._sender.send(claimed.recipient, self._templates.text(claimed.kind, claimed.values or {}))

    def rest(self) -> None:
        """Do nothing: no connection is kept."""


@dataclass(frozen=True, slots=True)
class Gateway:
    """How a gateway wants to be asked; `{to}`, `{text}` and `{secret}` stand for what they say."""

    url: str = field(repr=False)
    method: str = "POST"
    headers: tuple[str, ...] = field(default=(), repr=False)
    body: str = field(default="", repr=False)
    user: str | None = None
    secret: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class HttpSender:
    """Asks a gateway over HTTP."""

    gateway: Gateway

    def send(self, to: str, text: str) -> None:
        """See `Sender.send`; any status from 200 to 299 counts as taken."""
        values = {"to": to, "text": text, "secret": self.gateway.secret}
        try:
            status = self._ask(values)
        except (OSError, http.client.HTTPException, ValueError) as error:
            # Not chained: the messages of http.client show what was sent.
            why = getattr(error, "strerror", None) or type(error).__name__
            raise UnreachableProblem(f"the gateway {self._place} can't be asked: {why}") from None
        if status in _BUSY:
            raise UnreachableProblem(f"the gateway {self._place} answered {status}")
        if not http.client.OK <= status < http.client.MULTIPLE_CHOICES:
            raise DeliveryProblem(f"the gateway {self._place} answered {status}")

    @property
    def _place(self) -> str:
        return urlsplit(self.gateway.url).hostname or ""

    def _ask(self, values: dict[str, str]) -> int:
        headers = self._headers(values)
        body = None
        if self.gateway.method != "GET":
            body = _filled(self.gateway.body, values, _escape_for(headers["Content-Type"])).encode()
        parts = urlsplit(_filled(self.gateway.url, values, lambda text: quote(text, safe="")))
        connection = self._connection(parts.scheme, parts.hostname or "", parts.port)
        try:
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            connection.request(self.gateway.method, target, body, headers)
            answer = connection.getresponse()
            answer.read(_ANSWER_LIMIT)
            return answer.status
        finally:
            connection.close()

    def _headers(self, values: dict[str, str]) -> dict[str, str]:
        headers = Message()
        for line in self.gateway.headers:
            name, _, value = line.partition(":")
            headers[name] = _filled(value.strip(), values, _one_line)
        if "Content-Type" not in headers:
            headers["Content-Type"] = _JSON
        if self.gateway.user is not None:
            login = f"{self.gateway.user}:{self.gateway.secret}".encode()
            headers["Authorization"] = f"Basic {base64.b64encode(login).decode()}"
        return {name.title(): value for name, value in headers.items()}

    @staticmethod
    def _connection(scheme: str, host: str, port: int | None) -> http.client.HTTPConnection:
        if scheme == "https":
            return http.client.HTTPSConnection(host, port, timeout=TIMEOUT, context=ssl.create_default_context())
        return http.client.HTTPConnection(host, port, timeout=TIMEOUT)


def _filled(template: str, values: dict[str, str], escaped: Callable[[str], str]) -> str:
    # In one go: what a value holds is never taken for a placeholder.
    return PLACEHOLDER.sub(lambda found: escaped(values[found[1]]), template)


def _escape_for(content_type: str) -> Callable[[str], str]:
    """Choose how a value is written so that it stays a value, by the kind of body."""
    match content_type.partition(";")[0].strip().lower():
        case "application/json":
            return lambda text: json.dumps(text)[1:-1]
        case "application/x-www-form-urlencoded":
            return quote_plus
        case "application/xml" | "text/xml":
            return escape
        case _:
            return lambda text: text


def _one_line(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text)

"""Mail: a letter becomes a message with two bodies, and is handed over by SMTP. Owns the connection.

A message has the same Message-ID at every try: where a server took it and we died before we could note it, whoever
gets it twice can tell (RFC 5322 3.6.4).
"""

import smtplib
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Final

from radiusd_mfa.delivery.letters import Letter, Templates
from radiusd_mfa.delivery.problems import DeliveryProblem, UnreachableProblem
from radiusd_mfa.usecases.outbox_ports import Claimed

TIMEOUT: Final = 20.0
"""Seconds for each step of a conversation; all of them together stay well below a claim (worker.CLAIM)."""
_LONGEST_REPLY: Final = 200
_GOING_AWAY: Final = 421


@dataclass(frozen=True, slots=True)
class Server:
    """Where mail is handed over; `security` is `starttls`, `tls` or `none`."""

    host: str
    port: int
    security: str
    user: str | None = None
    password: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class MailCarrier:
    """Hands mails to one server, over one connection as long as there are any; not to be shared between threads."""

    def __init__(self, server: Server, sender: Address, templates: Templates) -> None:
        self._server = server
        self._sender = sender
        self._templates = templates
        self._open: smtplib.SMTP | None = None

    def deliver(self, claimed: Claimed) -> None:
        """Hand a mail over; raises DeliveryProblem where the server did not take it."""
        letter = self._templates.letter(claimed.kind, claimed.values or {})
        message = message_of(letter, claimed, self._sender)
        try:
            with _told(self._server):
                connection = self._connection()
                connection.send_message(message, self._sender.addr_spec, [_address(claimed.recipient)])
        except BaseException:
            self._drop()
            raise

    def rest(self) -> None:
        """End the connection, politely: there is nothing to deliver for now."""
        connection, self._open = self._open, None
        if connection is not None:
            with suppress(smtplib.SMTPException, OSError):
                connection.quit()

    def _connection(self) -> smtplib.SMTP:
        if self._open is None:
            self._open = connect(self._server)
        return self._open

    def _drop(self) -> None:
        connection, self._open = self._open, None
        if connection is not None:
            connection.close()


def connect(server: Server) -> smtplib.SMTP:
    """Open a connection on which mail may be sent; raises what smtplib raises."""
    # Its own idea of our name would ask the name servers, and wait for them.
    name, context = socket.gethostname(), ssl.create_default_context()
    if server.security == "tls":
        connection: smtplib.SMTP = smtplib.SMTP_SSL(server.host, server.port, name, timeout=TIMEOUT, context=context)
    else:
        connection = smtplib.SMTP(server.host, server.port, name, timeout=TIMEOUT)
    try:
        if server.security == "starttls":
            # Refuses a server that doesn't offer it: whoever is in between could have taken the offer away.
            connection.starttls(context=context)
        if server.user is not None and server.password is not None:
            connection.login(server.user, server.password)
    except BaseException:
        connection.close()
        raise
    return connection


def message_of(letter: Letter, claimed: Claimed, sender: Address) -> EmailMessage:
    """Write a letter as a message with a plain and an HTML body."""
    message = EmailMessage(policy=SMTP)
    message["From"] = sender
    message["To"] = Address(addr_spec=_address(claimed.recipient))
    message["Subject"] = letter.subject
    message["Date"] = format_datetime(datetime.fromtimestamp(int(claimed.created_at), UTC))
    message["Message-ID"] = f"<{claimed.message_id}@{sender.domain}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834 5: no “I am on holiday” in return
    message.set_content(letter.plain)
    message.add_alternative(letter.html, subtype="html")
    return message


def _address(recipient: str) -> str:
    """Return an address with its domain as the network knows it (RFC 5891); raises DeliveryProblem."""
    local, _, domain = recipient.rpartition("@")
    try:
        return Address(addr_spec=f"{local}@{domain.encode('idna').decode('ascii')}").addr_spec
    except (ValueError, IndexError, MessageError):
        raise DeliveryProblem("the address is none that mail can be sent to") from None


def _closing(code: int) -> type[DeliveryProblem]:
    """Return what a refusal is: 421 is about nobody in particular, the server is going away (RFC 5321 3.8)."""
    return UnreachableProblem if code == _GOING_AWAY else DeliveryProblem


@contextmanager
def _told(server: Server) -> Iterator[None]:
    """Say what went wrong: what a server answers only as long as it has seen nothing of what a mail says."""
    try:
        yield
    except smtplib.SMTPRecipientsRefused as error:
        code, reply = next(iter(error.recipients.values()))
        raise _closing(code)(f"{server} refused the recipient: {_reply(code, reply)}") from None
    except smtplib.SMTPSenderRefused as error:
        said = _reply(error.smtp_code, error.smtp_error)
        raise _closing(error.smtp_code)(f"{server} refused the sender: {said}") from None
    except smtplib.SMTPDataError as error:
        raise _closing(error.smtp_code)(f"{server} refused the mail: {error.smtp_code}") from None
    except smtplib.SMTPAuthenticationError as error:
        raise UnreachableProblem(f"{server} refused the login: {error.smtp_code}") from None
    except smtplib.SMTPNotSupportedError as error:
        raise UnreachableProblem(f"{server} can't do what is needed: {error}") from None
    except smtplib.SMTPResponseException as error:
        raise UnreachableProblem(f"{server} answered: {_reply(error.smtp_code, error.smtp_error)}") from None
    except smtplib.SMTPException as error:
        raise UnreachableProblem(f"{server} ended the conversation: {type(error).__name__}") from None
    except ssl.SSLCertVerificationError as error:
        raise UnreachableProblem(f"{server} has a certificate that is not trusted: {error.verify_message}") from None
    except OSError as error:
        raise UnreachableProblem(f"{server} can't be reached: {error.strerror or type(error).__name__}") from None


def _reply(code: int, reply: bytes | str) -> str:
    text = reply.decode("ascii", errors="backslashreplace") if isinstance(reply, bytes) else reply
    return f"{code} " + "".join(char if char.isprintable() else " " for char in text)[:_LONGEST_REPLY]

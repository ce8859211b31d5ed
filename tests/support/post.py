"""Those who take mail and text messages: a real SMTP server with TLS and login, and an SMS gateway over HTTP."""

import ipaddress
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

USER, PASSWORD = "mfa", "canary-smtp-password"


def certificate(directory: Path) -> Path:
    """Make a certificate for 127.0.0.1, with its key in the same file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a mail server of a test")])
    names: list[x509.GeneralName] = [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")]
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = directory / "certificate.pem"
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(key.private_bytes(*form) + made.public_bytes(serialization.Encoding.PEM))
    return path


@dataclass
class Mailbox:
    """A mail server's mailbox; what happens at the steps of a conversation can be set."""

    port: int
    received: list[EmailMessage] = field(default_factory=list)
    on_recipient: Callable[[str], str | None] = lambda _recipient: None
    """Gets each recipient; returns the answer, None to take it."""
    on_message: Callable[[EmailMessage], str | None] = lambda _message: None
    """Gets each message after it was taken; returns the answer, None for “taken”."""

    async def handle_RCPT(  # noqa: N802 - the server calls it so
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any
    ) -> str:
        answer = self.on_recipient(address)
        if answer is not None:
            return answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - as above
        message = message_from_bytes(envelope.content, policy=default)
        assert isinstance(message, EmailMessage)
        self.received.append(message)
        return self.on_message(message) or "250 taken"

    @property
    def ids(self) -> list[str]:
        """The Message-IDs of all that came, in their order."""
        return [str(message["Message-ID"]) for message in self.received]


def body(message: EmailMessage, kind: str = "plain") -> str:
    """Return a body of a message, without the line breaks of its transport."""
    part = message.get_body((kind,))
    assert part is not None
    text: str = part.get_content()
    return text.replace("\r\n", "\n")


@contextmanager
def mail_server(mailbox: Mailbox, pem: Path, *, security: str = "starttls") -> Iterator[None]:
    """Run a mail server for a mailbox, which takes nothing without TLS and login unless security is `none`."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pem)
    options: dict[str, Any] = {"hostname": "127.0.0.1", "port": mailbox.port, "ident": "a test"}
    if security != "none":
        options |= {"authenticator": _authenticated, "auth_required": True, "auth_require_tls": True}
    if security == "starttls":
        options |= {"tls_context": context, "require_starttls": True}
    if security == "tls":
        options |= {"ssl_context": context, "auth_require_tls": False}
    controller = Controller(mailbox, **options)
    controller.start()
    try:
        yield
    finally:
        controller.stop()


def _authenticated(_server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
    right = (data.login, data.password) == (USER.encode(), PASSWORD.encode())
    return AuthResult(success=right, handled=right)  # what is not handled is answered with 535


def free_port() -> int:
    """Return a TCP port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that came to the gateway."""

    method: str
    path: str
    headers: dict[str, str]
    body: str


@dataclass
class TestGateway:
    """An SMS gateway: keeps what it is asked, and answers with the next of `answers`, 200 once there is none."""

    port: int
    asked: list[Asked] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)

    __test__ = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def gateway() -> Iterator[TestGateway]:
    """Run an SMS gateway."""

    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            text = self.rfile.read(length).decode()
            made.asked.append(Asked(self.command, self.path, dict(self.headers.items()), text))
            self.send_response(made.answers.pop(0) if made.answers else 200)
            self.send_header("Location", f"{made.url}/elsewhere")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())  # some repeat what they were sent

        do_GET = do_POST = do_PUT = handle_any  # noqa: N815 - as http.server calls them

        def log_message(self, *_arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made = TestGateway(server.server_address[1])
    thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

"""What the VPN tests share: a gateway whose daemon listens beside it, and certificates for it."""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.interop.deployment import Deployment, Server
from tests.interop.namespaces import GATEWAY, Site, cabled

RADIUS_PORT: Final = 1812


@dataclass(frozen=True)
class Office:
    """A site with a radiusd-mfa on the gateway's loopback, and room for the gateway's files."""

    site: Site
    server: Server
    directory: Path

    def file(self, name: str, text: str, *, mode: int = 0o600) -> Path:
        path = self.directory / name
        path.write_text(text)
        path.chmod(mode)
        return path


@contextmanager
def opened(directory: Path, *nas_options: str) -> Iterator[Office]:
    """Lay the cable and serve on the gateway, for a NAS entry of the gateway's own loopback."""
    with cabled() as site:
        deployment = Deployment(directory, prefix=site.gateway.prefix)
        deployment.init()
        deployment.nas("gateway", "127.0.0.1", *nas_options)
        with deployment.serving(f"127.0.0.1:{RADIUS_PORT}") as server:
            yield Office(site, server, directory)


@dataclass(frozen=True)
class Certificate:
    """A self-signed certificate of the gateway, which is its own authority."""

    certificate: Path
    key: Path


def certify(directory: Path) -> Certificate:
    """Make a certificate for the gateway's address."""
    made = Certificate(directory / "gateway.crt", directory / "gateway.key")
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", str(made.key))
    wanted = (
        f"subjectAltName=IP:{GATEWAY}",
        "keyUsage=critical,digitalSignature,keyCertSign",
        "extendedKeyUsage=serverAuth",
    )
    extensions = [word for extension in wanted for word in ("-addext", extension)]
    _openssl("req", "-x509", *curve, "-subj", "/CN=gateway", *extensions, "-days", "2", "-out", str(made.certificate))
    return made


def _openssl(*arguments: str) -> None:
    command: Sequence[str] = ("openssl", *arguments)
    subprocess.run(command, capture_output=True, check=True, timeout=60)

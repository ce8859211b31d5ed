"""A PAM service that asks by RADIUS, for one program only: the machine's own services stay as they are."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.interop.deployment import SECRET
from tests.interop.requirements import need, need_root

SERVICE: Final = "office"
_MOUNTED: Final = 'mount --bind "$0" /etc/pam.d && exec "$@"'


def need_pam_radius() -> None:
    """Go on only where pam_radius can be put into a mount namespace."""
    need("libpam-radius-auth", anywhere=("lib/*/security/pam_radius_auth.so", "lib/security/pam_radius_auth.so"))
    need_root()
    need("util-linux", programs=("unshare",))


@dataclass(frozen=True)
class PamServices:
    """A directory that stands for /etc/pam.d, with one service beside the default that denies everything."""

    directory: Path
    service: str = SERVICE

    def __post_init__(self) -> None:
        self._services.mkdir()
        (self._services / "other").write_text("auth required pam_deny.so\naccount required pam_deny.so\n")
        stack = (
            f"auth required pam_radius_auth.so conf={self._servers} prompt=Password\naccount required pam_permit.so\n"
        )
        (self._services / self.service).write_text(stack + "session required pam_permit.so\n")

    def ask(self, server: str, source: str) -> None:
        """Let the service ask `server` from the address `source`."""
        self._servers.touch(mode=0o600)
        self._servers.write_text(f"{server} {SECRET} 5 {source}\n")

    @property
    def prefix(self) -> list[str]:
        """What a command line starts with to see these services."""
        return ["unshare", "--mount", "sh", "-c", _MOUNTED, str(self._services)]

    @property
    def _services(self) -> Path:
        return self.directory / "pam.d"

    @property
    def _servers(self) -> Path:
        return self.directory / "pam_radius.conf"

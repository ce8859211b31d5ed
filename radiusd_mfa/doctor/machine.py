"""What `doctor` looks at on the machine: modes and owners of files, the disk, the receive buffer."""

import pwd
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from radiusd_mfa.config import Config
from radiusd_mfa.diagnosis.facts import Buffer, Disk, File
from radiusd_mfa.server.udp import BUFFER

RMEM_MAX: Final = Path("/proc/sys/net/core/rmem_max")
_OTHERS: Final = 0o077
_OTHERS_WRITE: Final = 0o022


def files(config: Config, database: Path | None) -> Iterator[File]:
    """Yield what holds secrets and is there; raises OSError. The mode of the key file is the key ring's to judge."""
    wanted = [(config.state_dir, _OTHERS), (config.state_dir / "high-water.json", _OTHERS_WRITE)]
    if config.key_file.is_relative_to(config.state_dir):
        wanted.append((config.key_file, 0))
    if database is not None:
        wanted += [(database.with_name(database.name + suffix), _OTHERS) for suffix in ("", "-wal", "-shm")]
    if not config.state_dir.exists():
        return
    runs_as = _owner(config.state_dir.stat().st_uid)
    for path, kept_from in wanted:
        if path.exists():
            status = path.stat()
            yield File(str(path), status.st_mode & 0o7777, kept_from, _owner(status.st_uid), runs_as)


def disk(database: Path | None) -> Disk | None:
    """Say how much room an SQLite database has to grow; raises OSError."""
    if database is None or not database.exists():
        return None
    return Disk(str(database.parent), shutil.disk_usage(database.parent).free)


def buffer(source: Path = RMEM_MAX) -> Buffer | None:
    """Say what receive buffer the system gives; None where there is no /proc."""
    try:
        return Buffer(int(source.read_text(encoding="ascii")), BUFFER)
    except (OSError, ValueError):
        return None


def _owner(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)

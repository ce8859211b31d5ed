"""Files that hold secrets: read only where nobody else may read or change them.

Owns that rule, for the key file and for the passwords of mail and SMS. Knows nothing of what stands in such a file.
"""

import io
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_FILE_LIMIT: Final = 65_536


class PrivateFileProblem(Exception):
    """The file can't be read, or should not be trusted; the sentence never holds any of it."""


class AbsentFileProblem(PrivateFileProblem):
    """There is no such file."""


def read_private(path: Path, environ: Mapping[str, str] = os.environ) -> bytes:
    """Return at most 64 KiB of a file that nobody but its owner may read; raises PrivateFileProblem."""
    try:
        # Mode and octets come from one descriptor: the file that was judged is the file that is read.
        with io.FileIO(path, opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            _refuse_shared(os.fstat(file.fileno()), path, environ)
            return file.read(_FILE_LIMIT)
    except FileNotFoundError as error:
        raise AbsentFileProblem(f"{path} does not exist") from error
    except OSError as error:
        raise PrivateFileProblem(f"{path} cannot be read: {error.strerror}.") from error


def _refuse_shared(status: os.stat_result, path: Path, environ: Mapping[str, str]) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise PrivateFileProblem(f"{path} is not a regular file.")
    # systemd hands credentials over as 0400, or 0440 with an ACL, in a directory that only this service enters.
    credentials = environ.get("CREDENTIALS_DIRECTORY")
    handed_over = bool(credentials) and path.resolve().is_relative_to(Path(credentials or "/").resolve())
    if status.st_mode & (0o037 if handed_over else 0o077):
        raise PrivateFileProblem(f"{path} can be read or changed by others; run: chmod 600 {path}")

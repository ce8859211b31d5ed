"""The marks of this machine: how far it has seen each database, in a file beside the key and outside any database.

Owns the file. What a mark means is a use case's to say.
"""

import json
import os
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from radiusd_mfa.usecases.audit_ports import Mark


class HighWaterProblem(Exception):
    """The file is damaged; the sentence says what to do."""


class HighWater:
    """See `Marks` of the use cases; raises HighWaterProblem or OSError: without the marks nothing would be noticed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: tuple[tuple[int, int], dict[str, Any]] | None = None

    def of(self, identity: str) -> Mark | None:
        """See `Marks.of`."""
        found = self._read().get(identity)
        return None if found is None else _mark(found)

    def put(self, identity: str, mark: Mark) -> None:
        """See `Marks.put`; the file is replaced as a whole."""
        said = {"seal": mark.seal_id, "mac": mark.mac.hex(), "row": mark.last_id, "at": mark.sealed_at}
        # Other processes keep the same file: the marks of other databases are theirs, and are read anew.
        document = self._read() | {identity: said}
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with NamedTemporaryFile("w", dir=self._path.parent, prefix=self._path.name, delete=False) as file:
            try:
                json.dump(document, file)
                file.flush()
                os.fsync(file.fileno())
                if os.geteuid() == 0:  # a command of root's must not take the file from the service
                    owner = self._path.parent.stat()
                    os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
                Path(file.name).replace(self._path)
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise

    def _read(self) -> dict[str, Any]:
        try:
            status = self._path.stat()
        except FileNotFoundError:
            return {}
        version = (status.st_mtime_ns, status.st_ino)
        if self._known is None or self._known[0] != version:
            self._known = (version, self._parsed())
        return self._known[1]

    def _parsed(self) -> dict[str, Any]:
        try:
            document = json.loads(self._path.read_bytes())
            for said in document.values():
                _mark(said)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise HighWaterProblem(
                f"{self._path} is damaged. It shows whether a database is older than this machine has seen it; "
                "remove it if you know that yours is not."
            ) from error
        known: dict[str, Any] = document
        return known


def _mark(said: dict[str, Any]) -> Mark:
    return Mark(int(said["seal"]), bytes.fromhex(said["mac"]), int(said["row"]), float(said["at"]))

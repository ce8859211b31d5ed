"""Hashing as the use cases want it: argon2id of one cost is made, every known hash is checked.

Knows no use case: it has the shape of their `Hashing` and `Passwords`.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from radiusd_mfa.passwords.local import (
    HashProblem,
    Profile,
    dummy_for,
    is_cheap,
    make_hash,
    needs_upgrade,
    recognise,
    verify,
)


@dataclass(frozen=True, slots=True)
class LocalHashing:
    """See `Hashing` and `Passwords` of the use cases: argon2id of the given cost is made, known hashes are checked."""

    profile: Profile

    def verify(self, password: str, stored: str) -> bool:
        """See `Passwords.verify`."""
        return verify(password, stored)

    def is_cheap(self, stored: str) -> bool:
        """See `Passwords.is_cheap`."""
        return is_cheap(stored)

    def remembers(self, _password: str, _stored: str) -> bool:
        """See `Passwords.remembers`: that is the cache's to know."""
        return False

    def dummy(self) -> str:
        """See `Passwords.dummy`."""
        return dummy_for(self.profile)

    def make(self, text: str) -> str:
        """See `Hashing.make`."""
        return make_hash(text, profile=self.profile)

    def make_all(self, texts: Sequence[str]) -> Sequence[str]:
        """See `Hashing.make_all`; argon2 lets go of the interpreter, so threads do it."""
        with ThreadPoolExecutor(os.cpu_count() or 1) as threads:
            return list(threads.map(self.make, texts))

    def is_old(self, stored: str) -> bool:
        """See `Upgrades.is_old`."""
        return needs_upgrade(stored, profile=self.profile)

    def complaint(self, stored: str) -> str | None:
        """See `Hashing.complaint`."""
        try:
            recognise(stored)
        except HashProblem as problem:
            return str(problem)
        return None

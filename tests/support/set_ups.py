"""A person with a phone who is led through a set-up, reading what the NAS shows and typing what it asks for."""

import re
from dataclasses import dataclass, field

from radiusd_mfa.core.totp import Algorithm, code_at, seed_from_base32, step_at
from radiusd_mfa.radius.wire import Code
from tests.support.clock import Clock
from tests.support.world import Reply, TestNas, TestUser

_KEY = re.compile(r"(?:[A-Z2-7]{4} ){7}[A-Z2-7]{4}")
_BACKUP_CODE = re.compile(r"\b(?:[a-z2-9]{5}-){2}[a-z2-9]{5}\b")


def key_in(message: str) -> bytes:
    """Return the seed that a message shows."""
    found = _KEY.search(message)
    assert found, message
    return seed_from_base32(found[0])


def codes_in(message: str) -> list[str]:
    return _BACKUP_CODE.findall(message)


def code_of(seed: bytes, at: float, offset: int = 0) -> bytes:
    return code_at(step_at(at, 30) + offset, seed, 6, Algorithm.SHA1).encode()


@dataclass
class Led:
    """A user in front of a NAS; each step may be taken at another NAS of the same entry."""

    user: TestUser
    clock: Clock
    seed: bytes = b""
    state: bytes = b""
    codes: list[str] = field(default_factory=list)

    def password(self, nas: TestNas) -> Reply:
        """Give the password, and put the shown secret into the phone."""
        reply = nas.ask(self.user.name, self.user.password.encode())
        assert reply.code is Code.ACCESS_CHALLENGE
        self.seed, self.state = key_in(reply.message), reply.state
        self.user.seed = self.seed
        return reply

    def first_code(self, nas: TestNas, offset: int = 0) -> Reply:
        """Give the first code, and write the backup codes down."""
        return self._writing(nas.ask(self.user.name, code_of(self.seed, self.clock.at, offset), state=self.state))

    def saved(self, nas: TestNas) -> Reply:
        return nas.ask(self.user.name, b"saved", state=self.state)

    def saved_piece(self, nas: TestNas) -> Reply:
        """Say that a piece is written down, and write the next one down."""
        return self._writing(self.saved(nas))

    def _writing(self, reply: Reply) -> Reply:
        assert reply.code is Code.ACCESS_CHALLENGE, reply.message
        self.codes += codes_in(reply.message)
        self.state = reply.state
        return reply

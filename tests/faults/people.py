"""Who signs in during a fault run, what each has in hand, and what of it was shown to a server already."""

import random
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from radiusd_mfa.core.totp import Algorithm, code_at, step_at
from tests.faults.evidence import Credential, Kind
from tests.support.world import TestUser, World

CODES: Final = 6
_PERIOD: Final = 30


@dataclass
class Person:
    """A user with password, phone and paper; `busy` while something is done in that name."""

    user: TestUser
    method: int
    seed: bytes
    generation: int
    paper: deque[tuple[str, str]]
    """Unused backup codes, as (selector, text)."""
    shown: int = 0
    """The highest step whose code left the phone."""
    busy: bool = False
    spent: list[tuple[Credential, str]] = field(default_factory=list)
    """Codes that bought an Accept, for replays."""

    @property
    def name(self) -> str:
        return self.user.name

    def totp(self) -> tuple[Credential, str] | None:
        """Take the code of the lowest step that is good now and was not shown; None: wait for the next one."""
        now = step_at(time.time(), _PERIOD)
        step = max(now, self.shown + 1)
        if step > now + 1:
            return None
        self.shown = step
        return self.at(step)

    def at(self, step: int) -> tuple[Credential, str]:
        """Return the code of a step, shown or not."""
        code = code_at(step, self.seed, 6, Algorithm.SHA1)
        return Credential(Kind.TOTP, self.name, self.method, str(step)), code

    def backup(self) -> tuple[Credential, str] | None:
        """Take a backup code off the paper."""
        if not self.paper:
            return None
        selector, text = self.paper.popleft()
        return Credential(Kind.BACKUP, self.name, self.generation, selector), text

    def wrong_code(self) -> str:
        """Return digits that are no code of any step nearby, of the clocks that are off neither."""
        now = step_at(time.time(), _PERIOD)
        near = {
            code_at(now + hour + offset, self.seed, 6, Algorithm.SHA1)
            for hour in (-120, 0, 120)
            for offset in range(-4, 5)
        }
        return next(
            code for number in range(200) if (code := f"{random.randrange(10**6):06}") not in near or number > 99
        )


@dataclass
class People:
    """All of them; whoever is taken is busy until let go."""

    persons: Sequence[Person]
    chance: random.Random

    @classmethod
    def made(cls, world: World, count: int, chance: random.Random) -> "People":
        """Add users with an authenticator and backup codes."""
        return cls([_person(world, number) for number in range(count)], chance)

    def take(self) -> Person | None:
        """Take anybody who is free."""
        for _ in range(20):
            person = self.chance.choice(self.persons)
            if not person.busy:
                person.busy = True
                return person
        return None


def _person(world: World, number: int) -> Person:
    user = world.user(f"user{number}", f"canary-{number:05}-horse", codes=CODES)
    assert user.method_id is not None
    paper = deque((code.selector, code.shown if number % 2 else code.canonical) for code in user.backup_codes)
    return Person(user, user.method_id, user.seed, 1, paper)

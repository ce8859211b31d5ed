"""People who act: each with a password, an authenticator and backup codes at hand; and teams with a policy."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from radiusd_mfa.core.names import Username
from radiusd_mfa.core.totp import Algorithm, code_at, seed_from_base32, step_at
from radiusd_mfa.usecases import acting, policies, teams
from radiusd_mfa.usecases.acting import Given
from radiusd_mfa.usecases.actors import Claimant, Person
from radiusd_mfa.usecases.changes import Refusal
from radiusd_mfa.usecases.enrol import Enrolment
from tests.support.administered import World

PASSWORD: Final = b"correct horse"
VOLUNTARY: Final = "require = []"


@dataclass(frozen=True, slots=True)
class Colleague:
    """Somebody who has set up a second factor."""

    world: World
    name: Username
    made: Enrolment
    backup_codes: Sequence[str]

    @property
    def needs(self) -> dict[str, Any]:
        return self.world.needs

    def new_code(self) -> bytes:
        """Return a code that was never given: time goes on by a step."""
        self.world.clock.now += 30
        return self.world.code(self.made).encode()

    def prove(self, code: bytes | None = None, password: bytes = PASSWORD) -> Person | acting.Texted | Refusal:
        given = Given(self.name, password, self.new_code() if code is None else code)
        return acting.prove(given, door=self.world.app.door("cli"))

    def person(self) -> Person:
        proved = self.prove()
        assert isinstance(proved, Person), proved
        return proved

    def recovers(self, which: int = 0) -> Person:
        """Act once with a backup code."""
        self.world.clock.now += 1
        proved = self.prove(self.backup_codes[which].encode())
        assert isinstance(proved, Person), proved
        return proved

    def claims(self, password: bytes = PASSWORD) -> Claimant | Refusal:
        return acting.prove_password(Given(self.name, password), door=self.world.app.door("cli"))

    def claimant(self) -> Claimant:
        claimed = self.claims()
        assert isinstance(claimed, Claimant), claimed
        return claimed


def colleague(world: World, name: str = "alice") -> Colleague:
    user, made, confirmed = world.enrolled(name)
    assert confirmed.codes is not None
    return Colleague(world, user, made, confirmed.codes.shown)


def team(world: World, name: str = "ops", policy: str | None = None) -> str:
    teams.add(name, plan="mfa", **world.needs)
    if policy is not None:
        assert not isinstance(policies.apply(name, policy, **world.needs), Refusal)
    return name


def join(world: World, team: str, user: Username, role: str, *permissions: str) -> None:
    made = teams.add_member(team, user, role=role, permissions=permissions, **world.needs)
    assert not isinstance(made, Refusal), made


def code_of(uri: str, now: float) -> str:
    """Return what an app shows that has scanned this URI."""
    seed = seed_from_base32(uri.partition("secret=")[2].partition("&")[0])
    return code_at(step_at(now, 30), seed, 6, Algorithm.SHA1)

"""What a policy would have done to the sign-ins of the last days (O1): recorded ones are weighed again, one by one.

Whoever would have been asked for a code and has a method is taken to have given one, and whoever would not have been
asked to have given none: the policy's periods run as if it had held then. Memory grows with people and devices, never
with the number of sign-ins.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from radiusd_mfa.core.circumstances import Circumstances, CircumstancesProblem, Seen, read
from radiusd_mfa.core.policy import Policy, rules_at_sign_in
from radiusd_mfa.core.requirement import Requirement, requirement
from radiusd_mfa.core.verdict import Found, Reason
from radiusd_mfa.usecases.actors import OPERATOR, Actor
from radiusd_mfa.usecases.admin_ports import AuditEntry, Team
from radiusd_mfa.usecases.books import Administration, Books
from radiusd_mfa.usecases.changes import Change, Refusal, viewed
from radiusd_mfa.usecases.permissions import Permission
from radiusd_mfa.usecases.policies import read_policy
from radiusd_mfa.usecases.policy_effects import is_ready
from radiusd_mfa.usecases.ports import Clock
from radiusd_mfa.usecases.teams import no_team, permit_in

DAY: Final = 86_400.0
_RIGHT: Final = (Found.NOTHING, Found.ASKED, Found.TOTP, Found.SMS, Found.BACKUP_CODE)


class Fate(StrEnum):
    """What becomes of a sign-in whose password was right."""

    ASKED = "asked"
    """A second factor is asked for."""
    PERIOD = "period"
    """The password alone, while a period lasts."""
    NOT_REQUIRED = "not-required"
    REPORTED = "reported"
    ENROL_LATER = "enrol-later"
    NOT_ENROLLED = "not-enrolled"


_FATES: Final[Mapping[str, Fate]] = {
    Reason.PERIOD: Fate.PERIOD,
    Reason.NOT_REQUIRED: Fate.NOT_REQUIRED,
    Reason.REPORTED: Fate.REPORTED,
    Reason.ENROL_LATER: Fate.ENROL_LATER,
    Reason.NOT_ENROLLED: Fate.NOT_ENROLLED,
    Reason.SET_UP: Fate.NOT_ENROLLED,
}


@dataclass(slots=True)
class Tally:
    """Sign-ins by what became of them."""

    would: Counter[Fate] = field(default_factory=Counter)
    did: Counter[Fate] = field(default_factory=Counter)

    @property
    def sign_ins(self) -> int:
        """How many there were."""
        return self.did.total()


@dataclass(frozen=True, slots=True)
class Simulation:
    """What the policy would have done, beside what was done."""

    team: str
    days: int
    total: Tally
    users: Mapping[str, Tally]
    surfaces: Mapping[str, Tally]
    unenrolled: Sequence[str]
    """Who would have been refused for want of a second factor, and has none to this day."""
    unreadable: int
    """Rows from before facts were recorded, or that other programs wrote; they are left out."""


def simulate(
    name: str, text: str, *, days: int, store: Administration, clock: Clock, actor: Actor = OPERATOR
) -> Simulation | Refusal:
    """Weigh the sign-ins of the last days into a team by this policy in place of its own."""
    policy = read_policy(text)

    def look(books: Books) -> Simulation | Refusal:
        team = books.teams.find(name)
        if team is None:
            return no_team(name, books)
        if isinstance(policy, Refusal):
            return policy
        replay = _Replay(team, policy, books)
        for entry in books.audit.sign_ins(clock() - days * DAY):
            replay.take(entry)
        return replay.result(days)

    change = Change("policy-simulate", detail={"team": name, "days": days}, actor=actor)
    permit = permit_in(name, Permission.POLICY_WRITE, actor=actor)
    return viewed(change, look, store=store, clock=clock, permit=permit)


class _Replay:
    """Counts; keeps when each person would have given a second factor last."""

    def __init__(self, team: Team, policy: Policy, books: Books) -> None:
        self._team, self._policy, self._books = team, policy, books
        self._given: dict[tuple[str | None, ...], float] = {}
        self._others: dict[tuple[int, int], Policy | None] = {}
        self._total, self._unreadable = Tally(), 0
        self._users: dict[str, Tally] = {}
        self._surfaces: dict[str, Tally] = {}

    def take(self, entry: AuditEntry) -> None:
        """Weigh one row, if it is a sign-in into the team with the right password."""
        try:
            then = read(entry.facts or "")
        except CircumstancesProblem:
            self._unreadable += 1
            return
        if then.found not in _RIGHT or not any(place.team_id == self._team.id for place in then.places):
            return
        if then.code_only and then.challenge:
            return  # the second half of a sign-in that was counted when its password came
        now = self._as_if(then, entry)
        fate = _fate(now, requirement(now, self._policies(then)))
        if fate is Fate.ASKED:
            self._given.update(dict.fromkeys(_keys(entry), then.at))
        self._count(entry, fate, _FATES.get(entry.reason, Fate.ASKED))

    def result(self, days: int) -> Simulation:
        """Return what was counted."""
        refused = {name for name, tally in self._users.items() if tally.would[Fate.NOT_ENROLLED]}
        standings = self._books.teams.standings(self._team.id)
        ready = {each.user for each in standings if is_ready(self._policy, each)}
        return Simulation(
            self._team.name,
            days,
            self._total,
            self._users,
            self._surfaces,
            sorted(refused - ready),
            self._unreadable,
        )

    def _as_if(self, then: Circumstances, entry: AuditEntry) -> Circumstances:
        """Put what would have been given in place of what was; where the replay begins, it is what was."""
        seen = []
        for key, recorded in zip(_keys(entry), (then.latest, then.device), strict=False):
            if recorded is not None:
                self._given.setdefault(key, recorded.at)
            at = self._given.get(key)
            seen.append(None if at is None else Seen(at, recorded is not None and recorded.same_text))
        latest, device = (*seen, None)[:2]
        return then._replace(latest=latest, device=device)

    def _policies(self, then: Circumstances) -> dict[int, Policy]:
        found = {place.team_id: self._policy_of(place.team_id, place.version) for place in then.places}
        return {team_id: policy for team_id, policy in found.items() if policy is not None}

    def _policy_of(self, team_id: int, version: int) -> Policy | None:
        """Return the new policy of the team, and of another the one of then."""
        if team_id == self._team.id:
            return self._policy
        if (team_id, version) not in self._others:
            stored = self._books.policies.find(team_id, version)
            text = None if stored is None else stored.text
            self._others[team_id, version] = None if text is None else rules_at_sign_in(text)
        return self._others[team_id, version]

    def _count(self, entry: AuditEntry, would: Fate, did: Fate) -> None:
        tallies = (
            self._total,
            self._users.setdefault(entry.user or "", Tally()),
            self._surfaces.setdefault(entry.surface or "", Tally()),
        )
        for tally in tallies:
            tally.would[would] += 1
            tally.did[did] += 1


def _keys(entry: AuditEntry) -> Iterator[tuple[str | None, ...]]:
    """Yield for whom a period is kept: for the user on the surface, and for the device where there is one."""
    yield entry.user, entry.surface
    if entry.device:
        yield entry.user, entry.nas, entry.device


def _fate(circumstances: Circumstances, required: Requirement) -> Fate:
    if not required.enrolled:
        return _FATES[required.unenrolled]
    # Where nothing but a code is typed, no period helps.
    return Fate.ASKED if required.due or circumstances.code_only else Fate.PERIOD

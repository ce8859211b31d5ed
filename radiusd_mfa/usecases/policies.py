"""Teams' policies: shown, planned, applied, removed. What would be refused is the same for a plan and its application.

Owns when a policy may take effect (T4, E8) and that nobody overwrites what another has just applied. What a policy says
is core.policy's to know.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from radiusd_mfa.core import policy as core
from radiusd_mfa.core.names import escaped
from radiusd_mfa.core.policy import Mode, Policy, PolicyProblem, rules_at_sign_in
from radiusd_mfa.usecases.actors import OPERATOR, Actor
from radiusd_mfa.usecases.admin_ports import PolicyVersion, Standing, Team
from radiusd_mfa.usecases.books import Administration, Books
from radiusd_mfa.usecases.changes import Change, Refusal, recorded, viewed
from radiusd_mfa.usecases.obligations import conceal_where_off
from radiusd_mfa.usecases.permissions import Permission, with_own_mfa
from radiusd_mfa.usecases.plans import in_force, refuse_policy
from radiusd_mfa.usecases.policy_effects import RoleEffect, effects, is_ready
from radiusd_mfa.usecases.ports import Clock
from radiusd_mfa.usecases.teams import no_team, permit_in

T = TypeVar("T")
SHOWN: Final = 20
"""Names that a sentence lists; the rest is counted."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A policy as a team has it, or had it."""

    team: Team
    version: int
    text: str | None
    at: float | None
    """When it was applied; None: it is not known, or there is none."""
    actor: str | None
    policy: Policy
    """What follows from the text, or from there being none."""
    complaints: Sequence[str] = ()
    """Why the text is not understood, so that everybody must give a second factor (T7)."""


@dataclass(frozen=True, slots=True)
class Planned:
    """What would change if a policy were applied."""

    team: Team
    before: Policy
    after: Policy
    effects: Sequence[RoleEffect]
    effects_before: Sequence[RoleEffect]
    objections: Sequence[str]
    """Why it would be refused; empty: it would not."""


@dataclass(frozen=True, slots=True)
class Applied:
    """A policy that holds now."""

    team: str
    version: int
    effects: Sequence[RoleEffect]


def show(
    name: str, version: int | None = None, *, store: Administration, clock: Clock, actor: Actor = OPERATOR
) -> Shown | Refusal:
    """Return the policy of a team, as it is now or in an earlier version."""

    def look(books: Books) -> Shown | Refusal:
        team = books.teams.find(name)
        if team is None:
            return no_team(name, books)
        wanted = team.policy_version if version is None else version
        found = books.policies.find(team.id, wanted)
        if version is not None and version != team.policy_version:
            return _no_version(team, version) if found is None else _shown(team, found)
        # What stands with the team is what holds: other programs may write there, and no version.
        is_same = found is not None and found.text == team.policy
        return _shown(team, found if is_same and found else PolicyVersion(wanted, team.policy, 0.0, ""))

    change = Change("policy-show", detail={"team": name}, actor=actor)
    permit = permit_in(name, Permission.MEMBERS_VIEW, actor=actor)
    return viewed(change, look, store=store, clock=clock, permit=permit)


def history(
    name: str, *, store: Administration, clock: Clock, actor: Actor = OPERATOR
) -> Sequence[PolicyVersion] | Refusal:
    """Return all versions of a team's policy, the newest first."""

    def look(books: Books) -> Sequence[PolicyVersion] | Refusal:
        team = books.teams.find(name)
        return no_team(name, books) if team is None else books.policies.versions(team.id)

    change = Change("policy-show", detail={"team": name}, actor=actor)
    permit = permit_in(name, Permission.MEMBERS_VIEW, actor=actor)
    return viewed(change, look, store=store, clock=clock, permit=permit)


def plan(name: str, text: str, *, store: Administration, clock: Clock, actor: Actor = OPERATOR) -> Planned | Refusal:
    """Say what a policy would change, whom it reaches, and what `apply` would refuse; nothing is changed."""
    read = read_policy(text)

    def look(books: Books) -> Planned | Refusal:
        team = books.teams.find(name)
        if team is None:
            return no_team(name, books)
        if isinstance(read, Refusal):
            return read
        standings, now = books.teams.standings(team.id), clock()
        before = in_force(team)
        return Planned(
            team,
            before,
            read,
            effects(read, standings, now=now),
            effects(before, standings, now=now),
            _objections(team, read, standings, actor, books),
        )

    change = Change("policy-plan", detail={"team": name}, actor=actor)
    permit = permit_in(name, Permission.POLICY_WRITE, actor=actor)
    return viewed(change, look, store=store, clock=clock, permit=permit)


def apply(
    name: str,
    text: str,
    *,
    expected: int | None = None,
    store: Administration,
    clock: Clock,
    actor: Actor = OPERATOR,
) -> Applied | Refusal:
    """Give a team this policy, from the next sign-in on; `expected` is the version that was planned against."""
    read = read_policy(text)

    def work(team: Team, books: Books) -> Applied | Refusal:
        if isinstance(read, Refusal):
            return read
        return _replaced(team, text, read, expected, books, clock(), actor)

    said = {"version": expected} if expected is not None else {}
    return _changed("policy-apply", name, work, store=store, clock=clock, actor=actor, detail=said)


def remove(
    name: str, *, expected: int | None = None, store: Administration, clock: Clock, actor: Actor = OPERATOR
) -> Applied | Refusal:
    """Take a team's policy away: then everybody must give a second factor everywhere, at every connection (T0)."""

    def work(team: Team, books: Books) -> Applied | Refusal:
        if team.policy is None:
            return Refusal(
                f"Team “{name}” has no policy, so everybody in it must give a second factor everywhere; to ask "
                f"nobody: radiusd-mfa policy apply {name} preset:voluntary"
            )
        return _replaced(team, None, core.T0, expected, books, clock(), actor)

    return _changed("policy-remove", name, work, store=store, clock=clock, actor=actor, detail={})


def listed(names: Sequence[str]) -> str:
    """Return names for a sentence, the rest counted."""
    shown = ", ".join(escaped(name) for name in names[:SHOWN])
    return f"{shown} and {len(names) - SHOWN} more" if len(names) > SHOWN else shown


def read_policy(text: str) -> Policy | Refusal:
    """Return the policy, or refuse a text that is none with every complaint about it."""
    if not text.strip():
        return Refusal(
            "The policy is empty; to ask nobody, write require = [] or take preset:voluntary, and to have the rules "
            "that hold without any policy: radiusd-mfa policy remove TEAM"
        )
    try:
        return core.parse(text)
    except PolicyProblem as problem:
        said = "\n".join(str(complaint) for complaint in problem.complaints)
        return Refusal(f"Nothing was changed; correct the policy:\n{said}")


def _replaced(
    team: Team, text: str | None, policy: Policy, expected: int | None, books: Books, now: float, actor: Actor
) -> Applied | Refusal:
    """Replace the policy; the team and its members are locked, so that what was checked is still so when it is done."""
    if expected is not None and expected != team.policy_version:
        return _stale(team)
    standings = books.teams.standings(team.id, locked=True)
    objections = _objections(team, policy, standings, actor, books) if text is not None else _own_mfa(actor, books)
    if objections:
        return Refusal(" ".join(objections))
    version = books.policies.replace(team.id, text, expected=team.policy_version, at=now, actor=actor.shown)
    if version is None:
        return _stale(team)
    conceal_where_off([standing.user_id for standing in standings], books)
    return Applied(team.name, version, effects(policy, standings, now=now))


def _objections(team: Team, policy: Policy, standings: Sequence[Standing], actor: Actor, books: Books) -> Sequence[str]:
    plan_lacks_mfa = refuse_policy(team)
    said = [plan_lacks_mfa.sentence] if plan_lacks_mfa else []
    if policy.rules and policy.mode is Mode.ENFORCE:
        said += _own_mfa(actor, books)
    missing = [each.user for each in standings if each.role == "owner" and not is_ready(policy, each)]
    if policy.require_all_owners and missing:
        said.append(
            f"Every owner of team “{team.name}” must have a second factor first (require_all_owners), and "
            f"{listed(missing)} {'has' if len(missing) == 1 else 'have'} none that counts."
        )
    return said


def _own_mfa(actor: Actor, books: Books) -> list[str]:
    """Say what keeps who has no second factor from forcing one on others (T4)."""
    refusal = with_own_mfa(actor, books)
    return [refusal.sentence] if refusal else []


def _stale(team: Team) -> Refusal:
    return Refusal(
        f"The policy of team “{team.name}” has changed meanwhile, it has version {team.policy_version} now; look at "
        f"it, then plan again: radiusd-mfa policy show {team.name}"
    )


def _no_version(team: Team, version: int) -> Refusal:
    return Refusal(
        f"The policy of team “{team.name}” has no version {version}; to see all: "
        f"radiusd-mfa policy show {team.name} --history"
    )


def _shown(team: Team, found: PolicyVersion) -> Shown:
    current = found.version == team.policy_version
    policy = in_force(team) if current else rules_at_sign_in(found.text)
    at, by = (found.at, found.actor) if found.actor else (None, None)
    return Shown(team, found.version, found.text, at, by, policy, complaints_about(found.text))


def complaints_about(text: str | None) -> Sequence[str]:
    """Say why a stored text is not understood; nothing for none, which means T0 on purpose."""
    if text is None or not text.strip():
        return ()
    try:
        core.parse(text)
    except PolicyProblem as problem:
        return [str(complaint) for complaint in problem.complaints]
    return ()


def _changed(
    verb: str,
    name: str,
    work: Callable[[Team, Books], T | Refusal],
    *,
    store: Administration,
    clock: Clock,
    actor: Actor,
    detail: Mapping[str, object],
) -> T | Refusal:
    def with_team(books: Books) -> T | Refusal:
        team = books.teams.lock(name)
        return no_team(name, books) if team is None else work(team, books)

    change = Change(verb, detail={"team": name, **detail}, actor=actor, team=name)
    permit = permit_in(name, Permission.POLICY_WRITE, actor=actor)
    return recorded(change, with_team, store=store, clock=clock, permit=permit)

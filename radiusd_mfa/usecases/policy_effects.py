"""Whom a policy reaches: who would be asked how often on which surface, and who has nothing to be asked for yet.

Pure: a policy and the standings of a team's members in, counts and names out.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from radiusd_mfa.core.policy import ROLES, SURFACES, Mode, Policy, Remember, Rule
from radiusd_mfa.core.policy_words import period
from radiusd_mfa.usecases.admin_ports import Standing

NOT_REQUIRED: Final = "not required"
EVERY_CONNECTION: Final = "every connection"


@dataclass(frozen=True, slots=True)
class RoleEffect:
    """What a policy means for the members in one role; those who are disabled are left out."""

    role: str
    members: int
    ready: int
    """How many of them have a method that counts."""
    must_enrol: Sequence[str] = ()
    """Who needs one from now on, and has none."""
    by_date: Sequence[str] = ()
    """Who needs one from `enrol_by` on, and has none."""
    reported: Sequence[str] = ()
    """Who would need one if the policy did more than report."""


def how_often(policy: Policy, role: str, surface: str) -> str:
    """Say how often a role is asked on a surface: `every connection`, `every 12 hours on each device`."""
    rules = policy.matching(role, surface)
    if not rules:
        return NOT_REQUIRED
    if any(rule.every is None for rule in rules):
        return EVERY_CONNECTION
    return " and ".join(_period(rule) for rule in _binding(rules))


def grid(policy: Policy) -> Mapping[str, Mapping[str, str]]:
    """Say how often each role is asked on each surface: surface, then role."""
    return {surface: {role: how_often(policy, role, surface) for role in ROLES} for surface in SURFACES}


def effects(policy: Policy, standings: Iterable[Standing], *, now: float) -> Sequence[RoleEffect]:
    """Say of each role whom the policy reaches."""
    able = [each for each in standings if not each.disabled]
    return [_effect(policy, role, [each for each in able if each.role == role], now) for role in ROLES]


def is_ready(policy: Policy, standing: Standing) -> bool:
    """Whether a member has a method whose codes count by this policy."""
    return not policy.allow.isdisjoint(standing.kinds)


def is_required(policy: Policy, role: str) -> bool:
    """Whether the policy asks a role for a second factor anywhere, or would if it did more than report."""
    return any(policy.matching(role, surface) for surface in SURFACES)


def _effect(policy: Policy, role: str, members: Sequence[Standing], now: float) -> RoleEffect:
    ready = sum(is_ready(policy, each) for each in members)
    missing = [each for each in members if not is_ready(policy, each)] if is_required(policy, role) else []
    if policy.mode is Mode.REPORT:
        return RoleEffect(role, len(members), ready, reported=[each.user for each in missing])
    grace = policy.enrol_by is not None and now < policy.enrol_by
    # Whoever had a method once, or has one of another kind, has no grace: it is for those who never set one up (K4).
    later = [each.user for each in missing if grace and not (each.enrolled_before or each.kinds)]
    waiting = frozenset(later)
    at_once = [each.user for each in missing if each.user not in waiting]
    return RoleEffect(role, len(members), ready, must_enrol=at_once, by_date=later)


def _binding(rules: Sequence[Rule]) -> Sequence[Rule]:
    """Return those that make a difference: whoever keeps the shortest period of a device keeps longer ones too."""
    shortest = [
        min((rule for rule in rules if rule.remember is kind), key=lambda rule: rule.every or 0.0, default=None)
        for kind in (Remember.DEVICE, Remember.USER)
    ]
    device, user = shortest
    if device is None or user is None:
        return [rule for rule in shortest if rule is not None]
    return [device] if (device.every or 0.0) <= (user.every or 0.0) else [device, user]


def _period(rule: Rule) -> str:
    where = " on each device" if rule.remember is Remember.DEVICE else ""
    return f"every {period(rule.every or 0.0)}{where}"

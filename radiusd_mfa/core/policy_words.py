"""A policy in sentences, and what a new one changes; knows what rules mean to people, and nobody in particular."""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from radiusd_mfa.core.facts import MethodKind
from radiusd_mfa.core.policy import ROLES, SURFACES, USUAL_BACKUP_CODES, Mode, Policy, Remember, Rule

_ROLES: Final = {"owner": "owners", "admin": "admins", "member": "members"}
_SURFACES: Final = {
    "vpn": "on the VPN",
    "network-device": "on network devices",
    "client-app": "in the client application",
    "control-panel": "on the control panel",
}
_KINDS: Final[Mapping[str, str]] = {MethodKind.TOTP: "an authenticator app", MethodKind.SMS: "SMS"}
_UNITS: Final = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def rule_sentence(rule: Rule) -> str:
    """Say who gives a second factor where and how often, roles first."""
    roles = "everybody" if rule.roles >= set(ROLES) else _listed(rule.roles, _ROLES)
    surfaces = "everywhere" if rule.surfaces >= set(SURFACES) else _listed(rule.surfaces, _SURFACES)
    return f"{roles[:1].upper()}{roles[1:]} {surfaces}: {how_often(rule)}."


def how_often(rule: Rule) -> str:
    """Say when a rule asks again: `at every connection`, or `every 12 hours, on each device apart`."""
    if rule.every is None:
        return "a second factor at every connection"
    apart = ", on each device apart" if rule.remember is Remember.DEVICE else ""
    return f"a second factor every {period(rule.every)}{apart}"


def period(seconds: float) -> str:
    """Return a period in its largest whole unit: `12 hours`; one of anything without a number: `hour`."""
    whole = int(seconds)
    size, unit = next((size, unit) for size, unit in _UNITS if whole % size == 0)
    return unit if whole == size else f"{whole // size} {unit}s"


def moment(at: float) -> str:
    """Return a Unix time for people, in UTC: `the end of 2026-12-31` where a day ends then."""
    if at % 86_400 == 0:
        return f"the end of {_EPOCH + timedelta(seconds=at - 1):%Y-%m-%d} (UTC)"
    return f"{_EPOCH + timedelta(seconds=at):%Y-%m-%d %H:%M:%S} UTC"


def sentences(policy: Policy) -> tuple[str, ...]:
    """Say all that a policy means, a sentence each; what is as usual goes without saying."""
    rules = tuple(map(rule_sentence, policy.rules)) or ("Nobody must give a second factor who has none.",)
    return tuple(dict.fromkeys(rules)) + tuple(_beside(policy))


def difference(old: Policy, new: Policy) -> tuple[str, ...]:
    """Say what no longer holds and what is new, a sentence each; none where both mean the same."""
    before, after = sentences(old), sentences(new)
    gone = [f"No longer: {sentence}" for sentence in before if sentence not in after]
    return (*gone, *(f"New: {sentence}" for sentence in after if sentence not in before))


def _beside(policy: Policy) -> Sequence[str]:
    """Say what holds beside the rules, where it is not as usual."""
    said = {
        "These rules stop nobody yet: whoever has no second factor signs in with the password, and it is counted.": (
            policy.mode is Mode.REPORT
        ),
        f"Whoever has no second factor yet may sign in with the password until {_until(policy)}.": (
            policy.enrol_by is not None
        ),
        "It can be applied once every owner has a second factor.": policy.require_all_owners,
        f"Codes count from {_listed(policy.allow, _KINDS)} only.": policy.allow != frozenset(MethodKind),
        f"A set has {_codes(policy.backup_codes)}.": policy.backup_codes != USUAL_BACKUP_CODES,
        "Users may see their unused backup codes again.": policy.reveal,
    }
    return [sentence for sentence, holds in said.items() if holds]


def _until(policy: Policy) -> str:
    return "" if policy.enrol_by is None else moment(policy.enrol_by)


def _codes(count: int) -> str:
    return "a single backup code, for recovery" if count == 1 else f"{count} backup codes"


def _listed(found: Collection[object], words: Mapping[str, str]) -> str:
    """Put words together in the order in which we always say them: `owners, admins and members`."""
    *first, last = (word for name, word in words.items() if name in found)
    return f"{', '.join(first)} and {last}" if first else last

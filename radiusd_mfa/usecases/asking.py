"""Which rule of which team asks for what, in sentences, from the very values that the judge weighs (O1).

Pure: circumstances and requirements in, sentences out. Never holds a secret: circumstances have none.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from radiusd_mfa.core.circumstances import Circumstances, Seen
from radiusd_mfa.core.facts import MethodKind
from radiusd_mfa.core.names import escaped
from radiusd_mfa.core.policy import Mode, Remember
from radiusd_mfa.core.policy_words import moment, period, rule_sentence
from radiusd_mfa.core.requirement import Demand, Requirement, Standing
from radiusd_mfa.core.verdict import Reason

_KINDS: Final[Mapping[str, str]] = {MethodKind.TOTP: "an authenticator app", MethodKind.SMS: "SMS"}


@dataclass(frozen=True, slots=True)
class Asked:
    """What one rule asks of this sign-in."""

    team: str | None
    """None: no team's; what holds for whoever has set up a second factor, and without any team."""
    role: str | None
    version: int
    """Of the team's policy; 0: it has none."""
    rule: str
    due: bool
    why: str
    """Why a second factor is due, or until when it is not."""


def which_team(user: str, circumstances: Circumstances) -> str:
    """Say whose rules hold, and why theirs."""
    name, places = escaped(user), circumstances.places
    if not places and circumstances.team_id:
        return f"The NAS entry or the realm belongs to a team that “{name}” is not in."
    if not places:
        return f"“{name}” is in no team, and no NAS entry or realm names one: then everybody must, everywhere."
    teams = ", ".join(place.team for place in places)
    if circumstances.team_id:
        return f"The NAS entry or the realm says that this is a sign-in into team {teams}."
    if len(places) == 1:
        return f"Neither the NAS entry nor a realm says into which team, and “{name}” is in one: {teams}."
    return f"Neither the NAS entry nor a realm says into which team, so the strictest of all holds: {teams}."


def asked(circumstances: Circumstances, required: Requirement, *, device: str | None) -> list[Asked]:
    """Say of each rule about this sign-in what it asks; `device` is the station, as far as the NAS names one."""
    bare = [each.place for each in required.standings if each.policy is None]
    return [_asked(demand, circumstances, device, bare=demand.place in bare) for demand in required.demands]


def teams_say(required: Requirement) -> Iterator[str]:
    """Yield what each team says beside its rules: that it asks nobody, only reports, or lets people wait."""
    for standing in required.standings:
        yield from _beside(standing)


def standing_of(user: str, circumstances: Circumstances, required: Requirement) -> str:
    """Say what the user has to be asked for."""
    name = escaped(user)
    has = " and ".join(_KINDS[kind] for kind in sorted(circumstances.kinds))
    if required.enrolled:
        return f"“{name}” has a second factor: {has}."
    if has:
        return f"“{name}” has {has} as a second factor, which does not count by these rules."
    before = ", but had one before" if circumstances.enrolled_before else ""
    return f"“{name}” has no second factor{before}."


def _asked(demand: Demand, circumstances: Circumstances, device: str | None, *, bare: bool) -> Asked:
    place = demand.place
    due = demand.until is None
    if place is None:
        return Asked(None, None, 0, _WHOEVER_HAS_ONE, due, _ALWAYS)
    why = _due(demand, circumstances, device) if due else _satisfied(demand, circumstances)
    version = 0 if bare else place.version
    return Asked(place.team, place.role, version, rule_sentence(demand.rule), due, why)


_WHOEVER_HAS_ONE: Final = "Whoever has set up a second factor is asked for it at every sign-in."
_ALWAYS: Final = "Due at every connection."


def _satisfied(demand: Demand, circumstances: Circumstances) -> str:
    seen = _seen(demand, circumstances)
    given = "" if seen is None else f": one was given at {moment(seen.at)} {_where(demand)}"
    return f"Not due until {moment(demand.until or 0.0)}{given}."


def _due(demand: Demand, circumstances: Circumstances, device: str | None) -> str:
    every = demand.rule.every
    if every is None:
        return _ALWAYS
    if demand.rule.remember is Remember.DEVICE and not device:
        return "Due: the NAS names no device (Calling-Station-Id), so no period is kept."
    seen = _seen(demand, circumstances)
    if seen is None:
        return f"Due: none was given {_where(demand)} with the present password and methods."
    if seen.at > circumstances.at:
        return (
            f"Due: the last one was given at {moment(seen.at)}, in the future; did the clock of this machine go back?"
        )
    return f"Due: the last one {_where(demand)} was given at {moment(seen.at)}, more than {period(every)} ago."


def _seen(demand: Demand, circumstances: Circumstances) -> Seen | None:
    return circumstances.device if demand.rule.remember is Remember.DEVICE else circumstances.latest


def _where(demand: Demand) -> str:
    return "on this device" if demand.rule.remember is Remember.DEVICE else "on this surface"


def _beside(standing: Standing) -> Iterator[str]:
    place, policy = standing.place, standing.policy
    if policy is None:
        booked = "and a plan without MFA" if not standing.demands else "so the strictest holds"
        yield f"Team {place.team} has no policy, {booked}."
    if policy is not None and not standing.demands:
        yield f"Team {place.team} (policy version {place.version}) asks no {place.role} for a second factor there."
    if policy is not None and standing.demands and policy.mode is Mode.REPORT:
        yield f"Team {place.team} only counts so far (mode = report): its rules refuse nobody."
    if policy is not None and standing.unenrolled is Reason.ENROL_LATER and policy.enrol_by is not None:
        until = moment(policy.enrol_by)
        yield f"Team {place.team} lets whoever has no second factor sign in with the password until {until}."

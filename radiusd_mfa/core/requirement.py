"""What the policies ask for in given circumstances, and what a sign-in is worth by that.

The judge, `explain` and `simulate` all come here: there is one opinion about a policy. Knows no secret, no store and
no clock.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple, assert_never

from radiusd_mfa.core.circumstances import Circumstances, Phone, Place, Seen
from radiusd_mfa.core.facts import Membership, MethodKind
from radiusd_mfa.core.policy import NO_MFA, T0, Mode, Policy, Remember, Rule, rules_at_sign_in
from radiusd_mfa.core.verdict import Found, Outcome, Reason

Policies = Mapping[int, Policy]
"""The policy of each team by its id; a team that has none is not in it."""

_NO_POLICIES: Final[Policies] = {}
_EVERY_KIND: Final = frozenset(MethodKind)
_SMS: Final = frozenset((MethodKind.SMS,))
_BY_SEVERITY: Final = (Reason.NOT_REQUIRED, Reason.REPORTED, Reason.ENROL_LATER, Reason.NOT_ENROLLED)


# Tuples and not dataclasses: they are made for every sign-in, at a third of the cost.


class Demand(NamedTuple):
    """A rule about this sign-in."""

    rule: Rule
    place: Place | None = None
    """Whose rule; None: nobody's, whoever has set up MFA is asked for it at every sign-in (T0)."""
    until: float | None = None
    """Unix time at which the period ends that satisfies it now; None: a second factor is due."""


class Standing(NamedTuple):
    """What one of the user's teams says about this sign-in."""

    place: Place
    policy: Policy | None
    """None: the team has none, and T0 holds unless its plan has no MFA (E8)."""
    demands: tuple[Demand, ...]
    unenrolled: Reason
    """What the right password alone is worth there for whoever has no second factor."""
    enforced: bool
    """Whether its rules stop people now: neither is only reported, nor is there time to enrol."""


class Requirement(NamedTuple):
    """What all of the teams together ask for: the strictest."""

    standings: tuple[Standing, ...]
    """Of each of the teams; none where T0 holds for want of any."""
    demands: tuple[Demand, ...]
    """What is asked of a user who has a second factor; all of them must be satisfied, and there is at least one."""
    enrolled: bool
    """Whether the user has a method that counts."""
    allowed: frozenset[MethodKind]
    """The kinds of methods that count."""
    unenrolled: Reason
    """What the right password alone is worth for a user without a method: the most severe of the standings."""
    enrol_by: float | None = None
    """Unix time until which such a user may go on, where `unenrolled` is ENROL_LATER."""
    relies_on: Remember | None = None
    """Whose verification satisfies all the demands, the device's or the user's latest; None: a second factor is due."""
    repeated: bool = False
    """Whether the very text of that verification was typed again (R11)."""

    @property
    def due(self) -> bool:
        """Whether a second factor is due now from a user who has one."""
        return self.relies_on is None


class Decision(NamedTuple):
    """What the NAS is told, and why."""

    outcome: Outcome
    reason: Reason


def policies_of(memberships: Sequence[Membership]) -> Policies:
    """Return the policies that hold in these teams, as far as they have one."""
    if not memberships:
        return _NO_POLICIES
    return {
        membership.team.id: rules_at_sign_in(membership.team.policy)
        for membership in memberships
        if membership.team.policy is not None
    }


def requirement(circumstances: Circumstances, policies: Policies) -> Requirement:
    """Say what the policies ask for; without any team T0 holds."""
    if not circumstances.places:
        return _T0_ENROLLED if circumstances.kinds else _T0_UNENROLLED
    standings = tuple([_standing(place, circumstances, policies.get(place.team_id)) for place in circumstances.places])
    demands = tuple([demand for standing in standings for demand in standing.demands]) or _T0_DEMANDS
    allowed = _allowed(standings)
    relies_on = _relied_on(demands, circumstances)
    unenrolled = max([standing.unenrolled for standing in standings], key=_BY_SEVERITY.index)
    return Requirement(
        standings,
        demands,
        enrolled=not circumstances.kinds.isdisjoint(allowed),
        allowed=allowed,
        unenrolled=unenrolled,
        enrol_by=_enrol_by(standings) if unenrolled is Reason.ENROL_LATER else None,
        relies_on=relies_on,
        repeated=_repeated(relies_on, circumstances),
    )


def decided(circumstances: Circumstances, required: Requirement) -> Decision:
    """Say what the sign-in is worth: what was found, weighed by what is asked for."""
    match circumstances.found:
        case None:
            return _apart(circumstances.apart)
        case Found.NOTHING | Found.ASKED:
            return _password_alone(circumstances, required)
        case Found.TOTP | Found.SMS | Found.BACKUP_CODE as found:
            return _fresh(found, circumstances, required)
        case Found.WRONG:
            return _refused(Reason.WRONG_CODE, circumstances, required)
        case Found.SPENT:
            return _refused(Reason.CODE_REUSED, circumstances, required)
        case other:
            assert_never(other)


def replay(circumstances: Circumstances, policies: Policies) -> Decision:
    """Say what these policies make of a sign-in: the very decision of the judge, without its claims."""
    return decided(circumstances, requirement(circumstances, policies))


def _standing(place: Place, circumstances: Circumstances, policy: Policy | None) -> Standing:
    if policy is None and place.plan == NO_MFA:
        return Standing(place, None, (), Reason.NOT_REQUIRED, enforced=False)
    held = policy or T0
    rules = held.matching(place.role, circumstances.surface)
    demands = tuple([Demand(rule, place, _until(rule, circumstances)) for rule in rules])
    may_wait = held.enrol_by is not None and circumstances.at < held.enrol_by
    enforced = held.mode is Mode.ENFORCE and not may_wait
    if not demands:
        return Standing(place, policy, (), Reason.NOT_REQUIRED, enforced)
    if held.mode is Mode.REPORT:
        return Standing(place, policy, demands, Reason.REPORTED, enforced)
    # K4: whoever gave MFA up where it is mandatory has no time left. So has whoever has a method of another kind.
    begins = not circumstances.enrolled_before and not circumstances.kinds
    unenrolled = Reason.ENROL_LATER if may_wait and begins else Reason.NOT_ENROLLED
    return Standing(place, policy, demands, unenrolled, enforced)


def _until(rule: Rule, circumstances: Circumstances) -> float | None:
    """Return when the period ends that satisfies the rule now."""
    # A NAS that names no device keeps no period for one: all of its users' devices would be the same.
    seen = circumstances.device if rule.remember is Remember.DEVICE else circumstances.latest
    return seen.at + rule.every if seen and rule.every and _holds(rule, seen, circumstances.at) else None


def _holds(rule: Rule, seen: Seen, now: float) -> bool:
    # A verification in the future satisfies nothing: the clock went back.
    return rule.every is not None and 0 <= now - seen.at < rule.every


def _allowed(standings: Iterable[Standing]) -> frozenset[MethodKind]:
    """Return the kinds that count: those that every team allows whose rules stop people now.

    While rules stop nobody a method of another kind counts too, or whoever has one were worse off than with none.
    """
    allowed = _EVERY_KIND
    for standing in standings:
        if standing.policy is not None and standing.demands and standing.enforced:
            allowed &= standing.policy.allow
    return allowed


def _relied_on(demands: Sequence[Demand], circumstances: Circumstances) -> Remember | None:
    """Return whose verification satisfies all the demands; where both do, the one of the very text that was typed."""
    if any(demand.until is None for demand in demands):
        return None
    if any(demand.rule.remember is Remember.DEVICE for demand in demands):
        return Remember.DEVICE
    device, latest = circumstances.device, circumstances.latest
    # CLIENTS 5: a laptop repeats its own text at a rekey, and meanwhile a phone of the same user gave another code.
    if device is None or not device.same_text or (latest is not None and latest.same_text):
        return Remember.USER
    suffices = all(_holds(demand.rule, device, circumstances.at) for demand in demands)
    return Remember.DEVICE if suffices else Remember.USER


def _repeated(relies_on: Remember | None, circumstances: Circumstances) -> bool:
    match relies_on:
        case None:
            return False
        case Remember.DEVICE:
            seen = circumstances.device
        case Remember.USER:
            seen = circumstances.latest
        case other:
            assert_never(other)
    return seen is not None and seen.same_text


def _enrol_by(standings: Iterable[Standing]) -> float | None:
    """Return the earliest of the dates until which somebody waits for the user's second factor."""
    waiting = (each.policy for each in standings if each.unenrolled is Reason.ENROL_LATER)
    return min((policy.enrol_by for policy in waiting if policy and policy.enrol_by is not None), default=None)


def _fresh(found: Found, circumstances: Circumstances, required: Requirement) -> Decision:
    if found is Found.BACKUP_CODE:
        return Decision(Outcome.ACCEPT, Reason.BACKUP_CODE)
    by_app = found is Found.TOTP
    if (MethodKind.TOTP if by_app else MethodKind.SMS) in required.allowed:
        return Decision(Outcome.ACCEPT, Reason.TOTP if by_app else Reason.SMS)
    return _refused(Reason.WRONG_CODE, circumstances, required)  # the method doesn't count


def _apart(reason: Reason | None) -> Decision:
    """Say again what no policy has a say in."""
    if reason in (Reason.REPEAT, Reason.SET_UP_DONE):
        return Decision(Outcome.ACCEPT, reason)
    if reason is Reason.RECORD_DUE:
        return Decision(Outcome.CHALLENGE, reason)
    return Decision(Outcome.REJECT, reason or Reason.UNREADABLE)


def _refused(reason: Reason, circumstances: Circumstances, required: Requirement) -> Decision:
    """Refuse a code that is of no use, unless it is only the text of a period that still lasts (R11)."""
    if required.repeated and required.enrolled and not circumstances.code_only:
        return Decision(Outcome.ACCEPT, Reason.PERIOD)
    if reason is Reason.WRONG_CODE and not required.enrolled and required.unenrolled is Reason.NOT_ENROLLED:
        return Decision(Outcome.REJECT, Reason.NOT_ENROLLED)
    return Decision(Outcome.REJECT, reason)


def _password_alone(circumstances: Circumstances, required: Requirement) -> Decision:
    if circumstances.code_only:
        return _asked_at_prompt(circumstances, required)
    if not required.enrolled:
        if _begins_set_up(circumstances, required):
            return Decision(Outcome.CHALLENGE, Reason.SET_UP)
        outcome = Outcome.REJECT if required.unenrolled is Reason.NOT_ENROLLED else Outcome.ACCEPT
        return Decision(outcome, required.unenrolled)
    if not required.due:
        return Decision(Outcome.ACCEPT, Reason.PERIOD)
    return _code_due(circumstances, required)


def _asked_at_prompt(circumstances: Circumstances, required: Requirement) -> Decision:
    """Send a code where the word for it was typed and its answer can come back; whatever else was typed is none."""
    phone = circumstances.phone if MethodKind.SMS in required.allowed else None
    if circumstances.found is Found.ASKED and circumstances.challenge and phone is not None:
        return Decision(Outcome.CHALLENGE, _sent(phone))
    return Decision(Outcome.REJECT, Reason.CODE_MISSING)


def _code_due(circumstances: Circumstances, required: Requirement) -> Decision:
    """Ask for the code, and have it sent where the user prefers that, has asked for it, or nothing else gives one."""
    phone = circumstances.phone if MethodKind.SMS in required.allowed else None
    outcome = Outcome.CHALLENGE if circumstances.challenge else Outcome.REJECT
    unasked = phone is not None and (phone.preferred or circumstances.kinds & required.allowed == _SMS)
    if phone is not None and (unasked or circumstances.found is Found.ASKED):
        return Decision(outcome, _sent(phone))
    return Decision(outcome, Reason.CODE_DUE if circumstances.challenge else Reason.CODE_MISSING)


def _sent(phone: Phone) -> Reason:
    return Reason.SMS_SENT if phone.ready else Reason.SMS_NOT_NOW


def _begins_set_up(circumstances: Circumstances, required: Requirement) -> bool:
    """Whether the NAS leads the user to a method that will count; a password alone adds none to one that is there."""
    mandatory = required.unenrolled is Reason.NOT_ENROLLED
    return mandatory and circumstances.set_up and not circumstances.kinds and MethodKind.TOTP in required.allowed


_T0_DEMANDS: Final = (Demand(Rule()),)
_T0_ENROLLED: Final = Requirement((), _T0_DEMANDS, enrolled=True, allowed=_EVERY_KIND, unenrolled=Reason.NOT_ENROLLED)
_T0_UNENROLLED: Final = Requirement(
    (), _T0_DEMANDS, enrolled=False, allowed=_EVERY_KIND, unenrolled=Reason.NOT_ENROLLED
)

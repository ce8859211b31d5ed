"""What `doctor` reads about teams and users: policies, profiles, who has no second factor, kinds of hashes."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from radiusd_mfa.app import Profile as HashProfile
from radiusd_mfa.core import policy
from radiusd_mfa.core.policy import NO_MFA, ROLES, Mode, PolicyProblem, rules_at_sign_in
from radiusd_mfa.diagnosis.facts import Policy, Profile
from radiusd_mfa.diagnosis.people import OURS
from radiusd_mfa.radius.attributes import AttributeProblem, Dictionary
from radiusd_mfa.radius.profiles import encode_profile
from radiusd_mfa.store.examination import Examination, ProfileRow, TeamRow
from radiusd_mfa.usecases.policy_effects import is_required

_FOREIGN: Final = {
    "$argon2id$": "argon2id",
    "$2": "bcrypt",
    "$6$": "sha512-crypt",
    "$y$": "yescrypt",
    "{SSHA256}": "SSHA256",
}


def misunderstood(teams: Iterable[TeamRow]) -> Iterator[Policy]:
    """Yield the policies that nobody understands."""
    for team in teams:
        try:
            policy.parse(team.policy or "")
        except PolicyProblem as problem:
            yield Policy(team.name, [str(complaint) for complaint in problem.complaints])


def unsendable(profiles: Iterable[ProfileRow], dictionary: Dictionary) -> Iterator[Profile]:
    """Yield the reply profiles that can't be encoded."""
    for each in profiles:
        try:
            encode_profile(each.attributes, dictionary)
        except AttributeProblem as problem:
            yield Profile(each.team, each.role, each.surface, "; ".join(str(problem).splitlines()))


def unenrolled(teams: Sequence[TeamRow], examination: Examination, *, now: float) -> int:
    """Count the users of whom some team, or T0, requires a second factor now, and who have none that counts."""
    alike: defaultdict[tuple[frozenset[str], frozenset[str]], list[int]] = defaultdict(list)
    for team in teams:
        rules = rules_at_sign_in(team.policy)
        if (team.plan == NO_MFA and team.policy is None) or rules.mode is Mode.REPORT or (rules.enrol_by or 0) > now:
            continue
        spared = frozenset(role for role in ROLES if not is_required(rules, role))
        alike[spared, frozenset(kind.value for kind in rules.allow)].append(team.id)
    found = examination.unenrolled_without_team()
    for (spared, kinds), ids in alike.items():
        found |= examination.unenrolled(ids, spared, kinds)
    return len(found)


def kinds_of_hashes(profile: HashProfile) -> Mapping[str, str]:
    """Return how hashes begin, and what to call those: first of all the ones that are made now."""
    cost = f"m={profile.memory_kib},t={profile.time_cost},p={profile.parallelism}"
    return {f"$argon2id$v=19${cost}$": OURS, **_FOREIGN}

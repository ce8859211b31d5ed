"""Why a sign-in was answered so, and what would happen now (O1): the judge's own functions, on what was recorded.

Never shows a secret: what is recorded holds none, and what would happen now is asked without any password.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, assert_never

from radiusd_mfa.core import throttle
from radiusd_mfa.core.circumstances import Circumstances, CircumstancesProblem, Place, read
from radiusd_mfa.core.facts import Attempt, Facts, Method, MethodKind
from radiusd_mfa.core.judge import Question, Right, decide, examine
from radiusd_mfa.core.names import Username, escaped
from radiusd_mfa.core.policy import Policy, rules_at_sign_in
from radiusd_mfa.core.readings import Hypothesis, NothingTyped
from radiusd_mfa.core.requirement import Decision, Requirement, decided, policies_of, requirement
from radiusd_mfa.core.set_up import Dialogue
from radiusd_mfa.core.throttle import DAY, Admission
from radiusd_mfa.core.totp import step_at
from radiusd_mfa.core.typed import Answer, appended
from radiusd_mfa.core.verdict import Found, Outcome, Reason, SpendSms, SpendStep, Verdict
from radiusd_mfa.usecases.admin_ports import AuditEntry
from radiusd_mfa.usecases.asking import Asked, asked, standing_of, teams_say, which_team
from radiusd_mfa.usecases.books import Administration, Books
from radiusd_mfa.usecases.changes import Refusal
from radiusd_mfa.usecases.ports import Clock, Entropy, NasEntry, SignInStore, StoreFault

_NOTHING: Final = Hypothesis("", NothingTyped())


@dataclass(frozen=True, slots=True)
class Weighed:
    """What the policies ask in given circumstances, as sentences and as rules."""

    team: str
    """Whose rules hold, and why theirs."""
    rules: Sequence[Asked]
    said: Sequence[str]
    standing: str
    """What the user has to be asked for."""


@dataclass(frozen=True, slots=True)
class Explained:
    """A row of the audit log, weighed again."""

    entry: AuditEntry
    weighed: Weighed | None = None
    """None: no policy had a say, or what was known then is not recorded."""
    replayed: Decision | None = None
    """What the judge says of it today, with the policies of then; None where nothing is recorded."""
    said: Sequence[str] = ()
    """What else there is to say of the row."""

    @property
    def agrees(self) -> bool:
        """Whether the replay comes to the verdict that was sent."""
        if self.replayed is None:
            return False
        return self.replayed.reason == self.entry.reason and _same(self.replayed.outcome, self.entry)


@dataclass(frozen=True, slots=True)
class Prospect:
    """What would happen if a user signed in now on a NAS."""

    user: str
    nas: str
    surface: str
    team: str | None
    alone: Verdict
    """With the right password and nothing else (on an OTP-only NAS: with nothing)."""
    with_code: Verdict | None
    """With a right code too; None: the user has nothing that gives one."""
    weighed: Weighed | None
    """None: no policy has a say."""
    opens_at: float | None
    """Unix time at which the account opens again; None: it is open."""


def row(audit_id: int, *, store: Administration) -> Explained | Refusal:
    """Explain a row of the audit log: of a sign-in by weighing it again, of a change by who made it."""

    def look(books: Books) -> Explained | Refusal:
        entry = books.audit.find(audit_id)
        if entry is None:
            return Refusal(f"There is no audit row {audit_id}; to see the newest: radiusd-mfa audit list")
        return _sign_in(entry, books) if entry.kind == "sign-in" else Explained(entry, said=_change(entry))

    return store.view(look)


def prospects(
    user: Username,
    entries: Sequence[NasEntry],
    *,
    device: str = "",
    store: SignInStore,
    clock: Clock,
    entropy: Entropy,
) -> Sequence[Prospect]:
    """Say what would happen now on each of these NASes; raises StoreFault. Charges nothing and writes nothing."""
    attempts = [_attempt(user, entry, device, clock(), entropy) for entry in entries]
    every = zip(attempts, entries, store.reread(attempts), strict=True)
    return [_prospect(attempt, entry, facts) for attempt, entry, facts in every]


def _same(outcome: Outcome, entry: AuditEntry) -> bool:
    return outcome == entry.outcome or (outcome is Outcome.ACCEPT and entry.outcome == "repeat")


def _sign_in(entry: AuditEntry, books: Books) -> Explained:
    try:
        circumstances = read(entry.facts or "")
    except CircumstancesProblem:
        return Explained(entry, said=("What was known then is not recorded, so it can't be weighed again.",))
    policies, unknown = _policies_then(circumstances.places, books)
    required = requirement(circumstances, policies)
    weighed = None
    if circumstances.found is not None:
        weighed = _weighed(entry.user or "", circumstances, required, entry.device)
    return Explained(entry, weighed, decided(circumstances, required), unknown)


def _policies_then(places: Sequence[Place], books: Books) -> tuple[dict[int, Policy], Sequence[str]]:
    """Return the policies as they were, and what is to be said about those that nobody has kept."""
    policies: dict[int, Policy] = {}
    unknown: list[str] = []
    for place in places:
        stored = books.policies.find(place.team_id, place.version) if place.version else None
        team = books.teams.find(place.team)
        if stored is not None:
            text = stored.text
        elif team is not None and team.policy_version == place.version:
            text = team.policy  # written there by another program, without a version
        else:
            text = None
            unknown.append(f"Version {place.version} of the policy of team {place.team} is not kept; taken as none.")
        if text is not None:
            policies[place.team_id] = rules_at_sign_in(text)
    return policies, unknown


def _weighed(user: str, circumstances: Circumstances, required: Requirement, device: str | None) -> Weighed:
    return Weighed(
        which_team(user, circumstances),
        asked(circumstances, required, device=device),
        tuple(teams_say(required)),
        standing_of(user, circumstances, required),
    )


def _change(entry: AuditEntry) -> Sequence[str]:
    try:
        detail = json.loads(entry.detail or "{}")
    except (ValueError, RecursionError):
        return ()
    why = detail.get("why") if isinstance(detail, dict) else None
    return (escaped(why, 500),) if isinstance(why, str) else ()


def _attempt(user: Username, entry: NasEntry, device: str, at: float, entropy: Entropy) -> Attempt:
    realm, local = user.without_realm() or ("", None)
    return Attempt(
        request=entropy(16),
        at=at,
        nas=entry.nas,
        shown_name=escaped(user.text),
        user=user,
        typed=Answer(None) if entry.nas.otp_only else appended(b"x"),
        text=entropy(8),  # a text that nobody has typed before
        device=device,
        realm=realm,
        local=local,
        dialogue=Dialogue("", 0, b"") if entry.nas.set_up else None,  # it could begin one, and doesn't
    )


def _prospect(attempt: Attempt, entry: NasEntry, facts: Facts) -> Prospect:
    if facts.fault:
        raise StoreFault(f"A sign-in of “{attempt.shown_name}” would not be answered at all: {facts.fault}")
    before = facts.history
    facts = replace(facts, history=before + str(attempt.charge))
    first = examine(attempt, facts)
    barred = isinstance(first, Question) and first.about_nobody
    alone = first if isinstance(first, Verdict) else decide(attempt, facts, first, Right(_NOTHING))
    circumstances = Circumstances.of(attempt, facts, Found.NOTHING)
    required = requirement(circumstances, policies_of(facts.memberships))
    name = facts.user.name if facts.user else attempt.shown_name
    team = next((each.team.name for each in facts.memberships if each.team.id == facts.team_id), None)
    return Prospect(
        name,
        entry.nas.name,
        entry.nas.surface,
        team,
        alone,
        None if barred else _with_code(attempt, facts),
        None if barred else _weighed(name, circumstances, required, attempt.device),
        _opens_at(attempt, facts, before) if alone.reason is Reason.THROTTLED else None,
    )


def _with_code(attempt: Attempt, facts: Facts) -> Verdict | None:
    if not facts.methods:
        return None
    typed = Right(Hypothesis("", _factor(facts.methods[0], attempt.at)))
    return decide(attempt, facts, Question((typed.hypothesis,), passwords_count=False), typed)


def _factor(method: Method, at: float) -> SpendStep | SpendSms:
    match method.kind:
        case MethodKind.TOTP:
            return SpendStep(method.id, step_at(at, method.period))
        case MethodKind.SMS:
            return SpendSms(method.id, b"")
        case other:
            assert_never(other)


def _opens_at(attempt: Attempt, facts: Facts, history: str) -> float:
    """Return when the same attempt would be looked at, to the second: the history is asked about later times."""

    def is_open(at: float) -> bool:
        charge = replace(attempt, at=at).charge
        known = facts.verification is not None
        return throttle.weigh(history + str(charge), charge, known_device=known) is Admission.ADMITTED

    low, high = attempt.at, attempt.at + DAY
    while high - low > 1.0:
        middle = (low + high) / 2
        low, high = (low, middle) if is_open(middle) else (middle, high)
    return high

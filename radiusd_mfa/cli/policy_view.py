"""How a policy and what it would change are shown to people, and as JSON."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from radiusd_mfa.cli.output import properties, say, table, timestamp
from radiusd_mfa.core.names import escaped
from radiusd_mfa.core.policy import ROLES, SURFACES, Policy
from radiusd_mfa.core.policy_words import difference, moment, sentences
from radiusd_mfa.usecases.admin_ports import PolicyVersion
from radiusd_mfa.usecases.policies import Planned, Shown, listed
from radiusd_mfa.usecases.policy_effects import RoleEffect, grid

_CHANGED: Final = " *"


def described_shown(shown: Shown) -> dict[str, object]:
    """Return a policy as `--json` prints it."""
    return {
        "team": shown.team.name,
        "plan": shown.team.plan,
        "version": shown.version,
        "at": timestamp(shown.at),
        "actor": shown.actor,
        "text": shown.text,
        "complaints": list(shown.complaints),
        "means": list(sentences(shown.policy)),
        "asked": grid(shown.policy),
    }


def print_shown(shown: Shown) -> None:
    """Print a policy: what it means first, then its text."""
    pairs: list[tuple[str, object]] = [("team", shown.team.name), ("version", shown.version)]
    if shown.actor:
        pairs += [("applied", timestamp(shown.at)), ("by", shown.actor)]
    properties(pairs)
    say("")
    for line in _about(shown):
        say(line)
    print_sentences(sentences(shown.policy))
    say("")
    _print_grid(shown.policy, None)
    if shown.text:
        say("")
        for line in shown.text.rstrip("\n").split("\n"):
            say(f"  {escaped(line, 500)}".rstrip())


def described_version(version: PolicyVersion) -> dict[str, object]:
    """Return a version as `--json` prints it."""
    return {
        "version": version.version,
        "at": timestamp(version.at),
        "actor": version.actor,
        "text": version.text,
    }


def described_plan(planned: Planned) -> dict[str, object]:
    """Return a plan as `--json` prints it."""
    return {
        "team": planned.team.name,
        "version": planned.team.policy_version,
        "changes": list(difference(planned.before, planned.after)),
        "asked": {"before": grid(planned.before), "after": grid(planned.after)},
        "enrol_by": timestamp(planned.after.enrol_by),
        "roles": [described_effect(each) for each in planned.effects],
        "refusals": list(planned.objections),
    }


def described_effect(effect: RoleEffect) -> dict[str, object]:
    """Return what a policy means for a role, as `--json` prints it."""
    return {
        "role": effect.role,
        "members": effect.members,
        "ready": effect.ready,
        "must_enrol": list(effect.must_enrol),
        "by_date": list(effect.by_date),
        "reported": list(effect.reported),
    }


def print_plan(planned: Planned, source: str) -> None:
    """Print what would change, who is asked how often, who has nothing to be asked for, and what stands against it."""
    team, version = planned.team.name, planned.team.policy_version
    changes = difference(planned.before, planned.after)
    say(f"Team {team}, against {f'version {version}' if version else 'no policy so far'}:")
    print_sentences(changes or ("Nothing changes: it means the same.",))
    say("")
    _print_grid(planned.after, planned.before)
    say("")
    print_effects(planned.effects, planned.after)
    say("")
    for objection in planned.objections:
        say(f"It would be refused: {objection}")
    if not planned.objections:
        say(f"Nothing stands against it: radiusd-mfa policy apply {team} {source} --expect-version {version}")


def print_sentences(said: Iterable[str]) -> None:
    """Print sentences, one a line."""
    for sentence in said:
        say(f"  {sentence}")


def print_effects(effects: Sequence[RoleEffect], policy: Policy) -> None:
    """Print how many members are ready, and who is not."""
    by = "" if policy.enrol_by is None else moment(policy.enrol_by)
    columns = {
        "MUST ENROL NOW": [len(each.must_enrol) for each in effects],
        "LATER": [len(each.by_date) for each in effects],
        "ONLY COUNTED": [len(each.reported) for each in effects],
    }
    told = {heading: counts for heading, counts in columns.items() if any(counts)}
    rows = [
        (each.role, each.members, each.ready, *(counts[index] for counts in told.values()))
        for index, each in enumerate(effects)
    ]
    table(("ROLE", "MEMBERS", "READY", *told), rows, empty="")
    for sentence, names in {
        "Can't sign in before they have set up a second factor": [name for each in effects for name in each.must_enrol],
        f"May sign in with the password until {by}": [name for each in effects for name in each.by_date],
        "Would have to set up a second factor, if it did more than report": [
            name for each in effects for name in each.reported
        ],
    }.items():
        if names:
            say(f"{sentence}: {listed(names)}.")


def _about(shown: Shown) -> Sequence[str]:
    if shown.complaints:
        return (
            "The text can't be understood, so everybody must give a second factor:",
            *(f"  {escaped(complaint, 300)}" for complaint in shown.complaints),
            "",
        )
    if shown.text is not None:
        return ()
    if shown.team.plan == "no-mfa":
        return ("There is no policy, and the team's plan is without MFA:",)
    return ("There is no policy, so the strictest holds:",)


def _print_grid(policy: Policy, before: Policy | None) -> None:
    """Print who is asked how often where; what would change has a star."""
    after = grid(policy)
    was = after if before is None else grid(before)
    rows = [(surface, *(_cell(after[surface], was[surface], role) for role in ROLES)) for surface in SURFACES]
    table(("ASKED FOR A CODE", *(role.upper() for role in ROLES)), rows, empty="")
    if any(cell.endswith(_CHANGED) for row in rows for cell in row):
        say("* changes")


def _cell(after: Mapping[str, str], before: Mapping[str, str], role: str) -> str:
    return after[role] if after[role] == before[role] else after[role] + _CHANGED

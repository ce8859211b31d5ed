"""How the replay of recorded sign-ins is shown to people, and as JSON."""

from collections.abc import Mapping
from typing import Final

from radiusd_mfa.cli.output import say, table
from radiusd_mfa.usecases.policies import listed
from radiusd_mfa.usecases.simulating import Fate, Simulation, Tally

_MOST_USERS: Final = 20
_WORDS: Final[Mapping[Fate, str]] = {
    Fate.ASKED: "asked for a code",
    Fate.PERIOD: "password alone, within a period",
    Fate.NOT_REQUIRED: "password alone, nobody asks",
    Fate.REPORTED: "password alone, only counted",
    Fate.ENROL_LATER: "password alone, until enrol_by",
    Fate.NOT_ENROLLED: "refused, no second factor",
}
_ALONE: Final = (Fate.NOT_REQUIRED, Fate.REPORTED, Fate.ENROL_LATER)


def described_simulation(simulation: Simulation) -> dict[str, object]:
    """Return a simulation as `--json` prints it."""
    return {
        "team": simulation.team,
        "days": simulation.days,
        **_described(simulation.total),
        "surfaces": {name: _described(tally) for name, tally in sorted(simulation.surfaces.items())},
        "users": {name: _described(tally) for name, tally in sorted(simulation.users.items())},
        "not_enrolled": list(simulation.unenrolled),
        "left_out": simulation.unreadable,
    }


def print_simulation(simulation: Simulation) -> None:
    """Print what would have become of the sign-ins beside what did, who is asked most, and who would be refused."""
    total, users = simulation.total, len(simulation.users)
    days = "the last day" if simulation.days == 1 else f"the last {simulation.days} days"
    what = _counted(total.sign_ins, "sign-in", "sign-ins")
    say(f"Team {simulation.team}, {days}: {what} with the right password, of {_counted(users, 'user', 'users')}.")
    if total.sign_ins:
        say("")
        rows = [
            (_WORDS[fate], total.would[fate], total.did[fate]) for fate in Fate if total.would[fate] + total.did[fate]
        ]
        table(("SIGN-INS", "WITH THIS POLICY", "AS IT WAS"), rows, empty="")
        say("")
        _print_users(simulation.users)
    if simulation.unenrolled:
        say("")
        say(f"Would be refused and have no second factor to this day: {listed(simulation.unenrolled)}.")
    if simulation.unreadable:
        rows_left = _counted(simulation.unreadable, "sign-in", "sign-ins")
        say(f"Left out, for what was known then is not recorded: {rows_left}.")


def _print_users(users: Mapping[str, Tally]) -> None:
    most = sorted(
        users.items(), key=lambda each: (-each[1].would[Fate.NOT_ENROLLED], -each[1].would[Fate.ASKED], each[0])
    )
    rows = [
        (
            name,
            tally.sign_ins,
            tally.would[Fate.ASKED],
            tally.did[Fate.ASKED],
            tally.would[Fate.PERIOD],
            sum(tally.would[fate] for fate in _ALONE),
            tally.would[Fate.NOT_ENROLLED],
        )
        for name, tally in most[:_MOST_USERS]
    ]
    table(("USER", "SIGN-INS", "ASKED", "ASKED THEN", "PERIOD", "PASSWORD ALONE", "REFUSED"), rows, empty="")
    if len(most) > _MOST_USERS:
        say(f"and {_counted(len(most) - _MOST_USERS, 'user', 'users')} more; all of them with --json")


def _described(tally: Tally) -> dict[str, object]:
    return {
        "sign_ins": tally.sign_ins,
        "would": {fate.value: tally.would[fate] for fate in Fate},
        "did": {fate.value: tally.did[fate] for fate in Fate},
    }


def _counted(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}"

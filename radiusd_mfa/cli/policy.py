"""`radiusd-mfa policy`: who must give a second factor, where and how often."""

import shlex
from collections.abc import Sequence
from typing import Final

import click

from radiusd_mfa.cli import reading
from radiusd_mfa.cli.commands import Group
from radiusd_mfa.cli.output import emit, say, table, timestamp
from radiusd_mfa.cli.parameters import LABEL
from radiusd_mfa.cli.policy_files import PolicyFile, all_presets, preset
from radiusd_mfa.cli.policy_view import (
    described_effect,
    described_plan,
    described_shown,
    described_version,
    print_effects,
    print_plan,
    print_shown,
)
from radiusd_mfa.cli.session import WRONG_USAGE, Failed, Session, granted, with_session
from radiusd_mfa.cli.simulation_view import described_simulation, print_simulation
from radiusd_mfa.core.policy import T0, rules_at_sign_in
from radiusd_mfa.core.policy_words import sentences
from radiusd_mfa.usecases import policies, simulating
from radiusd_mfa.usecases.admin_ports import PolicyVersion
from radiusd_mfa.usecases.policies import Applied

_FILE: Final = click.argument("file", type=PolicyFile, metavar="FILE|-|preset:NAME")
_EXPECT: Final = click.option(
    "--expect-version",
    type=click.IntRange(min=0),
    metavar="N",
    help="Refuse if it is another one by now; `policy plan` says which it was.",
)


@click.group(
    cls=Group, example="radiusd-mfa policy plan ops preset:team-vpn\nradiusd-mfa policy apply ops preset:team-vpn"
)
def policy() -> None:
    """Say who must give a second factor, where and how often."""


@policy.command("presets", example="radiusd-mfa policy presets\nradiusd-mfa policy presets team-vpn > ops.toml")
@click.argument("name", required=False)
@with_session
def presets(session: Session, name: str | None) -> None:
    """List the policies to start from, or print one."""
    if name is None:
        found = all_presets()
        document = [{"name": each.name, "summary": each.summary} for each in found]
        rows = [(each.name, each.summary) for each in found]
        emit(session, document, lambda: table(("PRESET", "WHAT IT DOES"), rows, empty="There is no preset."))
        return
    try:
        one = preset(name)
    except ValueError as error:
        raise Failed(str(error), WRONG_USAGE) from error
    described = {"name": one.name, "summary": one.summary, "text": one.text}
    emit(session, described, lambda: say(one.text.rstrip("\n")))


@policy.command("show", persons=True, example="radiusd-mfa policy show ops\nradiusd-mfa policy show ops --history")
@click.argument("team", type=LABEL)
@click.option("--version", type=click.IntRange(min=1), metavar="N", help="As it was then.")
@click.option("--history", is_flag=True, help="All versions, the newest first.")
@with_session
def show(session: Session, team: str, version: int | None, history: bool) -> None:
    """Show what a team's policy means, and its text."""
    if history and version is not None:
        raise click.UsageError("Either --version or --history, not both.")
    app = session.open()
    actor = session.actor(app)
    if history:
        versions = granted(policies.history(team, store=app.administration, clock=app.clock, actor=actor))
        _show_history(session, versions)
        return
    shown = granted(policies.show(team, version, store=app.administration, clock=app.clock, actor=actor))
    emit(session, described_shown(shown), lambda: print_shown(shown))


@policy.command("plan", persons=True, example="radiusd-mfa policy plan ops ops.toml")
@click.argument("team", type=LABEL)
@_FILE
@with_session
def plan(session: Session, team: str, file: PolicyFile) -> None:
    """Say what a policy would change and whom it reaches; nothing is changed."""
    app = session.open()
    actor = session.actor(app)
    planned = granted(policies.plan(team, file.text(), store=app.administration, clock=app.clock, actor=actor))
    emit(session, described_plan(planned), lambda: print_plan(planned, shlex.quote(file.source)))


@policy.command("apply", persons=True, example="radiusd-mfa policy apply ops ops.toml --expect-version 3")
@click.argument("team", type=LABEL)
@_FILE
@_EXPECT
@with_session
def apply(session: Session, team: str, file: PolicyFile, expect_version: int | None) -> None:
    """Give a team this policy; it holds from the next sign-in on, on every node."""
    app = session.open()
    actor = session.actor(app)
    text = file.text()
    done = granted(
        policies.apply(team, text, expected=expect_version, store=app.administration, clock=app.clock, actor=actor)
    )
    emit(session, _described(done), lambda: _tell_applied(done, text))


@policy.command("remove", persons=True, example="radiusd-mfa policy remove ops --yes")
@click.argument("team", type=LABEL)
@_EXPECT
@reading.YES
@with_session
def remove(session: Session, team: str, expect_version: int | None, yes: bool) -> None:
    """Take a team's policy away: then everybody must give a second factor, everywhere, at every connection."""
    app = session.open()
    actor = session.actor(app)
    question = f"Without a policy everybody in team {team} must give a second factor at every connection. Remove it?"
    reading.confirm(question, yes=yes)
    done = granted(
        policies.remove(team, expected=expect_version, store=app.administration, clock=app.clock, actor=actor)
    )
    emit(session, _described(done), lambda: _tell_removed(done))


@policy.command("simulate", persons=True, example="radiusd-mfa policy simulate ops preset:strict --days 30")
@click.argument("team", type=LABEL)
@_FILE
@click.option("--days", type=click.IntRange(1, 3_660), default=30, show_default=True, help="How far to look back.")
@with_session
def simulate(session: Session, team: str, file: PolicyFile, days: int) -> None:
    """Say what a policy would have done to the team's recorded sign-ins; nothing is changed."""
    app = session.open()
    actor = session.actor(app)
    text = file.text()
    found = granted(simulating.simulate(team, text, days=days, store=app.administration, clock=app.clock, actor=actor))
    emit(session, described_simulation(found), lambda: print_simulation(found))


def _show_history(session: Session, versions: Sequence[PolicyVersion]) -> None:
    rows = [(each.version, timestamp(each.at), each.actor, _gist(each.text)) for each in versions]
    empty = "The team never had a policy; make one with: radiusd-mfa policy apply"
    headings = ("VERSION", "APPLIED", "BY", "WHAT IT MEANS")
    document = [described_version(each) for each in versions]
    emit(session, document, lambda: table(headings, rows, empty=empty))


def _gist(text: str | None) -> str:
    if text is None:
        return "(removed: everybody, at every connection)"
    return " ".join(sentences(rules_at_sign_in(text)))


def _described(done: Applied) -> dict[str, object]:
    return {"team": done.team, "version": done.version, "roles": [described_effect(each) for each in done.effects]}


def _tell_applied(done: Applied, text: str) -> None:
    say(f"Team {done.team} has this policy now, as version {done.version}.")
    print_effects(done.effects, rules_at_sign_in(text))


def _tell_removed(done: Applied) -> None:
    say(f"Team {done.team} has no policy now; everybody must give a second factor at every connection.")
    print_effects(done.effects, T0)

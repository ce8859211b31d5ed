"""`radiusd-mfa explain`: why a sign-in was answered so, and what would happen now."""

from collections.abc import Sequence
from typing import Final

import click
from rich.text import Text

from radiusd_mfa.app import App
from radiusd_mfa.cli.commands import Command
from radiusd_mfa.cli.output import emit, say, table, timestamp
from radiusd_mfa.cli.packets import paper
from radiusd_mfa.cli.parameters import LABEL, USER
from radiusd_mfa.cli.session import Session, granted, with_session
from radiusd_mfa.core.names import Username, escaped
from radiusd_mfa.core.policy_words import moment
from radiusd_mfa.core.verdict import Outcome, Verdict
from radiusd_mfa.usecases import explain as explaining
from radiusd_mfa.usecases import nas as entries
from radiusd_mfa.usecases.explain import Explained, Prospect, Weighed
from radiusd_mfa.usecases.ports import NasEntry
from radiusd_mfa.usecases.reasons import meaning, remedy

_STYLES: Final = {"accept": "green", "repeat": "green", "done": "green", "challenge": "yellow"}


@click.command(
    "explain", cls=Command, example="radiusd-mfa explain alice --nas office\nradiusd-mfa explain --audit 4711"
)
@click.argument("user", type=USER, required=False)
@click.option("--nas", type=LABEL, metavar="NAME", help="Signing in there. Default: at each NAS entry.")
@click.option("--device", default="", metavar="STATION", help="From this device (Calling-Station-Id).")
@click.option("--audit", type=click.IntRange(min=1), metavar="ID", help="A row of the audit log: see audit list.")
@with_session
def explain(session: Session, user: Username | None, nas: str | None, device: str, audit: int | None) -> None:
    """Say which rule of which team asks a user for what now, or why a sign-in was answered as it was."""
    if (user is None) == (audit is None) or (audit is not None and (nas or device)):
        raise click.UsageError("Either USER, with --nas and --device if you like, or --audit ID.")
    app = session.open()
    if audit is not None:
        found = granted(explaining.row(audit, store=app.administration))
        emit(session, _described_row(found), lambda: _print_row(found))
    elif user is not None:
        _explain_now(session, app, user, nas, device)


def _explain_now(session: Session, app: App, user: Username, nas: str | None, device: str) -> None:
    wanted = _entries(app, nas)
    prospects = explaining.prospects(
        user, wanted, device=device, store=app.sign_in_store, clock=app.clock, entropy=app.entropy
    )
    document = [_described_prospect(each) for each in prospects]
    if nas is not None:
        emit(session, document[0], lambda: _print_prospect(prospects[0]))
        return
    emit(session, {"user": user.text, "nas": document}, lambda: _print_prospects(user, prospects))


def _entries(app: App, nas: str | None) -> Sequence[NasEntry]:
    found = app.nas_store.read()
    if nas is None:
        return sorted(found, key=lambda entry: entry.nas.name)
    chosen = [entry for entry in found if entry.nas.name == nas]
    if not chosen:
        granted(entries.show(nas, store=app.administration, clock=app.clock))
        raise click.ClickException(f"The secret of NAS entry “{nas}” can't be opened: radiusd-mfa keys status")
    return chosen


def _described_row(found: Explained) -> dict[str, object]:
    entry, replayed = found.entry, found.replayed
    return {
        "audit": entry.id,
        "at": timestamp(entry.at),
        "kind": entry.kind,
        "user": entry.user,
        "nas": entry.nas,
        "surface": entry.surface,
        "device": entry.device,
        "actor": entry.actor,
        "outcome": entry.outcome,
        "reason": entry.reason,
        "meaning": meaning(entry.reason),
        "remedy": _remedy(entry.reason, entry.user, entry.nas),
        "weighed": _described_weighed(found.weighed),
        "replayed": None if replayed is None else {"outcome": replayed.outcome, "reason": replayed.reason},
        "agrees": found.agrees if replayed is not None else None,
        "said": list(found.said),
    }


def _described_prospect(prospect: Prospect) -> dict[str, object]:
    return {
        "user": prospect.user,
        "nas": prospect.nas,
        "surface": prospect.surface,
        "team": prospect.team,
        "password_alone": _described_verdict(prospect.alone),
        "with_code": _described_verdict(prospect.with_code),
        "opens_at": timestamp(prospect.opens_at),
        "weighed": _described_weighed(prospect.weighed),
    }


def _described_verdict(verdict: Verdict | None) -> dict[str, object] | None:
    if verdict is None:
        return None
    return {
        "outcome": verdict.outcome,
        "reason": verdict.reason,
        "meaning": meaning(verdict.reason),
        "session": verdict.session,
    }


def _described_weighed(weighed: Weighed | None) -> dict[str, object] | None:
    if weighed is None:
        return None
    rules = [
        {
            "team": each.team,
            "role": each.role,
            "version": each.version,
            "rule": each.rule,
            "due": each.due,
            "why": each.why,
        }
        for each in weighed.rules
    ]
    return {"team": weighed.team, "rules": rules, "said": list(weighed.said), "standing": weighed.standing}


def _print_row(found: Explained) -> None:
    entry = found.entry
    who = escaped(entry.user or "nobody")
    where = "" if entry.nas is None else f" at NAS entry {entry.nas}"
    place = ", ".join(escaped(each) for each in (entry.surface, entry.device) if each)
    by = f", by {escaped(entry.actor)}" if entry.actor else ""
    say(f"Audit row {entry.id}, {timestamp(entry.at)}: {who}{where}{f' ({place})' if place else ''}{by}")
    _headline(entry.outcome, entry.reason)
    _indented(meaning(entry.reason), *found.said)
    _print_weighed(found.weighed)
    if found.replayed is not None and not found.agrees:
        outcome, reason = found.replayed
        say(f"Weighed again, it would be {outcome}, {reason}: the policy of then was changed without a version.")
    _print_remedy(entry.reason, entry.user, entry.nas)


def _print_prospect(prospect: Prospect) -> None:
    say(f"{escaped(prospect.user)} at NAS entry {prospect.nas} ({prospect.surface}), now")
    say("")
    _print_verdict("With the right password alone:", prospect.alone)
    if prospect.with_code is not None:
        _print_verdict("With the right password and a right code:", prospect.with_code)
    if prospect.opens_at is not None:
        say(f"The account opens again at {moment(prospect.opens_at)}.")
    _print_weighed(prospect.weighed)
    if prospect.alone.outcome is Outcome.REJECT:
        _print_remedy(prospect.alone.reason, prospect.user, prospect.nas)


def _print_prospects(user: Username, prospects: Sequence[Prospect]) -> None:
    rows = [
        (each.nas, each.surface, each.team, _short(each.alone), _short(each.with_code), timestamp(each.opens_at))
        for each in prospects
    ]
    headings = ("NAS", "SURFACE", "TEAM", "PASSWORD ALONE", "WITH A CODE", "OPENS AGAIN")
    table(headings, rows, empty="There is no NAS entry; make one with: radiusd-mfa nas add")
    if prospects:
        name = escaped(user.text)
        say(f"Why, and what can be done: radiusd-mfa explain {name} --nas {prospects[0].nas}")


def _short(verdict: Verdict | None) -> str | None:
    return None if verdict is None else f"{verdict.outcome}, {verdict.reason}"


def _print_verdict(what: str, verdict: Verdict) -> None:
    say(what)
    _headline(verdict.outcome, verdict.reason)
    _indented(_prospective(verdict))


def _prospective(verdict: Verdict) -> str:
    limit = "" if verdict.session is None else f" The session ends after {verdict.session:,} seconds at the latest."
    return f"{meaning(verdict.reason)}{limit}"


def _print_weighed(weighed: Weighed | None) -> None:
    if weighed is None:
        return
    say("")
    say("Who asks for what")
    _indented(weighed.team)
    for each in weighed.rules:
        team = f"Team {each.team}, policy version {each.version}: " if each.team and each.version else ""
        _indented(f"{team}{each.rule} {each.why}")
    _indented(*weighed.said, weighed.standing)


def _print_remedy(reason: str, user: str | None, nas: str | None) -> None:
    todo = _remedy(reason, user, nas)
    if todo:
        say("")
        say("What can be done")
        _indented(todo)


def _remedy(reason: str, user: str | None, nas: str | None) -> str:
    return remedy(reason, user=escaped(user or "USER"), nas=escaped(nas or "NAS"))


def _headline(outcome: str, reason: str) -> None:
    paper().print(Text(f"  {outcome}, {reason}", style=_STYLES.get(outcome, "red")))


def _indented(*sentences: str) -> None:
    for sentence in filter(None, sentences):
        say(f"  {sentence}")

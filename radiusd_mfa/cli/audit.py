"""`radiusd-mfa audit`: who signed in, who changed what, and whether the log of it is as it was written."""

import json
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import click

from radiusd_mfa.app import App
from radiusd_mfa.cli import reading
from radiusd_mfa.cli.commands import Group
from radiusd_mfa.cli.output import emit, properties, say, table, timestamp
from radiusd_mfa.cli.parameters import LABEL, SINCE, USER
from radiusd_mfa.cli.session import REFUSED, Failed, Session, granted, with_session
from radiusd_mfa.core.names import Username
from radiusd_mfa.usecases import audit as log
from radiusd_mfa.usecases.admin_ports import AuditEntry, AuditFilter
from radiusd_mfa.usecases.audit import Finding, Verified
from radiusd_mfa.usecases.audit_ports import Mark

_OUTCOMES = ("accept", "reject", "challenge", "repeat", "done", "refused")
_BREATH: Final = 0.02
"""Seconds between two transactions that prune, so that sign-ins come between them."""
_TIME: Final = "90s, 30m, 24h, 7d, or a date."


@click.group(cls=Group, example="radiusd-mfa audit list --user alice --since 24h\nradiusd-mfa audit verify")
def audit() -> None:
    """Read the audit log, and see whether somebody has changed it."""


@audit.command("list", example="radiusd-mfa audit list --outcome reject --since 24h")
@click.option("--user", type=USER, help="Only this user.")
@click.option("--nas", type=LABEL, help="Only this NAS entry.")
@click.option("--outcome", type=click.Choice(_OUTCOMES), help="Only sign-ins or changes that ended so.")
@click.option("--kind", type=click.Choice(["sign-in", "change"]), help="Only sign-ins, or only changes.")
@click.option("--since", type=SINCE, metavar="TIME", help=_TIME)
@click.option("--limit", type=click.IntRange(1, 1_000_000), default=50, show_default=True, help="At most so many.")
@with_session
def list_(
    session: Session,
    /,
    user: Username | None,
    since: Callable[[float], float] | None,
    **options: Any,  # noqa: ANN401 - the options above
) -> None:
    """List sign-ins and changes, the newest first."""
    app = session.open()
    wanted = AuditFilter(users=user.found_as if user else (), since=since(app.clock()) if since else None, **options)
    found = log.entries(wanted, store=app.administration)
    headings = ("ID", "AT", "USER", "NAS", "OUTCOME", "REASON", "ACTOR")
    rows = [(each.id, timestamp(each.at), each.user, each.nas, each.outcome, each.reason, each.actor) for each in found]
    emit(
        session,
        [_described(each) for each in found],
        lambda: table(headings, rows, empty="The audit log has nothing of that."),
    )


@audit.command("verify", example="radiusd-mfa audit verify")
@with_session
def verify(session: Session) -> None:
    """Say whether a row was changed, removed, inserted or moved after it was written; exit 1 if so."""
    app = session.open()
    shown = log.verify(chain=app.audit_chain, clock=app.clock, mark=_mark(app))
    emit(session, _verified(shown), lambda: _tell(shown))
    if not shown.is_intact:
        raise Failed(f"The audit log was tampered with: {_counted(len(shown.findings))}.", REFUSED)


@audit.command("export", example="radiusd-mfa audit export --after 120000 >> audit.jsonl")
@click.option("--after", type=click.IntRange(0), default=0, metavar="ID", help="Only rows behind this one.")
@click.option("--since", type=SINCE, metavar="TIME", help=f"Only from then on: {_TIME}")
@click.option("--until", type=SINCE, metavar="TIME", help="Only before then.")
@with_session
def export(
    session: Session,
    after: int,
    since: Callable[[float], float] | None,
    until: Callable[[float], float] | None,
) -> None:
    """Print the rows as JSON lines, the oldest first.

    Only sealed rows are exported: whoever goes on after the last id has missed none.
    """
    app = session.open()
    now = app.clock()
    times = {"since": since(now) if since else None, "until": until(now) if until else None}
    for entry in log.export(after=after, chain=app.audit_chain, clock=app.clock, **times):
        sys.stdout.write(json.dumps(_described(entry) | {"facts": _parsed(entry.facts)}) + "\n")
    sys.stdout.flush()  # a full disk is told here, in a sentence


@audit.command("prune", example="radiusd-mfa audit prune --before 365d --yes")
@click.option("--before", type=SINCE, required=True, metavar="TIME", help=f"Remove what is older: {_TIME}")
@click.option("--even-if-damaged", is_flag=True, help="Also if the log is not as it was sealed.")
@reading.YES
@with_session
def prune(session: Session, before: Callable[[float], float], even_if_damaged: bool, yes: bool) -> None:
    """Remove old rows for good; what stays can still be verified."""
    app = session.open()
    at = before(app.clock())
    reading.confirm(f"Remove all rows from before {timestamp(at)} for good?", yes=yes)
    removed = granted(
        log.prune(
            at,
            chain=app.audit_chain,
            store=app.administration,
            clock=app.clock,
            mark=_mark(app),
            even_if_damaged=even_if_damaged,
            pause=partial(time.sleep, _BREATH),
        )
    )
    emit(session, {"before": timestamp(at), "removed": removed}, lambda: say(f"{removed} rows are removed."))


def _counted(findings: int) -> str:
    return f"{findings} finding{'s' if findings != 1 else ''}"


def _mark(app: App) -> Mark | None:
    return app.marks.of(app.audit_chain.standing().identity)


def _verified(shown: Verified) -> dict[str, object]:
    last = shown.last
    return {
        "intact": shown.is_intact,
        "rows": shown.rows,
        "seals": shown.seals,
        "pruned_upto": shown.pruned_upto,
        "unsealed": shown.unsealed,
        "last": {"seal": last.id, "row": last.last_id, "at": timestamp(last.sealed_at), "mac": last.mac.hex()}
        if last
        else None,
        "findings": [_finding(each) for each in shown.findings],
    }


def _finding(found: Finding) -> dict[str, object]:
    return {"kind": found.kind.value, "rows": found.rows, "seals": found.seals, "sentence": found.sentence}


def _tell(shown: Verified) -> None:
    for each in shown.findings:
        say(each.sentence)
    if shown.is_intact:
        say(f"The audit log is as it was written: {shown.rows} rows under {shown.seals} seals.")
    last = shown.last
    pairs: list[tuple[str, object]] = [
        ("pruned up to row", shown.pruned_upto),
        ("not sealed yet", shown.unsealed),
        ("last seal", f"{last.id}, row {last.last_id}, {timestamp(last.sealed_at)}" if last else None),
        ("its mac", last.mac.hex() if last else None),
    ]
    properties(pairs)


def _described(entry: AuditEntry) -> dict[str, object]:
    return {
        "id": entry.id,
        "at": timestamp(entry.at),
        "kind": entry.kind,
        "user": entry.user,
        "nas": entry.nas,
        "surface": entry.surface,
        "device": entry.device,
        "outcome": entry.outcome,
        "reason": entry.reason,
        "actor": entry.actor,
        "detail": _parsed(entry.detail),
    }


def _parsed(text: str | None) -> object:
    try:
        return json.loads(text) if text else None
    except (ValueError, RecursionError):
        return text  # not written by this program

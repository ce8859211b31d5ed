"""`radiusd-mfa audit`: who signed in, who changed what."""

import json
from collections.abc import Callable
from typing import Any

import click

from radiusd_mfa.cli.commands import Group
from radiusd_mfa.cli.output import emit, table, timestamp
from radiusd_mfa.cli.parameters import LABEL, SINCE, USER
from radiusd_mfa.cli.session import Session, with_session
from radiusd_mfa.core.names import Username
from radiusd_mfa.usecases.admin_ports import AuditEntry, AuditFilter
from radiusd_mfa.usecases.audit import entries

_OUTCOMES = ("accept", "reject", "challenge", "repeat", "done", "refused")


@click.group(cls=Group, example="radiusd-mfa audit list --user alice --since 24h")
def audit() -> None:
    """Read the audit log."""


@audit.command("list", example="radiusd-mfa audit list --outcome reject --since 24h")
@click.option("--user", type=USER, help="Only this user.")
@click.option("--nas", type=LABEL, help="Only this NAS entry.")
@click.option("--outcome", type=click.Choice(_OUTCOMES), help="Only sign-ins or changes that ended so.")
@click.option("--kind", type=click.Choice(["sign-in", "change"]), help="Only sign-ins, or only changes.")
@click.option("--since", type=SINCE, metavar="TIME", help="90s, 30m, 24h, 7d, or a date.")
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
    wanted = AuditFilter(user=user.text if user else None, since=since(app.clock()) if since else None, **options)
    found = entries(wanted, store=app.administration)
    headings = ("ID", "AT", "USER", "NAS", "OUTCOME", "REASON", "ACTOR")
    rows = [(each.id, timestamp(each.at), each.user, each.nas, each.outcome, each.reason, each.actor) for each in found]
    emit(
        session,
        [_described(each) for each in found],
        lambda: table(headings, rows, empty="The audit log has nothing of that."),
    )


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
        "detail": _detail(entry.detail),
    }


def _detail(text: str | None) -> object:
    try:
        return json.loads(text) if text else None
    except (ValueError, RecursionError):
        return text  # not written by this program

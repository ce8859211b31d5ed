"""`radiusd-mfa db`: the schema of the database."""

import click

from radiusd_mfa.app import read_schema, refuse_unfit, upgrade_schema
from radiusd_mfa.cli.commands import Group
from radiusd_mfa.cli.output import emit, properties, say
from radiusd_mfa.cli.session import Session, with_session


@click.group(cls=Group, example="radiusd-mfa db status")
def db() -> None:
    """Look after the database."""


@db.command("status", example="radiusd-mfa db status")
@with_session
def status(session: Session) -> None:
    """Say whether the schema fits this program; exit 2 if it doesn't."""
    found = read_schema(session.config)
    document = {
        "database": session.config.shown_database_url,
        "schema": found.current,
        "newest": found.newest,
        "pending": list(found.pending),
        "current": found.is_current,
    }
    pairs = [("database", document["database"]), ("schema", found.current), ("newest", found.newest)]
    emit(session, document, lambda: properties(pairs))
    refuse_unfit(found)


@db.command("upgrade", example="radiusd-mfa db upgrade")
@with_session
def upgrade_(session: Session) -> None:
    """Bring the schema up to date, in one transaction; harmless where it is."""
    before = upgrade_schema(session.config)
    done = f"upgraded from {before.current} to {before.newest}" if before.pending else "up to date already"
    document = {"schema": before.newest, "before": before.current, "applied": list(before.pending)}
    emit(session, document, lambda: say(f"The schema is {done}."))

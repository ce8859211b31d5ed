"""`radiusd-mfa db`: the schema of the database, and a database that was restored from a backup."""

import click

from radiusd_mfa.cli import reading
from radiusd_mfa.cli.commands import Group
from radiusd_mfa.cli.output import emit, properties, say, timestamp
from radiusd_mfa.cli.session import Session, granted, with_session
from radiusd_mfa.installation import read_schema, refuse_unfit, upgrade_schema
from radiusd_mfa.usecases import restore
from radiusd_mfa.usecases.restore import Accepted


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


@db.command("accept-restore", example="radiusd-mfa db accept-restore --yes")
@click.option("--keep-backup-codes", is_flag=True, help="Leave unused backup codes good: those used since are too.")
@click.option("--even-unseen", is_flag=True, help="Also on a machine that has never seen the database that is lost.")
@reading.YES
@with_session
def accept_restore(session: Session, keep_backup_codes: bool, even_unseen: bool, yes: bool) -> None:
    """Take a database that is older than this machine has seen it, with everything spent that may have been."""
    app = session.open()
    reading.confirm("Is this the newest copy that there is?", yes=yes)
    accepted = granted(
        restore.accept(
            keep_backup_codes=keep_backup_codes,
            even_unseen=even_unseen,
            chain=app.audit_chain,
            marks=app.marks,
            store=app.administration,
            clock=app.clock,
            entropy=app.entropy,
        )
    )
    emit(session, _described(accepted), lambda: _tell(accepted))


def _described(accepted: Accepted) -> dict[str, object]:
    loss, voided = accepted.loss, accepted.voided
    return {
        "seen": {"row": loss.mark.last_id, "at": timestamp(loss.mark.sealed_at)} if loss else None,
        "left": {"row": loss.last.last_id, "at": timestamp(loss.last.sealed_at)} if loss and loss.last else None,
        "methods": voided.methods,
        "backup_codes": voided.backup_codes,
        "links": voided.links,
        "deliveries": voided.deliveries,
    }


def _tell(accepted: Accepted) -> None:
    voided = accepted.voided
    since = timestamp(accepted.loss.last.sealed_at) if accepted.loss and accepted.loss.last else None
    say(f"The database is accepted as it was at {since}." if since else "The database is accepted as it is.")
    properties(
        [
            ("authenticators whose codes until now are spent", voided.methods),
            ("users whose backup codes are worthless", voided.backup_codes),
            ("links that are void", voided.links),
            ("mails and messages that are given up", voided.deliveries),
        ]
    )
    say("What was changed after the backup is undone: look whom you disabled, removed or gave a new password since.")

"""`radiusd-mfa keys`: the keys that seal seeds and shared secrets."""

import click

from radiusd_mfa.cli.commands import Group
from radiusd_mfa.cli.output import emit, say, table
from radiusd_mfa.cli.session import Session, with_session


@click.group(cls=Group, example="radiusd-mfa keys status")
def keys() -> None:
    """Look after the keys that seal what the database keeps."""


@keys.command("status", example="radiusd-mfa keys status")
@with_session
def status(session: Session) -> None:
    """Say which keys there are, and how many values each has sealed."""
    app = session.open()
    sealed = app.sealed_by_key()
    ids = [*app.keys.ids, *sorted(sealed.keys() - set(app.keys.ids))]
    found = [
        {"id": key, "active": key == app.keys.active_id, "present": key in app.keys.ids, "sealed": sealed[key]}
        for key in ids
    ]

    def text() -> None:
        say(f"Key file: {app.config.key_file}")
        table(("ID", "ACTIVE", "PRESENT", "SEALED VALUES"), [tuple(key.values()) for key in found], empty="")

    emit(session, {"key_file": str(app.config.key_file), "keys": found}, text)

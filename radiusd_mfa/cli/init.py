"""`radiusd-mfa init`: from an empty machine to a database, a key file and a first NAS entry."""

from typing import Final

import click

from radiusd_mfa.app import App
from radiusd_mfa.cli.commands import Command
from radiusd_mfa.cli.nas import described
from radiusd_mfa.cli.output import emit, say
from radiusd_mfa.cli.session import Session, granted, with_session
from radiusd_mfa.config import Config
from radiusd_mfa.installation import Initialised, initialise
from radiusd_mfa.usecases import nas as entries
from radiusd_mfa.usecases.nas import Wanted

FIRST_NAS: Final = "localhost"
_FIRST_RANGE: Final = "127.0.0.1/32"


@click.command("init", cls=Command, example="radiusd-mfa init")
@with_session
def init(session: Session) -> None:
    """Make the database, the key file and a first NAS entry for this machine; what is there already stays."""
    config = session.config
    done = initialise(config)
    app = session.open()
    first = _first_nas(app) if done.database_made and not entries.every(store=app.administration) else None
    document: dict[str, object] = {
        "state_dir": str(config.state_dir),
        "database": config.shown_database_url,
        "key_file": str(config.key_file),
        "made": _made(done),
        "nas": first,
    }
    emit(session, document, lambda: _tell(config, done, first))


def _first_nas(app: App) -> dict[str, object]:
    secret = entries.generated_secret(app.entropy)
    wanted = Wanted(FIRST_NAS, {"address": _FIRST_RANGE, "surface": "vpn"}, secret=secret)
    written = granted(entries.add(wanted, store=app.administration, clock=app.clock))
    return {**described(written.entry), "secret": secret.decode()}


def _made(done: Initialised) -> list[str]:
    found = {
        "state_dir": done.state_dir_made,
        "key_file": done.key_made,
        "database": done.database_made,
        "schema": bool(done.schema_before.pending),
    }
    return [name for name, made in found.items() if made]


def _tell(config: Config, done: Initialised, first: dict[str, object] | None) -> None:
    say(f"Database: {config.shown_database_url} ({'made' if done.database_made else 'was there already'})")
    say(f"Key file: {config.key_file} ({'made; keep a copy elsewhere' if done.key_made else 'was there already'})")
    if done.schema_before.pending and not done.database_made:
        say(f"The schema was upgraded to {done.schema_before.newest}.")
    if first is not None:
        say(f"NAS entry {first['name']} for {first['address']} is added.")
        say(f"Its shared secret, shown this once: {first['secret']}")
        say("Next: radiusd-mfa user add NAME, then radiusd-mfa mfa enrol NAME, then radiusd-mfa serve")

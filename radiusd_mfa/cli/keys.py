"""`radiusd-mfa keys`: the keys that seal what the database keeps."""

import time
from functools import partial
from typing import Any, Final

import click

from radiusd_mfa.app import App
from radiusd_mfa.cli.commands import Group
from radiusd_mfa.cli.output import emit, say, table, warn
from radiusd_mfa.cli.session import Session, granted, with_session
from radiusd_mfa.usecases import rotation
from radiusd_mfa.usecases.rotation import Rotated

_BREATH: Final = 0.01
"""Seconds between two transactions that seal anew, so that sign-ins come between them."""


@click.group(cls=Group, example="radiusd-mfa keys status\nradiusd-mfa keys rotate")
def keys() -> None:
    """Look after the keys that seal what the database keeps."""


@keys.command("status", example="radiusd-mfa keys status")
@with_session
def status(session: Session) -> None:
    """Say which keys there are, and how many values each has sealed."""
    app = session.open()
    sealed = app.sealed.by_key()
    ids = [*app.keys.ids, *sorted(sealed.keys() - set(app.keys.ids))]
    found = [
        {
            "id": key,
            "active": key == app.keys.active_id,
            "present": key in app.keys.ids,
            "waits": key in app.keys.waiting,
            "sealed": sealed[key],
        }
        for key in ids
    ]

    def text() -> None:
        say(f"Key file: {app.config.key_file}")
        headings = ("ID", "ACTIVE", "PRESENT", "WAITS", "SEALED VALUES")
        table(headings, [tuple(key.values()) for key in found], empty="")

    emit(session, {"key_file": str(app.config.key_file), "keys": found}, text)


@keys.command("rotate", example="radiusd-mfa keys rotate")
@click.option("--prepare", is_flag=True, help="Only make the new key, which does not seal yet: for several nodes.")
@with_session
def rotate(session: Session, prepare: bool) -> None:
    """Make a new key and seal everything anew by it, while the servers serve.

    Broken off, it goes on when it is run again. Old keys stay until `keys remove`.
    """
    app = session.open()
    if prepare:
        made = granted(rotation.prepare(**_needs(app)))
        hint = f"Key {made} is made and waits. Bring {app.config.key_file} to every node, then: radiusd-mfa keys rotate"
        emit(session, {"made": made, "active": app.keys.active_id}, lambda: say(hint))
        return
    rotated = granted(rotation.rotate(**_needs(app), pause=partial(time.sleep, _BREATH)))
    warn(session, rotated.unopened)
    emit(session, _described(rotated), lambda: _tell(rotated))


@keys.command("remove", example="radiusd-mfa keys remove 3fe29ac1")
@click.argument("key_id", metavar="ID")
@with_session
def remove(session: Session, key_id: str) -> None:
    """Take a key out of the key file that has sealed nothing that is left.

    Keep it with the backups from its time: their values open by nothing else.
    """
    app = session.open()
    removed = granted(rotation.remove(key_id, **_needs(app)))
    text = f"Key {removed} is removed from {app.config.key_file}; backups from its time need it still."
    emit(session, {"removed": removed}, lambda: say(text))


def _needs(app: App) -> dict[str, Any]:
    return {
        "keys": app.keys,
        "file": app.key_file,
        "sealed": app.sealed,
        "store": app.administration,
        "clock": app.clock,
    }


def _described(rotated: Rotated) -> dict[str, object]:
    return {
        "active": rotated.active,
        "made": rotated.made,
        "resealed": rotated.resealed,
        "unopened": rotated.unopened,
        "removable": rotated.removable,
    }


def _tell(rotated: Rotated) -> None:
    made = "is new and seals now" if rotated.made else "seals"
    say(f"Key {rotated.active} {made}; {rotated.resealed} values were sealed anew by it.")
    for key in rotated.removable:
        say(
            f"Nothing is sealed by key {key} any more. Restart first what has the key file as a copy, or a credential "
            f"of systemd; keep a copy for old backups, then: radiusd-mfa keys remove {key}"
        )

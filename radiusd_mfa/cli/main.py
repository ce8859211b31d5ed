"""The command line as a whole: `radiusd-mfa`."""

from typing import Final

import click

from radiusd_mfa import __version__
from radiusd_mfa.cli.commands import Root
from radiusd_mfa.cli.session import Session, session_of

__all__ = ["PLACES", "Session", "radiusd_mfa"]

PLACES: Final = {
    name: f"radiusd_mfa.cli.{place}"
    for name, place in {
        "init": "init:init",
        "demo": "demo:demo",
        "serve": "serve:serve",
        "portal": "portal:portal",
        "nas": "nas:nas",
        "team": "team:team",
        "user": "user:user",
        "member": "member:member",
        "mfa": "mfa:mfa",
        "realm": "realm:realm",
        "policy": "policy:policy",
        "profile": "profile:profile",
        "try": "try_:try_",
        "sessions": "sessions:sessions",
        "explain": "explain:explain",
        "outbox": "outbox:outbox",
        "top": "top:top",
        "audit": "audit:audit",
        "keys": "keys:keys",
        "db": "db:db",
        "doctor": "doctor:doctor",
    }.items()
}


@click.group(
    cls=Root,
    places=PLACES,
    example="""radiusd-mfa init
radiusd-mfa nas add office --address 192.0.2.0/24 --surface vpn --generate-secret
radiusd-mfa user add alice
radiusd-mfa mfa enrol alice""",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="radiusd-mfa")
@click.pass_context
def radiusd_mfa(context: click.Context) -> None:
    """Run and administer a RADIUS server that asks for a password and a one-time code."""
    session_of(context)

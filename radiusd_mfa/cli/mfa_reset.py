"""`radiusd-mfa mfa reset`, `redeem`, `disable` and `revoke`: how a second factor gives way to another, or goes."""

from collections.abc import Sequence
from typing import Final

import click

from radiusd_mfa.app import App
from radiusd_mfa.cli import reading, sessions
from radiusd_mfa.cli.commands import Command
from radiusd_mfa.cli.mfa_shown import LABEL_OPTION, METHOD_OPTION, emit_enrolment
from radiusd_mfa.cli.output import emit, say, timestamp, warn
from radiusd_mfa.cli.parameters import USER
from radiusd_mfa.cli.session import REFUSED, Session, granted, with_session
from radiusd_mfa.core.names import Username, escaped
from radiusd_mfa.usecases import removal, reset
from radiusd_mfa.usecases.removal import Removed
from radiusd_mfa.usecases.reset import Invitation
from radiusd_mfa.usecases.sessions import Scope, Told

_A_DAY: Final = 86_400.0


@click.command(
    "reset",
    cls=Command,
    persons=True,
    example="radiusd-mfa mfa reset bob --as alice\nradiusd-mfa mfa reset alice --as alice --label 'new phone'",
)
@click.argument("user", type=USER)
@METHOD_OPTION
@LABEL_OPTION
@click.option("--show-link", is_flag=True, help="Print the link; the operator only.")
@with_session
def reset_(session: Session, user: Username, method: int | None, label: str, show_link: bool) -> None:
    """Replace an authenticator; the old one works until the new one is confirmed.

    With --as the user's own name: sets a new one up at once. Otherwise: makes a link, good for one hour, with which the
    user sets it up.
    """
    is_own = session.acting == user
    if not is_own and (method is not None or label):
        raise click.UsageError("--method and --label are for the own authenticator (--as); a link replaces them all.")
    if is_own and show_link:
        raise click.UsageError("--show-link is for the link of another user.")
    app = session.open()
    if is_own:
        _reset_own(session, app, user, method, label)
    elif show_link and session.acting is not None:
        session.refuse_person("mfa reset-link")
    else:
        _invite(session, app, user, show_link=show_link)


@click.command("redeem", cls=Command, persons=True, example="radiusd-mfa mfa redeem alice")
@click.argument("user", type=USER)
@LABEL_OPTION
@with_session
def redeem(session: Session, user: Username, label: str) -> None:
    """Set up an authenticator by a link: asks for link and password, or reads them as lines of standard input.

    Earlier authenticators and backup codes work until it is confirmed with `mfa confirm`.
    """
    if session.acting is not None:
        raise click.UsageError("The link and the password tell who it is; leave --as out.")
    app = session.open()
    link, password = reading.lines("Link", f"Password of {escaped(user.text)}")
    made = granted(
        reset.redeem(
            session.claimant(app, user, password),
            reset.token_in(link.decode(errors="replace")),
            label=label,
            issuer=app.config.issuer,
            store=app.administration,
            clock=app.clock,
            entropy=app.entropy,
        )
    )
    emit_enrolment(session, user, made)


@click.command("disable", cls=Command, persons=True, example="radiusd-mfa mfa disable bob --as alice --yes")
@click.argument("user", type=USER)
@reading.YES
@with_session
def disable(session: Session, user: Username, yes: bool) -> None:
    """Take a user's second factor away: all authenticators and backup codes.

    Right after a sign-in with a backup code users may do this to themselves with the password alone.
    """
    app = session.open()
    if session.acting == user:
        actor = session.actor_or_claimant(app, alone=removal.password_suffices(user, store=app.administration))
    else:
        actor = session.actor(app)
    reading.confirm(f"Take the second factor of {escaped(user.text)} away?", yes=yes)
    gone = granted(removal.disable(user, store=app.administration, clock=app.clock, actor=actor))
    _emit_removed(session, gone)


@click.command("revoke", cls=Command, persons=True, example="radiusd-mfa mfa revoke alice --now")
@click.argument("user", type=USER)
@METHOD_OPTION
@click.option("--now", is_flag=True, required=True, help="Yes, at this moment: nothing has to be confirmed first.")
@click.option("--disconnect", is_flag=True, help="Tell the NASes of the last 24 hours to end the sessions, too.")
@with_session
def revoke(
    session: Session,
    user: Username,
    method: int | None,
    now: bool,  # noqa: ARG001 - has been said
    disconnect: bool,
) -> None:
    """End a stolen phone at once: the authenticator, backup codes, periods and open challenges."""
    app = session.open()
    actor = session.actor(app)
    gone = granted(removal.revoke(user, method, store=app.administration, clock=app.clock, actor=actor))
    told = sessions.cut(app, user, Scope(app.clock() - _A_DAY), actor=actor) if disconnect else None
    _emit_removed(session, gone, told)
    if told and not all(each.done for each in told):
        click.get_current_context().exit(REFUSED)


COMMANDS: Final = (reset_, redeem, disable, revoke)


def _reset_own(session: Session, app: App, user: Username, method: int | None, label: str) -> None:
    made = granted(
        reset.own(
            user,
            method,
            label=label,
            issuer=app.config.issuer,
            store=app.administration,
            clock=app.clock,
            entropy=app.entropy,
            actor=session.actor(app),
        )
    )
    emit_enrolment(session, user, made)


def _invite(session: Session, app: App, user: Username, *, show_link: bool) -> None:
    made = granted(
        reset.invite(
            user,
            store=app.administration,
            clock=app.clock,
            entropy=app.entropy,
            portal_url=app.config.portal_url,
            actor=session.actor(app),
        )
    )
    link = made.link(app.config.portal_url) or made.token if show_link else None
    document = {"user": made.user, "expires": timestamp(made.expires_at), "link": link, "mailed": made.mailed}
    if made.mailed and app.config.smtp_host is None and link is None:
        warn(
            session, ["smtp_host is not set here: unless another node sends the mail, print the link with --show-link."]
        )
    emit(session, document, lambda: _show_invitation(made, link))


def _show_invitation(made: Invitation, link: str | None) -> None:
    name = escaped(made.user)
    say(f"A link for {name} is made, good once and until {timestamp(made.expires_at)}.")
    if made.mailed:
        say(f"It is in the outbox for {escaped(made.email or '')}; whether it went out: radiusd-mfa outbox list")
    elif link is None:
        say("It can't be mailed: that takes portal_url and a mail address of the user. --show-link prints it.")
    if link is not None:
        say(f"Give it to {name} alone; it is shown this once: {link}")
    say("What is set up now works until the new authenticator is confirmed.")


def _emit_removed(session: Session, gone: Removed, told: Sequence[Told] | None = None) -> None:
    document = {"user": gone.user, "removed": gone.methods, "must_set_up": gone.mandatory}
    if told is not None:
        document["nas"] = sessions.described(told)
    emit(session, document, lambda: _show_removed(gone, told))


def _show_removed(gone: Removed, told: Sequence[Told] | None) -> None:
    name = escaped(gone.user)
    say(f"{name} has {gone.methods} method{'s' if gone.methods != 1 else ''} less, and no backup codes any more.")
    say(f"Remove the entry “{name}” from the authenticator app too.")
    if gone.mandatory:
        say(f"A second factor is required of {name}: the next sign-in asks to set one up.")
    if told is not None:
        sessions.show_told(told)

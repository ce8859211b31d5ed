"""`radiusd-mfa mfa enrol --sms`, and `mfa confirm` where a phone waits for its first code."""

from radiusd_mfa.app import App
from radiusd_mfa.cli.output import emit, say, timestamp
from radiusd_mfa.cli.session import REFUSED, Failed, Session, granted
from radiusd_mfa.core.names import Username, escaped
from radiusd_mfa.usecases import enrol, sms
from radiusd_mfa.usecases.actors import Actor
from radiusd_mfa.usecases.changes import Refusal
from radiusd_mfa.usecases.enrol import Confirmed
from radiusd_mfa.usecases.phone_codes import Sent


def start_sms(session: Session, app: App, user: Username, label: str, number: str | None) -> None:
    """Make an unconfirmed phone and send it a code."""
    if not app.config.sends_sms:
        raise Failed("No text message can be sent: set sms_url or sms_apprise_file (docs/delivery.md).", REFUSED)
    sent = granted(
        sms.start(
            user,
            number=number,
            label=label,
            post=app.post,
            store=app.administration,
            clock=app.clock,
            actor=session.actor(app),
        )
    )
    document = {"method": sent.method, "phone": sent.number, "expires": timestamp(sent.expires_at)}
    emit(session, document, lambda: _show_sent(user, sent))


def confirmed(app: App, user: Username, code: str, actor: Actor) -> Confirmed | Refusal:
    """Let whatever waits for its first code count: a phone or an authenticator."""
    store, hashing, clock = app.administration, app.hashing, app.clock
    if sms.waits(user, store=store):
        return sms.confirm(user, code, post=app.post, store=store, hashing=hashing, clock=clock, actor=actor)
    return enrol.confirm(user, code, store=store, hashing=hashing, clock=clock, entropy=app.entropy, actor=actor)


def _show_sent(user: Username, sent: Sent) -> None:
    say(f"A code is on its way to the phone {sent.number} of {escaped(user.text)}, good for 10 minutes.")
    say(f"It counts once the code was given: radiusd-mfa mfa confirm {escaped(user.text)}")

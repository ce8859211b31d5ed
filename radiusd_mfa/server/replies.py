"""What the NAS is told. A Reject looks like every other Reject of the same NAS: reasons stay in the audit log."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final, assert_never

from radiusd_mfa.core.facts import Nas
from radiusd_mfa.core.verdict import Outcome, Verdict
from radiusd_mfa.radius.packet import encode_reply
from radiusd_mfa.radius.wire import Code, reply_message, state
from radiusd_mfa.server.intake import Status, Work
from radiusd_mfa.usecases.sign_in import SignIn

_PROMPT: Final = "Enter the code from your authenticator, or a backup code."
_APPEND: Final = (
    "Sign-in refused. Type your password and, right after it without a space, "
    "the code from your authenticator or a backup code."
)
_CODE_ONLY: Final = "Sign-in refused. Type the code from your authenticator, or a backup code."
_PLAIN: Final = "Sign-in refused."


@dataclass(frozen=True)
class Replies:
    """Encodes the replies of one server."""

    sign_in: SignIn
    portal_url: str | None = None

    def to(self, work: Work, verdict: Verdict) -> bytes:
        """Return the reply that tells a verdict, ready to send."""
        match verdict.outcome:
            case Outcome.ACCEPT:
                code, attributes = Code.ACCESS_ACCEPT, b""
            case Outcome.CHALLENGE:
                # CLIENTS: a challenge without Reply-Message is refused by pam_radius and ocserv.
                attributes = reply_message(_PROMPT) + state(self.sign_in.state_for(work.attempt))
                code = Code.ACCESS_CHALLENGE
            case Outcome.REJECT:
                code, attributes = Code.ACCESS_REJECT, _refusal(work.attempt.nas, self.portal_url)
            case other:
                assert_never(other)
        return encode_reply(code=code, request=work.request, rules=work.known.rules, attributes=attributes)


def alive(status: Status) -> bytes:
    """Return the answer to a Status-Server (RFC 5997 3): we are well."""
    return encode_reply(code=Code.ACCESS_ACCEPT, request=status.request, rules=status.known.rules, attributes=b"")


@lru_cache(maxsize=1024)
def _refusal(nas: Nas, portal_url: str | None) -> bytes:
    """Tell everybody the same: what to type, and where to set up an authenticator."""
    text = _CODE_ONLY if nas.otp_only else _PLAIN if nas.challenge else _APPEND
    if portal_url:
        text += f" No authenticator yet? Set it up at {portal_url}"
    return reply_message(text)

"""What the NAS is told: an Accept, what the team has written for it; a Reject, the same as everybody else's there.

Reasons stay in the audit log. The same verdict has the same octets on every node (I6).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil
from typing import Final, assert_never

from radiusd_mfa.core.facts import Membership, Nas
from radiusd_mfa.core.names import escaped
from radiusd_mfa.core.verdict import Outcome, Verdict
from radiusd_mfa.radius.attributes import AttributeProblem
from radiusd_mfa.radius.packet import encode_reply
from radiusd_mfa.radius.profiles import EncodedProfile
from radiusd_mfa.radius.wire import Code, reply_message, state
from radiusd_mfa.server.code_texts import ABOUT_SMS, FOR_A_CODE, prompt, to_append
from radiusd_mfa.server.intake import Status, Work
from radiusd_mfa.server.set_up_texts import codes_shown, secret_shown
from radiusd_mfa.usecases.sign_in import SignIn

_APPEND: Final = (
    "Sign-in refused. Type your password and, right after it without a space, "
    "the code from your authenticator or a backup code."
)
_CODE_ONLY: Final = "Sign-in refused. Type the code from your authenticator, or a backup code."
_PLAIN: Final = "Sign-in refused."
_DAY: Final = 86_400.0
_NOTHING: Final = EncodedProfile()
EncodeProfile = Callable[[str], EncodedProfile]
"""Encodes the text of a reply profile; raises AttributeProblem."""


@dataclass(frozen=True)
class Replies:
    """Encodes the replies of one server; `encode_profile` is called for every Accept and should remember."""

    sign_in: SignIn
    portal_url: str | None
    encode_profile: EncodeProfile

    def obstacle(self, work: Work, verdict: Verdict) -> str:
        """Say why a verdict can't be told, before it is settled; empty where nothing is in its way.

        Without its profile an Accept would be another one: a VLAN that is missing puts people into the wrong network.
        """
        if verdict.outcome is not Outcome.ACCEPT:
            return ""
        try:
            self._profile(work)
        except AttributeProblem as problem:
            team = escaped(work.facts.memberships[0].team.name)
            complaints = "; ".join(str(problem).split("\n"))
            return (
                f"the reply profile of team {team} can't be encoded ({complaints}); see it with "
                f"`radiusd-mfa profile list {team}`, and set it anew"
            )
        return ""

    def to(self, work: Work, verdict: Verdict) -> bytes:
        """Return the reply that tells a verdict, ready to send."""
        match verdict.outcome:
            case Outcome.ACCEPT:
                code, attributes = Code.ACCESS_ACCEPT, self._accept(work, verdict)
            case Outcome.CHALLENGE:
                code, attributes = Code.ACCESS_CHALLENGE, self._challenge(work, verdict)
            case Outcome.REJECT:
                code, attributes = Code.ACCESS_REJECT, self._reject(work.attempt.nas, verdict)
            case other:
                assert_never(other)
        return encode_reply(code=code, request=work.request, rules=work.known.rules, attributes=attributes)

    def _challenge(self, work: Work, verdict: Verdict) -> bytes:
        """Put together what is asked for; without Reply-Message pam_radius and ocserv refuse it (CLIENTS)."""
        attempt, dialogue = work.attempt, work.attempt.dialogue
        if dialogue is None or verdict.reason in FOR_A_CODE:
            return reply_message(prompt(verdict.reason, verdict.phone)) + state(self.sign_in.state_for(attempt))
        if verdict.recording is None:
            shown = secret_shown(self.sign_in.seed_of(dialogue), self.portal_url)
        else:
            codes = self.sign_in.codes_of(dialogue, verdict.recording)
            shown = codes_shown([each.shown for each in codes], verdict.recording, dialogue.stage + 1)
        return reply_message(shown) + state(self.sign_in.state_after(dialogue))

    def _reject(self, nas: Nas, verdict: Verdict) -> bytes:
        """Tell everybody the same, but whoever gave the right password that a code is on its way (0002)."""
        if verdict.reason in ABOUT_SMS:
            return reply_message(to_append(verdict.reason, verdict.phone))
        return _refusal(nas, self.portal_url)

    def _accept(self, work: Work, verdict: Verdict) -> bytes:
        """Put together what an Accept carries; the same with a code, and without one where a period lasts (R7)."""
        attributes = self._profile(work).limited_to(verdict.session)
        if verdict.enrol_by is None:
            return attributes
        return attributes + _countdown(ceil((verdict.enrol_by - work.attempt.at) / _DAY), self.portal_url)

    def _profile(self, work: Work) -> EncodedProfile:
        text = _applying(work.facts.memberships, work.attempt.nas.surface)
        return self.encode_profile(text) if text else _NOTHING


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


def _applying(memberships: Sequence[Membership], surface: str) -> str:
    """Choose the profile of the only membership that counts, the most specific for its role and this surface.

    Of several teams none is signed in to more than the others: there is no profile then.
    """
    if len(memberships) != 1 or not memberships[0].team.profiles:
        return ""
    role = memberships[0].role
    fitting = [
        profile
        for profile in memberships[0].team.profiles
        if profile.role in (None, role) and profile.surface in (None, surface)
    ]
    best = max(fitting, key=lambda profile: (profile.role is not None, profile.surface is not None), default=None)
    return "" if best is None else best.attributes


@lru_cache(maxsize=1024)
def _countdown(days: int, portal_url: str | None) -> bytes:
    """Tell somebody who may still go without an authenticator until when (T8)."""
    left = "1 day" if days <= 1 else f"{days} days"
    where = f": {portal_url}" if portal_url else "."
    return reply_message(f"You have {left} left to set up an authenticator{where}")

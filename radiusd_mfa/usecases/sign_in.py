"""Sign a user in: from an attempt and its facts to a settlement, in steps that a pipeline can run for many at once.

    open (store)  ->  examine (core)  ->  answer (password hash)  ->  decide (core)  ->  settle (store)

Owns the order of the steps, and what goes with a verdict into the settling transaction. Knows no SQL and no socket.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from radiusd_mfa.core.backup_codes import BackupCode
from radiusd_mfa.core.facts import Attempt, Facts, Nas, StoredBackupCode
from radiusd_mfa.core.judge import Question, Right
from radiusd_mfa.core.readings import Hypothesis
from radiusd_mfa.core.set_up import Dialogue, Recording, Unhashed
from radiusd_mfa.core.verdict import Outcome, SpendSms, Verdict
from radiusd_mfa.usecases import set_up, sms_at_sign_in
from radiusd_mfa.usecases.phone_codes import Post
from radiusd_mfa.usecases.ports import Digests, Entropy, IssuedChallenge, Settlement

STATE_DIGITS: Final = 32
"""A State is 128 bits as hexadecimal digits: ocserv takes it for a C string, and would cut it at an octet of zero."""


class Passwords(Protocol):
    """Who can say whether a password is right."""

    def verify(self, password: str, stored: str) -> bool:
        """Whether the prepared password is the one that was hashed."""
        ...

    def is_cheap(self, stored: str) -> bool:
        """Whether verifying takes microseconds."""
        ...

    def remembers(self, password: str, stored: str) -> bool:
        """Whether this password is known to be right, without computing its hash."""
        ...

    def dummy(self) -> str:
        """Return a hash that nothing matches and that costs as much as a real one."""
        ...

    def make(self, text: str) -> str:
        """Hash a backup code; takes about 30 ms."""
        ...


@dataclass(frozen=True, slots=True)
class SignIn:
    """The steps of a sign-in, bound to what they need."""

    digests: Digests = field(repr=False)
    passwords: Passwords
    entropy: Entropy = field(repr=False)
    """What the codes are drawn from that are sent to phones."""
    challenge_lifetime: float = 120.0

    def text_digest(self, *, user: str, text: bytes, at_prompt: bool, state: bytes | None = None) -> bytes:
        """Return the 8 octets by which a typed text is known again; a text at a code prompt is another text.

        So is one in answer to another State: a code that repeats itself must not stand in for the password before it.
        """
        prompt = b"code" if at_prompt else b"password"
        return self.digests.digest("text", prompt, user.encode(), text, state or b"")[:8]

    def state_digest(self, state: bytes) -> bytes:
        """Return the digest under which the store knows a State."""
        return set_up.state_digest(state, self.digests)

    def dialogue_of(self, nas: Nas, request: bytes, state: bytes | None) -> Dialogue | None:
        """Say where in a set-up a request stands, whose digest this is, with its State."""
        return set_up.dialogue_of(nas, request, state, self.digests)

    def state_after(self, dialogue: Dialogue) -> bytes:
        """Return the State of the challenge that comes next in a set-up."""
        return set_up.state_at(dialogue.root, dialogue.stage + 1)

    def seed_of(self, dialogue: Dialogue) -> bytes:
        """Return the secret that a set-up shows."""
        return set_up.seed_of(dialogue.root, self.digests)

    def codes_of(self, dialogue: Dialogue, recording: Recording) -> Sequence[BackupCode]:
        """Return all the backup codes that a set-up shows."""
        return set_up.codes_of(dialogue.root, recording.codes, self.digests)

    def state_for(self, attempt: Attempt) -> bytes:
        """Return the State of this attempt's challenge: the same for a retransmission, on every node (I6)."""
        return self.digests.digest("state", attempt.request).hex().encode()[:STATE_DIGITS]

    def is_cheap(self, question: Question) -> bool:
        """Whether answering takes microseconds, so that it need not go to the hash threads."""
        if question.unhashed is not None:
            return False
        if any(isinstance(hypothesis.factor, StoredBackupCode) for hypothesis in question.hypotheses):
            return False
        if not question.hypotheses:
            return True
        if question.stored is None:
            return False
        likely = question.hypotheses[0].password
        return self.passwords.is_cheap(question.stored) or self.passwords.remembers(likely, question.stored)

    def answer(self, question: Question) -> Right | None:
        """Check the passwords in their order, and the backup code beside the one that is right."""
        if question.unhashed is not None:
            return Right(question.hypotheses[0], hashes=self._hashes(question.unhashed))
        for hypothesis in question.hypotheses:
            if self._password_is_right(question, hypothesis):
                return Right(hypothesis, code=self._code_is_right(hypothesis))
        return None

    def settlement(self, attempt: Attempt, facts: Facts, verdict: Verdict) -> Settlement:
        """Put together what must become true before the verdict may be told."""
        more = set_up.alongside(attempt, facts.user, verdict, self.digests) if attempt.dialogue is not None else None
        challenge = None
        if verdict.outcome is Outcome.CHALLENGE and more is None and not verdict.settled_before:
            state = self.state_digest(self.state_for(attempt))
            challenge = IssuedChallenge(state, attempt.at + self.challenge_lifetime)
        if verdict.sends is not None or isinstance(verdict.spend, SpendSms):
            more = sms_at_sign_in.alongside(attempt, facts.user, verdict, Post(self.digests, self.entropy))
        return Settlement(attempt, facts, verdict, challenge, more)

    def _hashes(self, unhashed: Unhashed) -> tuple[str, ...]:
        codes = set_up.codes_of(unhashed.root, unhashed.recording.codes, self.digests)
        return tuple([self.passwords.make(code.canonical) for code in codes])

    def _password_is_right(self, question: Question, hypothesis: Hypothesis) -> bool:
        if not question.passwords_count:
            return True
        if question.stored is None:
            self.passwords.verify(hypothesis.password, self.passwords.dummy())  # for the time it takes
            return False
        return self.passwords.verify(hypothesis.password, question.stored)

    def _code_is_right(self, hypothesis: Hypothesis) -> bool:
        if not isinstance(hypothesis.factor, StoredBackupCode):
            return True
        return self.passwords.verify(hypothesis.backup_code, hypothesis.factor.hash)

"""Sign-ins without packets: attempts as the server makes them, for tests that talk to the store itself."""

import os
import time
from dataclasses import dataclass

from radiusd_mfa.core.facts import Attempt, Facts, Nas
from radiusd_mfa.core.judge import decide, examine
from radiusd_mfa.core.names import Username
from radiusd_mfa.core.typed import answer, appended
from radiusd_mfa.core.verdict import Verdict
from radiusd_mfa.usecases.ports import Settlement, SignInStore
from radiusd_mfa.usecases.sign_in import SignIn
from tests.support.world import CheapPasswords, TestUser, World


@dataclass
class Desk:
    """Makes attempts of one world, judges them, and takes them through a store."""

    world: World
    store: SignInStore
    nas: Nas

    @property
    def sign_in(self) -> SignIn:
        return SignIn(self.world.keys, CheapPasswords(), os.urandom)

    def attempt(
        self,
        user: TestUser | str,
        typed: bytes,
        *,
        state: bytes | None = None,
        request: bytes | None = None,
        at: float | None = None,
        nas: Nas | None = None,
        device: str = "",
    ) -> Attempt:
        """Return an attempt; `state` is the State as the NAS would send it."""
        name = user if isinstance(user, str) else user.name
        return Attempt(
            request=request or os.urandom(16),
            at=time.time() if at is None else at,
            nas=nas or self.nas,
            shown_name=name,
            user=Username.parse(name.encode()),
            typed=appended(typed) if state is None else answer(typed),
            text=self.sign_in.text_digest(user=name, text=typed, at_prompt=state is not None, state=state),
            device=device,
            state=None if state is None else self.sign_in.state_digest(state),
        )

    def judge(self, attempt: Attempt, facts: Facts) -> Verdict:
        examined = examine(attempt, facts)
        if isinstance(examined, Verdict):
            return examined
        return decide(attempt, facts, examined, self.sign_in.answer(examined))

    def judged(self, attempt: Attempt, facts: Facts) -> Settlement:
        return self.sign_in.settlement(attempt, facts, self.judge(attempt, facts))

    def opened(self, *attempts: Attempt) -> list[Settlement]:
        """Open a batch, and judge it on what was read."""
        return [self.judged(*pair) for pair in zip(attempts, self.store.open(attempts), strict=True)]

    def signed_in(self, attempt: Attempt) -> Verdict:
        """Take one attempt through all its steps, again where a claim was lost, as the pipeline does."""
        (settlement,) = self.opened(attempt)
        while self.store.settle([settlement]) == [None]:
            (facts,) = self.store.reread([attempt])
            settlement = self.judged(attempt, facts)
        return settlement.verdict

"""What judging tests share: a user, an authenticator, ways to type, and a decision with hashes that can be read."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from radiusd_mfa.core.backup_codes import BackupCode
from radiusd_mfa.core.facts import Attempt, Facts, Method, Nas, Person, StoredBackupCode
from radiusd_mfa.core.judge import Right, decide, examine
from radiusd_mfa.core.names import Username
from radiusd_mfa.core.totp import Algorithm, code_at
from radiusd_mfa.core.typed import Answer, Typed, answer, appended
from radiusd_mfa.core.verdict import Verdict

NOW: Final = 1_800_000_010.0
STEP: Final = 60_000_000
SEED: Final = b"twenty octets of it."
METHOD: Final = Method(9, SEED, 6, 30, Algorithm.SHA1, watermark=STEP - 10)
PASSWORD: Final = "hunter2"
BACKUP: Final = BackupCode("ab", "3defgh4kmnp5q")
FORGED: Final = BackupCode("ab", "3defgh4kmnp5r")  # the selector of a real code, another secret
STRANGE: Final = BackupCode("xy", "3defgh4kmnp5q")  # no code of the user's begins like this
TEXT: Final = b"textdige"
EARLIER_TEXT: Final = b"othertxt"
ALICE: Final = Person(1, "alice", f"hash of {PASSWORD}")
STORED: Final = StoredBackupCode(4, "ab", f"hash of {BACKUP.canonical}")


def code(offset: int = 0, *, method: Method = METHOD, at: float = NOW) -> str:
    return code_at(int(at // method.period) + offset, method.seed, method.digits, method.algorithm)


def wrong_code(length: int = 6) -> str:
    """Return digits that are the code of no step near NOW."""
    near = {code(offset) for offset in range(-3, 4)}
    return next(digits for number in range(10) if (digits := str(number) * length) not in near)


def plain(**columns: Any) -> Nas:
    return Nas(3, "vpn", "vpn", **columns)


CHALLENGING: Final = plain(challenge=True)
OTP_ONLY: Final = plain(otp_only=True)


def attempt(
    text: str | bytes,
    nas: Nas | None = None,
    *,
    user: str | None = "alice",
    at: float = NOW,
    state: bytes | None = None,
    separators: str = "",
    device: str = "de:vi:ce",
) -> Attempt:
    nas = nas or plain()
    raw = text.encode() if isinstance(text, str) else text
    at_prompt = state is not None or nas.otp_only
    typed: Typed | Answer = (
        answer(raw, (6, 8)) if at_prompt else appended(raw, digit_lengths=(6, 8), separators=separators)
    )
    name = None if user is None else Username(user)
    return Attempt(b"r" * 16, at, nas, user or "", name, typed, TEXT, device, state)


def with_charge(facts: Facts, made: Attempt) -> Facts:
    """Append the attempt's own charge, as the store does."""
    return facts if facts.user is None else replace(facts, history=facts.history + str(made.charge))


@dataclass
class Asked:
    """A verdict, and how many hashes it took."""

    verdict: Verdict
    hashes: int


def judged(made: Attempt, facts: Facts, *, right_hash: Callable[[str, str], bool] | None = None) -> Asked:
    """Run the whole decision, with hashes that can be read: `hash of TEXT`."""
    matches = right_hash or (lambda text, stored: stored == f"hash of {text}")
    facts = with_charge(facts, made)
    question = examine(made, facts)
    if isinstance(question, Verdict):
        return Asked(question, 0)
    hashes = 0
    for hypothesis in question.hypotheses:
        if question.passwords_count:
            hashes += 1
            if question.stored is None or not matches(hypothesis.password, question.stored):
                continue
        right = True
        if isinstance(hypothesis.factor, StoredBackupCode):
            hashes += 1
            right = matches(hypothesis.backup_code, hypothesis.factor.hash)
        return Asked(decide(made, facts, question, Right(hypothesis, code=right)), hashes)
    return Asked(decide(made, facts, question, None), hashes)


def verdict_of(made: Attempt, facts: Facts) -> Verdict:
    return judged(made, facts).verdict

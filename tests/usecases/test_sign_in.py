"""The steps of a sign-in without a database: which hashes are asked, and what goes into the settlement."""

import os
from dataclasses import dataclass, field, replace
from typing import Final

import pytest

from radiusd_mfa.core.backup_codes import BackupCode
from radiusd_mfa.core.facts import Attempt, Facts, Method, Nas, OpenChallenge, Person, StoredBackupCode
from radiusd_mfa.core.judge import Question, decide, examine
from radiusd_mfa.core.names import Username
from radiusd_mfa.core.totp import Algorithm, code_at
from radiusd_mfa.core.typed import answer, appended
from radiusd_mfa.core.verdict import Outcome, Reason, Verdict
from radiusd_mfa.keys import KeyRing
from radiusd_mfa.usecases.sign_in import SignIn

NOW: Final = 1_800_000_010.0
SEED: Final = b"twenty octets of it."
CODE: Final = code_at(60_000_000, SEED, 6, Algorithm.SHA1)
WRONG: Final = f"{(int(CODE) + 500_000) % 10**6:06}"
BACKUP: Final = BackupCode("ab", "3defgh4kmnp5q")
ALICE: Final = Person(1, "alice", "hash of hunter2")
ENROLLED: Final = Facts(
    user=ALICE,
    methods=(Method(9, SEED, 6, 30, Algorithm.SHA1, watermark=0),),
    backup_codes=(StoredBackupCode(4, "ab", f"hash of {BACKUP.canonical}"),),
)
CLOSED: Final = "".join(f"{NOW - 60 + n:.3f}/c/3/00000000/{n:016x}/{n:032x};" for n in range(5))


@dataclass
class CountingPasswords:
    """Hashes that can be read, and a list of what was checked against which."""

    asked: list[tuple[str, str]] = field(default_factory=list)

    def verify(self, password: str, stored: str) -> bool:
        self.asked.append((password, stored))
        return stored == f"hash of {password}"

    def is_cheap(self, stored: str) -> bool:
        return stored.startswith("cheap")

    def remembers(self, _password: str, _stored: str) -> bool:
        return False

    def dummy(self) -> str:
        return "hash of nothing"

    def make(self, text: str) -> str:
        return f"hash of {text}"


@pytest.fixture
def passwords() -> CountingPasswords:
    return CountingPasswords()


@pytest.fixture
def sign_in(keys: KeyRing, passwords: CountingPasswords) -> SignIn:
    return SignIn(keys, passwords, os.urandom)


def attempt(text: bytes, *, otp_only: bool = False, state: bytes | None = None, challenge: bool = False) -> Attempt:
    nas = Nas(3, "vpn", "vpn", challenge=challenge, otp_only=otp_only)
    typed = answer(text, (6, 8)) if otp_only or state else appended(text, digit_lengths=(6, 8))
    return Attempt(b"r" * 16, NOW, nas, "alice", Username("alice"), typed, b"textdige", "de:vi:ce", state)


def verdict(sign_in: SignIn, made: Attempt, facts: Facts) -> Verdict:
    """Run the steps as the pipeline does."""
    facts = replace(facts, history=facts.history + str(made.charge))
    question = examine(made, facts)
    if isinstance(question, Verdict):
        return question
    return decide(made, facts, question, sign_in.answer(question))


STATES: Final = {
    "unknown": (Facts(), Reason.UNKNOWN_USER),
    "disabled": (replace(ENROLLED, user=replace(ALICE, disabled=True)), Reason.DISABLED),
    "no password": (replace(ENROLLED, user=replace(ALICE, password_hash=None)), Reason.NO_PASSWORD),
    "throttled": (replace(ENROLLED, history=CLOSED), Reason.THROTTLED),
    "unenrolled": (Facts(user=ALICE), Reason.WRONG_PASSWORD),
    "enrolled": (ENROLLED, Reason.WRONG_PASSWORD),
}


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize(
    ("text", "hashes"),
    [
        ("letmein", 1),
        ("letmein" + WRONG, 2),
        ("letmein" + CODE, 2),
        ("letmein" + BACKUP.shown, 2),
        ("letmein" + BACKUP.canonical, 2),
        (CODE, 1),
        ("x" + CODE, 2),
    ],
    ids=["no code", "wrong code", "right code", "backup code", "without dashes", "code alone", "one letter"],
)
def test_a_wrong_password_costs_the_same_hashes_whoever_is_named(
    sign_in: SignIn, passwords: CountingPasswords, text: str, hashes: int, state: str
) -> None:
    facts, reason = STATES[state]
    given = verdict(sign_in, attempt(text.encode()), facts)
    assert (given.outcome, given.reason) == (Outcome.REJECT, reason)
    assert len(passwords.asked) == hashes


@pytest.mark.parametrize("state", ["unknown", "disabled", "no password", "throttled"])
def test_who_cannot_sign_in_is_asked_about_nobodys_hash(
    sign_in: SignIn, passwords: CountingPasswords, state: str
) -> None:
    facts, reason = STATES[state]
    assert verdict(sign_in, attempt(b"hunter2" + CODE.encode()), facts).reason is reason
    assert {stored for _, stored in passwords.asked} == {"hash of nothing"}


def test_not_even_the_dummys_own_text_opens_an_account_that_is_barred(sign_in: SignIn) -> None:
    for state in ("unknown", "disabled", "no password", "throttled"):
        assert verdict(sign_in, attempt(b"nothing" + CODE.encode()), STATES[state][0]).outcome is Outcome.REJECT


@pytest.mark.parametrize("text", [b"", CODE.encode(), b"SCRV1::", BACKUP.shown.encode(), b"\0" + CODE.encode()])
def test_an_empty_password_is_asked_of_nobody(sign_in: SignIn, passwords: CountingPasswords, text: bytes) -> None:
    """An empty LDAP bind succeeds, as anonymous (RFC 4513 5.1.2)."""
    assert verdict(sign_in, attempt(text), ENROLLED).outcome is Outcome.REJECT
    assert "" not in {password for password, _ in passwords.asked}


def test_a_text_that_cannot_be_read_costs_no_hash_whoever_is_named(
    sign_in: SignIn, passwords: CountingPasswords
) -> None:
    reasons = [verdict(sign_in, attempt(b"hunter2\xff"), facts).reason for facts, _ in STATES.values()]
    assert passwords.asked == []
    assert reasons[-1] is Reason.UNREADABLE


def test_a_losing_reading_has_its_backup_code_not_looked_at(sign_in: SignIn, passwords: CountingPasswords) -> None:
    assert verdict(sign_in, attempt(f"letmein{BACKUP.shown}".encode()), ENROLLED).spend is None
    assert {stored for _, stored in passwords.asked} == {"hash of hunter2"}


def test_a_right_backup_code_costs_two_hashes_and_a_totp_code_one(
    sign_in: SignIn, passwords: CountingPasswords
) -> None:
    assert verdict(sign_in, attempt(f"hunter2{CODE}".encode()), ENROLLED).outcome is Outcome.ACCEPT
    assert len(passwords.asked) == 1
    assert verdict(sign_in, attempt(f"hunter2{BACKUP.shown}".encode()), ENROLLED).outcome is Outcome.ACCEPT
    assert len(passwords.asked) == 3


def test_after_a_challenge_no_password_is_asked(sign_in: SignIn, passwords: CountingPasswords) -> None:
    facts = replace(ENROLLED, challenge=OpenChallenge(1, 3, NOW + 1))
    assert verdict(sign_in, attempt(CODE.encode(), state=b"s"), facts).outcome is Outcome.ACCEPT
    assert passwords.asked == []


def test_what_needs_no_hash_or_a_cheap_one_does_not_go_to_the_hash_threads(sign_in: SignIn) -> None:
    def question(text: bytes, facts: Facts) -> Question:
        made = attempt(text)
        asked = examine(made, replace(facts, history=str(made.charge)))
        assert isinstance(asked, Question)
        return asked

    cheap = replace(ENROLLED, user=replace(ALICE, password_hash="cheap"))
    assert sign_in.is_cheap(question(b"letmein", cheap))
    assert sign_in.is_cheap(question(b"", ENROLLED))
    assert not sign_in.is_cheap(question(b"letmein", ENROLLED))
    assert not sign_in.is_cheap(question(b"letmein", Facts()))
    assert not sign_in.is_cheap(question(b"letmein" + BACKUP.shown.encode(), cheap))


def test_only_a_new_challenge_is_issued(sign_in: SignIn) -> None:
    made = attempt(b"hunter2", challenge=True)
    given = verdict(sign_in, made, ENROLLED)
    settlement = sign_in.settlement(made, ENROLLED, given)
    assert settlement.challenge is not None
    assert settlement.challenge.expires == NOW + 120
    assert settlement.challenge.state == sign_in.state_digest(sign_in.state_for(made))
    again = replace(given, settled_before=True)
    assert sign_in.settlement(made, ENROLLED, again).challenge is None
    refused = verdict(sign_in, attempt(b"letmein", challenge=True), ENROLLED)
    assert sign_in.settlement(made, ENROLLED, refused).challenge is None


def test_a_state_says_nothing_of_its_request_and_is_the_same_on_every_node(sign_in: SignIn, keys: KeyRing) -> None:
    made = attempt(b"hunter2", challenge=True)
    other = replace(made, request=b"s" * 16)
    state = sign_in.state_for(made)
    assert len(state) == 32
    assert state.isalnum()  # ocserv takes it for a C string: an octet of zero would end it
    assert state == SignIn(keys, CountingPasswords(), os.urandom).state_for(made)
    assert state != sign_in.state_for(other)
    assert made.request not in state
    assert sign_in.state_digest(state) != state


def test_a_text_is_known_again_only_for_the_same_user_at_the_same_prompt(sign_in: SignIn) -> None:
    known = sign_in.text_digest(user="alice", text=b"492039", at_prompt=True)
    assert len(known) == 8
    assert known == sign_in.text_digest(user="alice", text=b"492039", at_prompt=True)
    assert known != sign_in.text_digest(user="alice", text=b"492039", at_prompt=False)
    assert known != sign_in.text_digest(user="bob", text=b"492039", at_prompt=True)
    assert known != SignIn(KeyRing([("other", bytes(32))]), CountingPasswords(), os.urandom).text_digest(
        user="alice", text=b"492039", at_prompt=True
    )


def test_no_secret_shows_in_what_a_log_would_print(sign_in: SignIn) -> None:
    made = attempt(f"hunter2{CODE}".encode())
    given = verdict(sign_in, made, ENROLLED)
    shown = repr((made, ENROLLED, given, sign_in.settlement(made, ENROLLED, given)))
    question = examine(made, replace(ENROLLED, history=str(made.charge)))
    for secret in ("hunter2", CODE, "twenty octets", BACKUP.secret, "textdige"):
        assert secret not in shown
        assert secret not in repr(question)

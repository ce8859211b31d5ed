"""The decision as a table: what was typed, at which NAS, by whom, and what follows."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radiusd_mfa.core.backup_codes import BackupCode
from radiusd_mfa.core.facts import Attempt, Earlier, Facts, Method, Nas, OpenChallenge, Person, StoredBackupCode
from radiusd_mfa.core.judge import RETRANSMITTED_FOR, Question, examine
from radiusd_mfa.core.readings import MOST_READINGS
from radiusd_mfa.core.throttle import marked
from radiusd_mfa.core.totp import Algorithm, code_at
from radiusd_mfa.core.typed import Answer
from radiusd_mfa.core.verdict import Mark, Outcome, Reason, SpendBackupCode, SpendStep, Verdict
from radiusd_mfa.core.verification import Verification
from tests.support.judging import (
    ALICE,
    BACKUP,
    CHALLENGING,
    EARLIER_TEXT,
    FORGED,
    METHOD,
    NOW,
    OTP_ONLY,
    PASSWORD,
    SEED,
    STEP,
    STORED,
    STRANGE,
    TEXT,
    attempt,
    code,
    judged,
    plain,
    verdict_of,
    with_charge,
    wrong_code,
)

ENROLLED: Final = Facts(user=ALICE, methods=(METHOD,), backup_codes=(STORED,))
SPENT: Final = replace(ENROLLED, methods=(replace(METHOD, watermark=STEP),), backup_codes=(replace(STORED, used=True),))
THROTTLED_HISTORY: Final = "".join(f"{NOW - 60 + n:.3f}/c/3/00000000/{n:016x}/{n:032x};" for n in range(5))
KNOWN_WRONG_HISTORY: Final = f"{NOW - 60:.3f}/c/3/00000000/{TEXT.hex()}/{7:032x};"

STATES: Final[Mapping[str, Facts]] = {
    "unknown": Facts(),
    "disabled": replace(ENROLLED, user=replace(ALICE, disabled=True)),
    "no password": replace(ENROLLED, user=replace(ALICE, password_hash=None)),
    "not a member": replace(ENROLLED, team_id=5),
    "unenrolled": Facts(user=ALICE),
    "throttled": replace(ENROLLED, history=THROTTLED_HISTORY),
    "known wrong": replace(ENROLLED, history=KNOWN_WRONG_HISTORY),
    "enrolled": ENROLLED,
    "spent": SPENT,
}
BARRED: Final = {
    "unknown": Reason.UNKNOWN_USER,
    "disabled": Reason.DISABLED,
    "no password": Reason.NO_PASSWORD,
    "not a member": Reason.NOT_A_MEMBER,
    "throttled": Reason.THROTTLED,
    "known wrong": Reason.KNOWN_WRONG,
}

# With a password in the text.
TYPED: Final = {
    "nothing right": "letmein",
    "wrong password, wrong code": "letmein" + wrong_code(),
    "wrong password, fresh code": "letmein" + code(),
    "wrong password, backup code": "letmein" + BACKUP.shown,
    "code only": code(),
    "backup code only": BACKUP.shown,
    "password only": PASSWORD,
    "password, wrong code": PASSWORD + wrong_code(),
    "password, code too old": PASSWORD + code(-2),
    "password, code too early": PASSWORD + code(2),
    "password, fresh code": PASSWORD + code(),
    "password, backup code": PASSWORD + BACKUP.shown,
    "password, backup code without dashes": PASSWORD + BACKUP.canonical,
    "password, forged backup code": PASSWORD + FORGED.shown,
    "password, strange backup code": PASSWORD + STRANGE.shown,
    "empty": "",
    "control character": PASSWORD + "\x1b" + code(),
}
R: Final = Reason
Row = tuple[Outcome, Reason, Mark, object]


def reject(reason: Reason, mark: Mark = Mark.REFUND) -> Row:
    return Outcome.REJECT, reason, mark, None


WRONG_PASSWORD: Final = reject(R.WRONG_PASSWORD, Mark.WRONG_PASSWORD)
WRONG_CODE: Final = reject(R.WRONG_CODE, Mark.WRONG_CODE)
REUSED: Final = reject(R.CODE_REUSED, Mark.WRONG_CODE)
NOT_ENROLLED: Final = reject(R.NOT_ENROLLED, Mark.CLEAR)
MISSING: Final = reject(R.CODE_MISSING, Mark.CLEAR)
DUE: Final[Row] = (Outcome.CHALLENGE, R.CODE_DUE, Mark.CLEAR, None)
BY_TOTP: Final[Row] = (Outcome.ACCEPT, R.TOTP, Mark.CLEAR, SpendStep(9, STEP))
BY_BACKUP_CODE: Final[Row] = (Outcome.ACCEPT, R.BACKUP_CODE, Mark.CLEAR, SpendBackupCode(4))

# typed -> (enrolled, spent, unenrolled); None: what the password alone is worth depends on the NAS.
ALONE: Final = None
WORTH: Final[Mapping[str, tuple[Row | None, Row | None, Row | None]]] = {
    "nothing right": (WRONG_PASSWORD,) * 3,
    "wrong password, wrong code": (WRONG_PASSWORD,) * 3,
    "wrong password, fresh code": (WRONG_PASSWORD,) * 3,
    "wrong password, backup code": (WRONG_PASSWORD,) * 3,
    "code only": (WRONG_PASSWORD,) * 3,
    "backup code only": (WRONG_PASSWORD,) * 3,
    "password only": (ALONE, ALONE, NOT_ENROLLED),
    "password, wrong code": (WRONG_CODE, WRONG_CODE, NOT_ENROLLED),
    "password, code too old": (WRONG_CODE, WRONG_CODE, NOT_ENROLLED),
    "password, code too early": (WRONG_CODE, WRONG_CODE, NOT_ENROLLED),
    "password, fresh code": (BY_TOTP, REUSED, NOT_ENROLLED),
    "password, backup code": (BY_BACKUP_CODE, REUSED, NOT_ENROLLED),
    "password, backup code without dashes": (BY_BACKUP_CODE, REUSED, NOT_ENROLLED),
    "password, forged backup code": (WRONG_CODE, WRONG_CODE, NOT_ENROLLED),
    "password, strange backup code": (WRONG_CODE, WRONG_CODE, NOT_ENROLLED),
    "empty": (reject(R.UNREADABLE),) * 3,
    "control character": (reject(R.UNREADABLE),) * 3,
}


def expected(what: str, nas: Nas, state: str) -> Row:
    if state in BARRED:
        return reject(BARRED[state])
    row = WORTH[what][("enrolled", "spent", "unenrolled").index(state)]
    if row is not None:
        return row
    return DUE if nas.challenge else MISSING


def summary(verdict: Verdict) -> Row:
    return verdict.outcome, verdict.reason, verdict.mark, verdict.spend


def test_the_table_has_a_row_for_everything_that_is_typed() -> None:
    assert WORTH.keys() == TYPED.keys()


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("nas", [plain(), CHALLENGING], ids=["plain", "challenge"])
@pytest.mark.parametrize("what", TYPED)
def test_password_and_code_in_one_text(what: str, nas: Nas, state: str) -> None:
    verdict = verdict_of(attempt(TYPED[what], nas), STATES[state])
    assert summary(verdict) == expected(what, nas, state)
    assert [verdict.redeems, verdict.settled_before, verdict.clock_is_behind] == [False] * 3


# Where nothing but a code is expected: typed -> (enrolled, spent, unenrolled).
AT_PROMPT: Final[Mapping[str, tuple[str, Row, Row, Row]]] = {
    "nothing": ("", *(reject(R.CODE_MISSING),) * 3),
    "a word": ("sms", *(reject(R.CODE_MISSING),) * 3),
    "the password again": (PASSWORD, *(reject(R.CODE_MISSING),) * 3),
    "password and code": (PASSWORD + code(), *(reject(R.CODE_MISSING),) * 3),
    "wrong code": (wrong_code(), WRONG_CODE, WRONG_CODE, NOT_ENROLLED),
    "eight digits": (wrong_code(8), WRONG_CODE, WRONG_CODE, NOT_ENROLLED),
    "code too old": (code(-2), WRONG_CODE, WRONG_CODE, NOT_ENROLLED),
    "fresh code": (code(), BY_TOTP, REUSED, NOT_ENROLLED),
    "fresh code with a space": (f" {code()[:3]} {code()[3:]} ", BY_TOTP, REUSED, NOT_ENROLLED),
    "backup code": (BACKUP.shown, BY_BACKUP_CODE, REUSED, NOT_ENROLLED),
    "forged backup code": (FORGED.shown, WRONG_CODE, WRONG_CODE, NOT_ENROLLED),
    "strange backup code": (STRANGE.shown, WRONG_CODE, WRONG_CODE, NOT_ENROLLED),
}
# What the store can know: an unenrolled user has no backup codes of a valid generation.
OPEN_CHALLENGE: Final = OpenChallenge(user_id=1, nas_id=3, expires=NOW + 1)


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("way", ["otp-only", "challenge"])
@pytest.mark.parametrize("what", AT_PROMPT)
def test_a_code_alone_where_nothing_but_a_code_is_expected(what: str, way: str, state: str) -> None:
    text, *worth = AT_PROMPT[what]
    facts = STATES[state]
    made = attempt(text, OTP_ONLY)
    if way == "challenge":
        made = attempt(text, CHALLENGING, state=b"state")
        facts = replace(facts, challenge=OPEN_CHALLENGE)
    verdict = verdict_of(made, facts)
    if state in BARRED and state != "no password":
        assert summary(verdict) == reject(BARRED[state])
    else:
        # Whose password was checked elsewhere, or a step before, needs none here.
        index = ("enrolled", "spent", "unenrolled").index("enrolled" if state == "no password" else state)
        assert summary(verdict) == worth[index]
    assert verdict.redeems == (way == "challenge"), "one State buys one answer, whatever the answer"


@pytest.mark.parametrize(
    "challenge",
    [
        None,
        OpenChallenge(user_id=2, nas_id=3, expires=NOW + 1),
        OpenChallenge(user_id=1, nas_id=4, expires=NOW + 1),
        OpenChallenge(user_id=1, nas_id=3, expires=NOW),
        OpenChallenge(user_id=1, nas_id=3, expires=NOW - 1000),
    ],
    ids=["foreign or used", "another user's", "another NAS's", "just expired", "long expired"],
)
@pytest.mark.parametrize("typed", [code(), BACKUP.shown, PASSWORD + code(), wrong_code(), ""])
def test_a_state_that_is_not_good_here_and_now_is_refused_unseen(typed: str, challenge: OpenChallenge | None) -> None:
    verdict = verdict_of(attempt(typed, CHALLENGING, state=b"state"), replace(ENROLLED, challenge=challenge))
    assert summary(verdict) == reject(R.BAD_STATE)
    assert verdict.redeems == (challenge is not None)


def test_an_answer_without_a_challenge_is_refused_on_a_nas_that_has_none() -> None:
    assert verdict_of(attempt(code(), plain(), state=b"x"), ENROLLED).reason is R.BAD_STATE


def test_full_width_and_arabic_digits_are_no_code() -> None:
    for base in (0xFF10, 0x0660, 0x06F0, 0x1D7CE):
        digits = "".join(chr(base + int(digit)) for digit in code())
        assert verdict_of(attempt(PASSWORD + digits), ENROLLED).reason is R.WRONG_PASSWORD
        assert verdict_of(attempt(digits, OTP_ONLY), ENROLLED).reason is R.CODE_MISSING


@pytest.mark.parametrize("offset", [-3, -2, 2, 3])
def test_a_code_of_a_step_outside_the_window_is_wrong(offset: int) -> None:
    assert verdict_of(attempt(PASSWORD + code(offset)), ENROLLED).reason is R.WRONG_CODE


@pytest.mark.parametrize("offset", [-1, 0, 1])
def test_a_code_of_the_window_claims_its_own_step(offset: int) -> None:
    assert verdict_of(attempt(PASSWORD + code(offset)), ENROLLED).spend == SpendStep(9, STEP + offset)


@pytest.mark.parametrize("later", [0.0, 1.0, 19.0, 20.0, 31.0, 49.9])
def test_a_spent_code_stays_spent_as_long_as_it_can_be_read(later: float) -> None:
    spent = replace(ENROLLED, methods=(replace(METHOD, watermark=STEP),))
    made = attempt(PASSWORD + code(), at=NOW + later)
    assert summary(verdict_of(made, spent)) == REUSED


def test_steps_t_and_t_plus_1_and_then_t_again_is_refused() -> None:
    facts = ENROLLED
    for offset, reason in ((0, R.TOTP), (1, R.TOTP), (0, R.CODE_REUSED), (-1, R.CODE_REUSED)):
        verdict = verdict_of(attempt(PASSWORD + code(offset)), facts)
        assert verdict.reason is reason
        if isinstance(verdict.spend, SpendStep):
            facts = replace(facts, methods=(replace(METHOD, watermark=verdict.spend.step),))


@pytest.mark.parametrize("at", [2**31 - 1.0, 2**31 + 1.0, 2**32 + 1.0, 4_102_444_800.0])
def test_the_year_2038_is_a_year_like_others(at: float) -> None:
    method = replace(METHOD, watermark=0)
    facts = replace(ENROLLED, methods=(method,))
    made = attempt(PASSWORD + code(at=at), at=at)
    assert verdict_of(made, facts).spend == SpendStep(9, int(at // 30))


def test_a_clock_that_was_set_back_opens_nothing_and_is_told() -> None:
    facts = replace(ENROLLED, methods=(replace(METHOD, watermark=STEP + 120),))
    verdict = verdict_of(attempt(PASSWORD + code()), facts)
    assert summary(verdict) == REUSED
    assert verdict.clock_is_behind


@pytest.mark.parametrize("ahead", [0, 1])
def test_a_phone_that_is_a_step_ahead_is_no_alarm(ahead: int) -> None:
    facts = replace(ENROLLED, methods=(replace(METHOD, watermark=STEP + ahead),))
    verdict = verdict_of(attempt(PASSWORD + code()), facts)
    assert verdict.reason is R.CODE_REUSED
    assert not verdict.clock_is_behind


def test_a_code_of_another_method_does_not_raise_the_wrong_watermark() -> None:
    other = replace(METHOD, id=10, seed=b"another seed with 20")
    facts = replace(ENROLLED, methods=(METHOD, other))
    assert verdict_of(attempt(PASSWORD + code(method=other)), facts).spend == SpendStep(10, STEP)


def test_a_spent_code_of_one_method_that_is_fresh_in_another_is_fresh() -> None:
    facts = replace(ENROLLED, methods=(replace(METHOD, watermark=STEP), replace(METHOD, id=10)))
    assert verdict_of(attempt(PASSWORD + code()), facts).spend == SpendStep(10, STEP)


def test_methods_of_eight_digits_and_60_seconds_are_read_as_they_are() -> None:
    method = Method(12, SEED, 8, 60, Algorithm.SHA256, watermark=0)
    facts = Facts(user=ALICE, methods=(method,))
    assert verdict_of(attempt(PASSWORD + code(method=method)), facts).spend == SpendStep(12, int(NOW // 60))
    assert verdict_of(attempt(PASSWORD + code()), facts).outcome is Outcome.REJECT


# Passwords that look like something else.


@pytest.mark.parametrize("password", ["pw123456", "123456", "12345678", "pw00000000", "pw" + code(), code()])
@pytest.mark.parametrize("given", ["nothing", "code", "next code", "wrong", "spent"])
def test_a_password_that_ends_in_digits_is_read_in_every_way(password: str, given: str) -> None:
    facts = replace(ENROLLED, user=replace(ALICE, password_hash=f"hash of {password}"))
    if given == "spent":
        facts = replace(facts, methods=SPENT.methods)
    last = {"nothing": "", "code": code(), "next code": code(1), "wrong": wrong_code(), "spent": code()}[given]
    asked = judged(attempt(password + last), facts)
    reason = {"nothing": R.CODE_MISSING, "wrong": R.WRONG_CODE, "spent": R.CODE_REUSED}.get(given, R.TOTP)
    assert asked.verdict.reason is reason
    assert asked.hashes <= 2


def test_a_password_whose_end_equals_the_current_code_spends_nothing_by_that() -> None:
    facts = replace(ENROLLED, user=replace(ALICE, password_hash=f"hash of pw{code()}"))
    verdict = verdict_of(attempt("pw" + code()), facts)
    assert summary(verdict) == MISSING


@pytest.mark.parametrize(("password", "spent"), [("pw{}", 9), ("pw", 12)], ids=["six digits", "eight digits"])
def test_of_two_readings_whose_codes_are_both_right_the_one_with_the_right_password_spends(
    password: str, spent: int
) -> None:
    """The last six of eight digits are the code of another method: a losing reading spends nothing (ATTACKS 18)."""
    eight = replace(METHOD, id=12, digits=8)
    digits = code(method=eight)
    assert digits.endswith(code())
    meant = password.format(digits[:2])
    facts = Facts(user=replace(ALICE, password_hash=f"hash of {meant}"), methods=(METHOD, eight))
    assert verdict_of(attempt("pw" + digits), facts).spend == SpendStep(spent, STEP)


def test_a_password_that_ends_like_a_backup_code_can_be_used() -> None:
    password = "pw" + STRANGE.shown
    facts = replace(ENROLLED, user=replace(ALICE, password_hash=f"hash of {password}"))
    assert verdict_of(attempt(password), facts).reason is R.CODE_MISSING
    assert verdict_of(attempt(password + code()), facts).reason is R.TOTP
    assert verdict_of(attempt(password + BACKUP.shown), facts).reason is R.BACKUP_CODE


@pytest.mark.parametrize("password", ["a,b", "a,", ",a", "a;b;", "a b", "a, "])
@pytest.mark.parametrize("separators", ["", ",", ",; "])
@pytest.mark.parametrize("separator", ["", ","])
def test_a_password_with_a_separator_in_it_is_read_in_every_way(password: str, separators: str, separator: str) -> None:
    facts = replace(ENROLLED, user=replace(ALICE, password_hash=f"hash of {password}"))
    made = attempt(password + separator + code(), separators=separators)
    accepted = not separator or separator in separators
    assert verdict_of(made, facts).outcome is (Outcome.ACCEPT if accepted else Outcome.REJECT)


@pytest.mark.parametrize("password", ["pw,", "pw;"])
def test_a_code_guessed_with_a_right_password_counts_as_a_code_whatever_the_password_ends_in(password: str) -> None:
    facts = replace(ENROLLED, user=replace(ALICE, password_hash=f"hash of {password}"))
    verdict = verdict_of(attempt(password + wrong_code(), separators=",;"), facts)
    assert summary(verdict) == WRONG_CODE


# What was settled before.


@pytest.mark.parametrize("outcome", Outcome)
@pytest.mark.parametrize("late", [-RETRANSMITTED_FOR, 0.0, 1.0, RETRANSMITTED_FOR])
def test_a_retransmission_has_the_same_verdict_and_claims_nothing(outcome: Outcome, late: float) -> None:
    facts = replace(ENROLLED, earlier=Earlier(NOW - late, outcome, R.TOTP))
    asked = judged(attempt("whatever"), facts)
    assert asked.verdict == Verdict(outcome, R.TOTP, settled_before=True)
    assert asked.hashes == 0


@pytest.mark.parametrize("late", [-RETRANSMITTED_FOR - 1, RETRANSMITTED_FOR + 1, 86_400.0])
def test_the_octets_of_an_old_request_are_a_replay(late: float) -> None:
    facts = replace(ENROLLED, earlier=Earlier(NOW - late, Outcome.ACCEPT, R.TOTP))
    assert summary(verdict_of(attempt(PASSWORD + code()), facts)) == reject(R.REPLAYED)


GRACE: Final = plain(retry_grace=30.0)
DONE: Final = Verification(NOW - 10, TEXT)


@pytest.mark.parametrize(
    "apart", [-29.9, 0.0, 29.9], ids=["after it", "at once", "settled before it, by a clock ahead"]
)
def test_the_same_text_within_the_grace_is_accepted_again_and_spends_nothing(apart: float) -> None:
    done = replace(DONE, at=NOW + apart)
    verdict = verdict_of(attempt(PASSWORD + code(), GRACE), replace(SPENT, verification=done))
    assert summary(verdict) == (Outcome.ACCEPT, R.REPEAT, Mark.REFUND, None)


@pytest.mark.parametrize(
    ("nas", "facts"),
    [
        (plain(), replace(SPENT, verification=DONE)),
        (GRACE, SPENT),
        (GRACE, replace(SPENT, verification=replace(DONE, text=EARLIER_TEXT))),
        (GRACE, replace(SPENT, verification=replace(DONE, at=NOW - 30.1))),
        (GRACE, replace(SPENT, verification=replace(DONE, at=NOW + 30.1))),
        (GRACE, replace(SPENT, verification=DONE, user=replace(ALICE, disabled=True))),
        (GRACE, replace(SPENT, verification=DONE, team_id=5)),
        (plain(retry_grace=86_400.0), replace(SPENT, verification=replace(DONE, at=NOW - 60.1))),
        (plain(retry_grace=float("inf")), replace(SPENT, verification=replace(DONE, at=NOW - 60.1))),
        (plain(retry_grace=float("nan")), replace(SPENT, verification=DONE)),
    ],
    ids=[
        *("no grace", "never signed in here", "another text", "too late", "clock went back", "disabled", "stranger"),
        *("no retry takes a day", "nor for ever", "no time"),
    ],
)
def test_nothing_else_is_a_retry(nas: Nas, facts: Facts) -> None:
    verdict = verdict_of(attempt(PASSWORD + code(), nas), facts)
    assert verdict.outcome is Outcome.REJECT


def test_a_wrong_password_from_a_known_device_waits_apart() -> None:
    facts = replace(ENROLLED, verification=replace(DONE, text=EARLIER_TEXT))
    assert verdict_of(attempt("letmein"), facts).mark is Mark.WRONG_PASSWORD_KNOWN_DEVICE


# How much a question costs.


@pytest.mark.parametrize("state", [*BARRED, "unenrolled"])
@pytest.mark.parametrize(
    "text", ["letmein", "letmein" + wrong_code(), "letmein" + STRANGE.shown, "letmein" + STRANGE.canonical]
)
def test_who_cannot_sign_in_costs_as_many_hashes_as_who_can(text: str, state: str) -> None:
    assert judged(attempt(text), STATES[state]).hashes == judged(attempt(text), ENROLLED).hashes > 0


@pytest.mark.parametrize(
    ("with_right_password", "with_wrong_password"),
    [(PASSWORD, "letmein"), (PASSWORD + wrong_code(), "letmein" + wrong_code())],
    ids=["no code", "wrong code"],
)
def test_a_right_password_costs_as_many_hashes_as_a_wrong_one(
    with_right_password: str, with_wrong_password: str
) -> None:
    right, wrong = (judged(attempt(text), ENROLLED) for text in (with_right_password, with_wrong_password))
    assert right.hashes == wrong.hashes
    assert right.verdict.outcome is wrong.verdict.outcome is Outcome.REJECT


def test_only_a_closed_account_may_go_without_its_hash() -> None:
    for name, facts in STATES.items():
        made = attempt("letmein")
        question = examine(made, with_charge(facts, made))
        assert isinstance(question, Question)
        assert question.optional == (name in ("throttled", "known wrong"))


# Properties over whatever can be known and typed.

PIECES: Final = st.sampled_from(
    (
        *(PASSWORD, "letmein", "", code(), code(-1), code(1), code(5), wrong_code(), BACKUP.shown, BACKUP.canonical),
        *(FORGED.shown, STRANGE.shown, "12345678", ",", "ü", "\x00", "sms", "SCRV1:"),
    )
)
TEXTS: Final = st.one_of(st.lists(PIECES, max_size=4).map("".join), st.text(max_size=40))
NASES: Final = st.builds(
    plain, challenge=st.booleans(), otp_only=st.booleans(), retry_grace=st.sampled_from([0.0, 30.0])
)
METHODS: Final = st.lists(
    st.builds(
        Method,
        id=st.integers(1, 3),
        seed=st.sampled_from([SEED, b"another seed with 20"]),
        digits=st.sampled_from([6, 8]),
        period=st.sampled_from([30, 60]),
        algorithm=st.sampled_from(list(Algorithm)),
        watermark=st.sampled_from([0, STEP - 2, STEP - 1, STEP, STEP + 1, STEP + 500]),
    ),
    max_size=3,
    unique_by=lambda method: method.id,
).map(tuple)
FACTS: Final = st.builds(
    Facts,
    user=st.one_of(
        st.none(),
        st.builds(
            Person,
            id=st.sampled_from([1, 2]),
            name=st.just("alice"),
            password_hash=st.sampled_from([None, f"hash of {PASSWORD}", f"hash of pw{code()}"]),
            disabled=st.booleans(),
        ),
    ),
    methods=METHODS,
    backup_codes=st.lists(
        st.builds(
            StoredBackupCode,
            id=st.integers(1, 9),
            selector=st.just("ab"),
            hash=st.sampled_from([STORED.hash, "hash of another"]),
            used=st.booleans(),
        ),
        max_size=1,
    ).map(tuple),
    challenge=st.one_of(
        st.none(),
        st.builds(
            OpenChallenge,
            user_id=st.sampled_from([1, 2]),
            nas_id=st.sampled_from([3, 4]),
            expires=st.sampled_from([NOW - 1, NOW + 1]),
        ),
    ),
    verification=st.one_of(
        st.none(),
        st.builds(
            Verification, at=st.sampled_from([NOW - 60, NOW - 1, NOW + 60]), text=st.sampled_from([TEXT, EARLIER_TEXT])
        ),
    ),
    history=st.sampled_from(["", THROTTLED_HISTORY, KNOWN_WRONG_HISTORY, "rubbish;"]),
)
ATTEMPTS: Final = st.builds(attempt, TEXTS, NASES, state=st.sampled_from([None, b"state"]), separators=st.just(",; "))


@given(ATTEMPTS, FACTS)
def test_nobody_gets_in_without_an_unspent_code_of_their_own(made: Attempt, facts: Facts) -> None:
    verdict = verdict_of(made, facts)
    if verdict.outcome is not Outcome.ACCEPT:
        return
    assert facts.user is not None
    assert not facts.user.disabled
    match verdict.spend:
        case SpendStep(method_id, step):
            method = next(each for each in facts.methods if each.id == method_id)
            assert step > method.watermark
            assert abs(step - NOW // method.period) <= 1
            assert _typed_code(made) == code_at(step, method.seed, method.digits, method.algorithm)[-6:]
        case SpendBackupCode(code_id):
            row = next(each for each in facts.backup_codes if each.id == code_id)
            assert not row.used
            assert row.hash == STORED.hash
        case None:
            assert verdict.reason is R.REPEAT
            assert facts.verification is not None
            assert facts.verification.text == made.text


def _typed_code(made: Attempt) -> str:
    """Return the last six digits of what was typed as a code, as the readings know them."""
    codes = [made.typed.code] if isinstance(made.typed, Answer) else [each.code for each in made.typed.readings]
    return next(each.digits[-6:] for each in codes if each is not None and not isinstance(each, BackupCode))


@given(ATTEMPTS, FACTS)
def test_only_an_accept_spends_and_a_reject_never_does(made: Attempt, facts: Facts) -> None:
    verdict = verdict_of(made, facts)
    assert (verdict.spend is None) == (verdict.outcome is not Outcome.ACCEPT or verdict.reason is R.REPEAT)


@given(ATTEMPTS, FACTS)
def test_a_password_right_or_not_is_never_enough(made: Attempt, facts: Facts) -> None:
    """Without any fact about a code there is no Accept, whatever password hashes say (T0)."""
    nothing = replace(facts, methods=(), backup_codes=(), verification=None)
    assert judged(made, nothing, right_hash=lambda _text, _stored: True).verdict.outcome is Outcome.REJECT


@given(ATTEMPTS, FACTS)
def test_a_challenge_goes_only_to_a_nas_that_can_show_it_and_after_the_right_password(
    made: Attempt, facts: Facts
) -> None:
    verdict = verdict_of(made, facts)
    if verdict.outcome is Outcome.CHALLENGE:
        assert made.nas.challenge
        assert facts.methods
        refused = judged(made, facts, right_hash=lambda _text, _stored: False).verdict
        assert refused.reason is R.WRONG_PASSWORD


@given(ATTEMPTS, FACTS)
def test_a_question_is_about_at_most_four_passwords(made: Attempt, facts: Facts) -> None:
    question = examine(made, with_charge(facts, made))
    if isinstance(question, Question):
        assert len(question.hypotheses) <= MOST_READINGS == 4


@given(TEXTS.map(attempt), FACTS)
def test_a_question_is_about_at_most_two_passwords_where_codes_have_one_length_and_no_separator(
    made: Attempt, facts: Facts
) -> None:
    facts = replace(facts, methods=tuple(each for each in facts.methods if each.digits == 6))
    question = examine(made, with_charge(facts, made))
    if isinstance(question, Question):
        assert len(question.hypotheses) <= 2


@pytest.mark.parametrize("length", [6, 8])
def test_a_wrong_code_of_either_length_is_a_wrong_code_for_who_has_both(length: int) -> None:
    facts = replace(ENROLLED, methods=(METHOD, replace(METHOD, id=10, digits=8)))
    assert summary(verdict_of(attempt(PASSWORD + wrong_code(length)), facts)) == WRONG_CODE


@given(ATTEMPTS, FACTS)
def test_a_wrong_answer_to_every_question_never_opens(made: Attempt, facts: Facts) -> None:
    verdict = judged(made, facts, right_hash=lambda _text, _stored: False).verdict
    if verdict.reason not in (R.REPEAT, R.TOTP):
        assert verdict.outcome is Outcome.REJECT
    if verdict.reason is R.TOTP:
        assert isinstance(made.typed, Answer), "a TOTP code is enough only where the password was checked before"


@given(ATTEMPTS, FACTS)
def test_a_credential_that_was_looked_at_and_found_wrong_stays_charged(made: Attempt, facts: Facts) -> None:
    verdict = verdict_of(made, facts)
    if verdict.reason in (R.WRONG_CODE, R.CODE_REUSED, R.WRONG_PASSWORD):
        assert marked(made.charge, verdict.mark) is not None

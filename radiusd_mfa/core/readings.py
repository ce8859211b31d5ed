"""What each reading of a typed text is worth to this user if its password is right; knows no policy and no hash.

The cheap factor chooses the reading: codes are compared here, for microseconds each, and passwords only asked about.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, assert_never

from radiusd_mfa.core import sms_codes
from radiusd_mfa.core.backup_codes import BackupCode
from radiusd_mfa.core.facts import Facts, Method, MethodKind, SmsCode, StoredBackupCode
from radiusd_mfa.core.totp import matching_steps
from radiusd_mfa.core.typed import Reading, TotpCode, Typed
from radiusd_mfa.core.values import quick
from radiusd_mfa.core.verdict import SpendSms, SpendStep

WINDOW: Final = 1
"""Time steps accepted before and after the current one (RFC 6238 5.2)."""
USUAL_DIGITS: Final = 6
MOST_READINGS: Final = 4
"""Passwords that one text may cost; two, except where separators or codes of two lengths leave room for another."""


@dataclass(frozen=True, slots=True)
class NothingTyped:
    """No code beside the password."""


@dataclass(frozen=True, slots=True)
class AskedForSms:
    """The word that asks for a code by SMS, in the place of one."""


@dataclass(frozen=True, slots=True)
class WrongCode:
    """Something of a code's shape that is none of the user's codes."""


@dataclass(frozen=True, slots=True)
class SpentCode:
    """A code that was right and is used up."""


Factor = SpendStep | SpendSms | StoredBackupCode | NothingTyped | AskedForSms | WrongCode | SpentCode


# Made once: `A | B` in place of a tuple is made anew at each look.
_NO_CODE: Final = (NothingTyped, AskedForSms)
_MATCHED: Final = (SpendStep, SpendSms, StoredBackupCode, SpentCode)


@quick
@dataclass(frozen=True, slots=True)
class Hypothesis:
    """One reading of the typed text, and what its code is worth if its password is right."""

    password: str = field(repr=False)
    factor: Factor
    backup_code: str = field(default="", repr=False)
    """The typed backup code, to be checked against the hash of a `StoredBackupCode`."""


def hypotheses(typed: Typed, facts: Facts, now: float) -> tuple[Hypothesis, ...]:
    """Order the readings: the cheap factor chooses. There are few, so that a text costs few hashes.

    A code that matches makes its reading the likely one, and the whole text the other. Without a match the whole
    text is the likely password, and the readings with a code tell whether a right password came with a wrong code:
    one that is left out would let codes be guessed at the price of passwords.
    """
    digits = {method.digits for method in facts.methods} or {USUAL_DIGITS}
    read = [hypothesis(reading, facts, now) for reading in typed.readings if _plausible(reading, digits)]
    whole = [h for h in read if isinstance(h.factor, _NO_CODE)]
    matched = [h for h in read if isinstance(h.factor, _MATCHED)]
    matched.sort(key=lambda h: isinstance(h.factor, SpentCode))
    wrong = [h for h in read if isinstance(h.factor, WrongCode)]
    return (*matched, *whole)[:MOST_READINGS] if matched else (*whole, *wrong)[:MOST_READINGS]


def _plausible(reading: Reading, digits: Iterable[int]) -> bool:
    return not isinstance(reading.code, TotpCode) or len(reading.code.digits) in digits


def hypothesis(reading: Reading, facts: Facts, now: float) -> Hypothesis:
    """Say what the code of this reading is: fresh, spent, wrong, a backup code still to be proven, or nothing."""
    match reading.code:
        case None:
            return Hypothesis(reading.password, AskedForSms() if reading.word == sms_codes.WORD else NothingTyped())
        case TotpCode(digits):
            return Hypothesis(reading.password, _digits(digits, facts, now))
        case BackupCode() as code:
            return Hypothesis(reading.password, _backup_code(code, facts.backup_codes), code.canonical)
        case other:
            assert_never(other)


def _digits(digits: str, facts: Facts, now: float) -> SpendStep | SpendSms | SpentCode | WrongCode:
    """Find what these digits are: a step of an authenticator, else the code that was sent to a phone."""
    found = _totp(digits, facts.methods, now)
    sent = facts.phones.code if facts.phones is not None else None
    if sent is None or isinstance(found, SpendStep):
        return found
    return SpendSms(sent.method_id, sent.digest) if _is_right(digits, sent, now) else found


def _is_right(digits: str, sent: SmsCode, now: float) -> bool:
    return digits in sent.typed and now < sent.expires


def _totp(digits: str, methods: Sequence[Method], now: float) -> SpendStep | SpentCode | WrongCode:
    """Find the earliest unspent step of any method that has this code."""
    spent = False
    for method in methods:
        if method.kind is not MethodKind.TOTP:
            continue
        steps = matching_steps(
            digits,
            seed=method.seed,
            digits=method.digits,
            period=method.period,
            algorithm=method.algorithm,
            now=now,
            window=WINDOW,
        )
        for step in steps:
            if step > method.watermark:
                return SpendStep(method.id, step)
            spent = True
    return SpentCode() if spent else WrongCode()


def _backup_code(code: BackupCode, rows: Sequence[StoredBackupCode]) -> StoredBackupCode | WrongCode:
    return next((row for row in rows if row.selector == code.selector), WrongCode())

"""Typed text and its possible readings as password and code; knows no user, and never says which reading is right."""

import base64
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import Literal

from radiusd_mfa.core import backup_codes
from radiusd_mfa.core.backup_codes import BackupCode
from radiusd_mfa.core.names import PasswordProblem, prepare_password
from radiusd_mfa.core.values import quick

Refusal = Literal["empty-password", "not-text", "scrv1"]

_SIX_DIGITS = (6,)
_SCRV1_PARTS = 3
_LONGEST_WORD = 16
_BACKUP_CODE_LENGTHS = (backup_codes.SHOWN_LENGTH, backup_codes.LENGTH)
_DASHES = (5, 11)  # where the shown form of a backup code has them, and where people who copy it write spaces


@dataclass(frozen=True, slots=True)
class TotpCode:
    """Typed ASCII digits that may be somebody's TOTP, SMS or mail code."""

    digits: str = field(repr=False)


@quick
@dataclass(frozen=True, slots=True)
class Reading:
    """One way to read a typed text: the prepared password, never empty, and the code or word beside it."""

    password: str = field(repr=False)
    code: TotpCode | BackupCode | None = None
    word: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Typed:
    """The readings of a text, the likely ones first, or why it has none."""

    readings: tuple[Reading, ...]
    refusal: Refusal | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A text that is all code: the code, or else a word such as `sms` in lower case, or neither."""

    code: TotpCode | BackupCode | None = None
    # Not shown: sshd's keyboard dialogue may send the password again in place of the code.
    word: str | None = field(default=None, repr=False)


def appended(
    raw: bytes, *, digit_lengths: Collection[int] = _SIX_DIGITS, separators: str = "", code_first: bool = False
) -> Typed:
    """Read User-Password (decrypted octets) as password and code in one text, or as OpenVPN's `SCRV1:`.

    `digit_lengths` are tried in their order; `separators` are characters of ",; " that may stand between password and
    code; `code_first` looks for the code before the password instead of after it. Never raises.
    """
    if not raw:
        return Typed((), "empty-password")
    if (parts := _scrv1(raw)) is not None:
        return _explicit(*parts, digit_lengths)
    # The whole text counts as password with no code, last; if it can't be a password, no part is worth a look.
    whole = _reading(raw, None)
    if whole is None:
        return Typed((), "not-text")
    found = _found(raw.decode(), _at_the_front if code_first else _at_the_end, digit_lengths, separators)
    readings = [_reading(rest, code) for rest, code in found]
    return Typed((*[reading for reading in readings if reading is not None], whole))


def answer(raw: bytes, digit_lengths: Collection[int] = _SIX_DIGITS) -> Answer:
    """Read the answer to a challenge, or User-Password of an OTP-only NAS: the text is the code; never raises."""
    try:
        text = raw.decode().strip(" ")
    except UnicodeDecodeError:
        return Answer()
    # Authenticator apps show 492 039, and people type what they see.
    digits = text.replace(" ", "")
    if code := _totp_code(digits, digit_lengths) or backup_codes.tidy(text):
        return Answer(code)
    if text.isascii() and text.isalpha() and len(text) <= _LONGEST_WORD:
        return Answer(word=text.lower())
    return Answer()


def selectors(typed: Typed) -> tuple[str, ...]:
    """Return the distinct selectors of the backup codes among the readings, for the store to look up."""
    found = [reading.code.selector for reading in typed.readings if isinstance(reading.code, BackupCode)]
    return tuple(dict.fromkeys(found)) if found else ()


# Where a piece stands: from a text and the piece's length to (what is left, the piece).
_Cut = Callable[[str, int], tuple[str, str]]


def _at_the_end(text: str, length: int) -> tuple[str, str]:
    return text[:-length], text[-length:]


def _at_the_front(text: str, length: int) -> tuple[str, str]:
    return text[length:], text[:length]


def _found(
    text: str, cut: _Cut, digit_lengths: Collection[int], separators: str
) -> Iterator[tuple[str, TotpCode | BackupCode]]:
    """Yield what is left and the code: first the readings with a separator between the two, then those without."""
    # A TOTP code ends in a digit and a backup code in a letter, so the last character tells which may be there.
    lengths: Collection[int] = (*digit_lengths, *_BACKUP_CODE_LENGTHS)
    if cut is _at_the_end:
        lengths = digit_lengths if text[-1:].isdigit() else _BACKUP_CODE_LENGTHS
    pieces = [cut(text, length) for length in lengths]
    codes = [
        (rest, code)
        for rest, piece in pieces
        if (code := _totp_code(piece, digit_lengths) if piece[-1:].isdigit() else _backup_code(piece))
    ]
    if separators:
        for rest, code in codes:
            password, separator = cut(rest, 1)
            if separator and separator in separators:
                yield password, code
    yield from codes


def _totp_code(text: str, digit_lengths: Collection[int]) -> TotpCode | None:
    # str.isdigit alone is true for full-width and Arabic digits, which are part of the password.
    return TotpCode(text) if len(text) in digit_lengths and text.isascii() and text.isdigit() else None


def _backup_code(text: str) -> BackupCode | None:
    """Read a shape that may touch a password: 15 characters, or 17 with dashes or spaces in their places."""
    if len(text) == backup_codes.SHOWN_LENGTH and all(text[place] in "- " for place in _DASHES):
        return backup_codes.tidy(text)
    return backup_codes.tidy(text) if len(text) == backup_codes.LENGTH else None


def _reading(password: bytes | str, code: TotpCode | BackupCode | None, word: str | None = None) -> Reading | None:
    try:
        return Reading(prepare_password(password), code, word)
    except PasswordProblem:
        return None


def _scrv1(raw: bytes) -> tuple[bytes, bytes] | None:
    """Return password and response of OpenVPN's static challenge, None if the text only begins like one."""
    if not raw.startswith(b"SCRV1:"):
        return None
    match raw.split(b":"):
        case [b"SCRV1", password, response]:
            try:
                return base64.b64decode(password, validate=True), base64.b64decode(response, validate=True)
            except ValueError:
                return None
        case _:
            return None


def _explicit(password: bytes, response: bytes, digit_lengths: Collection[int]) -> Typed:
    if not password:
        return Typed((), "empty-password")
    given = answer(response, digit_lengths)
    if response and given == Answer():
        return Typed((), "scrv1")
    reading = _reading(password, given.code, given.word)
    return Typed((), "not-text") if reading is None else Typed((reading,))

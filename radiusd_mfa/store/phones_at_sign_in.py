"""What the phones of users are good for at their sign-ins, read apart: whoever has none pays nothing for it.

The keys say which of the typed digits are the code that was sent; the facts hold no more of it than that.
"""

import hmac
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from sqlalchemy import Connection, select

from radiusd_mfa.core import sms_codes
from radiusd_mfa.core.facts import Attempt, Facts, MethodKind, Phones, SmsCode
from radiusd_mfa.core.typed import TotpCode, Typed
from radiusd_mfa.keys import KeyRing
from radiusd_mfa.store import schema

_methods: Final = schema.methods.c
_codes: Final = schema.sms_codes.c
_READ: Final = (
    select(
        _methods.id,
        _methods.user_id,
        _methods.phone,
        _methods.is_default,
        _codes.method_id,
        _codes.digest,
        _codes.sent_at,
        _codes.expires_at,
        _codes.history,
    )
    .select_from(schema.methods.outerjoin(schema.sms_codes, _codes.user_id == _methods.user_id))
    .where(_methods.kind == MethodKind.SMS.value, _methods.confirmed_at.is_not(None))
    .order_by(_methods.id)
)


class _PhoneRow(NamedTuple):
    """A confirmed phone, and beside it the code that was sent to its owner last."""

    id: int
    user_id: int
    phone: str | None
    is_default: bool
    sent_to: int | None
    digest: bytes | None
    sent_at: float
    expires_at: float
    history: str | None


def with_phones(
    connection: Connection, keys: KeyRing, attempts: Sequence[Attempt], found: Sequence[Facts]
) -> list[Facts]:
    """Add to the facts of whoever has a phone what it is good for, with one statement for all."""
    owners = {facts.user.id for facts in found if facts.user is not None and _has_phone(facts)}
    rows: defaultdict[int, list[_PhoneRow]] = defaultdict(list)
    for columns in connection.execute(_READ.where(_methods.user_id.in_(owners))):
        row = _PhoneRow(*columns)
        rows[row.user_id].append(row)
    return [
        _with_phones(facts, rows[facts.user.id], attempt, keys)
        if facts.user is not None and facts.user.id in rows
        else facts
        for attempt, facts in zip(attempts, found, strict=True)
    ]


def _with_phones(facts: Facts, rows: Sequence[_PhoneRow], attempt: Attempt, keys: KeyRing) -> Facts:
    """Add them; what the rows can't say is this attempt's fault alone, and not that of its batch."""
    try:
        return replace(facts, phones=_phones(rows, attempt, keys))
    except (TypeError, ValueError) as problem:  # SQLite keeps any word in any column
        return Facts(fault=f"user {rows[0].user_id}: {problem}")


def _has_phone(facts: Facts) -> bool:
    return any(method.kind is MethodKind.SMS for method in facts.methods)


def _phones(rows: Sequence[_PhoneRow], attempt: Attempt, keys: KeyRing) -> Phones:
    """Put together a user's phones; a code goes to the default one, else to the oldest."""
    to = next((row for row in rows if row.is_default), rows[0])
    sent = next((row for row in rows if row.id == row.sent_to and row.digest is not None), None)
    code = None if sent is None else _code(sent, attempt, keys)
    return Phones(to.id, sms_codes.ending(to.phone or ""), bool(to.is_default), to.history or "", code)


def _code(row: _PhoneRow, attempt: Attempt, keys: KeyRing) -> SmsCode:
    digest = bytes(row.digest or b"")
    typed = frozenset(each for each in set(_typed(attempt)) if _is_right(each, row, digest, keys))
    return SmsCode(row.id, digest, float(row.expires_at), typed)


def _typed(attempt: Attempt) -> Iterator[str]:
    """Yield the digits that may be a code: in one text they may stand in several places."""
    codes = (
        [reading.code for reading in attempt.typed.readings]
        if isinstance(attempt.typed, Typed)
        else [attempt.typed.code]
    )
    yield from (code.digits for code in codes if isinstance(code, TotpCode) and len(code.digits) == sms_codes.DIGITS)


def _is_right(digits: str, row: _PhoneRow, digest: bytes, keys: KeyRing) -> bool:
    made_of = sms_codes.bound(row.user_id, row.id, float(row.sent_at), digits)
    return hmac.compare_digest(keys.digest(sms_codes.PURPOSE, *made_of), digest)

"""Whom the audit log says to tell: of a backup code that was used, and of many wrong codes after the right password.

Sign-ins write nothing for this, so they pay nothing for it. Whoever delivers reads what happened in the last days and
was not told yet: rows of the audit log of which there is none in the outbox (`source`). There is no cursor that could
run ahead of a transaction that began earlier and commits later, and nothing can be told twice: a source is unique.
"""

from collections.abc import Iterator
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, String, cast, func, literal, select

from radiusd_mfa.keys import KeyRing
from radiusd_mfa.store import schema
from radiusd_mfa.store.backup_codes import BackupCodeTable
from radiusd_mfa.usecases.outbox_ports import WORTH_TELLING, Channel, Mail, NewDelivery

MANY: Final = 5
"""Wrong codes within one day (UTC) of which the user is told, once a day: as many as close the account for a while."""
_DAY: Final = 86_400
_audit: Final = schema.audit.c
_users: Final = schema.users.c


def tellings(connection: Connection, keys: KeyRing, *, now: float) -> Iterator[NewDelivery]:
    """Yield what was not told yet."""
    for row in connection.execute(_used_codes(now)):
        left = BackupCodeTable(connection, keys).left(row.user_id)
        yield _mail(Mail.BACKUP_CODE_USED, row, now=now, left=left, where=row.nas_name or "")
    for day in range(int((now - WORTH_TELLING) // _DAY), int(now // _DAY) + 1):
        for row in connection.execute(_attacked(day, now)):
            yield _mail(Mail.WRONG_CODES, row, now=now, count=row.count)


def _mail(mail: Mail, row: Row[Any], *, now: float, **values: object) -> NewDelivery:
    return NewDelivery(
        kind=mail,
        channel=Channel.MAIL,
        recipient=row.email,
        values={"user": row.name, "at": row.at, "actor": "", **values},
        created_at=now,
        expires_at=row.at + WORTH_TELLING,
        user_id=row.user_id,
        source=row.source,
    )


def _used_codes(now: float) -> Select[Any]:
    source = literal("audit:") + cast(_audit.id, String)
    return (
        _of_users(_audit.at.label("at"), _audit.nas_name, source.label("source"))
        .where(_audit.outcome == "accept", _audit.at > now - WORTH_TELLING)
        .where(_untold(source))
        .order_by(_audit.at)
    )


def _attacked(day: int, now: float) -> Select[Any]:
    source = literal("wrong-codes:") + cast(_users.id, String) + literal(f":{day}")
    at = func.max(_audit.at)
    return (
        _of_users(at.label("at"), func.count().label("count"), source.label("source"))
        .where(_audit.outcome == "reject")
        .where(_audit.at >= day * _DAY, _audit.at < (day + 1) * _DAY)
        .where(_untold(source))
        .group_by(_users.id, _users.name, _users.email)
        .having(func.count() >= MANY, at > now - WORTH_TELLING)
    )


def _of_users(*columns: Any) -> Select[Any]:  # noqa: ANN401 - columns of any type
    # The outcome tells the two reasons apart. To name one of them beside IS_TOLD would keep SQLite from the index: it
    # puts the constant in the place of the column, and then the words are others.
    # Who was made after it happened is another person of the same name.
    joined = schema.audit.join(schema.users, (_users.name == _audit.user_name) & (_users.created_at <= _audit.at))
    return (
        select(_users.id.label("user_id"), _users.name, _users.email, *columns)
        .select_from(joined)
        .where(schema.IS_TOLD, _users.email.is_not(None))
    )


def _untold(source: Any) -> Any:  # noqa: ANN401 - expressions
    return ~select(schema.outbox.c.id).where(schema.outbox.c.source == source).exists()

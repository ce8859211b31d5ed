"""The chain of seals over the audit log: about every second, what was recorded since is put under an HMAC.

Sign-ins and changes write their rows as ever and know nothing of it. Any number of nodes seal one chain: each link has
the number after the last one, and the table takes a number once.

Only rows that can't change any more are sealed, or a row that is committed late would look like one that was smuggled
in. Ids are given in order, but on PostgreSQL they are committed in any order. Who appends a row holds a lock on the
table (ROW EXCLUSIVE) from before it is given its id until its transaction is over. So of those who hold that lock
after the newest committed row was read, each may still commit an older id; of those who come later, nobody. When the
first have ended, all ids up to that row are either visible or will never be. Nobody waits for the sealer, and it asks
no clock. SQLite has one writer at a time: there ids are committed in order.
"""

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from secrets import token_bytes
from struct import Struct
from time import monotonic, sleep
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, delete, func, select, text, update

from radiusd_mfa.keys import KeyRing
from radiusd_mfa.store import schema
from radiusd_mfa.store.audit import COLUMNS
from radiusd_mfa.store.database import Database
from radiusd_mfa.store.inserting import insert_absent
from radiusd_mfa.usecases.admin_ports import AuditEntry
from radiusd_mfa.usecases.audit_ports import Seal, Section, Standing

_log: Final = logging.getLogger(__name__)
VERSION: Final = 1
BATCH: Final = 4096
"""Rows that one seal covers at most."""
PATIENCE: Final = 1.0
"""Seconds to wait for transactions that may still commit an older row; after that, the next time."""
_GLANCE: Final = 0.01
_TOO_LONG: Final = 60.0
"""Seconds in which nothing could be sealed, after which somebody should look why."""
_SLICE: Final = 64
"""Rows between two pauses, so that a sign-in in the same process waits for half a millisecond at most."""
_BREATH: Final = 0.001
_AT_ONCE: Final = 32
"""Seals that are read together, and at most pruned together."""
IDENTITY: Final = "identity"
"""The row of `meta` that tells one database from another."""
_BEGINNING: Final = bytes(32)
_ENTRY: Final = Struct(">q16s")
_SPELLED: Final = json.JSONEncoder(default=str).encode
_audit: Final = schema.audit.c
_seals: Final = schema.audit_seals.c
_CONTENT: Final = (
    _audit.id,
    _audit.at,
    _audit.kind,
    _audit.request,
    _audit.user_name,
    _audit.nas_name,
    _audit.surface,
    _audit.device,
    _audit.outcome,
    _audit.reason,
    _audit.actor,
    _audit.detail,
    _audit.facts,
)
"""What version 1 seals of a row, in this order; never to be changed. A new column means a new version."""
_HOLDERS: Final = text("""
    SELECT virtualtransaction FROM pg_locks
     WHERE locktype = 'relation' AND relation = CAST('audit' AS regclass) AND mode = 'RowExclusiveLock' AND granted
       AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
""")


class AuditSeals:
    """See `AuditChain` of the use cases.

    `beside_sign_ins`: it gives way to them, one batch at a time and in slices; a flood of them is sealed afterwards.
    """

    def __init__(self, database: Database, keys: KeyRing, *, beside_sign_ins: bool = False) -> None:
        self._database = database
        self._keys = keys
        self._gives_way = beside_sign_ins
        self._blocked_since: float | None = None

    def seal(self, now: float) -> int:
        """See `AuditChain.seal`."""
        sealed = 0
        while True:
            last, upto = self._settled()
            rows = self._rows(last.last_id if last else None, upto, limit=BATCH) if upto is not None else ()
            if not rows or not self._append(last, rows, now):
                return sealed
            sealed += len(rows)
            if len(rows) < BATCH or self._gives_way:
                return sealed  # what came meanwhile can wait: under load a seal for each row or two would never end

    def standing(self) -> Standing:
        """See `AuditChain.standing`; the identity is drawn when it is asked for first, and kept for good."""
        with self._database.reading() as connection:
            identity, last = _identity(connection), _newest(connection)
        if identity is None:
            with self._database.writing() as connection:
                insert_absent(connection, schema.meta, {"name": IDENTITY, "value": token_bytes(16)})
                identity, last = _identity(connection), _newest(connection)
        return Standing((identity or b"").hex(), last)

    def oldest(self) -> Seal | None:
        """See `AuditChain.oldest`."""
        with self._database.reading() as connection:
            rows = connection.execute(select(schema.audit_seals).order_by(_seals.id).limit(1)).fetchall()
        return _seal(rows[0]) if rows else None

    def unsealed(self) -> int:
        """See `AuditChain.unsealed`."""
        with self._database.reading() as connection:
            last = _newest(connection)
            behind = select(func.count()).select_from(schema.audit)
            found: int = connection.execute(behind.where(_audit.id > last.last_id) if last else behind).scalar_one()
            return found

    def mac_of(self, seal_id: int) -> bytes | None:
        """See `AuditChain.mac_of`."""
        with self._database.reading() as connection:
            mac = connection.execute(select(_seals.mac).where(_seals.id == seal_id)).scalar()
            return None if mac is None else bytes(mac)

    def sections(self) -> Iterator[Section]:
        """See `AuditChain.sections`."""
        with self._database.reading() as connection:
            if self._database.dialect == "postgresql":
                connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
            before: Row[Any] | None = None
            while rows := _seals_after(connection, before.id if before is not None else None):
                for row in rows:
                    yield self._section(connection, row, before)
                    before = row

    def entries(self, *, after: int, since: float | None, until: float | None) -> Iterator[AuditEntry]:
        """See `AuditChain.entries`; each chunk is a reading of its own, so that a slow reader holds nothing open."""
        last = self.standing().last
        conditions = [] if since is None else [_audit.at >= since]
        if until is not None:
            conditions.append(_audit.at < until)
        while last is not None:
            part = select(*COLUMNS, _audit.facts).where(_audit.id > after, _audit.id <= last.last_id, *conditions)
            with self._database.reading() as connection:
                rows = connection.execute(part.order_by(_audit.id).limit(BATCH)).fetchall()
            if not rows:
                return
            yield from (AuditEntry(*row) for row in rows)
            after = rows[-1].id

    def prune(self, before: float) -> int:
        """See `AuditChain.prune`."""
        with self._database.writing() as connection:
            oldest = connection.execute(
                select(schema.audit_seals).order_by(_seals.id).limit(_AT_ONCE + 1).with_for_update()
            ).fetchall()
            # The last one read stays as it is: it may be the last of all, on which hangs what is appended.
            gone = list(_while_older(oldest[:-1], before))
            if not gone or gone[-1].pruned is not None:
                return 0
            anchor = gone[-1]
            removed: int = connection.execute(delete(schema.audit).where(_audit.id <= anchor.last_id)).rowcount
            connection.execute(delete(schema.audit_seals).where(_seals.id < anchor.id))
            proof = self._keys.mac("audit-pruned", bytes(anchor.mac))
            values = update(schema.audit_seals).where(_seals.id == anchor.id).values(digests=None, pruned=proof)
            connection.execute(values)
            return removed

    def _pause(self) -> None:
        if self._gives_way:
            sleep(_BREATH)

    def _settled(self) -> tuple[Seal | None, int | None]:
        """Return the last seal, and the id up to which no row can appear any more; None: there is nothing to seal."""
        with self._database.reading() as connection:
            last = _newest(connection)
            newest_id = connection.execute(select(func.max(_audit.id))).scalar()
            if newest_id is None or (last is not None and newest_id <= last.last_id):
                return last, None
            if self._database.dialect == "postgresql" and not _have_ended(connection):
                self._complain()
                return last, None
            self._blocked_since = None
            return last, newest_id

    def _complain(self) -> None:
        now = monotonic()
        if self._blocked_since is None:
            self._blocked_since = now
        elif now - self._blocked_since > _TOO_LONG:
            self._blocked_since = now
            _log.error(
                "the audit log has not been sealed for %d s: a transaction that wrote to it does not end; "
                "pg_locks and pg_stat_activity show whose it is",
                _TOO_LONG,
            )

    def _rows(self, after: int | None, upto: int, *, limit: int) -> Sequence[Row[Any]]:
        wanted: Select[Any] = select(*_CONTENT).where(_audit.id <= upto).order_by(_audit.id).limit(limit)
        rows: list[Row[Any]] = []
        with self._database.reading() as connection:
            found = connection.execute(wanted if after is None else wanted.where(_audit.id > after))
            for part in found.partitions(_SLICE):
                rows += part
                self._pause()
        return rows

    def _append(self, last: Seal | None, rows: Sequence[Row[Any]], now: float) -> bool:
        """Write the next seal; False if another node was first."""
        digests = b"".join(_ENTRY.pack(row.id, digest) for row, digest in zip(rows, self._digested(rows), strict=True))
        values = {
            "id": last.id + 1 if last else 1,
            "version": VERSION,
            "after_id": last.last_id if last else rows[0].id - 1,
            "last_id": rows[-1].id,
            "entries": len(rows),
            "newest_at": max(row.at for row in rows),
            "sealed_at": now,
            "digest": hashlib.sha256(digests).digest(),
            "previous": last.mac if last else _BEGINNING,
        }
        with self._database.writing() as connection:
            mac = self._mac(values)
            return insert_absent(connection, schema.audit_seals, values | {"digests": digests, "mac": mac})

    def _digested(self, rows: Sequence[Row[Any]]) -> Iterator[bytes]:
        for number, row in enumerate(rows, start=1):
            yield self._keys.digest("audit-row", _content(row))
            if number % _SLICE == 0:
                self._pause()

    def _mac(self, values: Mapping[str, Any]) -> bytes:
        numbers = [values[name] for name in ("id", "version", "after_id", "last_id", "entries")]
        times = [float(values[name]) for name in ("newest_at", "sealed_at")]
        said = json.dumps([*numbers, *times]).encode()
        return self._keys.mac("audit-seal", said, bytes(values["digest"]), bytes(values["previous"]))

    def _section(self, connection: Connection, row: Row[Any], before: Row[Any] | None) -> Section:
        is_pruned = row.pruned is not None and row.digests is None and self._is_proof(row)
        digests = bytes(row.digests or b"")
        is_whole = hashlib.sha256(digests).digest() == bytes(row.digest) and row.pruned is None
        pairs = _ENTRY.iter_unpack(digests) if len(digests) % _ENTRY.size == 0 else ()
        return Section(
            seal=_seal(row),
            is_authentic=row.version == VERSION
            and (is_whole or is_pruned)
            and self._mac(row._asdict()) == bytes(row.mac),
            follows=_follows(row, before) if before is not None else is_pruned or row.id == 1,
            is_pruned=is_pruned,
            expected=dict(pairs),
            found=self._found(connection, row, is_oldest=before is None),
        )

    def _is_proof(self, row: Row[Any]) -> bool:
        return bytes(row.pruned) == self._keys.mac("audit-pruned", bytes(row.mac))

    def _found(self, connection: Connection, row: Row[Any], *, is_oldest: bool) -> dict[int, bytes]:
        wanted: Select[Any] = select(*_CONTENT).where(_audit.id <= row.last_id).order_by(_audit.id)
        rows = connection.execute(wanted if is_oldest else wanted.where(_audit.id > row.after_id)).fetchall()
        return dict(zip((each.id for each in rows), self._digested(rows), strict=True))


def _content(row: Row[Any]) -> bytes:
    """Spell a row's content, without the id, in one way only. JSON: a type, a text's end, a missing value show."""
    request = None if row.request is None else bytes(row.request).hex()
    return _SPELLED((*row[1:3], request, *row[4:])).encode()


def _identity(connection: Connection) -> bytes | None:
    found = connection.execute(select(schema.meta.c.value).where(schema.meta.c.name == IDENTITY)).scalar()
    return None if found is None else bytes(found)


def _newest(connection: Connection) -> Seal | None:
    row = connection.execute(select(schema.audit_seals).order_by(_seals.id.desc()).limit(1)).one_or_none()
    return None if row is None else _seal(row)


def _seal(row: Row[Any]) -> Seal:
    return Seal(row.id, row.after_id, row.last_id, row.entries, row.newest_at, row.sealed_at, bytes(row.mac))


def _seals_after(connection: Connection, number: int | None) -> Sequence[Row[Any]]:
    wanted = select(schema.audit_seals).order_by(_seals.id).limit(_AT_ONCE)
    return connection.execute(wanted if number is None else wanted.where(_seals.id > number)).fetchall()


def _follows(row: Row[Any], before: Row[Any]) -> bool:
    following = (before.id + 1, before.last_id, bytes(before.mac))
    return (row.id, row.after_id, bytes(row.previous)) == following


def _while_older(rows: Sequence[Row[Any]], before: float) -> Iterator[Row[Any]]:
    """Yield seals from the oldest on that cover nothing newer, for about a batch of rows."""
    entries = 0
    for row in rows:
        if row.newest_at >= before or entries >= BATCH:
            return
        entries += 0 if row.pruned is not None else row.entries
        yield row


def _have_ended(connection: Connection) -> bool:
    """Wait until all who now hold the lock of appending have ended; False if that takes too long."""
    until = monotonic() + PATIENCE
    waited_for = set(connection.execute(_HOLDERS).scalars())
    while waited_for:
        if monotonic() > until:
            return False
        sleep(_GLANCE)
        waited_for &= set(connection.execute(_HOLDERS).scalars())
    return True

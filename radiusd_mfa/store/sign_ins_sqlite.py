"""The statements of a sign-in for SQLite: one short prepared statement per duty and sign-in.

Inside one transaction SQLite takes a few microseconds for each; what costs is the commit, which a batch shares.
"""

from collections.abc import Sequence
from sqlite3 import Cursor
from typing import Final, cast

from sqlalchemy import Connection

from radiusd_mfa.core.facts import TeamRules
from radiusd_mfa.core.throttle import ROOM
from radiusd_mfa.store.fact_rows import FactRow, Read, members_of, team_rules
from radiusd_mfa.store.sign_in_rows import Query, Row

_CHARGE: Final = f"""
    INSERT INTO throttles (user_id, history)
    SELECT id, ?3 FROM users WHERE name = ?1 AND NOT EXISTS (SELECT 1 FROM audit WHERE request = ?2)
    ON CONFLICT (user_id) DO UPDATE SET history = history || excluded.history WHERE length(history) < {ROOM}
"""  # noqa: S608 - a constant of ours

_REALM: Final = "SELECT team_id, EXISTS (SELECT 1 FROM users WHERE name = ?) FROM realms WHERE name = ?"
# Of verifications a user has a few, those of three months at most, and an index by time would make each sign-in write.
_READ: Final = """
    SELECT ?1, ?3, u.id, u.name, u.password_hash, u.disabled, u.backup_generation,
           (SELECT group_concat(team_id || ':' || role) FROM memberships
             WHERE user_id = u.id AND (?3 = 0 OR team_id = ?3)),
           t.history, v.at, v.text, l.at, l.text, l.nas_id, l.device,
           c.user_id, c.nas_id, c.expires_at, a.at, a.outcome, a.reason,
           m.id, m.seed, m.digits, m.period, m.algorithm, m.watermark, m.kind,
           b.id, b.selector, b.hash, b.used_at
      FROM (SELECT 1)
      LEFT JOIN users u ON u.name = ?2
      LEFT JOIN throttles t ON t.user_id = u.id
      LEFT JOIN verifications v
             ON v.user_id = u.id AND v.team_id = ?3 AND v.nas_id = ?4 AND v.device = ?5
            AND v.granted_to = coalesce(u.password_hash, '')
      LEFT JOIN verifications l
             ON l.rowid = (SELECT newest FROM (
                    SELECT rowid AS newest, max(at) FROM verifications
                     WHERE user_id = u.id AND team_id = ?3 AND surface = ?6
                       AND granted_to = coalesce(u.password_hash, '')))
      LEFT JOIN challenges c ON c.state = ?7 AND c.granted_to = coalesce(u.password_hash, '')
      LEFT JOIN audit a ON a.request = ?8
      LEFT JOIN methods m ON m.user_id = u.id AND m.confirmed_at IS NOT NULL
      LEFT JOIN backup_codes b
             ON b.user_id = u.id AND b.generation = u.backup_generation AND b.selector IN (?9, ?10)
"""

_TEAM: Final = "SELECT id, name, plan, policy, policy_version FROM teams WHERE id = ?"
_PROFILES: Final = "SELECT role, surface, attributes FROM reply_profiles WHERE team_id = ? ORDER BY id"

_SETTLED: Final = "SELECT 1 FROM audit WHERE request = ?"
_KNOWS_NAS: Final = "SELECT 1 FROM nas WHERE id = ?"
_REDEEM: Final = "DELETE FROM challenges WHERE state = ?"
# Together with what `_SETTLED` asks: each statement takes 1 us, and these two are needed for every Accept.
_HOLDS: Final = """
    SELECT 1 FROM users WHERE id = ? AND NOT disabled AND coalesce(password_hash, '') = ?
                          AND NOT EXISTS (SELECT 1 FROM audit WHERE request = ?)
"""
_BELONGS: Final = "SELECT 1 FROM memberships WHERE user_id = ? AND team_id = ? AND role = ?"
_HAS_ONE: Final = "SELECT 1 FROM methods WHERE user_id = ? AND confirmed_at IS NOT NULL"
_RUNS: Final = """
    SELECT 1 FROM verifications
     WHERE user_id = ? AND team_id = ? AND nas_id = ? AND device = ? AND at >= ? AND granted_to = ?
"""
_SPEND_STEP: Final = """
    UPDATE methods SET watermark = ?2, last_request = ?3, last_used_at = ?4
     WHERE id = ?1 AND watermark < ?2 AND confirmed_at IS NOT NULL
"""
_SPEND_CODE: Final = """
    UPDATE backup_codes SET used_at = ?2, last_request = ?3
     WHERE id = ?1 AND used_at IS NULL
       AND generation = (SELECT backup_generation FROM users WHERE users.id = backup_codes.user_id)
"""
_RECORD: Final = """
    INSERT INTO audit (at, kind, request, user_name, nas_name, surface, device, outcome, reason, detail, facts)
    VALUES (?, 'sign-in', ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (request) DO NOTHING
"""
_SETTLE_CHARGE: Final = """
    UPDATE throttles
       SET history = CASE WHEN history = ?2 THEN ?3 WHEN instr(history, ?4) = 0 THEN history || ?5
                          ELSE replace(history, ?4, ?5) END
     WHERE user_id = ?1
"""
_REVIVE_CHARGE: Final = "INSERT INTO throttles (user_id, history) SELECT id, ? FROM users WHERE id = ?"
_REMEMBER: Final = """
    INSERT INTO verifications (user_id, team_id, nas_id, device, surface, at, text, granted_to)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (user_id, team_id, nas_id, device)
    DO UPDATE SET surface = excluded.surface, at = excluded.at, text = excluded.text, granted_to = excluded.granted_to
"""
_ISSUE: Final = """
    INSERT INTO challenges (state, user_id, nas_id, kind, granted_to, expires_at) VALUES (?, ?, ?, 'code', ?, ?)
    ON CONFLICT (state) DO NOTHING
"""


def read(connection: Connection, queries: Sequence[Query], *, charging: bool) -> Read:
    """See `sign_ins.Dialect.read`."""
    cursor = _cursor(connection)
    rows: list[FactRow] = []
    for query in queries:
        name, team_id = (query.name, query.nas_team) if query.realm is None else _meant(cursor, query)
        if charging and query.charge is not None:
            cursor.execute(_CHARGE, (name, query.request, query.charge))
        where = (query.nas_id, query.device, query.surface)
        codes = (query.selector, query.other_selector)
        cursor.execute(_READ, (query.position, name, team_id, *where, query.state, query.request, *codes))
        rows += map(FactRow._make, cursor)
    return Read(rows, _teams(cursor, rows))


def settle(connection: Connection, rows: Sequence[Row]) -> dict[int, int]:
    """See `sign_ins.Dialect.settle`."""
    cursor = _cursor(connection)
    held = {}
    for row in rows:
        if _claims_hold(cursor, row):
            audit_id = _record(cursor, row)
            if audit_id is not None:
                held[row.position] = audit_id
                _conclude(cursor, row)
    return held


def lock_histories(connection: Connection, user_ids: Sequence[int]) -> dict[int, str]:
    """See `sign_ins.Dialect.lock_histories`; the transaction holds SQLite's only write lock already."""
    cursor = _cursor(connection)
    marks = ", ".join("?" * len(user_ids))
    cursor.execute(f"SELECT user_id, history FROM throttles WHERE user_id IN ({marks})", tuple(user_ids))  # noqa: S608
    return dict(cursor.fetchall())


def begin_histories(connection: Connection, user_ids: Sequence[int]) -> None:
    """See `sign_ins.Dialect.begin_histories`."""
    statement = "INSERT INTO throttles (user_id, history) SELECT id, '' FROM users WHERE id = ? ON CONFLICT DO NOTHING"
    _cursor(connection).executemany(statement, [(user_id,) for user_id in user_ids])


def write_histories(connection: Connection, histories: dict[int, str]) -> None:
    """See `sign_ins.Dialect.write_histories`."""
    rows = [(history, user_id) for user_id, history in histories.items()]
    _cursor(connection).executemany("UPDATE throttles SET history = ? WHERE user_id = ?", rows)


def _meant(cursor: Cursor, query: Query) -> tuple[str | None, int]:
    """Return whose sign-in it is and the team that is meant, where the name has a realm."""
    found = cursor.execute(_REALM, (query.name, query.realm)).fetchone()
    if found is None:
        return query.name, query.nas_team
    team_id, is_whole_name = found
    return query.name if is_whole_name else query.local, query.nas_team or team_id or 0


def _teams(cursor: Cursor, rows: Sequence[FactRow]) -> dict[int, TeamRules]:
    """Read the teams that the users of a batch belong to, each once."""
    met: set[int] = set()
    for members in {row.members for row in rows if row.members}:
        met.update(team_id for team_id, _ in members_of(members))
    teams = {}
    for team_id in met:
        profiles = tuple(cursor.execute(_PROFILES, (team_id,)).fetchall())
        for row in cursor.execute(_TEAM, (team_id,)).fetchall():
            teams[team_id] = team_rules(row, profiles)
    return teams


def _cursor(connection: Connection) -> Cursor:
    # sqlite3's own cursor: SQLAlchemy's costs more than the statement, and a sign-in has seven of them.
    return cast("Cursor", connection.connection.cursor())


def _changed(cursor: Cursor, statement: str, values: tuple[object, ...]) -> bool:
    cursor.execute(statement, values)
    return cursor.rowcount == 1


def _claims_hold(cursor: Cursor, row: Row) -> bool:
    """Whether everything that the verdict claims could be had; a code that was not to be had uses its State up."""
    if not _may_be_settled(cursor, row) or not (row.relies_at is None or _runs(cursor, row)):
        return False
    # Not before: what is judged again, say because the password hash was renewed meanwhile, still finds its State.
    if row.redeem is not None and not _changed(cursor, _REDEEM, (row.redeem,)):
        return False
    if row.method_id is not None:
        return _changed(cursor, _SPEND_STEP, (row.method_id, row.step, row.request, row.at))
    if row.code_id is not None:
        return _changed(cursor, _SPEND_CODE, (row.code_id, row.at, row.request))
    return True


def _may_be_settled(cursor: Cursor, row: Row) -> bool:
    """Whether the request is not settled yet, and the user and the NAS are as they were when it was judged."""
    if row.granted_to is None:
        return cursor.execute(_SETTLED, (row.request,)).fetchone() is None
    if cursor.execute(_HOLDS, (row.user_id, row.granted_to, row.request)).fetchone() is None:
        return False
    place = (row.user_id, row.team_id, row.role)
    if row.role is not None and cursor.execute(_BELONGS, place).fetchone() is None:
        return False
    if row.bare and cursor.execute(_HAS_ONE, (row.user_id,)).fetchone() is not None:
        return False
    return row.issue is None or cursor.execute(_KNOWS_NAS, (row.nas_id,)).fetchone() is not None


def _runs(cursor: Cursor, row: Row) -> bool:
    """Whether the period on which the password suffices was not ended meanwhile."""
    place = (row.user_id, row.team_id, row.relies_nas, row.relies_device)
    return cursor.execute(_RUNS, (*place, row.relies_at, row.granted_to)).fetchone() is not None


def _record(cursor: Cursor, row: Row) -> int | None:
    where = (row.nas_name, row.surface, row.device)
    why = (row.outcome, row.reason, row.detail, row.facts)
    if _changed(cursor, _RECORD, (row.at, row.request, row.user_name, *where, *why)):
        return cursor.lastrowid
    return None


def _conclude(cursor: Cursor, row: Row) -> None:
    if row.user_id is not None and row.charge is not None:
        texts = (row.history_read, row.history_after, row.charge, row.charge_after)
        if not _changed(cursor, _SETTLE_CHARGE, (row.user_id, *texts)) and row.charge_after:
            cursor.execute(_REVIVE_CHARGE, (row.charge_after, row.user_id))
    if row.remembers:
        place = (row.user_id, row.team_id, row.nas_id, row.device, row.surface)
        cursor.execute(_REMEMBER, (*place, row.at, row.text, row.granted_to))
    if row.issue is not None:
        cursor.execute(_ISSUE, (row.issue, row.user_id, row.nas_id, row.granted_to, row.issue_expires))

"""The statements of a sign-in for PostgreSQL: all duties of a whole batch in one statement per transaction.

Arrays go in, `unnest` makes them rows. Rows are locked in key order, so that two nodes don't deadlock. The planner
settings of `database` matter: left alone, PostgreSQL takes a batch of 32 for large and scans whole tables.

What a verdict grants rests on the user's row, which is locked (`granted`), so that nothing rests on the old row after
the commit of who changes it. Where somebody holds it, say to disable the user, nothing is granted and the sign-in is
judged again: to wait would let one forgotten transaction silence everybody in the batch.
"""

from collections.abc import Sequence
from typing import Any, Final, LiteralString, cast

import psycopg
from sqlalchemy import Connection

from radiusd_mfa.core.throttle import ROOM
from radiusd_mfa.store.sign_in_rows import Query, Row

_QUERY_COLUMNS: Final = {
    "position": "int",
    "request": "bytea",
    "name": "text",
    "team_id": "bigint",
    "nas_id": "bigint",
    "device": "text",
    "state": "bytea",
    "selector": "text",
    "other_selector": "text",
    "charge": "text",
}
_ROW_COLUMNS: Final = {
    "position": "int",
    "request": "bytea",
    "at": "float8",
    "user_id": "bigint",
    "user_name": "text",
    "granted_to": "text",
    "nas_id": "bigint",
    "nas_name": "text",
    "team_id": "bigint",
    "surface": "text",
    "device": "text",
    "text": "bytea",
    "outcome": "text",
    "reason": "text",
    "detail": "text",
    "redeem": "bytea",
    "method_id": "bigint",
    "step": "bigint",
    "code_id": "bigint",
    "issue": "bytea",
    "issue_expires": "float8",
    "remembers": "bool",
    "charge": "text",
    "charge_after": "text",
    "history_read": "text",
    "history_after": "text",
}


def _given(name: str, columns: dict[str, str]) -> str:
    arrays = ", ".join(f"%s::{kind}[]" for kind in columns.values())
    return f"{name} AS (SELECT * FROM unnest({arrays}) AS {name} ({', '.join(columns)}))"  # noqa: S608 - names of ours


_WHO: Final = f"""
    {_given("asked", _QUERY_COLUMNS)},
    who AS MATERIALIZED (
        SELECT asked.*, u.id AS user_id, u.name AS user_name, u.password_hash, u.disabled, u.backup_generation,
               a.at AS earlier_at, a.outcome, a.reason
          FROM asked LEFT JOIN users u ON u.name = asked.name LEFT JOIN audit a ON a.request = asked.request
    )
"""  # noqa: S608 - names of ours
_CHARGED: Final = f"""
    charged AS (
        INSERT INTO throttles AS t (user_id, history)
        SELECT user_id, string_agg(charge, '' ORDER BY position) FROM who
         WHERE user_id IS NOT NULL AND charge IS NOT NULL AND earlier_at IS NULL
         GROUP BY user_id ORDER BY user_id
        ON CONFLICT (user_id) DO UPDATE
           SET history = t.history || CASE WHEN length(t.history) < {ROOM} THEN excluded.history ELSE '' END
        RETURNING user_id, history
    )
"""  # noqa: S608 - a constant of ours
# One object to look users up in: a join of two lists without an index would compare each with each.
_HISTORY_CHARGED: Final = "(SELECT jsonb_object_agg(user_id, history) FROM charged) ->> who.user_id::text"
_HISTORY_AS_IT_IS: Final = "(SELECT history FROM throttles t WHERE t.user_id = who.user_id)"


def _facts(history: str) -> str:
    # OFFSET 0 keeps the backup codes a look-up that is left out where no code was typed.
    return f"""
    SELECT who.position, who.user_id, who.user_name, who.password_hash, who.disabled, {history},
           v.at, v.text, c.user_id, c.nas_id, c.expires_at, who.earlier_at, who.outcome, who.reason,
           m.id, m.seed, m.digits, m.period, m.algorithm, m.watermark,
           b.id, b.selector, b.hash, b.used_at
      FROM who
      LEFT JOIN verifications v
             ON v.user_id = who.user_id AND v.team_id = who.team_id AND v.nas_id = who.nas_id AND v.device = who.device
      LEFT JOIN challenges c ON c.state = who.state AND c.granted_to = coalesce(who.password_hash, '')
      LEFT JOIN methods m ON m.user_id = who.user_id AND m.kind = 'totp' AND m.confirmed_at IS NOT NULL
      LEFT JOIN LATERAL (
            SELECT id, selector, hash, used_at FROM backup_codes
             WHERE who.selector IS NOT NULL AND user_id = who.user_id AND generation = who.backup_generation
               AND selector IN (who.selector, who.other_selector) OFFSET 0
           ) b ON true
"""  # noqa: S608 - a constant of ours


_OPEN: Final = f"WITH {_WHO}, {_CHARGED} {_facts(_HISTORY_CHARGED)}"
_REREAD: Final = f"WITH {_WHO} {_facts(_HISTORY_AS_IT_IS)}"

_SETTLE: Final = f"""
WITH {_given("w", _ROW_COLUMNS)},
    redeemed AS (DELETE FROM challenges c USING w WHERE c.state = w.redeem RETURNING w.position),
    granted AS (
        SELECT w.position FROM w JOIN users u ON u.id = w.user_id
         WHERE NOT u.disabled AND coalesce(u.password_hash, '') = w.granted_to
         ORDER BY u.id FOR SHARE OF u SKIP LOCKED
    ),
    open AS (
        SELECT w.* FROM w
         WHERE (w.redeem IS NULL OR w.position IN (SELECT position FROM redeemed))
           AND (w.issue IS NULL OR EXISTS (SELECT 1 FROM nas WHERE nas.id = w.nas_id))
           AND NOT EXISTS (SELECT 1 FROM audit a WHERE a.request = w.request)
           AND (w.granted_to IS NULL OR w.position IN (SELECT position FROM granted))
    ),
    stepped AS (
        UPDATE methods m SET watermark = o.step, last_request = o.request, last_used_at = o.at
          FROM (SELECT * FROM open WHERE method_id IS NOT NULL ORDER BY method_id) o
         WHERE m.id = o.method_id AND m.watermark < o.step AND m.confirmed_at IS NOT NULL
        RETURNING o.position
    ),
    coded AS (
        UPDATE backup_codes b SET used_at = o.at, last_request = o.request
          FROM (SELECT * FROM open WHERE code_id IS NOT NULL ORDER BY code_id) o JOIN users u ON u.id = o.user_id
         WHERE b.id = o.code_id AND b.used_at IS NULL AND b.generation = u.backup_generation
        RETURNING o.position
    ),
    held AS (
        SELECT * FROM open
         WHERE (method_id IS NULL OR position IN (SELECT position FROM stepped))
           AND (code_id IS NULL OR position IN (SELECT position FROM coded))
    ),
    recorded AS (
        INSERT INTO audit (at, kind, request, user_name, nas_name, surface, device, outcome, reason, detail)
        SELECT at, 'sign-in', request, user_name, nas_name, surface, device, outcome, reason, detail
          FROM held ORDER BY position
        ON CONFLICT (request) DO NOTHING
        RETURNING id, request
    ),
    -- Not `held`: where another node has settled the same request, nothing more may be done for it.
    -- IS TRUE keeps it a look-up: a bare IN becomes a join that compares each with each.
    settled AS (SELECT * FROM held WHERE (request IN (SELECT request FROM recorded)) IS TRUE),
    charged AS (
        UPDATE throttles t
           SET history = CASE WHEN t.history = h.history_read THEN h.history_after
                              ELSE replace(t.history, h.charge, h.charge_after) END
          FROM (SELECT * FROM settled WHERE charge IS NOT NULL ORDER BY user_id) h
         WHERE t.user_id = h.user_id
    ),
    remembered AS (
        INSERT INTO verifications (user_id, team_id, nas_id, device, surface, at, text)
        SELECT DISTINCT ON (user_id, team_id, nas_id, device) user_id, team_id, nas_id, device, surface, at, text
          FROM settled WHERE remembers ORDER BY user_id, team_id, nas_id, device, at DESC
        ON CONFLICT (user_id, team_id, nas_id, device)
        DO UPDATE SET surface = excluded.surface, at = excluded.at, text = excluded.text
    ),
    issued AS (
        INSERT INTO challenges (state, user_id, nas_id, kind, granted_to, expires_at)
        SELECT issue, user_id, nas_id, 'code', granted_to, issue_expires FROM settled WHERE issue IS NOT NULL
        ON CONFLICT (state) DO NOTHING
    )
SELECT request, id FROM recorded
"""  # noqa: S608 - constants of ours


def read(connection: Connection, queries: Sequence[Query], *, charging: bool) -> Sequence[Sequence[Any]]:
    """See `sign_ins.Dialect.read`."""
    return _run(connection, _OPEN if charging else _REREAD, _arrays(queries, _QUERY_COLUMNS))


def settle(connection: Connection, rows: Sequence[Row]) -> dict[int, int]:
    """See `sign_ins.Dialect.settle`."""
    recorded = dict(_run(connection, _SETTLE, _arrays(rows, _ROW_COLUMNS)))
    return {row.position: recorded[row.request] for row in rows if row.request in recorded}


def lock_histories(connection: Connection, user_ids: Sequence[int]) -> dict[int, str]:
    """See `sign_ins.Dialect.lock_histories`."""
    statement = "SELECT user_id, history FROM throttles WHERE user_id = ANY(%s) ORDER BY user_id FOR UPDATE"
    rows = connection.exec_driver_sql(statement, (list(user_ids),)).fetchall()
    return dict(rows)


def write_histories(connection: Connection, histories: dict[int, str]) -> None:
    """See `sign_ins.Dialect.write_histories`."""
    statement = """
        UPDATE throttles t SET history = w.history
          FROM unnest(%s::bigint[], %s::text[]) AS w (user_id, history) WHERE t.user_id = w.user_id
    """
    connection.exec_driver_sql(statement, (list(histories), list(histories.values())))


def _run(connection: Connection, statement: LiteralString, values: tuple[str, ...]) -> list[Any]:
    # psycopg's own cursor, which psycopg prepares and reads in binary; SQLAlchemy's adds 3 us a row.
    own = cast("psycopg.Connection[tuple[Any, ...]]", connection.connection.driver_connection)
    return own.cursor(binary=True).execute(statement, values).fetchall()


def _arrays(rows: Sequence[tuple[object, ...]], columns: dict[str, str]) -> tuple[str, ...]:
    """Turn rows into one array literal per column, in the order of the statement's parameters."""
    by_column = zip(columns.values(), zip(*rows, strict=True), strict=True)
    return tuple(_LITERALS.get(kind, _numbers)(values) for kind, values in by_column)


# Array literals by hand, a column at a time at the speed of C: psycopg's dumper of lists takes 0.6 us a value, this
# 0.1 us, and a sign-in has 36 values on its way in (bench/stages.py).


def _numbers(values: tuple[Any, ...]) -> str:
    return "{" + str(list(values))[1:-1].replace("None", "NULL") + "}"


def _octets(values: tuple[Any, ...]) -> str:
    return "{" + ",".join(["NULL" if value is None else rf'"\\x{value.hex()}"' for value in values]) + "}"


def _texts(values: tuple[Any, ...]) -> str:
    """Quote a column; only the double quote and the backslash mean something inside of quotes."""
    joined = _BETWEEN.join([_NOTHING if value is None else value for value in values])
    if joined.count(_BETWEEN) != len(values) - 1 or joined.count(_NOTHING) != values.count(None):
        return "{" + ",".join(["NULL" if value is None else f'"{_escaped(value)}"' for value in values]) + "}"
    quoted = f'"{_escaped(joined)}"'.replace(_BETWEEN, '","').replace(f'"{_NOTHING}"', "NULL")
    return "{" + quoted + "}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


# Control characters that no name, address or hash has; where one does, its column is quoted value by value.
_BETWEEN: Final = "\x1f"
_NOTHING: Final = "\x1e"
_LITERALS: Final = {"bytea": _octets, "text": _texts}

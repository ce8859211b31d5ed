"""The statements of a sign-in for PostgreSQL: all duties of a whole batch in one statement per transaction.

Arrays go in, `unnest` makes them rows. Rows are locked in key order, so that two nodes don't deadlock. The planner
settings of `database` matter: left alone, PostgreSQL takes a batch of 32 for large and scans whole tables.

What a verdict grants rests on the user's row, which is locked (`granted`), so that nothing rests on the old row after
the commit of who changes it. Where somebody holds it, say to disable the user, nothing is granted and the sign-in is
judged again: to wait would let one forgotten transaction silence everybody in the batch.
"""

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple, cast

import psycopg
from sqlalchemy import Connection

from radiusd_mfa.core.facts import TeamRules
from radiusd_mfa.core.throttle import ROOM
from radiusd_mfa.store.fact_rows import FactRow, Read, team_rules
from radiusd_mfa.store.postgresql_arrays import arrays, scalars
from radiusd_mfa.store.sign_in_rows import Query, Row

_QUERY_COLUMNS: Final = {
    "position": "int",
    "request": "bytea",
    "name": "text",
    "realm": "text",
    "local": "text",
    "nas_team": "bigint",
    "nas_id": "bigint",
    "device": "text",
    "surface": "text",
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
    "role": "text",
    "bare": "bool",
    "surface": "text",
    "device": "text",
    "text": "bytea",
    "outcome": "text",
    "reason": "text",
    "detail": "text",
    "facts": "text",
    "relies_at": "float8",
    "relies_nas": "bigint",
    "relies_device": "text",
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


def _given(name: str, columns: Mapping[str, str], *, one: bool) -> str:
    if one:  # without arrays, of which each takes 2 us, and what is looked up is looked up by the parameters themselves
        values = ", ".join(f"%s::{kind} AS {column}" for column, kind in columns.items())
        return f"{name} AS NOT MATERIALIZED (SELECT {values})"
    arrays = ", ".join(f"%s::{kind}[]" for kind in columns.values())
    return f"{name} AS (SELECT * FROM unnest({arrays}) AS {name} ({', '.join(columns)}))"  # noqa: S608 - names of ours


_WHO: Final = """
    who AS MATERIALIZED (
        SELECT asked.*, coalesce(nullif(asked.nas_team, 0), r.team_id, 0) AS team_id,
               coalesce(u.id, l.id) AS user_id, coalesce(u.name, l.name) AS user_name,
               coalesce(u.password_hash, l.password_hash) AS password_hash,
               coalesce(u.password_hash, l.password_hash, '') AS granted_to,
               coalesce(u.disabled, l.disabled) AS disabled,
               coalesce(u.backup_generation, l.backup_generation) AS backup_generation,
               a.at AS earlier_at, a.outcome, a.reason
          FROM asked
          LEFT JOIN realms r ON r.name = asked.realm
          LEFT JOIN users u ON u.name = asked.name
          LEFT JOIN users l ON l.name = asked.local AND u.id IS NULL AND r.name IS NOT NULL
          LEFT JOIN audit a ON a.request = asked.request
    )
"""
# Sorted once, and not by the aggregate, which before PostgreSQL 16 begins a sort for each user: 2 us.
_CHARGED: Final = f"""
    charged AS (
        INSERT INTO throttles AS t (user_id, history)
        SELECT user_id, string_agg(charge, '') FROM (
            SELECT user_id, charge FROM who
             WHERE user_id IS NOT NULL AND charge IS NOT NULL AND earlier_at IS NULL ORDER BY user_id, position
        ) c GROUP BY user_id ORDER BY user_id
        ON CONFLICT (user_id) DO UPDATE
           SET history = t.history || CASE WHEN length(t.history) < {ROOM} THEN excluded.history ELSE '' END
        RETURNING user_id, history
    )
"""  # noqa: S608 - a constant of ours
# One object to look users up in: a join of two lists without an index would compare each with each.
_HISTORY_CHARGED: Final = "(SELECT jsonb_object_agg(user_id, history) FROM charged) ->> who.user_id::text"
_HISTORY_AS_IT_IS: Final = "(SELECT history FROM throttles t WHERE t.user_id = who.user_id)"


_IN_TEAM: Final = "m.user_id = who.user_id AND (who.team_id = 0 OR m.team_id = who.team_id)"
_MEMBERS: Final = f"(SELECT string_agg(m.team_id || ':' || m.role, ',') FROM memberships m WHERE {_IN_TEAM})"  # noqa: S608
# Once for the batch, beside the rows of its first attempt: a policy is long, and most of a batch shares a few.
_TEAMS: Final = f"""
    CASE WHEN who.position = 0 THEN (
        SELECT array_agg(json_build_array(t.id, t.name, t.plan, t.policy, t.policy_version, (
                    SELECT json_agg(json_build_array(p.role, p.surface, p.attributes) ORDER BY p.id)
                      FROM reply_profiles p WHERE p.team_id = t.id))::text)
          FROM (SELECT DISTINCT m.team_id FROM who JOIN memberships m ON {_IN_TEAM}) met
          JOIN teams t ON t.id = met.team_id
    ) END
"""  # noqa: S608 - names of ours


def _facts(history: str) -> str:
    # OFFSET 0 keeps the backup codes a look-up that is left out where no code was typed. Of verifications a user has a
    # few, those of three months at most, and an index by time would make each sign-in write to it.
    return f"""
    SELECT who.position, who.team_id, who.user_id, who.user_name, who.password_hash, who.disabled,
           who.backup_generation, {_MEMBERS}, {history}, v.at, v.text, l.at, l.text, l.nas_id, l.device,
           c.user_id, c.nas_id, c.expires_at, who.earlier_at, who.outcome, who.reason,
           m.id, m.seed, m.digits, m.period, m.algorithm, m.watermark, m.kind,
           b.id, b.selector, b.hash, b.used_at, {_TEAMS}
      FROM who
      LEFT JOIN verifications v
             ON v.user_id = who.user_id AND v.team_id = who.team_id AND v.nas_id = who.nas_id AND v.device = who.device
            AND v.granted_to = who.granted_to
      LEFT JOIN LATERAL (
            SELECT at, text, nas_id, device FROM verifications
             WHERE user_id = who.user_id AND team_id = who.team_id AND surface = who.surface
               AND granted_to = who.granted_to
             ORDER BY at DESC LIMIT 1
           ) l ON true
      LEFT JOIN challenges c ON c.state = who.state AND c.granted_to = who.granted_to
      LEFT JOIN methods m ON m.user_id = who.user_id AND m.confirmed_at IS NOT NULL
      LEFT JOIN LATERAL (
            SELECT id, selector, hash, used_at FROM backup_codes
             WHERE who.selector IS NOT NULL AND user_id = who.user_id AND generation = who.backup_generation
               AND selector IN (who.selector, who.other_selector) OFFSET 0
           ) b ON true
"""  # noqa: S608 - a constant of ours


# The commit of a charge does not wait for the disk: no answer leaves before the commit of its settlement, which waits
# for all of the log before it. That saves a flush, a third of what a lonely statement takes.
_HASTILY: Final = "(SELECT set_config('synchronous_commit', 'off', true)) = 'off'"
_ASKED: Final = {one: _given("asked", _QUERY_COLUMNS, one=one) for one in (False, True)}
_OPEN: Final = {
    one: f"WITH {asked}, {_WHO}, {_CHARGED} {_facts(_HISTORY_CHARGED)} WHERE {_HASTILY}"
    for one, asked in _ASKED.items()
}
"""For several sign-ins, and for one alone."""
_REREAD: Final = {one: f"WITH {asked}, {_WHO} {_facts(_HISTORY_AS_IT_IS)}" for one, asked in _ASKED.items()}

# Of `free` only: a State is used up by what is settled, and what is judged again, say because the password hash is
# renewed at that moment, still finds it.
_REDEEMED: Final = """
    redeemed AS (DELETE FROM challenges c USING free f WHERE c.state = f.redeem RETURNING f.position),
    open AS (SELECT * FROM free WHERE redeem IS NULL OR position IN (SELECT position FROM redeemed)),
"""
# A key share gives way to an upsert of another sign-in and not to a DELETE: who ends a period waits for this commit or
# has ended it, and two nodes of which each relies on what the other rewrites never wait.
_RELIED: Final = """
    relied AS (
        SELECT w.position FROM w JOIN verifications v ON v.user_id = w.user_id AND v.team_id = w.team_id
         WHERE v.nas_id = w.relies_nas AND v.device = w.relies_device
           AND v.at >= w.relies_at AND v.granted_to = w.granted_to
         ORDER BY v.user_id, v.team_id, v.nas_id, v.device FOR KEY SHARE OF v SKIP LOCKED
    ),
"""
_IS_RELIED: Final = "AND (w.relies_at IS NULL OR w.position IN (SELECT position FROM relied))"
_CODED: Final = """
    coded AS (
        UPDATE backup_codes b SET used_at = o.at, last_request = o.request
          FROM (SELECT * FROM open WHERE code_id IS NOT NULL ORDER BY code_id) o JOIN users u ON u.id = o.user_id
         WHERE b.id = o.code_id AND b.used_at IS NULL AND b.generation = u.backup_generation
        RETURNING o.position
    ),
"""
_IS_CODED: Final = "AND (code_id IS NULL OR position IN (SELECT position FROM coded))"
_ISSUED: Final = """,
    issued AS (
        INSERT INTO challenges (state, user_id, nas_id, kind, granted_to, expires_at)
        SELECT issue, user_id, nas_id, 'code', granted_to, issue_expires FROM settled WHERE issue IS NOT NULL
        ON CONFLICT (state) DO NOTHING
    )
"""
# Not EXISTS: behind an OR that is made a table of everybody's, for a batch that might be large.
_BELONGS: Final = """
           AND (w.role IS NULL OR w.role = (
                 SELECT m.role FROM memberships m WHERE m.user_id = w.user_id AND m.team_id = w.team_id))
"""
_HAS_NONE: Final = """
           AND (NOT w.bare OR 0 = (
                 SELECT count(*) FROM methods n WHERE n.user_id = w.user_id AND n.confirmed_at IS NOT NULL))
"""
# A charge does not wait for the disk: the database may have crashed since, and come back without it, and without the
# row that it stood in.
_REVIVED: Final = """
    revived AS (
        INSERT INTO throttles AS t (user_id, history)
        SELECT s.user_id, s.charge_after FROM settled s JOIN users u ON u.id = s.user_id
         WHERE s.charge_after <> '' AND s.charge IS NOT NULL
           AND (s.user_id IN (SELECT user_id FROM charged)) IS NOT TRUE
        ON CONFLICT (user_id) DO UPDATE SET history = t.history || excluded.history
    ),
"""
_NAS_IS_THERE: Final = "AND (w.issue IS NULL OR EXISTS (SELECT 1 FROM nas WHERE nas.id = w.nas_id))"


class _Duties(NamedTuple):
    """What a batch has that most batches don't: PostgreSQL sets each part up, which takes 30 us also for nothing."""

    redeems: bool = True
    relies: bool = True
    codes: bool = True
    issues: bool = True
    belongs: bool = True
    bare: bool = True
    fails: bool = True


_OF_DUTY: Final = {
    "redeems": ("redeem",),
    "relies": ("relies_at", "relies_nas", "relies_device"),
    "codes": ("code_id",),
    "issues": ("issue", "issue_expires"),
    "belongs": ("role",),
    "bare": ("bare",),
}
"""The columns that nothing but this duty reads."""


@lru_cache(64)
def _columns(duties: _Duties) -> Mapping[str, str]:
    unread = {column for duty, columns in _OF_DUTY.items() if not getattr(duties, duty) for column in columns}
    return {name: kind for name, kind in _ROW_COLUMNS.items() if name not in unread}


@lru_cache(128)
def _settling(duties: _Duties, *, one: bool) -> str:
    """Return the statement that settles a batch with these duties, or one sign-in alone."""
    redeems, relies, codes, issues, belongs, bare, fails = duties
    return f"""
WITH {_given("w", _columns(duties), one=one)},
    granted AS (
        SELECT w.position FROM w JOIN users u ON u.id = w.user_id
         WHERE NOT u.disabled AND coalesce(u.password_hash, '') = w.granted_to
         ORDER BY u.id FOR SHARE OF u SKIP LOCKED
    ),
    {_RELIED if relies else ""}
    {"free" if redeems else "open"} AS (
        SELECT w.* FROM w
         WHERE NOT EXISTS (SELECT 1 FROM audit a WHERE a.request = w.request)
           AND (w.granted_to IS NULL OR w.position IN (SELECT position FROM granted))
           {_IS_RELIED if relies else ""} {_NAS_IS_THERE if issues else ""}
           {_BELONGS if belongs else ""} {_HAS_NONE if bare else ""}
    ),
    {_REDEEMED if redeems else ""}
    stepped AS (
        UPDATE methods m SET watermark = o.step, last_request = o.request, last_used_at = o.at
          FROM (SELECT * FROM open WHERE method_id IS NOT NULL ORDER BY method_id) o
         WHERE m.id = o.method_id AND m.watermark < o.step AND m.confirmed_at IS NOT NULL
        RETURNING o.position
    ),
    {_CODED if codes else ""}
    held AS (
        SELECT * FROM open
         WHERE (method_id IS NULL OR position IN (SELECT position FROM stepped)) {_IS_CODED if codes else ""}
    ),
    recorded AS (
        INSERT INTO audit (at, kind, request, user_name, nas_name, surface, device, outcome, reason, detail, facts)
        SELECT at, 'sign-in', request, user_name, nas_name, surface, device, outcome, reason, detail, facts
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
                              WHEN strpos(t.history, h.charge) = 0 THEN t.history || h.charge_after
                              ELSE replace(t.history, h.charge, h.charge_after) END
          FROM (SELECT * FROM settled WHERE charge IS NOT NULL ORDER BY user_id) h
         WHERE t.user_id = h.user_id
        RETURNING t.user_id
    ),
    {_REVIVED if fails else ""}
    remembered AS (
        INSERT INTO verifications (user_id, team_id, nas_id, device, surface, at, text, granted_to)
        SELECT DISTINCT ON (user_id, team_id, nas_id, device)
               user_id, team_id, nas_id, device, surface, at, text, granted_to
          FROM settled WHERE remembers ORDER BY user_id, team_id, nas_id, device, at DESC
        ON CONFLICT (user_id, team_id, nas_id, device)
        DO UPDATE SET surface = excluded.surface, at = excluded.at, text = excluded.text,
                      granted_to = excluded.granted_to
    ){_ISSUED if issues else ""}
SELECT request, id FROM recorded
"""  # noqa: S608 - constants of ours


def read(connection: Connection, queries: Sequence[Query], *, charging: bool) -> Read:
    """See `sign_ins.Dialect.read`."""
    statement = (_OPEN if charging else _REREAD)[len(queries) == 1]
    found = _run(connection, statement, _values(queries, Query._fields, _QUERY_COLUMNS))
    met = next((row[-1] for row in found if row[0] == 0), None) or ()
    teams = map(_team, met)
    return Read([FactRow._make(row[:-1]) for row in found], {team.id: team for team in teams})


def settle(connection: Connection, rows: Sequence[Row]) -> dict[int, int]:
    """See `sign_ins.Dialect.settle`."""
    duties = _duties_of(rows)
    values = _values(rows, Row._fields, _columns(duties))
    recorded = dict(_run(connection, _settling(duties, one=len(rows) == 1), values))
    return {row.position: recorded[row.request] for row in rows if row.request in recorded}


def _values(
    rows: Sequence[tuple[object, ...]], names: Sequence[str], columns: Mapping[str, str]
) -> tuple[str | None, ...]:
    return scalars(rows[0], names, columns) if len(rows) == 1 else arrays(rows, names, columns)


def _duties_of(rows: Sequence[Row]) -> _Duties:
    return _Duties(
        redeems=any(row.redeem is not None for row in rows),
        relies=any(row.relies_at is not None for row in rows),
        codes=any(row.code_id is not None for row in rows),
        issues=any(row.issue is not None for row in rows),
        belongs=any(row.role is not None for row in rows),
        bare=any(row.bare for row in rows),
        fails=any(row.charge is not None and row.charge_after for row in rows),
    )


def lock_histories(connection: Connection, user_ids: Sequence[int]) -> dict[int, str]:
    """See `sign_ins.Dialect.lock_histories`."""
    statement = "SELECT user_id, history FROM throttles WHERE user_id = ANY(%s) ORDER BY user_id FOR UPDATE"
    rows = connection.exec_driver_sql(statement, (list(user_ids),)).fetchall()
    return dict(rows)


def begin_histories(connection: Connection, user_ids: Sequence[int]) -> None:
    """See `sign_ins.Dialect.begin_histories`."""
    statement = """
        INSERT INTO throttles (user_id, history) SELECT id, '' FROM users WHERE id = ANY(%s) ORDER BY id
        ON CONFLICT (user_id) DO NOTHING
    """
    connection.exec_driver_sql(statement, (list(user_ids),))


def write_histories(connection: Connection, histories: dict[int, str]) -> None:
    """See `sign_ins.Dialect.write_histories`."""
    statement = """
        UPDATE throttles t SET history = w.history
          FROM unnest(%s::bigint[], %s::text[]) AS w (user_id, history) WHERE t.user_id = w.user_id
    """
    connection.exec_driver_sql(statement, (list(histories), list(histories.values())))


@lru_cache(256)
def _team(text: str) -> TeamRules:
    *row, profiles = json.loads(text)
    return team_rules(tuple(row), tuple(map(tuple, profiles or ())))


def _run(connection: Connection, statement: str, values: tuple[str | None, ...]) -> list[Any]:
    # psycopg's own cursor, which psycopg prepares and reads in binary; SQLAlchemy's adds 3 us a row.
    # Kept with its connection, since a new one looks up anew how each of 32 columns is read.
    kept = connection.connection
    cursor = kept.info.get(statement)
    if cursor is None:
        own = cast("psycopg.Connection[tuple[Any, ...]]", kept.driver_connection)
        cursor = kept.info[statement] = own.cursor(binary=True)
    return cast("list[Any]", cursor.execute(statement, values).fetchall())

"""Collects what a fault run left in the database and in the daemons' output."""

import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from sqlalchemy import text

from radiusd_mfa.store.database import Database
from tests.faults.evidence import Charge, Row

_WATCH_POSTGRESQL: Final = (
    "CREATE TABLE fallen_watermarks (method_id bigint, before bigint, after bigint)",
    """
    CREATE FUNCTION note_fallen() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO fallen_watermarks VALUES (OLD.id, OLD.watermark, NEW.watermark);
        RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER fallen AFTER UPDATE ON methods FOR EACH ROW
        WHEN (NEW.watermark < OLD.watermark) EXECUTE FUNCTION note_fallen()
    """,
)
_WATCH_SQLITE: Final = (
    "CREATE TABLE fallen_watermarks (method_id integer, before integer, after integer)",
    """
    CREATE TRIGGER fallen AFTER UPDATE ON methods WHEN NEW.watermark < OLD.watermark
    BEGIN INSERT INTO fallen_watermarks VALUES (OLD.id, OLD.watermark, NEW.watermark); END
    """,
)
_ROWS: Final = """
    SELECT id, at, request, user_name, nas_name, outcome, reason, detail, {committed} AS committed
      FROM audit WHERE kind = 'sign-in' ORDER BY id
"""
_COMMITTED: Final = "extract(epoch FROM pg_xact_commit_timestamp(xmin))::float8"
_VALID: Final = """
    SELECT u.name, b.generation FROM backup_codes b JOIN users u ON u.id = b.user_id
     WHERE b.used_at IS NULL AND b.generation = u.backup_generation GROUP BY u.name, b.generation
"""


def watch(database: Database) -> None:
    """Let the database itself note every watermark that goes down (I7)."""
    with database.writing() as connection:
        for statement in _WATCH_SQLITE if database.dialect == "sqlite" else _WATCH_POSTGRESQL:
            connection.exec_driver_sql(statement)


def rows(database: Database) -> list[Row]:
    """Return the audit log of sign-ins."""
    committed = "NULL" if database.dialect == "sqlite" else _COMMITTED
    with database.reading() as connection:
        found = connection.execute(text(_ROWS.format(committed=committed))).fetchall()
    return [_row(each) for each in found]


def _row(found: Any) -> Row:
    detail = json.loads(found.detail or "{}")
    request = None if found.request is None else bytes(found.request)
    return Row(
        id=found.id,
        at=found.at,
        request=request,
        user=found.user_name,
        nas=found.nas_name,
        outcome=found.outcome,
        reason=found.reason,
        method=detail.get("method"),
        step=detail.get("step"),
        backup_code=detail.get("backup_code"),
        committed=found.committed,
    )


def charges(database: Database) -> dict[str, list[Charge]]:
    """Return the throttle histories by user."""
    with database.reading() as connection:
        found = connection.execute(
            text("SELECT u.name, t.history FROM throttles t JOIN users u ON u.id = t.user_id")
        ).fetchall()
    return {name: list(_charges(history)) for name, history in found}


def _charges(history: str) -> Iterator[Charge]:
    for entry in filter(None, history.split(";")):
        _at, mark, _nas, _device, _text, request = entry.split("/")
        yield Charge(mark, request)


def fallen(database: Database) -> list[str]:
    """Say which watermarks went down."""
    with database.reading() as connection:
        found = connection.execute(text("SELECT method_id, before, after FROM fallen_watermarks")).fetchall()
    return [f"the watermark of method {method} went from {before} to {after}" for method, before, after in found]


def generations(database: Database) -> Mapping[str, Sequence[int]]:
    """Return whose backup codes of which generations are valid."""
    found: defaultdict[str, list[int]] = defaultdict(list)
    with database.reading() as connection:
        for name, generation in connection.execute(text(_VALID)):
            found[name].append(generation)
    return found


def chain(environ: Mapping[str, str]) -> str:
    """Return what `audit verify` complains about; empty for nothing."""
    command = [sys.executable, "-m", "radiusd_mfa", "audit", "verify"]
    done = subprocess.run(command, env=dict(environ), capture_output=True, text=True, timeout=300, check=False)
    return "" if done.returncode == 0 else f"{done.stdout}\n{done.stderr}".strip()


def leaks(logs: Iterable[Path], secrets: Iterable[str]) -> list[str]:
    """Name the logs in which a secret stands, and where; never the secret itself."""
    wanted = [secret.encode() for secret in secrets]
    return [
        f"a secret of {len(secret)} characters stands in {name} at {said.index(secret)}"
        for name, said in [(log.name, log.read_bytes()) for log in logs]
        for secret in wanted
        if secret in said
    ]

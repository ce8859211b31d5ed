import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

from radiusd_mfa.installation import NotReadyProblem, refuse_unfit
from radiusd_mfa.store import schema
from radiusd_mfa.store import upgrade as upgrade_module
from radiusd_mfa.store.database import Database
from radiusd_mfa.store.upgrade import SchemaStatus, schema_status, upgrade


@pytest.fixture
def empty(empty_database_url: str) -> Database:
    return Database(empty_database_url, deadline=10)


def _tables(database: Database) -> set[str]:
    with database.reading() as connection:
        return set(inspect(connection).get_table_names())


def test_the_migrations_make_exactly_the_tables_of_the_schema(database: Database) -> None:
    with database.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, schema.metadata) == []


def test_the_migrations_make_the_same_constraints_and_defaults_as_the_schema(
    database: Database, empty: Database
) -> None:
    with empty.writing() as connection:
        schema.metadata.create_all(connection)
    try:
        for table in schema.metadata.tables:
            with database.reading() as migrated, empty.reading() as created:
                assert _described(migrated, table) == _described(created, table)
    finally:
        empty.close()


def _described(connection: Connection, table: str) -> object:
    inspector = inspect(connection)
    columns = [(each["name"], each["nullable"], each["default"]) for each in inspector.get_columns(table)]
    checks = sorted((each["name"] or "", each["sqltext"]) for each in inspector.get_check_constraints(table))
    foreign = sorted((each["name"] or "", repr(each["options"])) for each in inspector.get_foreign_keys(table))
    return columns, checks, foreign, inspector.get_pk_constraint(table), inspector.get_table_options(table)


_KILLED_ON_THE_WAY = """
import os, signal, sys
from alembic import op
from radiusd_mfa.store.database import Database
from radiusd_mfa.store.upgrade import upgrade

op.create_index = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)  # after several tables were made
upgrade(Database(sys.argv[1], deadline=10))
"""


def test_an_upgrade_that_is_killed_leaves_nothing_behind_and_can_be_run_again(
    empty: Database, empty_database_url: str
) -> None:
    command = [sys.executable, "-c", _KILLED_ON_THE_WAY, empty_database_url]
    assert subprocess.run(command, timeout=60, check=False).returncode == -signal.SIGKILL
    assert _tables(empty) == set()
    upgrade(empty)
    assert schema_status(empty).is_current
    empty.close()


FIRST_ROWS = """
INSERT INTO teams (id, name, plan, policy, policy_version, created_at)
    VALUES (1, 'ops', 'mfa', 'mode = "report"', 3, 7);
INSERT INTO teams (id, name, created_at) VALUES (2, 'dev', 8);
INSERT INTO realms (name, team_id) VALUES ('ops', 1);
INSERT INTO users (id, name, password_hash, backup_generation, created_at) VALUES (1, 'alice', 'hash', 1, 0);
INSERT INTO memberships (user_id, team_id, role) VALUES (1, 1, 'owner');
INSERT INTO nas (id, name, address, secret, surface, team_id, created_at)
    VALUES (1, 'gate', '192.0.2.1/32', 'x', 'vpn', 1, 0);
INSERT INTO methods (id, user_id, kind, seed, watermark, created_at, confirmed_at) VALUES (5, 1, 'totp', 'x', 99, 0, 1);
INSERT INTO methods (id, user_id, kind, seed, created_at) VALUES (6, 1, 'totp', 'x', 0);
INSERT INTO backup_codes (user_id, generation, selector, hash) VALUES (1, 1, 'ab', 'x');
INSERT INTO challenges (state, user_id, nas_id, kind, granted_to, expires_at) VALUES ('s', 1, 1, 'code', 'hash', 9);
INSERT INTO challenges (state, user_id, nas_id, kind, granted_to, expires_at) VALUES ('t', 1, 1, 'other', 'hash', 9);
INSERT INTO verifications (user_id, nas_id, device, surface, at, text) VALUES (1, 1, 'd', 'vpn', 5, 'x');
INSERT INTO throttles (user_id, history) VALUES (1, 'x');
INSERT INTO links (hash, purpose, user_id, expires_at) VALUES ('h', 'reset', 1, 9);
INSERT INTO reply_profiles (team_id, role, surface, attributes) VALUES (1, NULL, NULL, 'Class = "x"');
INSERT INTO audit (id, at, kind, outcome, reason) VALUES (9, 1, 'sign-in', 'accept', 'totp');
"""


@pytest.fixture
def first(empty: Database) -> Database:
    """A database as the first version left it, with rows in every table."""
    with empty.writing() as connection:
        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", str(upgrade_module._MIGRATIONS))
        config.set_main_option("path_separator", "os")
        command.upgrade(config, "0001")
        for statement in filter(str.strip, FIRST_ROWS.split(";\n")):
            connection.execute(text(statement))
    return empty


def _rows(database: Database, statement: str) -> list[tuple[object, ...]]:
    with database.reading() as connection:
        return [tuple(row) for row in connection.execute(text(statement))]


def test_an_upgrade_keeps_every_row(first: Database) -> None:
    tables = _tables(first) - {"alembic_version", "challenges"}
    kept = {table: _rows(first, f"SELECT count(*) FROM {table}") for table in tables}
    assert len(kept) == 13
    upgrade(first)
    assert {table: _rows(first, f"SELECT count(*) FROM {table}") for table in tables} == kept
    assert _rows(first, "SELECT id, watermark, replaces, seed_digest FROM methods ORDER BY id") == [
        (5, 99, None, None),
        (6, 0, None, None),
    ]
    assert _rows(first, "SELECT name, team_id FROM realms") == [("ops", 1)]
    assert _rows(first, "SELECT id, facts FROM audit") == [(9, None)]
    assert _rows(first, "SELECT set_up FROM nas") == [("link",)]
    first.close()


def test_a_challenge_whose_kind_nobody_knows_is_no_challenge_after_an_upgrade(first: Database) -> None:
    upgrade(first)
    assert _rows(first, "SELECT kind, granted_to, method_id FROM challenges") == [("code", "hash", None)]
    first.close()


def test_a_period_of_before_the_upgrade_belongs_to_no_password(first: Database) -> None:
    upgrade(first)
    assert _rows(first, "SELECT device, at, granted_to FROM verifications") == [("d", 5.0, "")]
    first.close()


def test_the_history_of_policies_begins_with_what_is_there(first: Database) -> None:
    upgrade(first)
    assert _rows(first, "SELECT team_id, version, text, at, actor FROM policies") == [
        (1, 3, 'mode = "report"', 7.0, "unknown")
    ]
    first.close()


@pytest.mark.parametrize("dialect", ["sqlite"])  # where the sequence is kept by the table, which is copied
def test_an_id_that_was_given_before_the_upgrade_never_comes_again(first: Database) -> None:
    with first.writing() as connection:
        connection.execute(text("DELETE FROM methods WHERE user_id = 1"))
    upgrade(first)
    with first.writing() as connection:
        connection.execute(text("INSERT INTO methods (user_id, kind, created_at) VALUES (1, 'totp', 0)"))
    assert _rows(first, "SELECT id FROM methods") == [(7,)]
    first.close()


_KILLED_LATER = """
import os, signal, sys
from alembic import op
from radiusd_mfa.store.database import Database
from radiusd_mfa.store.upgrade import upgrade

op.{step} = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
upgrade(Database(sys.argv[1], deadline=10))
"""


@pytest.mark.parametrize("step", ["batch_alter_table", "add_column", "create_index", "drop_index"])
def test_an_upgrade_that_is_killed_leaves_the_older_schema_as_it_was(
    first: Database, empty_database_url: str, step: str
) -> None:
    with first.reading() as connection:
        before = {table: _described(connection, table) for table in _tables(first)}
    script = _KILLED_LATER.format(step=step)
    run = subprocess.run([sys.executable, "-c", script, empty_database_url], timeout=60, check=False)
    assert run.returncode == -signal.SIGKILL
    with first.reading() as connection:
        assert {table: _described(connection, table) for table in _tables(first)} == before
    assert schema_status(first).current == "0001"
    upgrade(first)
    assert schema_status(first).is_current
    first.close()


_KILLED_AT_ANY = """
import os, signal, sys
from itertools import count
from sqlalchemy import event, inspect
from radiusd_mfa.store.database import Database
from radiusd_mfa.store.upgrade import schema_status, upgrade

url, stride = sys.argv[1], int(sys.argv[2])

def found():
    database = Database(url, deadline=10)
    with database.reading() as connection:
        inspector = inspect(connection)
        columns = {table: inspector.get_columns(table) for table in inspector.get_table_names()}
    current = schema_status(database).current
    database.close()
    return current, repr(columns)

def upgraded(left):
    database = Database(url, deadline=10)

    @event.listens_for(database.engine, "after_cursor_execute")
    def executed(*_):
        nonlocal left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    upgrade(database)
    os._exit(0)

before = found()
for number in count(0, stride):
    child = os.fork()
    if not child:
        upgraded(number)
    if os.waitpid(child, 0)[1] == 0:
        break
    assert found() == before, f"killed after statement {number}: something was left"
print(number)
"""
_STRIDE = int(os.environ.get("RADIUSD_MFA_MIGRATION_STRIDE", "7"))
"""Statements from one kill to the next; 1 kills after each of them, which takes minutes."""


@pytest.mark.timeout(1800)
def test_an_upgrade_that_is_killed_after_any_statement_leaves_the_older_schema_as_it_was(
    first: Database, empty_database_url: str
) -> None:
    """ATTACKS 32: all of it or nothing, and the next one goes through."""
    command = [sys.executable, "-c", _KILLED_AT_ANY, empty_database_url, str(_STRIDE)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=1700, check=False)
    assert run.returncode == 0, run.stderr
    assert int(run.stdout) > 3 * _STRIDE, "too few statements for anything to be shown"
    assert schema_status(first).is_current
    first.close()


def test_two_nodes_that_upgrade_at_once_do_it_once(empty: Database, empty_database_url: str) -> None:
    nodes = [Database(empty_database_url, deadline=10) for _ in range(2)]
    with ThreadPoolExecutor(2) as threads:
        found = list(threads.map(upgrade, nodes))
    assert sorted(len(each.pending) for each in found) == [0, len(found[0].known)]
    for node in (*nodes, empty):
        node.close()


def test_an_upgrade_runs_once_and_says_what_it_found(empty: Database) -> None:
    first, second = upgrade(empty), upgrade(empty)
    assert first.current is None
    assert first.pending == first.known
    assert second.pending == ()
    empty.close()


def test_a_newer_schema_is_refused_and_left_alone(database: Database) -> None:
    with database.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    assert upgrade(database).is_newer
    status = schema_status(database)
    assert status.current == "9999"
    with pytest.raises(NotReadyProblem, match="newer radiusd-mfa"):
        refuse_unfit(status)


def test_an_older_schema_is_refused_with_the_command_that_helps() -> None:
    status = SchemaStatus("0001", ("0001", "0002"))
    assert status.pending == ("0002",)
    with pytest.raises(NotReadyProblem, match="radiusd-mfa db upgrade"):
        refuse_unfit(status)


def test_a_database_without_tables_is_refused_with_the_command_that_helps(empty: Database) -> None:
    with pytest.raises(NotReadyProblem, match="radiusd-mfa init"):
        refuse_unfit(schema_status(empty))
    empty.close()


def test_the_program_knows_the_revisions_that_it_ships() -> None:
    """`schema_status` does without alembic, so what it knows stands in a constant."""
    scripts = ScriptDirectory(str(Path(schema.__file__).parent / "migrations"))
    shipped = tuple(revision.revision for revision in scripts.walk_revisions())[::-1]
    assert shipped == upgrade_module._KNOWN

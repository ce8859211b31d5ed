import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

from radiusd_mfa.app import NotReadyProblem, refuse_unfit
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

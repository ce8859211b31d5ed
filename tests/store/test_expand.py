"""Expand and contract: the version that runs survives the upgrade to the next (docs/backup.md)."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

from radiusd_mfa.store import upgrade as upgrade_module
from radiusd_mfa.store.database import Database
from radiusd_mfa.store.upgrade import schema_status, upgrade
from radiusd_mfa.usecases.ports import StoreFault

FIRST_UNDER_THE_RULE = "0005"
"""Before this one there was no version that anybody could have running."""


def revisions() -> list[str]:
    scripts = ScriptDirectory(str(Path(upgrade_module.__file__).parent / "migrations"))
    return [revision.revision for revision in scripts.walk_revisions()][::-1]


def contracts(revision: str) -> bool:
    scripts = ScriptDirectory(str(Path(upgrade_module.__file__).parent / "migrations"))
    return (scripts.get_revision(revision).doc or "").startswith("Contract:")


def run_to(connection: Connection, revision: str) -> None:
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(upgrade_module._MIGRATIONS))
    config.set_main_option("path_separator", "os")
    command.upgrade(config, revision)


Columns = dict[str, dict[str, Any]]


def tables(connection: Connection) -> dict[str, Columns]:
    inspector = inspect(connection)
    return {
        table: {column["name"]: dict(column) for column in inspector.get_columns(table)}
        for table in inspector.get_table_names()
    }


def demands(connection: Connection, names: set[str]) -> dict[str, set[str]]:
    """Return what a row of each table must comply with, beside its columns."""
    inspector = inspect(connection)
    return {
        table: {
            *(str(sorted(map(str, each["column_names"]))) for each in inspector.get_unique_constraints(table)),
            *(str(each["column_names"]) for each in inspector.get_indexes(table) if each["unique"]),
            *(str(each["sqltext"]) for each in inspector.get_check_constraints(table)),
            *(str(each["constrained_columns"]) for each in inspector.get_foreign_keys(table)),
        }
        for table in names
    }


def offences(before: Columns, after: Columns) -> list[str]:
    """Say what a program that knows the table as it was would stumble over."""
    gone = [f"{name} is gone" for name in before.keys() - after.keys()]
    changed = [
        f"{name} is another column"
        for name in before.keys() & after.keys()
        if str(before[name]["type"]) != str(after[name]["type"]) or before[name]["nullable"] != after[name]["nullable"]
    ]
    needed = [
        f"{name} must be given"
        for name in after.keys() - before.keys()
        if not after[name]["nullable"] and after[name]["default"] is None
    ]
    return gone + changed + needed


def test_each_upgrade_leaves_the_version_before_what_it_needs(empty_database_url: str) -> None:
    database = Database(empty_database_url, deadline=10)
    all_of_them = revisions()
    first = all_of_them.index(FIRST_UNDER_THE_RULE)
    with database.writing() as connection:
        run_to(connection, all_of_them[first - 1])
        for revision in all_of_them[first:]:
            before = tables(connection)
            asked = demands(connection, set(before))
            run_to(connection, revision)
            if contracts(revision):
                continue
            after = tables(connection)
            assert before.keys() <= after.keys(), revision
            found = {table: offences(before[table], after[table]) for table in before}
            assert {table: each for table, each in found.items() if each} == {}, revision
            new = demands(connection, set(before))
            assert {table: new[table] - asked[table] for table in before if new[table] - asked[table]} == {}, revision
    database.close()


@pytest.mark.parametrize(
    ("before", "after", "offence"),
    [
        ({"a": ("TEXT", True, None)}, {}, "a is gone"),
        ({"a": ("TEXT", True, None)}, {"a": ("TEXT", False, None)}, "a is another column"),
        ({"a": ("TEXT", True, None)}, {"a": ("INTEGER", True, None)}, "a is another column"),
        ({}, {"a": ("TEXT", False, None)}, "a must be given"),
    ],
)
def test_what_the_version_before_stumbles_over_is_an_offence(
    before: dict[str, Any], after: dict[str, Any], offence: str
) -> None:
    def columns(short: dict[str, Any]) -> Columns:
        return {name: dict(zip(("type", "nullable", "default"), each, strict=True)) for name, each in short.items()}

    assert offences(columns(before), columns(after)) == [offence]
    assert offences(columns(before), columns(before | {"z": ("TEXT", False, "''")})) == []


@pytest.mark.parametrize("dialect", ["postgresql"])
class TestOnPostgresql:
    """There a table that is waited for is a table that sign-ins wait for."""

    @pytest.fixture
    def older(self, empty_database_url: str) -> Database:
        database = Database(empty_database_url, deadline=10)
        with database.writing() as connection:
            run_to(connection, "0001")
        return database

    def test_an_upgrade_lets_sign_ins_through_while_it_waits(
        self, older: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(upgrade_module, "PATIENCE", 0.1)
        with ThreadPoolExecutor(1) as threads:
            with older.writing() as forgotten:
                forgotten.execute(text("SELECT count(*) FROM methods"))
                upgrading = threads.submit(upgrade, older)
                with older.writing() as sign_in:
                    sign_in.execute(text("UPDATE methods SET watermark = 1"))
            assert upgrading.result().current == "0001"
        assert schema_status(older).is_current
        older.close()

    def test_an_upgrade_that_never_gets_the_tables_leaves_them_alone(
        self, older: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name, value in {"PATIENCE": 0.02, "_TRIES": 2, "_REST": 0.0}.items():
            monkeypatch.setattr(upgrade_module, name, value)
        with older.writing() as forgotten:
            forgotten.execute(text("SELECT count(*) FROM methods"))
            with pytest.raises(StoreFault, match="lock timeout"):
                upgrade(older)
        assert schema_status(older).current == "0001"
        older.close()

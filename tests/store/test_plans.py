"""The statements of a sign-in look rows up, however many there are: no table is read from end to end (P7)."""

import re
from collections.abc import Iterator
from itertools import count, product
from typing import Any

import pytest
from sqlalchemy import Connection

from radiusd_mfa.store import sign_ins_postgresql, sign_ins_sqlite
from radiusd_mfa.store.database import Database

HOW_MANY = {False: "several", True: "one"}
READINGS = {
    f"{name} {HOW_MANY[one]}": statement
    for name, statements in (("open", sign_ins_postgresql._OPEN), ("reread", sign_ins_postgresql._REREAD))
    for one, statement in statements.items()
}
# The last three change together, for each doubles the number of plans.
SETTLINGS = [
    sign_ins_postgresql._Duties._make([*four, claims, claims, claims])
    for *four, claims in product((False, True), repeat=5)
]
STATEMENTS = READINGS | {
    f"settle {HOW_MANY[one]} {duties}": sign_ins_postgresql._settling(duties, one=one)
    for duties in SETTLINGS
    for one in HOW_MANY
}
SEEN_BY_PSYCOPG = 4096
"""Octets of a statement from which psycopg takes it apart anew each time (its _queries.py)."""
OF_FACTS = {
    "users",
    "realms",
    "audit",
    "verifications",
    "challenges",
    "methods",
    "backup_codes",
    "memberships",
    "teams",
}
OF_SQLITE = {
    name: statement
    for name, statement in vars(sign_ins_sqlite).items()
    if name.isupper() and isinstance(statement, str) and re.search(r"\b(FROM|UPDATE|INTO)\b", statement)
}


@pytest.fixture
def for_sign_ins(database_url: str) -> Iterator[Database]:
    opened = Database(database_url, deadline=10, for_sign_ins=True)
    yield opened
    opened.close()


def plan(connection: Connection, statement: str) -> str:
    """Explain the plan that is kept, which is made for any batch."""
    number = count(1)
    numbered = re.sub("%s", lambda _: f"${next(number)}", statement)
    connection.exec_driver_sql(f"PREPARE explained AS {numbered}")
    nothing = ", ".join(["NULL"] * (next(number) - 1))
    lines = connection.exec_driver_sql(f"EXPLAIN (COSTS OFF) EXECUTE explained({nothing})").scalars().all()
    connection.exec_driver_sql("DEALLOCATE explained")
    return "\n".join(lines)


@pytest.mark.parametrize("dialect", ["postgresql"])
@pytest.mark.parametrize("name", STATEMENTS)
def test_postgresql_scans_no_table(for_sign_ins: Database, name: str) -> None:
    with for_sign_ins.reading() as connection:
        found = plan(connection, STATEMENTS[name])
    assert "Seq Scan" not in found
    assert "Hash Join" not in found
    assert "Merge Join" not in found


@pytest.mark.parametrize("dialect", ["postgresql"])
@pytest.mark.parametrize("name", READINGS)
def test_postgresql_looks_every_fact_up_by_an_index_that_knows_what_is_looked_for(
    for_sign_ins: Database, name: str
) -> None:
    """A scan of a whole index is a scan, too: each says what it looks for."""
    with for_sign_ins.reading() as connection:
        found = plan(connection, READINGS[name])
    scans = re.findall(r"Index (?:Only )?Scan using \S+ on (\S+).*\n\s*(\S+ Cond)?", found)
    assert {table for table, _ in scans} >= OF_FACTS
    assert all(condition == "Index Cond" for _, condition in scans), found


@pytest.mark.parametrize("dialect", ["postgresql"])
def test_a_batch_without_realms_looks_for_no_second_user(for_sign_ins: Database) -> None:
    """What stands behind `alice@corp` is looked for by a name that is null, which no index is asked for."""
    with for_sign_ins.reading() as connection:
        found = plan(connection, sign_ins_postgresql._OPEN[False])
    assert re.search(r"Index Scan using uq_users_name on users l\n\s*Index Cond: \(name = asked.local\)", found), found


@pytest.mark.parametrize("dialect", ["sqlite"])
@pytest.mark.parametrize("name", OF_SQLITE)
def test_sqlite_scans_no_table(database: Database, name: str) -> None:
    with database.reading() as connection:
        assert not [step for step in steps(connection, OF_SQLITE[name]) if re.match(r"SCAN (?!CONSTANT|\(sub)", step)]


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_the_look_at_sqlite_s_plans_sees_a_scan(database: Database) -> None:
    """Otherwise the test above would pass whatever they are."""
    with database.reading() as connection:
        assert any(step.startswith("SCAN users") for step in steps(connection, "SELECT 1 FROM users WHERE email = ?"))
    assert {"_READ", "_CHARGE", "_HOLDS", "_RUNS", "_REMEMBER", "_RECORD", "_TEAM", "_REALM"} <= set(OF_SQLITE)


def steps(connection: Connection, statement: str) -> list[str]:
    numbers = [int(number) for number in re.findall(r"\?(\d+)", statement)]
    given: tuple[Any, ...] = (None,) * (max(numbers) if numbers else statement.count("?"))
    return [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", given)]


def test_the_usual_statements_are_short_enough_to_be_kept_as_they_are() -> None:
    usual = sign_ins_postgresql._Duties._make([False] * 7)
    statements = [*READINGS.values(), *(sign_ins_postgresql._settling(usual, one=one) for one in HOW_MANY)]
    assert max(map(len, statements)) <= SEEN_BY_PSYCOPG

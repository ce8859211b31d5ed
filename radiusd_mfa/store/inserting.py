"""INSERT that gives way to a row that is there already, in either dialect: the database arbitrates."""

from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite


def insert_new(connection: Connection, table: Table, values: dict[str, Any]) -> int | None:
    """Insert a row and return its id; None if a row with one of its unique values is there."""
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    statement = insert(table).values(values).on_conflict_do_nothing().returning(table.c.id)
    return connection.execute(statement).scalar()


def insert_absent(connection: Connection, table: Table, values: dict[str, Any]) -> bool:
    """Insert a row into a table without ids; False if a row with one of its unique values is there."""
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    # By what it returns: of an INSERT PostgreSQL's driver need not tell how many rows it made.
    statement = insert(table).values(values).on_conflict_do_nothing().returning(*table.primary_key)
    return connection.execute(statement).first() is not None


def insert_or_replace(connection: Connection, table: Table, values: dict[str, Any]) -> None:
    """Insert a row, or give the one with the same primary key these values."""
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    statement = insert(table).values(values)
    connection.execute(statement.on_conflict_do_update(index_elements=list(table.primary_key), set_=values))

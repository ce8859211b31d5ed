"""The engine refuses a database in which a sign-in could not be written."""

from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection, text

from radiusd_mfa.store.database import Database
from radiusd_mfa.usecases.ports import StoreFault


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_database_that_cannot_hold_every_name_is_refused(postgresql: Any, encoding: str) -> None:
    """One sign-in as 田中 would be an error for all the others of its batch."""
    url = postgresql.new(migrated=False, options=f"ENCODING '{encoding}' LOCALE_PROVIDER libc LOCALE 'C'")
    database = Database(url)
    with pytest.raises(StoreFault, match=encoding), database.reading():
        pass
    database.close()
    postgresql.drop(url)


def use_after_its_end(connection: Connection, other: Database) -> None:
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    with other.writing() as killing:
        killing.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": driver.info.backend_pid})
    driver.execute("SELECT 1")


@pytest.mark.parametrize("way", ["reading", "writing"])
def test_a_connection_that_is_lost_is_a_fault_and_no_traceback_in_the_log(
    postgresql_url: str, caplog: pytest.LogCaptureFixture, way: str
) -> None:
    """The statements of sign-ins go to the driver directly, so that SQLAlchemy doesn't see how they end."""
    database, other = Database(postgresql_url), Database(postgresql_url)
    with pytest.raises(StoreFault), getattr(database, way)() as connection:
        use_after_its_end(connection, other)
    with getattr(database, way)() as connection:
        assert connection.execute(text("SELECT 1")).scalar() == 1
    assert caplog.records == []
    database.close()
    other.close()

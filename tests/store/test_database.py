"""The engine refuses a database in which a sign-in could not be written."""

from typing import Any

import pytest

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

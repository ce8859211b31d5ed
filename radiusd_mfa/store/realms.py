"""Realms in the database."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, delete, select

from radiusd_mfa.store import schema
from radiusd_mfa.store.inserting import insert_absent
from radiusd_mfa.usecases.admin_ports import Realm

_realms: Final = schema.realms.c


class RealmTable:
    """See `Realms` of the use cases."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, name: str, team_id: int | None) -> bool:
        """See `Realms.add`."""
        return insert_absent(self._connection, schema.realms, {"name": name, "team_id": team_id})

    def all(self) -> Sequence[Realm]:
        """See `Realms.all`."""
        joined = schema.realms.outerjoin(schema.teams)
        statement = select(_realms.name, schema.teams.c.name).select_from(joined).order_by(_realms.name)
        return [Realm(*row) for row in self._connection.execute(statement)]

    def remove(self, name: str) -> bool:
        """See `Realms.remove`."""
        return self._connection.execute(delete(schema.realms).where(_realms.name == name)).rowcount == 1

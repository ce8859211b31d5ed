"""Teams and their members in the database."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from radiusd_mfa.store import schema
from radiusd_mfa.store.inserting import insert_new
from radiusd_mfa.usecases.admin_ports import Member, Team

_teams: Final = schema.teams.c
_memberships: Final = schema.memberships.c


class TeamTable:
    """See `Teams` of the use cases."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, name: str, plan: str, at: float) -> int | None:
        """See `Teams.add`."""
        return insert_new(self._connection, schema.teams, {"name": name, "plan": plan, "created_at": at})

    def find(self, name: str) -> Team | None:
        """See `Teams.find`."""
        return self._one(select(schema.teams).where(_teams.name == name))

    def lock(self, name: str) -> Team | None:
        """See `Teams.lock`."""
        return self._one(select(schema.teams).where(_teams.name == name).with_for_update())

    def all(self) -> Sequence[Team]:
        """See `Teams.all`."""
        return [_team(row) for row in self._connection.execute(select(schema.teams).order_by(_teams.name))]

    def set_plan(self, team_id: int, plan: str) -> None:
        """See `Teams.set_plan`."""
        self._connection.execute(update(schema.teams).where(_teams.id == team_id).values(plan=plan))

    def remove(self, team_id: int) -> None:
        """See `Teams.remove`; the foreign keys take memberships along, periods have none."""
        periods = schema.verifications
        self._connection.execute(delete(periods).where(periods.c.team_id == team_id))
        self._connection.execute(delete(schema.teams).where(_teams.id == team_id))

    def add_member(self, team_id: int, user_id: int, role: str) -> bool:
        """See `Teams.add_member`."""
        insert = sqlite.insert if self._connection.dialect.name == "sqlite" else postgresql.insert
        values = {"team_id": team_id, "user_id": user_id, "role": role}
        statement = insert(schema.memberships).values(values).on_conflict_do_nothing()
        return self._connection.execute(statement).rowcount == 1

    def set_role(self, team_id: int, user_id: int, role: str) -> bool:
        """See `Teams.set_role`."""
        statement = update(schema.memberships).where(_memberships.team_id == team_id, _memberships.user_id == user_id)
        return self._connection.execute(statement.values(role=role)).rowcount == 1

    def remove_member(self, team_id: int, user_id: int) -> bool:
        """See `Teams.remove_member`."""
        statement = delete(schema.memberships).where(_memberships.team_id == team_id, _memberships.user_id == user_id)
        return self._connection.execute(statement).rowcount == 1

    def members(self, *, team_id: int | None = None, user_id: int | None = None) -> Sequence[Member]:
        """See `Teams.members`."""
        statement = (
            select(_teams.name, schema.users.c.name, _memberships.role)
            .select_from(schema.memberships.join(schema.teams).join(schema.users))
            .order_by(_teams.name, schema.users.c.name)
        )
        if team_id is not None:
            statement = statement.where(_memberships.team_id == team_id)
        if user_id is not None:
            statement = statement.where(_memberships.user_id == user_id)
        return [Member(*row) for row in self._connection.execute(statement)]

    def _one(self, statement: Select[Any]) -> Team | None:
        row = self._connection.execute(statement).one_or_none()
        return None if row is None else _team(row)


def _team(row: Row[Any]) -> Team:
    return Team(row.id, row.name, row.plan, row.created_at)

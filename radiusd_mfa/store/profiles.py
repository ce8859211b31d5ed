"""Reply profiles in the database."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import ColumnElement, Connection, and_, delete, insert, select

from radiusd_mfa.store import schema
from radiusd_mfa.usecases.admin_ports import StoredProfile

_profiles: Final = schema.reply_profiles.c


class ProfileTable:
    """See `Profiles` of the use cases."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def set(self, team_id: int, role: str | None, surface: str | None, attributes: str) -> None:
        """See `Profiles.set`; the constraint takes two nulls for different, so the team's row is locked meanwhile."""
        teams = schema.teams
        self._connection.execute(select(teams.c.id).where(teams.c.id == team_id).with_for_update())
        self.remove(team_id, role, surface)
        values = {"team_id": team_id, "role": role, "surface": surface, "attributes": attributes}
        self._connection.execute(insert(schema.reply_profiles).values(values))

    def all(self, team_id: int | None = None) -> Sequence[StoredProfile]:
        """See `Profiles.all`."""
        team = schema.teams.c.name
        # By role and surface with those for all first, whatever a database thinks of the order of nulls.
        order = (team, _profiles.role.nulls_first(), _profiles.surface.nulls_first())
        joined = schema.reply_profiles.join(schema.teams)
        columns = (team, _profiles.role, _profiles.surface, _profiles.attributes)
        statement = select(*columns).select_from(joined).order_by(*order)
        if team_id is not None:
            statement = statement.where(_profiles.team_id == team_id)
        return [StoredProfile(*row) for row in self._connection.execute(statement)]

    def remove(self, team_id: int, role: str | None, surface: str | None) -> bool:
        """See `Profiles.remove`."""
        statement = delete(schema.reply_profiles).where(_is(team_id, role, surface))
        return self._connection.execute(statement).rowcount > 0


def _is(team_id: int, role: str | None, surface: str | None) -> ColumnElement[bool]:
    same_role = _profiles.role.is_not_distinct_from(role)
    return and_(_profiles.team_id == team_id, same_role, _profiles.surface.is_not_distinct_from(surface))

"""Teams and their members in the database."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, delete, select, update

from radiusd_mfa.store import schema
from radiusd_mfa.store.in_pieces import in_pieces
from radiusd_mfa.store.inserting import insert_absent, insert_new
from radiusd_mfa.usecases.admin_ports import Member, Standing, Team

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
        values = {"team_id": team_id, "user_id": user_id, "role": role}
        return insert_absent(self._connection, schema.memberships, values)

    def set_role(self, team_id: int, user_id: int, role: str) -> bool:
        """See `Teams.set_role`."""
        return self._update_member(team_id, user_id, role=role)

    def set_permissions(self, team_id: int, user_id: int, permissions: Iterable[str]) -> bool:
        """See `Teams.set_permissions`."""
        return self._update_member(team_id, user_id, permissions=",".join(sorted(set(permissions))))

    def remove_member(self, team_id: int, user_id: int) -> bool:
        """See `Teams.remove_member`."""
        statement = delete(schema.memberships).where(_memberships.team_id == team_id, _memberships.user_id == user_id)
        return self._connection.execute(statement).rowcount == 1

    def members(self, *, team_id: int | None = None, user_id: int | None = None) -> Sequence[Member]:
        """See `Teams.members`."""
        statement = (
            select(_teams.name, schema.users.c.name, _memberships.role, _memberships.permissions)
            .select_from(schema.memberships.join(schema.teams).join(schema.users))
            .order_by(_teams.name, schema.users.c.name)
        )
        if team_id is not None:
            statement = statement.where(_memberships.team_id == team_id)
        if user_id is not None:
            statement = statement.where(_memberships.user_id == user_id)
        rows = self._connection.execute(statement)
        return [Member(team, user, role, tuple(filter(None, said.split(",")))) for team, user, role, said in rows]

    def names_of(self, user_ids: Collection[int]) -> Mapping[int, set[str]]:
        """See `Teams.names_of`."""
        names: dict[int, set[str]] = {}
        for piece in in_pieces(user_ids):
            joined = select(_memberships.user_id, _teams.name).select_from(schema.memberships.join(schema.teams))
            for user_id, name in self._connection.execute(joined.where(_memberships.user_id.in_(piece))):
                names.setdefault(user_id, set()).add(name)
        return names

    def standings(self, team_id: int, *, locked: bool = False) -> Sequence[Standing]:
        """See `Teams.standings`."""
        users, own = schema.users.c, schema.memberships.join(schema.users)
        columns = (users.id, users.name, _memberships.role, users.disabled, users.backup_generation)
        found = select(*columns).select_from(own).where(_memberships.team_id == team_id)
        if locked:
            # By id, as everybody locks users; whoever changes a user, a membership or a method locks the user first.
            found = found.order_by(users.id).with_for_update(read=True, of=schema.users)
        rows = self._connection.execute(found).fetchall()
        kinds = self._kinds(team_id)
        standings = [
            Standing(
                row.id, row.name, row.role, row.disabled, kinds.get(row.id, frozenset()), row.backup_generation > 0
            )
            for row in rows
        ]
        return sorted(standings, key=lambda each: each.user)

    def _kinds(self, team_id: int) -> dict[int, frozenset[str]]:
        """Say of the members what kinds of method they have confirmed."""
        methods = schema.methods.c
        confirmed = (
            select(methods.user_id, methods.kind)
            .join(schema.memberships, _memberships.user_id == methods.user_id)
            .where(_memberships.team_id == team_id, methods.confirmed_at.is_not(None))
        )
        kinds: dict[int, frozenset[str]] = {}
        for user_id, kind in self._connection.execute(confirmed):
            kinds[user_id] = kinds.get(user_id, frozenset()) | {kind}
        return kinds

    def _update_member(self, team_id: int, user_id: int, **values: str) -> bool:
        statement = update(schema.memberships).where(_memberships.team_id == team_id, _memberships.user_id == user_id)
        return self._connection.execute(statement.values(values)).rowcount == 1

    def _one(self, statement: Select[Any]) -> Team | None:
        row = self._connection.execute(statement).one_or_none()
        return None if row is None else _team(row)


def _team(row: Row[Any]) -> Team:
    return Team(row.id, row.name, row.plan, row.created_at, row.policy, row.policy_version)

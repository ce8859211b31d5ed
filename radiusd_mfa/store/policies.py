"""The teams' policies in the database: the text that holds stands with the team, and every version in a history."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, Row, insert, select, update

from radiusd_mfa.store import schema
from radiusd_mfa.usecases.admin_ports import PolicyVersion

_teams: Final = schema.teams.c
_policies: Final = schema.policies.c


class PolicyTable:
    """See `Policies` of the use cases."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def replace(self, team_id: int, text: str | None, *, expected: int, at: float, actor: str) -> int | None:
        """See `Policies.replace`: of two who planned against the same version one finds it changed."""
        statement = (
            update(schema.teams)
            .where(_teams.id == team_id, _teams.policy_version == expected)
            .values(policy=text, policy_version=expected + 1)
        )
        if self._connection.execute(statement).rowcount != 1:
            return None
        values = {"team_id": team_id, "version": expected + 1, "text": text, "at": at, "actor": actor}
        self._connection.execute(insert(schema.policies).values(values))
        return expected + 1

    def versions(self, team_id: int) -> Sequence[PolicyVersion]:
        """See `Policies.versions`."""
        statement = select(schema.policies).where(_policies.team_id == team_id).order_by(_policies.version.desc())
        return [_version(row) for row in self._connection.execute(statement)]

    def find(self, team_id: int, version: int) -> PolicyVersion | None:
        """See `Policies.find`."""
        statement = select(schema.policies).where(_policies.team_id == team_id, _policies.version == version)
        row = self._connection.execute(statement).one_or_none()
        return None if row is None else _version(row)


def _version(row: Row[Any]) -> PolicyVersion:
    return PolicyVersion(row.version, row.text, row.at, row.actor)

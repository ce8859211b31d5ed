"""Links with a secret in them, in the database: who reads the table can't follow one."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, delete, insert, select, update

from radiusd_mfa.store import schema
from radiusd_mfa.usecases.admin_ports import Link, NewLink

_links: Final = schema.links.c


class LinkTable:
    """See `Links` of the use cases."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, link: NewLink) -> None:
        """See `Links.add`."""
        earlier = delete(schema.links).where(_links.user_id == link.user_id, _links.purpose == link.purpose)
        self._connection.execute(earlier.where(_links.used_at.is_(None)))
        self._connection.execute(insert(schema.links).values(asdict(link)))

    def find(self, digest: bytes) -> Link | None:
        """See `Links.find`."""
        row = self._connection.execute(_rows().where(_links.hash == digest)).one_or_none()
        return None if row is None else _link(row)

    def of(self, user_id: int) -> Sequence[Link]:
        """See `Links.of`."""
        rows = self._connection.execute(_rows().where(_links.user_id == user_id).order_by(_links.created_at.desc()))
        return [_link(row) for row in rows]

    def use(self, digest: bytes, at: float) -> Link | None:
        """See `Links.use`."""
        unused = (_links.hash == digest, _links.used_at.is_(None), _links.expires_at > at)
        if self._connection.execute(update(schema.links).where(*unused).values(used_at=at)).rowcount != 1:
            return None
        return self.find(digest)

    def void(self, user_id: int) -> None:
        """See `Links.void`."""
        self._connection.execute(delete(schema.links).where(_links.user_id == user_id))


def _rows() -> Select[Any]:
    return select(schema.links, schema.users.c.name.label("user")).select_from(schema.links.join(schema.users))


def _link(row: Row[Any]) -> Link:
    return Link(
        purpose=row.purpose,
        user_id=row.user_id,
        user=row.user,
        created_at=row.created_at,
        expires_at=row.expires_at,
        used_at=row.used_at,
        made_by=row.made_by,
    )

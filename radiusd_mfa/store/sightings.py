"""What the servers saw each NAS do: a row for each entry and day, to which every worker and node adds."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from sqlalchemy import Column, ColumnElement, Connection, Table, case, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite

from radiusd_mfa.store import schema
from radiusd_mfa.store.database import Database
from radiusd_mfa.usecases.sighting_ports import DAY, STRANGERS, TIMES, Seen, Sighting, Stranger

KEPT: Final = 30 * DAY
"""Seconds for which is kept what was seen."""
MOST_STRANGERS: Final = 4 * STRANGERS
"""Addresses without a NAS entry that are kept, whoever many servers there are and however many are forged."""
_PIECE: Final = 500
"""Rows of one statement: SQLite takes 32,766 values."""
_sightings: Final = schema.sightings.c
_strangers: Final = schema.strangers.c


class SightingTable:
    """See `SightingStore` of the use cases."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, sightings: Mapping[int, Sighting], strangers: Mapping[str, Stranger], now: float) -> None:
        """See `SightingStore.add`: a statement for each of the two tables."""
        with self._database.writing() as connection:
            # In the order of their keys: two nodes that add at once must not wait for each other.
            _add(connection, schema.sightings, [_row(*each, now) for each in sorted(sightings.items(), key=_first)])
            _add(connection, schema.strangers, [_stranger(*each) for each in sorted(strangers.items(), key=_first)])

    def read(self, since: float) -> Seen:
        """Return what was seen from the day of a Unix time on; raises StoreFault."""
        nases: dict[int, Sighting] = {}
        with self._database.reading() as connection:
            recent = select(schema.sightings).where(_sightings.day >= _day(since)).order_by(_sightings.day)
            for row in connection.execute(recent).mappings():
                values = {name: value for name, value in row.items() if name not in ("nas_id", "day")}
                nases.setdefault(row["nas_id"], Sighting()).add(Sighting(**values))
            newest = select(schema.strangers).where(_strangers.seen_at >= since).order_by(_strangers.seen_at.desc())
            strangers = [(each.address, Stranger(each.packets, each.seen_at)) for each in connection.execute(newest)]
        return Seen(nases, strangers)


def forget(connection: Connection, nas_id: int) -> None:
    """Forget what a NAS was seen to do: its entry was changed, and it may do otherwise now, or it is gone."""
    connection.execute(delete(schema.sightings).where(_sightings.nas_id == nas_id))


def tidy(connection: Connection, now: float) -> None:
    """Remove what is old, what is about entries that are gone, and more strangers than anybody reads about."""
    orphaned = _sightings.nas_id.not_in(select(schema.nas.c.id))
    connection.execute(delete(schema.sightings).where((_sightings.day < _day(now - KEPT)) | orphaned))
    # Whoever sent one packet goes first: a flood from forged addresses is made of those.
    lasting = case((_strangers.packets > 1, 1), else_=0)
    kept = select(_strangers.address).order_by(lasting.desc(), _strangers.seen_at.desc()).limit(MOST_STRANGERS)
    old = _strangers.seen_at < now - KEPT
    connection.execute(delete(schema.strangers).where(old | _strangers.address.not_in(kept.scalar_subquery())))


def _row(nas_id: int, seen: Sighting, now: float) -> dict[str, Any]:
    return {"nas_id": nas_id, "day": _day(now), **asdict(seen)}


def _stranger(address: str, seen: Stranger) -> dict[str, Any]:
    return {"address": address, **asdict(seen)}


def _first(pair: tuple[Any, object]) -> Any:  # noqa: ANN401 - an id or an address
    return pair[0]


def _day(at: float) -> int:
    return int(at // DAY)


def _add(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    """Insert rows, or add them to those with the same keys: one statement, whoever adds at the same time."""
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    for piece in (rows[start : start + _PIECE] for start in range(0, len(rows), _PIECE)):
        statement = insert(table).values(piece)
        new = statement.excluded
        together = {name: _together(table.c[name], new[name]) for name in piece[0] if not table.c[name].primary_key}
        keys = list(table.primary_key)
        connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=together))


def _together(old: Column[Any], new: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return what becomes of a value that is there and one that comes: counts add up, the later time holds."""
    if old.key in TIMES:
        return case((new > old, new), else_=old)
    return func.coalesce(new, old) if old.key == "nas_identifier" else old + new

"""Only what can't matter any more is removed."""

import time

from sqlalchemy import func, insert, select

from radiusd_mfa.store import schema
from radiusd_mfa.store.database import Database
from radiusd_mfa.store.housekeeping import FORGOTTEN_AFTER, Housekeeping
from tests.support.world import World

NOW = time.time()


def count(database: Database, table: object) -> int:
    with database.reading() as connection:
        return int(connection.execute(select(func.count()).select_from(table)).scalar_one())  # type: ignore[arg-type]


def test_a_challenge_that_can_still_be_answered_stays(world: World) -> None:
    alice, nas_id = world.user(), world.nas()
    for state, expires_at in ((b"old", NOW - 1), (b"new", NOW + 1)):
        values = {"state": state, "user_id": alice.id, "nas_id": nas_id, "kind": "code", "granted_to": ""}
        world.execute(insert(schema.challenges).values(**values, expires_at=expires_at))
    Housekeeping(world.database).tidy(NOW)
    with world.database.reading() as connection:
        assert connection.execute(select(schema.challenges.c.state)).scalars().all() == [b"new"]


def test_a_device_is_forgotten_after_three_months(world: World) -> None:
    alice, nas_id = world.user(), world.nas()
    for device, at in (("old", NOW - FORGOTTEN_AFTER - 1), ("new", NOW - FORGOTTEN_AFTER + 1)):
        values = {"user_id": alice.id, "team_id": 0, "nas_id": nas_id, "device": device, "surface": "vpn"}
        world.execute(insert(schema.verifications).values(**values, at=at, text=b"x"))
    Housekeeping(world.database).tidy(NOW)
    with world.database.reading() as connection:
        assert connection.execute(select(schema.verifications.c.device)).scalars().all() == ["new"]


def test_nothing_else_is_touched(world: World) -> None:
    world.user(codes=2)
    world.nas()
    Housekeeping(world.database).tidy(NOW)
    counts = {table.name: count(world.database, table) for table in (schema.users, schema.methods, schema.nas)}
    assert counts == {"users": 1, "methods": 1, "nas": 1}
    assert count(world.database, schema.backup_codes) == 2

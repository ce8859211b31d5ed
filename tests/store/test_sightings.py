"""What the servers saw adds up, whoever saw it, and is forgotten when it says nothing any more."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sqlalchemy import func, insert, select

from radiusd_mfa.app import App
from radiusd_mfa.store import schema
from radiusd_mfa.store.database import Database
from radiusd_mfa.store.housekeeping import Housekeeping
from radiusd_mfa.store.sightings import MOST_STRANGERS, SightingTable
from radiusd_mfa.usecases import nas
from radiusd_mfa.usecases.nas import Wanted
from radiusd_mfa.usecases.sighting_ports import DAY, Sighting, Stranger
from tests.support.world import World

NOW = time.time()


def test_what_workers_and_nodes_see_adds_up(database: Database) -> None:
    table = SightingTable(database)
    table.add({1: Sighting(requests=3, signed=2, seen_at=NOW, nas_identifier="new")}, {}, NOW)
    table.add({1: Sighting(requests=1, retransmitted_after=0.5, seen_at=NOW - 9), 2: Sighting(eap=1)}, {}, NOW)
    table.add({}, {"192.0.2.1": Stranger(2, NOW)}, NOW)
    table.add({}, {"192.0.2.1": Stranger(3, NOW - 1), "192.0.2.2": Stranger(1, NOW + 1)}, NOW)
    seen = table.read(NOW)
    first = Sighting(requests=4, signed=2, retransmitted_after=0.5, seen_at=NOW, nas_identifier="new")
    assert seen.nases == {1: first, 2: Sighting(eap=1)}
    assert list(seen.strangers) == [("192.0.2.2", Stranger(1, NOW + 1)), ("192.0.2.1", Stranger(5, NOW))]


def test_days_add_up_and_older_ones_are_left_out(database: Database) -> None:
    table = SightingTable(database)
    for age in (0, 1, 8):
        table.add(
            {1: Sighting(requests=1, nas_identifier=f"{age} days ago", seen_at=NOW - age * DAY)}, {}, NOW - age * DAY
        )
    seen = table.read(NOW - 7 * DAY).nases[1]
    assert (seen.requests, seen.nas_identifier) == (2, "0 days ago")


def test_many_who_add_at_once_lose_nothing_and_wait_for_nobody(database: Database) -> None:
    table = SightingTable(database)
    seen = {number: Sighting(requests=1, seen_at=NOW) for number in range(600)}  # more than one statement holds
    with ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(table.add, seen, {}, NOW) for _ in range(8)]:
            done.result()
    assert {each.requests for each in table.read(NOW).nases.values()} == {8}


def test_a_changed_entry_is_seen_anew_and_that_of_another_is_kept(app: App) -> None:
    needs: dict[str, Any] = {"store": app.administration, "clock": app.clock}
    settings = {"surface": "vpn", "address": "192.0.2.1/32"}
    ids = [
        made.entry.id
        for name, address in (("gate", "192.0.2.1/32"), ("other", "192.0.2.2/32"))
        if isinstance(
            made := nas.add(Wanted(name, settings | {"address": address}, secret=b"0123456789ab"), **needs), nas.Written
        )
    ]
    table = SightingTable(app.database)
    changes: tuple[dict[str, Any], ...] = (
        {"settings": {"challenge": True}},
        {"settings": {}, "secret": b"another secret"},
    )
    for change in changes:
        table.add(dict.fromkeys(ids, Sighting(requests=1)), {}, NOW)
        nas.change(Wanted("gate", **change), **needs)
        assert ids[0] not in table.read(NOW).nases
    assert table.read(NOW).nases[ids[1]].requests == 2
    nas.remove("other", **needs)
    assert table.read(NOW).nases == {}


def test_what_is_old_or_about_a_removed_entry_is_tidied_away(world: World) -> None:
    nas_id = world.nas()
    table = SightingTable(world.database)
    for age in (0, 29, 32):
        table.add({nas_id: Sighting(requests=1), nas_id + 1: Sighting(requests=1)}, {}, NOW - age * DAY)
    table.add({}, {"192.0.2.1": Stranger(9, NOW - 31 * DAY), "192.0.2.2": Stranger(1, NOW)}, NOW)
    Housekeeping(world.database).tidy(NOW)
    seen = table.read(0)
    assert {number: each.requests for number, each in seen.nases.items()} == {nas_id: 2}
    assert [address for address, _ in seen.strangers] == ["192.0.2.2"]


def test_who_asks_again_outlasts_a_flood_of_forged_addresses_in_the_table(world: World) -> None:
    rows = [{"address": f"10.0.{n // 256}.{n % 256}", "packets": 1, "seen_at": NOW + n} for n in range(2_000)]
    world.execute(insert(schema.strangers).values([*rows, {"address": "192.0.2.1", "packets": 2, "seen_at": NOW}]))
    Housekeeping(world.database).tidy(NOW)
    with world.database.reading() as connection:
        assert connection.execute(select(func.count()).select_from(schema.strangers)).scalar() == MOST_STRANGERS
        assert "192.0.2.1" in connection.execute(select(schema.strangers.c.address)).scalars().all()

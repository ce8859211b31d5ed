"""NAS entries from the database: known by address, the longest prefix first, a change works at once (R8)."""

import logging
import threading
from collections.abc import Iterator
from ipaddress import IPv4Network
from typing import Any

import pytest
from sqlalchemy import delete, text, update

from radiusd_mfa.radius.attributes import Dictionary
from radiusd_mfa.radius.wire import Code
from radiusd_mfa.server.daemon import Daemon
from radiusd_mfa.server.nas_table import NasTable
from radiusd_mfa.shipped import dictionaries
from radiusd_mfa.store import schema
from radiusd_mfa.store.nas_table import NasTableReader
from radiusd_mfa.usecases.ports import NasEntry
from tests.support.taps import eventually
from tests.support.world import SECRET, TestNas, TestUser, World


@pytest.fixture
def alice(world: World) -> TestUser:
    return world.user()


@pytest.fixture
def table(world: World) -> "Table":
    return Table(world)


class Table:
    """The table of a server without its sockets."""

    def __init__(self, world: World) -> None:
        self._reader = NasTableReader(world.database, world.keys)
        self._table = NasTable(Dictionary.load(dictionaries()).kind)

    def counted(self) -> tuple[int, int]:
        return self._table.counted()

    def name_at(self, address: str) -> str | None:
        self._table.replace(self._reader.read())
        known = self._table.find(address)
        return known.entry.nas.name if known else None


def is_known(nas: TestNas) -> bool:
    """Whether the daemon answers this NAS."""
    return nas.status(timeout=0.1) is not None


def change(name: str, **values: Any) -> Any:
    return update(schema.nas).where(schema.nas.c.name == name).values(**values)


def test_an_entry_that_is_added_changed_and_removed_works_without_a_restart(
    world: World, daemon: Daemon, alice: TestUser
) -> None:
    """Nobody tells the daemon; it reads the table every second."""
    nas, renewed = world.client(daemon), world.client(daemon, secret=b"another secret")
    assert not is_known(nas)
    world.nas()
    assert eventually(lambda: is_known(nas))
    sealed = world.keys.seal(b"another secret", table="nas", column="secret", row=1)
    world.execute(change("vpn", secret=sealed, challenge=True))
    assert eventually(lambda: is_known(renewed))
    assert not is_known(nas)
    assert renewed.ask("alice", b"hunter2").code is Code.ACCESS_CHALLENGE
    assert renewed.ask("alice", alice.typed()).code is Code.ACCESS_ACCEPT
    world.execute(delete(schema.nas))
    assert eventually(lambda: not is_known(renewed))


def test_the_longest_prefix_wins(world: World, table: Table) -> None:
    for name, address in [
        ("all", "0.0.0.0/0"),
        ("site", "10.0.0.0/8"),
        ("host", "10.1.2.3/32"),
        ("net", "10.1.0.0/16"),
        ("all6", "::/0"),
        ("site6", "2001:db8::/32"),
        ("host6", "2001:db8::1/128"),
    ]:
        world.nas(name, address)
    asked = ["192.0.2.1", "10.9.9.9", "10.1.2.3", "10.1.2.4", "fd00::1", "2001:db8::2", "2001:db8::1", "fe80::1%eth0"]
    assert [table.name_at(address) for address in asked] == [
        "all",
        "site",
        "host",
        "net",
        "all6",
        "site6",
        "host6",
        "all6",
    ]
    world.execute(delete(schema.nas).where(schema.nas.c.name.in_(["host", "all"])))
    assert [table.name_at(address) for address in asked[:4]] == [None, "site", "net", "net"]


def test_a_mapped_address_is_not_the_address_that_it_maps(world: World, table: Table) -> None:
    world.nas("four", "192.0.2.0/24")
    assert table.name_at("::ffff:192.0.2.1") is None


@pytest.mark.parametrize(
    "columns",
    [
        {"omit": "No-Such-Attribute"},
        {"omit": "Session-Timeout,Attr-0"},
        {"secret": b"not sealed with any key"},
        {"address": "192.0.2.1/24"},
        {"address": "router.example.org"},
        {"address": ""},
    ],
    ids=lambda columns: str(next(iter(columns.items()))),
)
def test_an_entry_that_cannot_be_used_keeps_no_other_from_working(
    world: World, daemon: Daemon, columns: dict[str, Any]
) -> None:
    """Other programs write to the table too; the thread that reads it must outlive what they wrote."""
    daemon._table._kind_of = Dictionary.load(dictionaries()).kind
    world.nas("bad", "192.0.2.0/24")
    world.execute(change("bad", **columns))
    eventually(lambda: len(daemon._table._entries) == (0 if "omit" not in columns else 1))
    world.nas("good", "127.0.0.1/32")
    nas = world.client(daemon)
    assert eventually(lambda: is_known(nas))
    world.execute(delete(schema.nas).where(schema.nas.c.name == "good"))
    assert eventually(lambda: not is_known(nas))


def test_an_empty_secret_makes_no_nas(world: World, daemon: Daemon) -> None:
    """With which anybody could sign."""
    world.nas("empty", "127.0.0.1/32", secret=b"")
    world.nas("good", "127.0.0.2/32")
    good, empty = world.client(daemon, source="127.0.0.2"), world.client(daemon, secret=b"")
    assert eventually(lambda: is_known(good))
    assert not is_known(empty)


@pytest.mark.parametrize("dialect", ["sqlite"])
@pytest.mark.parametrize(
    "damage", ["secret = 'in the clear'", "surface = x'ff'", "omit = x'ff'", "retry_grace = 'long'", "address = x'ff'"]
)
def test_a_column_that_holds_what_does_not_belong_there_makes_no_nas(world: World, table: Table, damage: str) -> None:
    """SQLite keeps whatever another program writes into a column."""
    world.nas("broken", "192.0.2.1/32")
    world.nas("whole", "192.0.2.2/32")
    world.execute(text(f"UPDATE nas SET {damage} WHERE name = 'broken'"))
    assert table.name_at("192.0.2.1") is None
    assert table.name_at("192.0.2.2") == "whole"


def test_a_defect_while_the_entries_are_read_ends_their_reading_for_once_only(
    world: World, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    met = threading.Event()

    def stumble(_reader: NasTableReader) -> list[NasEntry]:
        met.set()
        raise RuntimeError("a defect")

    with monkeypatch.context() as defective:
        defective.setattr(NasTableReader, "read", stumble)
        assert met.wait(10)
    world.nas()
    nas = world.client(daemon)
    assert eventually(lambda: is_known(nas))


@pytest.fixture
def over_ipv6(world: World) -> Iterator[Daemon]:
    with world.daemon("[::1]:0") as running:
        yield running


def test_a_nas_is_known_by_its_ipv6_address(world: World, over_ipv6: Daemon, alice: TestUser) -> None:
    world.nas("six", "::1/128", secret=SECRET)
    over_ipv6.refresh()
    nas = world.client(over_ipv6, source="::1")
    assert nas.ask("alice", alice.typed()).code is Code.ACCESS_ACCEPT
    assert nas.ask("alice", alice.typed()).code is Code.ACCESS_REJECT
    assert world.audit() == [("accept", "totp"), ("reject", "code-reused")]


def test_an_entry_for_all_of_ipv4_covers_no_ipv6(world: World, over_ipv6: Daemon) -> None:
    world.nas("four", "0.0.0.0/0")
    over_ipv6.refresh()
    assert not is_known(world.client(over_ipv6, source="::1"))


def test_ranges_within_ranges_are_named_in_the_log_once(
    world: World, table: "Table", caplog: pytest.LogCaptureFixture
) -> None:
    world.nas("office", "192.0.2.0/24")
    world.nas("gate", "192.0.2.7/32")
    world.nas("far", "2001:db8::/32")
    with caplog.at_level(logging.INFO):
        assert table.name_at("192.0.2.7") == "gate"
        world.nas("away", "198.51.100.0/24")
        assert table.name_at("192.0.2.8") == "office"
    lines = [line for line in caplog.messages if "overlap" in line]
    assert lines == ["NAS entries overlap, the longer prefix counts: 192.0.2.7/32 “gate” in 192.0.2.0/24 “office”"]
    assert table.counted() == (4, 1)


def test_a_strangers_address_is_compared_with_no_entry(
    world: World, table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flood from forged addresses asks for new ones all the time, and there may be thousands of entries."""
    world.nas("site", "10.0.0.0/8")
    assert table.name_at("10.9.9.9") == "site"
    monkeypatch.setattr(IPv4Network, "__contains__", lambda *_: pytest.fail("compared one by one"))
    assert table.name_at("192.0.2.1") is None

"""What a thief of the database has: no seed, no code, no shared secret, no State, no password (ATTACKS 22)."""

import logging
import os
import re
import time
from base64 import b32encode, b64encode
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import make_url, select, update

from radiusd_mfa.core.names import Username
from radiusd_mfa.core.totp import Algorithm, code_at, seed_from_base32, step_at
from radiusd_mfa.passwords.hashing import LocalHashing
from radiusd_mfa.radius.wire import Code
from radiusd_mfa.store import schema
from radiusd_mfa.store.administration import AdministrationStore
from radiusd_mfa.usecases import codes, enrol, nas, people
from radiusd_mfa.usecases.codes import CodeSet
from radiusd_mfa.usecases.enrol import Confirmed, Enrolment
from radiusd_mfa.usecases.nas import Wanted, Written
from tests.support.set_ups import code_of, codes_in, key_in
from tests.support.world import CHEAP, TestNas, World

SECRET = b"canary-secret-of-the-nas"
PASSWORD = "canary-password"
ALICE = Username("alice")


def written(octets: bytes) -> Iterator[bytes]:
    """Yield the ways in which octets may stand in a dump."""
    yield octets
    yield octets.hex().encode()
    yield octets.hex().upper().encode()
    yield b64encode(octets).rstrip(b"=")
    yield b32encode(octets).rstrip(b"=")
    yield b32encode(octets).rstrip(b"=").lower()


def dump(world: World) -> bytes:
    """Return every value of every table, and of SQLite the files with all that was deleted."""
    values: list[bytes] = []
    with world.database.reading() as connection:
        for table in schema.metadata.sorted_tables:
            for row in connection.execute(select(table)):
                values += [bytes(value) if isinstance(value, bytes) else str(value).encode() for value in row]
    url = make_url(world.url)
    if url.get_backend_name() == "sqlite":
        values += [path.read_bytes() for path in Path(str(url.database)).parent.glob("*.sqlite3*")]
    return b"\n".join(values)


def is_in(code: str, dumped: bytes) -> bool:
    """Whether a code of six digits stands there by itself, and not by chance inside a number or a digest."""
    return re.search(rb"(?<![0-9a-fA-F.])" + code.encode() + rb"(?![0-9a-fA-F.])", dumped) is not None


def test_the_search_finds_what_is_there() -> None:
    assert is_in("492039", b'{"code": "492039"}')
    assert is_in("492039", b"hunter2/492039;")
    assert not is_in("492039", b"1492039.25")


def enrolled(world: World) -> tuple[bytes, CodeSet, list[str]]:
    """Make a user in every way the commands do; return the seed, the backup codes, and the codes that were typed."""
    store, hashing = AdministrationStore(world.database, world.keys), LocalHashing(CHEAP)
    request = people.Request(ALICE, PASSWORD, email="alice@example.org")
    people.add(request, store=store, hashing=hashing, clock=time.time)
    made = enrol.start(ALICE, label="phone", issuer="test", store=store, clock=time.time, entropy=os.urandom)
    assert isinstance(made, Enrolment)
    seed = seed_from_base32(parse_qs(urlsplit(made.uri).query)["secret"][0])
    now = step_at(time.time(), 30)
    typed = [code_at(now + offset, seed, 6, Algorithm.SHA1) for offset in (-1, 0, 1, 2)]
    kept = {"store": store, "hashing": hashing, "clock": time.time, "entropy": os.urandom}
    confirmed = enrol.confirm(ALICE, typed[0], **kept)  # type: ignore[arg-type]
    assert isinstance(confirmed, Confirmed)
    fresh = codes.regenerate(ALICE, None, **kept)  # type: ignore[arg-type]
    assert isinstance(fresh, CodeSet)
    wanted = Wanted("vpn", {"address": "127.0.0.0/8", "surface": "vpn", "challenge": True}, secret=SECRET)
    assert isinstance(nas.add(wanted, store=store, clock=time.time), Written)
    return seed, fresh, typed


def test_a_dump_of_the_database_holds_no_secret_in_clear(world: World, caplog: pytest.LogCaptureFixture) -> None:
    seed, fresh, typed = enrolled(world)
    with caplog.at_level(logging.DEBUG), world.daemon() as running:
        asking = world.client(running, secret=SECRET)
        assert asking.ask("alice", f"{PASSWORD}{typed[1]}".encode(), station="10.0.0.1").code is Code.ACCESS_ACCEPT
        states = [asking.ask("alice", PASSWORD.encode()).state for _ in range(2)]
        assert asking.ask("alice", typed[2].encode(), state=states[0]).code is Code.ACCESS_ACCEPT
        spent = fresh.codes[0]
        assert asking.ask("alice", f"{PASSWORD}{spent.shown}".encode()).code is Code.ACCESS_ACCEPT
        assert asking.ask("alice", f"{PASSWORD}{spent.canonical}".encode()).code is Code.ACCESS_REJECT
        assert asking.ask("alice", f"{PASSWORD}x{typed[3]}".encode()).code is Code.ACCESS_REJECT
        dumped = dump(world)
    logged = "\n".join(record.getMessage() for record in caplog.records).encode()
    secrets = [seed, SECRET, PASSWORD.encode(), *states]
    secrets += [text.encode() for code in fresh.codes for text in (code.shown, code.canonical, code.secret)]
    for found in (dumped, logged):
        assert [secret for secret in secrets for way in written(secret) if way in found] == []
        assert [code for code in typed if is_in(code, found)] == []
    assert b"alice@example.org" in dumped, "the dump is one of this database"


def test_a_set_up_in_dialogue_leaves_no_secret_in_clear(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """At each stage, the ones before anything counts too: neither seed nor codes nor States in tables or logs."""
    world.nas(challenge=True, set_up="dialogue")
    world.user("alice", PASSWORD, enrolled=False)
    dumps: list[bytes] = []
    with caplog.at_level(logging.DEBUG), world.daemon() as running:
        asking = world.client(running)
        begun = asking.ask("alice", PASSWORD.encode())
        dumps.append(dump(world))
        seed = key_in(begun.message)
        code = code_of(seed, time.time())
        shown = asking.ask("alice", code, state=begun.state)
        dumps.append(dump(world))
        assert asking.ask("alice", b"saved", state=shown.state).code is Code.ACCESS_ACCEPT
        dumps.append(dump(world))
    logged = "\n".join(record.getMessage() for record in caplog.records).encode()
    secrets = [seed, begun.state, shown.state, begun.state[2:], PASSWORD.encode()]
    codes = codes_in(shown.message)
    assert len(codes) == 10
    secrets += [text.encode() for each in codes for text in (each, each.replace("-", ""), each.replace("-", "")[2:])]
    for found in (*dumps, logged):
        assert [secret for secret in secrets for way in written(secret) if way in found] == []
        assert not is_in(code.decode(), found)


def test_a_seed_moved_to_another_row_signs_nobody_in(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Who can write the database can't put the own seed in the place of another's."""
    world.nas()
    alice, mallory = world.user(), world.user("mallory")
    with world.database.reading() as connection:
        sealed = select(schema.methods.c.seed).where(schema.methods.c.id == mallory.method_id)
        stolen = connection.execute(sealed).scalar_one()
    world.execute(update(schema.methods).where(schema.methods.c.id == alice.method_id).values(seed=stolen))
    with caplog.at_level(logging.ERROR), world.daemon() as running:
        nas_ = world.client(running)
        for typed in (f"hunter2{mallory.code()}", f"hunter2{alice.code()}", "hunter2", "letmein"):
            octets, authenticator = nas_.request("alice", typed.encode())
            assert nas_.is_ignored(octets, authenticator, timeout=0.2)
        assert nas_.ask("mallory", mallory.typed()).code is Code.ACCESS_ACCEPT
    assert world.audit() == [("accept", "totp")]
    lines = [record.getMessage() for record in caplog.records]
    assert any("alice" in line and "moved" in line for line in lines)
    assert not any(mallory.code() in line or alice.code() in line for line in lines)


@pytest.mark.parametrize("seed", [b"", b"twenty octets of it.", b"\x01" * 80], ids=["empty", "in clear", "rubbish"])
def test_a_seed_that_was_not_sealed_signs_nobody_in(world: World, nas: TestNas, seed: bytes) -> None:
    alice = world.user()
    world.execute(update(schema.methods).values(seed=seed))
    digits = code_at(step_at(time.time(), 30), seed, 6, Algorithm.SHA1)
    for typed in (f"hunter2{digits}".encode(), alice.typed()):
        octets, authenticator = nas.request("alice", typed)
        assert nas.is_ignored(octets, authenticator, timeout=0.2)
    assert world.audit() == []


def test_a_secret_moved_to_another_nas_lets_nobody_ask(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """The entry with the foreign secret is out of use; the others stay."""
    world.nas("mine", "127.0.0.7/32", secret=SECRET)
    theirs = world.nas("theirs", "127.0.0.8/32")
    alice = world.user()
    with world.database.reading() as connection:
        stolen = connection.execute(select(schema.nas.c.secret).where(schema.nas.c.id != theirs)).scalar_one()
    world.execute(update(schema.nas).where(schema.nas.c.id == theirs).values(secret=stolen))
    with caplog.at_level(logging.ERROR), world.daemon() as running:
        mallory = world.client(running, source="127.0.0.8", secret=SECRET)
        octets, authenticator = mallory.request("alice", alice.typed())
        assert mallory.is_ignored(octets, authenticator, timeout=0.2)
        owner = world.client(running, source="127.0.0.7", secret=SECRET)
        assert owner.ask("alice", alice.typed()).code is Code.ACCESS_ACCEPT
    assert any("theirs" in record.getMessage() for record in caplog.records)

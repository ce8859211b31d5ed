"""A new key while the servers serve: everything is sealed by it in the end, whatever happens on the way."""

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import select, update

from radiusd_mfa.app import App
from radiusd_mfa.keys import KeyFileProblem, KeyProblem, KeyRing, UnknownKeyProblem, key_id_of
from radiusd_mfa.store import schema
from radiusd_mfa.store import sealed as sealed_module
from radiusd_mfa.usecases import rotation
from radiusd_mfa.usecases.audit import verify
from radiusd_mfa.usecases.enrol import Confirmed
from radiusd_mfa.usecases.rotation import Rotated
from tests.support.administered import Refuses, World

SEALED = {
    "methods": {"user_id": 1, "kind": "totp", "created_at": 0.0},
    "nas": {"name": "gate", "address": "192.0.2.9/32", "surface": "vpn", "created_at": 0.0, "secret": b""},
    "backup_codes": {"user_id": 1, "generation": 9, "selector": "ab", "hash": "x"},
    "outbox": {"kind": "k", "channel": "mail", "recipient": "r", "created_at": 0.0, "expires_at": 0.0},
    "portal_sessions": {
        "user_id": 1,
        "hash": b"h",
        "stage": "in",
        "how": "totp",
        "granted_to": "",
        "created_at": 0.0,
        "seen_at": 0.0,
    },
}


def needs(app: App) -> dict[str, object]:
    return {"keys": app.keys, "file": app.key_file, "sealed": app.sealed, "store": app.administration}


def rotate(world: World) -> Rotated:
    done = rotation.rotate(**needs(world.app), clock=world.clock, pause=lambda: None)  # type: ignore[arg-type]
    assert isinstance(done, Rotated)
    return done


def remove(world: World, key: str) -> object:
    return rotation.remove(key, **needs(world.app), clock=world.clock)  # type: ignore[arg-type]


@pytest.fixture
def filled(world: World) -> World:
    """A value in every place where something is sealed."""
    world.user()
    for column in sealed_module.COLUMNS:
        table = column.table
        with world.app.database.writing() as connection:
            statement = table.insert().values(SEALED[table.name]).returning(table.c.id)
            row = connection.execute(statement).scalar_one()
            plain = f"secret of {table.name}".encode()
            value = world.app.keys.seal(plain, table=table.name, column=column.name, row=row)
            connection.execute(update(table).where(table.c.id == row).values({column: value}))
    return world


def opened(world: World) -> Iterator[bytes]:
    for column in sealed_module.COLUMNS:
        with world.app.database.reading() as connection:
            for row, value in connection.execute(select(column.table.c.id, column).where(column.is_not(None))):
                place = {"table": column.table.name, "column": column.name, "row": row}
                yield world.app.keys.open(bytes(value), **place)


def test_every_place_is_sealed_anew_and_opens_to_what_it_was(filled: World) -> None:
    before, old = list(opened(filled)), filled.app.keys.active_id
    done = rotate(filled)
    assert done.made == done.active != old
    assert (done.unopened, done.removable) == ((), (old,))
    assert list(opened(filled)) == before
    # And the canary and the root of digests.
    assert filled.app.sealed.by_key() == {done.active: len(before) + 2}


def test_every_sealed_column_is_known() -> None:
    """One that is forgotten would be lost with the old key. These are all that hold octets and are not digests."""
    digests = {
        *("audit.request", "methods.last_request", "methods.seed_digest", "backup_codes.last_request", "links.hash"),
        *("challenges.state", "verifications.text", "sms_codes.digest", "portal_sessions.hash", "meta.value"),
        *(f"audit_seals.{name}" for name in ("digests", "digest", "previous", "mac", "pruned")),
    }
    octets = {
        f"{table.name}.{column.name}"
        for table in schema.metadata.tables.values()
        for column in table.c
        if column.type.__class__.__name__ == "LargeBinary"
    }
    assert octets - digests == {f"{column.table.name}.{column.name}" for column in sealed_module.COLUMNS}


def test_an_old_key_that_is_removed_is_missed_by_nobody(filled: World) -> None:
    before, old = list(opened(filled)), filled.app.keys.active_id
    digest = filled.app.keys.digest("request", b"x")
    rotate(filled)
    assert remove(filled, old) == old
    again = App.open(filled.app.config, clock=filled.clock)
    assert again.keys.ids == (filled.app.keys.active_id,)
    assert list(opened(World(again, filled.clock))) == before
    assert again.keys.digest("request", b"x") == digest
    assert verify(chain=again.audit_chain, clock=filled.clock, mark=None).is_intact
    again.close()


def test_a_key_that_something_is_sealed_by_stays(filled: World, refuses: Refuses) -> None:
    old = filled.app.keys.active_id
    refuses(remove(filled, old), "the one that seals")
    refuses(remove(filled, "nobody"), "keys status")
    filled.app.key_file.append(waits=False)
    filled.app.keys.refresh()
    refuses(remove(filled, old), "sealed by key")
    assert old in KeyRing.load(filled.app.config.key_file).ids


def test_a_key_by_which_something_is_sealed_meanwhile_is_put_back(
    filled: World, refuses: Refuses, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = filled.app.keys.active_id
    rotate(filled)
    counts = iter([{}, {old: 1}])
    monkeypatch.setattr(sealed_module, "sealed_by_key", lambda _: next(counts))
    refuses(remove(filled, old), "run radiusd-mfa keys rotate again")
    filled.app.keys.refresh()
    assert set(KeyRing.load(filled.app.config.key_file).ids) == {old, filled.app.keys.active_id}


class KilledError(Exception):
    """What ends a rotation in these tests."""


@pytest.mark.parametrize("after", [0, 1, 2, 4])
def test_a_rotation_that_broke_off_is_finished_by_the_same_key(
    filled: World, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    monkeypatch.setattr(sealed_module, "BATCH", 1)
    old, values = filled.app.keys.active_id, len(list(opened(filled)))
    turns = iter(range(100))

    def pause() -> None:
        if next(turns) == after:
            raise KilledError

    with suppress(KilledError):
        rotation.rotate(**needs(filled.app), clock=filled.clock, pause=pause)  # type: ignore[arg-type]
    key = filled.app.keys.active_id
    sealed = filled.app.sealed.by_key()
    assert sealed[old] > 0
    assert len(list(opened(filled))) == values
    done = rotate(filled)
    assert (done.active, done.made, done.resealed) == (key, None, sealed[old])
    assert filled.app.sealed.by_key() == {key: values + 2}


def test_what_was_changed_meanwhile_stays_as_it_was_changed(filled: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between reading and writing somebody sets another secret: it must not be overwritten by the old one."""
    nas = schema.nas
    read = sealed_module.SealedValues._batch

    def and_then_changed(self: object, column: object, after: int) -> object:
        found = read(self, column, after)  # type: ignore[arg-type]
        if column is nas.c.secret:
            for row, _value in found:
                fresh = filled.app.keys.seal(b"fresh", table="nas", column="secret", row=row)
                with filled.app.database.writing() as connection:
                    connection.execute(update(nas).where(nas.c.id == row).values(secret=fresh))
        return found

    monkeypatch.setattr(sealed_module.SealedValues, "_batch", and_then_changed)
    rotate(filled)
    with filled.app.database.reading() as connection:
        for row, value in connection.execute(select(nas.c.id, nas.c.secret)):
            assert filled.app.keys.open(bytes(value), table="nas", column="secret", row=row) == b"fresh"


def test_a_value_that_does_not_open_is_told_and_keeps_its_key(filled: World) -> None:
    old = filled.app.keys.active_id
    with filled.app.database.writing() as connection:
        spoilt = schema.outbox.c.payload
        value = connection.execute(select(spoilt)).scalar_one()
        connection.execute(update(schema.outbox).values(payload=bytes(value)[:-1] + b"\0"))
    done = rotate(filled)
    assert len(done.unopened) == 1
    assert "outbox.payload" in done.unopened[0]
    assert done.removable == ()
    assert filled.app.sealed.by_key()[old] == 1


def test_a_value_that_does_not_open_keeps_nobody_from_a_new_key(filled: World) -> None:
    with filled.app.database.writing() as connection:
        value = connection.execute(select(schema.outbox.c.payload)).scalar_one()
        connection.execute(update(schema.outbox).values(payload=bytes(value)[:-1] + b"\0"))
    first, second = rotate(filled), rotate(filled)
    assert second.made == second.active != first.active


def test_a_service_with_a_copy_of_the_file_seals_by_the_new_key_once_somebody_does(
    filled: World, tmp_path: Path
) -> None:
    """As a credential of systemd is: a copy from the start, which no change of the file reaches."""
    rotation.prepare(**needs(filled.app), clock=filled.clock)  # type: ignore[arg-type]
    credential = tmp_path / "credential"
    credential.write_bytes(filled.app.config.key_file.read_bytes())
    credential.chmod(0o600)
    service = KeyRing.load(credential)
    old = filled.app.keys.active_id
    place = {"table": "nas", "column": "secret", "row": 1}
    assert key_id_of(service.seal(b"x", **place)) == old  # type: ignore[arg-type]
    done = rotate(filled)
    assert service.open(filled.app.keys.seal(b"y", **place), **place) == b"y"  # type: ignore[arg-type]
    assert key_id_of(service.seal(b"z", **place)) == done.active != old  # type: ignore[arg-type]
    assert service.waiting == ()


def test_a_key_is_brought_to_every_node_before_it_seals(filled: World, refuses: Refuses) -> None:
    old = filled.app.keys.active_id
    made = rotation.prepare(**needs(filled.app), clock=filled.clock)  # type: ignore[arg-type]
    assert filled.app.keys.waiting == (made,)
    assert filled.app.keys.active_id == old
    assert key_id_of(filled.app.keys.canary()) == old
    refuses(rotation.prepare(**needs(filled.app), clock=filled.clock), "waits already")  # type: ignore[arg-type]
    done = rotate(filled)
    assert (done.active, done.made) == (made, made)


def test_a_rotation_is_in_the_audit_log_without_any_key(filled: World) -> None:
    done = rotate(filled)
    with filled.app.database.reading() as connection:
        rows = connection.execute(
            select(schema.audit.c.detail, schema.audit.c.actor).where(schema.audit.c.reason == "keys-rotate")
        ).fetchall()
    assert [(json.loads(row.detail), row.actor) for row in rows] == [
        ({"key": done.active, "resealed": done.resealed, "unopened": 0}, "operator")
    ]


def test_people_enrol_and_confirm_across_a_rotation(world: World) -> None:
    """A page or a command that was started before goes on with what it has, and takes up the new key."""
    alice, bob = world.user(), world.user("bob")
    made = world.start(alice)
    other = World(App.open(world.app.config, clock=world.clock), world.clock)
    rotate(other)
    confirmed = world.confirm(alice, world.code(made))
    assert isinstance(confirmed, Confirmed)
    world.start(bob)
    assert set(world.app.sealed.by_key()) == {other.app.keys.active_id}
    other.app.close()


def test_a_node_without_the_new_key_says_which_one_is_missing(filled: World) -> None:
    old = filled.app.config.key_file.read_bytes()
    rotate(filled)
    filled.app.config.key_file.write_bytes(old)
    with pytest.raises(KeyProblem, match=filled.app.keys.active_id) as problem:
        App.open(filled.app.config)
    assert isinstance(problem.value, UnknownKeyProblem)


def test_a_key_file_that_can_not_be_written_is_a_sentence_and_changes_nothing(filled: World) -> None:
    draft = filled.app.config.key_file.with_name(filled.app.config.key_file.name + ".new")
    draft.mkdir()
    with pytest.raises(KeyFileProblem, match="cannot be changed"):
        rotation.rotate(**needs(filled.app), clock=filled.clock, pause=lambda: None)  # type: ignore[arg-type]
    assert len(KeyRing.load(filled.app.config.key_file).ids) == 1

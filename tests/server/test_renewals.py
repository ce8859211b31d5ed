"""Old password hashes become argon2id at the next sign-in, and nobody notices."""

import base64
import hashlib
import threading
import time
from collections.abc import Callable
from functools import partial

import pytest
from sqlalchemy import insert, select, update

from radiusd_mfa.core.verdict import Outcome, Reason, Verdict
from radiusd_mfa.passwords import system_crypt
from radiusd_mfa.passwords.local import verify
from radiusd_mfa.passwords.pool import HashPool
from radiusd_mfa.radius.wire import Code
from radiusd_mfa.server.renewer import Renewer
from radiusd_mfa.store import schema
from radiusd_mfa.usecases.renewing import Renewal
from tests.support.world import TestUser, World

ACCEPT = Verdict(Outcome.ACCEPT, Reason.TOTP)
PERIOD = '[[require]]\nroles = ["owner", "admin", "member"]\nsurfaces = ["vpn"]\nevery = "12h"\n'


def _ssha256(password: str) -> str:
    return "{SSHA256}" + base64.b64encode(hashlib.sha256(password.encode() + b"salt").digest() + b"salt").decode()


def _crypt(setting: str, password: str) -> str:
    made = system_crypt.digest(password.encode(), setting)
    assert made is not None
    return made


OLD: dict[str, Callable[[str], str]] = {
    "ssha256": _ssha256,
    "sha512-crypt": partial(_crypt, "$6$rounds=1000$saltsalt$"),
    "bcrypt": partial(_crypt, "$2b$04$" + "." * 22),
    "yescrypt": partial(_crypt, "$y$j75$saltsalt$"),
}


def _hash(world: World, user: TestUser) -> str:
    with world.database.reading() as connection:
        found = select(schema.users.c.password_hash).where(schema.users.c.id == user.id)
        return str(connection.execute(found).scalar_one())


def _aged(world: World, user: TestUser, kind: str = "ssha256") -> str:
    """Give the user an old hash of the same password."""
    old = OLD[kind](user.password)
    world.execute(update(schema.users).where(schema.users.c.id == user.id).values(password_hash=old))
    return old


def _renewed(world: World, user: TestUser) -> str:
    """Wait for the new hash: nobody is told of it."""
    until = time.monotonic() + 20
    while not (found := _hash(world, user)).startswith("$argon2id$"):
        assert time.monotonic() < until, "the hash was not renewed"
        time.sleep(0.01)
    return found


@pytest.mark.parametrize("kind", OLD)
def test_an_old_hash_is_renewed_by_a_right_password(world: World, kind: str) -> None:
    user = world.user(password="hunter2")
    _aged(world, user, kind)
    world.nas()
    with world.daemon(renews=True) as daemon:
        nas = world.client(daemon)
        assert nas.ask(user.name, user.typed()).code is Code.ACCESS_ACCEPT
        assert verify("hunter2", _renewed(world, user))
        assert nas.ask(user.name, user.typed(1)).code is Code.ACCESS_ACCEPT
        assert nas.ask(user.name, b"wrong" + user.code(2).encode()).code is Code.ACCESS_REJECT
    with world.database.reading() as connection:
        audit = schema.audit.c
        found = connection.execute(select(audit.user_name, audit.actor).where(audit.reason == "password-upgrade"))
        assert [tuple(row) for row in found] == [("alice", "server")]


def test_nothing_is_renewed_by_a_sign_in_that_was_refused(world: World) -> None:
    wrong, no_code = world.user("wrong"), world.user("no-code")
    last = world.user("last")
    before = {user.name: _aged(world, user) for user in (wrong, no_code, last)}
    world.nas()
    with world.daemon(renews=True, reject_delay=0.0) as daemon:
        nas = world.client(daemon)
        assert nas.ask("wrong", b"not it" + wrong.code().encode()).code is Code.ACCESS_REJECT
        assert nas.ask("no-code", (no_code.password + no_code.wrong_code()).encode()).code is Code.ACCESS_REJECT
        assert nas.ask("last", last.typed()).code is Code.ACCESS_ACCEPT
        _renewed(world, last)  # one after the other: the others would have been before
    assert _hash(world, wrong) == before["wrong"]
    assert _hash(world, no_code) == before["no-code"]


def test_hashes_stay_as_they_are_where_that_is_wished(world: World) -> None:
    user = world.user()
    old = _aged(world, user)
    world.nas()
    with world.daemon() as daemon:
        assert world.client(daemon).ask(user.name, user.typed()).code is Code.ACCESS_ACCEPT
    assert _hash(world, user) == old


def test_a_challenge_on_the_old_hash_is_answered_on_the_new_one(world: World) -> None:
    user = world.user()
    _aged(world, user)
    world.nas(challenge=True)
    with world.daemon(renews=True) as daemon:
        nas = world.client(daemon)
        asked = nas.ask(user.name, user.password.encode())
        assert asked.code is Code.ACCESS_CHALLENGE
        _renewed(world, user)
        assert nas.ask(user.name, user.code().encode(), state=asked.state).code is Code.ACCESS_ACCEPT


def test_a_period_goes_on_when_the_hash_is_renewed(world: World) -> None:
    user = world.user()
    _aged(world, user)
    world.member(user, world.team(policy=PERIOD))
    world.nas()
    with world.daemon(renews=True) as daemon:
        nas = world.client(daemon)
        assert nas.ask(user.name, user.typed(), station="laptop").code is Code.ACCESS_ACCEPT
        _renewed(world, user)
        assert nas.ask(user.name, user.password.encode(), station="laptop").code is Code.ACCESS_ACCEPT


def test_a_password_that_was_changed_meanwhile_wins(world: World) -> None:
    user = world.user()
    renewal = Renewal(user.id, user.name, user.password, _aged(world, user))
    newer = _ssha256("another")
    world.execute(update(schema.users).where(schema.users.c.id == user.id).values(password_hash=newer))
    assert world.renewing().renew(renewal) is False
    assert _hash(world, user) == newer
    with world.database.reading() as connection:
        assert connection.execute(select(schema.audit.c.id)).first() is None


def test_what_rested_on_yet_another_hash_stays_dead_and_guesses_stay_counted(world: World) -> None:
    user, nas = world.user(), world.nas()
    old = _aged(world, user)
    rows = {b"old": old, b"dead": "an earlier one"}
    for state, granted_to in rows.items():
        values = {"state": state, "user_id": user.id, "nas_id": nas, "kind": "code", "expires_at": 9e9}
        world.execute(insert(schema.challenges).values(**values, granted_to=granted_to))
    world.execute(insert(schema.throttles).values(user_id=user.id, history="1.0/p/77///;"))
    assert world.renewing().renew(Renewal(user.id, user.name, user.password, old))
    with world.database.reading() as connection:
        columns = schema.challenges.c
        found = {bytes(row.state): row.granted_to for row in connection.execute(select(*columns))}
        history = connection.execute(select(schema.throttles.c.history)).scalar_one()
    assert found == {b"old": _hash(world, user), b"dead": "an earlier one"}
    assert history == "1.0/p/77///;"


def test_while_hashes_are_waited_for_none_is_renewed_and_none_is_kept(world: World) -> None:
    user = world.user()
    renewal = Renewal(user.id, user.name, user.password, _aged(world, user))
    pool, release = HashPool(1), threading.Event()
    renewer = Renewer(world.renewing(), pool, lambda: None)
    taken = threading.Event()

    def busy() -> None:
        taken.set()
        release.wait(20)

    assert pool.submit(busy, lane=1, done=lambda _: None)
    assert taken.wait(20)
    assert pool.submit(lambda: None, lane=1, done=lambda _: None)
    renewer.offer(renewal, ACCEPT)
    renewer.turn()
    release.set()
    pool.close(20)
    renewer.turn()
    renewer.close()
    assert not _hash(world, user).startswith("$argon2id$")


def test_a_renewal_never_shows_its_password() -> None:
    assert "secret" not in repr(Renewal(1, "alice", "secret text", "secret hash"))

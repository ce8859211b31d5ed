"""A small world to sign in to: users with authenticators, NAS entries, daemons, and NASes that ask them.

Rows are written straight into the tables, as a control panel would; every sign-in goes over real UDP packets.
"""

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from sqlalchemy import insert, select, update

from radiusd_mfa.config import Config, Endpoint
from radiusd_mfa.core.backup_codes import BackupCode
from radiusd_mfa.core.totp import Algorithm, code_at, step_at
from radiusd_mfa.keys import KeyRing
from radiusd_mfa.passwords.local import Profile, dummy_for, is_cheap, make_hash, needs_upgrade, verify
from radiusd_mfa.radius.attributes import Dictionary
from radiusd_mfa.radius.client import encode_request, verify_reply
from radiusd_mfa.radius.profiles import encode_profile
from radiusd_mfa.radius.wire import Attribute, Code, Packet, PacketError
from radiusd_mfa.server.daemon import Daemon, Parts
from radiusd_mfa.server.systemd import NOBODY, Pulse
from radiusd_mfa.server.udp import Listener
from radiusd_mfa.server.workers import bind
from radiusd_mfa.shipped import dictionaries
from radiusd_mfa.store import schema
from radiusd_mfa.store.administration import AdministrationStore
from radiusd_mfa.store.canary import write_canary
from radiusd_mfa.store.database import Database
from radiusd_mfa.store.nas_table import NasTableReader
from radiusd_mfa.store.sightings import SightingTable
from radiusd_mfa.store.sign_ins import SignIns
from radiusd_mfa.usecases.ports import SignInStore
from radiusd_mfa.usecases.renewing import Renewing
from radiusd_mfa.usecases.sign_in import SignIn
from tests.support import canaries

CHEAP = Profile(time_cost=1, memory_kib=8, parallelism=1)
SECRET = b"a secret of the tests"
DICTIONARY = Dictionary.load(dictionaries())
WORKERS = int(os.environ.get("RADIUSD_MFA_TEST_WORKERS", "1"))
"""Workers on the port of each daemon in this process: `make test-two` runs the attacks against two."""
_identifiers = count()


@dataclass(frozen=True)
class CheapPasswords:
    """Checks real hashes; the dummy costs as little as the hashes of the tests."""

    def verify(self, password: str, stored: str) -> bool:
        return verify(password, stored)

    def is_cheap(self, stored: str) -> bool:
        return is_cheap(stored)

    def remembers(self, _password: str, _stored: str) -> bool:
        return False

    def is_old(self, stored: str) -> bool:
        return needs_upgrade(stored, profile=CHEAP)

    def dummy(self) -> str:
        return dummy_for(CHEAP)

    def make(self, text: str) -> str:
        return make_hash(text, profile=CHEAP)


@dataclass
class TestUser:
    """A user as the test knows one: with the password and the phone in hand."""

    __test__ = False

    id: int
    name: str
    password: str
    method_id: int | None
    seed: bytes
    backup_codes: Sequence[BackupCode] = ()

    def code(self, offset: int = 0, *, at: float | None = None) -> str:
        """Return the code that the authenticator shows, `offset` steps from now."""
        return code_at(step_at(time.time() if at is None else at, 30) + offset, self.seed, 6, Algorithm.SHA1)

    def typed(self, offset: int = 0, *, at: float | None = None) -> bytes:
        """Return password and code as one text."""
        return (self.password + self.code(offset, at=at)).encode()

    def wrong_code(self, *, at: float | None = None) -> str:
        """Return digits that are no code of a step near the time."""
        near = {self.code(offset, at=at) for offset in range(-3, 4)}
        return next(digits for number in range(10) if (digits := str(number) * 6) not in near)


@dataclass
class Reply:
    """What came back, verified."""

    packet: Packet
    octets: bytes

    @property
    def code(self) -> Code:
        return Code(self.packet.code)

    def values(self, kind: Attribute) -> list[bytes]:
        return [value for number, value in self.packet.attributes if number == kind]

    @property
    def state(self) -> bytes:
        return self.values(Attribute.STATE)[0]

    @property
    def message(self) -> str:
        return b"".join(self.values(Attribute.REPLY_MESSAGE)).decode()


class TestNas:
    """A RADIUS client with a socket of its own at a loopback address."""

    __test__ = False

    def __init__(self, server: str, *, source: str = "127.0.0.1", secret: bytes = SECRET) -> None:
        self.turn_to(server)
        self.secret = secret
        self.socket = socket.socket(
            socket.AF_INET6 if ":" in server.rpartition(":")[0] else socket.AF_INET, socket.SOCK_DGRAM
        )
        self.socket.bind((source, 0))
        self._given_up: list[bytes] = []
        self.late: list[Reply] = []
        """What answered a request after it was given up, verified."""

    def turn_to(self, server: str) -> None:
        """Ask another server from now on, from the same port."""
        host, _, port = server.rpartition(":")
        self._server = (host.strip("[]"), int(port))

    def request(
        self,
        user: str | bytes,
        typed: bytes | None,
        *,
        state: bytes | None = None,
        station: str | None = None,
        attributes: Sequence[tuple[int, bytes]] = (),
        message_authenticator: bool = True,
        identifier: int | None = None,
        authenticator: bytes | None = None,
    ) -> tuple[bytes, bytes]:
        """Return (octets, request authenticator) of a new Access-Request."""
        name = user.encode() if isinstance(user, str) else user
        given = [(int(Attribute.USER_NAME), name), *attributes]
        if state is not None:
            given.append((Attribute.STATE, state))
        if station is not None:
            given.append((Attribute.CALLING_STATION_ID, station.encode()))
        authenticator = authenticator or os.urandom(16)
        octets = encode_request(
            code=Code.ACCESS_REQUEST,
            identifier=next(_identifiers) % 256 if identifier is None else identifier,
            authenticator=authenticator,
            secret=self.secret,
            attributes=given,
            password=typed,
            message_authenticator=message_authenticator,
        )
        return octets, authenticator

    def send(self, octets: bytes) -> None:
        self.socket.sendto(octets, self._server)

    def receive(self, authenticator: bytes, *, timeout: float = 8.0, signed: bool = True) -> Reply | None:
        """Return the next reply; None: silence."""
        until = time.monotonic() + timeout
        while (left := until - time.monotonic()) > 0:
            self.socket.settimeout(left)
            try:
                octets = self.socket.recv(4097)
            except TimeoutError:
                break
            if not self._is_late(octets, authenticator):
                return Reply(self._verified(octets, authenticator, signed=signed), octets)
        return None

    def give_up(self, authenticator: bytes) -> None:
        """Wait no more for the reply to a request: should it still come, it is no answer to the next one."""
        self._given_up.append(authenticator)

    def _is_late(self, octets: bytes, expected: bytes) -> bool:
        for authenticator in self._given_up:
            if authenticator == expected:
                continue
            try:
                packet = self._verified(octets, authenticator, signed=True)
            except PacketError:
                continue
            self.late.append(Reply(packet, octets))
            return True
        return False

    def _verified(self, octets: bytes, authenticator: bytes, *, signed: bool) -> Packet:
        return verify_reply(
            octets, request_authenticator=authenticator, secret=self.secret, require_message_authenticator=signed
        )

    def ask(self, user: str | bytes, typed: bytes | None, *, timeout: float = 8.0, **options: Any) -> Reply:
        """Send a new Access-Request and return the reply; silence is a failure."""
        octets, authenticator = self.request(user, typed, **options)
        self.send(octets)
        reply = self.receive(authenticator, timeout=timeout)
        assert reply is not None, "no reply came"
        return reply

    def is_ignored(self, octets: bytes, authenticator: bytes = bytes(16), *, timeout: float = 0.5) -> bool:
        """Send octets; whether nothing comes back."""
        self.send(octets)
        return self.receive(authenticator, timeout=timeout) is None

    def status(self, *, timeout: float = 2.0, message_authenticator: bool = True) -> Reply | None:
        """Ask with Status-Server whether the server is well."""
        authenticator = os.urandom(16)
        self.send(
            encode_request(
                code=Code.STATUS_SERVER,
                identifier=next(_identifiers) % 256,
                authenticator=authenticator,
                secret=self.secret,
                message_authenticator=message_authenticator,
            )
        )
        reply = self.receive(authenticator, timeout=timeout)
        if reply is None:
            self.give_up(authenticator)
        return reply

    def close(self) -> None:
        self.socket.close()


class Lead(Daemon):
    """The first of the workers on a port; what a test does to it is done to all, but each counts its own packets."""

    def __init__(self, parts: Parts, listeners: Sequence[Listener], others: Sequence[Daemon]) -> None:
        super().__init__(parts, listeners)
        self.others = others

    def refresh(self) -> None:
        super().refresh()
        for other in self.others:
            other.refresh()

    def stop(self) -> None:
        super().stop()
        for other in self.others:
            other.stop()


@dataclass
class World:
    """One database with its users and NAS entries; daemons are started in this process, on threads of their own."""

    database: Database
    url: str
    keys: KeyRing
    config: Config
    _nases: list[TestNas] = field(default_factory=list)

    def user(
        self,
        name: str = "alice",
        password: str = "hunter2",
        *,
        enrolled: bool = True,
        enrolled_before: bool = False,
        codes: int = 0,
        disabled: bool = False,
        watermark: int = 0,
    ) -> TestUser:
        """Add a user, with a confirmed authenticator unless told otherwise."""
        seed = canaries.seed(os.urandom)
        now = time.time()
        generation = int(enrolled or enrolled_before or codes > 0)
        with self.database.writing() as connection:
            values = {"name": name, "password_hash": make_hash(password, profile=CHEAP), "disabled": disabled}
            user_id = _inserted(connection, schema.users, **values, backup_generation=generation, created_at=now)
            method_id = None
            if enrolled:
                method_id = _inserted(
                    connection,
                    schema.methods,
                    user_id=user_id,
                    kind="totp",
                    watermark=watermark,
                    created_at=now,
                    confirmed_at=now,
                    is_default=True,
                )
                sealed = self.keys.seal(seed, table="methods", column="seed", row=method_id)
                connection.execute(update(schema.methods).where(schema.methods.c.id == method_id).values(seed=sealed))
            made = canaries.codes(codes, os.urandom) if codes else ()
            for code in made:
                _inserted(
                    connection,
                    schema.backup_codes,
                    user_id=user_id,
                    generation=1,
                    selector=code.selector,
                    hash=make_hash(code.canonical, profile=CHEAP),
                )
        return TestUser(user_id, name, password, method_id, seed, made)

    def nas(self, name: str = "vpn", address: str = "127.0.0.0/8", *, secret: bytes = SECRET, **columns: Any) -> int:
        """Add a NAS entry."""
        with self.database.writing() as connection:
            values = {"surface": "vpn", "created_at": time.time(), "secret": b"", **columns}
            nas_id = _inserted(connection, schema.nas, name=name, address=address, **values)
            sealed = self.keys.seal(secret, table="nas", column="secret", row=nas_id)
            connection.execute(update(schema.nas).where(schema.nas.c.id == nas_id).values(secret=sealed))
        return nas_id

    def team(
        self,
        name: str = "ops",
        *,
        policy: str | None = None,
        plan: str = "mfa",
        realms: Sequence[str] = (),
        profile: str | None = None,
    ) -> int:
        """Add a team, with realms of its own and a reply profile for everybody in it."""
        with self.database.writing() as connection:
            values = {"plan": plan, "policy": policy, "policy_version": int(policy is not None)}
            team_id = _inserted(connection, schema.teams, name=name, created_at=time.time(), **values)
            for realm in realms:
                connection.execute(insert(schema.realms).values(name=realm, team_id=team_id))
        if profile is not None:
            self.profile(team_id, profile)
        return team_id

    def member(self, user: TestUser, team_id: int, role: str = "member") -> None:
        """Give a user a place in a team."""
        self.execute(insert(schema.memberships).values(user_id=user.id, team_id=team_id, role=role))

    def profile(self, team_id: int, attributes: str, *, role: str | None = None, surface: str | None = None) -> None:
        """Give a team a reply profile."""
        values = {"team_id": team_id, "attributes": attributes, "role": role, "surface": surface}
        self.execute(insert(schema.reply_profiles).values(**values))

    def execute(self, statement: Any) -> None:
        """Change rows as another program would."""
        with self.database.writing() as connection:
            connection.execute(statement)

    def audit(self) -> list[tuple[str, str]]:
        """Return (outcome, reason) of every sign-in, oldest first."""
        with self.database.reading() as connection:
            rows = connection.execute(
                select(schema.audit.c.outcome, schema.audit.c.reason)
                .where(schema.audit.c.kind == "sign-in")
                .order_by(schema.audit.c.id)
            ).fetchall()
        return [(row.outcome, row.reason) for row in rows]

    def write_canary(self) -> None:
        """Make the database one that a real process accepts with the same keys."""
        with self.database.writing() as connection:
            write_canary(connection, self.keys.canary())

    def sign_in_store(self, database: Database | None = None) -> SignIns:
        return SignIns(database or self.database, self.keys)

    @contextmanager
    def daemon(
        self,
        listen: str = "127.0.0.1:0",
        *,
        wrap: Callable[[SignInStore], SignInStore] = lambda store: store,
        renews: bool = False,
        pulse: Pulse = NOBODY.pulse,
        **settings: Any,
    ) -> Iterator[Daemon]:
        """Serve in a thread with database connections of its own; `wrap` may cause faults in the store.

        With `renews` old password hashes are renewed; most tests want to know what a hash is.
        """
        database = Database(self.url, deadline=self.config.database_deadline, for_sign_ins=True)
        values = {name: getattr(self.config, name) for name in self.config.__slots__} | settings
        parts = Parts(
            Config(**values),
            wrap(SignIns(database, self.keys)),
            NasTableReader(database, self.keys),
            SignIn(self.keys, CheapPasswords(), os.urandom, values["challenge_lifetime"]),
            DICTIONARY.kind,
            lambda text: encode_profile(text, DICTIONARY),
            note=SightingTable(self.database).add,
            renewing=self.renewing(database) if renews else None,
        )
        sockets = bind([Endpoint.parse(listen)], WORKERS)
        lead = Lead(parts, sockets[0], [Daemon(parts, listeners) for listeners in sockets[1:]])
        ready = [threading.Event() for _ in sockets]
        threads = [
            threading.Thread(target=daemon.run, args=(event.set, pulse), name="daemon")
            for daemon, event in zip((lead, *lead.others), ready, strict=True)
        ]
        for thread in threads:
            thread.start()
        try:
            assert all(event.wait(10) for event in ready), "the daemon did not get ready"
            yield lead
        finally:
            lead.stop()
            for thread in threads:
                thread.join(10)
            database.close()

    def renewing(self, database: Database | None = None) -> Renewing:
        """Give what renews old hashes: all that are not as the users' of the tests are."""
        return Renewing(CheapPasswords(), AdministrationStore(database or self.database, self.keys), time.time)

    def client(self, daemon: Daemon | str, *, source: str = "127.0.0.1", secret: bytes = SECRET) -> TestNas:
        """Give a NAS that asks this daemon."""
        server = daemon if isinstance(daemon, str) else daemon.addresses[0]
        nas = TestNas(server, source=source, secret=secret)
        self._nases.append(nas)
        return nas

    def close(self) -> None:
        for nas in self._nases:
            nas.close()


def _inserted(connection: Any, table: Any, **values: Any) -> int:
    result = connection.execute(insert(table).values(**values))
    return int(result.inserted_primary_key[0])

"""The composition root: settings become a running whole, whose parts the commands, the server and the pages share.

Owns which parts exist and how they fit together, and refuses to start on a database or a key file that don't.
"""

import os
import secrets
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Final

from radiusd_mfa.config import Config, Endpoint
from radiusd_mfa.delivery.problems import SetUpProblem
from radiusd_mfa.delivery.worker import Worker
from radiusd_mfa.high_water import HighWater, HighWaterProblem
from radiusd_mfa.key_file import KeyFile
from radiusd_mfa.keys import KeyProblem, KeyRing
from radiusd_mfa.passwords.cache import PasswordCache
from radiusd_mfa.passwords.local import (
    PROFILE,
    HashProblem,
    Profile,
    dummy_for,
    is_cheap,
    make_hash,
    needs_upgrade,
    recognise,
    verify,
)
from radiusd_mfa.radius.attributes import AttributeProblem, Dictionary, Kind
from radiusd_mfa.radius.profiles import EncodedProfile, encode_profile
from radiusd_mfa.server.daemon import Daemon, Parts
from radiusd_mfa.server.sign_in_log import SignInLog
from radiusd_mfa.server.tally import Tally
from radiusd_mfa.server.udp import Listener
from radiusd_mfa.store.administration import AdministrationStore
from radiusd_mfa.store.audit_chain import AuditSeals
from radiusd_mfa.store.canary import read_canary, read_root, write_canary
from radiusd_mfa.store.database import Database, sqlite_path
from radiusd_mfa.store.figures import FiguresReader
from radiusd_mfa.store.housekeeping import Housekeeping
from radiusd_mfa.store.nas_table import NasTableReader
from radiusd_mfa.store.outbox_queue import OutboxQueue
from radiusd_mfa.store.portal_sessions import PageSessionTable
from radiusd_mfa.store.sealed import SealedValues
from radiusd_mfa.store.sightings import SightingTable
from radiusd_mfa.store.sign_ins import SignIns
from radiusd_mfa.store.upgrade import SchemaStatus, schema_status, upgrade
from radiusd_mfa.usecases import restore
from radiusd_mfa.usecases.acting import Door
from radiusd_mfa.usecases.phone_codes import Post
from radiusd_mfa.usecases.ports import Clock, Entropy, StoreFault
from radiusd_mfa.usecases.renewing import Renewing
from radiusd_mfa.usecases.sign_in import Passwords, SignIn

__all__ = [
    "FAULTS",
    "PROFILE",
    "UNUSABLE",
    "App",
    "FiguresReader",
    "Initialised",
    "LocalHashing",
    "NotReadyProblem",
    "Profile",
    "dictionaries",
    "initialise",
    "open_database",
    "open_figures",
    "presets",
    "read_schema",
    "refuse_unfit",
    "upgrade_schema",
]

FIGURES_DEADLINE: Final = 5.0
"""Seconds for a statement of the metrics: what they count is led by indexes, and nobody waits for it."""
ADMIN_DEADLINE: Final = 60.0
"""Seconds for a statement of administration: an import of 100,000 users takes longer than any sign-in may."""


class NotReadyProblem(Exception):
    """The database is not one that this program can work with; the sentence says which command helps."""


UNUSABLE: Final = (NotReadyProblem, KeyProblem, AttributeProblem, SetUpProblem, HighWaterProblem)
"""What is raised where nothing can begin: the key file, the database, the dictionaries or templates are not right."""
FAULTS: Final = (StoreFault, HashProblem)
"""What is raised where the database or the machine does not do what it should."""


@dataclass(frozen=True, slots=True)
class LocalHashing:
    """See `Hashing` and `Passwords` of the use cases: argon2id of the given cost is made, known hashes are checked."""

    profile: Profile

    def verify(self, password: str, stored: str) -> bool:
        """See `Passwords.verify`."""
        return verify(password, stored)

    def is_cheap(self, stored: str) -> bool:
        """See `Passwords.is_cheap`."""
        return is_cheap(stored)

    def remembers(self, _password: str, _stored: str) -> bool:
        """See `Passwords.remembers`: that is the cache's to know."""
        return False

    def dummy(self) -> str:
        """See `Passwords.dummy`."""
        return dummy_for(self.profile)

    def make(self, text: str) -> str:
        """See `Hashing.make`."""
        return make_hash(text, profile=self.profile)

    def make_all(self, texts: Sequence[str]) -> Sequence[str]:
        """See `Hashing.make_all`; argon2 lets go of the interpreter, so threads do it."""
        with ThreadPoolExecutor(os.cpu_count() or 1) as threads:
            return list(threads.map(self.make, texts))

    def is_old(self, stored: str) -> bool:
        """See `Upgrades.is_old`."""
        return needs_upgrade(stored, profile=self.profile)

    def complaint(self, stored: str) -> str | None:
        """See `Hashing.complaint`."""
        try:
            recognise(stored)
        except HashProblem as problem:
            return str(problem)
        return None


@dataclass(frozen=True)
class App:
    """Everything that a command, the server or a page works with; `database` is the one for administration."""

    config: Config
    keys: KeyRing
    database: Database = field(repr=False)
    clock: Clock = time.time
    entropy: Entropy = secrets.token_bytes
    profile: Profile = PROFILE
    """What a new password hash costs."""

    @classmethod
    def open(
        cls,
        config: Config,
        *,
        clock: Clock = time.time,
        entropy: Entropy = secrets.token_bytes,
        profile: Profile = PROFILE,
    ) -> "App":
        """Open what `init` made; raises NotReadyProblem, KeyProblem or StoreFault."""
        database = open_database(config)
        try:
            keys = KeyRing.load(config.key_file)
            refuse_unfit(schema_status(database))
            keys = _fitting(database, keys)
        except BaseException:
            database.close()
            raise
        return cls(config, keys, database, clock, entropy, profile)

    @cached_property
    def administration(self) -> AdministrationStore:
        """The store of the administrative use cases."""
        return AdministrationStore(self.database, self.keys)

    @cached_property
    def audit_chain(self) -> AuditSeals:
        """The chain of seals over the audit log."""
        return AuditSeals(self.database, self.keys)

    @cached_property
    def marks(self) -> HighWater:
        """How far this machine has seen each database."""
        return HighWater(self.config.state_dir / "high-water.json")

    def refuse_loss(self) -> None:
        """Raise NotReadyProblem if the database is older than this machine has seen it: codes could be used again."""
        loss = restore.find_loss(chain=self.audit_chain, marks=self.marks)
        if loss is not None:
            raise NotReadyProblem(loss.sentence)

    @cached_property
    def hashing(self) -> LocalHashing:
        """Hashes passwords and backup codes at the cost of `profile`."""
        return LocalHashing(self.profile)

    @cached_property
    def sign_in_database(self) -> Database:
        """The engine for sign-ins: its statements fail after the configured deadline."""
        return Database(self.config.database_url, deadline=self.config.database_deadline, for_sign_ins=True)

    @cached_property
    def sign_in_store(self) -> SignIns:
        """Opens and settles sign-ins."""
        return SignIns(self.sign_in_database, self.keys)

    @cached_property
    def nas_store(self) -> NasTableReader:
        """The NAS entries with their secrets, for the server."""
        return NasTableReader(self.sign_in_database, self.keys)

    @cached_property
    def post(self) -> Post:
        """What it takes to send codes by SMS and to know them again."""
        return Post(self.keys, self.entropy)

    def delivery(self) -> Worker:
        """Make a worker that delivers mail and SMS; raises SetUpProblem."""
        from radiusd_mfa.delivery.office import open_office  # noqa: PLC0415 - templates are nothing to sign-ins

        return open_office(self.config, OutboxQueue(self.database, self.keys), self.clock)

    @cached_property
    def page_sessions(self) -> PageSessionTable:
        """The sessions of the pages."""
        return PageSessionTable(self.database, self.keys)

    @cached_property
    def dictionary(self) -> Dictionary:
        """The RADIUS attributes by name."""
        return Dictionary.load(dictionaries())

    @cached_property
    def sign_in(self) -> SignIn:
        """The steps of a sign-in."""
        return SignIn(self.keys, self._passwords(), self.entropy, self.config.challenge_lifetime)

    @cached_property
    def renewing(self) -> Renewing | None:
        """What renews old password hashes, if that is wanted: with the deadline of sign-ins, for it is beside them."""
        store = AdministrationStore(self.sign_in_database, self.keys)
        return Renewing(self.hashing, store, self.clock) if self.config.upgrade_hashes else None

    def door(self, name: str) -> Door:
        """Give what people prove themselves at, on this machine: `cli` or `pages`."""
        return Door(name, self.sign_in, self.sign_in_store, self.clock, self.entropy)

    def daemon(self, listen: Sequence[Endpoint] = ()) -> Daemon:
        """Bind the RADIUS server, to the configured addresses unless others are given; raises ListenProblem."""
        return self.daemon_on([Listener.bind(endpoint) for endpoint in listen or self.config.listen])

    def daemon_on(
        self,
        listeners: Sequence[Listener],
        tally: Tally | None = None,
        write_log: Callable[[bytes], None] | None = None,
    ) -> Daemon:
        """Make the RADIUS server on sockets that are bound already; it goes on counting in the tally.

        `write_log` takes lines for the log and must not wait; they are written if the settings want them.
        """
        config = self.config
        wanted = write_log if config.log_sign_ins else None
        parts = Parts(
            config=self.config,
            sign_ins=self.sign_in_store,
            nas=self.nas_store,
            sign_in=self.sign_in,
            kind_of=self._kind_of,
            encode_profile=self._encode_profile,
            tidy=Housekeeping(self.database).tidy,
            seal=partial(self._seal, AuditSeals(self.database, self.keys, beside_sign_ins=True)),
            tally=tally or Tally(),
            renewing=self.renewing,
            note=SightingTable(self.database).add,
            sign_in_log=None if wanted is None else SignInLog(wanted, as_json=config.log_format == "json"),
        )
        return Daemon(parts, listeners)

    def _seal(self, chain: AuditSeals, now: float) -> str | None:
        loss = restore.keep(now, chain=chain, marks=self.marks)
        return loss.sentence if loss else None

    def _passwords(self) -> Passwords:
        seconds = self.config.password_cache
        if not seconds:
            return self.hashing
        return PasswordCache(self.hashing, seconds=seconds, key=self.entropy(32), clock=time.monotonic)

    @cached_property
    def sealed(self) -> SealedValues:
        """What the keys have sealed in the database."""
        return SealedValues(self.database, self.keys)

    @cached_property
    def key_file(self) -> KeyFile:
        """The key file, to be changed."""
        return KeyFile(self.config.key_file, self.entropy)

    def _kind_of(self, attribute: str) -> Kind:
        return self.dictionary.kind(attribute)  # loaded only where a NAS entry omits something

    def _encode_profile(self, text: str) -> EncodedProfile:
        return encode_profile(text, self.dictionary)  # loaded only where a team has a profile

    def leave(self) -> None:
        """Give back what is kept for the thread that calls this, before it ends."""
        if "sign_in_database" in self.__dict__:
            self.sign_in_database.leave()

    def close(self) -> None:
        """Give all database connections back."""
        self.database.close()
        if "sign_in_database" in self.__dict__:
            self.sign_in_database.close()


@dataclass(frozen=True, slots=True)
class Initialised:
    """What `init` made, and what was there already."""

    state_dir_made: bool
    key_made: bool
    schema_before: SchemaStatus
    database_made: bool
    """Whether the database had no canary: nobody has used it before."""


def dictionaries() -> Path:
    """Return where the RADIUS dictionaries are: inside the installed package, or beside it in a checkout."""
    return _shipped("dictionaries")


def presets() -> Path:
    """Return where the reviewed team policies are, `NAME.toml` each."""
    return _shipped("policy")


def _shipped(folder: str) -> Path:
    package = Path(__file__).parent
    installed = package / folder
    return installed if installed.is_dir() else package.parent / folder


def initialise(config: Config, *, entropy: Entropy = secrets.token_bytes) -> Initialised:
    """Make the state directory, key file, database and canary, each where it is missing; safe to repeat."""
    state_dir_made = not config.state_dir.exists()
    config.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    _make_private_file(config)
    database = Database(config.database_url, deadline=ADMIN_DEADLINE)
    try:
        before = upgrade(database)
        refuse_unfit(schema_status(database))
        with database.writing() as connection:
            canary = read_canary(connection)
            # A database that was used has a key: a new one in its place would only hide that the old one is lost.
            make_key = canary is None and not config.key_file.exists()
            keys = KeyRing.create(config.key_file, entropy=entropy) if make_key else KeyRing.load(config.key_file)
            root = read_root(connection)
            keys = keys if root is None else keys.rooted(root)
            if canary is None:
                write_canary(connection, keys.canary())
            else:
                keys.check_canary(canary)
        return Initialised(state_dir_made, make_key, before, database_made=canary is None)
    finally:
        database.close()


def open_database(config: Config) -> Database:
    """Open the database for administration; raises NotReadyProblem where SQLite would silently make an empty one."""
    path = sqlite_path(config.database_url)
    if path is not None and not path.exists():
        raise NotReadyProblem(f"There is no database at {path}; make one with: radiusd-mfa init")
    return Database(config.database_url, deadline=ADMIN_DEADLINE)


def open_figures(config: Config) -> FiguresReader:
    """Open what metrics read out of the database, on a connection of its own."""
    return FiguresReader(Database(config.database_url, deadline=FIGURES_DEADLINE))


def read_schema(config: Config) -> SchemaStatus:
    """Say how far the schema is, whether it fits or not."""
    database = open_database(config)
    try:
        return schema_status(database)
    finally:
        database.close()


def upgrade_schema(config: Config) -> SchemaStatus:
    """Bring the schema up to date and return what was found; raises NotReadyProblem for one that is newer or none."""
    found = read_schema(config)
    if found.current is None or found.is_newer:
        refuse_unfit(found)
    database = open_database(config)
    try:
        return upgrade(database)
    finally:
        database.close()


def refuse_unfit(status: SchemaStatus) -> None:
    """Raise NotReadyProblem unless the schema is the one that this program was written for."""
    if status.is_newer:
        raise NotReadyProblem(
            f"A newer radiusd-mfa has upgraded this database to schema {status.current}, this one knows "
            f"{status.newest}; install the newer program."
        )
    if status.current is None:
        raise NotReadyProblem("The database has no tables of radiusd-mfa; make them with: radiusd-mfa init")
    if not status.is_current:
        raise NotReadyProblem(
            f"The database has schema {status.current}, this program needs {status.newest}; run: radiusd-mfa db upgrade"
        )


def _fitting(database: Database, keys: KeyRing) -> KeyRing:
    """Return the keys with what the database keeps of them; raises KeyProblem where they are another database's."""
    with database.reading() as connection:
        canary, root = read_canary(connection), read_root(connection)
    if canary is None:
        raise NotReadyProblem("The database was never initialised; run: radiusd-mfa init")
    keys = keys if root is None else keys.rooted(root)
    keys.check_canary(canary)
    return keys


def _make_private_file(config: Config) -> None:
    # SQLite would make it readable by all; its write-ahead log takes over the mode of the database.
    path = sqlite_path(config.database_url)
    if path is not None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            path.touch(mode=0o600)
            if os.geteuid() == 0:  # made by root for a service that is not
                owner = path.parent.stat()
                os.chown(path, owner.st_uid, owner.st_gid)

"""The composition root: settings become a running whole, whose parts the commands, the server and the pages share.

Owns which parts exist and how they fit together, and refuses to start on a database or a key file that don't.
"""

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Final

from radiusd_mfa.config import Config, Endpoint
from radiusd_mfa.delivery.problems import SetUpProblem
from radiusd_mfa.delivery.worker import Worker
from radiusd_mfa.high_water import HighWater, HighWaterProblem
from radiusd_mfa.installation import ADMIN_DEADLINE, NotReadyProblem, fitting, open_database, refuse_unfit
from radiusd_mfa.key_file import KeyFile
from radiusd_mfa.keys import KeyProblem, KeyRing
from radiusd_mfa.passwords.cache import PasswordCache
from radiusd_mfa.passwords.hashing import LocalHashing
from radiusd_mfa.passwords.local import PROFILE, HashProblem, Profile
from radiusd_mfa.radius.attributes import AttributeProblem, Dictionary, Kind
from radiusd_mfa.radius.profiles import EncodedProfile, encode_profile
from radiusd_mfa.server.daemon import Daemon, Parts
from radiusd_mfa.server.sign_in_log import SignInLog
from radiusd_mfa.server.tally import Tally
from radiusd_mfa.server.udp import Listener
from radiusd_mfa.shipped import dictionaries
from radiusd_mfa.store.administration import AdministrationStore
from radiusd_mfa.store.audit_chain import AuditSeals
from radiusd_mfa.store.database import Database
from radiusd_mfa.store.housekeeping import Housekeeping
from radiusd_mfa.store.nas_table import NasTableReader
from radiusd_mfa.store.outbox_queue import OutboxQueue
from radiusd_mfa.store.portal_sessions import PageSessionTable
from radiusd_mfa.store.sealed import SealedValues
from radiusd_mfa.store.sightings import SightingTable
from radiusd_mfa.store.sign_ins import SignIns
from radiusd_mfa.store.upgrade import schema_status
from radiusd_mfa.usecases import restore
from radiusd_mfa.usecases.acting import Door
from radiusd_mfa.usecases.phone_codes import Post
from radiusd_mfa.usecases.ports import Clock, Entropy, StoreFault
from radiusd_mfa.usecases.renewing import Renewing
from radiusd_mfa.usecases.sign_in import Passwords, SignIn

__all__ = ["FAULTS", "PROFILE", "UNUSABLE", "App", "Profile"]

UNUSABLE: Final = (NotReadyProblem, KeyProblem, AttributeProblem, SetUpProblem, HighWaterProblem)
"""What is raised where nothing can begin: the key file, the database, the dictionaries or templates are not right."""
FAULTS: Final = (StoreFault, HashProblem)
"""What is raised where the database or the machine does not do what it should."""


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
        deadline: float = ADMIN_DEADLINE,
    ) -> "App":
        """Open what `init` made; raises NotReadyProblem, KeyProblem or StoreFault. `deadline`: s for a statement."""
        database = open_database(config, deadline=deadline)
        try:
            keys = KeyRing.load(config.key_file)
            refuse_unfit(schema_status(database))
            keys = fitting(database, keys)
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

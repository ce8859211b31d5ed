"""The store as administration sees it: one transaction, all tables."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Final, TypeVar

from sqlalchemy import Connection

from radiusd_mfa.keys import KeyRing
from radiusd_mfa.store.audit import AuditTable
from radiusd_mfa.store.backup_codes import BackupCodeTable
from radiusd_mfa.store.challenges import ChallengeTable
from radiusd_mfa.store.database import Database, is_transient
from radiusd_mfa.store.imports import ImportTable
from radiusd_mfa.store.links import LinkTable
from radiusd_mfa.store.methods import MethodTable
from radiusd_mfa.store.nas import NasTable
from radiusd_mfa.store.outbox import OutboxTable
from radiusd_mfa.store.people import UserTable
from radiusd_mfa.store.policies import PolicyTable
from radiusd_mfa.store.profiles import ProfileTable
from radiusd_mfa.store.realms import RealmTable
from radiusd_mfa.store.restored import RestoredDatabase
from radiusd_mfa.store.sms import SmsTable
from radiusd_mfa.store.teams import TeamTable
from radiusd_mfa.usecases.ports import StoreFault

_TRIES: Final = 3
T = TypeVar("T")


@dataclass(frozen=True)
class OpenBooks:
    """The tables behind one connection; see `Books` of the use cases."""

    connection: Connection
    keys: KeyRing
    acting_session: int | None = None
    """The session of the pages in which all this is done: it alone outlives what ends the sessions of its user."""

    @cached_property
    def people(self) -> UserTable:
        """Users."""
        return UserTable(self.connection, self.keys, self.acting_session)

    @cached_property
    def imports(self) -> ImportTable:
        """Users and authenticators by the thousand."""
        return ImportTable(self.connection, self.keys)

    @cached_property
    def teams(self) -> TeamTable:
        """Teams and members."""
        return TeamTable(self.connection)

    @cached_property
    def policies(self) -> PolicyTable:
        """The teams' policies."""
        return PolicyTable(self.connection)

    @cached_property
    def realms(self) -> RealmTable:
        """What may stand behind the `@` of a user name."""
        return RealmTable(self.connection)

    @cached_property
    def profiles(self) -> ProfileTable:
        """What Access-Accepts carry."""
        return ProfileTable(self.connection)

    @cached_property
    def nas(self) -> NasTable:
        """NAS entries."""
        return NasTable(self.connection, self.keys)

    @cached_property
    def methods(self) -> MethodTable:
        """Authenticators."""
        return MethodTable(self.connection, self.keys, self.acting_session)

    @cached_property
    def codes(self) -> BackupCodeTable:
        """Backup codes."""
        return BackupCodeTable(self.connection, self.keys)

    @cached_property
    def challenges(self) -> ChallengeTable:
        """Challenges of set-ups."""
        return ChallengeTable(self.connection)

    @cached_property
    def links(self) -> LinkTable:
        """Links with a secret in them."""
        return LinkTable(self.connection)

    @cached_property
    def sms(self) -> SmsTable:
        """Phones, and the codes that are sent to them."""
        return SmsTable(self.connection)

    @cached_property
    def outbox(self) -> OutboxTable:
        """What is to be delivered."""
        return OutboxTable(self.connection, self.keys)

    @cached_property
    def restored(self) -> RestoredDatabase:
        """The database as a copy that was restored."""
        return RestoredDatabase(self.connection)

    @cached_property
    def audit(self) -> AuditTable:
        """The audit log."""
        return AuditTable(self.connection)


class AdministrationStore:
    """See `Administration` of the use cases."""

    def __init__(self, database: Database, keys: KeyRing, acting_session: int | None = None) -> None:
        self._database = database
        self._keys = keys
        self._acting_session = acting_session

    def within(self, session_id: int) -> "AdministrationStore":
        """Return the store for what is done in this session of the pages, which is not ended by it."""
        return AdministrationStore(self._database, self._keys, session_id)

    def change(self, work: Callable[[OpenBooks], T]) -> T:
        """See `Administration.change`."""
        for _ in range(_TRIES - 1):
            try:
                return self._change(work)
            except StoreFault as fault:
                if not is_transient(fault):
                    raise
        return self._change(work)

    def view(self, work: Callable[[OpenBooks], T]) -> T:
        """See `Administration.view`."""
        with self._database.reading() as connection:
            return work(OpenBooks(connection, self._keys, self._acting_session))

    def _change(self, work: Callable[[OpenBooks], T]) -> T:
        with self._database.writing() as connection:
            return work(OpenBooks(connection, self._keys, self._acting_session))

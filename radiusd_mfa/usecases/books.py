"""What administration needs from the store and from the hashes, as protocols.

Knows no SQL. `Books` are open for one transaction; whatever is done in it is done together or not at all.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Protocol, TypeVar

from radiusd_mfa.usecases.admin_ports import (
    AuditEntry,
    AuditFilter,
    Link,
    Member,
    MethodSummary,
    NasRow,
    NasSettings,
    NewAuditEntry,
    NewBackupCode,
    NewLink,
    NewMethod,
    NewUser,
    PolicyVersion,
    Realm,
    Standing,
    StoredMethod,
    StoredPeriod,
    StoredProfile,
    Team,
    User,
)
from radiusd_mfa.usecases.audit_ports import Restored
from radiusd_mfa.usecases.import_ports import Imports
from radiusd_mfa.usecases.outbox_ports import OutboxBook
from radiusd_mfa.usecases.set_up_ports import Challenges
from radiusd_mfa.usecases.sms_ports import SmsCodes

T = TypeVar("T")


class People(Protocol):
    """Users."""

    def add(self, user: NewUser, at: float) -> int | None:
        """Make a user and return the id; None if the name is taken."""
        ...

    def find(self, name: str) -> User | None:
        """Return a user."""
        ...

    def lock(self, name: str) -> User | None:
        """Return a user whose row nobody else changes before this transaction ends."""
        ...

    def all(self) -> Sequence[User]:
        """Return all users by name."""
        ...

    def names_like(self, name: str) -> Sequence[str]:
        """Return names that may have been meant."""
        ...

    def set_password_hash(self, user_id: int, password_hash: str) -> None:
        """Replace the hash."""
        ...

    def renew_password_hash(self, user_id: int, *, old: str, new: str) -> bool:
        """Replace a hash by one of the same password, on which all that was granted stands; False if it is another."""
        ...

    def set_disabled(self, user_id: int, *, disabled: bool) -> None:
        """Switch sign-ins off or on."""
        ...

    def remove(self, user_id: int) -> None:
        """Remove a user and all that is kept about the user but the audit log."""
        ...

    def forget_periods(self, user_id: int) -> None:
        """Drop open challenges and running periods, so that the next sign-in starts from nothing."""
        ...

    def periods(self, user_id: int | None) -> Sequence[StoredPeriod]:
        """Return the verifications of a user, or of all, the latest first."""
        ...

    def forget_wrong_passwords(self, user_id: int) -> None:
        """Drop guesses at the password from the throttle's history; guessed codes stay."""
        ...


class Teams(Protocol):
    """Teams and their members."""

    def add(self, name: str, plan: str, at: float) -> int | None:
        """Make a team and return the id; None if the name is taken."""
        ...

    def find(self, name: str) -> Team | None:
        """Return a team."""
        ...

    def lock(self, name: str) -> Team | None:
        """Return a team that gets no NAS entry or member before this transaction ends."""
        ...

    def all(self) -> Sequence[Team]:
        """Return all teams by name."""
        ...

    def set_plan(self, team_id: int, plan: str) -> None:
        """Replace the plan."""
        ...

    def remove(self, team_id: int) -> None:
        """Remove a team, its memberships and its periods."""
        ...

    def add_member(self, team_id: int, user_id: int, role: str) -> bool:
        """Make a user a member; False if the user is one."""
        ...

    def set_role(self, team_id: int, user_id: int, role: str) -> bool:
        """Replace the role; False if the user is no member."""
        ...

    def set_permissions(self, team_id: int, user_id: int, permissions: Iterable[str]) -> bool:
        """Replace the permissions beyond those of the role; False if the user is no member."""
        ...

    def remove_member(self, team_id: int, user_id: int) -> bool:
        """End a membership; False if there is none."""
        ...

    def members(self, *, team_id: int | None = None, user_id: int | None = None) -> Sequence[Member]:
        """Return memberships, of a team or of a user if so asked."""
        ...

    def names_of(self, user_ids: Collection[int]) -> Mapping[int, set[str]]:
        """Return the names of the teams of each of these users; who is in none is left out."""
        ...

    def standings(self, team_id: int, *, locked: bool = False) -> Sequence[Standing]:
        """Return a team's members by name, each with what this one could give as a second factor.

        Locked, nobody changes one of these users, or the user's role or methods, before this transaction ends.
        """
        ...


class Policies(Protocol):
    """The teams' policies, which `Team.policy` shows as they are now, and all of their versions."""

    def replace(self, team_id: int, text: str | None, *, expected: int, at: float, actor: str) -> int | None:
        """Give a team another policy (None: none) and return its version; None if `expected` isn't the newest one."""
        ...

    def versions(self, team_id: int) -> Sequence[PolicyVersion]:
        """Return all versions, the newest first."""
        ...

    def find(self, team_id: int, version: int) -> PolicyVersion | None:
        """Return one version."""
        ...


class Realms(Protocol):
    """What may stand behind the `@` of a user name; names are in lower case."""

    def add(self, name: str, team_id: int | None) -> bool:
        """Make a realm; False if the name is taken."""
        ...

    def all(self) -> Sequence[Realm]:
        """Return all realms by name."""
        ...

    def remove(self, name: str) -> bool:
        """Remove a realm; False if there is none."""
        ...


class Profiles(Protocol):
    """What Access-Accepts carry."""

    def set(self, team_id: int, role: str | None, surface: str | None, attributes: str) -> None:
        """Make or replace a profile."""
        ...

    def all(self, team_id: int | None = None) -> Sequence[StoredProfile]:
        """Return the profiles of a team, or of all, by team, role and surface."""
        ...

    def remove(self, team_id: int, role: str | None, surface: str | None) -> bool:
        """Remove a profile; False if there is none."""
        ...


class NasEntries(Protocol):
    """NAS entries."""

    def lock(self) -> None:
        """Let nobody else add, change or remove an entry before this transaction ends; reading goes on."""
        ...

    def add(self, name: str, settings: NasSettings, secret: bytes, at: float) -> int | None:
        """Make an entry and return the id; None if the name or the range is taken."""
        ...

    def set(self, nas_id: int, settings: NasSettings) -> bool:
        """Replace the settings; False if another entry has the range."""
        ...

    def set_secret(self, nas_id: int, secret: bytes) -> None:
        """Replace the shared secret."""
        ...

    def find(self, name: str) -> NasRow | None:
        """Return an entry whose row nobody else changes before this transaction ends."""
        ...

    def all(self) -> Sequence[NasRow]:
        """Return all entries by name."""
        ...

    def remove(self, nas_id: int) -> None:
        """Remove an entry, its open challenges and its periods."""
        ...


class Methods(Protocol):
    """Authenticators."""

    def add(self, user_id: int, method: NewMethod, at: float) -> int | None:
        """Make an unconfirmed method and return the id; None if the user has one with this seed."""
        ...

    def of(self, user_id: int) -> Sequence[StoredMethod]:
        """Return a user's methods, the oldest first, seeds opened; raises KeyProblem of the keys."""
        ...

    def summaries(self, user_id: int) -> Sequence[MethodSummary]:
        """Return what may be shown of a user's methods, the oldest first."""
        ...

    def remove(self, method_id: int) -> None:
        """Remove a method."""
        ...

    def count_wrong_code(self, method: StoredMethod) -> None:
        """Count one more wrong code at the confirmation."""
        ...

    def confirm(self, method_id: int, step: int, at: float) -> bool:
        """Let a method count from now on, its step spent, and remove what it replaces; False if it counted already.

        With what it replaces go the user's periods and open challenges; it is the default then, if that one was.
        """
        ...

    def spend(self, method_id: int, step: int, at: float) -> bool:
        """Spend a step of a confirmed method; False if it was spent."""
        ...

    def rename(self, method_id: int, label: str) -> None:
        """Give a method another label."""
        ...

    def make_default(self, user_id: int, method_id: int) -> None:
        """Make this one of the user's methods the default."""
        ...

    def take_code(self, method_id: int, step: int) -> bool:
        """Note that an unconfirmed method's code was given, its step spent; it does not count yet (E3)."""
        ...

    def confirm_taken(self, method_id: int, at: float) -> bool:
        """Let a method count whose code was given before, as `confirm` does; False if none was, or if it counts."""
        ...

    def recovered(self, user_id: int) -> bool:
        """Whether the user has signed in with a backup code since the last use or set-up of a method (K4)."""
        ...

    def revoke(self, user_id: int, method_id: int | None = None) -> int:
        """Remove a method, or all, at once, with periods and open challenges, and say how many were removed (X5).

        With the last confirmed method the backup codes go too; where another is left, one of them is the default.
        """
        ...


class BackupCodes(Protocol):
    """Backup codes; those of one generation are valid, all others never again."""

    def replace(self, user_id: int, codes: Iterable[NewBackupCode]) -> int:
        """Make a new valid generation and return it; older codes and a held set are gone. None at all is allowed."""
        ...

    def hold(self, user_id: int, codes: Iterable[NewBackupCode]) -> None:
        """Keep a set of which none is valid before it is released, in place of one that was held before (E3)."""
        ...

    def release(self, user_id: int) -> bool:
        """Make the set that is held the only valid one; False if none is held."""
        ...

    def left(self, user_id: int) -> int:
        """Count the unused codes of the valid generation."""
        ...

    def revealed(self, user_id: int) -> Sequence[str]:
        """Return the unused codes of the valid generation that were kept to be seen again, without dashes (K5)."""
        ...

    def revealable(self, user_ids: Collection[int]) -> set[int]:
        """Return those of these users who have codes that were kept to be seen again."""
        ...

    def conceal(self, user_ids: Collection[int]) -> None:
        """Forget what was kept to be seen again of these users; the codes stay valid."""
        ...


class Links(Protocol):
    """Links with a secret in them, of which the digest is kept."""

    def add(self, link: NewLink) -> None:
        """Make a link; an earlier one for the same user and purpose is void."""
        ...

    def find(self, digest: bytes) -> Link | None:
        """Return a link, used or expired as it may be."""
        ...

    def of(self, user_id: int) -> Sequence[Link]:
        """Return a user's links, used and expired ones too, the newest first."""
        ...

    def use(self, digest: bytes, at: float) -> Link | None:
        """Use a link up; None if it was used, has expired, or never was."""
        ...

    def void(self, user_id: int) -> None:
        """Remove a user's links, whatever they are for."""
        ...


class AuditLog(Protocol):
    """The audit log."""

    def append(self, entry: NewAuditEntry) -> None:
        """Write a change down."""
        ...

    def list(self, wanted: AuditFilter) -> Sequence[AuditEntry]:
        """Return rows, the newest first."""
        ...

    def accepted(self, since: float, *, user: str | None, limit: int) -> Sequence[AuditEntry]:
        """Return accepted sign-ins with their facts, of a user or of all, the newest first."""
        ...

    def find(self, audit_id: int) -> AuditEntry | None:
        """Return one row, its facts included."""
        ...

    def sign_ins(self, since: float) -> Iterator[AuditEntry]:
        """Yield the sign-ins from a time on with their facts, the oldest first, and hold only a few at once."""
        ...


class Books(Protocol):
    """All that one transaction of administration sees."""

    @property
    def people(self) -> People:
        """Users."""
        ...

    @property
    def imports(self) -> Imports:
        """Users and authenticators by the thousand."""
        ...

    @property
    def teams(self) -> Teams:
        """Teams and members."""
        ...

    @property
    def policies(self) -> Policies:
        """The teams' policies."""
        ...

    @property
    def realms(self) -> Realms:
        """What may stand behind the `@` of a user name."""
        ...

    @property
    def profiles(self) -> Profiles:
        """What Access-Accepts carry."""
        ...

    @property
    def nas(self) -> NasEntries:
        """NAS entries."""
        ...

    @property
    def methods(self) -> Methods:
        """Authenticators."""
        ...

    @property
    def codes(self) -> BackupCodes:
        """Backup codes."""
        ...

    @property
    def challenges(self) -> Challenges:
        """Challenges of set-ups."""
        ...

    @property
    def links(self) -> Links:
        """Links with a secret in them."""
        ...

    @property
    def sms(self) -> SmsCodes:
        """Phones, and the codes that are sent to them."""
        ...

    @property
    def outbox(self) -> OutboxBook:
        """What is to be delivered."""
        ...

    @property
    def restored(self) -> Restored:
        """The database as a copy that was restored."""
        ...

    @property
    def audit(self) -> AuditLog:
        """The audit log."""
        ...


class Administration(Protocol):
    """The store, as administration sees it; both methods raise `StoreFault`."""

    def change(self, work: Callable[[Books], T]) -> T:
        """Do the work in one transaction; it may be tried again after a deadlock, so it must do nothing else."""
        ...

    def view(self, work: Callable[[Books], T]) -> T:
        """Read without keeping anybody from writing."""
        ...


class Hashing(Protocol):
    """The ways of hashing passwords and backup codes."""

    def make(self, text: str) -> str:
        """Hash a prepared password or a backup code; takes about 30 ms."""
        ...

    def make_all(self, texts: Sequence[str]) -> Sequence[str]:
        """Hash many, on all processors."""
        ...

    def complaint(self, stored: str) -> str | None:
        """Say why a hash from elsewhere can't be taken over, None if it can."""
        ...

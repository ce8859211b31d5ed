"""What `doctor` reads of a database, each piece for itself and without any key: one that is wrong hides no other."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import case, func, select, text

from radiusd_mfa.store import schema
from radiusd_mfa.store.canary import read_canary, read_root
from radiusd_mfa.store.database import Database
from radiusd_mfa.store.in_pieces import in_pieces
from radiusd_mfa.store.sightings import SightingTable
from radiusd_mfa.store.upgrade import SchemaStatus, schema_status
from radiusd_mfa.usecases.sighting_ports import Seen

NEWEST: Final = 50_000
"""Rows of the audit log that are looked at: as many as take a tenth of a second."""
_DUE_FOR: Final = 60.0
"""Seconds for which a mail is due before it counts as waiting: a worker looks every few seconds."""
_audit, _outbox, _users = schema.audit.c, schema.outbox.c, schema.users.c


class NasRow(NamedTuple):
    """A NAS entry as it is stored, its secret sealed."""

    id: int
    name: str
    address: str
    secret: bytes
    message_authenticator: str
    reply_message_authenticator: str
    allow_proxy_state: bool
    challenge: bool
    retry_grace: float


class SignInRow(NamedTuple):
    """A sign-in that says something about its NAS."""

    at: float
    user_name: str | None
    nas_name: str | None
    device: str | None
    outcome: str
    reason: str


class TeamRow(NamedTuple):
    """A team and its policy."""

    id: int
    name: str
    plan: str
    policy: str | None


class ProfileRow(NamedTuple):
    """A reply profile."""

    team: str
    role: str | None
    surface: str | None
    attributes: str


class OutboxCounts(NamedTuple):
    """What waits to be delivered for a while, and what was given up lately."""

    waiting: int
    oldest: float | None
    given_up: int
    last_error: str | None
    gone: int
    """Of those that were given up, beside the others: what they say is not kept any more."""


class SealCounts(NamedTuple):
    """What lies behind the last seal over the audit log."""

    oldest_unsealed: float | None
    unsealed: int


class Examination:
    """Reads one database; every method raises StoreFault."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def schema(self) -> SchemaStatus:
        """Say how far the schema is."""
        return schema_status(self._database)

    def canary(self) -> tuple[bytes | None, bytes | None]:
        """Return what tells the keys: the canary, and the root of the digests."""
        with self._database.reading() as connection:
            return read_canary(connection), read_root(connection)

    def clock(self) -> float | None:
        """Return the clock of the database's machine; None for SQLite, which has this one's."""
        if self._database.dialect == "sqlite":
            return None
        with self._database.reading() as connection:
            return float(connection.execute(text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one())

    def newest_time(self) -> float | None:
        """Return the latest time in the newest rows of the audit log."""
        newest = select(_audit.at).order_by(_audit.id.desc()).limit(1_000).subquery()
        with self._database.reading() as connection:
            at: float | None = connection.execute(select(func.max(newest.c.at))).scalar()
        return at

    def seals(self) -> SealCounts:
        """Say what is not sealed yet."""
        last = func.coalesce(select(func.max(schema.audit_seals.c.last_id)).scalar_subquery(), 0)
        with self._database.reading() as connection:
            at, count = connection.execute(select(func.min(_audit.at), func.count()).where(_audit.id > last)).one()
        return SealCounts(at, count)

    def nases(self) -> Sequence[NasRow]:
        """Return the NAS entries by name."""
        columns = [schema.nas.c[name] for name in NasRow._fields]
        with self._database.reading() as connection:
            return [NasRow(*row) for row in connection.execute(select(*columns).order_by(schema.nas.c.name))]

    def seen(self, since: float) -> Seen:
        """Return what the NASes were seen to do."""
        return SightingTable(self._database).read(since)

    def room_inside(self) -> int:
        """Return the octets that removed rows have left in an SQLite file, which fills them before it grows."""
        if self._database.dialect != "sqlite":
            return 0
        with self._database.reading() as connection:
            pages, size = (
                connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in ("freelist_count", "page_size")
            )
        return int(pages) * int(size)

    def telling_sign_ins(self) -> Sequence[SignInRow]:
        """Return those of the newest sign-ins that were accepted, or refused for want of a fresh code, oldest first."""
        last = select(func.coalesce(func.max(_audit.id), 0)).scalar_subquery()
        columns = [_audit[name] for name in SignInRow._fields]
        telling = (_audit.outcome == "accept") | _audit.reason.in_(("code-reused", "code-missing"))
        wanted = select(*columns).where(_audit.id > last - NEWEST, _audit.kind == "sign-in", telling)
        with self._database.reading() as connection:
            return [SignInRow(*row) for row in connection.execute(wanted.order_by(_audit.id))]

    def teams(self) -> Sequence[TeamRow]:
        """Return the teams by name."""
        columns = [schema.teams.c[name] for name in TeamRow._fields]
        with self._database.reading() as connection:
            return [TeamRow(*row) for row in connection.execute(select(*columns).order_by(schema.teams.c.name))]

    def profiles(self) -> Sequence[ProfileRow]:
        """Return the reply profiles by team."""
        profiles, team = schema.reply_profiles, schema.teams.c.name
        wanted = select(team, profiles.c.role, profiles.c.surface, profiles.c.attributes)
        with self._database.reading() as connection:
            found = connection.execute(wanted.select_from(profiles.join(schema.teams)).order_by(team, profiles.c.id))
            return [ProfileRow(*row) for row in found]

    def unenrolled(self, teams: Collection[int], roles: Iterable[str], kinds: Iterable[str]) -> set[int]:
        """Return the users in these teams and in other roles than these who have no confirmed method of these kinds."""
        places = schema.memberships.c
        able = select(_users.id).join(schema.memberships, places.user_id == _users.id)
        found: set[int] = set()
        with self._database.reading() as connection:
            for piece in in_pieces(teams):
                asked = able.where(places.team_id.in_(piece), places.role.not_in(list(roles)))
                found.update(connection.execute(asked.where(*_without(kinds))).scalars())
        return found

    def unenrolled_without_team(self) -> set[int]:
        """Return the users without a team who have no confirmed method."""
        placed = select(schema.memberships.c.user_id)
        wanted = select(_users.id).where(_users.id.not_in(placed), *_without(("totp", "sms")))
        with self._database.reading() as connection:
            return set(connection.execute(wanted).scalars())

    def hashes(self, kinds: Mapping[str, str], *, otherwise: str) -> Mapping[str, int]:
        """Count users by the kind of their password hash; `kinds` says how hashes begin, and what to call those."""
        named = case(
            *((_users.password_hash.startswith(begin, autoescape=True), name) for begin, name in kinds.items()),
            else_=otherwise,
        )
        has_one = _users.password_hash.is_not(None) & _users.disabled.is_(False)
        counted = select(named.label("kind"), func.count().label("users")).where(has_one).group_by("kind")
        with self._database.reading() as connection:
            return {row.kind: row.users for row in connection.execute(counted)}

    def outbox(self, now: float) -> OutboxCounts:
        """Count what does not go out."""
        due = _outbox.due_at < now - _DUE_FOR
        lost = _outbox.due_at.is_(None) & _outbox.sent_at.is_(None) & (_outbox.expires_at > now - 86_400)
        why = select(_outbox.last_error).where(_outbox.last_error.is_not(None), due | lost)
        with self._database.reading() as connection:
            waiting, oldest = connection.execute(select(func.count(), func.min(_outbox.due_at)).where(due)).one()
            counted = select(func.count(), func.count(_outbox.payload)).select_from(schema.outbox).where(lost)
            all_lost, kept = connection.execute(counted).one()
            error = connection.execute(why.order_by(_outbox.id.desc()).limit(1)).scalar()
        return OutboxCounts(waiting, oldest, kept, error, all_lost - kept)

    def close(self) -> None:
        """Give all connections back."""
        self._database.close()


def _without(kinds: Iterable[str]) -> tuple[Any, ...]:
    methods = schema.methods.c
    counts = (methods.user_id == _users.id) & methods.confirmed_at.is_not(None) & methods.kind.in_(list(kinds))
    return _users.disabled.is_(False), ~select(methods.id).where(counts).exists()

"""What may still be running of a user, and its end: periods here, sessions on the NASes (X5).

There is no accounting, so nobody knows which sessions run: a sign-in that was accepted may have begun one. Its end is
asked for at every NAS that has accepted the user lately. Knows no SQL and no socket.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any, Final

from radiusd_mfa.core.circumstances import Circumstances, CircumstancesProblem, Place, Seen, read
from radiusd_mfa.core.facts import MethodKind
from radiusd_mfa.core.names import NameProblem, Username, escaped
from radiusd_mfa.core.policy import rules_at_sign_in
from radiusd_mfa.core.requirement import Policies, Requirement, requirement
from radiusd_mfa.core.verdict import Reason
from radiusd_mfa.usecases.actors import OPERATOR, Actor, Operator
from radiusd_mfa.usecases.admin_ports import AuditEntry, NewAuditEntry, StoredPeriod, User
from radiusd_mfa.usecases.books import Administration, Books
from radiusd_mfa.usecases.changes import Refusal
from radiusd_mfa.usecases.people import changed, nobody
from radiusd_mfa.usecases.ports import Clock, NasEntry
from radiusd_mfa.usecases.removal import may_revoke

MOST: Final = 10_000
"""Sign-ins that are looked at; of more the newest."""
_FRESH: Final = (Reason.TOTP, Reason.BACKUP_CODE, Reason.SMS, Reason.SET_UP_DONE)
_SOME_METHOD: Final = frozenset((MethodKind.TOTP,))


@dataclass(frozen=True, slots=True)
class MayRun:
    """The last accepted sign-in of a user at a NAS from a device; times are Unix seconds."""

    user: str
    nas: str
    surface: str
    device: str
    since: float
    until: float | None
    """When the NAS was told to end the session, with the period; None: it was told nothing."""
    audit: int


@dataclass(frozen=True, slots=True)
class Remembered:
    """A reauthentication period in force: until then the password alone suffices there."""

    user: str
    nas: str | None
    surface: str
    device: str
    team: str | None
    since: float
    until: float


@dataclass(frozen=True, slots=True)
class Listing:
    """What may still be running."""

    sessions: Sequence[MayRun]
    periods: Sequence[Remembered]


@dataclass(frozen=True, slots=True)
class Told:
    """What a NAS said to the request to end a user's sessions."""

    nas: str
    address: str
    done: bool
    said: str
    """What it answered, or why there is no answer, in words."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Which NASes are asked."""

    since: float
    """Unix time: those that have accepted the user since then."""
    nas: str | None = None
    """This one alone, whether it has accepted the user or not."""
    address: str | None = None
    """Where to ask an entry that covers a range."""
    known_as: str | None = None
    """The User-Name by which the NASes know the user; None: the user's name here."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where to ask one NAS, and with which secret."""

    name: str
    address: str
    port: int
    secret: bytes = field(repr=False)


Ask = Callable[[str, Target], tuple[bool, str]]
"""Asks a NAS to end the sessions of a user name; returns whether it did, and what it said."""


def listed(name: Username | None, since: float, *, store: Administration, clock: Clock) -> Listing | Refusal:
    """Say what may still be running, of one user or of all."""

    def look(books: Books) -> Listing | Refusal:
        user = books.people.find(name.text) if name else None
        if name is not None and user is None:
            return nobody(name, books)
        accepted = books.audit.accepted(since, user=user.name if user else None, limit=MOST)
        now = clock()
        runs = [_may_run(entry, books) for entry in _latest(accepted)]
        periods = _periods(books, user, now)
        return Listing([each for each in runs if each.until is None or each.until > now], periods)

    return store.view(look)


def end(
    name: Username,
    scope: Scope,
    *,
    entries: Sequence[NasEntry],
    ask: Ask,
    store: Administration,
    clock: Clock,
    actor: Actor = OPERATOR,
) -> Sequence[Told] | Refusal:
    """End a user's periods, challenges and page sessions, then ask the NASes to end theirs; what each said is recorded.

    A person may do it to the own account, and to others as `mfa revoke` (X4).
    """
    known = {entry.nas.name: entry for entry in entries}

    def work(user: User, books: Books) -> tuple[Sequence[Target], Sequence[Told]] | Refusal:
        found = _another_person(name, scope.known_as, actor, books) or _targets(user, scope, known, books)
        if not isinstance(found, Refusal):
            books.people.forget_periods(user.id)
        return found

    said: dict[str, Any] = {} if scope.nas is None else {"at": scope.nas}
    permit = may_revoke(actor)
    found = changed("sessions-disconnect", name, work, store=store, clock=clock, actor=actor, permit=permit, **said)
    if isinstance(found, Refusal):
        return found
    targets, unasked = found
    told = [*unasked, *(_asked(scope.known_as or name.text, target, ask) for target in targets)]
    store.change(lambda books: _record(name, told, books, clock(), actor))
    return told


def _another_person(name: Username, known_as: str | None, actor: Actor, books: Books) -> Refusal | None:
    """Refuse a User-Name that is no spelling of this user: who may end one's sessions may not end those of all."""
    if known_as is None or _is_spelled(name, known_as, actor, books):
        return None
    kind = "a realm" if isinstance(actor, Operator) else "a realm that is known here"
    return Refusal(f"“{escaped(known_as)}” is not “{escaped(name.text)}” with {kind}; name the user that is meant.")


def _is_spelled(name: Username, known_as: str, actor: Actor, books: Books) -> bool:
    try:
        given = Username.parse(known_as)
    except NameProblem:
        return False
    if given == name:
        return True
    parts = given.without_realm()
    # Whoever has the whole name is somebody else (R10). Behind a realm that is not known here there are people of other
    # servers, whom the same NAS may serve; only the operator knows better.
    if parts is None or parts[1] != name or books.people.find(given.text) is not None:
        return False
    return isinstance(actor, Operator) or parts[0] in {realm.name for realm in books.realms.all()}


def _asked(user_name: str, target: Target, ask: Ask) -> Told:
    done, said = ask(user_name, target)
    return Told(target.name, f"{target.address} port {target.port}", done, said)


def _record(name: Username, told: Sequence[Told], books: Books, at: float, actor: Actor) -> None:
    for each in told:
        outcome = "done" if each.done else "refused"
        detail = {"said": each.said, "address": each.address}
        books.audit.append(NewAuditEntry(at, "disconnect", outcome, actor.shown, name.text, each.nas, detail))


def _targets(
    user: User, scope: Scope, known: Mapping[str, NasEntry], books: Books
) -> tuple[Sequence[Target], Sequence[Told]] | Refusal:
    """Return which NASes can be asked, and what is to be said of those that can't."""
    if scope.nas is None:
        accepted = books.audit.accepted(scope.since, user=user.name, limit=MOST)
        # The pages and commands of this machine are no NAS; what runs there has ended with the periods.
        names = sorted({entry.nas or "" for entry in accepted} - {"", "pages", "cli"})
    elif scope.nas not in known:
        return Refusal(f"There is no NAS entry “{escaped(scope.nas)}”; to see them all: radiusd-mfa nas list")
    else:
        names = [scope.nas]
    found = [_target(name, scope, known.get(name), books) for name in names]
    targets = [each for each in found if isinstance(each, Target)]
    return targets, [each for each in found if isinstance(each, Told)]


def _target(name: str, scope: Scope, entry: NasEntry | None, books: Books) -> Target | Told:
    row = books.nas.find(name)
    if entry is None or row is None:
        return Told(name, "", done=False, said="its NAS entry is gone, and with it its secret")
    if not row.settings.disconnect_port:
        return Told(name, "", done=False, said="its NAS entry says that it can't (--disconnect-port 0)")
    address = _address(scope.address, entry.network)
    if address is None:
        said = f"its NAS entry covers {entry.network}; say which address to ask with --nas {name} --address ADDRESS"
        return Told(name, "", done=False, said=said)
    return Target(name, address, row.settings.disconnect_port, entry.secret)


def _address(asked: str | None, network: IPv4Network | IPv6Network) -> str | None:
    """Return the one address of an entry, or the one that is asked for and is in it."""
    if asked is not None:
        return asked if ip_address(asked) in network else None
    return str(network.network_address) if network.num_addresses == 1 else None


def _latest(accepted: Sequence[AuditEntry]) -> Sequence[AuditEntry]:
    """Leave the newest of each user, NAS and device; the newest come first."""
    found: dict[tuple[str | None, ...], AuditEntry] = {}
    for entry in accepted:
        found.setdefault((entry.user, entry.nas, entry.device), entry)
    return list(found.values())


def _may_run(entry: AuditEntry, books: Books) -> MayRun:
    return MayRun(
        user=entry.user or "",
        nas=entry.nas or "",
        surface=entry.surface or "",
        device=entry.device or "",
        since=entry.at,
        until=_end_of(entry, books),
        audit=entry.id,
    )


def _end_of(entry: AuditEntry, books: Books) -> float | None:
    """Return when the period ended that the Accept spoke of in Session-Timeout (T3)."""
    try:
        circumstances = read(entry.facts or "")
    except CircumstancesProblem:
        return None
    places = circumstances.places
    stored = {place.team_id: books.policies.find(place.team_id, place.version) for place in places}
    policies = {id_: rules_at_sign_in(each.text) for id_, each in stored.items() if each and each.text is not None}
    required = requirement(circumstances, policies)
    if entry.reason in _FRESH:
        return _soonest([entry.at + each.rule.every for each in required.demands if each.rule.every is not None])
    return _until(required)


def _until(required: Requirement) -> float | None:
    return _soonest([each.until for each in required.demands if each.until is not None])


def _soonest(ends: Sequence[float]) -> float | None:
    return min(ends, default=None)


def _periods(books: Books, user: User | None, now: float) -> Sequence[Remembered]:
    found = []
    for stored in books.people.periods(user.id if user else None):
        places, policies = _places(stored, books)
        seen = Seen(stored.at)
        # A sign-in there and now, to which this verification is the last one.
        circumstances = Circumstances(
            now,
            stored.surface,
            None,
            Reason.WRONG_PASSWORD,
            _SOME_METHOD,
            team_id=stored.team_id,
            places=places,
            device=seen if stored.device else None,
            latest=seen,
        )
        required = requirement(circumstances, policies)
        until = _until(required)
        if required.relies_on is not None and until is not None:
            team = next((place.team for place in places if place.team_id == stored.team_id), None)
            found.append(Remembered(stored.user, stored.nas, stored.surface, stored.device, team, stored.at, until))
    return found


def _places(stored: StoredPeriod, books: Books) -> tuple[tuple[Place, ...], Policies]:
    """Return the user's places that have a say there, and the policies that hold in them today."""
    teams = {team.name: team for team in books.teams.all()}
    places, policies = [], {}
    for member in books.teams.members(user_id=stored.user_id):
        team = teams[member.team]
        if stored.team_id in (0, team.id):
            places.append(Place(team.id, team.name, member.role, team.plan, team.policy_version))
            if team.policy is not None:
                policies[team.id] = rules_at_sign_in(team.policy)
    return tuple(places), policies

"""NAS entries: who may ask this server, with which secret, and how they are talked to (CLIENTS.md)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any, Final

from radiusd_mfa.core.backup_codes import ALPHABET
from radiusd_mfa.core.names import escaped
from radiusd_mfa.usecases.actors import OPERATOR, Actor, Operator
from radiusd_mfa.usecases.admin_ports import NasRow, NasSettings
from radiusd_mfa.usecases.books import Administration, Books
from radiusd_mfa.usecases.changes import Change, Permit, Refusal, recorded, unknown, viewed
from radiusd_mfa.usecases.permissions import Permission, allowed
from radiusd_mfa.usecases.ports import Clock, Entropy
from radiusd_mfa.usecases.teams import no_team

SURFACES: Final = ("vpn", "network-device", "client-app", "control-panel")
SET_UPS: Final = ("link", "dialogue")
LEAST_SECRET_OCTETS: Final = 6
GOOD_SECRET_OCTETS: Final = 12
MOST_SECRET_OCTETS: Final = 128
_GENERATED_CHARACTERS: Final = 32  # of 32 letters and digits each: 160 bits
_MAPPED: Final = ip_network("::ffff:0:0/96")


class RangeProblem(ValueError):
    """A text that is no address range; the message is a sentence for people."""


class SecretProblem(ValueError):
    """A shared secret that can't be one; the message never holds any of it."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A NAS entry as an administrator asks for it; `settings` holds what was said, by the names of `NasSettings`."""

    name: str
    settings: Mapping[str, Any]
    team: str | None = None
    """None: nothing was said; empty: no team."""
    secret: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Written:
    """An entry as it is now, and what should be known about it."""

    entry: NasRow
    warnings: Sequence[str] = ()


def address_range(text: str) -> str:
    """Return an address or CIDR range in its one spelling, `192.0.2.0/24`; raises RangeProblem."""
    try:
        network = ip_network(text.strip(), strict=False)
        exact = ip_network(text.strip())
    except ValueError as error:
        return _not_exact(text, error)
    if isinstance(exact, IPv6Network) and exact.network_address.scope_id is not None:
        # The table looks a source up without its interface: two entries for one address would be one too many.
        plain = text.strip().replace(f"%{exact.network_address.scope_id}", "")
        raise RangeProblem(f"“{escaped(text)}” names an interface, which no entry can; write {escaped(plain)}.")
    return str(_unmapped(network)) if exact == network else str(exact)


def _not_exact(text: str, error: ValueError) -> str:
    try:
        meant = ip_network(text.strip(), strict=False)
    except ValueError:
        raise RangeProblem(
            f"“{escaped(text)}” is not an address range: write 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32."
        ) from error
    address = text.strip().partition("/")[0]
    raise RangeProblem(
        f"“{escaped(text)}” names an address inside a range; write {meant} for the range or {address} for the address."
    ) from error


def _unmapped(network: IPv4Network | IPv6Network) -> IPv4Network | IPv6Network:
    # RFC 4291 2.5.5.2: the socket shows such a source as IPv4, so that is how it must be known.
    if isinstance(network, IPv6Network) and isinstance(_MAPPED, IPv6Network) and network.subnet_of(_MAPPED):
        return IPv4Network((int(network.network_address) & 0xFFFFFFFF, network.prefixlen - 96))
    return network


def shared_secret(raw: bytes) -> bytes:
    """Return a secret that may be used; raises SecretProblem."""
    if not LEAST_SECRET_OCTETS <= len(raw) <= MOST_SECRET_OCTETS:
        raise SecretProblem(
            f"A shared secret has {LEAST_SECRET_OCTETS} to {MOST_SECRET_OCTETS} octets, this one has {len(raw)}; "
            "take --generate-secret for a good one."
        )
    return raw


def generated_secret(entropy: Entropy) -> bytes:
    """Draw a secret of 32 letters and digits, 160 bits."""
    return "".join(ALPHABET[octet & 31] for octet in entropy(_GENERATED_CHARACTERS)).encode("ascii")


def add(wanted: Wanted, *, store: Administration, clock: Clock, actor: Actor = OPERATOR) -> Written | Refusal:
    """Make an entry; `wanted` has a range, a surface and a secret."""
    secret, settings = wanted.secret or b"", _with_defaults(wanted.settings)

    def work(books: Books) -> Written | Refusal:
        books.nas.lock()
        placed = _consistent(settings) or _in_team(settings, wanted.team, books)
        if isinstance(placed, Refusal):
            return placed
        others = books.nas.all()
        if books.nas.add(wanted.name, placed, secret, clock()) is None:
            return _taken(wanted.name, placed.address, others)
        return _written(wanted, others, books)

    change = _change("nas-add", wanted, settings, actor)
    return recorded(change, work, store=store, clock=clock, permit=_permit(wanted, actor))


def change(wanted: Wanted, *, store: Administration, clock: Clock, actor: Actor = OPERATOR) -> Written | Refusal:
    """Change what was said of an entry, and leave the rest."""

    def work(books: Books) -> Written | Refusal:
        books.nas.lock()
        entry = books.nas.find(wanted.name)
        if entry is None:
            return no_nas(wanted.name, books)
        made = replace(entry.settings, **wanted.settings)
        settings = _consistent(made) or _in_team(made, wanted.team, books)
        if isinstance(settings, Refusal):
            return settings
        others = [other for other in books.nas.all() if other.id != entry.id]
        if not books.nas.set(entry.id, settings):
            return _taken("", settings.address, others)
        if wanted.secret is not None:
            books.nas.set_secret(entry.id, wanted.secret)
        return _written(wanted, others, books)

    change = _change("nas-set", wanted, wanted.settings, actor)
    return recorded(change, work, store=store, clock=clock, permit=_permit(wanted, actor))


def remove(name: str, *, store: Administration, clock: Clock, actor: Actor = OPERATOR) -> NasRow | Refusal:
    """Remove an entry: its packets are those of a stranger within two seconds."""

    def work(books: Books) -> NasRow | Refusal:
        books.nas.lock()
        entry = books.nas.find(name)
        if entry is None:
            return no_nas(name, books)
        books.nas.remove(entry.id)
        return entry

    change, permit = Change("nas-remove", nas=name, actor=actor), _permit(Wanted(name, {}), actor)
    return recorded(change, work, store=store, clock=clock, permit=permit)


def show(name: str, *, store: Administration, clock: Clock, actor: Actor = OPERATOR) -> NasRow | Refusal:
    """Return an entry, without its secret."""

    def look(books: Books) -> NasRow | Refusal:
        entry = next((each for each in books.nas.all() if each.name == name), None)
        return no_nas(name, books) if entry is None else entry

    change, permit = Change("nas-show", nas=name, actor=actor), _permit(Wanted(name, {}), actor)
    return viewed(change, look, store=store, clock=clock, permit=permit)


def every(*, store: Administration) -> Sequence[NasRow]:
    """Return all entries by name."""
    return store.view(lambda books: books.nas.all())


def _permit(wanted: Wanted, actor: Actor) -> Permit:
    """Return what says whether the actor may write this entry: as it is, as it will be, and where it lies."""

    def permit(books: Books) -> Refusal | None:
        # Of two who act at once the second one sees what the first has done: a range taken, an entry given away.
        books.nas.lock()
        entries = books.nas.all()
        entry = next((each for each in entries if each.name == wanted.name), None)
        teams = [entry.team] if entry else []
        if wanted.team is not None or entry is None:
            teams.append(wanted.team)
        for team in teams:
            lacking = _lacking(team, actor, books)
            if lacking is not None:
                return lacking
        return _over_others(wanted, teams, [each for each in entries if each is not entry], actor)

    return permit


def _lacking(team: str | None, actor: Actor, books: Books) -> Refusal | None:
    found = books.teams.find(team) if team else None
    if found is None:
        return Refusal("A NAS entry that has no team serves all of them, so only the operator may see to it.")
    return allowed(actor, Permission.NAS_WRITE, about=found, books=books)


def _over_others(wanted: Wanted, teams: Sequence[str | None], others: Sequence[NasRow], actor: Actor) -> Refusal | None:
    """Refuse a person a range inside another team's: the longer prefix would take that team's devices over."""
    if isinstance(actor, Operator) or "address" not in wanted.settings:
        return None
    mine = ip_network(wanted.settings["address"])
    foreign = [each.name for each in others if each.team not in teams and _overlap(mine, each.settings.address)]
    if not foreign:
        return None
    return Refusal(f"The range {mine} overlaps that of “{foreign[0]}”, which is not the team's; ask the operator.")


def no_nas(name: str, books: Books) -> Refusal:
    """Refuse a NAS entry that there isn't."""
    return unknown("NAS entry", name, [entry.name for entry in books.nas.all()], command="nas list")


def _with_defaults(settings: Mapping[str, Any]) -> NasSettings:
    made = NasSettings(**settings)
    # Nobody stands between a loopback client and this server; older clients send no Message-Authenticator.
    if "message_authenticator" not in settings and ip_network(made.address).is_loopback:
        return replace(made, message_authenticator="optional")
    return made


def _consistent(settings: NasSettings) -> Refusal | None:
    """Refuse settings that can't hold together."""
    if settings.set_up != "dialogue":
        return None
    if settings.otp_only:
        return Refusal(
            "A set-up in dialogue begins with the right password, and this NAS sends none (--otp-only): whoever "
            "knows a name could set up that user's second factor. Take --set-up link."
        )
    if settings.challenge:
        return None
    return Refusal(
        "A set-up in dialogue is made of Access-Challenges, and this NAS is not sent any: "
        "add --challenge on if it can show them, or take --set-up link."
    )


def _in_team(settings: NasSettings, team: str | None, books: Books) -> NasSettings | Refusal:
    if team is None:
        return settings
    if not team:
        return replace(settings, team_id=None)
    found = books.teams.find(team)
    return no_team(team, books) if found is None else replace(settings, team_id=found.id)


def _taken(name: str, address: str, others: Sequence[NasRow]) -> Refusal:
    if any(other.name == name for other in others):
        return Refusal(f"There is a NAS entry “{name}” already; to change it: radiusd-mfa nas set {name}")
    holder = next((other.name for other in others if other.settings.address == address), "another entry")
    return Refusal(f"The range {address} belongs to NAS entry “{holder}”; change that one, or remove it first.")


def _written(wanted: Wanted, others: Sequence[NasRow], books: Books) -> Written | Refusal:
    entry = books.nas.find(wanted.name)
    if entry is None:
        return no_nas(wanted.name, books)
    return Written(entry, [*_about_secret(wanted.secret), *_about_overlaps(entry, others), *_about_rules(entry)])


def _about_secret(secret: bytes | None) -> Sequence[str]:
    if secret is None or len(secret) >= GOOD_SECRET_OCTETS:
        return ()
    length = f"The shared secret has {len(secret)} octets"
    return (f"{length}; with fewer than {GOOD_SECRET_OCTETS} it can be guessed from one captured packet.",)


def _about_overlaps(entry: NasRow, others: Sequence[NasRow]) -> Sequence[str]:
    mine = ip_network(entry.settings.address)
    overlapping = [other for other in others if _overlap(mine, other.settings.address)]
    return [
        f"The range {mine} overlaps {other.settings.address} of NAS entry “{other.name}”; the longer prefix wins."
        for other in overlapping
    ]


def _overlap(mine: IPv4Network | IPv6Network, address: str) -> bool:
    try:
        return ip_network(address).overlaps(mine)
    except ValueError:
        return False  # written by another program; the server names it in its log and leaves it out


def _about_rules(entry: NasRow) -> Sequence[str]:
    loopback = ip_network(entry.settings.address).is_loopback
    if entry.settings.message_authenticator == "require" or loopback:
        return ()
    return ("Without a required Message-Authenticator whoever is on the path can forge replies (CVE-2024-3596).",)


def _change(verb: str, wanted: Wanted, settings: NasSettings | Mapping[str, Any], actor: Actor) -> Change:
    said = dict(wanted.settings) if isinstance(settings, Mapping) else {"address": settings.address, **wanted.settings}
    if wanted.team is not None:
        said["team"] = wanted.team
    if wanted.secret is not None and verb == "nas-set":
        said["secret_replaced"] = True
    return Change(verb, nas=wanted.name, detail=said, actor=actor)

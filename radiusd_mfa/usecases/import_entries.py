"""What an entry of a foreign file means here: fields become a user, a password and an authenticator, or a complaint.

Judges each entry by itself, then puts those together that speak of one user. Knows no database.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from radiusd_mfa.core.names import Username, escaped
from radiusd_mfa.core.totp import CODE_LENGTHS, Algorithm, seed_from_base32
from radiusd_mfa.usecases.admin_ports import NewMethod, NewUser
from radiusd_mfa.usecases.books import Hashing
from radiusd_mfa.usecases.import_ports import Entry, FileProblem
from radiusd_mfa.usecases.people import email_address, new_password, phone_number
from radiusd_mfa.usecases.teams import ROLES

_PERIODS: Final = range(10, 301)
_NEEDS: Final = (
    ("role", "team"),
    ("totp_digits", "totp_secret"),
    ("totp_period", "totp_secret"),
    ("totp_algorithm", "totp_secret"),
)
_OF_A_NEW_USER: Final = ("password", "password_hash", "email", "phone", "team")


@dataclass(frozen=True, slots=True)
class Said:
    """All that a file says of one user, understood by itself; teams and the database are not looked at yet."""

    ordinal: int
    place: str
    user: NewUser
    password: str | None = field(repr=False)
    team: str | None
    role: str
    methods: tuple[NewMethod, ...]
    seeds_alone: bool
    """Whether nothing was said but an authenticator, as one can be added to a user who is there."""

    @property
    def has_password(self) -> bool:
        """Whether a password came along, in clear or as its hash."""
        return self.password is not None or self.user.password_hash is not None


def understood(ordinal: int, entry: Entry, label: str, hashing: Hashing) -> Said:
    """Read the fields of an entry; raises FileProblem with what is wrong."""
    fields: Mapping[str, Any] = entry.fields
    if "username" not in fields:
        raise FileProblem("has no username")
    for name, needed in _NEEDS:
        if name in fields and needed not in fields:
            raise FileProblem(f"has {name}, but no {needed}")
    stored = fields.get("password_hash")
    if ("password" in fields) == (stored is not None) and ("password" in fields or "totp_secret" not in fields):
        raise FileProblem("needs either password or password_hash, or a totp_secret for a user who is there already")
    if stored is not None and (complaint := hashing.complaint(stored)):
        raise FileProblem(f"password_hash: {complaint}")
    role = fields.get("role", "member")
    if role not in ROLES:
        raise FileProblem(f"role: “{escaped(role)}” is none of {', '.join(ROLES)}")
    user = NewUser(
        name=_value(fields, "username", lambda text: Username.parse(text).text) or "",
        password_hash=stored,
        email=_value(fields, "email", email_address),
        phone=_value(fields, "phone", phone_number),
    )
    prepared = _value(fields, "password", new_password)
    alone = not any(name in fields for name in _OF_A_NEW_USER)
    return Said(ordinal, entry.place, user, prepared, fields.get("team"), role, tuple(_method(fields, label)), alone)


def joined(one: Said, other: Said) -> Said:
    """Put together what two entries say of one user; raises FileProblem where both have a password."""
    if one.has_password and other.has_password:
        raise FileProblem(f"user “{escaped(one.user.name)}” has a password in {one.place} already")
    bearer = other if other.has_password else one
    seeds = {method.seed for method in one.methods}
    more = tuple(method for method in other.methods if method.seed not in seeds)
    return replace(
        one,
        user=replace(one.user, password_hash=bearer.user.password_hash),
        password=bearer.password,
        methods=one.methods + more,
        seeds_alone=one.seeds_alone and other.seeds_alone,
    )


def _value(fields: Mapping[str, Any], name: str, read: Callable[[str], str]) -> str | None:
    if name not in fields:
        return None
    try:
        return read(fields[name])
    except ValueError as error:
        raise FileProblem(f"{name}: {error}") from error


def _method(fields: Mapping[str, Any], label: str) -> Iterator[NewMethod]:
    if "totp_secret" not in fields:
        return
    digits, period = fields.get("totp_digits", 6), fields.get("totp_period", 30)
    algorithm = fields.get("totp_algorithm", Algorithm.SHA1).upper()
    if digits not in CODE_LENGTHS:
        raise FileProblem(f"totp_digits: {digits} is none of 6, 7, 8")
    if period not in _PERIODS:
        raise FileProblem(f"totp_period: {period} is not between {_PERIODS[0]} and {_PERIODS[-1]} seconds")
    if algorithm not in {*Algorithm}:
        raise FileProblem(f"totp_algorithm: “{escaped(algorithm)}” is none of {', '.join(Algorithm)}")
    try:
        seed = seed_from_base32(fields["totp_secret"])
    except ValueError as error:
        raise FileProblem(f"totp_secret: {error}") from error
    yield NewMethod(seed, label, digits, period, Algorithm(algorithm))

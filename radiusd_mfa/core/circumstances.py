"""What the policies weigh of a sign-in, without any secret: kept with its audit row, and judged again from there.

Owns how it is written down and read back. Knows no policy: what follows is core.requirement's business.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from json.encoder import encode_basestring_ascii as quoted
from math import isfinite
from typing import Any, Final, NamedTuple, Self

from radiusd_mfa.core import sms_codes
from radiusd_mfa.core.facts import Attempt, Facts, Membership, Method, MethodKind, Nas, Phones
from radiusd_mfa.core.typed import Answer
from radiusd_mfa.core.verdict import Found, Reason, Verdict
from radiusd_mfa.core.verification import Verification

_NONE: Final[frozenset[MethodKind]] = frozenset()
_TOTP: Final = frozenset((MethodKind.TOTP,))


class CircumstancesProblem(ValueError):
    """A text that `Circumstances.written` did not write."""


# Tuples and not dataclasses here: they are made three times for every sign-in, at a third of the cost.


class Place(NamedTuple):
    """The user's place in a team, and which version of its policy held; 0: it had none."""

    team_id: int
    team: str
    role: str
    plan: str
    version: int = 0


class Seen(NamedTuple):
    """A verification: when it was, and whether the very same text was typed then."""

    at: float
    same_text: bool = False


class Phone(NamedTuple):
    """A phone of the user's: whether a code goes there without being asked for, and whether one may be sent now."""

    preferred: bool
    ready: bool


class Circumstances(NamedTuple):
    """A sign-in as the policies see it."""

    at: float
    """Unix time in seconds."""
    surface: str
    found: Found | None
    """None: the reason lies apart from what policies can say."""
    apart: Reason | None = None
    """Why, where nothing was weighed: a wrong password, a closed account, a stranger."""
    kinds: frozenset[MethodKind] = _NONE
    """The kinds of the user's confirmed methods, whether a policy lets them count or not."""
    enrolled_before: bool = False
    team_id: int = 0
    """The team that is signed in to; 0: none, and the strictest of the user's teams holds."""
    places: tuple[Place, ...] = ()
    challenge: bool = False
    """Whether the NAS can be asked for a code."""
    code_only: bool = False
    """Whether nothing but a code is expected: after a challenge, or from an OTP-only NAS."""
    device: Seen | None = None
    """The last verification on this device of this NAS; None where it has none, or the NAS names no device."""
    latest: Seen | None = None
    """The last one on this surface, on whichever device."""
    set_up: bool = False
    """Whether the NAS can lead this user through setting up a first method."""
    phone: Phone | None = None
    """None: the user has none that is confirmed."""

    @classmethod
    def of(cls, attempt: Attempt, facts: Facts, found: Found | None, apart: Reason | None = None) -> Self:
        """Take from an attempt and its facts what policies weigh."""
        nas, user = attempt.nas, facts.user
        return cls(
            attempt.at,
            nas.surface,
            found,
            apart,
            _kinds(facts.methods),
            user is not None and user.enrolled_before,
            facts.team_id,
            _places(facts.memberships) if facts.memberships else (),
            nas.challenge,
            isinstance(attempt.typed, Answer),
            _seen(facts.verification, attempt.text) if attempt.device else None,
            _seen(facts.latest, attempt.text),
            nas.set_up and _may_be_led(nas, facts),
            _phone(facts.phones, attempt.at) if facts.phones is not None else None,
        )

    def written(self) -> str:
        """Return it as one line of JSON, without what is as usual; `read` gives the same value back."""
        # By hand: json.dumps of the same takes 9 us, and this is done for every sign-in.
        weighed = f'"found":"{self.found}"' if self.found is not None else f'"apart":"{self.apart}"'
        text = f'{{"at":{self.at!r},"surface":{quoted(self.surface)},{weighed}'
        if self.kinds:
            text += f',"kinds":[{_listed(self.kinds)}]'
        if self.enrolled_before:
            text += ',"enrolled_before":true'
        if self.team_id:
            text += f',"team":{self.team_id}'
        if self.places:
            text += f',"places":[{",".join(map(_written_place, self.places))}]'
        if self.challenge:
            text += ',"challenge":true'
        if self.code_only:
            text += ',"code_only":true'
        if self.device is not None:
            text += f',"device":{_written_seen(self.device)}'
        if self.latest is not None:
            text += f',"latest":{_written_seen(self.latest)}'
        if self.set_up or self.phone is not None:
            text += _written_seldom(self)
        return text + "}"


def recorded(attempt: Attempt, facts: Facts, verdict: Verdict) -> str:
    """Return what the audit row of this verdict keeps, so that it can be explained and judged by other policies."""
    if verdict.weighed is not None:
        return verdict.weighed.written()
    apart = verdict.reason if verdict.found is None else None
    return Circumstances.of(attempt, facts, verdict.found, apart).written()


def read(text: str) -> Circumstances:
    """Read what `Circumstances.written` wrote; raises CircumstancesProblem and nothing else."""
    try:
        return _circumstances(json.loads(text))
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        raise CircumstancesProblem("These are not the circumstances of a sign-in.") from error


def _may_be_led(nas: Nas, facts: Facts) -> bool:
    # Where the NAS has checked the password itself, whoever knows a name could set up that user's method.
    return nas.challenge and not nas.otp_only and facts.set_up is not None and not facts.set_up.has_method


def _kinds(methods: Sequence[Method]) -> frozenset[MethodKind]:
    if not methods:
        return _NONE
    kinds = frozenset([method.kind for method in methods])
    return _TOTP if kinds == _TOTP else kinds


def _places(memberships: Sequence[Membership]) -> tuple[Place, ...]:
    teams = ((each.team, each.role) for each in memberships)
    return tuple(Place(team.id, team.name, role, team.plan, team.version) for team, role in teams)


def _seen(verification: Verification | None, text: bytes) -> Seen | None:
    # A time that is no number is like none at all: it lies in no period, and JSON has no word for it.
    if verification is None or not isfinite(verification.at):
        return None
    return Seen(verification.at, verification.text == text)


def _phone(phones: Phones, now: float) -> Phone:
    return Phone(phones.preferred, ready=sms_codes.wait(phones.history, now) <= 0)


def _listed(kinds: frozenset[MethodKind]) -> str:
    return ",".join([f'"{kind}"' for kind in sorted(kinds)])


def _written_seldom(circumstances: Circumstances) -> str:
    text = ',"set_up":true' if circumstances.set_up else ""
    phone = circumstances.phone
    return text if phone is None else text + f',"phone":[{_word(phone.preferred)},{_word(phone.ready)}]'


def _written_place(place: Place) -> str:
    return f"[{place.team_id},{quoted(place.team)},{quoted(place.role)},{quoted(place.plan)},{place.version}]"


def _written_seen(seen: Seen) -> str:
    return f"[{seen.at!r},{_word(seen.same_text)}]"


def _word(truth: bool) -> str:
    return "true" if truth else "false"


def _circumstances(document: Mapping[str, Any]) -> Circumstances:
    found, apart = document.get("found"), document.get("apart")
    if (found is None) == (apart is None):
        raise CircumstancesProblem("Either something was found, or there is a reason why nothing was looked at.")
    return Circumstances(
        at=_moment(document["at"]),
        surface=str(document["surface"]),
        found=None if found is None else Found(found),
        apart=None if apart is None else Reason(apart),
        kinds=frozenset(map(MethodKind, document.get("kinds", ()))),
        enrolled_before=bool(document.get("enrolled_before")),
        team_id=int(document.get("team", 0)),
        places=tuple(map(_read_place, document.get("places", ()))),
        challenge=bool(document.get("challenge")),
        code_only=bool(document.get("code_only")),
        device=_read_seen(document.get("device")),
        latest=_read_seen(document.get("latest")),
        set_up=bool(document.get("set_up")),
        phone=_read_phone(document.get("phone")),
    )


def _read_place(entries: Iterable[Any]) -> Place:
    team_id, team, role, plan, version = entries
    return Place(int(team_id), str(team), str(role), str(plan), int(version))


def _read_seen(entries: Iterable[Any] | None) -> Seen | None:
    if entries is None:
        return None
    at, same_text = entries
    return Seen(_moment(at), bool(same_text))


def _read_phone(entries: Iterable[Any] | None) -> Phone | None:
    if entries is None:
        return None
    preferred, ready = entries
    return Phone(bool(preferred), bool(ready))


def _moment(value: float) -> float:
    at = float(value)
    if not isfinite(at):
        raise CircumstancesProblem("A time is a number.")
    return at

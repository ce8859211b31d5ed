"""The shapes in which facts come out of the database, and how they are put together.

Plain values in, plain values out; knows no statement and no connection.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

from radiusd_mfa.core.facts import (
    Earlier,
    Facts,
    Membership,
    Method,
    MethodKind,
    OpenChallenge,
    Person,
    ReplyProfile,
    StoredBackupCode,
    TeamRules,
)
from radiusd_mfa.core.totp import Algorithm
from radiusd_mfa.core.verdict import Outcome, Reason
from radiusd_mfa.core.verification import Verification

REPEAT: Final = "repeat"
"""The outcome of a row that says: the same text again within the retry grace; the accepted row is the first one."""
_UNREADABLE: Final = "?"
"""What no TOML is, no team's name and no plan, in place of what is no text."""


class FactRow(NamedTuple):
    """One row of the reading query; an attempt has several where the user has several methods or codes."""

    position: int
    team_id: int
    user_id: int | None
    user_name: str | None
    password_hash: str | None
    disabled: bool | None
    backup_generation: int | None
    members: str | None
    """The user's places in teams, as `members_of` reads them; None: none."""
    history: str | None
    verified_at: float | None
    verified_text: bytes | None
    latest_at: float | None
    latest_text: bytes | None
    latest_nas: int | None
    latest_device: str | None
    challenge_user: int | None
    challenge_nas: int | None
    challenge_expires: float | None
    earlier_at: float | None
    earlier_outcome: str | None
    earlier_reason: str | None
    method_id: int | None
    seed: bytes | None
    digits: int | None
    period: int | None
    algorithm: str | None
    watermark: int | None
    method_kind: str | None
    code_id: int | None
    selector: str | None
    code_hash: str | None
    code_used_at: float | None


class Read(NamedTuple):
    """All that was read for a batch; its teams stand apart, for their policies are long and their members many."""

    rows: list[FactRow]
    teams: Mapping[int, TeamRules]


@lru_cache(1024)
def members_of(text: str) -> tuple[tuple[int, str], ...]:
    """Read `7:owner,12:member`, the one text for all of a user's memberships; raises ValueError."""
    pairs = (each.partition(":") for each in text.split(","))
    return tuple((int(team_id), role) for team_id, _, role in pairs)


@lru_cache(256)
def team_rules(row: tuple[Any, ...], profiles: tuple[tuple[Any, ...], ...]) -> TeamRules:
    """Make a team of its columns; the same object as long as they are the same."""
    team_id, name, plan, policy, version = row
    # SQLite keeps octets where text belongs. Nobody's policy and nobody's plan: T0.
    name, plan = (each if isinstance(each, str) else _UNREADABLE for each in (name, plan))
    if policy is not None and not isinstance(policy, str):
        policy = _UNREADABLE
    return TeamRules(team_id, name, plan, policy, version, tuple(ReplyProfile(*profile) for profile in profiles))


def facts_of(
    rows: Sequence[FactRow],
    *,
    at: tuple[int, str],
    teams: Mapping[int, TeamRules],
    open_seed: Callable[[int, bytes], bytes],
) -> Facts:
    """Put together what the rows of one attempt say, which came from a NAS and a device.

    Raises what `open_seed` raises, TypeError or ValueError.
    """
    first = rows[0]
    # Once each: with several methods and several codes the rows are all pairs of them. Mostly there is one row.
    with_method = rows if len(rows) == 1 else {row.method_id: row for row in rows}.values()
    with_code = rows if len(rows) == 1 else {row.code_id: row for row in rows}.values()
    return Facts(
        user=_person(first),
        methods=tuple([_method(row, open_seed) for row in with_method if row.method_id is not None]),
        backup_codes=tuple([_backup_code(row) for row in with_code if row.code_id is not None]),
        challenge=_challenge(first),
        team_id=first.team_id,
        memberships=_memberships(first.members, teams) if first.members else (),
        verification=_verification(first.verified_at, first.verified_text, *at),
        latest=_verification(first.latest_at, first.latest_text, first.latest_nas, first.latest_device),
        earlier=_earlier(first),
        history=first.history or "",
    )


def _memberships(members: str, teams: Mapping[int, TeamRules]) -> tuple[Membership, ...]:
    # A team that is gone asks for nothing any more; only a program that switched the foreign keys off leaves this.
    return tuple(Membership(teams[team_id], role) for team_id, role in members_of(members) if team_id in teams)


_algorithm: Final = lru_cache(len(Algorithm))(Algorithm)
"""Six times as fast as the look-up of an enum, and raises the same ValueError."""


def _method(row: FactRow, open_seed: Callable[[int, bytes], bytes]) -> Method:
    number = row.method_id or 0
    if row.method_kind == MethodKind.SMS:
        # It has no seed: whoever has only a phone has a second factor all the same, and the password is not enough.
        return Method(number, b"", 6, 30, Algorithm.SHA1, 0, MethodKind.SMS)
    seed = open_seed(number, row.seed or b"")
    algorithm = _algorithm(row.algorithm or "SHA1")
    return Method(number, seed, row.digits or 6, row.period or 30, algorithm, row.watermark or 0)


def _person(row: FactRow) -> Person | None:
    if row.user_id is None or row.user_name is None:
        return None
    # The first confirmed method begins the first generation of backup codes, and nothing ends it.
    enrolled_before = bool(row.backup_generation)
    return Person(row.user_id, row.user_name, row.password_hash, bool(row.disabled), enrolled_before)


def _backup_code(row: FactRow) -> StoredBackupCode:
    return StoredBackupCode(row.code_id or 0, row.selector or "", row.code_hash or "", row.code_used_at is not None)


def _challenge(row: FactRow) -> OpenChallenge | None:
    if row.challenge_user is None or row.challenge_nas is None or row.challenge_expires is None:
        return None
    return OpenChallenge(row.challenge_user, row.challenge_nas, row.challenge_expires)


def _verification(at: float | None, text: bytes | None, nas_id: int | None, device: str | None) -> Verification | None:
    if at is None or text is None:
        return None
    return Verification(
        float(at), bytes(text), nas_id or 0, device or ""
    )  # SQLite keeps any word where a number belongs


def _earlier(row: FactRow) -> Earlier | None:
    if row.earlier_at is None or row.earlier_outcome is None or row.earlier_reason is None:
        return None
    outcome = Outcome.ACCEPT if row.earlier_outcome == REPEAT else Outcome(row.earlier_outcome)
    return Earlier(row.earlier_at, outcome, Reason(row.earlier_reason))

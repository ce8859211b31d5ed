"""A line in the log for each sign-in that was answered: who, where, how it ended, and where its time went.

Written by hand and for a whole batch at once: a record of logging costs ten times as much. What was typed is not in it,
and what somebody chose as a name stands between quotes, escaped as JSON does it.
"""

import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from json.encoder import encode_basestring_ascii as quoted
from typing import Final

from radiusd_mfa.core.verdict import Outcome, Reason
from radiusd_mfa.server.intake import Work
from radiusd_mfa.usecases.ports import Settlement

_MILLI: Final = 1e3
_JSON_END: Final = ', "audit": %s, "waited": %.1f, "open": %.1f, "hash": %.1f, "settle": %.1f, "total": %.1f}\n'
_TEXT_END: Final = " audit=%s waited=%.1f open=%.1f hash=%.1f settle=%.1f total=%.1f\n"


class SignInLog:
    """Writes whole lines; `write` must not wait."""

    def __init__(self, write: Callable[[bytes], None], *, as_json: bool) -> None:
        self._write = write
        self._begin = _begin_json if as_json else _begin_text
        self._about = _about_json if as_json else _about_text
        self._end: Final = _JSON_END if as_json else _TEXT_END
        self._no_row: Final = "null" if as_json else "-"

    def told(
        self, batch: Sequence[tuple[Work, Settlement]], audit_ids: Sequence[int | None], *, began: float, ended: float
    ) -> None:
        """Write down a batch that was committed between these monotonic seconds; without an id, it was not this one."""
        begin, settle = self._begin(time.time()), (ended - began) * _MILLI
        self._write(
            "".join(
                [
                    begin + self._line(work, settlement, audit_id, settle, ended)
                    for (work, settlement), audit_id in zip(batch, audit_ids, strict=True)
                    if audit_id is not None
                ]
            ).encode()
        )

    def _line(self, work: Work, settlement: Settlement, audit_id: int, settle: float, ended: float) -> str:
        attempt, verdict = settlement.attempt, settlement.verdict
        about = self._about(
            verdict.outcome, verdict.reason, attempt.nas.name, attempt.nas.surface, _team(settlement)
        )  # fmt: skip
        times = (
            audit_id or self._no_row,
            (work.opening - work.received) * _MILLI,
            (work.opened - work.opening) * _MILLI,
            work.hashed * _MILLI,
            settle,
            (ended - work.received) * _MILLI,
        )
        return about + quoted(attempt.shown_name) + self._end % times


def _begin_json(now: float) -> str:
    return f'{{"time": "{_utc(int(now))}.{int(now % 1 * _MILLI):03d}Z", "level": "info", "what": "sign-in", '


def _begin_text(now: float) -> str:
    return f"{_local(int(now))},{int(now % 1 * _MILLI):03d} INFO sign-in "


@lru_cache(maxsize=1)
def _utc(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))


@lru_cache(maxsize=1)
def _local(second: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(second))


@lru_cache(maxsize=4096)
def _about_json(outcome: Outcome, reason: Reason, nas: str, surface: str, team: str) -> str:
    shown = quoted(team) if team else "null"
    return (
        f'"outcome": "{outcome}", "reason": "{reason}", "nas": {quoted(nas)}, "surface": {quoted(surface)}, '
        f'"team": {shown}, "user": '
    )


@lru_cache(maxsize=4096)
def _about_text(outcome: Outcome, reason: Reason, nas: str, surface: str, team: str) -> str:
    shown = f" team={quoted(team)}" if team else ""
    return f"{outcome} {reason} nas={quoted(nas)} surface={quoted(surface)}{shown} user="


def _team(settlement: Settlement) -> str:
    """Name the team that was signed in to; empty where it is none, or of several none more than the others."""
    memberships = settlement.facts.memberships
    return memberships[0].team.name if len(memberships) == 1 else ""

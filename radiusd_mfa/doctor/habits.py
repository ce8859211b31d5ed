"""What the audit log says about NAS entries: right passwords without a code, and texts that came again. Pure."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from radiusd_mfa.store.examination import SignInRow


@dataclass(frozen=True, slots=True)
class Habits:
    """By the name of the NAS entry."""

    codes_missing: Mapping[str, int]
    repeats: Mapping[str, Sequence[float]]
    """Seconds between an accepted code and the same one again, for the same user and device."""


def habits(rows: Iterable[SignInRow]) -> Habits:
    """Read sign-ins in the order of their rows."""
    missing: Counter[str] = Counter()
    repeats: defaultdict[str, list[float]] = defaultdict(list)
    accepted: dict[tuple[str | None, ...], float] = {}
    for row in rows:
        who, nas = (row.user_name, row.nas_name, row.device), row.nas_name or ""
        if row.outcome == "accept":
            accepted[who] = row.at
        elif row.reason == "code-missing":
            missing[nas] += 1
        elif who in accepted:
            repeats[nas].append(abs(row.at - accepted[who]))
    return Habits(missing, repeats)

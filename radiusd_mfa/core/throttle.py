"""How many guesses a user's account takes, and when it is open again.

One short text per user holds the charges of the last day, in the order in which the database took them. Every
sign-in appends its charge before anything is checked; settling takes it back, or turns it into a failure. Whether an
attempt was admitted follows from the text alone, so two nodes that read the same row come to the same answer.

- Wrong codes after a right password: at most 5 in 5 minutes, 20 in an hour, 50 in a day, for the user as a whole.
  Charges that are not settled yet count too, so not more than 5 guesses are in flight at once.
- Wrong passwords: 1 s, 2 s, 4 s ... 1 h, apart for each device on which the user has signed in before and for each
  NAS (for all NASes together once the history is full); an attacker elsewhere delays nobody on a known device, and
  nobody for good.
- The very text that was found wrong is answered as wrong without being evaluated: a client that reconnects with it
  counts once.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import lru_cache
from math import isnan
from typing import Final

from radiusd_mfa.core.values import quick
from radiusd_mfa.core.verdict import Mark

PENDING: Final = "?"
DAY: Final = 86_400.0
CODE_CAPS: Final = ((5, 300.0), (20, 3_600.0), (50, DAY))
"""(guesses, seconds): in any such span at most so many codes are evaluated."""
FIRST_DELAY: Final = 1.0
LONGEST_DELAY: Final = 3_600.0
PENDING_FOR: Final = 10.0
"""Seconds after which a charge that was never settled (a crash) counts as a wrong password too."""
WRONG_PASSWORD_KNOWN_FOR: Final = 300.0
"""Seconds in which a repeated wrong password is not evaluated again."""
KEPT: Final = 150
"""Entries kept, and more only where all of them count against the caps."""
ROOM: Final = 16_384
"""Characters that a history may have before a charge is appended: whatever is thrown at it, a row stays small."""
AT_ONCE: Final = 16
"""Charges of one account from one place that one batch appends; the rest of a flood is closed anyway (the cap is 5)."""
_FOR_EVER: Final = float("inf")
"""The time of an entry that never ages: closed until somebody looks at the row."""
_PASSWORD_MARKS: Final = (Mark.WRONG_PASSWORD, Mark.WRONG_PASSWORD_KNOWN_DEVICE)
_KEPT_MARKS: Final = (PENDING, Mark.WRONG_CODE, *_PASSWORD_MARKS)


class Admission(Enum):
    """Whether an attempt may be evaluated."""

    ADMITTED = "admitted"
    CLOSED = "closed"
    KNOWN_WRONG = "known-wrong"


@quick
@dataclass(frozen=True, slots=True)
class Charge:
    """One entry of the history; its text is `at/mark/nas/device/text/request;`."""

    at: float
    mark: str
    nas_id: int
    device: str
    """Digest of the station, hexadecimal."""
    text: str
    """Keyed digest of what was typed, hexadecimal."""
    request: str
    """Digest of the request, hexadecimal: a retransmission is the same charge."""
    written: str = field(default="", compare=False, repr=False)
    """The text, where it is known already."""

    def __str__(self) -> str:
        return self.written or written(self.at, self.mark, self.nas_id, self.device, self.text, self.request)

    def same_text(self, other: "Charge") -> bool:
        """Whether both were made with the same typed text."""
        return self.text == other.text


def written(at: float, mark: str, nas_id: int, device: str, text: str, request: str) -> str:
    """Return the text of an entry."""
    return f"{at:.3f}/{mark}/{nas_id}/{device}/{text}/{request};"


def parse(history: str) -> Iterator[Charge]:
    """Yield the charges of a history; an entry that can't be read counts as a wrong code, never as nothing."""
    for entry in filter(None, history.split(";")):
        parts = entry.split("/")
        try:
            at, mark, nas_id, device, text, request = parts
            charge = Charge(_readable_time(at), mark, int(nas_id), device, text, request)
        except ValueError:
            charge = None
        if charge is not None and charge.mark in _KEPT_MARKS:
            yield charge
        else:
            yield Charge(_readable_time(parts[0]), Mark.WRONG_CODE, 0, "", "", "")


def _readable_time(text: str) -> float:
    try:
        at = float(text)
    except ValueError:
        return _FOR_EVER
    return _FOR_EVER if isnan(at) else at


def weigh(history: str, charge: Charge, *, known_device: bool, known_right: bool = False) -> Admission:
    """Say whether `charge` may be evaluated, from the charges before it.

    `known_right`: the text was right here, wherever else it was wrong since.
    A charge that does not stand in the history found no room there: the account is under attack, and closed.
    """
    if history == str(charge):
        return Admission.ADMITTED  # the way of almost every sign-in: nothing else is charged
    before = _before(history, charge)
    if before is None:
        return Admission.CLOSED
    if not known_right and _known_wrong(before, charge):
        return Admission.KNOWN_WRONG
    if charge.at < _codes_open_at(before, charge.at) or charge.at < _passwords_open_at(before, charge, known_device):
        return Admission.CLOSED
    return Admission.ADMITTED


def opens_at(history: str, *, now: float) -> float:
    """Return the Unix time at which the next code may be tried; `now` where it may be tried already."""
    return max(now, _codes_open_at(_parsed(history), now))


def settle(history: str, charge: Charge, mark: Mark) -> str:
    """Return the history after this attempt: its charge refunded or marked, what is older than a day forgotten.

    Only what is pending is settled, and once: two nodes may have charged the same request, and a retransmission that
    finds it settled must not take back the failure that stands there (I3). A charge that is gone, with a crash of the
    database between its two transactions, is made good for a failure.
    """
    if history == str(charge):
        return str(marked(charge, mark) or "")
    kept = []
    after: Charge | None
    own = marked(charge, mark)
    for entry in parse(history):
        if entry.mark == PENDING and entry.request == charge.request:
            after, own = own, None
        else:
            after = _forgiven(entry, charge, mark)
        if after is not None and charge.at - after.at < DAY:
            kept.append(after)
    if own is not None and all(entry.request != charge.request for entry in kept):
        kept.append(own)
    return "".join(map(str, _fitting(kept)))


def with_new_password(history: str) -> str:
    """Return the history for a new password: guesses at the old one say nothing about it, guessed codes still do.

    Otherwise whoever can have a password reset, and has no code, had as many codes to guess as resets.
    """
    return "".join(str(entry) for entry in parse(history) if entry.mark not in _PASSWORD_MARKS)


def _fitting(entries: Sequence[Charge]) -> Sequence[Charge]:
    """Keep the row small. What counts against the caps is never dropped, or wrong passwords would buy codes."""
    surplus = len(entries) - KEPT
    if surplus <= 0:
        return entries
    counting = {entry.request for entry in _counting(entries)}
    dropped = [entry.request for entry in entries if entry.request not in counting][:surplus]
    return [entry for entry in entries if entry.request not in dropped]


def _forgiven(entry: Charge, charge: Charge, mark: Mark) -> Charge | None:
    """After the right password, wrong ones from the same place are forgotten."""
    forgiven = mark is Mark.CLEAR and entry.mark in _PASSWORD_MARKS and _same_source(entry, charge)
    return None if forgiven else entry


def marked(charge: Charge, mark: Mark) -> Charge | None:
    """Return the charge as it stands after settling, None where it is taken back."""
    return None if mark in (Mark.REFUND, Mark.CLEAR) else replace(charge, mark=mark, written="")


def _before(history: str, charge: Charge) -> Sequence[Charge] | None:
    charges = _parsed(history)
    for index, entry in enumerate(charges):
        if entry.request == charge.request:
            return charges[:index]
    return None


@lru_cache(maxsize=64)
def _parsed(history: str) -> tuple[Charge, ...]:
    """Parse once for all the attempts of one batch that read the same row: a flood on one account stays cheap."""
    return tuple(parse(history))


def _known_wrong(before: Sequence[Charge], charge: Charge) -> bool:
    for entry in before:
        if not entry.same_text(charge):
            continue
        if entry.mark == Mark.WRONG_CODE:
            return True
        if entry.mark in _PASSWORD_MARKS and charge.at - entry.at < WRONG_PASSWORD_KNOWN_FOR:
            return True
    return False


def _codes_open_at(before: Sequence[Charge], now: float) -> float:
    return _caps_open_at([entry.at for entry in _counting(before)], now)


def _counting(charges: Sequence[Charge]) -> Iterator[Charge]:
    """Replay who was admitted: a charge that was refused itself holds nobody else up."""
    counted: list[float] = []
    for entry in charges:
        if entry.mark == Mark.WRONG_CODE or (entry.mark == PENDING and entry.at >= _caps_open_at(counted, entry.at)):
            counted.append(entry.at)
            yield entry


def _caps_open_at(counted: list[float], now: float) -> float:
    """Return when every cap has room again, from the times of the guesses that count.

    A time in the future (the clock went back) counts as now: it closes, and never opens, anything.
    """
    opens = 0.0
    for cap, span in CODE_CAPS:
        recent = sorted(at for at in counted if now - at < span)
        if len(recent) >= cap:
            opens = max(opens, recent[-cap] + span)
    return opens


def _passwords_open_at(before: Sequence[Charge], charge: Charge, known_device: bool) -> float:
    mark = Mark.WRONG_PASSWORD_KNOWN_DEVICE if known_device else Mark.WRONG_PASSWORD
    # A full history has forgotten some: guessed at from so many places, all unknown devices wait for each other.
    everywhere = len(before) >= KEPT and not known_device
    failures = [
        entry.at for entry in before if _counts_as(entry, mark, charge) and (everywhere or _same_pool(entry, charge))
    ]
    if not failures:
        return 0.0
    return max(failures) + min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(len(failures) - 1, 12))


def _counts_as(entry: Charge, mark: Mark, charge: Charge) -> bool:
    return entry.mark == mark or (entry.mark == PENDING and charge.at - entry.at >= PENDING_FOR)


def _same_source(entry: Charge, charge: Charge) -> bool:
    """Whether both came from one place: the owner's success forgives own mistakes, not an attacker's."""
    return entry.nas_id == charge.nas_id and entry.device == charge.device


def _same_pool(entry: Charge, charge: Charge) -> bool:
    """Whether both wait for each other: one device that is known, or all unknown ones of one NAS."""
    if entry.nas_id != charge.nas_id:
        return False
    return entry.mark != Mark.WRONG_PASSWORD_KNOWN_DEVICE or entry.device == charge.device

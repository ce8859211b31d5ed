"""The audit log: who signed in, who changed what; and whether somebody has changed it afterwards."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from radiusd_mfa.usecases.admin_ports import AuditEntry, AuditFilter
from radiusd_mfa.usecases.audit_ports import AuditChain, Mark, Seal, Section
from radiusd_mfa.usecases.books import Administration
from radiusd_mfa.usecases.changes import Change, Refusal, recorded
from radiusd_mfa.usecases.ports import Clock

SHORTEST_RETENTION: Final = 30 * 86_400.0
"""Seconds for which rows stay in any case: mails are told out of them, and a request is known again by its row."""


class Found(StrEnum):
    """What was done to the audit log behind the program's back."""

    CHANGED = "changed"
    REMOVED = "removed"
    INSERTED = "inserted"
    MOVED = "moved"
    SEAL_CHANGED = "seal-changed"
    SEALS_MISSING = "seals-missing"
    CUT_OFF = "cut-off"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it was sealed; `rows` are ids of the audit log, `seals` numbers in the chain."""

    kind: Found
    sentence: str
    rows: tuple[int, ...] = ()
    seals: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Verified:
    """What a look at the whole chain has shown."""

    rows: int
    """Rows that are there and sealed."""
    seals: int
    pruned_upto: int | None
    """The id up to which rows were removed by `audit prune`."""
    unsealed: int
    """Rows too new to be sealed: they came meanwhile, or a transaction before them is still open."""
    last: Seal | None
    findings: Sequence[Finding]

    @property
    def is_intact(self) -> bool:
        """Whether nothing was changed."""
        return not self.findings


@dataclass(slots=True)
class _Odd:
    """Contents that are missed at some id, and contents that are there unexpected."""

    missed: dict[int, bytes] = field(default_factory=dict)
    extra: dict[int, bytes] = field(default_factory=dict)


def entries(wanted: AuditFilter, *, store: Administration) -> Sequence[AuditEntry]:
    """Return the rows that are wanted, the newest first."""
    return store.view(lambda books: books.audit.list(wanted))


def verify(*, chain: AuditChain, clock: Clock, mark: Mark | None) -> Verified:
    """Compare every row with the chain of seals, and the chain with how far this machine has seen it."""
    chain.seal(clock())
    findings: list[Finding] = []
    odd = _Odd()
    rows = seals = 0
    pruned_upto: int | None = None
    last: Seal | None = None
    has_mark = False
    for section in chain.sections():
        findings += _of_seal(section, last)
        _compare(section, odd)
        has_mark = has_mark or (mark is not None and _shows(section, mark, is_oldest=last is None))
        rows, seals, last = rows + len(section.found), seals + 1, section.seal
        pruned_upto = section.seal.last_id if section.is_pruned else pruned_upto
    findings += _of_rows(odd)
    if mark is not None and not has_mark:
        findings.append(_cut_off(mark, last))
    return Verified(rows, seals, pruned_upto, chain.unsealed(), last, findings)


def export(
    *, after: int, since: float | None, until: float | None, chain: AuditChain, clock: Clock
) -> Iterator[AuditEntry]:
    """Yield sealed rows in the order of their ids: whoever goes on after the last id has missed none."""
    chain.seal(clock())
    return chain.entries(after=after, since=since, until=until)


def prune(
    before: float,
    *,
    chain: AuditChain,
    store: Administration,
    clock: Clock,
    mark: Mark | None,
    even_if_damaged: bool,
    pause: Callable[[], None],
) -> int | Refusal:
    """Remove rows from before a time, oldest first, in short transactions, and return how many."""
    change = Change("audit-prune", detail={"before": before})
    if before > clock() - SHORTEST_RETENTION:
        days = int(SHORTEST_RETENTION / 86_400)
        short = Refusal(f"Rows of the last {days} days stay; name a time before that.")
        return _written(change, short, store, clock)
    if not even_if_damaged and not verify(chain=chain, clock=clock, mark=mark).is_intact:
        damaged = Refusal(
            "The audit log is not as it was sealed, and to prune it would remove traces; see: radiusd-mfa audit "
            "verify. To prune it all the same: --even-if-damaged"
        )
        return _written(change, damaged, store, clock)
    # Before anything goes, so that nothing goes without a trace where the rest is broken off.
    _written(change, 0, store, clock)
    removed = 0
    while some := chain.prune(before):
        removed += some
        pause()
    detail = {"before": before, "removed": removed}
    return _written(Change("audit-prune", detail=detail), removed, store, clock)


def _written(change: Change, result: int | Refusal, store: Administration, clock: Clock) -> int | Refusal:
    return recorded(change, lambda _books: result, store=store, clock=clock)


def _shows(section: Section, mark: Mark, *, is_oldest: bool) -> bool:
    """Whether the mark was set on this seal, or on one that was pruned since."""
    if section.seal.id == mark.seal_id:
        return section.seal.mac == mark.mac
    return is_oldest and section.is_pruned and section.seal.id > mark.seal_id


def _of_seal(section: Section, last: Seal | None) -> Iterator[Finding]:
    seal = section.seal
    where = f"rows {seal.after_id + 1} to {seal.last_id}"
    if not section.is_authentic:
        sentence = f"Seal {seal.id} was changed: nothing vouches for {where}."
        yield Finding(Found.SEAL_CHANGED, sentence, seals=(seal.id,))
        return
    if section.follows:
        return
    first_missing = last.id + 1 if last else 1
    if first_missing < seal.id:
        after = last.last_id + 1 if last else 1
        sentence = (
            f"Seals {first_missing} to {seal.id - 1} are missing: nothing vouches for rows {after} to {seal.after_id}."
        )
        yield Finding(Found.SEALS_MISSING, sentence, seals=(first_missing, seal.id - 1))
        return
    sentence = f"Seal {seal.id} does not follow from the one before it, which is from another copy of the chain."
    yield Finding(Found.SEAL_CHANGED, sentence, seals=(seal.id,))


def _compare(section: Section, odd: _Odd) -> None:
    expected, found = section.expected, section.found
    if expected == found:
        return
    for row in expected.keys() | found.keys():
        was, is_ = expected.get(row), found.get(row)
        if was == is_:
            continue
        if was is not None:
            odd.missed[row] = was
        if is_ is not None:
            odd.extra[row] = is_


def _of_rows(odd: _Odd) -> Iterator[Finding]:
    """Tell moved contents from changed, removed and inserted rows."""
    home = {content: row for row, content in odd.missed.items()}
    moved = {row: home[content] for row, content in odd.extra.items() if content in home}
    for row in sorted(odd.missed.keys() | odd.extra.keys()):
        if row in moved:
            yield Finding(Found.MOVED, f"Row {row} holds what row {moved[row]} held.", rows=(row, moved[row]))
        elif row not in odd.missed:
            yield Finding(Found.INSERTED, f"Row {row} was inserted after the rows around it were sealed.", rows=(row,))
        elif row in odd.extra:
            yield Finding(Found.CHANGED, f"Row {row} was changed.", rows=(row,))
        elif row not in moved.values():
            yield Finding(Found.REMOVED, f"Row {row} was removed.", rows=(row,))


def _cut_off(mark: Mark, last: Seal | None) -> Finding:
    ends = f"ends with row {last.last_id} in seal {last.id}" if last else "is empty"
    sentence = (
        f"The chain {ends}, but this machine has seen row {mark.last_id} in seal {mark.seal_id}: the end was cut "
        "off, or the database was restored from a backup."
    )
    return Finding(Found.CUT_OFF, sentence, seals=(mark.seal_id,))

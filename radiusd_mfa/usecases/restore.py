"""A restored backup would revive codes that were spent: it is noticed, and accepted only by a command.

Each machine keeps a mark outside the database: how far it has seen the chain of seals over the audit log. A database
without the marked seal is older than that, or its log was cut off. To accept it spends everything that may have been
spent meanwhile, and makes it a database of its own: the marks of all machines are of the one that is lost.
"""

from dataclasses import dataclass
from typing import Final

from radiusd_mfa.usecases.audit_ports import AuditChain, Mark, Marks, Seal, Standing, Voided
from radiusd_mfa.usecases.books import Administration, Books
from radiusd_mfa.usecases.changes import Change, Refusal, recorded
from radiusd_mfa.usecases.ports import Clock, Entropy

_JUST_NOW: Final = 0.9
"""Seconds after which a node makes the next seal: of many workers and nodes one does it, whoever comes first."""


@dataclass(frozen=True, slots=True)
class Loss:
    """What a database lacks that this machine has seen in it."""

    mark: Mark
    last: Seal | None
    """Where it ends now."""

    @property
    def sentence(self) -> str:
        """Say it, and what helps."""
        ends = f"ends with row {self.last.last_id}" if self.last else "is empty"
        return (
            f"This machine has seen row {self.mark.last_id} of the audit log in this database, but the log {ends}: the "
            "database was restored from a backup, a standby took over without the last commits, or the log was cut "
            "off. Codes that were spent since could be used again. Restore a newer copy, or spend all that may have "
            "been spent: radiusd-mfa db accept-restore"
        )


@dataclass(frozen=True, slots=True)
class Accepted:
    """A database that was accepted as it is."""

    loss: Loss | None
    """None: this machine has seen no more of it."""
    voided: Voided


def find_loss(*, chain: AuditChain, marks: Marks) -> Loss | None:
    """Say whether the database has lost what this machine has seen."""
    standing = chain.standing()
    return _missing(standing.last, marks.of(standing.identity), chain)


def _missing(last: Seal | None, mark: Mark | None, chain: AuditChain) -> Loss | None:
    if mark is None or _is_marked(last, mark) or chain.mac_of(mark.seal_id) == mark.mac:
        return None
    oldest = chain.oldest()
    if oldest is not None and oldest.id > mark.seal_id:
        return None  # pruned since
    return Loss(mark, last)


def _is_marked(last: Seal | None, mark: Mark) -> bool:
    return last is not None and (last.id, last.mac) == (mark.seal_id, mark.mac)


def keep(now: float, *, chain: AuditChain, marks: Marks) -> Loss | None:
    """Seal what was recorded and raise the mark; where something is lost, the mark stays and says so."""
    standing = chain.standing()
    # Every process of every node asks this every second: where nothing was recorded it costs two transactions.
    if not _was_just_sealed(standing.last, now) and chain.seal(now):
        standing = chain.standing()
    loss = _missing(standing.last, marks.of(standing.identity), chain)
    if loss is None:
        _raise_mark(standing, marks)
    return loss


def _was_just_sealed(last: Seal | None, now: float) -> bool:
    return last is not None and 0 <= now - last.sealed_at < _JUST_NOW


def set_mark(*, chain: AuditChain, marks: Marks) -> None:
    """Note how far the chain is."""
    _raise_mark(chain.standing(), marks)


def _raise_mark(standing: Standing, marks: Marks) -> None:
    last = standing.last
    if last is None:
        return
    before = marks.of(standing.identity)
    if before is None or before.seal_id < last.id:  # several processes keep the same marks
        marks.put(standing.identity, Mark(last.id, last.mac, last.last_id, last.sealed_at))


def accept(
    *,
    keep_backup_codes: bool,
    even_unseen: bool = False,
    chain: AuditChain,
    marks: Marks,
    store: Administration,
    clock: Clock,
    entropy: Entropy,
) -> Accepted | Refusal:
    """Take the database as it is, with everything spent that may have been.

    `even_unseen`: also where this machine misses nothing, for it never saw the database that is lost.
    """
    loss = find_loss(chain=chain, marks=marks)
    if loss is None and not even_unseen:
        return Refusal(
            "Nothing is lost that this machine has seen; there is nothing to accept. If it is new here and the "
            "database comes from a backup: --even-unseen"
        )
    last = chain.standing().last
    detail = {"seen": loss.mark.last_id if loss else None, "left": last.last_id if last else 0}
    change = Change("db-accept-restore", detail=detail | {"keep_backup_codes": keep_backup_codes})
    identity = entropy(16).hex()

    def void(books: Books) -> Voided:
        books.restored.rename(identity)
        return books.restored.void(clock(), keep_backup_codes=keep_backup_codes)

    voided = recorded(change, void, store=store, clock=clock)
    if isinstance(voided, Refusal):
        return voided
    chain.seal(clock())
    set_mark(chain=chain, marks=marks)
    return Accepted(loss, voided)

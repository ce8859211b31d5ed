"""The outbox as administrators see it: what waits, what was sent, what could not be; never what it says."""

from collections.abc import Sequence

from radiusd_mfa.usecases.books import Administration, Books
from radiusd_mfa.usecases.changes import Change, Refusal, recorded
from radiusd_mfa.usecases.outbox_ports import SECRET_KINDS, WORTH_TELLING, Delivery, Status
from radiusd_mfa.usecases.ports import Clock


def entries(status: Status | None = None, *, limit: int, store: Administration) -> Sequence[Delivery]:
    """Return rows, the newest first."""
    return store.view(lambda books: books.outbox.all(status, limit=limit))


def retry(delivery_id: int, *, store: Administration, clock: Clock) -> Delivery | Refusal:
    """Try a row again at once that waits or was given up, with as much time as a new one."""

    def work(books: Books) -> Delivery | Refusal:
        found = books.outbox.find(delivery_id)
        if found is None:
            return Refusal(f"There is no {delivery_id} in the outbox; to see what there is: radiusd-mfa outbox list")
        why_not = _hopeless(found, clock())
        return why_not or _due_again(found, books, clock())

    change = Change("outbox-retry", detail={"id": delivery_id})
    return recorded(change, work, store=store, clock=clock)


def retry_all(*, store: Administration, clock: Clock) -> Sequence[Delivery]:
    """Try everything again at once that waits or was given up and can still be of use."""

    def work(books: Books) -> Sequence[Delivery]:
        now = clock()
        unsent = [each for status in (Status.WAITING, Status.GIVEN_UP) for each in books.outbox.all(status)]
        return [_due_again(each, books, now) for each in unsent if _hopeless(each, now) is None]

    done = recorded(Change("outbox-retry", detail={"all": True}), work, store=store, clock=clock)
    return () if isinstance(done, Refusal) else done


def _hopeless(found: Delivery, now: float) -> Refusal | None:
    if found.status is Status.SENT:
        return Refusal(f"{found.id} was sent already; who lost it needs a new one.")
    if found.kind in SECRET_KINDS and found.expires_at <= now:
        return Refusal(f"The link or code in {found.id} has expired; make a new one.")
    if not found.is_there:
        return Refusal(f"What {found.id} said is gone; whoever was to have it needs a new one.")
    return None


def _due_again(found: Delivery, books: Books, now: float) -> Delivery:
    expires = found.expires_at if found.kind in SECRET_KINDS else now + WORTH_TELLING
    books.outbox.retry(found.id, at=now, expires_at=expires)
    return found

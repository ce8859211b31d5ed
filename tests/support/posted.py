"""What waits in the outbox, as a worker would find it."""

from collections.abc import Sequence

from radiusd_mfa.app import App
from radiusd_mfa.core.names import Username
from radiusd_mfa.store.outbox_queue import OutboxQueue
from radiusd_mfa.usecases.admin_ports import User
from radiusd_mfa.usecases.books import Books
from radiusd_mfa.usecases.outbox_ports import Channel, Claimed


def posted(app: App) -> Sequence[Claimed]:
    """Take what waits."""
    queue = OutboxQueue(app.database, app.keys)
    taken = []
    while (claimed := queue.claim([*Channel], now=app.clock(), until=app.clock() + 300)) is not None:
        taken.append(claimed)
    return taken


def person_of(user: Username, books: Books) -> User:
    found = books.people.find(user.text)
    assert found is not None
    return found

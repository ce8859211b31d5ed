"""The audit log: who signed in, who changed what."""

from collections.abc import Sequence

from radiusd_mfa.usecases.admin_ports import AuditEntry, AuditFilter
from radiusd_mfa.usecases.books import Administration


def entries(wanted: AuditFilter, *, store: Administration) -> Sequence[AuditEntry]:
    """Return the rows that are wanted, the newest first."""
    return store.view(lambda books: books.audit.list(wanted))

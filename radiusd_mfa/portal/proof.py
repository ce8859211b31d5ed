"""A code or a password that is given now, for what a session alone is not enough for.

One sign-in attempt as on the way in: the same charge, the same caps, the same audit log, and a code is spent by it.
"""

import time
from typing import Final

from radiusd_mfa.core.backup_codes import BackupCode
from radiusd_mfa.core.totp import CODE_LENGTHS
from radiusd_mfa.core.typed import answer
from radiusd_mfa.core.verdict import Reason
from radiusd_mfa.portal.pages.sign_in import has_phone, place, refused
from radiusd_mfa.portal.visit import Visit
from radiusd_mfa.usecases import acting, entering
from radiusd_mfa.usecases.acting import Given
from radiusd_mfa.usecases.actors import Claimant
from radiusd_mfa.usecases.changes import Refusal
from radiusd_mfa.usecases.entering import CODE_REFUSED, Entered, Next

_BY_A_METHOD: Final = (Reason.TOTP, Reason.SMS)
_BY_ANY: Final = (*_BY_A_METHOD, Reason.BACKUP_CODE)
_NOT_A_BACKUP_CODE: Final = Refusal("This needs a code of your authenticator or phone, and no backup code.")
_FRESH_CODES: Final = tuple(reason.value for reason in _BY_ANY)


def needs_code(visit: Visit) -> bool:
    """Whether no code was given at the sign-in: a period let the password suffice, or no policy asked for more."""
    return visit.who.row.how not in _FRESH_CODES


async def asks(visit: Visit, *, always: bool = False) -> dict[str, object]:
    """Return what a page needs that asks for a current code: whether it does, and whether one can be sent by SMS."""
    wanted = always or needs_code(visit)
    return {"needs_code": wanted, "texts": wanted and await has_phone(visit)}


async def undecided(visit: Visit) -> Refusal | None:
    """Take the code of the form where none was given at the sign-in; say why nothing is decided without it."""
    return await unproved(visit, backup_codes=True) if needs_code(visit) else None


async def claimed(visit: Visit) -> Claimant | Refusal:
    """Take the password of the form that was sent, once more, with the guesses counted."""
    given = Given(visit.name, visit.form.get("password", "").encode(), device=visit.device)
    return await visit.hash(acting.prove_password, given, door=visit.site.door)


async def unproved(visit: Visit, *, backup_codes: bool = False) -> Refusal | None:
    """Take the code of the form that was sent; say why it proves nothing, None if it does."""
    began = time.monotonic()
    code = visit.form.get("code", "").encode()
    if not backup_codes and isinstance(answer(code, CODE_LENGTHS).code, BackupCode):
        return _NOT_A_BACKUP_CODE  # before it is spent for nothing
    row = visit.who.row
    so_far = Entered(row.user_id, row.user, row.granted_to, Next.CODE, Reason.CODE_DUE)
    entered = await visit.hash(
        entering.enter_code, so_far, code, place(visit), door=visit.site.door, standing=visit.standing
    )
    # Within a period a spent code may pass at a sign-in; here one must have been spent.
    if isinstance(entered, Refusal) or entered.how not in (_BY_ANY if backup_codes else _BY_A_METHOD):
        await refused(visit, began, "a code")
        return CODE_REFUSED
    return None

"""Sign in to the pages: the password first, then the code where one is due.

Two attempts as over RADIUS, each with its charge, its verdict and its audit row, at a NAS called `pages` on the surface
`control-panel`; so the policies' rules for that surface hold (T1 to T3). What the first attempt proved is kept by the
page, in a session that can do nothing else. Knows no SQL and no page.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from radiusd_mfa.core import sms_codes
from radiusd_mfa.core.facts import Attempt, Nas
from radiusd_mfa.core.names import NameProblem, Username, escaped, prepare_password
from radiusd_mfa.core.totp import CODE_LENGTHS
from radiusd_mfa.core.typed import Answer, Typed, answer, appended
from radiusd_mfa.core.verdict import Outcome, Reason, Verdict
from radiusd_mfa.usecases.acting import SURFACE, Door, Judged, Texted, apart, signed_in, texted_by
from radiusd_mfa.usecases.books import Administration
from radiusd_mfa.usecases.changes import Refusal

PASSWORD_REFUSED: Final = Refusal(
    "That did not work. Check the user name and the password; after several wrong ones, wait a little."
)
"""The one answer to every password that lets nobody in."""
CODE_REFUSED: Final = Refusal(
    "That did not work. A code is good once: wait for the next one. After several wrong ones, wait five minutes."
)
"""The one answer to every code that lets nobody in."""
NO_SMS: Final = Refusal("No code can be sent to you by SMS.")
_WITH_CHALLENGE: Final = Nas(id=0, name="pages", surface=SURFACE, challenge=True, set_up=True)
_FOR_THE_CODE: Final = Nas(id=0, name="pages", surface=SURFACE, otp_only=True)
_FOR_THE_WORD: Final = Nas(id=0, name="pages", surface=SURFACE, challenge=True, otp_only=True)
_BY_A_CODE: Final = (Reason.TOTP, Reason.SMS, Reason.BACKUP_CODE)
_MUST_SET_UP: Final = (Reason.SET_UP, Reason.NOT_ENROLLED)


class Next(Enum):
    """What follows a right password, or a right code."""

    IN = "in"
    CODE = "code"
    SET_UP = "set-up"


@dataclass(frozen=True, slots=True)
class Place:
    """Where it is typed: `device` as the audit log shows it, and what tells this very form from every other."""

    device: str
    form: bytes = field(repr=False)
    """The same form with the same text is the same request, and has the same verdict again for a minute (I6)."""


@dataclass(frozen=True, slots=True)
class Entered:
    """Who it is, what comes next, and the password hash that it rests on."""

    user_id: int
    user: str
    granted_to: str = field(repr=False)
    next: Next
    how: Reason
    enrol_by: float | None = None
    """Unix time until which a second factor must be set up."""
    texted: Texted | None = None
    """Whether a code was sent by SMS that comes next, or why none was."""


def enter(name: str, password: bytes, place: Place, *, door: Door, store: Administration) -> Entered | Refusal:
    """Take user name and password; raises `StoreFault`."""
    user = username(name, store)
    # As OpenVPN writes both: no digit at the end of the password is ever taken for a code.
    typed = appended(apart(password, b""), digit_lengths=CODE_LENGTHS) if password else Typed((), "empty-password")
    attempt = _attempt(_WITH_CHALLENGE, user, escaped(name), typed, password, place, door)
    judged = signed_in(attempt, door, lambda verdict, _right: verdict)
    found = judged.facts.user
    following = _next(judged)
    if found is None or following is None or not _still_right(password, judged, door) or not _still_stands(judged):
        return PASSWORD_REFUSED
    verdict = judged.verdict
    return Entered(
        found.id,
        found.name,
        found.password_hash or "",
        following,
        verdict.reason,
        enrol_by=verdict.enrol_by,
        texted=texted_by(verdict),
    )


def enter_code(
    entered: Entered, code: bytes, place: Place, *, door: Door, standing: Callable[[], str | None]
) -> Entered | Refusal:
    """Take the code of somebody whose password was right a moment ago; raises `StoreFault`.

    `standing` returns the hash that the right password rests on by then, None if it is worth nothing any more.
    """
    user = Username.parse(entered.user)
    typed = answer(code, CODE_LENGTHS)
    attempt = _attempt(_FOR_THE_CODE, user, user.text, typed, code, place, door)
    judged = signed_in(attempt, door, lambda verdict, _right: verdict)
    found = judged.facts.user
    # The password was right when it was asked for; with another one now, that is worth nothing (ATTACKS 23). Another
    # hash of the same password may stand there by now.
    granted_to = standing()
    if found is None or found.id != entered.user_id or granted_to is None:
        return CODE_REFUSED
    if judged.verdict.outcome is not Outcome.ACCEPT or not _still_stands(judged):
        return CODE_REFUSED
    return Entered(found.id, found.name, granted_to, Next.IN, judged.verdict.reason)


def send_code(entered: Entered, place: Place, *, door: Door) -> Texted | Refusal:
    """Have a code sent to the phone of somebody whose password was right; raises `StoreFault`.

    The very question of whoever types `sms` at a NAS, so the same policies and limits hold. It goes to the owner.
    """
    user, word = Username.parse(entered.user), sms_codes.WORD.encode()
    attempt = _attempt(_FOR_THE_WORD, user, user.text, answer(word), word, place, door)
    judged = signed_in(attempt, door, lambda verdict, _right: verdict)
    found = judged.facts.user
    if found is None or (found.id, found.password_hash or "") != (entered.user_id, entered.granted_to):
        return CODE_REFUSED
    return texted_by(judged.verdict) or NO_SMS


def _next(judged: Judged) -> Next | None:
    verdict: Verdict = judged.verdict
    match verdict.outcome:
        case Outcome.ACCEPT:
            return Next.IN
        case Outcome.CHALLENGE:
            return Next.SET_UP if verdict.reason is Reason.SET_UP else Next.CODE
        case Outcome.REJECT:
            return Next.SET_UP if verdict.reason in _MUST_SET_UP else None


def _still_right(password: bytes, judged: Judged, door: Door) -> bool:
    """Whether the password of a form that was sent twice is right by now: it may have been changed in between."""
    if not judged.verdict.settled_before:
        return True
    stored = judged.facts.user.password_hash if judged.facts.user else None
    return stored is not None and door.sign_in.passwords.verify(prepare_password(password), stored)


def _still_stands(judged: Judged) -> bool:
    """Whether what lets in a form that was sent twice is there by now: it may be revoked meanwhile (ATTACKS 23).

    A code leaves a verification of this browser behind, in the commit that spends it; a period rests on one.
    """
    verdict, facts = judged.verdict, judged.facts
    if not verdict.settled_before or verdict.outcome is not Outcome.ACCEPT:
        return True
    if verdict.reason is Reason.PERIOD:
        return facts.verification is not None or facts.latest is not None
    return verdict.reason not in _BY_A_CODE or facts.verification is not None


def username(name: str, store: Administration) -> Username | None:
    """Return who is meant: the whole name where somebody has it, else the one without a realm that is known (R10).

    The realm only strips here: the pages belong to no team, so the strictest of all teams holds, whatever is typed.
    """
    try:
        user = Username.parse(name.strip())
    except NameProblem:
        return None
    parts = user.without_realm()
    if parts is None:
        return user
    realm, local = parts
    whole, known = store.view(lambda books: (books.people.find(user.text), {each.name for each in books.realms.all()}))
    return local if whole is None and realm in known else user


def _attempt(
    nas: Nas, user: Username | None, shown: str, typed: Typed | Answer, text: bytes, place: Place, door: Door
) -> Attempt:
    name, digests = user.text if user else "", door.sign_in.digests
    at_prompt = isinstance(typed, Answer)
    prompt = b"code" if at_prompt else b"password"
    return Attempt(
        request=digests.digest("page", prompt, place.form, place.device.encode(), name.encode(), text),
        at=door.clock(),
        nas=nas,
        shown_name=shown,
        user=user,
        typed=typed,
        text=door.sign_in.text_digest(user=name, text=text, at_prompt=at_prompt),
        device=place.device,
    )

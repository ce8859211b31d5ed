"""Authenticators: set up, confirmed by a code, shown. Only a confirmed one ever lets anybody in (E1, I5)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from radiusd_mfa.core.facts import MethodKind
from radiusd_mfa.core.names import Username, escaped
from radiusd_mfa.core.totp import new_seed, otpauth_uri
from radiusd_mfa.usecases.actors import OPERATOR, Actor, Claimant
from radiusd_mfa.usecases.admin_ports import MethodSummary, NewMethod, StoredMethod, User
from radiusd_mfa.usecases.books import Administration, Books, Hashing
from radiusd_mfa.usecases.changes import Refusal
from radiusd_mfa.usecases.codes import CodeSet, draw, keep, steps_of, to_be_kept
from radiusd_mfa.usecases.mails import tell
from radiusd_mfa.usecases.obligations import obligations_of
from radiusd_mfa.usecases.outbox_ports import Mail
from radiusd_mfa.usecases.people import changed, looked_up, nobody, only_oneself
from radiusd_mfa.usecases.plans import refuse_set_up
from radiusd_mfa.usecases.ports import Clock, Entropy
from radiusd_mfa.usecases.sms_ports import Phone

MOST_WRONG_CODES: Final = 5
"""Wrong codes after which an unconfirmed method is removed: nobody confirms by guessing."""
_EVERY_EARLIER_ONE: Final = 0
"""What `replaces` says of a method that takes the place of all others."""


@dataclass(frozen=True, slots=True)
class Enrolment:
    """An unconfirmed method, and the URI that carries its secret to the authenticator app."""

    method: int
    uri: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Confirmed:
    """A method whose code was right; the backup codes where it is the user's first."""

    method: int
    codes: CodeSet | None
    counts: bool = True
    """False: it counts once the user has acknowledged to have recorded the single recovery code (E3)."""


class Waiting(Protocol):
    """An unconfirmed method, of whatever kind."""

    @property
    def id(self) -> int:
        """Its row."""
        ...

    @property
    def kind(self) -> str:
        """`totp` or `sms`."""
        ...

    @property
    def label(self) -> str:
        """What the user calls it."""
        ...

    @property
    def replaces(self) -> int | None:
        """As in `NewMethod`."""
        ...

    @property
    def watermark(self) -> int:
        """Above 0: its code was given, and the backup codes wait to be recorded."""
        ...


@dataclass(frozen=True, slots=True)
class Overview:
    """What a user has set up (E4)."""

    user: str
    methods: Sequence[MethodSummary]
    backup_codes_left: int


def start(
    name: Username,
    *,
    label: str,
    issuer: str,
    store: Administration,
    clock: Clock,
    entropy: Entropy,
    actor: Actor | Claimant = OPERATOR,
) -> Enrolment | Refusal:
    """Make an unconfirmed method; an earlier unconfirmed one is gone, confirmed ones stay as they are.

    Whoever has given a password only may set up the first one, and no other.
    """
    method = NewMethod(new_seed(entropy), label)

    def work(user: User, books: Books) -> Enrolment | Refusal:
        refusal = beyond_a_claim(actor, method.replaces, user, books)
        return refusal or begin(user, method, books, issuer=issuer, at=clock())

    permit = only_oneself(actor)
    return changed("mfa-enrol", name, work, store=store, clock=clock, actor=actor, permit=permit, label=label)


def begin(user: User, method: NewMethod, books: Books, *, issuer: str, at: float) -> Enrolment | Refusal:
    """Make an unconfirmed method within a change; refused where the plans of all teams are without MFA (E8)."""
    refusal = refuse_app(user, books)
    if refusal is not None:
        return refusal
    abandon(user, books)
    method_id = books.methods.add(user.id, method, at)
    assert method_id is not None  # noqa: S101 - a seed that was drawn a moment ago is nobody's yet
    uri = otpauth_uri(
        method.seed,
        issuer=issuer,
        account=user.name,
        digits=method.digits,
        period=method.period,
        algorithm=method.algorithm,
    )
    return Enrolment(method_id, uri)


def abandon(user: User, books: Books) -> None:
    """Remove what a user has begun to set up and not confirmed."""
    # By their summaries: a seed that doesn't open any more must not keep the user from setting up anew.
    for method in books.methods.summaries(user.id):
        if not method.confirmed:
            books.methods.remove(method.id)


def refuse_app(user: User, books: Books) -> Refusal | None:
    """Refuse an app where nothing can be set up, or where only a phone counts: its owner could not sign in any more."""
    refusal = refuse_set_up(user, books)
    if refusal is not None:
        return refusal
    allowed = obligations_of(user.id, books).allow
    if not allowed or MethodKind.TOTP in allowed:
        return None
    return Refusal(f"A team of “{escaped(user.name)}” does not allow authenticator apps; set up codes by SMS.")


def confirm(
    name: Username,
    code: str,
    *,
    store: Administration,
    hashing: Hashing,
    clock: Clock,
    entropy: Entropy,
    actor: Actor | Claimant = OPERATOR,
    recorded_first: bool = False,
) -> Confirmed | Refusal:
    """Let the unconfirmed method count once its code was given; the first one brings backup codes (E2).

    What it replaces goes in the same commit (I5). A single recovery code must be acknowledged first (E3), and with
    `recorded_first` so must any number of codes.
    """
    count = _codes_to_come(name, code, store, clock())
    fresh = draw(hashing=hashing, entropy=entropy, count=count) if count else None

    def work(user: User, books: Books) -> Confirmed | Refusal:
        methods = _unconfirmed(user, books)
        if not methods:
            return Refusal(
                f"“{escaped(user.name)}” has no method that waits for its first code; "
                f"first: radiusd-mfa mfa enrol {escaped(user.name)}"
            )
        method, now = methods[-1], clock()
        refusal = beyond_a_claim(actor, method.replaces, user, books)
        if refusal is not None:
            return refusal
        # The highest step: one that a phone ahead of us shows must not be good for a sign-in later.
        step = max(steps_of(code, method, now), default=None)
        if step is None:
            return _wrong_code(user, method, books)
        if fresh is not None and (recorded_first or len(fresh.codes) == 1):
            return hold(user, method, step, fresh, books) or _wrong_code(user, method, books)
        if not books.methods.confirm(method.id, step, now):
            return _wrong_code(user, method, books)
        return finish(user, method, books, fresh, at=now, actor=actor)

    permit = only_oneself(actor)
    return changed("mfa-confirm", name, work, store=store, clock=clock, actor=actor, permit=permit)


def acknowledge(
    name: Username,
    method_id: int | None = None,
    *,
    store: Administration,
    clock: Clock,
    actor: Actor | Claimant = OPERATOR,
) -> Confirmed | Refusal:
    """Let the method count whose code was right, since the user says “I have safely recorded” (E3).

    `method_id` is the one whose codes were shown: another one, begun meanwhile elsewhere, has other codes.
    """

    def work(user: User, books: Books) -> Confirmed | Refusal:
        unconfirmed: list[Waiting] = [*_unconfirmed(user, books), *waiting_phones(user, books)]
        taken = [method for method in unconfirmed if method.watermark > 0]
        waiting = [method for method in taken if method_id in (None, method.id)]
        refusal = beyond_a_claim(actor, waiting[-1].replaces, user, books) if waiting else None
        if refusal is not None:
            return refusal
        if not waiting or not books.codes.release(user.id):
            return Refusal(
                f"“{escaped(user.name)}” has no recovery code to be acknowledged; first: "
                f"radiusd-mfa mfa confirm {escaped(user.name)}"
            )
        now = clock()
        counts = books.methods.confirm_taken(waiting[-1].id, now)
        assert counts  # noqa: S101 - the user's row is locked since the method was found
        _settle_in(user, waiting[-1], books, at=now, actor=actor)
        return Confirmed(waiting[-1].id, None)

    permit = only_oneself(actor)
    return changed("mfa-recorded", name, work, store=store, clock=clock, actor=actor, permit=permit)


def show(name: Username, *, store: Administration, clock: Clock, actor: Actor = OPERATOR) -> Overview | Refusal:
    """Return what a user has set up."""

    def look(books: Books) -> Overview | Refusal:
        user = books.people.find(name.text)
        if user is None:
            return nobody(name, books)
        return Overview(user.name, books.methods.summaries(user.id), books.codes.left(user.id))

    return looked_up("mfa-show", name, look, store=store, clock=clock, actor=actor)


def beyond_a_claim(actor: Actor | Claimant, replaces: int | None, user: User, books: Books) -> Refusal | None:
    """Refuse to add to what is there to whoever has given a password only; what a link allows replaces all (X3)."""
    if not isinstance(actor, Claimant) or replaces == _EVERY_EARLIER_ONE:
        return None
    if not any(method.confirmed for method in books.methods.summaries(user.id)):
        return None
    return Refusal(f"“{escaped(user.name)}” has a second factor by now; sign in with it first.")


def waiting_phones(user: User, books: Books) -> Sequence[Phone]:
    """Return phones whose first code is due."""
    return [phone for phone in books.sms.phones(user.id) if not phone.confirmed]


def _unconfirmed(user: User, books: Books) -> Sequence[StoredMethod]:
    return [method for method in books.methods.of(user.id) if method.confirmed_at is None]


def _codes_to_come(name: Username, code: str, store: Administration, now: float) -> int:
    """Look ahead how many codes it brings, so that a wrong guess costs no hashes and no transaction waits for them."""

    def look(books: Books) -> int:
        user = books.people.find(name.text)
        methods = books.methods.of(user.id) if user else ()
        waiting = [method for method in methods if method.confirmed_at is None]
        if user is None or not waiting or not steps_of(code, waiting[-1], now):
            return 0
        return codes_with(waiting[-1], user, books)

    return store.view(look)


def codes_with(method: Waiting, user: User, books: Books) -> int:
    """Say how many backup codes a method brings: the first one, or one that takes the place of all before (X3)."""
    if method.replaces != 0 and any(each.confirmed for each in books.methods.summaries(user.id)):
        return 0
    return obligations_of(user.id, books).backup_codes


def hold(user: User, method: Waiting, step: int, fresh: CodeSet, books: Books) -> Confirmed | None:
    """Note that the code was given, and keep the backup codes until they are recorded; None if it was given before."""
    if not books.methods.take_code(method.id, step):
        return None
    books.codes.hold(user.id, to_be_kept(user, fresh, books))
    return Confirmed(method.id, fresh, counts=False)


def _wrong_code(user: User, method: StoredMethod, books: Books) -> Refusal:
    left = MOST_WRONG_CODES - method.wrong_codes - 1
    if left <= 0:
        books.methods.remove(method.id)
        return Refusal(
            f"The code is wrong, for the {MOST_WRONG_CODES}th time: the set-up is cancelled; "
            f"start again: radiusd-mfa mfa enrol {escaped(user.name)}"
        )
    books.methods.count_wrong_code(method)
    return Refusal(
        f"The code is wrong; {left} more wrong ones cancel the set-up. Take the code that the app shows now, "
        "and compare the clocks of the phone and of this machine."
    )


def finish(
    user: User, method: Waiting, books: Books, fresh: CodeSet | None, *, at: float, actor: Actor | Claimant
) -> Confirmed:
    """See to what goes with a method that counts now: its backup codes, a default, a mail."""
    if fresh is not None:
        keep(user, fresh, books)
    elif method.replaces == 0:
        books.codes.replace(user.id, ())
    _settle_in(user, method, books, at=at, actor=actor)
    return Confirmed(method.id, fresh)


def _settle_in(user: User, method: Waiting, books: Books, *, at: float, actor: Actor | Claimant) -> None:
    """See to a default, let no link that was made before set up another method, and tell the user."""
    if not any(each.is_default for each in books.methods.summaries(user.id)):
        books.methods.make_default(user.id, method.id)
    books.links.void(user.id)
    if method.replaces is None:
        tell(books, user, Mail.METHOD_ADDED, at=at, actor=actor, method=method.kind, label=method.label)
    else:
        tell(books, user, Mail.METHOD_RESET, at=at, actor=actor)

"""Users and authenticators taken over from other systems: all of a file, or nothing of it.

Every entry is read and judged before anything is written; what is wrong is named by its place in the file.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from radiusd_mfa.core.names import escaped
from radiusd_mfa.usecases.actors import OPERATOR, Actor
from radiusd_mfa.usecases.admin_ports import ImportedUser, NewAuditEntry, NewMethod
from radiusd_mfa.usecases.books import Administration, Books, Hashing
from radiusd_mfa.usecases.changes import Change, Refusal, recorded, unknown
from radiusd_mfa.usecases.import_entries import Said, joined, understood
from radiusd_mfa.usecases.import_ports import Entry, FileProblem, Found, LeftOut, Misread, Reading
from radiusd_mfa.usecases.ports import Clock

MOST_PROBLEMS: Final = 20
"""Problems that are collected; a file of the wrong kind has one in each line."""
_HASHED_AT_ONCE: Final = 64
"""Passwords between two tellings of how far it is: about a second."""
_TELL_EVERY: Final = 1000
Progress = Callable[[str, int, int | None], None]
"""Is told what is being done, how much of it is done, and of how much, if that is known."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """How entries are taken that do not simply make a user; see docs/import.md."""

    make_users: bool = False
    """Whether an authenticator without a password makes a user who is not there."""
    skip_existing: bool = False
    """Whether users who are there are left as they are, instead of refusing the file."""
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Imported:
    """How many users were taken over, how many authenticators they brought, and what else came or did not."""

    users: int
    methods: int
    added: int = 0
    """Authenticators of users who were there already."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """How often for which reason."""


@dataclass(slots=True)
class _Sheet:
    """A file as far as it is read."""

    said: dict[str, Said] = field(default_factory=dict)
    problems: list[tuple[int, str]] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)

    @property
    def is_full(self) -> bool:
        """Whether there are more problems than anybody would read."""
        return len(self.problems) >= MOST_PROBLEMS


@dataclass(slots=True)
class _Plan:
    """What would be written, now that the database is known."""

    new: list[Said] = field(default_factory=list)
    added: list[tuple[int, NewMethod]] = field(default_factory=list)
    owners: dict[int, str] = field(default_factory=dict)
    """The names of those to whom something is added."""
    problems: list[tuple[int, str]] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


def take_over(
    reading: Reading,
    *,
    store: Administration,
    hashing: Hashing,
    clock: Clock,
    wishes: Wishes = Wishes(),
    progress: Progress = lambda _what, _done, _of: None,
    actor: Actor = OPERATOR,
) -> Imported | Refusal:
    """Take over all that was read, or none of it; on a dry run say what would happen."""
    sheet = _read(reading, hashing, progress)
    if wishes.dry_run:
        progress("Comparing with the database", 0, None)
        return store.view(lambda books: _result(sheet, _planned(sheet, books.imports.ids(), wishes, books)))
    # Hashed before the transaction: a thousand passwords are half a minute in which nobody could write.
    hashes = {} if sheet.problems else _hashed(sheet, hashing, progress)
    progress("Writing", 0, None)

    def work(books: Books) -> Imported | Refusal:
        plan = _planned(sheet, books.imports.lock_ids(), wishes, books)
        result = _result(sheet, plan)
        if isinstance(result, Imported):
            _write(plan, hashes, books, clock(), actor)
        return result

    change = Change("user-import", detail=_detail(sheet), actor=actor)
    return recorded(change, work, store=store, clock=clock)


def _detail(sheet: _Sheet) -> Mapping[str, object]:
    detail: dict[str, object] = {"lines": len(sheet.said)}
    return detail | {"left_out": dict(sheet.left_out)} if sheet.left_out else detail


def _result(sheet: _Sheet, plan: _Plan) -> Imported | Refusal:
    problems = [*sheet.problems, *plan.problems]
    if problems:
        return _refusal(problems)
    methods = sum(len(said.methods) for said in plan.new)
    return Imported(len(plan.new), methods, len(plan.added), dict(sheet.left_out + plan.left_out))


def _refusal(problems: Sequence[tuple[int, str]]) -> Refusal:
    # In the order of the file: what the database has against it stands between what is wrong in itself.
    shown = [sentence for _, sentence in sorted(problems, key=lambda each: each[0])][:MOST_PROBLEMS]
    more = "" if len(problems) < MOST_PROBLEMS else "\n... and perhaps more"
    return Refusal("Nothing was imported; correct the file and import it again:\n" + "\n".join(shown) + more)


def _read(reading: Reading, hashing: Hashing, progress: Progress) -> _Sheet:
    sheet, ordinal = _Sheet(), 0
    try:
        for ordinal, found in enumerate(reading.found, start=1):
            _take(sheet, ordinal, found, reading, hashing)
            if sheet.is_full:
                break
            if ordinal % _TELL_EVERY == 0:
                progress("Reading", ordinal, None)
    except FileProblem as problem:
        sheet.problems.append((ordinal + 1, str(problem)))
    return sheet


def _take(sheet: _Sheet, ordinal: int, found: Found, reading: Reading, hashing: Hashing) -> None:
    match found:
        case LeftOut(reason):
            sheet.left_out[reason] += 1
        case Misread(place, sentence):
            sheet.problems.append((ordinal, f"{place}: {sentence}"))
        case Entry() as entry:
            try:
                said = understood(ordinal, entry, reading.label, hashing)
                earlier = sheet.said.get(said.user.name)
                sheet.said[said.user.name] = said if earlier is None else _together(earlier, said, reading)
            except FileProblem as problem:
                sheet.problems.append((ordinal, f"{entry.place}: {problem}"))


def _together(earlier: Said, said: Said, reading: Reading) -> Said:
    if not reading.joins:
        raise FileProblem(f"user “{escaped(said.user.name)}” stands in {earlier.place} already")
    return joined(earlier, said)


def _hashed(sheet: _Sheet, hashing: Hashing, progress: Progress) -> Mapping[str, str]:
    """Hash the passwords that came in clear; by the names of their users."""
    given = [(name, said.password) for name, said in sheet.said.items() if said.password is not None]
    made: dict[str, str] = {}
    for begin in range(0, len(given), _HASHED_AT_ONCE):
        progress("Hashing passwords", begin, len(given))
        piece = given[begin : begin + _HASHED_AT_ONCE]
        hashes = hashing.make_all([password for _, password in piece])
        made.update(zip([name for name, _ in piece], hashes, strict=True))
    return made


def _planned(sheet: _Sheet, ids: Mapping[str, int], wishes: Wishes, books: Books) -> _Plan:
    plan, known = _Plan(), [team.name for team in books.teams.all()]
    teams = set(known)
    wanted: list[tuple[int, NewMethod]] = []
    for said in sheet.said.values():
        if len(plan.problems) >= MOST_PROBLEMS:
            break
        if said.team is not None and said.team not in teams:
            complaint: str | None = unknown("team", said.team, known, command="team list").sentence
        else:
            complaint = _place(said, ids.get(said.user.name), wishes, plan, wanted)
        if complaint is not None:
            plan.problems.append((said.ordinal, f"{said.place}: {complaint}"))
    plan.added = list(books.imports.missing(wanted))
    if already := len(wanted) - len(plan.added):
        plan.left_out["authenticator that its user has here already"] += already
    return plan


def _place(
    said: Said, user_id: int | None, wishes: Wishes, plan: _Plan, wanted: list[tuple[int, NewMethod]]
) -> str | None:
    """Put a user where the plan has a place, or say why there is none."""
    name = escaped(said.user.name)
    if user_id is None:
        if not said.has_password and not wishes.make_users:
            return (
                f"user “{name}” is not in the database, and no password came along; "
                "import the users first, or make them without a password: --make-users"
            )
        plan.new.append(said)
    elif said.seeds_alone:
        wanted += [(user_id, method) for method in said.methods]
        plan.owners[user_id] = said.user.name
    elif wishes.skip_existing:
        plan.left_out["user who is in the database already"] += 1
    else:
        return f"user “{name}” is in the database already; to leave such users as they are: --skip-existing"
    return None


def _write(plan: _Plan, hashes: Mapping[str, str], books: Books, at: float, actor: Actor) -> None:
    teams = {team.name: team.id for team in books.teams.all()}
    books.imports.add([_imported(said, hashes, teams) for said in plan.new], at)
    books.imports.add_methods(plan.added, at)
    for user_id, method in plan.added:
        # A second factor of somebody is a change of this one user, and is looked for under the name.
        detail = {"label": method.label}
        entry = NewAuditEntry(at, "mfa-import", "done", actor.shown, user=plan.owners[user_id], detail=detail)
        books.audit.append(entry)


def _imported(said: Said, hashes: Mapping[str, str], teams: Mapping[str, int]) -> ImportedUser:
    user = said.user
    if said.password is not None:
        user = replace(user, password_hash=hashes[user.name])
    return ImportedUser(user, teams[said.team] if said.team is not None else None, said.role, said.methods)

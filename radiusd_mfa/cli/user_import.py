"""`radiusd-mfa user import`: which files are read, how far it is, and what came of it."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from radiusd_mfa.cli import reading
from radiusd_mfa.cli.commands import Command
from radiusd_mfa.cli.output import emit, say
from radiusd_mfa.cli.parameters import USER
from radiusd_mfa.cli.session import REFUSED, Failed, Session, granted, with_session
from radiusd_mfa.core.names import Username, escaped
from radiusd_mfa.foreign import files, google_authenticator, tables, tokens
from radiusd_mfa.foreign.files import Format, Hints, Sheet
from radiusd_mfa.usecases import importing
from radiusd_mfa.usecases.import_ports import FileProblem
from radiusd_mfa.usecases.importing import Imported, Wishes

_AUTO: Final = "auto"
_MOST_OCTETS: Final = 1 << 30
_MOST_OF_ONE: Final = 1 << 16
"""Octets of a file that is about one user, who may have written it: some hundred are usual."""
_EXAMPLES: Final = (
    "radiusd-mfa user import users.jsonl\n"
    "radiusd-mfa user import --dry-run --format radcheck radcheck.csv\n"
    "radiusd-mfa user import --format google-authenticator /home"
)


@click.command("import", cls=Command, example=_EXAMPLES)
@click.argument("file", type=click.Path(exists=True, allow_dash=True, path_type=Path))
@click.option(
    "--format",
    "wanted",
    # Their values: of an enumeration click would take the names in its members' place.
    type=click.Choice([_AUTO, *(each.value for each in Format)]),
    default=_AUTO,
    show_default=True,
    help="What wrote the file; auto: told by its beginning.",
)
@click.option("--dry-run", is_flag=True, help="Check everything and say what would happen; write nothing.")
@click.option("--user", "name", type=USER, help="Whose it is, of a single file of google-authenticator.")
@click.option("--make-users", is_flag=True, help="Make users without a password for seeds whose users are not there.")
@click.option("--skip-existing", is_flag=True, help="Leave users as they are who are there already.")
@click.option("--keep-realm", is_flag=True, help="Let privacyIDEA's alice of corp be “alice@corp” here, not “alice”.")
@click.option(
    "--owners", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Of PSKC: serial,username."
)
@click.option("--key-stdin", is_flag=True, help="Read the key of an encrypted export from standard input.")
@with_session
def import_(
    session: Session,
    file: Path,
    *,
    wanted: str,
    dry_run: bool,
    name: Username | None,
    make_users: bool,
    skip_existing: bool,
    keep_realm: bool,
    owners: Path | None,
    key_stdin: bool,
) -> None:
    """Take users and authenticators over from another system: all of FILE (`-`: standard input), or nothing of it.

    JSON lines and CSV have the fields username, password or password_hash, email, phone, team, role, totp_secret,
    totp_digits, totp_period, totp_algorithm. For FreeRADIUS, privacyIDEA, google-authenticator and Linux see
    docs/import.md.
    """
    if str(file) == "-" and key_stdin:
        raise click.UsageError("Standard input can't be both the file and the key; name the file.")
    app = session.open()
    if file.is_dir() and wanted not in (_AUTO, Format.GOOGLE_AUTHENTICATOR):
        raise click.UsageError(f"{escaped(str(file))} is a directory; only google-authenticator has one.")
    with _told(file):
        sheets = _sheets(file, name)
        kind = _kind(file, wanted, sheets)
        key = _key(sheets, kind, from_stdin=key_stdin)
        whose = tokens.owners_of(tables.rows(tables.text_of(owners.read_bytes()))) if owners else {}
        found = files.read(sheets, kind, Hints(app.clock(), key, whose, keep_realm))
    with _progress(session) as progress:
        done = granted(
            importing.take_over(
                found,
                store=app.administration,
                hashing=app.hashing,
                clock=app.clock,
                wishes=Wishes(make_users, skip_existing, dry_run),
                progress=progress,
            )
        )
    document = {
        "format": kind.value,
        "dry_run": dry_run,
        "users": done.users,
        "methods": done.methods,
        "methods_added": done.added,
        "left_out": dict(done.left_out),
    }
    emit(session, document, lambda: _print(done, dry_run=dry_run))


@contextmanager
def _told(file: Path) -> Iterator[None]:
    try:
        yield
    except FileProblem as problem:
        raise Failed(f"Nothing was imported; {escaped(str(file))}: {problem}", REFUSED) from problem


def _kind(file: Path, wanted: str, sheets: Sequence[Sheet]) -> Format:
    if file.is_dir():
        return Format.GOOGLE_AUTHENTICATOR
    return files.recognised(sheets[0].octets) if wanted == _AUTO else Format(wanted)


def _key(sheets: Sequence[Sheet], kind: Format, *, from_stdin: bool) -> bytes | None:
    if kind is not Format.PRIVACYIDEA or not files.needs_key(sheets[0].octets):
        return None
    return reading.secret("Key of the export", option="--key-stdin", from_stdin=from_stdin)


def _sheets(file: Path, name: Username | None) -> Sequence[Sheet]:
    if file.is_dir():
        found = list(_of_directory(file))
        if not found:
            raise FileProblem("no file of google-authenticator is in it, neither called as its user nor in a folder so")
        return found
    if str(file) == "-":
        octets = _bounded(sys.stdin.buffer.read(_MOST_OCTETS + 1), file, _MOST_OCTETS)
        return [Sheet("standard input", name.text if name else "", octets)]
    # In a home directory the folder tells whose it is.
    own = file.resolve().parent.name if file.name == google_authenticator.NAME else file.name
    return [Sheet(escaped(file.name), name.text if name else own, _octets(file, _MOST_OCTETS))]


def _octets(file: Path, most: int) -> bytes:
    """Return what is in a file; one that is longer than any of its kind fills the memory otherwise."""
    with file.open("rb") as opened:
        return _bounded(opened.read(most + 1), file, most)


def _bounded(octets: bytes, file: Path, most: int) -> bytes:
    if len(octets) > most:
        raise Failed(f"Nothing was imported; {escaped(str(file), 200)}: has more than {most} octets", REFUSED)
    return octets


def _of_directory(directory: Path) -> Iterator[Sheet]:
    """Yield a file for each user: one that is called as the user is, or lies in a folder that is."""
    for each in sorted(directory.iterdir()):
        inner = each / google_authenticator.NAME
        if each.is_file() and not each.name.startswith("."):
            yield Sheet(escaped(each.name), each.name, _octets(each, _MOST_OF_ONE))
        elif each.is_dir() and inner.is_file():
            yield Sheet(f"{escaped(each.name)}/{inner.name}", each.name, _octets(inner, _MOST_OF_ONE))


@contextmanager
def _progress(session: Session) -> Iterator[importing.Progress]:
    """Show how far it is, on a terminal; elsewhere nothing."""
    console = Console(stderr=True)
    if session.json or not console.is_terminal:
        yield lambda _what, _done, _of: None
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as shown:
        task = shown.add_task("Reading", total=None)

        def tell(what: str, done: int, of: int | None) -> None:
            shown.update(task, description=what, completed=done, total=of)

        yield tell


def _print(done: Imported, *, dry_run: bool) -> None:
    say(f"{_so_many(done.users, 'user', dry_run)} imported, {done.methods} with an authenticator.")
    if done.added:
        say(f"{_so_many(done.added, 'authenticator', dry_run)} added to users who are there already.")
    for reason, times in sorted(done.left_out.items()):
        say(f"Left out ({times}): {escaped(reason, 200)}")
    if dry_run:
        say("Nothing was written.")


def _so_many(number: int, what: str, dry_run: bool) -> str:
    if dry_run:
        return f"{number} {what}{'' if number == 1 else 's'} would be"
    return f"{number} {what} was" if number == 1 else f"{number} {what}s were"

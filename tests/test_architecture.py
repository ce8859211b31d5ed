"""The directions of import, read from the source: which room may know which, and where each library is at home."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import pytest

import radiusd_mfa

PACKAGE: Final = Path(radiusd_mfa.__file__).parent

# A room is a folder of the package, or a module at its top. What is not named here may be imported by nobody.
MAY_KNOW: Final[dict[str, set[str]]] = {
    "core": set(),
    "radius": set(),
    "private_files": set(),
    "key_file": {"private_files"},
    "keys": {"key_file"},
    "passwords": set(),
    "config_values": set(),
    "config_delivery": {"config_values"},
    "config_portal": {"config_values"},
    "config": {"config_values", "config_delivery", "config_portal"},
    "logs": {"config"},
    "usecases": {"core"},
    # Reads what other systems write, and knows of ours the values that the import takes.
    "foreign": {"core", "usecases"},
    # What is a fact, and what is wrong with it; how often a NAS did what is a use case's word.
    "diagnosis": {"core", "usecases"},
    # The key ring seals what the tables hold; the administrative ports stand beside the sign-in's.
    "store": {"usecases", "core", "keys"},
    # What waits to be delivered is a use case's word; the settings of mail and SMS are values.
    "delivery": {"usecases", "config", "config_delivery", "private_files"},
    # `Config` and `Endpoint` are values; the pool is threads and knows no hash.
    "server": {"radius", "usecases", "core", "config", "passwords"},
    # The tallies, and what only the database knows.
    "metrics": {"config", "server", "usecases"},
    # What is kept in a file for the use cases.
    "high_water": {"usecases"},
    "shipped": set(),
    # Before anything serves: a database, a key file, and whether they fit.
    "installation": {"config", "keys", "store", "usecases"},
    "app": {
        "config",
        "delivery",
        "high_water",
        "installation",
        "key_file",
        "keys",
        "passwords",
        "radius",
        "server",
        "shipped",
        "store",
        "usecases",
    },
    # It looks at each part for itself, for the whole can't be put together where one is wrong.
    "doctor": {
        "app",
        "config",
        "core",
        "diagnosis",
        "installation",
        "keys",
        "radius",
        "server",
        "shipped",
        "store",
        "usecases",
    },
    # `try` and `demo` ask as a NAS does, and show packets.
    "cli": {
        "app",
        "config",
        "core",
        "diagnosis",
        "doctor",
        "foreign",
        "installation",
        "logs",
        "metrics",
        "portal",
        "radius",
        "server",
        "shipped",
        "usecases",
    },
    "portal": {"app", "config", "core", "shipped", "usecases"},
    "__main__": {"cli"},
}
_STORED: Final = (
    "ports",
    "admin_ports",
    "outbox_ports",
    "sms_ports",
    "set_up_ports",
    "books",
    "portal_ports",
    "audit_ports",
    "import_ports",
    "figures",
    "key_ports",
    "sighting_ports",
)
# Within a room that may be known, only these modules: (who, room) -> modules.
ONLY: Final = {
    ("metrics", "server"): {"radiusd_mfa.server.tally"},
    ("metrics", "usecases"): {"radiusd_mfa.usecases.figures"},
    ("server", "passwords"): {"radiusd_mfa.passwords.pool"},
    ("foreign", "usecases"): {"radiusd_mfa.usecases.import_ports"},
    ("diagnosis", "usecases"): {"radiusd_mfa.usecases.sighting_ports"},
    ("doctor", "store"): {f"radiusd_mfa.store.{module}" for module in ("database", "examination")},
    ("delivery", "usecases"): {f"radiusd_mfa.usecases.{module}" for module in ("ports", "outbox_ports")},
    ("store", "usecases"): {f"radiusd_mfa.usecases.{module}" for module in _STORED},
}
# Single names that cross where their room may not: the type of an argument of `App.open`.
CROSSING: Final = {("cli", "radiusd_mfa.passwords.local.Profile")}

HOMES: Final[dict[str, set[str]]] = {
    "alembic": {"store"},
    "apprise": {"delivery"},
    "argon2": {"passwords"},
    "bcrypt": {"passwords"},
    "click": {"cli"},
    # The exports of other systems are encrypted in ways of their own.
    "cryptography": {"foreign", "keys"},
    # The pages and the mails are templates of the same language.
    "jinja2": {"delivery", "portal"},
    "libpass": {"passwords"},
    "markupsafe": {"portal"},
    "passlib": {"passwords"},
    "precis_i18n": {"core"},
    "prometheus_client": {"metrics"},
    "psycopg": {"store"},
    # The demo's phone is pyotp, so that not our own code vouches for our own codes.
    "pyotp": {"core", "cli"},
    "pyrad": {"radius"},
    "rich": {"cli"},
    "segno": {"cli", "portal"},
    "sqlalchemy": {"store"},
    "starlette": {"portal"},
    "uvicorn": {"portal"},
}
# Time and chance are arguments there, and nothing waits, talks or writes.
PURE: Final = ("core", "radius", "diagnosis")
IMPURE: Final = {
    *("asyncio", "concurrent", "http", "logging", "multiprocessing", "os", "queue", "random", "secrets", "select"),
    *(
        "selectors",
        "signal",
        "socket",
        "socketserver",
        "sqlite3",
        "ssl",
        "subprocess",
        "threading",
        "time",
        "urllib.request",
    ),
    "uuid",
}


class Import(NamedTuple):
    """One imported module or name, and the file that imports it."""

    file: str
    room: str
    name: str
    """Dotted, with the imported name at its end where there is one."""


def imports() -> Iterator[Import]:
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Import(names=names):
                    found = [alias.name for alias in names]
                case ast.ImportFrom(module=module, names=names, level=level):
                    assert level == 0, f"{path.name} imports by a relative name, which hides the direction"
                    found = [f"{module}.{alias.name}" for alias in names]
                case _:
                    continue
            yield from (Import("/".join(parts), parts[0], name) for name in found)


ALL: Final = tuple(imports())


def room_of(name: str) -> str | None:
    """Return the room of a name of ours; None for the package itself, whose `__version__` everybody may know."""
    parts = name.split(".")
    is_room = (PACKAGE / parts[1]).is_dir() or (PACKAGE / f"{parts[1]}.py").exists()
    return parts[1] if is_room else None


def own() -> list[Import]:
    return [one for one in ALL if one.name.startswith("radiusd_mfa.") and room_of(one.name) not in (None, one.room)]


def foreign() -> list[Import]:
    return [one for one in ALL if one.name.split(".")[0] not in {"radiusd_mfa", *sys.stdlib_module_names}]


def within(name: str, modules: set[str]) -> bool:
    return any(name == module or name.startswith(f"{module}.") for module in modules)


def test_the_imports_are_found() -> None:
    """A test that finds nothing can't fail."""
    assert {one.room for one in ALL} >= {"core", "radius", "usecases", "store", "server", "cli", "app"}
    assert any(one.name == "radiusd_mfa.core.judge.decide" and one.room == "server" for one in own())
    assert any(one.name.startswith("sqlalchemy.") for one in foreign())
    assert len(ALL) > 500


def test_every_room_knows_only_the_rooms_that_it_may() -> None:
    wrong = [
        f"{one.file} imports {one.name}"
        for one in own()
        if room_of(one.name) not in MAY_KNOW[one.room] and (one.room, one.name) not in CROSSING
    ]
    assert wrong == []


def test_some_rooms_are_known_only_by_their_door() -> None:
    wrong = [
        f"{one.file} imports {one.name}"
        for one in own()
        if (doors := ONLY.get((one.room, str(room_of(one.name))))) and not within(one.name, doors)
    ]
    assert wrong == []


def test_no_rooms_know_each_other() -> None:
    for room, known in MAY_KNOW.items():
        for other in known:
            assert room not in MAY_KNOW[other], f"{room} and {other} know each other"


def test_every_exception_is_one_that_is_made_use_of() -> None:
    names = {(one.room, one.name) for one in own()}
    assert names >= CROSSING
    used = {(one.room, one.name.split(".")[0]) for one in foreign()}
    rooms = {one.room for one in ALL}
    unused = {(room, other) for room, known in MAY_KNOW.items() if room in rooms for other in known}
    unused -= {(one.room, str(room_of(one.name))) for one in own()}
    assert unused == set()
    assert {("cli", "pyotp"), ("store", "sqlalchemy")} <= used


def test_every_foreign_library_has_one_home() -> None:
    homeless = [
        f"{one.file} imports {one.name}"
        for one in foreign()
        if one.room not in HOMES.get(one.name.split(".")[0], set())
    ]
    assert homeless == []


@pytest.mark.parametrize("room", PURE)
def test_the_pure_rooms_know_no_clock_socket_thread_log_or_chance(room: str) -> None:
    wrong = [f"{one.file} imports {one.name}" for one in ALL if one.room == room and within(one.name, IMPURE)]
    assert wrong == []


def test_the_use_cases_know_no_clock_socket_thread_log_or_chance() -> None:
    wrong = [f"{one.file} imports {one.name}" for one in ALL if one.room == "usecases" and within(one.name, IMPURE)]
    assert wrong == []


@pytest.mark.parametrize("room", PURE)
def test_the_pure_rooms_open_no_file_by_themselves(room: str) -> None:
    """Path is a value; the dictionaries are the one thing that is read, by who is told where they are."""
    readers = set()
    for path in sorted((PACKAGE / room).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in (
                "open",
                "read_text",
                "read_bytes",
            ):
                readers.add(path.name)
    assert readers <= {"attributes.py"}


def test_nothing_is_called_utils() -> None:
    vague = ("common", "helper", "helpers", "misc", "shared", "util", "utils")
    assert [path.name for path in PACKAGE.rglob("*") if path.stem in vague] == []


def test_every_module_opens_with_what_it_owns() -> None:
    silent = [path.name for path in PACKAGE.rglob("*.py") if not ast.get_docstring(ast.parse(path.read_text()))]
    assert silent == []

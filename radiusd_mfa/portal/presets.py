"""The reviewed policies that owners choose from, read from the files that travel with the program."""

from dataclasses import dataclass
from functools import cache
from typing import Final

from radiusd_mfa.shipped import presets as folder

EVERYONE: Final = "everyone"
NOBODY: Final = "voluntary"


@dataclass(frozen=True, slots=True)
class Preset:
    """A policy to choose; `summary` is the first line of its comment."""

    name: str
    summary: str
    text: str


_FORCE_EVERYONE: Final = Preset(
    EVERYONE,
    "Everybody gives a code at every sign-in, everywhere.",
    """# Everybody gives a code at every sign-in, everywhere: switched on by an owner.

mode = "enforce"

[[require]]
every = "connection"
""",
)


@cache
def all_presets() -> dict[str, Preset]:
    """Return the policies to choose from by name, the switch "force everyone" among them."""
    found = {_FORCE_EVERYONE.name: _FORCE_EVERYONE}
    for path in sorted(folder().glob("*.toml")):
        text = path.read_text(encoding="utf-8")
        found[path.stem] = Preset(path.stem, text.partition("\n")[0].lstrip("# ").strip(), text)
    return found

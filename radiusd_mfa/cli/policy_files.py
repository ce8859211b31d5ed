"""Where the text of a policy comes from: a file, standard input, or one of the presets that travel with the program."""

import difflib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from radiusd_mfa.core.names import escaped
from radiusd_mfa.shipped import presets

PRESET: Final = "preset:"
MOST_OCTETS: Final = 65_536
"""More than any policy has: whoever names a disk image by mistake is told so at once."""


@dataclass(frozen=True, slots=True)
class Preset:
    """A reviewed policy to start from; `summary` is its first comment line."""

    name: str
    summary: str
    text: str


def all_presets() -> Sequence[Preset]:
    """Return the presets by name."""
    return [_preset(path) for path in sorted(presets().glob("*.toml"))]


def preset(name: str) -> Preset:
    """Return a preset; raises ValueError with a sentence that says which one may be meant."""
    found = {each.name: each for each in all_presets()}
    if name in found:
        return found[name]
    near = difflib.get_close_matches(name, found, n=1)
    meant = f"is {near[0]} meant?" if near else f"there are {', '.join(found)}."
    raise ValueError(f"There is no preset “{escaped(name)}”; {meant}")


def _preset(path: Path) -> Preset:
    text = path.read_text(encoding="utf-8")
    return Preset(path.stem, text.partition("\n")[0].lstrip("# ").strip(), text)


@dataclass(frozen=True, slots=True)
class PolicyFile:
    """A policy that was named and is not read yet: with --as, standard input begins with password and code."""

    source: str
    """`FILE`, `-` for standard input, or `preset:NAME`."""

    def text(self) -> str:
        """Read it, or end with why it can't be read (exit 2)."""
        try:
            if self.source.startswith(PRESET):
                return preset(self.source.removeprefix(PRESET)).text
            return _decoded(_octets(self.source), self.source)
        except OSError as error:
            raise click.BadParameter(
                f"{escaped(self.source, 200)}: {error.strerror or error}", param_hint="FILE"
            ) from error
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="FILE") from error


def _octets(source: str) -> bytes:
    if source == "-":
        return sys.stdin.buffer.read(MOST_OCTETS + 1)
    with Path(source).open("rb") as file:
        return file.read(MOST_OCTETS + 1)


def _decoded(octets: bytes, source: str) -> str:
    if len(octets) > MOST_OCTETS:
        raise ValueError(f"{escaped(source, 200)} has more than {MOST_OCTETS} octets; a policy has a few hundred.")
    try:
        return octets.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"{escaped(source, 200)} is no UTF-8 text.") from error

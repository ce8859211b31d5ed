"""Where the text of a policy comes from: a file, standard input, or one of the presets that travel with the program."""

import difflib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click

from radiusd_mfa.app import presets
from radiusd_mfa.core.names import escaped

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


class PolicyFile(click.ParamType):  # type: ignore[type-arg]  # generic only since click 8.4
    """The text of a policy: `FILE`, `-` for standard input, or `preset:NAME`."""

    name = "file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:  # noqa: ANN401 - click's
        """Read the text, or end with why there is none (exit 2)."""
        try:
            return _text(str(value))
        except OSError as error:
            self.fail(f"{escaped(str(value), 200)}: {error.strerror or error}", param, ctx)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def _text(source: str) -> str:
    if source.startswith(PRESET):
        return preset(source.removeprefix(PRESET)).text
    return _decoded(_octets(source), source)


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


POLICY_FILE: Final = PolicyFile()

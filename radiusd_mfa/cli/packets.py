"""RADIUS packets for a reader: names by the dictionary, secrets hidden, the same content as text and as JSON."""

import textwrap
from typing import Final

from rich.console import Console
from rich.text import Text

from radiusd_mfa.radius.attributes import Dictionary
from radiusd_mfa.radius.wire import HEADER, Code

_STYLES: Final = {
    Code.ACCESS_ACCEPT: "bold green",
    Code.ACCESS_REJECT: "bold red",
    Code.ACCESS_CHALLENGE: "bold yellow",
}
_PLAIN: Final = "bold cyan"
_NARROWEST: Final = 20
_UNFOLDED: Final = 10_000


def code_name(code: int) -> str:
    """Return the name of a packet type as the RFCs write it, `Access-Request`."""
    return "-".join(word.capitalize() for word in Code(code).name.split("_"))


def described_packet(octets: bytes, dictionary: Dictionary) -> dict[str, object]:
    """Return a packet as `--json` prints it."""
    attributes = [{"name": name, "value": value} for name, value in dictionary.describe(octets[HEADER:])]
    return {"code": code_name(octets[0]), "id": octets[1], "octets": len(octets), "attributes": attributes}


def packet_text(octets: bytes, dictionary: Dictionary, *, arrow: str, columns: int, note: str = "") -> Text:
    """Return a packet as lines: what it is, then one attribute a line, folded to so many columns."""
    pairs = dictionary.describe(octets[HEADER:])
    width = max((len(name) for name, _ in pairs), default=0)
    indent = "\n" + " " * (width + 6)
    room = max(_NARROWEST, columns - width - 6)
    text = Text.assemble(
        (f"{arrow} {code_name(octets[0])}", _STYLES.get(Code(octets[0]), _PLAIN)),
        (f"  Id {octets[1]}, {len(octets)} octets{note}", "dim"),
    )
    for name, value in pairs:
        text.append(f"\n    {name.ljust(width)}  ").append(indent.join(textwrap.wrap(value, room)), "bold")
    return text


def paper() -> Console:
    """Return where people read: in colour on a terminal, plain elsewhere; what looks like markup stays what it is."""
    return Console(markup=False, highlight=False, emoji=False, soft_wrap=True)


def columns(console: Console) -> int:
    """Return how wide a line may be: programs get whole lines."""
    return console.width if console.is_terminal else _UNFOLDED

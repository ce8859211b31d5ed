"""QR codes for a terminal."""

import io
from typing import Final

import segno
from rich.console import Console
from rich.text import Text

# Light on dark whatever the terminal's colours are: scanners want the quiet zone to be the light one.
_STYLE: Final = "#ffffff on #000000"


def qr(text: str) -> str:
    """Return a QR code as half-height blocks; what is drawn is its light part."""
    drawn = io.StringIO()
    # Error correction L: a screen is not dirty, and a smaller code fits into more terminals.
    segno.make(text, error="l", boost_error=False).terminal(out=drawn, border=2, compact=True)
    return drawn.getvalue()


def qr_lines(text: str, console: Console) -> list[Text]:
    """Return a QR code as lines for this terminal; none where it is too narrow or has no blocks to draw with."""
    lines = qr(text).splitlines()
    if len(lines[0]) > console.width or not console.encoding.startswith("utf"):
        return []
    return [Text(line, _STYLE) for line in lines]

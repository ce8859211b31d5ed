"""Draw a terminal as SVG: `tmux capture-pane -e -p | python docs/images/terminal.py > docs/images/demo.svg`.

Half blocks become rectangles, so that a QR code on the picture can be scanned; no font from elsewhere is needed.
"""  # noqa: INP001 - a script beside its picture, not a package

import sys
from collections.abc import Iterator
from html import escape
from itertools import groupby

from rich.ansi import AnsiDecoder
from rich.color import Color
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from rich.terminal_theme import SVG_EXPORT_THEME

WIDTH, HEIGHT, FONT, MARGIN = 8, 16, 13, 16
BACKGROUND, FOREGROUND, DIM = "#16181d", "#e6e6e6", "#8b919c"
HALVES = {"█": (0, 1), "▀": (0,), "▄": (1,)}


def _hex(color: Color | None, default: str) -> str:
    if color is None or color.is_default:
        return default
    return color.get_truecolor(SVG_EXPORT_THEME).hex


def _is_block(style: Style) -> bool:
    return style.bgcolor is not None and not style.bgcolor.is_default


def _text(column: int, row: int, text: str, style: Style) -> str:
    fill = _hex(style.color, DIM if style.dim else FOREGROUND)
    weight = ' font-weight="bold"' if style.bold else ""
    line = ' text-decoration="underline"' if style.underline else ""
    line = ' text-decoration="line-through"' if style.strike else line
    x, y = MARGIN + column * WIDTH, MARGIN + row * HEIGHT + FONT - 1
    length = f'textLength="{len(text) * WIDTH}" lengthAdjust="spacingAndGlyphs"'
    return f'<text xml:space="preserve" x="{x}" y="{y}" {length} fill="{fill}"{weight}{line}>{escape(text)}</text>'


def _blocks(column: int, row: int, text: str) -> Iterator[str]:
    """Give the light half cells as runs of a path."""
    for half in (0, 1):
        at = column
        for light, run in groupby([half in HALVES.get(char, ()) for char in text]):
            width = len(list(run))
            if light:
                x, y = MARGIN + at * WIDTH, MARGIN + row * HEIGHT + half * HEIGHT // 2
                yield f"M{x} {y}h{width * WIDTH}v{HEIGHT // 2}h-{width * WIDTH}z"
            at += width


def _line(row: int, segments: list[Segment]) -> Iterator[tuple[str, str]]:
    """Give ("text", element) and ("path", piece)."""
    column = 0
    for text, style, _ in segments:
        if _is_block(style or Style()):
            yield from (("path", piece) for piece in _blocks(column, row, text))
        elif text.strip():
            start = len(text) - len(text.lstrip())
            yield "text", _text(column + start, row, text.strip(), style or Style())
        column += len(text)


def draw(captured: str) -> str:
    """Return the SVG of what a terminal shows, from its text with ANSI escapes."""
    console = Console(width=200, color_system="truecolor")
    # One decoder for all lines: tmux writes an escape only where the style changes, be it lines before.
    rows = [list(line.render(console, end="")) for line in AnsiDecoder().decode(captured.rstrip())]
    pieces = [piece for row, segments in enumerate(rows) for piece in _line(row, segments)]
    width = max(sum(len(segment.text) for segment in row) for row in rows) * WIDTH + 2 * MARGIN
    height = len(rows) * HEIGHT + 2 * MARGIN
    path = "".join(piece for kind, piece in pieces if kind == "path")
    texts = "\n".join(piece for kind, piece in pieces if kind == "text")
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">
<rect width="{width}" height="{height}" rx="8" fill="{BACKGROUND}"/>
<path fill="#ffffff" shape-rendering="crispEdges" d="{path}"/>
<g font-family="ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="{FONT}" xml:space="preserve">
{texts}
</g>
</svg>
"""


if __name__ == "__main__":
    sys.stdout.write(draw(sys.stdin.read()))

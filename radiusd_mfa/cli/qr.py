"""QR codes for a terminal."""

import io

import segno


def qr(text: str) -> str:
    """Return a QR code as half-height blocks, for a terminal of either colour scheme."""
    drawn = io.StringIO()
    # Error correction L: a screen is not dirty, and a smaller code fits into more terminals.
    segno.make(text, error="l", boost_error=False).terminal(out=drawn, border=2, compact=True)
    return drawn.getvalue()

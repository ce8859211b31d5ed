"""What carries a seed to an authenticator app: a QR code to scan, and the secret to type."""

from urllib.parse import parse_qs, urlsplit

import segno

_GROUP = 4


def qr_svg(uri: str) -> str:
    """Return a QR code as inline SVG, dark on light whatever the page's colours: scanners want it so."""
    return segno.make(uri, error="m").svg_inline(
        border=2, dark="#000000", light="#ffffff", omitsize=True, svgclass=None, lineclass=None
    )


def grouped_secret(uri: str) -> str:
    """Return the secret of an otpauth URI in groups of four, as people type it."""
    secret = parse_qs(urlsplit(uri).query)["secret"][0]
    return " ".join(secret[at : at + _GROUP] for at in range(0, len(secret), _GROUP))

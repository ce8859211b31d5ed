"""That somebody gave a second factor: what periods, known devices and repeated texts rest on."""

from dataclasses import dataclass, field

from radiusd_mfa.core.values import quick


@quick
@dataclass(frozen=True, slots=True)
class Verification:
    """When the user gave a second factor, on which device of which NAS, and the digest of the text that did."""

    at: float
    """Unix time in seconds."""
    text: bytes = field(repr=False)
    nas_id: int = 0
    device: str = ""

"""Backup codes: make a set, show a code, recognise a typed one; hashing and spending them is other people's work."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

# Without 0 and 1, l and o, which people misread. 32 characters are 5 bits each, and no bias in `octet & 31`.
ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"
LETTERS = ALPHABET[:24]
LENGTH = 15
SHOWN_LENGTH = 17
SELECTOR_LENGTH = 2
GROUP_LENGTH = 5
MOST_IN_A_SET = 100  # far from the 1,024 selectors, so that drawing distinct ones ends soon

_CHARACTERS = frozenset(ALPHABET)


@dataclass(frozen=True, slots=True)
class BackupCode:
    """A one-time code: a selector that finds its row, and a secret of 64.6 random bits that proves it."""

    selector: str
    secret: str = field(repr=False)

    @property
    def canonical(self) -> str:
        """The 15 characters that are hashed, lower case and without dashes."""
        return self.selector + self.secret

    @property
    def shown(self) -> str:
        """The code as people see it, in three groups of five: `ab3de-fgh4k-mnp5q`."""
        text = self.canonical
        return "-".join(text[start : start + GROUP_LENGTH] for start in range(0, LENGTH, GROUP_LENGTH))


def make_set(count: int, entropy: Callable[[int], bytes]) -> tuple[BackupCode, ...]:
    """Make `count` codes (1 to 100) with distinct selectors; `entropy(n)` gives n random octets."""
    if not 1 <= count <= MOST_IN_A_SET:
        raise ValueError(f"A set has 1 to {MOST_IN_A_SET} backup codes, not {count}.")
    codes: dict[str, BackupCode] = {}
    for code in _endless(entropy):
        codes.setdefault(code.selector, code)
        if len(codes) == count:
            break
    return tuple(codes.values())


def tidy(text: str) -> BackupCode | None:
    """Read a typed code in any case, with dashes and spaces or without; None if it hasn't the shape of one."""
    # str.lower() would turn U+212A, the Kelvin sign, into a k.
    if not text.isascii():
        return None
    canonical = text.replace("-", "").replace(" ", "").lower()
    if len(canonical) != LENGTH or canonical[-1] not in LETTERS or not _CHARACTERS.issuperset(canonical):
        return None
    return BackupCode(canonical[:SELECTOR_LENGTH], canonical[SELECTOR_LENGTH:])


def _endless(entropy: Callable[[int], bytes]) -> Iterator[BackupCode]:
    while True:
        text = "".join(ALPHABET[octet & 31] for octet in entropy(LENGTH - 1)) + _letter(entropy)
        yield BackupCode(text[:SELECTOR_LENGTH], text[SELECTOR_LENGTH:])


def _letter(entropy: Callable[[int], bytes]) -> str:
    # The last character is what tells a backup code from a TOTP code. 24 of 32 draws are letters; the rest is
    # drawn again rather than reduced, for the sake of an even distribution.
    while (index := entropy(1)[0] & 31) >= len(LETTERS):
        pass
    return LETTERS[index]

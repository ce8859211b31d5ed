r"""One spelling per person and per password (RFC 8265), and the two ways to write a realm beside a name.

Owns the preparations. Knows no directory or wire, and not which realms there are: `alice@corp.example` may be the
whole name of somebody.
"""

from dataclasses import dataclass
from typing import Self

from precis_i18n import get_profile

USERNAME_OCTETS = 253  # RFC 2865 5: an attribute holds no more
PASSWORD_OCTETS = 128  # RFC 2865 5.2: what User-Password carries, and the code has to fit in with it
LONGEST_CODE_OCTETS = 17  # a backup code with its dashes; TOTP codes have at most 8 digits
NEW_PASSWORD_OCTETS = PASSWORD_OCTETS - LONGEST_CODE_OCTETS

_USERNAME = get_profile("UsernameCaseMapped")
_OPAQUE_STRING = get_profile("OpaqueString")


class NameProblem(ValueError):
    """A text that can't be a user name; the message is a sentence for people."""


class PasswordProblem(NameProblem):
    """A text that can't be a password; the message never holds any of it."""


@dataclass(frozen=True, slots=True)
class Username:
    r"""A person's name in the one spelling of RFC 8265 UsernameCaseMapped; it may contain `\` and `@`."""

    text: str

    @classmethod
    def parse(cls, raw: bytes | str) -> Self:
        """Prepare what was typed or sent, at most 253 octets of UTF-8; raise NameProblem if it can't be a name."""
        octets = _octets(raw)
        if not octets:
            raise NameProblem("A user name can't be empty.")
        if len(octets) > USERNAME_OCTETS:
            raise NameProblem(f"A user name has at most {USERNAME_OCTETS} octets, this one has {len(octets)}.")
        # Width mapping, NFC and the Bidi Rule change nothing in ASCII. 0.6 us instead of 9 us for a name of 13.
        if octets.isascii() and (text := octets.decode("ascii")).isprintable() and " " not in text:
            return cls(text.lower())
        return cls(_prepared_name(octets))

    @property
    def found_as(self) -> tuple[str, ...]:
        """The names under which a sign-in with this one may stand in the audit log: without a realm that is known."""
        split = self.without_realm()
        return (self.text,) if split is None else (self.text, split[1].text)

    def without_realm(self) -> tuple[str, "Username"] | None:
        r"""Return (realm, name) of `alice@realm` or `REALM\alice`; None where there is no realm, or nobody before it.

        Of both, the one behind `@` is it: RFC 7542 2.2 has the realm there, and nowhere else.
        """
        text = self.text
        if "@" not in text and "\\" not in text:
            return None  # the way of almost every name: 60 ns
        local, at, realm = text.rpartition("@")
        if not at:
            realm, _, local = text.partition("\\")
        if not realm or not local:
            return None
        try:
            return realm, Username.parse(local)
        except NameProblem:  # a part of a name need not be one, by the Bidi Rule (RFC 5893)
            return None


def prepare_realm(raw: bytes | str) -> str:
    """Prepare a realm as it comes out of a prepared name, lower case; raise NameProblem if it can't be one."""
    realm = Username.parse(raw).text
    if "@" in realm or "\\" in realm:
        raise NameProblem(f"“{escaped(raw)}” can't be a realm: write only what stands behind the @ or before the \\.")
    return realm


def prepare_password(raw: bytes | str) -> str:
    """Prepare at most 128 octets of UTF-8 by RFC 8265 OpaqueString (NFC); raise PasswordProblem if it can't be."""
    octets = _octets(raw)
    if not octets:
        # RFC 4513 5.1.2: a directory answers success to an empty password, and means "anonymous".
        raise PasswordProblem("A password can't be empty.")
    if len(octets) > PASSWORD_OCTETS:
        raise PasswordProblem(f"A password has at most {PASSWORD_OCTETS} octets, this one has {len(octets)}.")
    # OpaqueString leaves printable ASCII as it is. 0.2 us instead of 6 us for a text of 13.
    if octets.isascii() and (text := octets.decode("ascii")).isprintable():
        return text
    prepared = _opaque_string(octets)
    if prepared is None:
        raise PasswordProblem("A password is UTF-8 text without control characters (RFC 8265 section 4.2).")
    return prepared


def check_new_password(text: str) -> None:
    """Raise PasswordProblem unless the prepared password fits into User-Password together with the longest code."""
    length = len(_octets(text))
    if not length:
        raise PasswordProblem("A password can't be empty.")
    if length > NEW_PASSWORD_OCTETS:
        raise PasswordProblem(
            f"A password has at most {NEW_PASSWORD_OCTETS} octets, this one has {length}: RADIUS carries "
            f"{PASSWORD_OCTETS}, and a backup code of {LONGEST_CODE_OCTETS} must fit in behind the password."
        )


def escaped(raw: bytes | str, limit: int = 64) -> str:
    r"""Return foreign text as one printable piece for a log, `…` in place of what exceeds `limit` characters.

    What isn't printable becomes `\x1b`, `\n` or `\u202e`, a backslash is doubled, so no two texts look the same.
    """
    # Cut before decoding: nobody's megabyte is worth a log line. A UTF-8 character has at most 4 octets.
    head = raw[: 4 * (limit + 1)]
    text = head.decode(errors="surrogateescape") if isinstance(head, bytes) else head
    if len(text) <= limit and text.isprintable() and "\\" not in text:
        return text  # the way of almost every name and station
    shown = ""
    for character in text:
        piece = _shown(character)
        if len(shown) + len(piece) > limit:
            return shown + "…"
        shown += piece
    return shown


def _octets(raw: bytes | str) -> bytes:
    # A lone surrogate becomes octets that are no UTF-8, and is refused with them.
    return raw.encode(errors="surrogatepass") if isinstance(raw, str) else raw


def _prepared_name(octets: bytes) -> str:
    try:
        name = str(_USERNAME.enforce(octets))
    except UnicodeDecodeError as error:
        raise NameProblem(f"A user name is UTF-8 text, “{escaped(octets)}” is not.") from error
    except UnicodeEncodeError as error:
        raise NameProblem(_complaint(octets, error)) from error
    # Lower case and NFC can lengthen a text (U+0130), and what was prepared must be able to come back as it is.
    if len(name.encode()) > USERNAME_OCTETS:
        raise NameProblem(f"A user name has at most {USERNAME_OCTETS} octets, in lower case this one has more.")
    return name


def _complaint(octets: bytes, error: UnicodeEncodeError) -> str:
    culprit = error.object[error.start : error.end]
    if len(culprit) == 1:
        return f"“{escaped(octets)}” can't be a user name: U+{ord(culprit):04X} is not allowed there by RFC 8265."
    return f"“{escaped(octets)}” can't be a user name by RFC 8265 section 3.3 ({error.reason})."


def _opaque_string(octets: bytes) -> str | None:
    # An outcome, not a chained exception: a UnicodeError carries the whole text, and with it the password.
    try:
        return str(_OPAQUE_STRING.enforce(octets))
    except UnicodeError:
        return None


def _shown(character: str) -> str:
    if character == "\\":
        return r"\\"
    if character.isprintable():
        return character
    if "\udc80" <= character <= "\udcff":  # where surrogateescape puts an octet that is no UTF-8
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")

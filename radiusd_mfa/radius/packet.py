"""What a request asks and how it is answered, as seen by a server.

Owns Message-Authenticator, the reading of an Access-Request and the building of replies. Knows no socket, database,
clock or dictionary: reply attributes arrive as octets that were encoded once (attributes.py).
"""

import hmac
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from hashlib import md5
from typing import Final, Protocol, assert_never

from radiusd_mfa.radius.password import fits, reveal
from radiusd_mfa.radius.wire import (
    HEADER,
    PACKET_LIMIT,
    Attribute,
    Cause,
    Code,
    Packet,
    PacketError,
    attribute,
    without,
)

PROXY_STATE_LIMIT: Final = 2048
"""Octets of Proxy-State attributes that a request may ask to have echoed."""
ATTRIBUTES_LIMIT: Final = PACKET_LIMIT - HEADER - 18 - PROXY_STATE_LIMIT
"""Octets of reply attributes that fit into every reply, whatever it has to echo."""
_DIGEST: Final = 16
_BLANK: Final = bytes(_DIGEST)
_MESSAGE_AUTHENTICATOR: Final = bytes((Attribute.MESSAGE_AUTHENTICATOR, 18))


class ReplyMessageAuthenticator(Enum):
    """When a NAS is sent a Message-Authenticator; some drop a reply that has one, some a reply without."""

    ALWAYS = "always"
    MIRROR = "mirror"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class NasRules:
    """What the codec must know of a NAS; `omit` holds attribute types and (vendor, type) pairs.

    `omit` concerns reply attributes only: Message-Authenticator has its own rule, and Proxy-State must be echoed.
    """

    secret: bytes = field(repr=False)
    require_message_authenticator: bool = True
    allow_proxy_state: bool = False
    reply_message_authenticator: ReplyMessageAuthenticator = ReplyMessageAuthenticator.ALWAYS
    omit: frozenset[int | tuple[int, int]] = frozenset()

    def __post_init__(self) -> None:
        """Refuse an empty secret, with which anybody could sign (RFC 2865 3)."""
        if not self.secret:
            raise ValueError("The shared secret of a NAS must not be empty.")


class Refusal(StrEnum):
    """Why an Access-Request gets an Access-Reject whatever the user's credentials are worth."""

    EAP = "eap"
    CHAP = "chap"
    TWO_PASSWORDS = "two-passwords"
    TWO_USER_NAMES = "two-user-names"
    TWO_STATES = "two-states"
    NO_USER_NAME = "no-user-name"
    NO_PASSWORD = "no-password"  # noqa: S105 - names a refusal
    PASSWORD_LENGTH = "password-length"  # noqa: S105 - names a refusal


_OTHER_METHODS: Final = ((Attribute.EAP_MESSAGE, Refusal.EAP), (Attribute.CHAP_PASSWORD, Refusal.CHAP))
_NEEDED: Final = ((Attribute.USER_NAME, Refusal.NO_USER_NAME), (Attribute.USER_PASSWORD, Refusal.NO_PASSWORD))
# RFC 2865 5.44 allows one of each; which of two is meant would be read differently by a proxy or a log.
_AT_MOST_ONE: Final = (
    (Attribute.USER_PASSWORD, Refusal.TWO_PASSWORDS),
    (Attribute.USER_NAME, Refusal.TWO_USER_NAMES),
    (Attribute.STATE, Refusal.TWO_STATES),
)


@dataclass(frozen=True, slots=True)
class AccessRequest:
    """An authenticated Access-Request; values are as sent, only the password is revealed and unpadded.

    `password` is None exactly if there is a `refusal`; it may be empty, as pam_radius sends it.
    """

    identifier: int
    authenticator: bytes = field(repr=False)
    user_name: bytes | None
    password: bytes | None = field(repr=False)
    state: bytes | None
    service_type: int | None
    calling_station_id: bytes | None
    nas_identifier: bytes | None
    acct_session_id: bytes | None
    proxy_states: tuple[bytes, ...]
    message_authenticator: bool
    refusal: Refusal | None


@dataclass(frozen=True, slots=True)
class StatusRequest:
    """An authenticated Status-Server: the NAS asks whether this server lives (RFC 5997)."""

    identifier: int
    authenticator: bytes = field(repr=False)
    proxy_states: tuple[bytes, ...]
    message_authenticator: bool


class Asked(Protocol):
    """What a reply must repeat of its request."""

    @property
    def identifier(self) -> int:
        """Identifier of the request."""

    @property
    def authenticator(self) -> bytes:
        """Request Authenticator, 16 octets."""

    @property
    def proxy_states(self) -> tuple[bytes, ...]:
        """Values of Proxy-State, in order."""

    @property
    def message_authenticator(self) -> bool:
        """Whether the request carried a Message-Authenticator."""


def authenticate(packet: Packet, rules: NasRules) -> None:
    """Raise PacketError for a request that must be dropped before it costs anything (ATTACKS 3, 4, 10)."""
    if packet.code not in (Code.ACCESS_REQUEST, Code.STATUS_SERVER):
        raise PacketError(Cause.CODE)
    kinds = [kind for kind, _ in packet.attributes]
    carried = Attribute.MESSAGE_AUTHENTICATOR in kinds
    # RFC 5997 3: a Status-Server without Message-Authenticator is dropped whatever the NAS may do.
    if not carried and (rules.require_message_authenticator or packet.code == Code.STATUS_SERVER):
        raise PacketError(Cause.MESSAGE_AUTHENTICATOR_MISSING)
    if carried:
        verify_message_authenticator(packet, kinds, secret=rules.secret, authenticator=packet.authenticator)
    if Attribute.PROXY_STATE in kinds:
        _check_proxy_state(packet, signed=carried, rules=rules)


def verify_message_authenticator(packet: Packet, kinds: list[int], *, secret: bytes, authenticator: bytes) -> None:
    """Check the one Message-Authenticator that `kinds`, the packet's attribute types, must hold (RFC 3579 3.2).

    `authenticator` is the Request Authenticator, for a reply too. Any position in the packet is right.
    """
    if kinds.count(Attribute.MESSAGE_AUTHENTICATOR) != 1:
        raise PacketError(Cause.MESSAGE_AUTHENTICATOR_REPEATED)
    index = kinds.index(Attribute.MESSAGE_AUTHENTICATOR)
    given = packet.attributes[index][1]
    if len(given) != _DIGEST:
        raise PacketError(Cause.MESSAGE_AUTHENTICATOR_LENGTH)
    octets = packet.octets
    at = HEADER + 2 + sum([2 + len(value) for _, value in packet.attributes[:index]])
    blanked = octets[:4] + authenticator + octets[HEADER:at] + _BLANK + octets[at + _DIGEST :]
    if not hmac.compare_digest(hmac.digest(secret, blanked, "md5"), given):
        raise PacketError(Cause.MESSAGE_AUTHENTICATOR_WRONG)


def _check_proxy_state(packet: Packet, *, signed: bool, rules: NasRules) -> None:
    # BlastRADIUS (CVE-2024-3596) puts its collision into an unsigned Proxy-State that the server echoes.
    if not signed and not rules.allow_proxy_state:
        raise PacketError(Cause.PROXY_STATE)
    echoed = sum([2 + len(value) for kind, value in packet.attributes if kind == Attribute.PROXY_STATE])
    # Silence, since even the refusal would have to echo them, and RFC 2865 5.33 allows no reply without.
    if echoed > PROXY_STATE_LIMIT:
        raise PacketError(Cause.PROXY_STATE_LENGTH)


def read_request(packet: Packet, rules: NasRules) -> AccessRequest | StatusRequest:
    """Say what an authenticated packet asks; a request that is refused as such carries its `refusal`."""
    # RFC 2865 5: a text or string attribute of length zero is not to be sent, so it says nothing.
    meant = [pair for pair in packet.attributes if pair[1]]
    kinds = [kind for kind, _ in meant]
    first = dict(reversed(meant))
    signed = Attribute.MESSAGE_AUTHENTICATOR in first
    proxy_states: tuple[bytes, ...] = ()
    if Attribute.PROXY_STATE in first:
        proxy_states = tuple([value for kind, value in meant if kind == Attribute.PROXY_STATE])
    if packet.code == Code.STATUS_SERVER:
        return StatusRequest(packet.identifier, packet.authenticator, proxy_states, signed)
    refusal = _refusal(kinds, first)
    password = None
    if refusal is None:
        hidden = first[Attribute.USER_PASSWORD]
        password = reveal(hidden, secret=rules.secret, authenticator=packet.authenticator)
    return AccessRequest(
        packet.identifier,
        packet.authenticator,
        first.get(Attribute.USER_NAME),
        password,
        first.get(Attribute.STATE),
        _service_type(first),
        first.get(Attribute.CALLING_STATION_ID),
        first.get(Attribute.NAS_IDENTIFIER),
        first.get(Attribute.ACCT_SESSION_ID),
        proxy_states,
        signed,
        refusal,
    )


def _service_type(first: dict[int, bytes]) -> int | None:
    value = first.get(Attribute.SERVICE_TYPE, b"")
    return int.from_bytes(value) if len(value) == 4 else None  # noqa: PLR2004 - RFC 2865 5.6: four octets


def _refusal(kinds: list[int], first: dict[int, bytes]) -> Refusal | None:
    """Why the credentials in a request can't be read, the plainest reason first (ATTACKS 6)."""
    for kind, refusal in _OTHER_METHODS:
        if kind in first:
            return refusal
    for kind, refusal in _NEEDED:
        if kind not in first:
            return refusal
    for kind, refusal in _AT_MOST_ONE:
        if kinds.count(kind) > 1:
            return refusal
    return None if fits(first[Attribute.USER_PASSWORD]) else Refusal.PASSWORD_LENGTH


def encode_reply(*, code: Code, request: Asked, rules: NasRules, attributes: bytes) -> bytes:
    """Build the reply: Message-Authenticator, `attributes` less those to omit, Proxy-States in order.

    Raises PacketError if that is over 4096 octets, which takes more than ATTRIBUTES_LIMIT of attributes.
    """
    rest = without(attributes, rules.omit) if rules.omit else attributes
    # Where the request was not signed, only the entry's own word lets octets of the request into the reply.
    if request.proxy_states and (request.message_authenticator or rules.allow_proxy_state):
        rest += b"".join([attribute(Attribute.PROXY_STATE, value) for value in request.proxy_states])
    signed = _signs(rules.reply_message_authenticator, request)
    length = HEADER + len(rest) + (len(_MESSAGE_AUTHENTICATOR) + _DIGEST if signed else 0)
    if length > PACKET_LIMIT:
        raise PacketError(Cause.PACKET_LENGTH)
    start = bytes((code, request.identifier, length >> 8, length & 0xFF))
    covered = start + request.authenticator
    if signed:
        # First, so that a forger would need to know its value before choosing a collision (CVE-2024-3596).
        blank = covered + _MESSAGE_AUTHENTICATOR + _BLANK + rest
        rest = _MESSAGE_AUTHENTICATOR + hmac.digest(rules.secret, blank, "md5") + rest
    response_authenticator = md5(covered + rest + rules.secret, usedforsecurity=False).digest()
    return start + response_authenticator + rest


def _signs(rule: ReplyMessageAuthenticator, request: Asked) -> bool:
    match rule:
        case ReplyMessageAuthenticator.ALWAYS:
            return True
        case ReplyMessageAuthenticator.MIRROR:
            return request.message_authenticator
        case ReplyMessageAuthenticator.NEVER:
            return False
        case other:
            assert_never(other)

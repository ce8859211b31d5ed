"""What a request asks and how it is answered, as seen by a server.

Owns Message-Authenticator, the reading of an Access-Request and the building of replies. Knows no socket, database,
clock or dictionary: reply attributes arrive as octets that were encoded once (attributes.py).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from struct import Struct
from typing import Final, NamedTuple, Protocol, assert_never

from radiusd_mfa.radius.password import fits, reveal
from radiusd_mfa.radius.signature import check_message_authenticator, hmac_md5, response_authenticator
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
# Plain numbers: an enum's member costs three times as much to look up and to compare, and there are many a packet.
_USER_NAME: Final = Attribute.USER_NAME.value
_USER_PASSWORD: Final = Attribute.USER_PASSWORD.value
_CHAP_PASSWORD: Final = Attribute.CHAP_PASSWORD.value
_SERVICE_TYPE: Final = Attribute.SERVICE_TYPE.value
_STATE: Final = Attribute.STATE.value
_CALLING_STATION_ID: Final = Attribute.CALLING_STATION_ID.value
_NAS_IDENTIFIER: Final = Attribute.NAS_IDENTIFIER.value
_PROXY_STATE: Final = Attribute.PROXY_STATE.value
_ACCT_SESSION_ID: Final = Attribute.ACCT_SESSION_ID.value
_EAP_MESSAGE: Final = Attribute.EAP_MESSAGE.value
_MESSAGE_AUTHENTICATOR: Final = Attribute.MESSAGE_AUTHENTICATOR.value
_STATUS_SERVER: Final = Code.STATUS_SERVER.value
_REQUESTS: Final = frozenset((Code.ACCESS_REQUEST.value, Code.STATUS_SERVER.value))

_INTEGER: Final = 4
_START: Final = Struct("!BBH")
_DIGEST: Final = 16
_BLANK: Final = bytes(_DIGEST)
_START_OF_SIGNATURE: Final = bytes((_MESSAGE_AUTHENTICATOR, 18))


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


# RFC 2865 5.44 allows one of each; which of two is meant would be read differently by a proxy or a log.
_AT_MOST_ONE: Final = (
    (_USER_PASSWORD, Refusal.TWO_PASSWORDS),
    (_USER_NAME, Refusal.TWO_USER_NAMES),
    (_STATE, Refusal.TWO_STATES),
)


class AccessRequest(NamedTuple):
    """An authenticated Access-Request; values are as sent, only the password is revealed and unpadded.

    `password` is None exactly if there is a `refusal`; it may be empty, as pam_radius sends it. A named tuple, since a
    frozen dataclass of twelve fields takes 1.3 us, a tenth of the whole exchange; it prints without the secret ones.
    """

    identifier: int
    authenticator: bytes
    user_name: bytes | None
    password: bytes | None
    state: bytes | None
    service_type: int | None
    calling_station_id: bytes | None
    nas_identifier: bytes | None
    acct_session_id: bytes | None
    proxy_states: tuple[bytes, ...]
    message_authenticator: bool
    refusal: Refusal | None

    def __repr__(self) -> str:
        return f"AccessRequest(identifier={self.identifier}, user_name={self.user_name!r}, refusal={self.refusal!r})"


class StatusRequest(NamedTuple):
    """An authenticated Status-Server: the NAS asks whether this server lives (RFC 5997)."""

    identifier: int
    authenticator: bytes
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
    if packet.code not in _REQUESTS:
        raise PacketError(Cause.CODE)
    carried = _MESSAGE_AUTHENTICATOR in packet.found
    # RFC 5997 3: a Status-Server without Message-Authenticator is dropped whatever the NAS may do.
    if not carried and (rules.require_message_authenticator or packet.code == _STATUS_SERVER):
        raise PacketError(Cause.MESSAGE_AUTHENTICATOR_MISSING)
    if carried:
        check_message_authenticator(packet, signed=packet.octets, secret=rules.secret)
    if _PROXY_STATE in packet.found:
        _check_proxy_state(packet, signed=carried, rules=rules)


def _check_proxy_state(packet: Packet, *, signed: bool, rules: NasRules) -> None:
    # BlastRADIUS (CVE-2024-3596) puts its collision into an unsigned Proxy-State that the server echoes.
    if not signed and not rules.allow_proxy_state:
        raise PacketError(Cause.PROXY_STATE)
    echoed = sum([2 + len(value) for kind, value in packet.attributes if kind == _PROXY_STATE])
    # Silence, since even the refusal would have to echo them, and RFC 2865 5.33 allows no reply without.
    if echoed > PROXY_STATE_LIMIT:
        raise PacketError(Cause.PROXY_STATE_LENGTH)


def read_request(packet: Packet, rules: NasRules) -> AccessRequest | StatusRequest:
    """Say what an authenticated packet asks; a request that is refused as such carries its `refusal`."""
    meant: Collection[tuple[int, bytes]] = packet.attributes
    first = packet.found
    if len(first) < len(meant) or b"" in first.values():
        # RFC 2865 5: an attribute of no octets is not to be sent, so it says nothing. Of several, the first counts.
        meant = [pair for pair in packet.attributes if pair[1]]
        first = dict(reversed(meant))
    signed = _MESSAGE_AUTHENTICATOR in first
    proxy_states: tuple[bytes, ...] = ()
    if _PROXY_STATE in first:
        proxy_states = tuple([value for kind, value in meant if kind == _PROXY_STATE])
    if packet.code == _STATUS_SERVER:
        return StatusRequest(packet.identifier, packet.authenticator, proxy_states, signed)
    refusal = _refusal(meant, first)
    password = None
    if refusal is None:
        hidden = first[_USER_PASSWORD]
        password = reveal(hidden, secret=rules.secret, authenticator=packet.authenticator)
    return AccessRequest(
        packet.identifier,
        packet.authenticator,
        first.get(_USER_NAME),
        password,
        first.get(_STATE),
        _service_type(first.get(_SERVICE_TYPE)),
        first.get(_CALLING_STATION_ID),
        first.get(_NAS_IDENTIFIER),
        first.get(_ACCT_SESSION_ID),
        proxy_states,
        signed,
        refusal,
    )


def _service_type(value: bytes | None) -> int | None:
    # RFC 2865 5.6: four octets; another length says nothing.
    return int.from_bytes(value) if value is not None and len(value) == _INTEGER else None


def _refusal(meant: Collection[tuple[int, bytes]], first: Mapping[int, bytes]) -> Refusal | None:
    """Why the credentials in a request can't be read, the plainest reason first (ATTACKS 6)."""
    if _EAP_MESSAGE in first:
        return Refusal.EAP
    if _CHAP_PASSWORD in first:
        return Refusal.CHAP
    if _USER_NAME not in first:
        return Refusal.NO_USER_NAME
    if _USER_PASSWORD not in first:
        return Refusal.NO_PASSWORD
    if len(first) < len(meant):
        kinds = [kind for kind, _ in meant]
        for kind, refusal in _AT_MOST_ONE:
            if kinds.count(kind) > 1:
                return refusal
    return None if fits(first[_USER_PASSWORD]) else Refusal.PASSWORD_LENGTH


def encode_reply(*, code: Code, request: Asked, rules: NasRules, attributes: bytes) -> bytes:
    """Build the reply: Message-Authenticator, `attributes` less those to omit, Proxy-States in order.

    Raises PacketError if that is over 4096 octets, which takes more than ATTRIBUTES_LIMIT of attributes.
    """
    rest = without(attributes, rules.omit) if rules.omit else attributes
    # Where the request was not signed, only the entry's own word lets octets of the request into the reply.
    if request.proxy_states and (request.message_authenticator or rules.allow_proxy_state):
        rest += b"".join([attribute(_PROXY_STATE, value) for value in request.proxy_states])
    signed = _signs(rules.reply_message_authenticator, request)
    length = HEADER + len(rest) + (len(_START_OF_SIGNATURE) + _DIGEST if signed else 0)
    if length > PACKET_LIMIT:
        raise PacketError(Cause.PACKET_LENGTH)
    start = _START.pack(code, request.identifier, length)
    if signed:
        # First, so that a forger would need to know its value before choosing a collision (CVE-2024-3596).
        blanked = start + request.authenticator + _START_OF_SIGNATURE + _BLANK + rest
        rest = _START_OF_SIGNATURE + hmac_md5(blanked, rules.secret) + rest
    return start + response_authenticator(start, request.authenticator, rest, rules.secret) + rest


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

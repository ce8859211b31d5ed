"""Sends a Disconnect-Request to a NAS and waits for its answer, with retransmissions (RFC 5176 2.3, RFC 5080 2.2.1)."""

import os
import socket
from enum import StrEnum
from time import monotonic, time
from typing import Final

from radiusd_mfa.config import Endpoint
from radiusd_mfa.radius.disconnect import Answer, DisconnectRequest, encode_disconnect, read_answer
from radiusd_mfa.radius.wire import PACKET_LIMIT, Attribute, PacketError

PATIENCE: Final = 6.0
"""Seconds after which no answer is expected any more."""
RETRY_AFTER: Final = 2.0
"""Seconds between two tries."""


class Unanswered(StrEnum):
    """Why there is no answer, as far as the asking side can tell."""

    NOBODY_LISTENS = "nobody-listens"
    NOT_GENUINE = "not-genuine"
    NO_REPLY = "no-reply"
    NOT_SENT = "not-sent"


def disconnect(
    user: str, nas: Endpoint, *, secret: bytes, patience: float = PATIENCE, retry_after: float = RETRY_AFTER
) -> Answer | Unanswered:
    """Tell a NAS to end all sessions of a user, known to it by this User-Name; takes up to `patience` seconds."""
    try:
        request = encode_disconnect(
            identifier=os.urandom(1)[0],
            secret=secret,
            attributes=[(Attribute.USER_NAME, user.encode())],
            event_time=int(time()),
        )
    except PacketError:
        return Unanswered.NOT_SENT
    family = socket.AF_INET6 if ":" in nas.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as asking:
        try:
            # Connected, so that a closed port is told at once and nobody else's datagrams are read.
            asking.connect((nas.host, nas.port))
            return _asked(asking, request, secret, until=monotonic() + patience, retry_after=retry_after)
        except ConnectionRefusedError:
            return Unanswered.NOBODY_LISTENS
        except OSError:
            return Unanswered.NOT_SENT


def _asked(
    asking: socket.socket, request: DisconnectRequest, secret: bytes, *, until: float, retry_after: float
) -> Answer | Unanswered:
    """Send the same octets until an answer comes: to the NAS a retransmission is the same request."""
    found = Unanswered.NO_REPLY
    while (now := monotonic()) < until:
        asking.send(request.octets)
        again = min(until, now + retry_after)
        while (left := again - monotonic()) > 0:
            asking.settimeout(left)
            try:
                return read_answer(asking.recv(PACKET_LIMIT + 1), request=request, secret=secret)
            except TimeoutError:
                break
            except PacketError:
                found = Unanswered.NOT_GENUINE
    return found

"""Asks the daemons by Status-Server, without any loss, whether they are well: they must not say so when they aren't."""

import asyncio
import random
import time
from typing import Final

from radiusd_mfa.radius.client import encode_request
from radiusd_mfa.radius.wire import Code
from tests.faults.evidence import Probe
from tests.faults.nodes import Node
from tests.faults.wire import Address
from tests.support.world import SECRET

_TURN: Final = 0.4


class _Listener(asyncio.DatagramProtocol):
    """Takes the answer to a Status-Server."""

    def __init__(self) -> None:
        self.answered: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    def datagram_received(self, _data: bytes, _addr: Address) -> None:
        if not self.answered.done():
            self.answered.set_result(time.time())

    def error_received(self, exc: Exception) -> None:
        """Nobody listens there at the moment."""


async def lateness(lags: list[float], over: asyncio.Event) -> None:
    """Write down by how many seconds each short sleep was too long: so late is everything on a busy machine."""
    while not over.is_set():
        until = time.monotonic() + _TURN
        await asyncio.sleep(_TURN)
        lags.append(time.monotonic() - until)


async def probe(node: Node, probes: list[Probe], over: asyncio.Event, *, source: str) -> None:
    """Ask a node again and again, until it is over."""
    loop = asyncio.get_running_loop()
    while not over.is_set():
        transport, listener = await loop.create_datagram_endpoint(
            _Listener, local_addr=(source, 0), remote_addr=node.address
        )
        sent, authenticator = time.time(), random.randbytes(16)
        transport.sendto(
            encode_request(code=Code.STATUS_SERVER, identifier=0, authenticator=authenticator, secret=SECRET)
        )
        done, _pending = await asyncio.wait({listener.answered}, timeout=_TURN)
        probes.append(Probe(sent, node.name, listener.answered.result() if done else None))
        transport.close()
        await asyncio.sleep(_TURN)

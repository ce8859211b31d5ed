"""Requests as a NAS sends them, made before the clock runs."""

import os
from collections.abc import Iterator
from typing import Final

from bench.lib.accounts import Population
from bench.lib.tickets import Tickets
from radiusd_mfa.radius.client import encode_request
from radiusd_mfa.radius.wire import Attribute, Code

SECRET: Final = b"bench-secret-0123456789"
_AUTHENTICATOR: Final = 16


def requests(population: Population, tickets: Tickets, wrong: frozenset[int] = frozenset()) -> Iterator[bytes]:
    """Yield an Access-Request for each ticket, its Identifier the ticket's number modulo 256.

    The tickets numbered in `wrong` get a code that is not theirs.
    """
    chance = os.urandom(_AUTHENTICATOR * len(tickets))
    for index, (number, step) in enumerate(zip(tickets.users, tickets.steps, strict=True)):
        code = population.wrong_code(number, step) if index in wrong else population.code(number, step)
        yield encode_request(
            code=Code.ACCESS_REQUEST,
            identifier=index & 255,
            authenticator=chance[index * _AUTHENTICATOR : (index + 1) * _AUTHENTICATOR],
            secret=SECRET,
            password=(population.password(number) + code).encode(),
            attributes=[
                (Attribute.USER_NAME, population.name(number).encode()),
                (Attribute.CALLING_STATION_ID, b"192.0.2.7"),
                (Attribute.NAS_IDENTIFIER, b"bench"),
            ],
        )

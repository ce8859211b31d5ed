"""Phones of a test: confirmed ones in the tables, and what is delivered to them by a real gateway over HTTP."""

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from threading import Event
from typing import Any, Final

from sqlalchemy import insert, select

from radiusd_mfa.delivery.office import open_office
from radiusd_mfa.store import schema
from radiusd_mfa.store.outbox_queue import OutboxQueue
from radiusd_mfa.usecases.outbox_ports import Channel
from tests.support.post import TestGateway
from tests.support.world import TestUser, World

NUMBER: Final = "+4915112345678"
ENDING: Final = NUMBER[-3:]


def add_phone(world: World, user: TestUser, number: str = NUMBER, *, is_default: bool = True) -> int:
    """Give a user a confirmed phone, as a control panel would."""
    at = 1_700_000_000.0
    values = {"user_id": user.id, "kind": "sms", "label": "phone", "phone": number, "created_at": at}
    with world.database.writing() as connection:
        if is_default:
            connection.execute(
                schema.methods.update().where(schema.methods.c.user_id == user.id).values(is_default=False)
            )
        statement = insert(schema.methods).values(**values, confirmed_at=at, is_default=is_default)
        return int(connection.execute(statement.returning(schema.methods.c.id)).scalar_one())


def last_code(world: World) -> str:
    """Read the newest code out of the outbox, as a worker that delivers it."""
    queue, now = OutboxQueue(world.database, world.keys), time.time()
    codes = []
    while (claimed := queue.claim([Channel.SMS], now=now, until=now + 60)) is not None:
        assert claimed.values is not None
        codes.append(str(claimed.values["code"]))
    return codes[-1]


def wrong(code: str) -> str:
    """Return other digits."""
    return f"{(int(code) + 1) % 1_000_000:06}"


@dataclass
class Post:
    """The outbox of a world and the gateway that it is delivered to."""

    world: World
    gateway: TestGateway
    clock: Callable[[], float]

    def delivered(self) -> list[tuple[str, str]]:
        """Deliver what waits; return (number, code) of each message that the gateway has ever got."""
        config = replace(self.world.config, sms_url=f"{self.gateway.url}/send")
        office = open_office(config, OutboxQueue(self.world.database, self.world.keys), self.clock)
        office.round(Event())
        messages = [json.loads(asked.body) for asked in self.gateway.asked]
        return [(message["to"], _code(message["text"])) for message in messages]

    def code(self) -> str:
        """Return the newest code that came."""
        number, code = self.delivered()[-1]
        assert number.startswith("+")
        return code

    @property
    def count(self) -> int:
        """Return how many messages were ever written."""
        return len(self.rows(schema.outbox))

    def rows(self, table: Any) -> list[Any]:
        with self.world.database.reading() as connection:
            return list(connection.execute(select(table)).fetchall())


def _code(text: str) -> str:
    (found,) = re.findall(r"\b\d{6}\b", text)
    return str(found)

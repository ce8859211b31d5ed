"""What administrators do during a fault run: methods give way to new ones, backup codes are made anew (I5, I8)."""

import asyncio
import os
import time
from collections import deque
from dataclasses import dataclass, field, replace
from functools import partial
from math import inf
from typing import Final
from urllib.parse import parse_qs, urlsplit

from radiusd_mfa.app import App
from radiusd_mfa.core.names import Username
from radiusd_mfa.core.totp import Algorithm, code_at, seed_from_base32, step_at
from radiusd_mfa.usecases import codes, enrol, reset
from radiusd_mfa.usecases.codes import CodeSet
from radiusd_mfa.usecases.enrol import Confirmed, Enrolment
from radiusd_mfa.usecases.ports import StoreFault
from tests.faults.evidence import Change, Credential, Kind
from tests.faults.people import People, Person
from tests.faults.traffic import Traffic

_PAUSE: Final = 1.0


@dataclass
class Changes:
    """Changes people's methods and codes beside their sign-ins, and lets each old and new code be tried."""

    app: App
    people: People
    traffic: Traffic
    done: list[Change] = field(default_factory=list)
    unsure: int = 0
    """Changes of which nobody knows whether they were committed: the database went away meanwhile."""

    async def flow(self, enough: "asyncio.Event") -> None:
        """Change one after the other until it is enough."""
        while not enough.is_set():
            await asyncio.sleep(_PAUSE)
            person = self.people.take()
            if person is None:
                continue
            try:
                if self.people.chance.random() < 0.5:
                    await self._new_method(person)
                else:
                    await self._new_codes(person)
            except StoreFault:
                # What became of it is unknown, so nothing could be said about this person's codes any more: stays busy.
                self.unsure += 1
            else:
                person.busy = False

    async def _new_method(self, person: Person) -> None:
        store, name = self.app.administration, Username.parse(person.name)
        begun = await asyncio.to_thread(
            partial(reset.own, name, None, label="new", issuer="test", store=store, clock=time.time, entropy=os.urandom)
        )
        if not isinstance(begun, Enrolment):
            return
        seed = seed_from_base32(parse_qs(urlsplit(begun.uri).query)["secret"][0])
        old = person.method
        # Until it is confirmed, and if it never is: it has not counted yet.
        self.done.append(Change(Kind.TOTP, person.name, old, begun.method, inf, inf))
        await self.traffic.try_out(person, _code(person, begun.method, seed, 0))  # unconfirmed: lets nobody in
        await self.traffic.try_right(person)  # the old one still does
        unconfirmed = self.done.pop()
        # Until it is known how it ended: if the database goes away, nobody ever knows.
        self.done.append(replace(unconfirmed, began=time.time()))
        _credential, code = _code(person, begun.method, seed, 0)
        confirmed = await asyncio.to_thread(
            partial(
                enrol.confirm,
                name,
                code,
                store=store,
                hashing=self.app.hashing,
                clock=time.time,
                entropy=os.urandom,
            )
        )
        begun_to_count = self.done.pop()
        if not isinstance(confirmed, Confirmed):
            self.done.append(unconfirmed)
            return
        self.done.append(replace(begun_to_count, ended=time.time()))
        await self.traffic.try_out(person, person.at(step_at(time.time(), 30) + 1))  # the old one lets nobody in
        person.method, person.seed, person.spent = begun.method, seed, []
        person.shown = max(person.shown, step_at(time.time(), 30))

    async def _new_codes(self, person: Person) -> None:
        old = person.backup()
        self.done.append(Change(Kind.BACKUP, person.name, person.generation, person.generation + 1, time.time(), inf))
        made = await asyncio.to_thread(
            partial(
                codes.regenerate,
                Username.parse(person.name),
                None,
                store=self.app.administration,
                hashing=self.app.hashing,
                clock=time.time,
                entropy=os.urandom,
            )
        )
        change = self.done.pop()
        if not isinstance(made, CodeSet):
            return
        self.done.append(replace(change, ended=time.time()))
        if old is not None:
            await self.traffic.try_out(person, old)
        person.generation += 1
        person.paper = deque((code.selector, code.shown) for code in made.codes)


def _code(person: Person, method: int, seed: bytes, offset: int) -> tuple[Credential, str]:
    step = step_at(time.time(), 30) + offset
    return Credential(Kind.TOTP, person.name, method, str(step)), code_at(step, seed, 6, Algorithm.SHA1)

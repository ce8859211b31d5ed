"""The sign-ins of a fault run: mostly right ones, and beside them wrong, doubled, replayed and old ones."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from radiusd_mfa.core.totp import step_at
from radiusd_mfa.radius.wire import Code, Packet
from tests.faults.evidence import Credential
from tests.faults.people import People, Person
from tests.faults.wire import Nas, request, state_of

Coded = tuple[Credential, str]
_PAUSE: Final = 0.2


@dataclass
class Traffic:
    """Signs people in, so many at once, until it is told to stop."""

    people: People
    plain: list[Nas]
    """Password and code together."""
    challenging: Nas
    chance: random.Random
    begun: Counter[str] = field(default_factory=Counter)
    """Sign-ins by kind."""
    right: int = 0
    """Sign-ins with an unspent right code."""
    got_in: int = 0
    silent: int = 0
    """Right ones that nobody answered: they would be tried again later, by a person."""

    async def flow(self, enough: Callable[[], bool], *, abreast: int) -> None:
        """Let so many sign in at once until it is enough."""
        await asyncio.gather(*(self._one_after_the_other(enough) for _ in range(abreast)))

    async def _one_after_the_other(self, enough: Callable[[], bool]) -> None:
        kinds: list[tuple[str, Callable[[Person], Coroutine[Any, Any, None]], int]] = [
            ("right code", self._right, 44),
            ("backup code", self._backup, 8),
            ("challenge", self._challenge, 14),
            ("one code at two devices at once", self._doubled, 8),
            ("spent code again", self._replayed, 8),
            ("wrong code", self._wrong_code, 5),
            ("wrong password", self._wrong_password, 4),
            ("password alone", self._password_alone, 3),
            ("code of an hour ago", self._old, 4),
            ("unknown user", self._unknown, 2),
        ]
        weights = [weight for _name, _how, weight in kinds]
        while not enough():
            person = self.people.take()
            if person is None:
                await asyncio.sleep(_PAUSE)
                continue
            ((name, how, _weight),) = self.chance.choices(kinds, weights)
            try:
                self.begun[name] += 1
                await how(person)
            finally:
                person.busy = False
            await asyncio.sleep(self.chance.random() * _PAUSE)

    async def try_out(self, person: Person, coded: Coded) -> None:
        """Let a code be tried that should let nobody in."""
        await self._appended(person, coded, self._device(), password=person.user.password)

    async def try_right(self, person: Person) -> None:
        """Let a person sign in who should get in."""
        await self._right(person)

    async def _right(self, person: Person) -> None:
        coded = person.totp() or person.backup()
        if coded is not None:
            await self._typed(person, coded, self._device())

    async def _backup(self, person: Person) -> None:
        coded = person.backup() or person.totp()
        if coded is not None:
            await self._typed(person, coded, self._device())

    async def _doubled(self, person: Person) -> None:
        coded = person.totp() or person.backup()
        if coded is not None:
            one, other = self.chance.sample(self.plain, 2)
            await asyncio.gather(
                self._typed(person, coded, one), self._appended(person, coded, other, password=person.user.password)
            )

    async def _replayed(self, person: Person) -> None:
        if person.spent:
            coded = self.chance.choice(person.spent)
            await self._appended(person, coded, self._device(), password=person.user.password)
        else:
            await self._right(person)

    async def _wrong_code(self, person: Person) -> None:
        text = person.user.password + person.wrong_code()
        about = partial(request, user=person.name, credential=None)
        await self._device().sign_in(person.name, text.encode(), about)

    async def _wrong_password(self, person: Person) -> None:
        coded = person.totp()
        if coded is not None:
            await self._appended(person, coded, self._device(), password="not-" + person.user.password)

    async def _password_alone(self, person: Person) -> None:
        about = partial(request, user=person.name, credential=None, code_typed=False)
        await self._device().sign_in(person.name, person.user.password.encode(), about)

    async def _old(self, person: Person) -> None:
        """A code that was seen an hour ago: of use where a clock was set back, unless the watermark stands there."""
        coded = person.at(step_at(time.time(), 30) - 120)
        await self._appended(person, coded, self._device(), password=person.user.password)

    async def _unknown(self, person: Person) -> None:
        name = f"nobody-like-{person.name}"
        about = partial(request, user=name, credential=None, known=False)
        await self._device().sign_in(name, person.user.password.encode() + b"123456", about)

    async def _challenge(self, person: Person) -> None:
        about = partial(request, user=person.name, credential=None, code_typed=False)
        first = await self.challenging.sign_in(person.name, person.user.password.encode(), about)
        if first is None or first.code != Code.ACCESS_CHALLENGE:
            return
        state = state_of(first)
        coded = person.totp() or person.backup()
        if coded is None:
            return
        await self._answered(person, coded, state)
        again = person.backup() if self.chance.random() < 0.2 else None
        if again is not None:  # one State buys one answer
            await self._answered(person, again, state)

    async def _answered(self, person: Person, coded: Coded, state: bytes) -> None:
        credential, code = coded
        about = partial(request, user=person.name, credential=credential, state=state)
        self._count(person, coded, await self.challenging.sign_in(person.name, code.encode(), about, state=state))

    async def _typed(self, person: Person, coded: Coded, nas: Nas) -> None:
        self._count(person, coded, await self._appended(person, coded, nas, password=person.user.password))

    def _count(self, person: Person, coded: Coded, reply: Packet | None) -> None:
        self.right += 1
        if reply is None:
            self.silent += 1
        elif reply.code == Code.ACCESS_ACCEPT:
            self.got_in += 1
            person.spent.append(coded)

    async def _appended(self, person: Person, coded: Coded, nas: Nas, *, password: str) -> Packet | None:
        credential, code = coded
        right = password == person.user.password
        about = partial(request, user=person.name, credential=credential, password_right=right)
        return await nas.sign_in(person.name, (password + code).encode(), about)

    def _device(self) -> Nas:
        return self.chance.choice(self.plain)

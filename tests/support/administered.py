"""A world to administer: an App, a clock that stands still, and people; for the tests of use cases and commands."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Table, func, insert, select

from radiusd_mfa.app import App
from radiusd_mfa.core.names import Username
from radiusd_mfa.core.totp import Algorithm, code_at, seed_from_base32, step_at
from radiusd_mfa.store import schema
from radiusd_mfa.usecases import enrol, people
from radiusd_mfa.usecases.admin_ports import AuditFilter
from radiusd_mfa.usecases.changes import Refusal
from radiusd_mfa.usecases.enrol import Confirmed, Enrolment
from radiusd_mfa.usecases.people import Request


@dataclass(slots=True)
class StoppedClock:
    now: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True, slots=True)
class World:
    app: App
    clock: StoppedClock

    @property
    def needs(self) -> dict[str, Any]:
        return {"store": self.app.administration, "clock": self.clock}

    @property
    def hashing_needs(self) -> dict[str, Any]:
        return {**self.needs, "hashing": self.app.hashing, "entropy": self.app.entropy}

    def user(self, name: str = "alice", password: str = "correct horse") -> Username:
        parsed = Username.parse(name)
        made = people.add(Request(parsed, password), **self.needs, hashing=self.app.hashing)
        assert not isinstance(made, Refusal)
        return parsed

    def start(self, user: Username, label: str = "") -> Enrolment:
        made = enrol.start(user, label=label, issuer="test", **self.needs, entropy=self.app.entropy)
        assert isinstance(made, Enrolment)
        return made

    def code(self, made: Enrolment, steps: int = 0) -> str:
        secret = made.uri.partition("secret=")[2].partition("&")[0]
        step = step_at(self.clock.now, 30) + steps
        return code_at(step, seed_from_base32(secret), 6, Algorithm.SHA1)

    def confirm(self, user: Username, code: str) -> Confirmed | Refusal:
        return enrol.confirm(user, code, **self.hashing_needs)

    def enrolled(self, name: str = "alice") -> tuple[Username, Enrolment, Confirmed]:
        user = self.user(name)
        made = self.start(user)
        confirmed = self.confirm(user, self.code(made))
        assert isinstance(confirmed, Confirmed)
        return user, made, confirmed

    def count(self, table: Table, **where: object) -> int:
        conditions = [table.c[column] == value for column, value in where.items()]
        with self.app.database.reading() as connection:
            return connection.execute(select(func.count()).select_from(table).where(*conditions)).scalar_one()

    def insert(self, table: Table, **values: object) -> None:
        with self.app.database.writing() as connection:
            connection.execute(insert(table).values(values))

    def user_id(self, user: Username) -> int:
        found = self.app.administration.view(lambda books: books.people.find(user.text))
        assert found is not None
        return found.id

    def audit(self, verb: str) -> Sequence[tuple[str, dict[str, Any]]]:
        rows = self.app.administration.view(lambda books: books.audit.list(AuditFilter(limit=1000)))
        return [(row.outcome, json.loads(row.detail or "{}")) for row in rows if row.reason == verb]

    def signed_in_before(self, user: Username) -> None:
        """Leave behind what a sign-in leaves: a running period, an open challenge, a wrong guess."""
        user_id = self.user_id(user)
        self.insert(
            schema.nas, id=77, name="gate", address="192.0.2.1/32", secret=b"", surface="vpn", created_at=self.clock.now
        )
        self.insert(
            schema.verifications,
            user_id=user_id,
            team_id=0,
            nas_id=77,
            device="",
            surface="vpn",
            at=self.clock.now,
            text=b"t",
        )
        self.insert(
            schema.challenges,
            state=b"s",
            user_id=user_id,
            nas_id=77,
            kind="code",
            granted_to="",
            expires_at=self.clock.now + 60,
        )
        self.insert(schema.throttles, user_id=user_id, history="1.0/p/77///;")


Refuses = Callable[[object, str], None]
"""Checks that a result is a refusal whose sentence has these words."""

"""Restarts one after the other, and an upgrade of the schema, while people sign in: nobody is turned away."""

import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Event, Thread

import pytest
from sqlalchemy import text

from radiusd_mfa.radius.wire import Code
from radiusd_mfa.usecases.ports import StoreFault
from tests.processes.conftest import Node, Nodes
from tests.support.taps import eventually
from tests.support.world import Reply, TestUser, World

USERS = 40
PATIENCE = 60
"""Seconds until a NAS gives up; over as soon as a server answers."""


@pytest.fixture
def workers() -> int:
    """What a restart of one of several workers does is tested with the workers."""
    return 1


class FailingOver:
    """A NAS with two servers: it sends the same octets again, to each in turn, until one answers.

    Both may: what the other one answers then comes when the next request is out, and must say the same.
    """

    def __init__(self, world: World, nodes: Sequence[Node]) -> None:
        self._nas = world.client(nodes[0].address)
        self._addresses = [node.address for node in nodes]
        self.spent: dict[str, bytes] = {}
        """By name, what was typed and answered."""

    def ask(self, user: TestUser) -> Reply:
        typed = user.typed(1)  # the next step's: good for a minute at least, longer than who asks has patience
        octets, authenticator = self._nas.request(user.name, typed)
        for turn in range(PATIENCE):
            self._nas.turn_to(self._addresses[turn % len(self._addresses)])
            self._nas.send(octets)
            if (reply := self._nas.receive(authenticator, timeout=1.0)) is not None:
                self.spent[user.name] = typed
                return reply
            self._nas.give_up(authenticator)
        raise AssertionError("no server answered")

    def late(self) -> list[Code]:
        """Return the verdicts that came after another server's."""
        return [reply.code for reply in self._nas.late]


@contextmanager
def signing_in(world: World, nodes: Sequence[Node]) -> Iterator[None]:
    """Sign in one user after the other meanwhile; at the end each had one Accept, and each Accept has one row."""
    users = [world.user(f"user{number}") for number in range(USERS)]
    nas, ready = FailingOver(world, nodes), Event()
    codes: list[Code] = []

    def run() -> None:
        for user in users:
            codes.append(nas.ask(user).code)
            ready.set()
            time.sleep(0.1)  # so that it lasts as long as what is done meanwhile

    thread = Thread(target=run)
    thread.start()
    assert ready.wait(PATIENCE)
    try:
        yield
        assert thread.is_alive(), "they were through before it was over"
    finally:
        thread.join()
    assert codes == [Code.ACCESS_ACCEPT] * USERS
    assert Code.ACCESS_REJECT not in nas.late()
    assert world.audit() == [("accept", "totp")] * USERS


def test_two_daemons_are_restarted_one_after_the_other(world: World, nodes: Nodes) -> None:
    world.nas()
    two = [nodes.start(), nodes.start()]
    with signing_in(world, two):
        for node in two:
            node.process.popen.send_signal(signal.SIGTERM)
            assert node.process.popen.wait(30) == 0
            nodes.start(node.address)


def upgraded(world: World) -> bool:
    """Do what an upgrade does; False where it met a sign-in and gave way, as upgrades do."""
    tables = "audit users teams memberships nas methods backup_codes challenges verifications throttles meta"
    try:
        with world.database.writing() as connection:
            for name in tables.split():
                connection.execute(text(f"ALTER TABLE {name} ADD COLUMN later TEXT DEFAULT 'x'"))
            connection.execute(text("CREATE TABLE later (id INTEGER)"))
            connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    except StoreFault:
        return False
    return True


def test_the_version_that_runs_survives_an_upgrade_and_refuses_to_be_reloaded(world: World, nodes: Nodes) -> None:
    """The next version has a column more in every table, and a table more."""
    world.nas()
    node = nodes.start()
    with signing_in(world, [node]):
        eventually(lambda: upgraded(world))
        node.process.popen.send_signal(signal.SIGHUP)
        node.process.wait_for("not reloaded.*A newer radiusd-mfa has upgraded this database")

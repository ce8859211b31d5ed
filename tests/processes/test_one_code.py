"""The same code from many threads to two daemons on one database: one Accept, one accepted row (I1, ATTACKS 12, 19)."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from radiusd_mfa.radius.wire import Code
from tests.processes.conftest import Nodes
from tests.support.phones import add_phone, last_code
from tests.support.world import World

THREADS = 32
ROUNDS = 4


def told_to_all(
    world: World, addresses: list[str], user: str, typed: bytes, *, threads: int = THREADS
) -> Counter[Code]:
    """Ask both nodes from many sockets at the same moment; return how often each answer came."""
    start = threading.Barrier(threads)
    clients = [world.client(addresses[number % len(addresses)]) for number in range(threads)]

    def ask(number: int) -> Code:
        start.wait(20)
        return clients[number].ask(user, typed, timeout=20).code

    with ThreadPoolExecutor(threads) as pool:
        return Counter(pool.map(ask, range(threads)))


def test_one_code_at_two_nodes_from_many_threads_is_one_accept(world: World, nodes: Nodes) -> None:
    world.nas()
    addresses = [nodes.start().address, nodes.start().address]
    for number in range(ROUNDS):
        user = world.user(f"user{number}", codes=1)
        backup = f"{user.password}{user.backup_codes[0].shown}".encode()
        typed = backup if number % 2 else user.typed()
        told = told_to_all(world, addresses, user.name, typed)
        assert told == {Code.ACCESS_ACCEPT: 1, Code.ACCESS_REJECT: THREADS - 1}
    outcomes = Counter(outcome for outcome, _ in world.audit())
    assert outcomes == {"accept": ROUNDS, "reject": ROUNDS * (THREADS - 1)}


def test_one_code_by_sms_at_two_nodes_from_64_threads_is_one_accept(world: World, nodes: Nodes) -> None:
    """Each in the transaction of its verdict, with the user locked: who finds the lock taken is judged again."""
    world.nas()
    addresses = [nodes.start().address, nodes.start().address]
    user = world.user(enrolled=False, enrolled_before=True)
    add_phone(world, user)
    assert told_to_all(world, addresses, user.name, b"hunter2", threads=8) == {Code.ACCESS_REJECT: 8}
    typed = f"{user.password}{last_code(world)}".encode()
    told = told_to_all(world, addresses, user.name, typed, threads=64)
    assert told == {Code.ACCESS_ACCEPT: 1, Code.ACCESS_REJECT: 63}
    reasons = Counter(reason for _, reason in world.audit())
    assert reasons["sms-sent"] == 1
    assert reasons["sms"] == 1

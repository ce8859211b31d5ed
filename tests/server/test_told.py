"""What a sign-in over packets is told by mail: of a backup code, and of many wrong codes."""

from sqlalchemy import update

from radiusd_mfa.radius.wire import Code
from radiusd_mfa.store import schema
from radiusd_mfa.store.outbox_queue import OutboxQueue
from radiusd_mfa.usecases.outbox_ports import Channel, Mail
from tests.support.clock import Clock
from tests.support.world import TestNas, TestUser, World


def told(world: World, clock: Clock) -> list[tuple[str, dict[str, object]]]:
    """Look into the audit log as a worker does, and return what it will tell."""
    queue, now = OutboxQueue(world.database, world.keys), clock() + 1
    queue.gather(now=now)
    found = []
    while (claimed := queue.claim([Channel.MAIL], now=now, until=now + 60)) is not None:
        found.append((claimed.kind, dict(claimed.values or {})))
    return found


def addressed(world: World) -> TestUser:
    user = world.user(codes=3)
    world.execute(update(schema.users).values(email="alice@example.org", created_at=1.0))
    return user


def test_a_backup_code_that_signed_in_is_told_once(world: World, nas: TestNas, clock: Clock) -> None:
    alice = addressed(world)
    typed = alice.password.encode() + alice.backup_codes[0].shown.encode()
    assert nas.ask("alice", typed).code is Code.ACCESS_ACCEPT
    assert nas.ask("alice", typed).code is Code.ACCESS_REJECT
    [(kind, values)] = told(world, clock)
    assert kind == Mail.BACKUP_CODE_USED
    assert (values["user"], values["where"], values["left"]) == ("alice", "vpn", len(alice.backup_codes) - 1)
    assert told(world, clock) == []


def test_many_wrong_codes_after_the_right_password_are_told_once(world: World, nas: TestNas, clock: Clock) -> None:
    alice = addressed(world)
    right = {alice.code(offset, at=clock()) for offset in range(-3, 4)}
    wrong = [digits for number in range(10) if (digits := str(number) * 6) not in right][:5]
    for digits in wrong:
        assert told(world, clock) == []
        assert nas.ask("alice", f"{alice.password}{digits}".encode()).code is Code.ACCESS_REJECT
    assert [reason for _, reason in world.audit()] == ["wrong-code"] * 5
    [(kind, values)] = told(world, clock)
    assert (kind, values["count"]) == (Mail.WRONG_CODES, 5)
    assert nas.ask("alice", b"hunter2000000").code is Code.ACCESS_REJECT
    assert told(world, clock) == []


def test_ordinary_sign_ins_are_told_to_nobody(world: World, nas: TestNas, clock: Clock) -> None:
    alice = addressed(world)
    assert nas.ask("alice", alice.typed(at=clock())).code is Code.ACCESS_ACCEPT
    for number in range(5):
        nas.ask("alice", f"wrong{number}".encode())
    assert told(world, clock) == []

"""Password with an appended code, over packets (R1, R2)."""

import time

import pytest

from radiusd_mfa.core.names import Username
from radiusd_mfa.radius.wire import Code
from radiusd_mfa.store.administration import AdministrationStore
from radiusd_mfa.usecases import enrol
from radiusd_mfa.usecases.enrol import Overview
from tests.support.world import TestNas, World


def test_a_wrong_code_is_refused(world: World, nas: TestNas) -> None:
    alice = world.user()
    wrong = f"{(int(alice.code()) + 1) % 10**6:06}"
    assert nas.ask("alice", f"hunter2{wrong}".encode()).code is Code.ACCESS_REJECT
    assert world.audit() == [("reject", "wrong-code")]


def test_a_wrong_password_with_a_right_code_spends_nothing(world: World, nas: TestNas) -> None:
    alice = world.user()
    assert nas.ask("alice", f"hunter3{alice.code()}".encode()).code is Code.ACCESS_REJECT
    assert world.audit() == [("reject", "wrong-password")]


def test_a_password_without_a_code_is_refused_and_told_to_append_it(world: World, nas: TestNas) -> None:
    world.user()
    reply = nas.ask("alice", b"hunter2")
    assert reply.code is Code.ACCESS_REJECT
    assert "right after it" in reply.message
    assert world.audit() == [("reject", "code-missing")]


def test_a_code_buys_one_sign_in(world: World, nas: TestNas) -> None:
    alice = world.user()
    typed = alice.typed()
    assert nas.ask("alice", typed).code is Code.ACCESS_ACCEPT
    assert nas.ask("alice", typed).code is Code.ACCESS_REJECT
    assert world.audit() == [("accept", "totp"), ("reject", "code-reused")]


@pytest.mark.parametrize("shown", [True, False], ids=["with dashes", "without"])
def test_a_backup_code_buys_one_sign_in(world: World, nas: TestNas, shown: bool) -> None:
    alice = world.user(codes=2)
    code = alice.backup_codes[0]
    typed = f"hunter2{code.shown if shown else code.canonical}".encode()
    assert nas.ask("alice", typed).code is Code.ACCESS_ACCEPT
    assert nas.ask("alice", typed).code is Code.ACCESS_REJECT
    assert world.audit() == [("accept", "backup-code"), ("reject", "code-reused")]


def test_what_a_user_has_set_up_says_when_it_was_used_last(world: World, nas: TestNas) -> None:
    """Neither a wrong code nor a backup code is a use of the authenticator (E4)."""
    alice = world.user(codes=1)
    assert nas.ask("alice", f"hunter2{alice.wrong_code()}".encode()).code is Code.ACCESS_REJECT
    assert nas.ask("alice", f"hunter2{alice.backup_codes[0].shown}".encode()).code is Code.ACCESS_ACCEPT
    assert last_used(world) is None
    before = time.time()
    assert nas.ask("alice", alice.typed()).code is Code.ACCESS_ACCEPT
    used = last_used(world)
    assert used is not None
    assert before <= used <= time.time()


def last_used(world: World) -> float | None:
    store = AdministrationStore(world.database, world.keys)
    overview = enrol.show(Username("alice"), store=store, clock=time.time)
    assert isinstance(overview, Overview)
    (method,) = overview.methods
    return method.last_used

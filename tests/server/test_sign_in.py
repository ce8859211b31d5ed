"""Password with an appended code, over packets (R1, R2)."""

import pytest

from radiusd_mfa.radius.wire import Code
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

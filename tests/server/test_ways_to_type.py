"""How password and code come together, as the NAS entry says (R1), and the code alone where that is all (R5)."""

from base64 import b64encode
from typing import Any, Final

import pytest

from radiusd_mfa.radius.wire import Code
from tests.support.clock import Clock
from tests.support.sites import TWELVE_HOURS, Site, member
from tests.support.world import TestUser, World

ACCEPT, REJECT, CHALLENGE = Code.ACCESS_ACCEPT, Code.ACCESS_REJECT, Code.ACCESS_CHALLENGE
PASSWORDS: Final = ("hunter2", "pw123456", "a,b;c d", "12345678")


def scrv1(password: str, code: str) -> str:
    return ":".join(["SCRV1", *(b64encode(part.encode()).decode() for part in (password, code))])


WAYS: Final = {
    "appended": "{password}{code}",
    "comma": "{password},{code}",
    "semicolon": "{password};{code}",
    "space": "{password} {code}",
    "first": "{code}{password}",
    "first with comma": "{code},{password}",
}
TAKEN: Final[dict[str, dict[str, Any]]] = {
    "appended": {"separators": "", "code_first": False},
    "comma": {"separators": ",; "},
    "semicolon": {"separators": ";"},
    "space": {"separators": " "},
    "first": {"code_first": True},
    "first with comma": {"code_first": True, "separators": ","},
}


@pytest.mark.parametrize("way", WAYS)
def test_each_way_is_taken_where_the_entry_says_so(world: World, site: Site, clock: Clock, way: str) -> None:
    nas = site(**TAKEN[way])
    for number, password in enumerate(PASSWORDS):
        alice = world.user(f"alice{number}", password, codes=1)
        for code in (alice.code(at=clock.at), alice.backup_codes[0].shown):
            typed = WAYS[way].format(password=password, code=code)
            assert nas.ask(alice.name, typed.encode()).code is ACCEPT
            clock.at += 60


@pytest.mark.parametrize("way", [way for way in WAYS if way != "appended"])
def test_another_way_is_not_taken_where_the_entry_does_not_say_so(
    world: World, site: Site, clock: Clock, way: str
) -> None:
    alice = world.user()
    typed = WAYS[way].format(password="hunter2", code=alice.code(at=clock.at))
    assert site().ask("alice", typed.encode()).code is REJECT
    assert world.audit() == [("reject", "wrong-password")]


@pytest.mark.parametrize("columns", TAKEN.values(), ids=TAKEN)
def test_scrv1_is_always_taken(world: World, site: Site, clock: Clock, columns: dict[str, Any]) -> None:
    nas = site(**columns)
    for number, password in enumerate(PASSWORDS):
        alice = world.user(f"alice{number}", password)
        assert nas.ask(alice.name, scrv1(password, alice.code(at=clock.at)).encode()).code is ACCEPT


# R5: the NAS has checked the password


@pytest.fixture
def alice(world: World) -> TestUser:
    return world.user(codes=1)


@pytest.mark.parametrize("challenge", [False, True])
def test_an_otp_only_nas_needs_the_code_and_nothing_else(
    world: World, alice: TestUser, site: Site, clock: Clock, challenge: bool
) -> None:
    nas = site(otp_only=True, challenge=challenge)
    for typed in (b"", b"hunter2", b"hunter2" + alice.code(at=clock.at).encode()):
        assert nas.ask("alice", typed).code is REJECT
    assert nas.ask("alice", alice.wrong_code(at=clock.at).encode()).code is REJECT
    for code in (alice.code(at=clock.at), alice.backup_codes[0].shown):
        assert [nas.ask("alice", code.encode()).code for _ in range(2)] == [ACCEPT, REJECT]
    assert [row for row in world.audit() if row[0] == "accept"] == [("accept", "totp"), ("accept", "backup-code")]


def test_an_otp_only_nas_is_told_to_send_the_code(alice: TestUser, site: Site) -> None:
    message = site(otp_only=True).ask(alice.name, b"").message
    assert "code" in message
    assert "password" not in message


def test_an_otp_only_nas_knows_no_periods(world: World, site: Site, clock: Clock) -> None:
    """Whoever knows no code would be let in on the word of the NAS alone."""
    team_id = world.team(policy=TWELVE_HOURS)
    bob = member(world, team_id, "bob")
    nas, typed = site(team_id, otp_only=True), bob.code(at=clock.at).encode()
    assert nas.ask("bob", typed).code is ACCEPT
    for again in (b"", b"hunter2", typed):
        assert nas.ask("bob", again).code is REJECT
    assert site(team_id).ask("bob", b"").code is REJECT


def test_a_password_is_worth_nothing_at_an_otp_only_nas_for_the_unenrolled(world: World, site: Site) -> None:
    world.user("carol", enrolled=False)
    nas = site(otp_only=True)
    for typed in (b"", b"hunter2", b"hunter2123456", b"123456"):
        assert nas.ask("carol", typed).code is REJECT


def test_an_otp_only_nas_does_not_mend_a_foreign_state(alice: TestUser, site: Site, clock: Clock) -> None:
    nas = site(otp_only=True, challenge=True)
    assert nas.ask("alice", alice.code(at=clock.at).encode(), state=bytes(16)).code is Code.ACCESS_REJECT

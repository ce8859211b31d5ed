"""A right password may be remembered for a while; nothing else ever is."""

from radiusd_mfa.passwords.cache import KEPT, PasswordCache

STORED = "$argon2id$of-hunter2"


class Counting:
    """Knows one password, and counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def verify(self, password: str, stored: str) -> bool:
        self.asked += 1
        return password == "hunter2" and stored.startswith("$argon2id$of-hunter2")

    def is_cheap(self, stored: str) -> bool:
        return stored.startswith("{SSHA256}")

    def dummy(self) -> str:
        return "$argon2id$of-nobody"

    def make(self, text: str) -> str:
        return f"$argon2id${text}"


def cache(checks: Counting, now: list[float]) -> PasswordCache:
    return PasswordCache(checks, seconds=60, key=bytes(32), clock=lambda: now[0])


def test_a_wrong_password_is_never_remembered() -> None:
    checks = Counting()
    one = cache(checks, [0.0])
    assert not one.verify("hunter3", STORED)
    assert not one.verify("hunter3", STORED)
    assert checks.asked == 2
    assert not one.remembers("hunter3", STORED)


def test_a_right_password_is_checked_once() -> None:
    checks = Counting()
    one = cache(checks, [0.0])
    assert [one.verify("hunter2", STORED) for _ in range(3)] == [True] * 3
    assert checks.asked == 1


def test_after_its_seconds_it_is_checked_again() -> None:
    now = [0.0]
    checks = Counting()
    one = cache(checks, now)
    one.verify("hunter2", STORED)
    now[0] = 60.0
    assert not one.remembers("hunter2", STORED)


def test_a_changed_hash_makes_it_forget() -> None:
    """The database says when a password was changed: another hash matches nothing that is remembered."""
    checks = Counting()
    one = cache(checks, [0.0])
    one.verify("hunter2", STORED)
    assert not one.remembers("hunter2", STORED + "-anew")


def test_another_users_equal_password_is_not_remembered() -> None:
    one = cache(Counting(), [0.0])
    one.verify("hunter2", STORED)
    assert not one.remembers("hunter2", "$argon2id$of-hunter2-with-another-salt")


def test_it_stays_bounded() -> None:
    one = cache(Counting(), [0.0])
    for number in range(KEPT + 10):
        one.verify("hunter2", f"{STORED}{number}")
    assert not one.remembers("hunter2", f"{STORED}0")
    assert one.remembers("hunter2", f"{STORED}{KEPT + 9}")


def test_neither_password_nor_hash_is_in_its_memory() -> None:
    one = cache(Counting(), [0.0])
    one.verify("hunter2", STORED)
    assert "hunter2" not in repr(vars(one))

"""Passwords, codes and names that must not work, over packets and on both databases (ATTACKS 12-14, 18-21, 23)."""

import logging
import secrets
import time
import unicodedata
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Thread
from typing import Any

import pytest
from sqlalchemy import select, update

from radiusd_mfa.core.backup_codes import LETTERS
from radiusd_mfa.core.names import PasswordProblem, Username
from radiusd_mfa.core.throttle import parse
from radiusd_mfa.passwords.hashing import LocalHashing
from radiusd_mfa.passwords.local import make_hash
from radiusd_mfa.radius.wire import Code, PacketError
from radiusd_mfa.store import schema
from radiusd_mfa.store.administration import AdministrationStore, OpenBooks
from radiusd_mfa.usecases import codes, people, removal
from radiusd_mfa.usecases.changes import Refusal
from tests.support.clock import Clock
from tests.support.taps import Tap, eventually
from tests.support.world import CHEAP, Reply, TestNas, TestUser, World

ACCEPT, REJECT, CHALLENGE = Code.ACCESS_ACCEPT, Code.ACCESS_REJECT, Code.ACCESS_CHALLENGE
ALICE = Username("alice")


def ask_at_once(world: World, servers: Sequence[str], number: int, typed: bytes) -> Counter[Code]:
    """Ask with one text from so many sockets at once, the servers in turn."""
    nases = [world.client(servers[n % len(servers)]) for n in range(number)]
    with ThreadPoolExecutor(number) as threads:
        return Counter(reply.code for reply in threads.map(lambda nas: nas.ask("alice", typed, timeout=30), nases))


def watermark(world: World, alice: TestUser) -> int:
    with world.database.reading() as connection:
        return int(connection.execute(select(schema.methods.c.watermark).filter_by(id=alice.method_id)).scalar_one())


def wrong(alice: TestUser, clock: Clock) -> str:
    """Return digits that are no code of a step near the clock."""
    near = {alice.code(offset, at=clock.at) for offset in range(-3, 4)}
    return next(digits for number in range(10) if (digits := str(number) * 6) not in near)


# 12: one code, one sign-in.


def test_one_code_to_two_nodes_in_64_threads_is_one_accept(world: World) -> None:
    world.nas()
    typed = world.user().typed()
    with world.daemon() as one, world.daemon() as other:
        codes_ = ask_at_once(world, [one.addresses[0], other.addresses[0]], 64, typed)
    assert codes_ == {ACCEPT: 1, REJECT: 63}
    assert [row for row in world.audit() if row[0] == "accept"] == [("accept", "totp")]
    assert len(world.audit()) == 64


def test_one_code_answers_one_of_many_challenges(world: World) -> None:
    world.nas(challenge=True)
    alice = world.user()
    with world.daemon() as one, world.daemon() as other:
        servers = [one.addresses[0], other.addresses[0]]
        nases = [world.client(servers[n % 2]) for n in range(5)]
        states = [nas.ask("alice", b"hunter2").state for nas in nases]
        with ThreadPoolExecutor(5) as threads:
            answers = threads.map(
                lambda pair: pair[0].ask("alice", alice.code().encode(), state=pair[1]).code,
                zip(nases, states, strict=True),
            )
            assert Counter(answers) == {ACCEPT: 1, REJECT: 4}


def test_steps_t_and_t_plus_1_are_two_sign_ins_and_then_t_is_none(world: World, nas: TestNas, clock: Clock) -> None:
    alice = world.user()
    first, second = (f"hunter2{alice.code(offset, at=clock.at)}".encode() for offset in (0, 1))
    assert [nas.ask("alice", typed).code for typed in (first, second, first)] == [ACCEPT, ACCEPT, REJECT]
    assert world.audit()[-1] == ("reject", "code-reused")


def test_a_spent_code_is_refused_later(world: World, nas: TestNas, clock: Clock) -> None:
    start = clock.at
    for later in (1, 15, 31, 44):
        clock.at = start
        alice = world.user(f"alice{later}")
        typed = f"hunter2{alice.code(at=clock.at)}".encode()
        assert nas.ask(alice.name, typed).code is ACCEPT
        clock.at += later
        assert nas.ask(alice.name, typed).code is REJECT
        assert world.audit()[-1] == ("reject", "code-reused")


# 13: other digits.


def test_digits_of_other_scripts_are_no_code_and_no_fault(world: World, nas: TestNas, clock: Clock) -> None:
    scripts = {"full-width": 0xFF10, "arabic": 0x0660, "persian": 0x06F0, "devanagari": 0x0966, "bold": 0x1D7CE}
    for script, zero in scripts.items():
        alice = world.user(script)
        digits = alice.code(at=clock.at)
        strange = "".join(chr(zero + int(digit)) for digit in digits)
        for wait, code in enumerate((strange, digits[:5] + strange[5], strange[0] + digits[1:])):
            clock.at += 2 * wait  # the wait after a wrong password; all within one step and its neighbour
            assert nas.ask(script, f"hunter2{code}".encode()).code is REJECT
        clock.at -= 6
        assert watermark(world, alice) == 0
    assert len(world.audit()) == 3 * len(scripts)
    assert "throttled" not in {reason for _, reason in world.audit()}


# 14: the window and the clock.


def test_a_code_works_one_step_either_side(world: World, nas: TestNas, clock: Clock) -> None:
    for offset in range(-3, 4):
        alice = world.user(f"alice{offset}")
        code = ACCEPT if abs(offset) <= 1 else REJECT
        assert nas.ask(alice.name, f"hunter2{alice.code(offset, at=clock.at)}".encode()).code is code
        assert watermark(world, alice) == (int(clock.at // 30) + offset if code is ACCEPT else 0)


@pytest.mark.parametrize("at", [2**31 + 15.0, 2**32 + 15.0], ids=["2038", "2106"])
def test_codes_work_when_32_bits_are_over(world: World, nas: TestNas, clock: Clock, at: float) -> None:
    alice, clock.at = world.user(), at
    typed = f"hunter2{alice.code(at=at)}".encode()
    assert [nas.ask("alice", typed).code for _ in range(2)] == [ACCEPT, REJECT]


def test_a_clock_set_back_by_an_hour_is_refused_and_an_alarm_is_logged(
    world: World, nas: TestNas, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    alice = world.user()
    assert nas.ask("alice", f"hunter2{alice.code(at=clock.at)}".encode()).code is ACCEPT
    spent = watermark(world, alice)
    clock.at -= 3_600
    with caplog.at_level(logging.ERROR):
        assert nas.ask("alice", f"hunter2{alice.code(at=clock.at)}".encode()).code is REJECT
    assert world.audit()[-1] == ("reject", "code-reused")
    assert watermark(world, alice) == spent
    assert [record.getMessage() for record in caplog.records if "clock is behind" in record.getMessage()]


# 18: every reading is tried, one failure is counted, nothing is spent by a losing reading.


PASSWORDS_LIKE_CODES = ("pw123456", "pw12345678", "123456", "12345678")


def test_a_password_that_ends_in_digits_is_a_password_without_and_with_a_code(
    world: World, nas: TestNas, clock: Clock
) -> None:
    for number, password in enumerate(PASSWORDS_LIKE_CODES):
        alice = world.user(f"alice{number}", password)
        nas.ask(alice.name, password.encode())
        nas.ask(alice.name, (password + wrong(alice, clock)).encode())
        assert watermark(world, alice) == 0
        nas.ask(alice.name, (password + alice.code(at=clock.at)).encode())
        assert world.audit()[-3:] == [("reject", "code-missing"), ("reject", "wrong-code"), ("accept", "totp")]
    assert failures(world) == ["c"] * len(PASSWORDS_LIKE_CODES)


def failures(world: World) -> list[str]:
    """Return the marks that stand in the throttle."""
    with world.database.reading() as connection:
        histories = connection.execute(select(schema.throttles.c.history)).scalars().all()
    return [entry.mark for history in histories for entry in parse(history)]


def test_a_password_that_ends_in_the_current_code_spends_nothing(world: World, nas: TestNas, clock: Clock) -> None:
    alice = world.user()
    password = "pw" + alice.code(at=clock.at)
    world.execute(update(schema.users).values(password_hash=make_hash(password, profile=CHEAP)))
    assert nas.ask("alice", password.encode()).code is REJECT
    assert world.audit() == [("reject", "code-missing")]
    assert watermark(world, alice) == 0
    assert nas.ask("alice", (password + alice.code(at=clock.at)).encode()).code is ACCEPT


def test_a_wrong_password_with_a_right_code_spends_nothing_and_is_told_like_any_other(
    world: World, nas: TestNas, clock: Clock
) -> None:
    alice = world.user()
    refused = nas.ask("alice", f"hunter3{alice.code(at=clock.at)}".encode())
    assert watermark(world, alice) == 0
    clock.at += 30  # the wait after a wrong password
    also_refused = nas.ask("alice", f"hunter2{wrong(alice, clock)}".encode())
    assert world.audit() == [("reject", "wrong-password"), ("reject", "wrong-code")]
    assert refused.message == also_refused.message
    assert failures(world) == ["p", "c"]


def test_a_wrong_password_with_a_backup_code_spends_nothing(world: World, nas: TestNas, clock: Clock) -> None:
    code = world.user(codes=1).backup_codes[0].shown.encode()
    assert nas.ask("alice", b"hunter3" + code).code is REJECT
    clock.at += 30
    assert nas.ask("alice", b"hunter2" + code).code is ACCEPT


PASSWORDS_WITH_SEPARATORS = (
    "a,b",
    "pw,",
    ",pw",
    "pw;",
    "p w",
    "a:b",
    "SCRV1:",
    "SCRV1:a:b",
    "pw-",
    "ab3de-fgh4k-mnp5q",
)


@pytest.mark.parametrize("separators", ["", ",; "], ids=["no separators", "separators"])
def test_a_password_with_separators_in_it_works_everywhere(world: World, clock: Clock, separators: str) -> None:
    world.nas(separators=separators)
    with world.daemon() as running:
        nas = world.client(running)
        for number, password in enumerate(PASSWORDS_WITH_SEPARATORS):
            alice = world.user(f"alice{number}", password, codes=1)
            for code in (alice.code(at=clock.at), alice.backup_codes[0].shown):
                assert nas.ask(alice.name, (password + code).encode()).code is ACCEPT


# 19: backup codes.


def test_one_backup_code_32_times_on_two_nodes_is_one_accept(world: World) -> None:
    world.nas()
    typed = b"hunter2" + world.user(codes=3).backup_codes[1].shown.encode()
    with world.daemon() as one, world.daemon() as other:
        assert ask_at_once(world, [one.addresses[0], other.addresses[0]], 32, typed) == {ACCEPT: 1, REJECT: 31}
    assert [row for row in world.audit() if row[0] == "accept"] == [("accept", "backup-code")]


def test_every_backup_code_ends_in_a_letter(world: World) -> None:
    assert {code.shown[-1] for code in world.user(codes=100).backup_codes} <= set(LETTERS)


def test_a_backup_code_of_somebody_else_is_wrong(world: World, nas: TestNas) -> None:
    world.user()
    mallory = world.user("mallory", codes=1)
    assert nas.ask("alice", b"hunter2" + mallory.backup_codes[0].shown.encode()).code is REJECT
    assert world.audit() == [("reject", "wrong-code")]


def test_a_code_of_somebody_else_is_wrong(world: World, nas: TestNas, clock: Clock) -> None:
    world.user()
    mallory = world.user("mallory")
    assert nas.ask("alice", f"hunter2{mallory.code(at=clock.at)}".encode()).code is REJECT
    assert watermark(world, mallory) == 0


# 20: what a password is.


def test_an_empty_password_with_a_right_code_is_refused(world: World, nas: TestNas, clock: Clock) -> None:
    codes_ = {}
    for number in range(5):
        alice = world.user(f"alice{number}", codes=1)
        code = alice.code(at=clock.at).encode()
        ways = (b"", code, b"SCRV1::" + b64encode(code), b"   " + code, alice.backup_codes[0].shown.encode())
        codes_[alice.name] = nas.ask(alice.name, ways[number]).code
        assert watermark(world, alice) == 0
    assert set(codes_.values()) == {REJECT}
    assert {reason for _, reason in world.audit()} == {"unreadable", "wrong-password"}


def test_nothing_is_dropped_from_a_password(world: World, nas: TestNas, clock: Clock) -> None:
    for number, between in enumerate((b"\0", b"\0x", b"x\0", b"\xff", b"\x80", b"\r", b"\n", b"\x1b", b" ")):
        alice, bob = world.user(f"alice{number}"), world.user(f"bob{number}")
        for user, password in ((alice, b"hunter2" + between), (bob, b"hun" + between + b"ter2")):
            assert nas.ask(user.name, password + user.code(at=clock.at).encode()).code is REJECT
            assert watermark(world, user) == 0
    assert {reason for _, reason in world.audit()} == {"unreadable", "wrong-password"}


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_two_encodings_of_one_password_are_one_password(world: World, nas: TestNas, clock: Clock, form: Any) -> None:
    alice = world.user(password=unicodedata.normalize("NFC", "pässwörd Å"))
    typed = unicodedata.normalize(form, alice.password) + alice.code(at=clock.at)
    assert nas.ask("alice", typed.encode()).code is ACCEPT


def test_a_password_is_not_case_mapped(world: World, nas: TestNas, clock: Clock) -> None:
    alice = world.user()
    assert nas.ask("alice", f"Hunter2{alice.code(at=clock.at)}".encode()).code is REJECT


def test_128_octets_with_the_code_are_accepted_and_129_cannot_be_sent(world: World, nas: TestNas, clock: Clock) -> None:
    alice = world.user(password="p" * 122)
    assert nas.ask("alice", (alice.password + alice.code(at=clock.at)).encode()).code is ACCEPT
    with pytest.raises(PacketError):
        nas.request("alice", b"p" * 129)


def test_a_password_that_leaves_no_room_for_a_code_cannot_be_set() -> None:
    assert people.new_password("p" * 111) == "p" * 111
    for too_long in ("p" * 112, "ä" * 56):
        with pytest.raises(PasswordProblem):
            people.new_password(too_long)


# 21: names.


def test_one_person_has_one_name_and_one_use_of_a_code(world: World, nas: TestNas, clock: Clock) -> None:
    alice = world.user()
    for number, name in enumerate(("ALICE", "Alice", "ａｌｉｃｅ")):  # noqa: RUF001 - full-width on purpose
        clock.at += 60
        typed = f"hunter2{alice.code(at=clock.at)}".encode()
        assert nas.ask(name, typed).code is ACCEPT
        assert nas.ask("alice", typed).code is REJECT
        assert world.audit()[2 * number :] == [("accept", "totp"), ("reject", "code-reused")]


def test_a_name_that_only_looks_alike_is_somebody_else(world: World, nas: TestNas, clock: Clock) -> None:
    alice = world.user()
    names = ("аlice", "alicе", "alıce", "alice ", " alice", "al ice", "alice@", "alíce")  # noqa: RUF001 - homoglyphs
    for name in names:
        assert nas.ask(name, f"hunter2{alice.code(at=clock.at)}".encode()).code is REJECT
    assert world.audit() == [("reject", "unknown-user")] * len(names)


STRANGE_NAMES = (
    *(b"al\xffice", b"alice\r\nroot", b"alice\n", b"\x1b[31malice", b"alice\0", b"\0", b"\x7f"),
    *(b"\xe2\x80\xaealice", b"\xe2\x80\xa8alice", b"\xff" * 253),
)


def test_a_name_that_can_be_nobodys_is_refused_with_one_escaped_line(
    world: World, nas: TestNas, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    alice = world.user()
    with caplog.at_level(logging.DEBUG):
        for name in STRANGE_NAMES:
            assert nas.ask(name, f"hunter2{alice.code(at=clock.at)}".encode()).code is REJECT
    assert watermark(world, alice) == 0
    with world.database.reading() as connection:
        shown = connection.execute(select(schema.audit.c.user_name)).scalars().all()
    assert len(shown) == len(set(shown)) == len(STRANGE_NAMES)
    assert all(line and line.isprintable() and len(line) <= 80 for line in shown)
    logged = [record.getMessage() for record in caplog.records if record.name.startswith("radiusd_mfa")]
    assert all(line.isprintable() for line in logged)


def test_a_request_without_a_name_is_refused(world: World, nas: TestNas) -> None:
    world.user("alice")
    assert nas.ask(b"", b"hunter2").code is REJECT
    assert world.audit() == [("reject", "unknown-user")]


# 23: from a commit on, old credentials fail everywhere.


def administration(world: World) -> dict[str, Any]:
    return {"store": AdministrationStore(world.database, world.keys), "clock": time.time}


def change_password(world: World) -> object:
    return people.set_password(ALICE, "another", hashing=LocalHashing(CHEAP), **administration(world))


def disable(world: World) -> object:
    return people.disable(ALICE, **administration(world))


def remove(world: World) -> object:
    return people.remove(ALICE, **administration(world))


def delete_method(world: World) -> object:
    return removal.delete(ALICE, None, **administration(world))


def regenerate(world: World) -> object:
    hashing, entropy = LocalHashing(CHEAP), secrets.token_bytes
    return codes.regenerate(ALICE, None, hashing=hashing, entropy=entropy, **administration(world))


def panel_disables(world: World) -> None:
    """Write as a control panel does, which knows no use case."""
    world.execute(update(schema.users).values(disabled=True))


def panel_changes_password(world: World) -> None:
    world.execute(update(schema.users).values(password_hash=make_hash("another", profile=CHEAP)))


Change = Callable[[World], object]
AGAINST_TOTP: list[Change] = [change_password, disable, remove, delete_method, panel_disables, panel_changes_password]
AGAINST_BACKUP_CODES: list[Change] = [*AGAINST_TOTP, regenerate]


def made(change: Change, world: World) -> None:
    assert not isinstance(change(world), Refusal)


@pytest.mark.parametrize("change", AGAINST_TOTP)
def test_old_credentials_fail_from_the_commit_on(world: World, nas: TestNas, clock: Clock, change: Change) -> None:
    alice = world.user(codes=1)
    assert nas.ask("alice", f"hunter2{alice.code(at=clock.at)}".encode()).code is ACCEPT
    made(change, world)
    assert nas.ask("alice", f"hunter2{alice.code(1, at=clock.at)}".encode()).code is REJECT


@pytest.mark.parametrize("change", AGAINST_BACKUP_CODES)
def test_old_backup_codes_fail_from_the_commit_on(world: World, nas: TestNas, change: Change) -> None:
    first, second = (code.shown.encode() for code in world.user(codes=2).backup_codes)
    assert nas.ask("alice", b"hunter2" + first).code is ACCEPT
    made(change, world)
    assert nas.ask("alice", b"hunter2" + second).code is REJECT


def asked_while(
    world: World, change: Change, typed: bytes, *, state: Callable[[TestNas], bytes] | None = None
) -> Reply:
    """Sign in, make the change between the judgement and its settling, and return the reply."""
    judged, go_on = Event(), Event()

    def hold(_: object) -> None:
        judged.set()
        assert go_on.wait(20)

    tap = Tap()
    with world.daemon(wrap=tap.around) as running:
        nas = world.client(running)
        given = state(nas) if state else None
        tap.before_settle = hold
        replies: list[Reply] = []
        asking = Thread(target=lambda: replies.append(nas.ask("alice", typed, state=given, timeout=20)))
        asking.start()
        assert judged.wait(20)
        made(change, world)
        go_on.set()
        asking.join(30)
    (reply,) = replies
    return reply


@pytest.mark.parametrize("change", AGAINST_TOTP)
def test_credentials_that_die_in_flight_accept_nobody(world: World, clock: Clock, change: Change) -> None:
    world.nas()
    alice = world.user(codes=1)
    assert asked_while(world, change, f"hunter2{alice.code(at=clock.at)}".encode()).code is REJECT
    assert [outcome for outcome, _ in world.audit()] == ["reject"]


@pytest.mark.parametrize("change", AGAINST_BACKUP_CODES)
def test_a_backup_code_that_dies_in_flight_accepts_nobody(world: World, change: Change) -> None:
    world.nas()
    code = world.user(codes=1).backup_codes[0].shown
    assert asked_while(world, change, f"hunter2{code}".encode()).code is REJECT
    assert [outcome for outcome, _ in world.audit()] == ["reject"]


AGAINST_PASSWORDS: list[Change] = [change_password, disable, remove, panel_disables, panel_changes_password]
AGAINST_CHALLENGES: list[Change] = [change_password, disable, remove, delete_method]


@pytest.mark.parametrize("change", AGAINST_PASSWORDS)
def test_a_password_that_dies_in_flight_brings_no_challenge(world: World, change: Change) -> None:
    world.nas(challenge=True)
    world.user()
    assert asked_while(world, change, b"hunter2").code is REJECT
    with world.database.reading() as connection:
        assert connection.execute(select(schema.challenges)).all() == []


@pytest.mark.parametrize("change", AGAINST_CHALLENGES)
def test_a_pending_challenge_dies_with_its_credentials(world: World, clock: Clock, change: Change) -> None:
    world.nas(challenge=True)
    alice = world.user()
    with world.daemon() as running:
        nas = world.client(running)
        state = nas.ask("alice", b"hunter2").state
        made(change, world)
        assert nas.ask("alice", alice.code(at=clock.at).encode(), state=state).code is REJECT
        if change is disable:
            people.enable(ALICE, **administration(world))
            assert nas.ask("alice", alice.code(at=clock.at).encode(), state=state).code is REJECT
    assert watermark_or_none(world, alice) in (0, None)


def watermark_or_none(world: World, alice: TestUser) -> int | None:
    with world.database.reading() as connection:
        statement = select(schema.methods.c.watermark).filter_by(id=alice.method_id)
        return connection.execute(statement).scalar_one_or_none()


@pytest.mark.parametrize("change", AGAINST_CHALLENGES)
def test_an_answer_whose_challenge_dies_in_flight_accepts_nobody(world: World, clock: Clock, change: Change) -> None:
    world.nas(challenge=True)
    alice = world.user()
    typed = alice.code(at=clock.at).encode()
    reply = asked_while(world, change, typed, state=lambda nas: nas.ask("alice", b"hunter2").state)
    assert reply.code is REJECT


@pytest.mark.parametrize("change", AGAINST_CHALLENGES)
def test_a_running_period_dies_with_its_credentials(world: World, clock: Clock, change: Change) -> None:
    """Also the retry grace, which would take the same text again without looking at it (R12)."""
    world.nas(retry_grace=60)
    alice = world.user()
    with world.daemon() as running:
        nas = world.client(running)
        typed = f"hunter2{alice.code(at=clock.at)}".encode()
        assert [nas.ask("alice", typed).code for _ in range(2)] == [ACCEPT, ACCEPT]
        made(change, world)
        assert nas.ask("alice", typed).code is REJECT
    with world.database.reading() as connection:
        assert connection.execute(select(schema.verifications)).all() == []


class Administrator(Thread):
    """Changes the password in a transaction that is still open when the sign-in is settled."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world
        self._written = Event()

    def begin(self, _: object) -> None:
        """Start, once; return when the change is written and not committed."""
        if not self._written.is_set():
            self.start()
            assert self._written.wait(20)

    def run(self) -> None:
        with self._world.database.writing() as connection:
            books = OpenBooks(connection, self._world.keys)
            alice = books.people.lock("alice")
            assert alice is not None
            books.people.set_password_hash(alice.id, make_hash("another", profile=CHEAP))
            books.people.forget_periods(alice.id)
            self._written.set()
            # Long enough that whoever settles meets this transaction: SQLite waits for it, PostgreSQL goes on without.
            time.sleep(0.4)


def asked_during_a_change(world: World, nas: TestNas, tap: Tap, typed: bytes, **options: Any) -> Reply:
    administrator = Administrator(world)
    tap.before_settle = administrator.begin
    octets, authenticator = nas.request("alice", typed, **options)

    def asked() -> Reply | None:
        nas.send(octets)
        return nas.receive(authenticator, timeout=0.5)

    reply: Reply = eventually(asked, within=20)  # while the user's row is held there may be silence
    administrator.join(20)
    return reply


def test_a_change_that_commits_while_a_sign_in_is_settled_comes_first(world: World, clock: Clock) -> None:
    """And nothing is left behind that would take the same text again within the grace."""
    world.nas(retry_grace=60)
    alice = world.user()
    tap = Tap()
    with world.daemon(wrap=tap.around) as running:
        nas = world.client(running)
        nas.ask("alice", b"hunter2")
        typed = f"hunter2{alice.code(at=clock.at)}".encode()
        assert asked_during_a_change(world, nas, tap, typed).code is REJECT
        assert nas.ask("alice", typed).code is REJECT
    assert watermark(world, alice) == 0


def test_a_change_that_commits_while_a_challenge_is_settled_leaves_none(world: World, clock: Clock) -> None:
    world.nas(challenge=True)
    world.user()
    tap = Tap()
    with world.daemon(wrap=tap.around) as running:
        nas = world.client(running)
        nas.ask("alice", b"letmein")
        clock.at += 5
        assert asked_during_a_change(world, nas, tap, b"hunter2").code is REJECT
    with world.database.reading() as connection:
        assert connection.execute(select(schema.challenges)).all() == []


def test_a_change_that_commits_while_an_answer_is_settled_comes_first(world: World, clock: Clock) -> None:
    world.nas(challenge=True)
    alice = world.user()
    tap = Tap()
    with world.daemon(wrap=tap.around) as running:
        nas = world.client(running)
        state = nas.ask("alice", b"hunter2").state
        typed = alice.code(at=clock.at).encode()
        assert asked_during_a_change(world, nas, tap, typed, state=state).code is REJECT
    assert watermark(world, alice) == 0

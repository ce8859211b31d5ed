import json

import pytest

from radiusd_mfa.core.totp import Algorithm
from radiusd_mfa.passwords.local import verify
from radiusd_mfa.store import schema
from radiusd_mfa.usecases import importing, teams
from radiusd_mfa.usecases.changes import Refusal
from radiusd_mfa.usecases.importing import MOST_PROBLEMS, Imported
from tests.support.administered import Refuses, World

BCRYPT = "$2b$04$" + "." * 21 + "O" + "." * 31
SEED = "GEZDGNBVGY3TQOJQ"


def _line(**fields: object) -> bytes:
    return json.dumps({"username": "alice", "password_hash": BCRYPT} | fields).encode() + b"\n"


def _take_over(world: World, *lines: bytes) -> Imported | Refusal:
    return importing.take_over(lines, **world.needs, hashing=world.app.hashing)


def test_line_7312_is_named_and_nothing_is_half_done(world: World, refuses: Refuses) -> None:
    lines = [_line(username=f"user{number}", totp_secret=SEED) for number in range(1, 10_001)]
    lines[7311] = _line(username="bad", totp_secret="0189")
    refused = _take_over(world, *lines)
    refuses(refused, "line 7312: totp_secret:")
    assert isinstance(refused, Refusal)
    assert refused.sentence.count("line ") == 1
    for table in (schema.users, schema.methods, schema.memberships):
        assert world.count(table) == 0
    assert [outcome for outcome, _ in world.audit("user-import")] == ["refused"]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (b"not json", "is not JSON"),
        (b"\xff\xfe", "is not JSON"),
        (b"[" * 100_000, "longer than"),
        (b"[" * 60_000, "is not JSON"),
        (b"[]", "is not a JSON object"),
        (b'{"username": "a", "username": "b"}', "field twice"),
        (b'{"password": "x"}', "has no username"),
        (_line(password="x"), "either password or password_hash"),
        (_line(password_hash=None), "either password or password_hash"),
        (_line(password_hash="d41d8cd98f00b204e9800998ecf8427e"), "no known kind"),
        (_line(password_hash="$2b$04$short"), "damaged"),
        (_line(username="a\nb"), "username:"),
        (_line(username="\ud800"), "username:"),
        (_line(username=""), "username:"),
        (_line(username=7), "username: is not a text"),
        (_line(emial="a@b.org"), "unknown field “emial”"),
        (_line(email="nobody"), "email:"),
        (_line(phone="0151"), "phone:"),
        (_line(role="king", team="ops"), "role:"),
        (_line(role="owner"), "has role, but no team"),
        (_line(team="obs"), "is ops meant?"),
        (_line(totp_digits=6), "has totp_digits, but no totp_secret"),
        (_line(totp_secret=SEED, totp_digits=9), "totp_digits: 9"),
        (_line(totp_secret=SEED, totp_digits=True), "totp_digits: is not a number"),
        (_line(totp_secret=SEED, totp_period=0), "totp_period: 0"),
        (_line(totp_secret=SEED, totp_algorithm="MD5"), "totp_algorithm:"),
        (_line(totp_secret="AAAA"), "totp_secret:"),
    ],
)
def test_a_bad_line_is_named_with_what_is_wrong(world: World, refuses: Refuses, line: bytes, complaint: str) -> None:
    teams.add("ops", plan="mfa", **world.needs)
    refused = _take_over(world, _line(username="fine"), b"\n", line)
    refuses(refused, "line 3: ")
    refuses(refused, complaint)
    assert world.count(schema.users) == 0


def test_a_password_that_is_too_long_is_named_and_not_shown(world: World, refuses: Refuses) -> None:
    refused = _take_over(world, b'{"username": "a", "password": "%s"}' % (b"canary" * 30))
    refuses(refused, "line 1: password:")
    assert "canary" not in repr(refused)
    assert "canary" not in repr(world.audit("user-import"))


def test_names_that_are_one_person_are_named_with_both_lines(world: World, refuses: Refuses) -> None:
    refuses(_take_over(world, _line(username="Bob"), _line(username="BOB")), "line 2: user “bob” stands in line 1")


def test_names_that_are_in_the_database_are_named(world: World, refuses: Refuses) -> None:
    world.user("alice")
    refuses(_take_over(world, _line(username="bob"), _line()), "line 2: user “alice” is in the database already")
    assert world.count(schema.users) == 1


def test_of_many_problems_the_first_twenty_are_told_in_the_order_of_the_lines(world: World) -> None:
    refused = _take_over(world, *[b"x\n"] * 1000)
    assert isinstance(refused, Refusal)
    named = [line.partition(":")[0] for line in refused.sentence.splitlines() if line.startswith("line ")]
    assert named == [f"line {number}" for number in range(1, MOST_PROBLEMS + 1)]


def test_everything_of_a_line_arrives(world: World) -> None:
    teams.add("ops", plan="mfa", **world.needs)
    lines = [
        _line(
            username="Carol", password="pässword", password_hash=None, email="c@example.org", phone="+49 151 1234567"
        ),
        _line(
            team="ops", role="admin", totp_secret=SEED.lower(), totp_digits=8, totp_period=60, totp_algorithm="sha256"
        ),
    ]
    assert _take_over(world, *lines) == Imported(users=2, methods=1)
    view = world.app.administration.view
    carol = view(lambda books: books.people.find("carol"))
    alice = view(lambda books: books.people.find("alice"))
    assert carol is not None
    assert alice is not None
    assert verify("pässword", carol.password_hash or "")
    assert (carol.email, carol.phone) == ("c@example.org", "+491511234567")
    assert alice.password_hash == BCRYPT
    assert [(each.team, each.role) for each in view(lambda books: books.teams.members(user_id=alice.id))] == [
        ("ops", "admin")
    ]
    (method,) = view(lambda books: books.methods.of(alice.id))
    assert (method.digits, method.period, method.algorithm) == (8, 60, Algorithm.SHA256)
    assert (method.seed, method.label, method.is_default) == (b"1234567890", "imported", True)
    assert method.confirmed_at == world.clock.now


def test_after_an_import_the_next_user_gets_an_id_of_its_own(world: World) -> None:
    _take_over(world, *[_line(username=f"user{number}", totp_secret=SEED) for number in range(50)])
    user, made, _ = world.enrolled("next")
    assert world.count(schema.users) == 51
    assert world.count(schema.methods, user_id=world.user_id(user), id=made.method) == 1


def test_an_empty_file_imports_nobody(world: World) -> None:
    assert _take_over(world, b"\n", b"  ") == Imported(users=0, methods=0)

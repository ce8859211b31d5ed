import json

import pytest

from radiusd_mfa.core.totp import Algorithm
from radiusd_mfa.foreign import jsonl
from radiusd_mfa.passwords.local import verify
from radiusd_mfa.store import schema
from radiusd_mfa.usecases import importing, teams
from radiusd_mfa.usecases.changes import Refusal
from radiusd_mfa.usecases.import_ports import Entry, Found, LeftOut, Reading
from radiusd_mfa.usecases.importing import MOST_PROBLEMS, Imported, Wishes
from tests.support.administered import Refuses, World

BCRYPT = "$2b$04$" + "." * 21 + "O" + "." * 31
SEED = "GEZDGNBVGY3TQOJQ"


def _line(**fields: object) -> bytes:
    return json.dumps({"username": "alice", "password_hash": BCRYPT} | fields).encode() + b"\n"


def _take_over(world: World, *lines: bytes) -> Imported | Refusal:
    return importing.take_over(Reading(jsonl.read(lines)), **world.needs, hashing=world.app.hashing)


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


def _seeds(world: World, name: str = "alice", **wishes: bool) -> Imported | Refusal:
    line = json.dumps({"username": name, "totp_secret": SEED}).encode()
    return importing.take_over(
        Reading(jsonl.read([line]), joins=True, label="elsewhere"),
        **world.needs,
        hashing=world.app.hashing,
        wishes=Wishes(**wishes),
    )


def test_a_seed_of_somebody_who_is_not_there_is_refused(world: World, refuses: Refuses) -> None:
    refuses(_seeds(world), "line 1: user “alice” is not in the database, and no password came along")
    assert world.count(schema.users) == 0


def test_a_seed_may_make_a_user_without_a_password_where_that_is_wished(world: World) -> None:
    assert _seeds(world, make_users=True) == Imported(users=1, methods=1)
    found = world.app.administration.view(lambda books: books.people.find("alice"))
    assert found is not None
    assert found.password_hash is None


def test_a_seed_is_added_to_a_user_who_is_there_and_only_once(world: World) -> None:
    user = world.user()
    assert _seeds(world) == Imported(users=0, methods=0, added=1)
    (method,) = world.app.administration.view(lambda books: books.methods.of(world.user_id(user)))
    assert (method.label, method.is_default, method.confirmed_at) == ("elsewhere", True, world.clock.now)
    assert [detail for _, detail in world.audit("mfa-import")] == [{"label": "elsewhere"}]
    again = _seeds(world)
    assert isinstance(again, Imported)
    assert (again.added, sum(again.left_out.values())) == (0, 1)
    assert world.count(schema.methods) == 1


def test_an_added_authenticator_takes_nothing_from_the_one_that_is_there(world: World) -> None:
    user, made, _ = world.enrolled()
    before = world.app.administration.view(lambda books: books.people.find("alice"))
    assert _seeds(world) == Imported(users=0, methods=0, added=1)
    found = world.app.administration.view(lambda books: books.methods.summaries(world.user_id(user)))
    first, second = found
    assert (first.id, first.is_default, first.confirmed) == (made.method, True, True)
    assert (second.is_default, second.confirmed) == (False, True)
    assert world.app.administration.view(lambda books: books.people.find("alice")) == before


def test_users_who_are_there_can_be_left_as_they_are(world: World) -> None:
    user = world.user()
    lines = [_line(password_hash=BCRYPT, totp_secret=SEED), _line(username="bob")]
    wishes = Wishes(skip_existing=True)
    done = importing.take_over(Reading(jsonl.read(lines)), **world.needs, hashing=world.app.hashing, wishes=wishes)
    assert isinstance(done, Imported)
    assert (done.users, done.added, sum(done.left_out.values())) == (1, 0, 1)
    assert world.count(schema.methods, user_id=world.user_id(user)) == 0
    assert world.count(schema.users, password_hash=BCRYPT) == 1


def test_mail_and_team_are_not_added_to_a_user_who_is_there(world: World, refuses: Refuses) -> None:
    world.user()
    line = json.dumps({"username": "alice", "totp_secret": SEED, "email": "a@example.org"}).encode()
    refuses(_take_over(world, line), "line 1: user “alice” is in the database already")


def test_a_dry_run_finds_what_the_import_would_find_and_writes_nothing(world: World, refuses: Refuses) -> None:
    world.user()
    rows = world.count(schema.audit)
    refuses(_dry(world, _line()), "line 1: user “alice” is in the database already")
    refuses(_dry(world, _line(username="bob", team="ops")), "line 1: There is no team “ops”")
    assert _dry(world, _line(username="bob", totp_secret=SEED)) == Imported(users=1, methods=1)
    assert _seeds(world, dry_run=True) == Imported(users=0, methods=0, added=1)
    assert (world.count(schema.users), world.count(schema.methods), world.count(schema.audit)) == (1, 0, rows)


def _dry(world: World, *lines: bytes) -> Imported | Refusal:
    wishes = Wishes(dry_run=True)
    return importing.take_over(Reading(jsonl.read(lines)), **world.needs, hashing=world.app.hashing, wishes=wishes)


def test_several_entries_of_one_user_are_put_together_where_they_belong_together(world: World) -> None:
    other = "ABCDEFGHIJKLMNOP"
    entries: list[Found] = [
        Entry("row 1", {"username": "alice", "totp_secret": SEED}),
        Entry("row 2", {"username": "ALICE", "password": "correct horse"}),
        Entry("row 3", {"username": "alice", "totp_secret": SEED}),
        Entry("row 4", {"username": "alice", "totp_secret": other}),
        LeftOut("something else"),
    ]
    done = importing.take_over(Reading(entries, joins=True), **world.needs, hashing=world.app.hashing)
    assert done == Imported(users=1, methods=2, left_out={"something else": 1})
    found = world.app.administration.view(lambda books: books.people.find("alice"))
    assert found is not None
    assert verify("correct horse", found.password_hash or "")
    methods = world.app.administration.view(lambda books: books.methods.of(found.id))
    assert [method.is_default for method in methods] == [True, False]


def test_two_passwords_of_one_user_are_named(world: World, refuses: Refuses) -> None:
    entries = [Entry(f"row {number}", {"username": "alice", "password": "x"}) for number in (1, 2)]
    refused = importing.take_over(Reading(entries, joins=True), **world.needs, hashing=world.app.hashing)
    refuses(refused, "row 2: user “alice” has a password in row 1 already")


def test_how_far_it_is_is_told(world: World) -> None:
    told: list[tuple[str, int, int | None]] = []
    lines = [_line(username=f"user{number}", password="x", password_hash=None) for number in range(130)]
    importing.take_over(
        Reading(jsonl.read(lines)),
        **world.needs,
        hashing=world.app.hashing,
        progress=lambda what, done, of: told.append((what, done, of)),
    )
    assert [each for each in told if each[0] == "Hashing passwords"] == [
        ("Hashing passwords", done, 130) for done in (0, 64, 128)
    ]
    assert told[-1][0] == "Writing"

"""A phone as second factor: set up by a code that was delivered, and codes that are good once and for ten minutes."""

from collections.abc import Sequence

import pytest
from sqlalchemy import select, update

from radiusd_mfa.core.names import Username
from radiusd_mfa.core.sms_codes import LIFETIME, PAUSE
from radiusd_mfa.store import schema
from radiusd_mfa.usecases import acting, codes, enrol, phone_codes, sms
from radiusd_mfa.usecases.acting import NOBODY, Given, Texted
from radiusd_mfa.usecases.actors import Claimant, Person
from radiusd_mfa.usecases.admin_ports import MethodSummary
from radiusd_mfa.usecases.books import Books
from radiusd_mfa.usecases.changes import Refusal
from radiusd_mfa.usecases.codes import CodeSet
from radiusd_mfa.usecases.enrol import Confirmed
from radiusd_mfa.usecases.outbox_ports import Channel
from radiusd_mfa.usecases.phone_codes import Sent
from tests.support.administered import Refuses, World
from tests.support.posted import person_of, posted

NUMBER = "+4915112345678"
PASSWORD = b"correct horse"


def start(world: World, user: Username, number: str | None = NUMBER, replaces: int | None = None) -> Sent | Refusal:
    return sms.start(user, number=number, replaces=replaces, post=world.app.post, **world.needs)


def delivered(world: World) -> str:
    """Return the code of the one text message that waits."""
    [claimed] = [each for each in posted(world.app) if each.channel is Channel.SMS]
    assert claimed.recipient == NUMBER
    assert claimed.values is not None
    return str(claimed.values["code"])


def confirm(world: World, user: Username, code: str, *, recorded_first: bool = False) -> Confirmed | Refusal:
    needs = {**world.needs, "hashing": world.app.hashing, "post": world.app.post}
    return sms.confirm(user, code, recorded_first=recorded_first, **needs)


def with_phone(world: World) -> Username:
    user = world.user()
    assert isinstance(start(world, user), Sent)
    done = confirm(world, user, delivered(world))
    assert isinstance(done, Confirmed)
    world.clock.now += PAUSE
    return user


def in_books(world: World, user: Username, code: str) -> bool:
    """Prove a current code, as what needs one does."""

    def work(books: Books) -> bool:
        person, at = person_of(user, books), world.clock()
        return phone_codes.spend_current(person, code, books, post=world.app.post, at=at)

    return world.app.administration.change(work)


def send(world: World, user: Username) -> Sent | Refusal:
    def work(books: Books) -> Sent | Refusal:
        person = person_of(user, books)
        (phone,) = books.sms.phones(person.id)
        return phone_codes.send(person, phone, books, post=world.app.post, at=world.clock())

    return world.app.administration.change(work)


def wrong(code: str) -> str:
    return f"{(int(code) + 1) % 1_000_000:06}"


def test_a_delivered_code_confirms_the_phone_and_brings_backup_codes(world: World) -> None:
    user = world.user()
    sent = start(world, user)
    assert isinstance(sent, Sent)
    assert sent.number == "…678"
    done = confirm(world, user, delivered(world))
    assert isinstance(done, Confirmed)
    assert done.codes is not None
    assert len(done.codes.codes) == 10
    shown = enrol.show(user, **world.needs)
    assert not isinstance(shown, Refusal)
    [method] = shown.methods
    assert (method.kind, method.confirmed, method.is_default) == ("sms", True, True)


def test_a_phone_that_is_not_confirmed_proves_nothing(world: World) -> None:
    user = world.user()
    start(world, user)
    assert not in_books(world, user, delivered(world))


def test_a_wrong_code_confirms_nothing_and_five_cancel_the_set_up(world: World, refuses: Refuses) -> None:
    user = world.user()
    start(world, user)
    code = delivered(world)
    for left in (4, 3, 2, 1):
        refuses(confirm(world, user, wrong(code)), f"{left} more wrong ones")
    refuses(confirm(world, user, wrong(code)), "cancelled")
    refuses(confirm(world, user, code), "no phone that waits")


def test_many_users_together_flood_no_strangers_phone(world: World, refuses: Refuses) -> None:
    """Each may have five codes sent in an hour; a number that nobody has confirmed gets no more from all of them."""
    users = [world.user(f"user{number}") for number in range(sms.MOST_TO_A_NUMBER + 1)]
    for user in users[:-1]:
        assert isinstance(start(world, user), Sent)
    refuses(start(world, users[-1]), "Many codes were sent to …678")
    assert enrol.show(users[-1], **world.needs) == enrol.Overview(users[-1].text, [], 0)
    world.clock.now += PAUSE
    again = sms.send_again(users[0], post=world.app.post, **world.needs)
    refuses(again, "Many codes were sent to …678")
    assert isinstance(start(world, users[-1], "+4915187654321"), Sent)
    world.clock.now += 3600
    assert isinstance(start(world, users[-1]), Sent)


def test_a_confirmed_phone_gets_the_codes_of_its_owner_whatever_others_try(world: World) -> None:
    user = with_phone(world)
    for number in range(sms.MOST_TO_A_NUMBER):
        start(world, world.user(f"user{number}"))
    assert isinstance(send(world, user), Sent)


@pytest.mark.parametrize("typed", ["", "12345", "\u0660" * 6, "sms", "000000 000000"])
def test_what_is_no_code_is_a_wrong_one(world: World, refuses: Refuses, typed: str) -> None:
    user = world.user()
    start(world, user)
    refuses(confirm(world, user, typed), "wrong")


def test_a_code_with_a_space_in_it_is_the_code(world: World) -> None:
    user = world.user()
    start(world, user)
    code = delivered(world)
    assert isinstance(confirm(world, user, f" {code[:3]} {code[3:]}"), Confirmed)


def test_a_code_is_good_once(world: World) -> None:
    user = with_phone(world)
    assert isinstance(send(world, user), Sent)
    code = delivered(world)
    assert not in_books(world, user, wrong(code))
    assert in_books(world, user, code)
    assert not in_books(world, user, code)


def test_a_code_is_good_for_ten_minutes(world: World) -> None:
    user = with_phone(world)
    send(world, user)
    code = delivered(world)
    world.clock.now += LIFETIME
    assert not in_books(world, user, code)
    world.clock.now -= 1
    assert in_books(world, user, code)


def test_a_newer_code_makes_the_one_before_it_worthless(world: World) -> None:
    user = with_phone(world)
    send(world, user)
    first = delivered(world)
    world.clock.now += PAUSE
    send(world, user)
    second = delivered(world)
    assert first == second or not in_books(world, user, first)
    assert in_books(world, user, second)


def test_a_code_of_another_user_is_worthless(world: World) -> None:
    user = with_phone(world)
    send(world, user)
    code = delivered(world)
    other = world.user("bob")
    assert isinstance(sms.start(other, number="+4915100000000", post=world.app.post, **world.needs), Sent)
    # Even a row that was copied: a digest is bound to its user.
    with world.app.database.writing() as connection:
        row = connection.execute(
            select(schema.sms_codes).where(schema.sms_codes.c.user_id == world.user_id(user))
        ).one()
        values = {"digest": row.digest, "sent_at": row.sent_at, "expires_at": row.expires_at}
        mine = schema.sms_codes.c.user_id == world.user_id(other)
        connection.execute(update(schema.sms_codes).where(mine).values(values))
    assert isinstance(confirm(world, other, code), Refusal)


def test_codes_are_sent_one_in_half_a_minute_and_five_in_an_hour(world: World, refuses: Refuses) -> None:
    user = with_phone(world)  # took the first one
    world.clock.now -= 1
    refuses(send(world, user), "in 1 seconds")
    world.clock.now += 1
    for _ in range(4):
        assert isinstance(send(world, user), Sent)
        world.clock.now += PAUSE
    refuses(send(world, user), "in 58 minutes")
    refuses(start(world, user, "+4915100000000"), "in 58 minutes")
    assert len([each for each in posted(world.app) if each.channel is Channel.SMS]) == 4


def test_a_refused_set_up_takes_nothing_away(world: World, refuses: Refuses) -> None:
    """A code can't be sent so soon, so the phone that waits goes on waiting for the one it was sent."""
    user = world.user()
    start(world, user)
    refuses(start(world, user, "+4915100000000"), "can be sent in")
    assert isinstance(confirm(world, user, delivered(world)), Confirmed)


def test_without_a_number_there_is_none_to_send_to(world: World, refuses: Refuses) -> None:
    refuses(start(world, world.user(), None), "has no phone number")


def test_the_number_of_the_user_is_taken_unless_another_is_named(world: World) -> None:
    user = world.user()
    with world.app.database.writing() as connection:
        connection.execute(update(schema.users).values(phone=NUMBER))
    assert isinstance(start(world, user, None), Sent)
    delivered(world)


def test_a_number_is_set_up_once(world: World, refuses: Refuses) -> None:
    refuses(start(world, with_phone(world)), "gets codes at …678 already")


def test_a_team_that_allows_no_sms_has_none(world: World, refuses: Refuses) -> None:
    user = world.user()
    world.insert(schema.teams, name="ops", created_at=1.0, policy='[methods]\nallow = ["totp"]\n', policy_version=1)
    world.insert(schema.memberships, user_id=world.user_id(user), team_id=1, role="member")
    refuses(start(world, user), "does not allow codes by SMS")


def test_whoever_has_given_a_password_only_adds_no_phone_to_what_is_there(world: World, refuses: Refuses) -> None:
    user, *_ = world.enrolled()
    person = world.app.administration.view(lambda books: person_of(user, books))
    claimant = Claimant(person.id, person.name, person.password_hash or "")
    refused = sms.start(user, number=NUMBER, post=world.app.post, actor=claimant, **world.needs)
    refuses(refused, "has a second factor by now")


def test_a_phone_that_replaces_all_ends_them_when_it_is_confirmed_and_not_before(world: World) -> None:
    user, *_ = world.enrolled()
    assert isinstance(start(world, user, replaces=0), Sent)
    kinds = [method.kind for method in _methods(world, user) if method.confirmed]
    assert kinds == ["totp"]
    done = confirm(world, user, delivered(world))
    assert isinstance(done, Confirmed)
    assert done.codes is not None
    assert [(method.kind, method.is_default) for method in _methods(world, user)] == [("sms", True)]


def test_the_codes_may_have_to_be_recorded_first(world: World) -> None:
    user = world.user()
    start(world, user)
    held = confirm(world, user, delivered(world), recorded_first=True)
    assert isinstance(held, Confirmed)
    assert not held.counts
    assert not _methods(world, user)[0].confirmed
    assert isinstance(enrol.acknowledge(user, **world.needs), Confirmed)
    assert _methods(world, user)[0].confirmed


def ask(world: World, user: Username, password: bytes = PASSWORD, code: bytes = b"sms") -> object:
    return acting.prove(Given(user, password, code), door=world.app.door("cli"))


def test_a_code_is_sent_to_whoever_has_given_a_password_and_to_nobody_else(world: World) -> None:
    user, other = with_phone(world), world.user("bob")
    assert ask(world, user, b"another one") is NOBODY
    assert ask(world, other) is NOBODY
    assert posted(world.app) == []
    world.clock.now += 1  # the delay after a wrong password
    assert ask(world, user) == Texted("A code was sent to your phone ending in 678.", sent=True)
    again = ask(world, user)
    assert isinstance(again, Texted)
    assert not again.sent
    assert isinstance(ask(world, user, code=delivered(world).encode()), Person)


def test_the_password_alone_is_enough_to_be_sent_one_where_that_is_preferred(world: World) -> None:
    user = with_phone(world)
    assert isinstance(ask(world, user, code=b""), Texted)
    assert isinstance(ask(world, user, code=delivered(world).encode()), Person)


def test_to_prove_the_password_alone_sends_nothing(world: World) -> None:
    user = with_phone(world)
    assert isinstance(acting.prove_password(Given(user, PASSWORD), door=world.app.door("pages")), Claimant)
    assert posted(world.app) == []


def test_a_code_by_sms_is_a_current_code_for_new_backup_codes(world: World, refuses: Refuses) -> None:
    user = with_phone(world)
    send(world, user)
    code = delivered(world)
    needs = {**world.hashing_needs, "post": world.app.post}
    refuses(codes.regenerate(user, wrong(code), **needs), "not a current code")
    assert isinstance(codes.regenerate(user, code, **needs), CodeSet)
    refuses(codes.regenerate(user, code, **needs), "not a current code")


def test_the_default_phone_is_the_one_that_is_asked(world: World) -> None:
    user = with_phone(world)
    assert isinstance(start(world, user, "+4915100000000"), Sent)
    [claimed] = posted(world.app)
    assert claimed.values is not None
    assert isinstance(confirm(world, user, str(claimed.values["code"])), Confirmed)
    assert _asked(world, user) == NUMBER
    second = _methods(world, user)[1]
    world.app.administration.change(lambda books: books.methods.make_default(person_of(user, books).id, second.id))
    assert _asked(world, user) == "+4915100000000"


def test_no_code_is_in_clear_in_the_database_or_in_the_audit_log(world: World) -> None:
    user = world.user()
    start(world, user)
    with world.app.database.reading() as connection:
        tables = (schema.sms_codes, schema.outbox, schema.audit, schema.methods)
        rows = [row for table in tables for row in connection.execute(select(table))]
    code = delivered(world)
    texts = [str(value) for row in rows for value in row if isinstance(value, str)]
    octets = [value for row in rows for value in row if isinstance(value, bytes)]
    assert octets
    assert not any(code in text for text in texts)
    assert not any(code.encode() in value for value in octets)
    assert code not in repr(posted(world.app))


def _methods(world: World, user: Username) -> Sequence[MethodSummary]:
    shown = enrol.show(user, **world.needs)
    assert not isinstance(shown, Refusal)
    return shown.methods


def _asked(world: World, user: Username) -> str:
    """Return the number to which a code goes that is asked for now."""
    world.clock.now += PAUSE
    assert isinstance(ask(world, user), Texted)
    [claimed] = posted(world.app)
    return claimed.recipient

"""Who is told what, in the transaction in which it happens."""

from collections.abc import Sequence

import pytest
from sqlalchemy import update

from radiusd_mfa.core.names import Username
from radiusd_mfa.store import schema
from radiusd_mfa.usecases import enrol, removal, reset
from radiusd_mfa.usecases.actors import OPERATOR, Claimant, Person
from radiusd_mfa.usecases.changes import Refusal
from radiusd_mfa.usecases.enrol import Confirmed
from radiusd_mfa.usecases.mails import tell
from radiusd_mfa.usecases.outbox_ports import NEEDS, Mail
from radiusd_mfa.usecases.reset import Invitation
from tests.support.administered import World
from tests.support.posted import person_of, posted

PORTAL = "https://mfa.example.net/"


def mailed(world: World) -> Sequence[tuple[str, dict[str, object]]]:
    """Take what waits to be told, as a worker would: kind and values."""
    taken = posted(world.app)
    assert {each.recipient for each in taken} <= {"alice@example.org"}
    return [(each.kind, dict(each.values or {})) for each in taken]


def addressed(world: World) -> None:
    with world.app.database.writing() as connection:
        connection.execute(update(schema.users).values(email="alice@example.org"))


def enrolled(world: World) -> Username:
    """Make a user who has an address and a method, and has read the mail about it."""
    user = world.user()
    addressed(world)
    made = world.start(user, label="phone")
    assert isinstance(world.confirm(user, world.code(made)), Confirmed)
    [(kind, values)] = mailed(world)
    assert kind == Mail.METHOD_ADDED
    assert (values["method"], values["label"], values["actor"]) == ("totp", "phone", "operator")
    return user


def test_a_method_that_is_not_confirmed_is_told_to_nobody(world: World) -> None:
    user = world.user()
    addressed(world)
    made = world.start(user)
    assert isinstance(world.confirm(user, "000000" if world.code(made) != "000000" else "111111"), Refusal)
    assert not isinstance(removal.delete(user, None, **world.needs), Refusal)
    assert mailed(world) == []


def test_what_is_refused_is_told_to_nobody(world: World) -> None:
    user = world.user()
    addressed(world)
    assert isinstance(removal.disable(user, **world.needs), Refusal)
    assert mailed(world) == []


def test_a_removed_method_is_told(world: World) -> None:
    user = enrolled(world)
    removal.delete(user, None, **world.needs)
    assert [(kind, values["label"]) for kind, values in mailed(world)] == [(Mail.METHOD_REMOVED, "phone")]


@pytest.mark.parametrize("verb", [removal.disable, removal.revoke])
def test_a_second_factor_that_is_taken_away_is_told(world: World, verb: object) -> None:
    user = enrolled(world)
    assert not isinstance(verb(user, **world.needs), Refusal)  # type: ignore[operator]
    assert [(kind, values["actor"]) for kind, values in mailed(world)] == [(Mail.MFA_DISABLED, "operator")]


def test_a_stolen_phone_is_told_as_removed(world: World) -> None:
    user = enrolled(world)
    shown = enrol.show(user, **world.needs)
    assert not isinstance(shown, Refusal)
    assert not isinstance(removal.revoke(user, shown.methods[0].id, **world.needs), Refusal)
    assert [kind for kind, _ in mailed(world)] == [Mail.METHOD_REMOVED]


def test_a_method_that_takes_the_place_of_another_is_told_when_it_does(world: World) -> None:
    user = enrolled(world)
    made = reset.own(user, None, label="", issuer="test", **world.needs, entropy=world.app.entropy)
    assert not isinstance(made, Refusal)
    assert mailed(world) == []
    world.clock.now += 30
    assert isinstance(world.confirm(user, world.code(made)), Confirmed)
    assert [kind for kind, _ in mailed(world)] == [Mail.METHOD_RESET]


def invited(world: World, user: Username, portal_url: str | None = PORTAL) -> Invitation:
    made = reset.invite(user, portal_url=portal_url, **world.needs, entropy=world.app.entropy)
    assert isinstance(made, Invitation)
    return made


def test_the_link_of_a_reset_is_mailed_and_works(world: World) -> None:
    user = enrolled(world)
    made = invited(world, user)
    assert made.mailed
    [(kind, values)] = mailed(world)
    assert kind == Mail.RESET_LINK
    assert (values["link"], values["expires"]) == (f"{PORTAL}reset/{made.token}", made.expires_at)
    person = world.app.administration.view(lambda books: person_of(user, books))
    redeemed = reset.redeem(
        Claimant(person.id, person.name, person.password_hash or ""),
        reset.token_in(str(values["link"])),
        label="",
        issuer="test",
        **world.needs,
        entropy=world.app.entropy,
    )
    assert not isinstance(redeemed, Refusal)


def test_whoever_has_nothing_yet_is_mailed_a_link_to_begin_with(world: World) -> None:
    user = world.user()
    addressed(world)
    invited(world, user)
    assert [kind for kind, _ in mailed(world)] == [Mail.SET_UP_LINK]


def test_without_pages_or_an_address_no_link_is_mailed(world: World) -> None:
    user = world.user()
    assert not invited(world, user).mailed
    addressed(world)
    assert not invited(world, user, None).mailed
    assert mailed(world) == []


def test_users_are_not_told_who_they_are_themselves(world: World) -> None:
    user = world.user()
    addressed(world)

    def told(by: object) -> object:
        def work(books: object) -> None:
            person = person_of(user, books)  # type: ignore[arg-type]
            tell(books, person, Mail.MFA_DISABLED, at=1.0, actor=by)  # type: ignore[arg-type]

        world.app.administration.change(work)
        [(_, values)] = mailed(world)
        return values["actor"]

    world.clock.now = 10.0
    mine = world.user_id(user)
    assert [told(each) for each in (OPERATOR, Person(99, "bob"), Person(mine, "alice"), None)] == [
        "operator",
        "bob",
        "",
        "",
    ]


@pytest.mark.parametrize("mail", [mail for mail in Mail if NEEDS[mail]])
def test_a_mail_without_what_it_must_say_is_a_defect_at_once(world: World, mail: Mail) -> None:
    user = world.user()
    with pytest.raises(TypeError, match="takes"):
        world.app.administration.change(lambda books: tell(books, person_of(user, books), mail, at=1.0))

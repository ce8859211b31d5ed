"""One's own page: what is shown, what a current code is needed for, and what is refused."""

from collections.abc import Callable

import pytest

from radiusd_mfa.core.names import Username
from radiusd_mfa.core.throttle import CODE_CAPS
from radiusd_mfa.store import schema
from radiusd_mfa.usecases import codes, own, removal, teams
from radiusd_mfa.usecases.actors import OPERATOR
from radiusd_mfa.usecases.admin_ports import AuditFilter
from radiusd_mfa.usecases.enrol import Confirmed, Enrolment
from tests.portal.set_ups import code_for, counting, has, shown_codes, shown_secret
from tests.support.administered import World
from tests.support.pages import PASSWORD, Browser

Browse = Callable[..., Browser]


@pytest.fixture
def enrolled(world: World) -> tuple[Enrolment, Confirmed]:
    _user, made, confirmed = world.enrolled()
    return made, confirmed


@pytest.fixture
def phone(enrolled: tuple[Enrolment, Confirmed]) -> Enrolment:
    return enrolled[0]


@pytest.fixture
def alice(world: World, browser: Browser, phone: Enrolment) -> Browser:
    world.clock.now += 30
    browser.sign_in(code=world.code(phone))
    world.clock.now += 30
    return browser


@pytest.fixture
def recovered(world: World, browse: Browse, enrolled: tuple[Enrolment, Confirmed]) -> Browser:
    """Somebody who has lost the phone."""
    browser, fresh = browse(), enrolled[1].codes
    assert fresh is not None
    world.clock.now += 30
    browser.sign_in(code=fresh.shown[0])
    assert browser.where == "/profile"
    return browser


def method_id(world: World) -> int:
    return has(world).methods[0].id


def policy(world: World, text: str) -> None:
    teams.add("ops", plan="mfa", **world.needs)
    teams.add_member("ops", Username.parse("alice"), role="member", **world.needs)
    with world.app.database.writing() as connection:
        connection.execute(schema.teams.update().values(policy=text, policy_version=1))


def test_methods_and_codes_are_shown(alice: Browser) -> None:
    alice.open("/profile")
    assert "Authenticator app, added" in alice.text
    assert "Default" in alice.text
    assert "10 are left" in alice.text


def test_a_method_is_renamed_and_its_name_is_only_text(world: World, alice: Browser) -> None:
    path = f"/profile/methods/{method_id(world)}"
    alice.open(path)
    alice.send(f"{path}/rename", label='<b id="x">"phone" & more')
    assert has(world).methods[0].label == '<b id="x">"phone" & more'
    assert '<b id="x">' not in alice.page.text
    assert "&lt;b id=" in alice.page.text


def test_another_persons_method_is_not_there(world: World, alice: Browser) -> None:
    world.enrolled("bob")
    theirs = has(world, Username.parse("bob")).methods[0].id
    path = f"/profile/methods/{theirs}"
    assert alice.open(path).status_code == 422
    for what in ("rename", "default", "reset", "delete"):
        alice.open("/profile")
        alice.send(f"{path}/{what}", label="mine", code="123456")
    assert [method.label for method in has(world, Username.parse("bob")).methods] == [""]
    assert counting(world) == 1


def test_a_reset_needs_a_current_code_and_the_old_one_works_until_the_new_one_is_confirmed(
    world: World, alice: Browser, phone: Enrolment, browse: Browse
) -> None:
    path = f"/profile/methods/{method_id(world)}"
    alice.open(path)
    assert alice.send(f"{path}/reset", code="000000").status_code == 422
    assert "<svg" not in alice.page.text
    alice.send(f"{path}/reset", code=world.code(phone))
    secret = shown_secret(alice)
    world.clock.now += 30
    other = browse()
    other.sign_in(code=world.code(phone))
    assert other.where == "/profile"
    alice.send("/set-up/code", code=code_for(secret, world))
    assert (alice.where, counting(world)) == ("/profile", 1)
    world.clock.now += 30
    third = browse()
    third.sign_in(code=world.code(phone))
    assert third.where == "/sign-in/code"
    third.send("/sign-in/code", code=code_for(secret, world))
    assert third.where == "/profile"
    assert has(world).backup_codes_left == 10, "backup codes stand in for the user, not for the phone"


def test_the_last_method_is_not_deleted_where_one_is_mandatory(world: World, alice: Browser, phone: Enrolment) -> None:
    path = f"/profile/methods/{method_id(world)}"
    alice.open(path)
    page = alice.send(f"{path}/delete", code=world.code(phone))
    assert page.status_code == 422
    assert counting(world) == 1


def test_a_method_is_deleted_with_a_current_code_and_a_word_about_the_app(
    world: World, alice: Browser, phone: Enrolment
) -> None:
    policy(world, "require = []\n")
    path = f"/profile/methods/{method_id(world)}"
    alice.open(path)
    assert alice.send(f"{path}/delete").status_code == 422
    alice.send(f"{path}/delete", code=world.code(phone))
    assert "Remove its entry from your authenticator app" in alice.text
    assert has(world).methods == []


def test_new_backup_codes_need_a_current_code_and_end_the_old_ones(
    world: World, alice: Browser, phone: Enrolment, enrolled: tuple[Enrolment, Confirmed], browse: Browse
) -> None:
    fresh = enrolled[1].codes
    assert fresh is not None
    alice.open("/profile/codes")
    assert alice.send("/profile/codes", code="000000").status_code == 422
    assert alice.send("/profile/codes", code=fresh.shown[1]).status_code == 422
    alice.send("/profile/codes", code=world.code(phone))
    new = shown_codes(alice)
    assert len(new) == 10
    old = browse()
    old.sign_in(code=fresh.shown[0])
    assert old.where == "/sign-in/code"
    old.send("/sign-in/code", code=new[0])
    assert old.where == "/profile"
    alice.send("/set-up/done", recorded="yes")
    assert alice.where == "/profile"
    alice.open("/set-up/codes")
    assert alice.where == "/profile"


def test_a_backup_code_where_a_current_one_is_needed_is_not_spent(
    world: World, alice: Browser, enrolled: tuple[Enrolment, Confirmed]
) -> None:
    fresh = enrolled[1].codes
    assert fresh is not None
    alice.open("/profile/codes")
    alice.send("/profile/codes", code=fresh.shown[0])
    assert has(world).backup_codes_left == 10


def test_codes_are_guessed_on_ones_own_page_as_seldom_as_anywhere(
    world: World, alice: Browser, phone: Enrolment
) -> None:
    """A thief with somebody's session must not try a million codes to make it last."""
    alice.open("/profile/codes")
    right = world.code(phone)
    for number in range(CODE_CAPS[0][0]):
        alice.send("/profile/codes", code=f"{(int(right) + 1 + number) % 1_000_000:06}")
    assert alice.send("/profile/codes", code=right).status_code == 422
    rows = world.app.administration.view(lambda books: books.audit.list(AuditFilter(kind="sign-in", limit=1)))
    assert rows[0].reason == "throttled"


def test_a_code_that_was_given_for_one_thing_does_no_other(world: World, alice: Browser, phone: Enrolment) -> None:
    """A form that is sent twice is one request; the same fields sent elsewhere are not."""
    policy(world, "require = []\n")
    alice.open("/profile/codes")
    fields = alice.hidden | {"code": world.code(phone)}
    assert alice.client.post("/profile/codes", data=fields).headers["location"] == "/set-up/codes"
    page = alice.client.post(f"/profile/methods/{method_id(world)}/delete", data=fields)
    assert page.status_code == 422
    assert counting(world) == 1


def test_unused_codes_are_seen_again_only_where_the_teams_allow_it(
    world: World, alice: Browser, phone: Enrolment
) -> None:
    alice.open("/profile/codes")
    assert "See the unused codes" not in alice.text
    assert alice.send("/profile/codes/reveal", code=world.code(phone)).status_code == 422
    policy(world, "[backup_codes]\nreveal = true\n")
    world.clock.now += 30
    made = codes.regenerate(Username.parse("alice"), world.code(phone), **world.hashing_needs)
    assert isinstance(made, codes.CodeSet)
    world.clock.now += 30
    alice.open("/profile/codes")
    alice.send("/profile/codes/reveal", code=world.code(phone))
    assert shown_codes(alice) == made.shown


def test_after_a_backup_code_the_password_alone_disables_and_no_codes_are_made(
    world: World, recovered: Browser
) -> None:
    recovered.open("/profile/codes")
    assert "Make new codes" not in recovered.text
    recovered.open("/profile/disable")
    assert recovered.send("/profile/disable", password="wrong").status_code == 422
    assert counting(world) == 1
    world.clock.now += 2  # the wrong password is waited for, as everywhere
    recovered.send("/profile/disable", password=PASSWORD)
    assert has(world).methods == []
    assert recovered.where == "/set-up", "where it is mandatory, a new one comes first"


def test_where_it_is_voluntary_nothing_has_to_be_set_up_after_it_was_disabled(world: World, recovered: Browser) -> None:
    policy(world, "require = []\n")
    recovered.open("/profile/disable")
    recovered.send("/profile/disable", password=PASSWORD)
    assert recovered.where == "/profile"
    assert "You have no second factor" in recovered.text


def test_with_the_authenticator_at_hand_the_password_disables_nothing(world: World, alice: Browser) -> None:
    alice.open("/profile/disable")
    alice.send("/profile/disable", password=PASSWORD)
    assert counting(world) == 1


def test_a_second_authenticator_is_added_with_a_code_once_the_sign_in_is_long_ago(
    world: World, alice: Browser, phone: Enrolment
) -> None:
    world.clock.now += 601
    alice.open("/set-up")
    assert alice.send("/set-up", label="tablet").status_code == 422
    assert "<svg" not in alice.page.text
    alice.send("/set-up", label="tablet", code=world.code(phone))
    alice.send("/set-up/code", code=code_for(shown_secret(alice), world))
    assert alice.where == "/profile"
    first, second = has(world).methods
    assert (first.is_default, second.is_default, second.label) == (True, False, "tablet")
    path = f"/profile/methods/{second.id}"
    alice.open(path)
    alice.send(f"{path}/default")
    assert [method.is_default for method in has(world).methods] == [False, True]


def test_where_it_is_remembered_and_who_signed_in_is_shown_and_forgotten(
    world: World, alice: Browser, browse: Browse, phone: Enrolment
) -> None:
    policy(world, '[[require]]\nevery = "12h"\n')
    other = browse()
    other.sign_in(code=world.code(phone))
    assert other.where == "/profile"
    alice.open("/activity")
    assert "This browser" in alice.text
    assert "control panel" in alice.text
    alice.send("/activity/forget")
    assert alice.where == "/profile"
    other.open("/profile")
    assert other.where == "/sign-in"
    other.sign_in()
    assert other.where == "/sign-in/code"


def test_not_me_ends_everything_at_once_and_leads_to_a_new_set_up(
    world: World, alice: Browser, browse: Browse, phone: Enrolment
) -> None:
    thief = browse()
    thief.sign_in(code=world.code(phone))
    assert thief.where == "/profile"
    alice.open("/activity/not-me")
    alice.send("/activity/not-me", what="everything", password=PASSWORD)
    assert alice.where == "/set-up"
    assert has(world).methods == []
    assert has(world).backup_codes_left == 0
    thief.open("/profile")
    assert thief.where == "/sign-in"


def test_not_me_may_leave_the_second_factor_as_it_is(world: World, alice: Browser) -> None:
    alice.open("/activity/not-me")
    alice.send("/activity/not-me", what="sessions")
    assert alice.where == "/profile"
    assert counting(world) == 1


@pytest.fixture
def within_a_period(world: World, browse: Browse, phone: Enrolment) -> Browser:
    """Somebody who has the password and nothing else, where a code was given not long ago."""
    world.clock.now += 30
    policy(world, '[[require]]\nevery = "12h"\nremember = "user"\n')
    browse().sign_in(code=world.code(phone))
    world.clock.now += 30
    browser = browse()
    browser.sign_in()
    assert browser.where == "/profile", "the password alone signs in within a period"
    return browser


@pytest.mark.parametrize("fields", [{}, {"password": "wrong"}, {"password": ""}])
def test_an_open_session_alone_takes_no_second_factor_away(
    world: World, alice: Browser, fields: dict[str, str]
) -> None:
    """Whoever finds a browser open would set up an authenticator of their own next."""
    alice.open("/activity/not-me")
    assert alice.send("/activity/not-me", what="everything", **fields).status_code == 422
    assert alice.where == "/activity/not-me"
    assert counting(world) == 1


def test_within_a_period_the_password_takes_no_second_factor_away(world: World, within_a_period: Browser) -> None:
    for code in ({}, {"code": "000000"}):
        within_a_period.open("/activity/not-me")
        page = within_a_period.send("/activity/not-me", what="everything", password=PASSWORD, **code)
        assert page.status_code == 422
    assert counting(world) == 1


def test_within_a_period_a_backup_code_ends_a_stolen_phone(
    world: World, within_a_period: Browser, enrolled: tuple[Enrolment, Confirmed]
) -> None:
    fresh = enrolled[1].codes
    assert fresh is not None
    within_a_period.open("/activity/not-me")
    within_a_period.send("/activity/not-me", what="everything", code=fresh.shown[0])
    assert within_a_period.where == "/set-up"
    assert has(world).methods == []


def test_within_a_period_the_password_disables_nothing_after_the_owners_backup_code(
    world: World, within_a_period: Browser, browse: Browse, enrolled: tuple[Enrolment, Confirmed]
) -> None:
    """K4 is for the one who gave the backup code, and not for whoever has the password meanwhile."""
    fresh = enrolled[1].codes
    assert fresh is not None
    with world.app.database.writing() as connection:
        strict = '[[require]]\nevery = "connection"\n'
        connection.execute(schema.teams.update().values(policy=strict, policy_version=2))
    browse().sign_in(code=fresh.shown[0])
    assert world.app.administration.view(lambda books: books.methods.recovered(world.user_id(Username.parse("alice"))))
    within_a_period.open("/profile/disable")
    assert "One of your backup codes" in within_a_period.text
    assert within_a_period.send("/profile/disable", password=PASSWORD).status_code == 422
    assert within_a_period.send("/profile/disable", password=PASSWORD, code="000000").status_code == 422
    assert counting(world) == 1
    world.clock.now += 30
    within_a_period.send("/profile/disable", password=PASSWORD, code=fresh.shown[1])
    assert has(world).methods == []


def test_a_set_up_begun_in_another_session_is_not_finished_with_the_password_alone(
    world: World, alice: Browser, phone: Enrolment, browse: Browse
) -> None:
    """Whoever had one code once must not keep a set-up for the day on which a period lets the password in alone."""
    policy(world, '[[require]]\nevery = "12h"\n')
    alice.open("/set-up")
    alice.send("/set-up")
    theirs = shown_secret(alice)
    own.forget(Username.parse("alice"), **world.needs, actor=OPERATOR)
    world.clock.now += 60
    browse().sign_in(code=world.code(phone))  # the owner: a period begins
    thief = browse()
    thief.sign_in()
    assert thief.where == "/profile"
    thief.send("/set-up/code", code=code_for(theirs, world))
    assert counting(world) == 1


def test_a_set_up_goes_with_the_method_that_is_revoked(world: World, alice: Browser, phone: Enrolment) -> None:
    alice.open("/set-up")
    alice.send("/set-up")
    assert len(has(world).methods) == 2
    removal.revoke(Username.parse("alice"), phone.method, **world.needs)
    assert has(world).methods == []

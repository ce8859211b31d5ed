"""Codes by SMS on the pages: a phone counts after its code came, and only where it is configured and allowed."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from radiusd_mfa.core.sms_codes import PAUSE
from radiusd_mfa.store import schema
from radiusd_mfa.store.outbox_queue import OutboxQueue
from radiusd_mfa.usecases import teams
from radiusd_mfa.usecases.outbox_ports import Channel
from tests.portal.set_ups import counting, has, shown_codes
from tests.support.administered import World
from tests.support.pages import Browser

NUMBER = "+49 151 12345678"
Browse = Callable[..., Browser]


@pytest.fixture
def world(world: World) -> World:
    config = replace(world.app.config, sms_url="http://127.0.0.1:9/send")
    return World(replace(world.app, config=config), world.clock)


def sent(world: World) -> list[str]:
    """Return the codes that wait to be delivered, oldest first."""
    queue = OutboxQueue(world.app.database, world.app.keys)
    codes = []
    while (claimed := queue.claim([Channel.SMS], now=world.clock.now, until=world.clock.now + 60)) is not None:
        assert claimed.values is not None
        codes.append(str(claimed.values["code"]))
        queue.sent(claimed, at=world.clock.now)
    return codes


def test_a_phone_is_set_up_by_the_code_that_it_got(world: World, browser: Browser) -> None:
    world.user()
    browser.sign_in()
    browser.send("/set-up/sms", number=NUMBER)
    assert "678" in browser.text
    assert "15112345" not in browser.text
    (code,) = sent(world)
    wrong = "000000" if code != "000000" else "111111"
    assert browser.send("/set-up/code", code=wrong).status_code == 422
    browser.send("/set-up/code", code=code)
    assert len(shown_codes(browser)) == 10
    assert counting(world) == 0
    browser.send("/set-up/done", recorded="yes")
    assert browser.where == "/profile"
    assert "SMS, added" in browser.text
    assert [method.kind for method in has(world).methods] == ["sms"]


def test_what_is_no_number_is_sent_nothing(world: World, browser: Browser) -> None:
    world.user()
    browser.sign_in()
    assert browser.send("/set-up/sms", number="0151 1234").status_code == 422
    assert "country code" in browser.text
    assert sent(world) == []


def test_another_code_is_sent_no_sooner_than_it_may(world: World, browser: Browser) -> None:
    world.user()
    browser.sign_in()
    browser.send("/set-up/sms", number=NUMBER)
    assert browser.send("/set-up/sms/again").status_code == 422
    world.clock.now += 31
    assert browser.send("/set-up/sms/again").status_code == 200
    assert len(sent(world)) == 2


def test_where_a_team_does_not_allow_it_nothing_is_offered_or_sent(world: World, browser: Browser) -> None:
    user = world.user()
    teams.add("ops", plan="mfa", **world.needs)
    teams.add_member("ops", user, role="member", **world.needs)
    with world.app.database.writing() as connection:
        connection.execute(schema.teams.update().values(policy='[methods]\nallow = ["totp"]\n', policy_version=1))
    browser.sign_in()
    assert "text message" not in browser.text
    assert browser.send("/set-up/sms", number=NUMBER).status_code == 422
    assert sent(world) == []


def test_a_phone_is_not_added_with_a_password_alone(world: World, browser: Browser) -> None:
    """Whoever has the password must not get the codes sent to a phone of their own."""
    world.enrolled()
    browser.sign_in()
    assert browser.where == "/sign-in/code"
    browser.send("/set-up/sms", number=NUMBER)
    assert browser.where == "/sign-in/code"
    assert sent(world) == []


def test_where_there_is_no_phone_none_is_sent_a_code(world: World, browser: Browser) -> None:
    world.enrolled()
    browser.sign_in()
    assert "Send a code by SMS" not in browser.text
    assert browser.send("/sign-in/send").status_code == 422
    assert sent(world) == []


def test_whoever_has_only_a_phone_is_not_signed_in_by_the_password_alone(world: World, browse: Browse) -> None:
    """A phone is a second factor where nothing is required, too: whoever has set one up is asked for it."""
    user = world.user()
    teams.add("ops", plan="mfa", **world.needs)
    teams.add_member("ops", user, role="member", **world.needs)
    first = browse()
    first.sign_in()
    first.send("/set-up/sms", number=NUMBER)
    (code,) = sent(world)
    first.send("/set-up/code", code=code)
    codes = shown_codes(first)
    first.send("/set-up/done", recorded="yes")
    assert counting(world) == 1
    for policy in (None, '[[require]]\nroles = ["owner"]\nevery = "connection"\n'):
        with world.app.database.writing() as connection:
            connection.execute(schema.teams.update().values(policy=policy, policy_version=1))
        browser = browse()
        browser.sign_in()
        assert browser.where == "/sign-in/code"
        assert browser.send("/sign-in/code", code="000000").status_code == 403
        browser.send("/sign-in/code", code=codes.pop())
        assert browser.where == "/profile"


@pytest.fixture
def phone(world: World, browse: Browse) -> str:
    """Set up alice's phone, and nothing else; returns her name."""
    name = world.user()
    first = browse()
    first.sign_in()
    first.send("/set-up/sms", number=NUMBER)
    (code,) = sent(world)
    first.send("/set-up/code", code=code)
    first.send("/set-up/done", recorded="yes")
    world.clock.now += PAUSE
    return name.text


@pytest.mark.usefixtures("phone")
def test_the_code_is_sent_after_the_password_and_signs_in_once(world: World, browse: Browse) -> None:
    browser = browse()
    browser.sign_in()
    assert browser.where == "/sign-in/code"
    assert "A code was sent to your phone ending in 678" in browser.text
    assert "5112345" not in browser.text
    (code,) = sent(world)
    assert browser.send("/sign-in/code", code=code[:3] + " " + code[3:]).status_code == 200
    assert browser.where == "/profile"
    other = browse()
    world.clock.now += PAUSE
    other.sign_in()
    assert other.send("/sign-in/code", code=code).status_code == 403


@pytest.mark.usefixtures("phone")
def test_a_wrong_password_sends_nothing(world: World, browser: Browser) -> None:
    browser.sign_in(password="another one")
    assert browser.where == "/sign-in"
    assert sent(world) == []


@pytest.mark.usefixtures("phone")
def test_the_button_sends_no_sooner_than_it_may_and_the_last_code_is_good(world: World, browser: Browser) -> None:
    browser.sign_in()
    (code,) = sent(world)
    assert browser.send("/sign-in/send").status_code == 200
    assert "No other code can be sent" in browser.text
    assert sent(world) == []
    world.clock.now += PAUSE
    browser.send("/sign-in/send")
    (newer,) = sent(world)
    assert browser.send("/sign-in/code", code=code).status_code == 403
    browser.send("/sign-in/code", code=newer)
    assert browser.where == "/profile"


@pytest.mark.usefixtures("phone")
def test_a_form_that_is_sent_twice_sends_one_code(world: World, browser: Browser) -> None:
    browser.open("/sign-in")
    form = browser.hidden
    for _ in range(2):
        browser.page = browser.client.post("/sign-in", data=form | {"name": "alice", "password": "correct horse"})
        browser.follow()
    assert len(sent(world)) == 1
    world.clock.now += PAUSE
    form = browser.hidden
    for _ in range(2):
        browser.client.post("/sign-in/send", data=form)
    assert len(sent(world)) == 1


@pytest.mark.usefixtures("phone")
@pytest.mark.parametrize("path", ["/sign-in/send", "/code"])
def test_nothing_is_sent_by_looking_or_by_a_foreign_form(world: World, browser: Browser, path: str) -> None:
    browser.sign_in()
    assert len(sent(world)) == 1
    world.clock.now += PAUSE
    assert browser.get(path).status_code in (404, 405)
    assert browser.client.post(path, data={"token": "x"}).status_code == 403
    browser.open("/sign-in/code")
    assert browser.client.post(path, data=browser.hidden, headers={"Origin": "https://evil.example"}).status_code == 403
    assert sent(world) == []


@pytest.mark.usefixtures("phone")
def test_a_current_code_is_sent_where_one_is_asked_for(world: World, browser: Browser) -> None:
    """New backup codes need one (K3); whoever has but a phone would have no way to them."""
    browser.sign_in()
    browser.send("/sign-in/code", code=sent(world)[0])
    world.clock.now += PAUSE
    browser.open("/profile/codes")
    assert 'formaction="/code"' in browser.page.text
    browser.send("/code", back="/profile/codes")
    assert "sent to your phone" in browser.text
    assert 'href="/profile/codes"' in browser.page.text
    browser.open("/profile/codes")
    browser.send("/profile/codes", code=sent(world)[0])
    assert len(shown_codes(browser)) == 10


@pytest.mark.usefixtures("phone")
@pytest.mark.parametrize("back", ["https://evil.example/", "//evil.example", "/profile\n", "/profile.evil", ""])
def test_the_way_back_leads_nowhere_else(world: World, browser: Browser, back: str) -> None:
    browser.sign_in()
    browser.send("/sign-in/code", code=sent(world)[0])
    world.clock.now += PAUSE
    browser.open("/profile/codes")
    browser.send("/code", back=back)
    assert "evil" not in browser.page.text
    assert 'href="/profile"' in browser.page.text


def test_whoever_prefers_the_app_is_sent_a_code_by_the_button_only(world: World, browse: Browse) -> None:
    _, made, _ = world.enrolled()
    world.clock.now += 60
    first = browse()
    first.sign_in()
    first.send("/sign-in/code", code=world.code(made))
    first.open("/set-up")
    first.send("/set-up/sms", number=NUMBER)
    first.send("/set-up/code", code=sent(world)[0])
    assert counting(world) == 2
    world.clock.now += PAUSE
    browser = browse()
    browser.sign_in()
    assert sent(world) == []
    assert "Send a code by SMS" in browser.text
    browser.send("/sign-in/send")
    assert "678" in browser.text
    browser.send("/sign-in/code", code=sent(world)[0])
    assert browser.where == "/profile"


def test_where_only_sms_counts_no_app_is_offered_or_set_up(world: World, browser: Browser) -> None:
    user = world.user()
    teams.add("ops", plan="mfa", **world.needs)
    teams.add_member("ops", user, role="member", **world.needs)
    with world.app.database.writing() as connection:
        connection.execute(schema.teams.update().values(policy='[methods]\nallow = ["sms"]\n', policy_version=1))
    browser.sign_in()
    assert "Show the QR code" not in browser.text
    assert browser.send("/set-up").status_code == 422
    assert has(world).methods == []

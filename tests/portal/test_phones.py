"""Codes by SMS on the pages: a phone counts after its code came, and only where it is configured and allowed."""

from collections.abc import Callable
from dataclasses import replace

import pytest

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

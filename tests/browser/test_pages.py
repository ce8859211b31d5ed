"""The pages as people meet them, in a real browser, from the first look to the last click."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from radiusd_mfa.config import Endpoint
from radiusd_mfa.radius.wire import Code
from radiusd_mfa.usecases import nas
from radiusd_mfa.usecases.changes import Refusal
from radiusd_mfa.usecases.nas import Wanted
from tests.browser.stage import PASSWORD, Person, Phone, Screen, Stage, link_in
from tests.support.post import Mailbox, body
from tests.support.world import SECRET, TestNas

pytestmark = pytest.mark.browser


def test_whoever_must_sets_up_and_signs_in_with_each_factor(stage: Stage, screen: Screen) -> None:
    alice = stage.person("alice", phone=False)
    screen.open("/profile")
    assert screen.where == "/sign-in"
    screen.sign_in(alice)
    assert screen.where == "/set-up"
    screen.type("Name of the device", "my phone")
    screen.press("Show the QR code")
    drawn = screen.driver.find_element(By.CSS_SELECTOR, ".qr svg").size
    assert drawn["width"] > 150
    phone, codes = screen.set_up()
    assert len(codes) == 10
    assert screen.where == "/profile"
    assert "my phone" in screen.text
    screen.press("Sign out")
    screen.sign_in(alice, phone.code())
    assert screen.where == "/profile"
    screen.press("Sign out")
    screen.sign_in(alice, codes[3])
    assert screen.where == "/profile"
    assert "9 are left" in screen.text
    assert "You signed in with a backup code" in screen.text


def test_without_a_tick_the_set_up_does_not_finish(stage: Stage, screen: Screen) -> None:
    alice = stage.person("alice", phone=False)
    screen.sign_in(alice)
    screen.press("Show the QR code")
    secret = screen.driver.find_element(By.CSS_SELECTOR, ".secret").text
    screen.type("Code that the app shows now", Phone(secret).code())
    screen.press("Continue")
    screen.driver.find_element(By.XPATH, '//button[.="Finish"]').click()
    assert screen.heading == "Your backup codes", "the browser holds the form back"
    screen.open("/profile")
    assert screen.where == "/set-up/codes"


def test_one_click_selects_what_is_to_be_copied(stage: Stage, screen: Screen) -> None:
    """So that they can be copied without the script, which only adds a button for it."""
    screen.sign_in(stage.person("alice", phone=False))
    screen.press("Show the QR code")
    secret = screen.driver.find_element(By.CSS_SELECTOR, ".secret")
    secret.click()
    assert screen.selected == secret.text
    screen.type("Code that the app shows now", Phone(secret.text).code())
    screen.press("Continue")
    screen.driver.find_element(By.ID, "codes").click()
    codes = [item.text for item in screen.driver.find_elements(By.CSS_SELECTOR, "#codes li")]
    assert screen.selected.split() == codes


def test_everything_can_be_done_with_the_keyboard(stage: Stage, screen: Screen) -> None:
    alice = stage.person("alice")
    assert alice.phone is not None
    screen.open("/sign-in")
    for keys in (alice.name, Keys.TAB, PASSWORD, Keys.ENTER):
        screen.driver.switch_to.active_element.send_keys(keys)
    screen.until("/sign-in/code")
    screen.driver.switch_to.active_element.send_keys(alice.phone.code(), Keys.ENTER)
    screen.until("/profile")
    screen.driver.find_element(By.TAG_NAME, "body").send_keys(Keys.TAB)
    first = screen.driver.switch_to.active_element
    assert first.text == "Skip to the content"
    assert first.location["x"] >= 0, "what has the focus is seen"


def test_led_here_by_a_mail_a_browser_that_is_signed_in_stays_so(stage: Stage, screen: Screen) -> None:
    """Cookies that are SameSite=Strict don't come with a link of another site; the page asks once more."""
    alice = stage.person("alice")
    assert alice.phone is not None
    screen.sign_in(alice, alice.phone.code())
    target = f"{screen.url}/profile"
    screen.driver.get(f'data:text/html,<title>mail</title><a id="link" href="{target}">click</a>')
    screen.driver.find_element(By.ID, "link").click()
    screen.until("/profile")
    assert screen.heading == "Your sign-in"


@contextmanager
def radius(stage: Stage) -> Iterator[TestNas]:
    """Serve RADIUS on the same database, for a NAS of the team."""
    wanted = Wanted("gate", {"address": nas.address_range("127.0.0.1"), "surface": "vpn"}, team="ops", secret=SECRET)
    nas.remove("localhost", **stage.needs)
    assert not isinstance(nas.add(wanted, **stage.needs), Refusal)
    daemon = stage.app.daemon([Endpoint("127.0.0.1", 0)])
    ready = threading.Event()
    thread = threading.Thread(target=daemon.run, kwargs={"ready": ready.set})
    thread.start()
    assert ready.wait(10)
    client = TestNas(daemon.addresses[0])
    try:
        yield client
    finally:
        client.socket.close()
        daemon.stop()
        thread.join(timeout=10)


def connects(client: TestNas, person: Person) -> bool:
    assert person.phone is not None
    reply = client.ask(person.name, (PASSWORD + person.phone.code()).encode())
    return reply.code is Code.ACCESS_ACCEPT


def test_an_administrator_resets_a_member_whose_old_phone_works_until_the_new_one_is_confirmed(
    stage: Stage, screen: Screen, mailbox: Mailbox
) -> None:
    admin, member = stage.person("adam", role="admin"), stage.person("mia", role="member")
    assert admin.phone is not None
    with radius(stage) as client:
        screen.sign_in(admin, admin.phone.code())
        screen.press("Teams")
        screen.press("Look after it")
        assert "mia" in screen.text
        screen.driver.find_element(By.CSS_SELECTOR, 'a[href$="/mia/reset"]').click()
        screen.until("/teams/ops/members/mia/reset")
        screen.press("Send the link")
        assert "gets a mail" in screen.text
        screen.press("Sign out")
        stage.app.delivery().round(threading.Event())
        (mail,) = [each for each in mailbox.received if "/reset/" in body(each)]
        assert mail["To"] == "mia@example.net"
        assert connects(client, member), "nothing has changed yet"
        screen.forget()
        screen.open(link_in(body(mail)))
        screen.type("User name", "mia")
        screen.type("Password", PASSWORD)
        screen.press("Show the QR code")
        assert connects(client, member), "the new one is not confirmed yet"
        new, codes = screen.set_up()
        assert len(codes) == 10
        assert screen.where == "/profile"
        assert not connects(client, member), "the old one is gone"
        assert connects(client, Person("mia", new))
        screen.forget()
        screen.open(link_in(body(mail)))
        screen.type("User name", "mia")
        screen.type("Password", PASSWORD)
        screen.press("Show the QR code")
        assert "did not work" in screen.text, "a link is good once"


def test_an_owner_forces_everyone_after_seeing_whom_it_reaches(stage: Stage, screen: Screen) -> None:
    owner = stage.person("olga", role="owner")
    stage.person("bob", role="member", phone=False)
    stage.policy("require = []\n")
    assert owner.phone is not None
    screen.sign_in(owner, owner.phone.code())
    screen.press("Teams")
    screen.press("Look after it")
    screen.press("Who must give a code")
    assert "Nobody must give a second factor" in screen.text
    screen.press("Force everyone")
    assert "bob" in screen.text
    screen.press("Apply it")
    assert screen.where == "/teams/ops"
    assert "Missing" in screen.text
    screen.press("Sign out")
    screen.sign_in(Person("bob"))
    assert screen.where == "/set-up"


def test_a_phone_gets_codes_that_are_good_on_the_pages_and_over_radius(stage: Stage, screen: Screen) -> None:
    """Brought by a real gateway, to whoever has nothing but a phone, and each of them good once."""
    carol = stage.person("carol", role="member", phone=False)
    screen.sign_in(carol)
    screen.type("Number of the phone", "+49 151 12345678")
    screen.press("Send a code")
    screen.type("Code that came", stage.code_by_sms())
    screen.press("Continue")
    screen.tick("I have safely recorded")
    screen.press("Finish")
    assert screen.where == "/profile"
    screen.press("Sign out")
    stage.may_send_again()
    screen.sign_in(carol)
    assert "sent to your phone ending in 678" in screen.text
    code = stage.code_by_sms()
    screen.type("Code", code)
    screen.press("Sign in")
    assert screen.where == "/profile"
    with radius(stage) as client:
        assert client.ask("carol", (PASSWORD + code).encode()).code is Code.ACCESS_REJECT, "a code is good once"
        stage.may_send_again()
        reply = client.ask("carol", PASSWORD.encode())
        assert reply.code is Code.ACCESS_REJECT
        assert "sent to your phone ending in 678" in reply.message
        assert client.ask("carol", (PASSWORD + stage.code_by_sms()).encode()).code is Code.ACCESS_ACCEPT
        stage.may_send_again()
        client.ask("carol", PASSWORD.encode())
    screen.press("Sign out")
    screen.sign_in(carol)
    screen.type("Code", stage.code_by_sms())
    screen.press("Sign in")
    assert screen.where == "/profile", "what RADIUS had sent is good on the pages"

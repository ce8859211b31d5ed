"""Setting a second factor up: nothing counts before its code was given and the backup codes were recorded."""

from collections.abc import Callable

from tests.portal.set_ups import code_for, counting, has, shown_codes, shown_secret
from tests.support.administered import World
from tests.support.pages import Browser


def test_whoever_must_have_a_second_factor_is_led_to_set_it_up_and_nowhere_else(world: World, browser: Browser) -> None:
    world.user()
    browser.sign_in()
    assert browser.where == "/set-up"
    for path in ("/profile", "/activity", "/profile/codes", "/"):
        browser.open(path)
        assert browser.where == "/set-up"


def test_a_whole_set_up(world: World, browser: Browser) -> None:
    world.user()
    browser.sign_in()
    browser.send("/set-up", label="  my\tphone ")
    secret = shown_secret(browser)
    assert "<svg" in browser.page.text
    before = dict(browser.client.cookies)
    browser.send("/set-up/code", code=code_for(secret, world))
    codes = shown_codes(browser)
    assert browser.where == "/set-up/codes"
    assert len(codes) == 10
    assert counting(world) == 0, "it counts before the codes are recorded"
    browser.send("/set-up/done", recorded="yes")
    assert browser.where == "/profile"
    assert (counting(world), has(world).backup_codes_left) == (1, 10)
    assert has(world).methods[0].label == "my phone"
    assert dict(browser.client.cookies)["session"] != before["session"]


def test_without_the_acknowledgement_nothing_is_enabled(world: World, browser: Browser) -> None:
    world.user()
    browser.sign_in()
    browser.send("/set-up")
    browser.send("/set-up/code", code=code_for(shown_secret(browser), world))
    page = browser.send("/set-up/done")
    assert page.status_code == 422
    assert len(shown_codes(browser)) == 10, "they are still to be recorded"
    assert counting(world) == 0
    browser.open("/profile")
    assert browser.where == "/set-up/codes"


def test_a_wrong_code_confirms_nothing_and_shows_the_seed_to_nobody_again(world: World, browser: Browser) -> None:
    world.user()
    browser.sign_in()
    browser.send("/set-up")
    secret = shown_secret(browser)
    right = code_for(secret, world)
    page = browser.send("/set-up/code", code="000000" if right != "000000" else "111111")
    assert page.status_code == 422
    assert secret not in browser.page.text
    assert secret.replace(" ", "") not in browser.page.text
    assert "<svg" not in browser.page.text
    browser.send("/set-up/code", code=right)
    assert browser.where == "/set-up/codes"


def test_five_wrong_codes_end_the_set_up(world: World, browser: Browser) -> None:
    world.user()
    browser.sign_in()
    browser.send("/set-up")
    right = code_for(shown_secret(browser), world)
    for number in range(5):
        browser.send("/set-up/code", code=f"{(int(right) + 1 + number) % 1_000_000:06}")
    assert "radiusd-mfa mfa" not in browser.text, "a command for somebody who has no shell"
    assert has(world).methods == []
    browser.open("/set-up")
    browser.send("/set-up/code", code=right)
    assert counting(world) == 0


def test_the_seed_is_on_one_page_and_never_again(world: World, browser: Browser) -> None:
    world.user()
    browser.sign_in()
    browser.send("/set-up")
    secret = shown_secret(browser).replace(" ", "")
    browser.send("/set-up/code", code=code_for(secret, world))
    texts = [browser.page.text, browser.get("/set-up/codes.txt").text]
    browser.open("/set-up/codes")
    browser.send("/set-up/done", recorded="yes")
    for path in ("/profile", "/set-up", "/activity", f"/profile/methods/{has(world).methods[0].id}", "/set-up/codes"):
        browser.open(path)
        texts.append(browser.page.text)
    assert all(secret not in text.replace(" ", "") for text in texts)


def test_the_codes_are_gone_after_they_were_acknowledged(world: World, browser: Browser) -> None:
    world.user()
    browser.sign_in()
    browser.send("/set-up")
    browser.send("/set-up/code", code=code_for(shown_secret(browser), world))
    codes = shown_codes(browser)
    download = browser.get("/set-up/codes.txt")
    assert all(code in download.text for code in codes)
    assert "attachment" in download.headers["content-disposition"]
    assert download.headers["cache-control"] == "no-store"
    browser.open("/set-up/codes")
    browser.send("/set-up/done", recorded="yes")
    for path in ("/set-up/codes", "/set-up/codes.txt"):
        browser.open(path)
        assert codes[0] not in browser.page.text


def test_a_password_alone_adds_nothing_to_what_was_set_up_meanwhile(
    world: World, browse: Callable[..., Browser]
) -> None:
    """Two pages of somebody who has no second factor yet: once there is one, the other page needs its code."""
    world.user()
    owner, other = browse(), browse()
    owner.sign_in()
    other.sign_in()
    other.send("/set-up")
    theirs = shown_secret(other)
    owner.send("/set-up")
    secret = shown_secret(owner)
    owner.send("/set-up/code", code=code_for(secret, world))
    owner.send("/set-up/done", recorded="yes")
    assert counting(world) == 1
    other.send("/set-up/code", code=code_for(theirs, world))
    other.open("/set-up")
    other.send("/set-up")
    assert "<svg" not in other.page.text
    assert counting(world) == 1


def test_the_code_of_the_set_up_is_good_for_no_sign_in(world: World, browse: Callable[..., Browser]) -> None:
    world.user()
    first, second = browse(), browse()
    first.sign_in()
    first.send("/set-up")
    secret = shown_secret(first)
    code = code_for(secret, world)
    first.send("/set-up/code", code=code)
    first.send("/set-up/done", recorded="yes")
    second.sign_in(code=code)
    assert second.where == "/sign-in/code"
    world.clock.now += 30
    second.send("/sign-in/code", code=code_for(secret, world))
    assert second.where == "/profile"


def test_whoever_records_codes_acknowledges_no_others(world: World, browse: Callable[..., Browser]) -> None:
    """A set-up that was begun anew in another browser has other codes, which nobody has written down here."""
    world.user()
    first, second = browse(), browse()
    for browser in (first, second):
        browser.sign_in()
        browser.send("/set-up")
        browser.send("/set-up/code", code=code_for(shown_secret(browser), world))
        assert len(shown_codes(browser)) == 10
    assert first.send("/set-up/done", recorded="yes").status_code == 422
    assert counting(world) == 0
    second.send("/set-up/done", recorded="yes")
    assert second.where == "/profile"
    assert counting(world) == 1


def test_finish_that_is_sent_twice_signs_nobody_out(world: World, browser: Browser) -> None:
    world.user()
    browser.sign_in()
    browser.send("/set-up")
    browser.send("/set-up/code", code=code_for(shown_secret(browser), world))
    form = browser.hidden | {"recorded": "yes"}
    cookie = "; ".join(f"{name}={value}" for name, value in browser.client.cookies.items())
    browser.client.post("/set-up/done", data=form)
    browser.client.cookies.clear()
    again = browser.client.post("/set-up/done", data=form, headers={"cookie": cookie})
    assert again.status_code == 403
    assert "set-cookie" not in again.headers

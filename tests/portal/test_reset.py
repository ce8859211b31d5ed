"""Reset by a mailed link: looking changes nothing, the password is needed, once, and the old one works meanwhile."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from radiusd_mfa.core.names import Username
from radiusd_mfa.store import schema
from radiusd_mfa.usecases import reset
from radiusd_mfa.usecases.reset import Invitation
from tests.portal.set_ups import code_for, counting, has, shown_codes, shown_secret
from tests.support.administered import World
from tests.support.pages import PASSWORD, Browser

Browse = Callable[..., Browser]


def invited(world: World, name: str = "alice") -> str:
    made = reset.invite(Username.parse(name), **world.needs, entropy=world.app.entropy)
    assert isinstance(made, Invitation)
    return f"/reset/{made.token}"


def redeem(browser: Browser, path: str, name: str = "alice", password: str = PASSWORD) -> None:
    browser.open(path)
    browser.send(path, name=name, password=password)


def test_looking_at_a_link_changes_nothing_however_often(world: World, browse: Browse) -> None:
    """Mail scanners follow links."""
    world.enrolled()
    path = invited(world)
    scanner = browse()
    for method in ("GET", "HEAD", "GET"):
        assert scanner.client.request(method, path).status_code == 200
    assert world.count(schema.links, used_at=None) == 1
    redeem(scanner, path)
    assert "<svg" in scanner.page.text


def test_a_link_says_nothing_of_whose_it_is_or_whether_it_is_good(world: World, browser: Browser) -> None:
    world.enrolled()
    good = browser.get(invited(world))
    made_up = browser.get(f"/reset/{'x' * 43}")
    assert (good.status_code, made_up.status_code) == (200, 200)
    assert "alice" not in good.text


def test_the_old_method_works_until_the_new_one_is_confirmed_and_then_no_longer(world: World, browse: Browse) -> None:
    _user, old, _confirmed = world.enrolled()
    path = invited(world)
    browser, elsewhere, later = browse(), browse(), browse()
    redeem(browser, path)
    secret = shown_secret(browser)
    world.clock.now += 30
    elsewhere.sign_in(code=world.code(old))
    assert elsewhere.where == "/profile", "the new one is not confirmed yet"
    browser.send("/set-up/code", code=code_for(secret, world))
    assert len(shown_codes(browser)) == 10
    assert counting(world) == 1
    browser.send("/set-up/done", recorded="yes")
    assert (browser.where, counting(world)) == ("/profile", 1)
    world.clock.now += 30
    later.sign_in(code=world.code(old))
    assert later.where == "/sign-in/code"
    later.send("/sign-in/code", code=code_for(secret, world))
    assert later.where == "/profile"
    elsewhere.open("/profile")
    assert elsewhere.where == "/sign-in", "what the old one signed in is over"


@pytest.mark.parametrize("case", ["wrong password", "another user", "made up", "expired", "used"])
def test_a_link_that_is_not_good_does_nothing(world: World, browse: Browse, case: str) -> None:
    world.enrolled()
    world.enrolled("mallory")
    path, browser = invited(world), browse()
    if case == "used":
        redeem(browse(), path)
    if case == "expired":
        world.clock.now += 3601
    if case == "made up":
        path = f"/reset/{'x' * 43}"
    name = "mallory" if case == "another user" else "alice"
    redeem(browser, path, name, "wrong" if case == "wrong password" else PASSWORD)
    assert browser.page.status_code == 403
    assert "<svg" not in browser.page.text
    assert "did not work" in browser.text
    browser.open("/profile")
    assert browser.where == "/sign-in", "a link signs nobody in"


def test_of_many_who_send_the_form_at_once_one_sets_up(world: World, browse: Browse) -> None:
    world.enrolled()
    path = invited(world)
    browsers = [browse() for _ in range(4)]
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda browser: redeem(browser, path), browsers))
    assert sum("<svg" in browser.page.text for browser in browsers) == 1


def test_a_set_up_by_link_begins_anew_only_with_a_new_link(world: World, browser: Browser) -> None:
    """Without it the new one would stand beside the old one, that is perhaps in somebody's hands."""
    world.enrolled()
    redeem(browser, invited(world))
    browser.open("/set-up")
    assert "new link" in browser.text
    browser.send("/set-up")
    assert "<svg" not in browser.page.text
    assert counting(world) == 1


def test_a_link_is_in_no_audit_row(world: World, browser: Browser) -> None:
    world.enrolled()
    path = invited(world)
    redeem(browser, path)
    token = path.rpartition("/")[2]
    rows = [*world.audit("mfa-reset-link"), *world.audit("mfa-redeem")]
    assert [outcome for outcome, _detail in rows] == ["done", "done"]
    assert token not in str(rows)
    assert len(has(world).methods) == 2

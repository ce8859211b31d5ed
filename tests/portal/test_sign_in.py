"""Signing in on the pages: in two steps, under the rules of RADIUS, and nobody learns why not."""

import base64
import hashlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import update

from radiusd_mfa.core.names import Username
from radiusd_mfa.core.throttle import CODE_CAPS
from radiusd_mfa.portal.sessions import SessionLost, Sessions
from radiusd_mfa.store import schema
from radiusd_mfa.usecases import own, people, realms, removal, teams
from radiusd_mfa.usecases.actors import OPERATOR, Person
from radiusd_mfa.usecases.admin_ports import AuditEntry, AuditFilter
from radiusd_mfa.usecases.changes import Refusal
from radiusd_mfa.usecases.portal_ports import NewSession, Stage
from tests.support.administered import World
from tests.support.pages import PASSWORD, Browser

Browse = Callable[..., Browser]


def sign_ins(world: World) -> list[AuditEntry]:
    wanted = AuditFilter(kind="sign-in", limit=1000)
    return list(reversed(world.app.administration.view(lambda books: books.audit.list(wanted))))


def reasons(world: World) -> list[str]:
    return [row.reason for row in sign_ins(world)]


def test_a_password_alone_signs_nobody_in_who_has_a_second_factor(world: World, browser: Browser) -> None:
    world.enrolled()
    browser.sign_in()
    assert browser.where == "/sign-in/code"
    browser.open("/profile")
    assert browser.where == "/sign-in/code"
    assert reasons(world) == ["code-due"]


def test_password_and_code_sign_in(world: World, browser: Browser) -> None:
    _user, made, _confirmed = world.enrolled()
    world.clock.now += 30
    browser.sign_in(code=world.code(made))
    assert browser.where == "/profile"
    assert reasons(world) == ["code-due", "totp"]
    row = sign_ins(world)[-1]
    assert (row.nas, row.surface, row.outcome) == ("pages", "control-panel", "accept")
    assert row.device is not None
    assert row.device.startswith("127.0.0.1 browser-")


def test_a_backup_code_signs_in_once(world: World, browse: Browse) -> None:
    _user, _made, confirmed = world.enrolled()
    assert confirmed.codes is not None
    code = confirmed.codes.shown[0]
    first, second = browse(), browse()
    first.sign_in(code=code)
    assert first.where == "/profile"
    second.sign_in(code=code.lower())
    assert second.where == "/sign-in/code"
    assert "did not work" in second.text
    assert reasons(world)[-1] == "code-reused"


def test_a_code_of_the_pages_is_spent_for_every_other_place(world: World, browse: Browse) -> None:
    _user, made, _confirmed = world.enrolled()
    world.clock.now += 30
    browsers = [browse() for _ in range(4)]
    for browser in browsers:
        browser.sign_in()
    code = world.code(made)
    with ThreadPoolExecutor(4) as threads:
        pages = list(threads.map(lambda browser: browser.send("/sign-in/code", code=code), browsers))
    assert sorted(page.url.path for page in pages) == ["/profile", *["/sign-in/code"] * 3]
    assert reasons(world).count("totp") == 1


def test_a_form_that_is_sent_twice_is_one_sign_in(world: World, browser: Browser) -> None:
    """A double click: the second answer is the one that the browser shows, and it must be the first one's."""
    _user, made, _confirmed = world.enrolled()
    world.clock.now += 30
    browser.sign_in()
    form, cookies = browser.hidden | {"code": world.code(made)}, dict(browser.client.cookies)
    answers = []
    for _ in range(2):
        browser.client.cookies.clear()
        answers.append(browser.client.post("/sign-in/code", data=form, headers={"cookie": _spelled(cookies)}))
    assert [answer.headers["location"] for answer in answers] == ["/profile"] * 2
    assert reasons(world) == ["code-due", "totp"]


def test_a_form_that_is_sent_again_later_lets_nobody_in(world: World, browser: Browser) -> None:
    _user, made, _confirmed = world.enrolled()
    world.clock.now += 30
    browser.sign_in()
    form, cookies = browser.hidden | {"code": world.code(made)}, dict(browser.client.cookies)
    browser.client.post("/sign-in/code", data=form)
    world.clock.now += 61
    browser.client.cookies.clear()
    again = browser.client.post("/sign-in/code", data=form, headers={"cookie": _spelled(cookies)})
    assert again.status_code == 403
    assert reasons(world)[-1] == "replayed"


def _spelled(cookies: dict[str, str]) -> str:
    return "; ".join(f"{name}={value}" for name, value in cookies.items())


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("alice", "wrong"),
        ("alice", ""),
        ("nobody", PASSWORD),
        ("", PASSWORD),
        ("al\x00ice", PASSWORD),
        ("disabled", PASSWORD),
        ("x" * 300, PASSWORD),
    ],
)
def test_every_refusal_is_the_same_page(world: World, browser: Browser, name: str, password: str) -> None:
    world.enrolled()
    world.user("disabled")
    people.disable(Username.parse("disabled"), **world.needs)
    page = browser.sign_in("somebody", "else")
    expected = _without_hidden(browser).replace("somebody", "")
    browser.open("/sign-in")
    page = browser.send("/sign-in", name=name, password=password)
    assert page.status_code == 403
    shown = name[:256]
    assert _without_hidden(browser).replace(shown, "") == expected.replace(shown, "")


def _without_hidden(browser: Browser) -> str:
    text = browser.page.text
    for value in browser.hidden.values():
        text = text.replace(value, "")
    return text


def test_more_wrong_codes_than_the_cap_are_not_looked_at(world: World, browser: Browser) -> None:
    _user, made, _confirmed = world.enrolled()
    world.clock.now += 30
    browser.sign_in()
    wrong = next(f"{digit}" * 6 for digit in range(10) if f"{digit}" * 6 != world.code(made))
    most = CODE_CAPS[0][0]
    for number in range(most):
        browser.send("/sign-in/code", code=f"{int(wrong) + number:06}")
    browser.send("/sign-in/code", code=world.code(made))
    assert browser.where == "/sign-in/code"
    assert reasons(world)[-1] == "throttled"


def test_a_code_is_due_for_two_minutes_only(world: World, browser: Browser) -> None:
    _user, made, _confirmed = world.enrolled()
    browser.sign_in()
    world.clock.now += 121
    page = browser.send("/sign-in/code", code=world.code(made))
    assert page.status_code == 403
    browser.open("/")
    assert browser.where == "/sign-in"


def test_a_password_that_was_changed_in_between_is_worth_nothing(world: World, browser: Browser) -> None:
    user, made, _confirmed = world.enrolled()
    browser.sign_in()
    people.set_password(user, "another one", **world.needs, hashing=world.app.hashing)
    world.clock.now += 30
    browser.send("/sign-in/code", code=world.code(made))
    assert browser.page.status_code == 403
    browser.open("/profile")
    assert browser.where == "/sign-in"


def test_a_realm_that_is_known_is_stripped_and_chooses_no_team(world: World, browser: Browser) -> None:
    """Whoever types the realm of a lenient team is asked by the strictest of all the same (T5)."""
    user, _made, _confirmed = world.enrolled()
    teams.add("lenient", plan="mfa", **world.needs)
    teams.add_member("lenient", user, role="member", **world.needs)
    realms.add("corp.example", team=None, **world.needs)
    browser.sign_in("alice@lenient")
    assert browser.where == "/sign-in/code"
    browser.open("/")
    browser.send("/sign-out")
    browser.sign_in("alice@corp.example")
    assert browser.where == "/sign-in/code"
    browser.send("/sign-out")
    assert browser.sign_in("alice@elsewhere.example").status_code == 403


def test_within_a_period_no_code_is_asked_on_the_pages_either(world: World, browse: Browse) -> None:
    user, made, _confirmed = world.enrolled()
    teams.add("ops", plan="mfa", **world.needs)
    teams.add_member("ops", user, role="member", **world.needs)
    _set_policy(world, '[[require]]\nevery = "12h"\n')
    world.clock.now += 30
    first, second = browse(), browse()
    first.sign_in(code=world.code(made))
    second.sign_in()
    assert second.where == "/profile"
    assert reasons(world)[-1] == "period"
    world.clock.now += 12 * 3600
    third = browse()
    third.sign_in()
    assert third.where == "/sign-in/code"


def test_a_period_of_one_device_is_not_one_of_another_browser(world: World, browse: Browse) -> None:
    user, made, _confirmed = world.enrolled()
    teams.add("ops", plan="mfa", **world.needs)
    teams.add_member("ops", user, role="member", **world.needs)
    _set_policy(world, '[[require]]\nevery = "12h"\nremember = "device"\n')
    world.clock.now += 30
    first, second = browse(), browse()
    first.sign_in(code=world.code(made))
    first.send("/sign-out")
    first.sign_in()
    assert first.where == "/profile"
    second.sign_in()
    assert second.where == "/sign-in/code"


def _set_policy(world: World, text: str) -> None:
    with world.app.database.writing() as connection:
        connection.execute(schema.teams.update().values(policy=text, policy_version=1))


@pytest.mark.parametrize("end", ["password", "disable", "revoke", "remove"])
def test_a_session_dies_with_what_it_rests_on(world: World, browser: Browser, end: str) -> None:
    user, made, _confirmed = world.enrolled()
    world.clock.now += 30
    browser.sign_in(code=world.code(made))
    ends: dict[str, Callable[[], object]] = {
        "password": lambda: people.set_password(user, "another", **world.needs, hashing=world.app.hashing),
        "disable": lambda: people.disable(user, **world.needs),
        "revoke": lambda: removal.revoke(user, **world.needs),
        "remove": lambda: people.remove(user, **world.needs),
    }
    assert not isinstance(ends[end](), Refusal)
    browser.open("/profile")
    assert browser.where == "/sign-in"


@pytest.mark.parametrize(("seconds", "where"), [(14 * 60, "/profile"), (15 * 60 + 1, "/sign-in")])
def test_a_session_that_nobody_uses_ends(world: World, browser: Browser, seconds: float, where: str) -> None:
    _user, made, _confirmed = world.enrolled()
    world.clock.now += 30
    browser.sign_in(code=world.code(made))
    world.clock.now += seconds
    browser.open("/profile")
    assert browser.where == where


def test_no_session_lasts_longer_than_eight_hours(world: World, browser: Browser) -> None:
    _user, made, _confirmed = world.enrolled()
    world.clock.now += 30
    browser.sign_in(code=world.code(made))
    for _ in range(8 * 6 - 1):
        world.clock.now += 600
        browser.open("/profile")
        assert browser.where == "/profile"
    world.clock.now += 600
    browser.open("/profile")
    assert browser.where == "/sign-in"


def test_signing_out_ends_the_session_and_not_only_the_cookie(world: World, browser: Browser) -> None:
    _user, made, _confirmed = world.enrolled()
    world.clock.now += 30
    browser.sign_in(code=world.code(made))
    kept = dict(browser.client.cookies)
    browser.send("/sign-out")
    assert browser.where == "/sign-in"
    browser.client.cookies.clear()
    page = browser.client.get("/profile", headers={"cookie": _spelled(kept)})
    assert page.headers["location"] == "/sign-in"


def test_the_password_alone_ends_no_session_of_whoever_gave_a_code(world: World, browse: Browse) -> None:
    """Sessions of one user are limited; whoever has the password must not sign the owner out by opening more."""
    _user, made, _confirmed = world.enrolled()
    world.clock.now += 30
    owner = browse()
    owner.sign_in(code=world.code(made))
    assert owner.where == "/profile"
    found = world.app.page_sessions.find(_digest(world, owner))
    assert found is not None
    for number in range(25):
        world.app.page_sessions.open(
            NewSession(bytes([number]) * 32, found.user_id, Stage.CODE, "code-due", found.granted_to, "", 0.0, 0.0)
        )
    assert world.count(schema.portal_sessions, stage="code") == 20
    owner.open("/profile")
    assert owner.where == "/profile"


def _digest(world: World, browser: Browser) -> bytes:
    secret = base64.urlsafe_b64decode(browser.client.cookies["session"] + "=")
    return world.app.keys.digest("page session", secret)


def test_a_session_that_was_ended_meanwhile_does_not_go_on_under_another_secret(world: World, browser: Browser) -> None:
    """Whoever has got into a session and keeps it busy must not come out of a revocation with a new one."""
    user, made, _confirmed = world.enrolled()
    world.clock.now += 30
    browser.sign_in(code=world.code(made))
    sessions = Sessions(world.app)
    former = sessions.find(base64.urlsafe_b64decode(browser.client.cookies["session"] + "="))
    assert former is not None
    under_way = world.app.administration.within(former.row.id)
    own.forget(user, store=under_way, clock=world.clock, actor=Person(former.row.user_id, user.text))
    removal.revoke(user, **world.needs)
    with pytest.raises(SessionLost):
        sessions.renew(former, Stage.IN)
    assert world.count(schema.portal_sessions) == 0


def test_of_two_who_share_a_session_one_goes_on(world: World, browser: Browser) -> None:
    world.user()
    browser.sign_in()
    sessions = Sessions(world.app)
    former = sessions.find(base64.urlsafe_b64decode(browser.client.cookies["session"] + "="))
    assert former is not None
    after = sessions.renew(former, Stage.SET_UP)
    assert after.secret != former.secret
    assert sessions.find(former.secret) is None
    with pytest.raises(SessionLost):
        sessions.renew(former, Stage.SET_UP)
    assert sessions.find(after.secret) is not None


def test_an_old_hash_is_renewed_by_a_sign_in_and_the_session_goes_on(world: World, browser: Browser) -> None:
    _user, made, _confirmed = world.enrolled()
    old = "{SSHA256}" + base64.b64encode(hashlib.sha256(b"correct horsesalt").digest() + b"salt").decode()
    with world.app.database.writing() as connection:
        connection.execute(update(schema.users).values(password_hash=old))
    world.clock.now += 30
    browser.sign_in()
    until = time.monotonic() + 20
    while world.count(schema.users, password_hash=old):
        assert time.monotonic() < until, "the hash was not renewed"
        time.sleep(0.01)
    assert world.count(schema.portal_sessions, granted_to=old) == 0
    browser.send("/sign-in/code", code=world.code(made))
    assert browser.where == "/profile"
    assert [outcome for outcome, _ in world.audit("password-upgrade")] == ["done"]


@pytest.mark.parametrize("ended", ["revoked", "forgotten"])
def test_forms_that_are_sent_again_after_a_revocation_let_nobody_in(world: World, browser: Browser, ended: str) -> None:
    """Within the minute in which the same form has the same answer: what let it in is gone (ATTACKS 23)."""
    user, made, _confirmed = world.enrolled()
    world.clock.now += 30
    browser.open("/sign-in")
    first = browser.hidden["nonce"]
    browser.send("/sign-in", name="alice", password=PASSWORD)
    second, code = browser.hidden["nonce"], world.code(made)
    browser.send("/sign-in/code", code=code)
    assert browser.where == "/profile"
    if ended == "revoked":
        removal.revoke(user, **world.needs)
    else:
        own.forget(user, **world.needs, actor=OPERATOR)
    world.clock.now += 20
    browser.open("/sign-in")
    browser.send("/sign-in", name="alice", password=PASSWORD, nonce=first)
    if browser.where == "/sign-in/code":
        browser.send("/sign-in/code", code=code, nonce=second)
    assert browser.where != "/profile"


def test_a_first_sign_in_that_is_sent_twice_leads_to_the_set_up_both_times(world: World, browser: Browser) -> None:
    world.user()
    browser.open("/sign-in")
    form, cookies = browser.hidden | {"name": "alice", "password": PASSWORD}, dict(browser.client.cookies)
    answers = []
    for _ in range(2):
        browser.client.cookies.clear()
        answers.append(browser.client.post("/sign-in", data=form, headers={"cookie": _spelled(cookies)}))
    assert [answer.headers.get("location") for answer in answers] == ["/set-up"] * 2
    assert reasons(world) == ["not-enrolled"]

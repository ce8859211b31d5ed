"""How the pages look: every one of them without a complaint of axe-core, light and dark, and with no script at all.

With RADIUSD_MFA_SCREENSHOTS=DIRECTORY it draws each of them wide, narrow and dark; docs/images/portal has a few.
"""

import base64
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver.common.by import By

from tests.browser.stage import Person, Phone, Screen, Stage

pytestmark = pytest.mark.browser
SIZES = {"wide": (1100, 800), "narrow": (390, 844)}


def walk(stage: Stage, screen: Screen) -> Iterator[str]:
    """Go through all pages, and yield the name of each when it is shown."""
    new = stage.person("alice", phone=False)
    screen.open("/sign-in")
    yield "sign-in"
    screen.type("User name", "somebody-else")
    screen.type("Password", "wrong")
    screen.press("Continue")
    yield "sign-in-refused"
    screen.sign_in(new)
    yield "set-up"
    screen.type("Name of the device", "phone")
    screen.press("Show the QR code")
    yield "set-up-scan"
    phone = Phone(screen.driver.find_element(By.CSS_SELECTOR, ".secret").text)
    screen.type("Code that the app shows now", "000000")
    screen.press("Continue")
    yield "set-up-wrong-code"
    screen.type("Code that the app shows now", phone.code())
    screen.press("Continue")
    yield "backup-codes"
    screen.tick("I have safely recorded")
    screen.press("Finish")
    yield "profile-new"
    screen.press("Sign out")
    yield from walk_through_the_profile(stage, screen)
    yield from walk_by_sms(stage, screen)
    yield from walk_through_the_team(stage, screen)
    screen.open("/reset/" + "x" * 43)
    yield "reset"
    screen.open("/nothing-here")
    yield "nothing-here"


def walk_through_the_profile(stage: Stage, screen: Screen) -> Iterator[str]:
    bob = stage.person("bob")
    assert bob.phone is not None
    screen.sign_in(bob)
    yield "code"
    screen.type("Code", bob.backup_codes[0])
    screen.press("Sign in")
    yield "profile-recovered"
    for page in ("/profile/disable", "/profile/codes", "/set-up", "/activity", "/activity/not-me"):
        screen.open(page)
        yield page.removeprefix("/").replace("/", "-")
    screen.open("/profile")
    screen.press("Manage")
    yield "method"
    screen.press("Sign out")
    screen.sign_in(bob, bob.phone.code())
    screen.open("/profile/codes")
    yield "codes"
    screen.press("Sign out")


def walk_by_sms(stage: Stage, screen: Screen) -> Iterator[str]:
    carol = stage.person("carol", phone=False)
    screen.sign_in(carol)
    screen.type("Number of the phone", "+49 151 12345678")
    screen.press("Send a code")
    yield "set-up-sms"
    screen.type("Code that came", stage.code_by_sms())
    screen.press("Continue")
    screen.tick("I have safely recorded")
    screen.press("Finish")
    yield "profile-sms"
    screen.press("Sign out")
    stage.may_send_again()
    screen.sign_in(carol)
    yield "code-sms-sent"
    screen.press("Send another code by SMS")
    yield "code-sms-not-now"
    screen.type("Code", "000000")
    screen.press("Sign in")
    yield "code-sms-wrong"
    screen.type("Code", stage.code_by_sms())
    screen.press("Sign in")
    stage.may_send_again()
    screen.open("/profile/codes")
    yield "codes-sms"
    screen.press("Send me a code by SMS")
    yield "current-code-sent"
    screen.open("/profile")
    screen.press("Manage")
    yield "method-sms"
    screen.press("Sign out")


def walk_through_the_team(stage: Stage, screen: Screen) -> Iterator[str]:
    olga = stage.person("olga", role="owner")
    stage.person("mia", role="member")
    stage.person("newcomer-with-a-long-name@subsidiary.example", role="member", phone=False)
    stage.policy('[[require]]\nroles = ["owner", "admin"]\n\n[[require]]\nroles = ["member"]\nevery = "12h"\n')
    assert olga.phone is not None
    screen.sign_in(Person("olga"), olga.phone.code())
    for page in (
        "/teams",
        "/teams/ops",
        "/teams/ops/members/mia/reset",
        "/teams/ops/members/mia/disable",
        "/teams/ops/policy",
        "/teams/ops/policy/plan?preset=everyone",
        "/teams/ops/policy/plan?preset=organisation",
    ):
        screen.open(page)
        yield page.partition("?")[0].removeprefix("/").replace("/", "-") + page.partition("=")[2]
    screen.press("Sign out")


def test_a_page_that_keeps_people_out_is_found(screen: Screen) -> None:
    screen.driver.get(
        "data:text/html,<title>x</title><main><input>"
        "<p style='color: %23777; background: %23888'>hard to read</p></main>"
    )
    said = " ".join(screen.complaints())
    assert "label" in said
    assert "color-contrast" in said


def test_no_page_has_anything_that_keeps_people_out(stage: Stage, screen: Screen) -> None:
    met, complaints = [], []
    for name in walk(stage, screen):
        met.append(name)
        for size in SIZES.values():
            screen.measure(*size)
            complaints += [f"{name}: {each}" for each in screen.complaints()]
            wide = screen.driver.execute_script("return document.documentElement.scrollWidth - window.innerWidth")
            if wide > 0:
                complaints.append(f"{name}: {wide} pixels stick out at {size}")
        screen.measure(*SIZES["wide"])
    assert complaints == []
    assert len(met) > 20


def test_no_page_makes_the_browser_complain(stage: Stage, screen: Screen) -> None:
    """What the content policy forbids would be told here."""
    screen.said()  # what was said to other tests is not this one's
    seen = []
    for name in walk(stage, screen):
        seen += [f"{name}: {entry['message']}" for entry in screen.said()]
    # A refusal has the status of one, and Chromium tells that too.
    assert [each for each in seen if "Failed to load resource" not in each] == []


def test_the_pages_need_no_script(stage: Stage, screen: Screen) -> None:
    screen.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        alice = stage.person("alice", phone=False)
        screen.sign_in(alice)
        screen.press("Show the QR code")
        _phone, codes = screen.set_up()
        assert len(codes) == 10
        assert screen.where == "/profile"
    finally:
        screen.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


@pytest.mark.skipif("RADIUSD_MFA_SCREENSHOTS" not in os.environ, reason="draws nothing without a directory for it")
def test_every_page_is_drawn(stage: Stage, screen: Screen) -> None:
    folder = Path(os.environ["RADIUSD_MFA_SCREENSHOTS"])
    folder.mkdir(parents=True, exist_ok=True)
    drawn = 0
    for name in walk(stage, screen):
        for kind, (scheme, size) in {
            "wide": ("light", SIZES["wide"]),
            "narrow": ("light", SIZES["narrow"]),
            "dark": ("dark", SIZES["wide"]),
        }.items():
            screen.appear(scheme)
            screen.measure(*size)
            shot = screen.driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True})
            (folder / f"{name}-{kind}.png").write_bytes(base64.b64decode(shot["data"]))
            drawn += 1
        screen.appear("light")
        screen.measure(*SIZES["wide"])
    assert drawn > 60

"""The whole of it at once: pages, people with phones, and somebody in front of a browser."""

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from threading import Event
from typing import Any, Final

from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from radiusd_mfa.app import App
from radiusd_mfa.core.names import Username
from radiusd_mfa.core.totp import Algorithm, code_at, seed_from_base32, step_at
from radiusd_mfa.portal.server import PortalServer
from radiusd_mfa.store import schema
from radiusd_mfa.usecases import enrol, people, teams
from radiusd_mfa.usecases.changes import Refusal
from radiusd_mfa.usecases.enrol import Confirmed, Enrolment
from radiusd_mfa.usecases.people import Request
from tests.browser.chromium import AXE
from tests.support.post import TestGateway

PASSWORD: Final = "correct horse"
_A_WHILE_AGO: Final = 120.0


@dataclass
class Phone:
    """Shows codes; each is taken once, and the next one is the following step's, as far as the window goes."""

    secret: str
    taken: int = 0

    def code(self) -> str:
        """Return the next code that is good now and was not given out before."""
        now = step_at(time.time(), 30)
        step = max(now - 1, self.taken + 1)
        while step > step_at(time.time(), 30) + 1:  # the window is used up
            time.sleep(0.5)
        self.taken = step
        return code_at(step, seed_from_base32(self.secret.replace(" ", "")), 6, Algorithm.SHA1)


@dataclass
class Person:
    """Somebody with a password, a phone and backup codes."""

    name: str
    phone: Phone | None = None
    backup_codes: Sequence[str] = field(default_factory=list)


@dataclass
class Stage:
    """People and their accounts."""

    app: App
    server: PortalServer
    by_sms: TestGateway

    @property
    def needs(self) -> dict[str, Any]:
        return {"store": self.app.administration, "clock": self.app.clock}

    def person(self, name: str, *, role: str | None = None, phone: bool = True) -> Person:
        """Make an account; with a phone it was set up a while ago, so that all codes of now are unused."""
        user = Username.parse(name)
        request = Request(user, PASSWORD, email=f"{name}@example.net")
        assert not isinstance(people.add(request, **self.needs, hashing=self.app.hashing), Refusal)
        if role is not None:
            teams.add("ops", plan="mfa", **self.needs)
            assert not isinstance(teams.add_member("ops", user, role=role, **self.needs), Refusal)
        return self._with_phone(user) if phone else Person(name)

    def policy(self, text: str) -> None:
        """Give the team a policy as a control panel would."""
        with self.app.database.writing() as connection:
            connection.execute(schema.teams.update().values(policy=text, policy_version=1))

    def code_by_sms(self) -> str:
        """Let the outbox be delivered; return the newest code that the gateway got."""
        self.app.delivery().round(Event())
        found: str = re.findall(r"\b\d{6}\b", self.by_sms.asked[-1].body)[-1]
        return found

    def may_send_again(self) -> None:
        """Let another code be sent by SMS at once, which takes half a minute otherwise."""
        with self.app.database.writing() as connection:
            connection.execute(schema.sms_codes.update().values(history=""))

    def _with_phone(self, user: Username) -> Person:
        then = partial(float, time.time() - _A_WHILE_AGO)
        needs: dict[str, Any] = {"store": self.app.administration, "clock": then, "entropy": self.app.entropy}
        made = enrol.start(user, label="phone", issuer=self.app.config.issuer, **needs)
        assert isinstance(made, Enrolment)
        secret = made.uri.partition("secret=")[2].partition("&")[0]
        code = code_at(step_at(then(), 30), seed_from_base32(secret), 6, Algorithm.SHA1)
        done = enrol.confirm(user, code, **needs, hashing=self.app.hashing)
        assert isinstance(done, Confirmed)
        assert done.codes is not None
        return Person(user.text, Phone(secret), done.codes.shown)


@dataclass
class Screen:
    """What a person sees and does; every page that is met is checked for accessibility."""

    driver: Chrome
    url: str
    checked: set[str] = field(default_factory=set)

    def forget(self) -> None:
        """Become a browser that was never here."""
        self.driver.execute_cdp_cmd("Network.clearBrowserCookies", {})

    def open(self, path: str = "/") -> None:
        self.driver.get(path if path.startswith("http") else self.url + path)

    @property
    def where(self) -> str:
        return self.driver.current_url.removeprefix(self.url).partition("?")[0]

    @property
    def text(self) -> str:
        return self.driver.find_element(By.TAG_NAME, "body").text

    @property
    def selected(self) -> str:
        """What a copy would take."""
        text: str = self.driver.execute_script("return String(getSelection())")
        return text

    @property
    def heading(self) -> str:
        return self.driver.find_element(By.TAG_NAME, "h1").text

    def field(self, label: str) -> WebElement:
        """Find a field by its label, as a person does."""
        found = self.driver.find_element(By.XPATH, f'//label[starts-with(normalize-space(.), "{label}")]')
        return self.driver.find_element(By.ID, found.get_attribute("for") or "")

    def type(self, label: str, text: str) -> None:
        box = self.field(label)
        box.clear()
        box.send_keys(text)

    def tick(self, label: str) -> None:
        self.field(label).click()

    def press(self, name: str) -> None:
        """Press a button or follow a link by its name, and wait for the page behind it."""
        before = self.driver.find_element(By.TAG_NAME, "html").id
        xpath = f'//*[self::button or self::a][starts-with(normalize-space(.), "{name}")]'
        self.driver.find_element(By.XPATH, xpath).click()
        until = time.monotonic() + 30
        while time.monotonic() < until:
            # Between two pages there is none.
            pages = self.driver.find_elements(By.TAG_NAME, "html")
            if pages and pages[0].id != before:
                return
            time.sleep(0.02)
        raise AssertionError(f"nothing happened after {name}")

    def until(self, path: str) -> None:
        """Wait for a page."""
        until = time.monotonic() + 30
        while self.where != path:
            assert time.monotonic() < until, f"still at {self.where}, not at {path}"
            time.sleep(0.02)

    def sign_in(self, person: Person, code: str | None = None) -> None:
        self.open("/sign-in")
        self.type("User name", person.name)
        self.type("Password", PASSWORD)
        self.press("Continue")
        if code is not None:
            self.type("Code", code)
            self.press("Sign in")

    def set_up(self) -> tuple[Phone, list[str]]:
        """From the page with the QR code to the end; returns the new phone and the backup codes."""
        phone = Phone(self.driver.find_element(By.CSS_SELECTOR, ".secret").text)
        self.type("Code that the app shows now", phone.code())
        self.press("Continue")
        codes = [item.text for item in self.driver.find_elements(By.CSS_SELECTOR, "#codes li")]
        if codes:
            self.tick("I have safely recorded")
            self.press("Finish")
        return phone, codes

    def complaints(self) -> list[str]:
        """Return what axe-core finds wrong with the page, in the light and in the dark."""
        said = []
        for scheme in ("light", "dark"):
            self.appear(scheme)
            self.driver.execute_script(AXE.read_text(encoding="utf-8"))
            found = self.driver.execute_async_script(
                "const done = arguments[0]; axe.run(document).then(done, (error) => done({failed: String(error)}));"
            )
            assert "failed" not in found, found
            said += [
                f"{self.where} ({scheme}): {each['id']}: {each['help']}: {[node['html'] for node in each['nodes']]}"
                for each in found["violations"]
            ]
        self.appear("light")
        return said

    def said(self) -> list[dict[str, str]]:
        """Return what the browser has to say since it was asked last."""
        read: Any = self.driver.get_log  # Selenium has no types for it
        entries: list[dict[str, str]] = read("browser")
        return entries

    def appear(self, scheme: str) -> None:
        """Prefer light or dark."""
        wanted = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", wanted)

    def measure(self, width: int, height: int) -> None:
        """Be as wide and as high as this, in CSS pixels."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def link_in(text: str) -> str:
    """Return the link of a mail."""
    found = re.search(r"https?://\S+/reset/[\w-]+", text)
    assert found, text
    return found[0]

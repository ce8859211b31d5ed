"""What a person does at a set-up: scan, type, write down; and what there is afterwards."""

import re

from radiusd_mfa.core.names import Username
from radiusd_mfa.core.totp import Algorithm, code_at, seed_from_base32, step_at
from radiusd_mfa.usecases import enrol
from radiusd_mfa.usecases.enrol import Overview
from tests.support.administered import World
from tests.support.pages import Browser

ALICE = Username.parse("alice")


def shown_secret(browser: Browser) -> str:
    found = re.search(r'<p class="secret mono">([A-Z2-7 ]+)</p>', browser.page.text)
    assert found, browser.text
    return found[1]


def code_for(secret: str, world: World) -> str:
    seed = seed_from_base32(secret.replace(" ", ""))
    return code_at(step_at(world.clock.now, 30), seed, 6, Algorithm.SHA1)


def shown_codes(browser: Browser) -> list[str]:
    return re.findall(r"<li>([A-Z0-9]{5}-[A-Z0-9]{5}-[A-Z0-9]{5})</li>", browser.page.text, flags=re.IGNORECASE)


def has(world: World, name: Username = ALICE) -> Overview:
    found = enrol.show(name, store=world.app.administration, clock=world.clock)
    assert isinstance(found, Overview)
    return found


def counting(world: World, name: Username = ALICE) -> int:
    return sum(method.confirmed for method in has(world, name).methods)

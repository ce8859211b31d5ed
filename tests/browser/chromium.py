"""A real headless Chromium: Debian's, by its own driver; only this machine is reached from it."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

AXE: Final = Path(__file__).parent / "node_modules" / "axe-core" / "axe.min.js"
_FLAGS: Final = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-default-apps",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
)


def missing() -> list[str]:
    """Name what is not installed and the tests need."""
    found = {
        "chromium": shutil.which("chromium"),
        "chromium-driver": shutil.which("chromedriver"),
        "axe-core (npm install --no-package-lock in tests/browser)": AXE.exists(),
    }
    return [name for name, there in found.items() if not there]


@contextmanager
def chromium(profile: Path) -> Iterator[Chrome]:
    """Run a browser with a profile of its own."""
    options = ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for flag in (*_FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    # Said where the driver is, Selenium looks for none elsewhere.
    driver = Chrome(options, Service(shutil.which("chromedriver")))
    try:
        driver.set_page_load_timeout(60)
        yield driver
    finally:
        driver.quit()

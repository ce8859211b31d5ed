"""The pages, served for real, and a browser of few words: cookies, forms, and what it was told."""

import html
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from radiusd_mfa.config import Endpoint
from radiusd_mfa.portal.server import PortalServer
from tests.support.administered import World

ANYWHERE: Final = Endpoint("127.0.0.1", 0)
PASSWORD: Final = "correct horse"


@contextmanager
def served(world: World, listen: Endpoint = ANYWHERE) -> Iterator[PortalServer]:
    """Serve the pages in a thread, for as long as the block lasts."""
    server = PortalServer(world.app, listen)
    thread = threading.Thread(target=server.run, name="portal")
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join(timeout=10)
        assert not thread.is_alive()
        world.app.close()  # an App with other settings is this server's own


@dataclass
class Browser:
    """Keeps cookies, sends the hidden fields of the page that it shows, follows no redirect by itself."""

    url: str
    headers: dict[str, str] = field(default_factory=dict)
    client: httpx.Client = field(init=False)
    page: httpx.Response = field(init=False)

    def __post_init__(self) -> None:
        self.client = httpx.Client(base_url=self.url, headers=self.headers, trust_env=False, timeout=20)

    def get(self, path: str, **options: Any) -> httpx.Response:
        self.page = self.client.get(path, **options)
        return self.page

    def open(self, path: str) -> httpx.Response:
        """Go there, and wherever it leads."""
        self.get(path)
        return self.follow()

    def follow(self) -> httpx.Response:
        for _ in range(5):
            if not self.page.is_redirect:
                return self.page
            self.get(self.page.headers["location"])
        raise AssertionError("redirects without an end")

    def post(self, path: str, **fields: str) -> httpx.Response:
        """Send a form of the page that is shown, with its hidden fields."""
        self.page = self.client.post(path, data=self.hidden | fields)
        return self.page

    def send(self, path: str, **fields: str) -> httpx.Response:
        """Send a form and go where it leads."""
        self.post(path, **fields)
        return self.follow()

    @property
    def hidden(self) -> dict[str, str]:
        found = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', self.page.text)
        return {name: html.unescape(value) for name, value in found}

    @property
    def text(self) -> str:
        """What is shown, without its mark-up."""
        return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", self.page.text)).split())

    @property
    def where(self) -> str:
        return self.page.url.path

    def close(self) -> None:
        self.client.close()

    def sign_in(self, name: str = "alice", password: str = PASSWORD, code: str | None = None) -> httpx.Response:
        """Sign in from the first page on."""
        self.open("/")
        self.send("/sign-in", name=name, password=password)
        if code is not None:
            self.send("/sign-in/code", code=code)
        return self.page

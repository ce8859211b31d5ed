"""What holds for every request: tokens, cookies, headers, Host, addresses, limits, whatever the method (ATTACKS 27)."""

import http.client
import logging
import ssl
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from typing import Final

import pytest
from starlette.datastructures import Headers

from radiusd_mfa.config import Endpoint
from radiusd_mfa.portal.app import SUBJECTS
from radiusd_mfa.portal.protection import MOST_OCTETS, client_address
from radiusd_mfa.portal.server import PortalServer
from radiusd_mfa.portal.site import PortalProblem, place
from radiusd_mfa.store import schema
from radiusd_mfa.usecases.admin_ports import AuditFilter
from tests.portal.set_ups import code_for, shown_codes, shown_secret
from tests.support.administered import World
from tests.support.pages import ANYWHERE, PASSWORD, Browser, served
from tests.support.post import certificate

Browse = Callable[..., Browser]
FORMS: Final = [route.path for subject in SUBJECTS for route in subject.routes() if "POST" in (route.methods or ())]
PAGES: Final = [route.path for subject in SUBJECTS for route in subject.routes() if "GET" in (route.methods or ())]


def spelled(path: str) -> str:
    """Return an address of a page."""
    for name, value in (("team", "ops"), ("user:path", "alice"), ("method:int", "1"), ("token", "x" * 43)):
        path = path.replace("{" + name + "}", value)
    return path


@pytest.fixture
def dialect() -> str:
    """Nothing here depends on the kind of database."""
    return "sqlite"


@pytest.fixture
def alice(world: World, browser: Browser) -> Browser:
    _user, made, _confirmed = world.enrolled()
    world.clock.now += 30
    browser.sign_in(code=world.code(made))
    assert browser.where == "/profile"
    return browser


def test_there_are_forms_and_pages_to_be_tested() -> None:
    assert {"/sign-in", "/set-up", "/profile/codes", "/activity/forget", "/teams/{team}/policy"} <= set(FORMS)
    assert len(PAGES) > 15


@pytest.mark.parametrize("path", FORMS)
def test_a_form_without_its_token_does_nothing(alice: Browser, path: str) -> None:
    for token in ({}, {"token": ""}, {"token": "0" * 32}):
        page = alice.client.post(spelled(path), data=token | {"name": "alice", "password": PASSWORD, "sure": "yes"})
        assert page.status_code == 403
        assert "Please begin again" in page.text
    alice.open("/profile")
    assert alice.where == "/profile", "not even signed out"


@pytest.mark.parametrize("path", FORMS)
def test_a_token_of_another_browser_or_another_session_does_nothing(alice: Browser, browse: Browse, path: str) -> None:
    stranger = browse()
    stranger.open("/sign-in")
    page = alice.client.post(spelled(path), data={"token": stranger.hidden["token"]})
    assert page.status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"content-type": "text/plain"},
        {"content-type": "multipart/form-data; boundary=x"},
        {"content-type": "application/json"},
    ],
)
def test_a_form_that_another_site_sends_does_nothing_even_with_its_token(
    alice: Browser, headers: dict[str, str]
) -> None:
    alice.open("/activity/not-me")
    sent = {"content-type": "application/x-www-form-urlencoded"} | headers
    page = alice.client.post("/activity/forget", content=f"token={alice.hidden['token']}", headers=sent)
    assert page.status_code == 403


def test_signing_in_gives_a_session_that_nobody_knew_before(world: World, browse: Browse) -> None:
    """A cookie that an attacker has planted is worth nothing after the login, nor is the one of the step before."""
    _user, made, _confirmed = world.enrolled()
    world.clock.now += 30
    victim = browse()
    victim.open("/sign-in")
    victim.client.cookies.set("session", "A" * 43, domain="127.0.0.1")
    victim.send("/sign-in", name="alice", password=PASSWORD)
    # a page with a cookie of nobody has another token than the one without: begin again, as a browser would
    victim.sign_in()
    after_password = victim.client.cookies["session"]
    victim.send("/sign-in/code", code=world.code(made))
    after_code = victim.client.cookies["session"]
    assert victim.where == "/profile"
    assert len({"A" * 43, after_password, after_code}) == 3
    thief = browse()
    thief.client.cookies.set("browser", victim.client.cookies["browser"], domain="127.0.0.1")
    for planted in ("A" * 43, after_password):
        thief.client.cookies.set("session", planted, domain="127.0.0.1")
        thief.open("/profile")
        assert thief.where != "/profile"


def test_a_session_is_worth_nothing_in_the_database_alone(world: World, alice: Browser) -> None:
    with world.app.database.reading() as connection:
        rows = list(connection.execute(schema.portal_sessions.select()))
    cookie = alice.client.cookies["session"]
    assert rows
    assert all(cookie.encode() not in bytes(row.hash) and cookie not in str(tuple(row)) for row in rows)


@pytest.mark.parametrize("path", [*PAGES, "/nothing-here", "/static/pages.css"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "TRACE"])
def test_every_reply_has_the_headers_that_protect_it(alice: Browser, path: str, method: str) -> None:
    headers = alice.client.request(method, spelled(path)).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-frame-options"] == "DENY"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    expected = "public, max-age=3600" if path.startswith("/static/") and method in ("GET", "HEAD") else "no-store"
    assert headers["cache-control"] == expected
    assert "server" not in headers


@pytest.mark.parametrize("path", PAGES)
def test_no_page_has_a_script_or_a_style_inside(alice: Browser, path: str) -> None:
    text = alice.open(spelled(path)).text
    assert " style=" not in text
    assert "<style" not in text
    assert " onclick" not in text
    assert all(tag.startswith('src="/static/') for tag in text.split("<script ")[1:])
    assert "<script>" not in text


@pytest.mark.parametrize("path", ["/sign-in", "/profile", "/nothing-here", "/static/pages.css"])
@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "localhost:1", "", "127.0.0.1:1.evil.example"])
def test_another_host_is_served_nothing_and_told_nothing(
    alice: Browser, server: PortalServer, path: str, host: str
) -> None:
    page = alice.client.get(path, headers={"host": host})
    assert page.status_code == 421
    assert "evil" not in page.text
    assert server.url in page.text


def test_two_hosts_are_none(server: PortalServer) -> None:
    connection = http.client.HTTPConnection(server.address.host, server.address.port, timeout=10)
    connection.putrequest("GET", "/sign-in", skip_host=True)
    for _ in range(2):
        connection.putheader("Host", str(server.address))
    connection.endheaders()
    assert connection.getresponse().status in (400, 421)
    connection.close()


@pytest.mark.parametrize("where", ["https://evil.example/", "//evil.example/", "/profile"])
def test_nobody_is_sent_where_an_address_says(world: World, browser: Browser, where: str) -> None:
    """There is no `next=`: where somebody goes on follows from the session alone."""
    world.enrolled()
    browser.open("/sign-in")
    page = browser.client.post(
        f"/sign-in?next={where}", data=browser.hidden | {"name": "alice", "password": PASSWORD, "next": where}
    )
    assert page.headers["location"] == "/sign-in/code"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "GET", "HEAD", "DELETE"])
def test_too_much_is_refused_whatever_the_method(alice: Browser, method: str) -> None:
    assert alice.client.request(method, "/sign-in", content=b"x" * (MOST_OCTETS + 1)).status_code == 413
    assert alice.client.request(method, f"/sign-in?{'x' * 600}").status_code == 414


def test_too_much_without_a_length_is_refused_too(alice: Browser) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(40):
            yield b"x" * 1024

    headers = {"content-type": "application/x-www-form-urlencoded"}
    assert alice.client.post("/activity/forget", content=pieces(), headers=headers).status_code == 413


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_a_sign_in_by_another_method_is_none(world: World, browser: Browser, method: str) -> None:
    """Limits that hold for one method only have let guesses through elsewhere: here others don't even guess."""
    world.enrolled()
    browser.open("/sign-in")
    fields = browser.hidden | {"name": "alice", "password": PASSWORD}
    sent = {"params": {"name": "alice", "password": PASSWORD}} if method in ("GET", "HEAD") else {"data": fields}
    page = browser.client.request(method, "/sign-in", **sent)  # type: ignore[arg-type]
    assert page.status_code in (200, 405)
    wanted = AuditFilter(kind="sign-in")
    assert world.app.administration.view(lambda books: books.audit.list(wanted)) == []


def test_looking_at_a_page_changes_nothing_by_any_method_that_looks(world: World, alice: Browser) -> None:
    before = world.app.administration.view(lambda books: len(books.audit.list(AuditFilter(limit=1000))))
    for path in PAGES:
        alice.client.head(spelled(path))
        alice.client.get(spelled(path))
    after = world.app.administration.view(lambda books: books.audit.list(AuditFilter(limit=1000)))
    # A team that one is not in may be asked for; that it was refused is written down.
    assert {row.reason for row in after[: len(after) - before]} <= {"member-list"}


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "{{ 7 * 7 }}"])
def test_what_is_typed_comes_back_as_text(browser: Browser, text: str) -> None:
    browser.open("/sign-in")
    browser.send("/sign-in", name=text, password="x")
    assert "<script>" not in browser.page.text
    assert "<img" not in browser.page.text
    assert "49" not in browser.text
    browser.get(f"/{text}")
    assert text not in browser.page.text


@pytest.mark.parametrize(
    ("client", "forwarded", "expected"),
    [
        ("192.0.2.1", "203.0.113.9", "192.0.2.1"),
        ("127.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("127.0.0.1", "10.0.0.1, 203.0.113.9", "203.0.113.9"),
        ("127.0.0.1", "203.0.113.9, 127.0.0.1", "203.0.113.9"),
        ("127.0.0.1", "not an address", "127.0.0.1"),
        ("127.0.0.1", "", "127.0.0.1"),
        ("127.0.0.1", "fe80::1%eth0\x1b", "127.0.0.1"),
        ("127.0.0.1", "2001:DB8:0::1", "2001:db8::1"),
    ],
)
def test_only_a_proxy_of_ours_says_who_asks(client: str, forwarded: str, expected: str) -> None:
    headers = Headers({"x-forwarded-for": forwarded})
    assert client_address({"client": (client, 1)}, headers, [ip_network("127.0.0.0/8")]) == expected


def test_a_made_up_address_gets_into_no_audit_row(world: World, browse: Browse) -> None:
    _user, made, _confirmed = world.enrolled()
    world.clock.now += 30
    browser = browse(**{"X-Forwarded-For": "203.0.113.9", "Forwarded": "for=203.0.113.9"})
    browser.sign_in(code=world.code(made))
    rows = world.app.administration.view(lambda books: books.audit.list(AuditFilter(kind="sign-in")))
    assert rows
    assert all((row.device or "").startswith("127.0.0.1 ") for row in rows)


def test_behind_a_proxy_its_word_counts(world: World) -> None:
    world.user()
    config = replace(world.app.config, trusted_proxies=(ip_network("127.0.0.1"),))
    with served(World(replace(world.app, config=config), world.clock)) as server:
        browser = Browser(server.url, {"X-Forwarded-For": "198.51.100.1, 203.0.113.9"})
        browser.sign_in()
        browser.close()
    (row,) = world.app.administration.view(lambda books: books.audit.list(AuditFilter(kind="sign-in")))
    assert (row.device or "").startswith("203.0.113.9 ")


def test_without_tls_the_cookies_are_for_this_machine_and_strict(browser: Browser) -> None:
    cookie = browser.get("/sign-in").headers["set-cookie"]
    assert cookie.startswith("browser=")
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(cookie.split("; "))


@pytest.mark.parametrize("url", ["http://mfa.example.net/", "http://192.0.2.1:8080"])
def test_passwords_in_clear_over_a_network_are_refused(url: str) -> None:
    with pytest.raises(PortalProblem, match="in clear"):
        place(url, ANYWHERE, tls=False)


def test_others_than_this_machine_need_an_address(world: World) -> None:
    with pytest.raises(PortalProblem, match="portal_url is not set"):
        PortalServer(world.app, Endpoint("0.0.0.0", 0))  # it does not get to listen


def test_behind_a_proxy_with_tls_the_cookies_are_bound_to_the_host(world: World) -> None:
    world.user()
    config = replace(world.app.config, portal_url="https://mfa.example.net/self-service/")
    with served(World(replace(world.app, config=config), world.clock)) as server:
        get = partial(asked, server)
        status, headers, text = get("/self-service/sign-in", "mfa.example.net")
        assert status == 200
        cookie = headers["set-cookie"]
        assert cookie.startswith("__Host-browser=")
        assert "Secure" in cookie
        assert "Domain" not in cookie
        assert headers["strict-transport-security"].startswith("max-age=")
        assert 'action="/self-service/sign-in"' in text
        assert get("/sign-in", "mfa.example.net:443")[0] == 200
        assert get("/", "mfa.example.net")[1]["location"] == "/self-service/sign-in"
        assert get("/sign-in", "mfa.example.net:8443")[0] == 421


def asked(server: PortalServer, path: str, host: str) -> tuple[int, dict[str, str], str]:
    """Ask under another name than the one that is connected to, as a proxy does."""
    connection = http.client.HTTPConnection(server.address.host, server.address.port, timeout=10)
    connection.request("GET", path, headers={"Host": host})
    reply = connection.getresponse()
    headers = {name.lower(): value for name, value in reply.getheaders()}
    text = reply.read().decode()
    connection.close()
    return reply.status, headers, text


def test_led_here_from_elsewhere_a_browser_asks_once_more_and_keeps_its_cookies(alice: Browser) -> None:
    """SameSite=Strict: led here by a mail or another site, a browser sends no cookie the first time."""
    page = alice.client.get("/profile", headers={"sec-fetch-site": "cross-site", "cookie": ""})
    assert 'http-equiv="refresh"' in page.text
    assert "set-cookie" not in page.headers
    again = page.text.partition("url=")[2].partition('"')[0]
    assert alice.client.get(again, headers={"sec-fetch-site": "cross-site"}).status_code == 200


def test_neither_password_nor_code_nor_seed_nor_link_is_in_any_log(
    world: World, browser: Browser, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    world.user()
    browser.sign_in(password="canary-password-wrong")
    world.clock.now += 5
    browser.sign_in()
    browser.send("/set-up")
    secret = shown_secret(browser)
    code = code_for(secret, world)
    browser.send("/set-up/code", code=code)
    codes = shown_codes(browser)
    browser.send("/set-up/done", recorded="yes")
    token = "canary-token-" + "x" * 30
    browser.get(f"/reset/{token}")
    browser.send(f"/reset/{token}", name="alice", password=PASSWORD)
    logged = "\n".join(
        f"{record.getMessage()} {record.exc_text or ''}"
        for record in caplog.records
        # The test's own browser says where it goes; what the server says is the point.
        if not record.name.startswith(("httpx", "httpcore"))
    )
    canaries = ("canary-password-wrong", PASSWORD, secret.replace(" ", ""), code, codes[0], token)
    assert [canary for canary in canaries if canary in logged] == []
    assert "was refused to 127.0.0.1" in logged


def test_by_tls_of_its_own_the_pages_are_served_too(world: World, tmp_path: Path) -> None:
    pem = certificate(tmp_path)
    config = replace(world.app.config, tls_certificate=pem, tls_key=pem)
    with served(World(replace(world.app, config=config), world.clock)) as server:
        assert server.url.startswith("https://127.0.0.1:")
        context = ssl.create_default_context(cafile=str(pem))
        connection = http.client.HTTPSConnection(server.address.host, server.address.port, context=context, timeout=10)
        connection.request("GET", "/sign-in")
        reply = connection.getresponse()
        assert reply.status == 200
        assert (reply.getheader("set-cookie") or "").startswith("__Host-browser=")
        reply.read()
        connection.close()


def test_a_renewed_certificate_is_taken_up_and_one_that_is_spoilt_is_not(world: World, tmp_path: Path) -> None:
    pem = certificate(tmp_path)
    config = replace(world.app.config, tls_certificate=pem, tls_key=pem)
    with served(World(replace(world.app, config=config), world.clock)) as server:

        def shown() -> str:
            return ssl.get_server_certificate((server.address.host, server.address.port), timeout=10)

        first = shown()
        certificate(tmp_path)
        assert shown() == first
        server.renew_certificate()
        second = shown()
        assert second in pem.read_text()
        assert second != first
        pem.write_text("spoilt")
        server.renew_certificate()
        assert shown() == second

"""Text messages, handed to a gateway over HTTP in the shape that its settings ask for."""

import json
import logging
from urllib.parse import parse_qs, urlsplit

import pytest

from radiusd_mfa.delivery.apprise_sender import AppriseSender
from radiusd_mfa.delivery.problems import DeliveryProblem, SetUpProblem, UnreachableProblem
from radiusd_mfa.delivery.sms import Gateway, HttpSender
from tests.support.post import TestGateway, free_port

TO = "+4915112345678"
TEXT = 'canary-code 492039: "quoted" & <tagged> {secret} {to} ü'
SECRET = "canary-secret/+&="
# It loads whatever it knows, and one of these looks for a module that goes with Python 3.13.
APPRISE = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")


def sender(sms: TestGateway, path: str = "/send", **settings: object) -> HttpSender:
    body = '{"to": "{to}", "text": "{text}"}'
    return HttpSender(Gateway(**{"url": sms.url + path, "body": body, "secret": SECRET, **settings}))  # type: ignore[arg-type]


def test_without_settings_a_text_is_posted_as_json(sms: TestGateway) -> None:
    sender(sms).send(TO, TEXT)
    [asked] = sms.asked
    assert (asked.method, asked.path, asked.headers["Content-Type"]) == ("POST", "/send", "application/json")
    assert json.loads(asked.body) == {"to": TO, "text": TEXT}


def test_a_form_holds_every_character(sms: TestGateway) -> None:
    form = ("Content-Type: application/x-www-form-urlencoded",)
    sender(sms, headers=form, body="to={to}&text={text}&key={secret}").send(TO, TEXT)
    assert parse_qs(sms.asked[0].body) == {"to": [TO], "text": [TEXT], "key": [SECRET]}


def test_an_address_holds_every_character_and_a_get_has_no_body(sms: TestGateway) -> None:
    sender(sms, "/{secret}/send?to={to}&text={text}", method="GET").send(TO, TEXT)
    [asked] = sms.asked
    assert asked.method == "GET"
    assert asked.body == ""
    parts = urlsplit(asked.path)
    assert parse_qs(parts.query) == {"to": [TO], "text": [TEXT]}
    assert parts.path == "/canary-secret%2F%2B%26%3D/send"


def test_xml_holds_every_character(sms: TestGateway) -> None:
    sender(sms, headers=("content-type: text/xml; charset=utf-8",), body="<sms>{text}</sms>").send(TO, "a < b & c")
    assert sms.asked[0].body == "<sms>a &lt; b &amp; c</sms>"


def test_the_secret_goes_into_a_header(sms: TestGateway) -> None:
    sender(sms, headers=("Authorization: Bearer {secret}", "X-To: {to}")).send(TO, TEXT)
    assert sms.asked[0].headers["Authorization"] == f"Bearer {SECRET}"
    assert sms.asked[0].headers["X-To"] == TO


def test_a_name_and_the_secret_make_http_basic(sms: TestGateway) -> None:
    sender(sms, user="mfa", secret="s").send(TO, TEXT)
    assert sms.asked[0].headers["Authorization"] == "Basic bWZhOnM="


def test_a_number_adds_no_header(sms: TestGateway) -> None:
    sender(sms, headers=("X-To: {to}",)).send("+49\r\nX-Evil: yes", TEXT)
    assert "X-Evil" not in sms.asked[0].headers


@pytest.mark.parametrize("status", [400, 401, 404, 500, 301, 302, 307])
def test_a_status_that_is_no_success_is_a_failure_and_no_redirect_is_followed(sms: TestGateway, status: int) -> None:
    sms.answers = [status]
    with pytest.raises(DeliveryProblem, match=f"the gateway 127.0.0.1 answered {status}$") as caught:
        sender(sms).send(TO, TEXT)
    assert not isinstance(caught.value, UnreachableProblem)
    assert len(sms.asked) == 1


@pytest.mark.parametrize("status", [429, 503])
def test_a_gateway_that_is_busy_is_left_alone(sms: TestGateway, status: int) -> None:
    sms.answers = [status]
    with pytest.raises(UnreachableProblem):
        sender(sms).send(TO, TEXT)


@pytest.mark.parametrize(
    "settings",
    [
        {"url": "http://127.0.0.1:{port}/canary"},
        {"headers": ("X: {secret}",), "secret": "canary\u20ac"},
        {"url": "https://127.0.0.1:{plain}/canary"},
    ],
)
def test_what_goes_wrong_is_told_without_what_was_sent(
    sms: TestGateway, settings: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    if "url" in settings:
        settings = settings | {"url": str(settings["url"]).format(port=free_port(), plain=sms.port)}
    with caplog.at_level(logging.DEBUG), pytest.raises(DeliveryProblem) as caught:
        sender(sms, **settings).send(TO, TEXT)  # type: ignore[arg-type]
    assert caught.value.__suppress_context__
    assert "canary" not in str(caught.value) + caplog.text


def test_a_gateway_shows_nothing_of_its_secret() -> None:
    shown = repr(HttpSender(Gateway("https://canary/", headers=("X: canary",), body="canary", secret="canary")))
    assert "canary" not in shown


@APPRISE
def test_apprise_sends_to_the_number(sms: TestGateway, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        AppriseSender(f"json://127.0.0.1:{sms.port}/{{to}}").send(TO, TEXT)
    [asked] = sms.asked
    assert asked.path.endswith("%2B4915112345678") or asked.path.endswith(TO)
    assert json.loads(asked.body)["message"] == TEXT
    assert "canary" not in caplog.text


@APPRISE
def test_what_apprise_could_not_send_is_a_failure_that_tells_nothing(
    sms: TestGateway, caplog: pytest.LogCaptureFixture
) -> None:
    sms.answers = [500]
    with caplog.at_level(logging.DEBUG), pytest.raises(DeliveryProblem, match=r"^Apprise could not send it$"):
        AppriseSender(f"json://127.0.0.1:{sms.port}/{{to}}").send(TO, TEXT)
    assert "canary" not in caplog.text


@APPRISE
@pytest.mark.parametrize("url", ["json://127.0.0.1/", "nonsense://canary/{to}", ""])
def test_what_apprise_can_not_use_is_said_before_anything_is_sent(url: str) -> None:
    with pytest.raises(SetUpProblem) as caught:
        AppriseSender(url)
    assert "canary" not in str(caught.value)


@APPRISE
def test_twilio_is_known_to_apprise() -> None:
    AppriseSender(f"twilio://AC{'0' * 32}:{'0' * 32}@+15005550006/{{to}}")


def test_a_missing_apprise_is_said_with_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("radiusd_mfa.delivery.apprise_sender.find_spec", lambda _name: None)
    with pytest.raises(SetUpProblem, match=r"pip install 'radiusd-mfa\[apprise\]'"):
        AppriseSender("json://127.0.0.1/{to}")

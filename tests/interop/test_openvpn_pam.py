"""OpenVPN with its own auth-pam plugin and pam_radius_auth: no accounting, and a static challenge for the code."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.openvpn import CONNECTED, INSIDE, REFUSED, connecting, serving, signs_in
from tests.interop.pam import SERVICE, PamServices, need_pam_radius
from tests.interop.requirements import need
from tests.interop.vpn import RADIUS_PORT, Office, certify, opened

pytestmark = [pytest.mark.interop, pytest.mark.xdist_group("openvpn-pam")]
_PLUGIN = "usr/lib/*/openvpn/plugins/openvpn-plugin-auth-pam.so"
_ASKED = "Code of your authenticator"


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """A gateway that answers pam_radius's second prompt with what the client was asked beforehand."""
    need("openvpn", programs=("openvpn",), anywhere=(_PLUGIN,))
    need("openssl", programs=("openssl",))
    need_pam_radius()
    plugin = next(Path("/").glob(_PLUGIN))
    with opened(tmp_path_factory.mktemp("openvpn-pam"), "--challenge", "on") as office:
        certify(office.directory)
        services = PamServices(office.directory)
        services.ask(f"127.0.0.1:{RADIUS_PORT}", "127.0.0.1")
        # Our Reply-Message, "Enter the code ...", is the prompt that the response to the static challenge answers.
        prompts = f'"{SERVICE} login USERNAME Password PASSWORD Enter OTP"'
        with serving(office, f"{plugin} {prompts}", within=services.prefix):
            yield office


def test_a_wrong_code_opens_no_tunnel(office: Office, tmp_path: Path) -> None:
    user = office.server.deployment.user("mallory")
    with connecting(office, tmp_path / "log", "--static-challenge", _ASKED, "1") as client:
        wrong = f"{(int(user.code()) + 1) % 10**6:06}"
        signs_in(client, user, ("Enter Auth Password:", user.password), (_ASKED, wrong))
        client.wait_for(REFUSED)
    assert office.server.deployment.audit(user) == [("challenge", "code-due"), ("reject", "wrong-code")]


def test_a_static_challenge_answers_the_second_prompt(office: Office, tmp_path: Path) -> None:
    user = office.server.deployment.user("alice")
    with connecting(office, tmp_path / "log", "--static-challenge", _ASKED, "1") as client:
        signs_in(client, user, ("Enter Auth Password:", user.password), (_ASKED, user.code()))
        client.wait_for(CONNECTED)
        assert office.site.carries(INSIDE)
    assert office.server.deployment.audit(user) == [("challenge", "code-due"), ("accept", "totp")]


def test_password_and_code_as_one_text_open_a_tunnel(office: Office, tmp_path: Path) -> None:
    user = office.server.deployment.user("carol")
    with connecting(office, tmp_path / "log") as client:
        signs_in(client, user, ("Enter Auth Password:", user.typed()))
        client.wait_for(CONNECTED)
    assert office.server.deployment.audit(user) == [("accept", "totp")]

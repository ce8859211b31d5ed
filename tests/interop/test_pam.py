"""PAM with pam_radius_auth, as sshd, sudo and login use it; pamtester is the program that asks."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.interop.conftest import APPEND, CHALLENGE, DIALOGUE, STRICT
from tests.interop.deployment import Server, User
from tests.interop.pam import SERVICE, PamServices, need_pam_radius
from tests.interop.processes import running
from tests.interop.requirements import give_up, need
from tests.support.set_ups import codes_in, key_in

pytestmark = pytest.mark.interop
Audit = Callable[[], list[tuple[str, str]]]
Pam = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def services(tmp_path: Path) -> PamServices:
    need("pamtester", programs=("pamtester",))
    need_pam_radius()
    return PamServices(tmp_path)


@pytest.fixture
def pam(server: Server, services: PamServices) -> Pam:
    """Sign in by PAM from one of the loopback addresses, typing lines as prompts come."""

    def sign_in(source: str, user: User, *lines: str) -> subprocess.CompletedProcess[str]:
        services.ask(server.address, source)
        command = [*services.prefix, "pamtester", SERVICE, user.name, "authenticate"]
        done = subprocess.run(
            command,
            input="".join(f"{line}\n" for line in lines),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if "unshare" in done.stderr or "mount:" in done.stderr:
            give_up(f"no mount namespace can be made here: {done.stderr}")
        return done

    return sign_in


def test_a_wrong_code_does_not_sign_in(pam: Pam, user: User, audit: Audit) -> None:
    wrong = f"{(int(user.code()) + 1) % 10**6:06}"
    assert pam(APPEND, user, user.password + wrong).returncode != 0
    assert audit() == [("reject", "wrong-code")]


def test_password_and_code_at_one_prompt_sign_in_once(pam: Pam, user: User, audit: Audit) -> None:
    typed = user.typed()
    assert pam(APPEND, user, typed).returncode == 0
    assert pam(APPEND, user, typed).returncode != 0
    assert audit() == [("accept", "totp"), ("reject", "code-reused")]


def test_the_code_is_asked_for_at_a_second_prompt(pam: Pam, user: User, audit: Audit) -> None:
    done = pam(CHALLENGE, user, user.password, user.code())
    assert "Enter the code" in done.stdout + done.stderr
    assert done.returncode == 0
    assert audit() == [("challenge", "code-due"), ("accept", "totp")]


def test_the_password_again_at_the_second_prompt_does_not_sign_in(pam: Pam, user: User, audit: Audit) -> None:
    # sshd's "password" method repeats the password by itself when it is asked a second time.
    assert pam(CHALLENGE, user, user.password, user.password).returncode != 0
    assert audit()[0] == ("challenge", "code-due")
    assert audit()[1][0] == "reject"


def test_a_first_authenticator_is_set_up_prompt_by_prompt(
    server: Server, services: PamServices, newcomer: User, tmp_path: Path
) -> None:
    services.ask(server.address, DIALOGUE)
    command = [*services.prefix, "pamtester", SERVICE, newcomer.name, "authenticate"]
    with running(command, log=tmp_path / "pamtester.log") as person:
        person.says(newcomer.password)
        newcomer.seed = key_in(person.wait_for(r"key.*type the code that it shows")[0])
        person.says(newcomer.code())
        backup_codes = codes_in(person.wait_for(r"backup codes.*type: saved")[0])
        person.says("saved")
        person.wait_for("successfully authenticated")
    assert len(backup_codes) == 10
    ends = [("challenge", "set-up"), ("challenge", "record-due"), ("accept", "set-up-done")]
    assert server.deployment.audit(newcomer) == ends


def test_it_signs_no_request_so_that_an_entry_that_requires_it_stays_silent(pam: Pam, user: User, audit: Audit) -> None:
    assert pam(STRICT, user, user.typed()).returncode != 0
    assert audit() == []

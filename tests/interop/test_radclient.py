"""radclient and radtest of FreeRADIUS, as an administrator tries a server out."""

import re
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.interop.conftest import APPEND, CHALLENGE, DIALOGUE, PROXIED, STRICT, TEAM
from tests.interop.deployment import SECRET, Server, User
from tests.interop.relay import relaying
from tests.interop.requirements import need
from tests.support.post import gateway
from tests.support.set_ups import codes_in, key_in

pytestmark = pytest.mark.interop
Audit = Callable[[], list[tuple[str, str]]]
Answers = dict[str, list[str]]


@pytest.fixture(autouse=True)
def _installed() -> None:
    need("freeradius-utils", programs=("radclient", "radtest"))


@dataclass(frozen=True)
class Radclient:
    """Sends one request from one of the loopback addresses and reads what radclient prints about the answer."""

    server: Server
    secret_file: Path

    def ask(self, source: str, *attributes: str, kind: str = "auth") -> tuple[str, Answers]:
        """Return (name of the reply, its attributes); no reply is the name ''."""
        request = "\n".join([*attributes, f"Packet-Src-IP-Address = {source}"])
        patience = ("-r", "1", "-t", "8")
        return self._run(request, *patience, kind=kind)

    def is_ignored(self, source: str, *attributes: str, kind: str = "auth") -> bool:
        """Whether there is no answer in the time in which a Status-Server has one."""
        request = "\n".join([*attributes, f"Packet-Src-IP-Address = {source}"])
        name, _answers = self._run(request, "-r", "1", "-t", "1", kind=kind)
        return not name

    def insists(self, port: int, source: str, *attributes: str) -> str:
        """Ask at another port of this machine, again and again; return the name of the reply."""
        request = "\n".join([*attributes, f"Packet-Src-IP-Address = {source}"])
        elsewhere = replace(self, server=replace(self.server, port=port))
        return elsewhere._run(request, "-r", "5", "-t", "1", kind="auth")[0]

    def _run(self, request: str, *patience: str, kind: str) -> tuple[str, Answers]:
        command = ["radclient", "-x", *patience, "-S", str(self.secret_file), self.server.address, kind]
        done = subprocess.run(command, input=request, capture_output=True, text=True, timeout=60, check=False)
        received = re.split(r"^Received ", done.stdout, flags=re.MULTILINE)[1:]
        if not received:
            return "", {}
        answers: Answers = {}
        for name, value in re.findall(r"^\t(\S+) = (.*)$", received[0], re.MULTILINE):
            answers.setdefault(name, []).append(value.strip('"'))
        return received[0].split()[0], answers


@pytest.fixture
def radclient(server: Server, tmp_path: Path) -> Radclient:
    secret_file = tmp_path / "secret"
    secret_file.write_text(SECRET)
    return Radclient(server, secret_file)


def asks_for(user: User, typed: str) -> tuple[str, str]:
    return f'User-Name = "{user.name}"', f'User-Password = "{typed}"'


SIGNED = "Message-Authenticator = 0x00"


def test_a_wrong_password_is_rejected(radclient: Radclient, user: User, audit: Audit) -> None:
    name, _answers = radclient.ask(APPEND, *asks_for(user, "hunter3" + user.code()))
    assert name == "Access-Reject"
    assert audit() == [("reject", "wrong-password")]


def test_a_code_signs_in_once(radclient: Radclient, user: User, audit: Audit) -> None:
    typed = user.typed()
    assert radclient.ask(APPEND, *asks_for(user, typed))[0] == "Access-Accept"
    assert radclient.ask(APPEND, *asks_for(user, typed))[0] == "Access-Reject"
    assert audit() == [("accept", "totp"), ("reject", "code-reused")]


def test_the_password_alone_is_rejected_and_told_what_to_type(radclient: Radclient, user: User) -> None:
    name, answers = radclient.ask(APPEND, *asks_for(user, user.password))
    assert name == "Access-Reject"
    assert "right after it" in answers["Reply-Message"][0]


def test_a_code_given_to_radtest_signs_in_once(server: Server, user: User, audit: Audit) -> None:
    typed = user.typed()

    def radtest() -> str:
        command = ["radtest", user.name, typed, server.address, "0", SECRET]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout

    assert "Received Access-Accept" in radtest()
    assert "Received Access-Reject" in radtest()
    assert audit() == [("accept", "totp"), ("reject", "code-reused")]


def test_an_enrolled_user_signs_in_with_a_code_and_then_with_a_backup_code(
    server: Server, radclient: Radclient
) -> None:
    command = server.deployment.command
    command("user", "add", "enrolled", "--password-stdin", stdin="correct horse\n")
    uri = command("mfa", "enrol", "enrolled")["uri"]
    user = server.deployment.holder("enrolled", "correct horse", uri)
    backup_codes = command("mfa", "confirm", "enrolled", "--code-stdin", stdin=user.code())["backup_codes"]
    assert radclient.ask(APPEND, *asks_for(user, user.typed()))[0] == "Access-Accept"
    assert radclient.ask(APPEND, *asks_for(user, user.password + backup_codes[0]))[0] == "Access-Accept"
    assert radclient.ask(APPEND, *asks_for(user, user.password + backup_codes[0]))[0] == "Access-Reject"
    assert server.deployment.audit(user) == [("accept", "totp"), ("accept", "backup-code"), ("reject", "code-reused")]


def test_a_challenge_is_answered_with_its_state_once(radclient: Radclient, user: User, audit: Audit) -> None:
    name, answers = radclient.ask(CHALLENGE, *asks_for(user, user.password))
    assert name == "Access-Challenge"
    assert answers["Reply-Message"]
    answer = (*asks_for(user, user.code()), f"State = {answers['State'][0]}")
    assert radclient.ask(CHALLENGE, *answer)[0] == "Access-Accept"
    again = (*asks_for(user, user.code()), f"State = {answers['State'][0]}")
    assert radclient.ask(CHALLENGE, *again)[0] == "Access-Reject"
    assert audit() == [("challenge", "code-due"), ("accept", "totp"), ("reject", "bad-state")]


def test_a_first_authenticator_is_set_up_in_three_answers(server: Server, radclient: Radclient, newcomer: User) -> None:
    _name, answers = radclient.ask(DIALOGUE, *asks_for(newcomer, newcomer.password))
    (told,) = answers["Reply-Message"]
    newcomer.seed = key_in(told)
    first = (*asks_for(newcomer, newcomer.code()), f"State = {answers['State'][0]}")
    name, answers = radclient.ask(DIALOGUE, *first)
    assert name == "Access-Challenge"
    backup_codes = codes_in(answers["Reply-Message"][0])
    assert radclient.ask(DIALOGUE, *asks_for(newcomer, newcomer.password + backup_codes[0]))[0] == "Access-Reject"
    saved = (*asks_for(newcomer, "saved"), f"State = {answers['State'][0]}")
    assert radclient.ask(DIALOGUE, *saved)[0] == "Access-Accept"
    assert radclient.ask(DIALOGUE, *saved)[0] == "Access-Reject"
    assert radclient.ask(APPEND, *asks_for(newcomer, newcomer.typed()))[0] == "Access-Accept"
    assert radclient.ask(APPEND, *asks_for(newcomer, newcomer.password + backup_codes[9]))[0] == "Access-Accept"
    ends = [row for row in server.deployment.audit(newcomer) if row[0] == "accept"]
    assert ends == [("accept", "set-up-done"), ("accept", "totp"), ("accept", "backup-code")]


def test_a_wrong_password_gets_no_challenge(radclient: Radclient, user: User) -> None:
    name, answers = radclient.ask(CHALLENGE, *asks_for(user, "hunter3"))
    assert name == "Access-Reject"
    assert "State" not in answers


def test_every_reply_is_signed_even_where_the_request_was_not(radclient: Radclient, user: User) -> None:
    for attributes in ((), (SIGNED,)):
        _name, answers = radclient.ask(APPEND, *asks_for(user, "wrong"), *attributes)
        assert next(iter(answers)) == "Message-Authenticator"


def test_an_unsigned_request_is_dropped_where_a_signature_is_required(
    server: Server, radclient: Radclient, user: User, audit: Audit
) -> None:
    typed = user.typed()
    assert radclient.is_ignored(STRICT, *asks_for(user, typed))
    assert "radiusd-mfa nas set strict --message-authenticator optional" in server.process.output
    assert audit() == []
    assert radclient.ask(STRICT, *asks_for(user, typed), SIGNED)[0] == "Access-Accept"


def test_an_unsigned_proxy_state_is_dropped_unless_the_entry_allows_it(
    radclient: Radclient, user: User, audit: Audit
) -> None:
    attributes = (*asks_for(user, user.typed()), "Proxy-State = 0x616263")
    assert radclient.is_ignored(APPEND, *attributes)
    assert audit() == []
    name, answers = radclient.ask(PROXIED, *attributes)
    assert (name, answers.get("Proxy-State")) == ("Access-Accept", ["0x616263"])


def test_signed_proxy_states_come_back_in_their_order(radclient: Radclient, user: User) -> None:
    attributes = ("Proxy-State = 0x01", "Proxy-State = 0x02", SIGNED)
    name, answers = radclient.ask(APPEND, *asks_for(user, user.typed()), *attributes)
    assert (name, answers.get("Proxy-State")) == ("Access-Accept", ["0x01", "0x02"])


def test_a_lost_reply_comes_again_as_the_same_octets(
    server: Server, radclient: Radclient, user: User, audit: Audit
) -> None:
    with relaying((server.host, server.port), ("127.0.0.1", 0)) as relay:
        relay.replies_to_lose = 2
        assert radclient.insists(relay.port, APPEND, *asks_for(user, user.typed())) == "Access-Accept"
    assert len(set(relay.requests)) == 1
    assert len(relay.replies) >= 3
    assert len(set(relay.replies)) == 1
    assert audit() == [("accept", "totp")]


def test_a_status_server_is_answered(radclient: Radclient) -> None:
    assert radclient.ask(APPEND, SIGNED, kind="status")[0] == "Access-Accept"
    assert radclient.ask(STRICT, SIGNED, kind="status")[0] == "Access-Accept"


def test_a_team_reads_the_end_of_the_period_and_its_vlan_with_a_code_and_without(
    server: Server, radclient: Radclient, user: User, audit: Audit
) -> None:
    assert radclient.ask(TEAM, *asks_for(user, user.typed()))[0] == "Access-Reject"
    server.deployment.command("member", "add", "staff", user.name, "--role", "member")
    for typed in (user.typed(), user.password):
        name, answers = radclient.ask(TEAM, *asks_for(user, typed))
        assert name == "Access-Accept"
        assert 43_190 <= int(answers.pop("Session-Timeout")[0]) <= 43_200
        assert answers.pop("Message-Authenticator")
        assert answers == {
            "Tunnel-Type:1": ["VLAN"],
            "Tunnel-Medium-Type:1": ["IEEE-802"],
            "Tunnel-Private-Group-Id:1": ["20"],
            "Filter-Id": ["staff"],
            "Cisco-AVPair": ["shell:priv-lvl=15"],
            "Termination-Action": ["RADIUS-Request"],
        }
    assert audit() == [("reject", "not-a-member"), ("accept", "totp"), ("accept", "period")]


def test_a_realm_is_the_team(server: Server, radclient: Radclient, user: User) -> None:
    server.deployment.command("member", "add", "staff", user.name, "--role", "member")
    for name in (f"{user.name}@staff", f"STAFF\\\\{user.name}"):
        user_at = (f'User-Name = "{name}"', f'User-Password = "{user.typed()}"')
        reply, answers = radclient.ask(APPEND, *user_at)
        assert (reply, answers.get("Tunnel-Private-Group-Id:1")) == ("Access-Accept", ["20"])
    server.deployment.command("member", "remove", "staff", user.name)
    assert radclient.ask(APPEND, f'User-Name = "{user.name}@staff"', f'User-Password = "{user.password}"')[0] == (
        "Access-Reject"
    )
    with_realm = server.deployment.command("audit", "list", "--kind", "sign-in")
    assert [row["reason"] for row in with_realm[:3]] == ["not-a-member", "totp", "totp"]


def test_a_wrong_secret_is_silence_to_radclient_and_named_by_the_doctor(
    radclient: Radclient, user: User, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong secret"
    wrong.write_text("not what was agreed")
    assert replace(radclient, secret_file=wrong).is_ignored(STRICT, *asks_for(user, "hunter2"), SIGNED)
    deployment, until = radclient.server.deployment, time.monotonic() + 30
    while True:  # the server hands on every five seconds what it saw
        found = [each for each in deployment.findings() if (each["check"], each["where"]) == ("wrong-secret", "strict")]
        if found or time.monotonic() > until:
            break
        time.sleep(1)
    assert len(found) == 1
    assert found[0]["remedy"] == "radiusd-mfa nas set strict --secret-stdin"
    assert "wrong Message-Authenticator" in found[0]["what"]


def test_a_code_by_sms_is_sent_after_the_password_and_answers_the_challenge(
    radclient: Radclient, server: Server, newcomer: User
) -> None:
    """From the commands of an administrator to the gateway and back, with nothing but real programs."""
    deployment = server.deployment
    with gateway() as by_sms:

        def delivered() -> str:
            deployment.command("outbox", "run", "--once", sms_url=f"{by_sms.url}/send")
            found: str = re.findall(r"\b\d{6}\b", by_sms.asked[-1].body)[0]
            return found

        number = ("--sms", "--phone", "+4915112345678")
        deployment.command("mfa", "enrol", newcomer.name, *number, sms_url=f"{by_sms.url}/send")
        deployment.command("mfa", "confirm", newcomer.name, "--code-stdin", stdin=delivered())
        deployment.forget_what_was_sent()
        name, answers = radclient.ask(CHALLENGE, *asks_for(newcomer, newcomer.password))
        assert name == "Access-Challenge"
        assert answers["Reply-Message"][0].startswith("A code was sent to your phone ending in 678.")
        (state,) = answers["State"]
        done = radclient.ask(CHALLENGE, *asks_for(newcomer, delivered()), f"State = {state}")
    assert done[0] == "Access-Accept"
    assert deployment.audit(newcomer) == [("challenge", "sms-sent"), ("accept", "sms")]

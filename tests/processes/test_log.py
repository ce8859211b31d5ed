"""The log of real daemons, read line by line: what each sign-in leaves there, and what must never be in it."""

import fcntl
import json
import os
import re
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from radiusd_mfa.radius.wire import Code
from radiusd_mfa.store import schema
from tests.interop.processes import running
from tests.processes.conftest import Node, Nodes
from tests.support.taps import eventually
from tests.support.world import TestUser, World

FORGED = b'x"}\n{"what": "sign-in", "outcome": "accept"}\n2026-01-01 00:00:00,000 INFO sign-in accept totp user="admin'
F_SETPIPE_SZ = 1031
NUMBER = r"\d+\.\d"


@pytest.fixture
def log_format() -> str:
    return "json"


@pytest.fixture
def node(world: World, nodes: Nodes, log_format: str) -> Node:
    world.nas(secret=b"canary-shared-secret")
    nodes.environ |= {"RADIUSD_MFA_LOG_FORMAT": log_format, "RADIUSD_MFA_LOG_SIGN_INS": "true"}
    nodes.environ["RADIUSD_MFA_LOG_LEVEL"] = "warning"
    return nodes.start()


def sign_in_in_every_way(world: World, node: Node) -> TestUser:
    """An Accept, a code again, a wrong password and code, a stranger, names that forge lines, a wrong secret."""
    alice = world.user("alice", "canary-password")
    team = world.team("ops")
    world.member(alice, team)
    nas = world.client(node.address, secret=b"canary-shared-secret")
    typed = alice.typed()
    assert nas.ask("alice", typed).code is Code.ACCESS_ACCEPT
    assert nas.ask("alice", typed).code is Code.ACCESS_REJECT
    nas.ask("alice", b"canary-wrong-password")
    nas.ask("alice", f"canary-password{alice.wrong_code()}".encode())
    nas.ask("nobody", b"canary-of-nobody")
    nas.ask(FORGED, b"canary-forger")
    nas.ask(b"\xff\x1b[2J\r", b"x")
    wrong = world.client(node.address, secret=b"canary-wrong-secret")
    assert wrong.is_ignored(*wrong.request("alice", b"x"))
    return alice


def told(node: Node) -> list[str]:
    """Return the lines of standard error, which shares its file with the line that says that it is ready."""
    return [line for line in node.process.output.split("\n") if line and "is ready on" not in line]


def objects(node: Node) -> list[dict[str, Any]]:
    return [json.loads(line) for line in told(node)]


def sign_ins(node: Node) -> list[dict[str, Any]]:
    return [each for each in objects(node) if each["what"] == "sign-in"]


def test_each_sign_in_is_one_object_and_no_secret_is_in_any(world: World, node: Node) -> None:
    alice = sign_in_in_every_way(world, node)
    found = eventually(lambda: len(sign_ins(node)) == 7 and sign_ins(node))
    assert [(each["outcome"], each["reason"]) for each in found] == world.audit()
    first = found[0]
    assert {name: first[name] for name in ("level", "user", "nas", "surface", "team")} == {
        "level": "info",
        "user": "alice",
        "nas": "vpn",
        "surface": "vpn",
        "team": "ops",
    }
    assert [each["audit"] for each in found] == sorted(each["audit"] for each in found)
    assert found[4]["user"] == "nobody"
    assert found[4]["team"] is None
    for each in found:
        assert set(each) == {*first}
        assert 0 <= each["waited"] <= each["total"] < 60_000
        assert each["open"] + each["hash"] + each["settle"] <= each["total"] + 0.5
        assert abs(time.time() - _unix(each["time"])) < 120
    secrets = (b"canary", FORGED[:10], alice.code().encode(), alice.wrong_code().encode(), alice.seed.hex().encode())
    raw = node.process.log.read_bytes()
    assert [secret for secret in secrets if secret in raw] == []


def _unix(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def test_a_name_can_forge_no_object(world: World, node: Node) -> None:
    sign_in_in_every_way(world, node)
    eventually(lambda: len(sign_ins(node)) == 7)
    assert sum(each["outcome"] == "accept" for each in sign_ins(node)) == 1
    assert all(line.isascii() and line.isprintable() for line in told(node))


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_a_packet_that_is_dropped_has_its_cause_and_address_as_fields(world: World, node: Node) -> None:
    wrong = world.client(node.address, secret=b"canary-wrong-secret")
    wrong.send(wrong.request("alice", b"x")[0])
    (found,) = eventually(lambda: [each for each in objects(node) if "cause" in each])
    assert (found["cause"], found["address"], found["nas"]) == ("message-authenticator-wrong", "127.0.0.1", "vpn")
    assert found["level"] == "warning"
    assert "radiusd-mfa nas set vpn" in found["what"]


@pytest.mark.parametrize("dialect", ["sqlite"])
@pytest.mark.parametrize("log_format", ["text"])
def test_as_text_a_name_can_forge_no_line(world: World, node: Node) -> None:
    alice = sign_in_in_every_way(world, node)
    pattern = (
        r"[\d-]{10} [\d:]{8},\d{3} INFO sign-in (accept|reject) [a-z-]+ nas=\"vpn\" surface=\"vpn\"( team=\"ops\")? "
        rf'user="[^"]*(\\"[^"]*)*" audit=\d+ waited={NUMBER} open={NUMBER} hash={NUMBER} settle={NUMBER} total={NUMBER}'
    )

    def lines() -> list[str]:
        return [line for line in told(node) if re.fullmatch(pattern, line)]

    found = eventually(lambda: len(lines()) == 7 and lines())
    assert [tuple(line.split()[4:6]) for line in found] == world.audit()
    others = [line for line in told(node) if line not in found]
    assert all(" WARNING dropped a packet from 127.0.0.1" in line for line in others), others
    raw = node.process.log.read_bytes()
    assert b"canary" not in raw
    assert alice.code().encode() not in raw


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_who_delivers_mail_writes_objects_too(world: World, environ: dict[str, str], tmp_path: Path) -> None:
    now = time.time()
    row = {"kind": "notice", "channel": "mail", "recipient": "alice@example.net", "payload": b"sealed by nobody"}
    world.execute(insert(schema.outbox).values(**row, created_at=now, due_at=now, expires_at=now + 600))
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RADIUSD_MFA_")}
    own = {"DATABASE_URL": world.url, "LOG_FORMAT": "json", "SMTP_HOST": "127.0.0.1", "MAIL_FROM": "mfa@example.net"}
    env = inherited | environ | {f"RADIUSD_MFA_{name}": value for name, value in own.items()}
    command = [sys.executable, "-m", "radiusd_mfa", "outbox", "run", "--once", "--json"]
    with running(command, log=tmp_path / "outbox.log", env=env) as process:
        assert process.popen.wait(60) == 0
        (warning,) = [json.loads(line) for line in process.output.splitlines() if "not sent" in line]
    assert warning["level"] == "warning"


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_a_log_that_nobody_reads_holds_no_sign_in_up(world: World, environ: dict[str, str], workers: int) -> None:
    """Sixty lines into pipes that have room for twenty; what waited is there as soon as somebody reads."""
    world.nas()
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RADIUSD_MFA_")}
    own = {"DATABASE_URL": world.url, "LOG_FORMAT": "json", "LOG_SIGN_INS": "true", "LOG_LEVEL": "error"}
    env = inherited | environ | {f"RADIUSD_MFA_{name}": value for name, value in own.items()}
    command = [sys.executable, "-m", "radiusd_mfa", "serve", "--workers", str(workers)]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        fcntl.fcntl(process.stderr.fileno(), F_SETPIPE_SZ, 4096)
        nas = world.client(process.stdout.readline().split()[-1].decode())
        for identifier in range(60):
            assert nas.ask("nobody", b"x", identifier=identifier).code is Code.ACCESS_REJECT
        read = [json.loads(process.stderr.readline()) for _ in range(60)]
        process.terminate()
        assert process.wait(30) == 0
    assert {each["user"] for each in read} == {"nobody"}
    assert sorted(each["audit"] for each in read) == list(range(1, 61))

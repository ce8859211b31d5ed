"""As a service: sockets that systemd holds, and what it is told (O4, ATTACKS 34)."""

import os
import re
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread

import httpx
import pytest

from radiusd_mfa.radius.wire import Code
from tests.interop.processes import Process, running
from tests.interop.requirements import need
from tests.support.held import Ear, Service, ear, shown, udp
from tests.support.post import free_port
from tests.support.taps import eventually
from tests.support.world import TestUser, World

DATAGRAM, STREAM = socket.SOCK_DGRAM, socket.SOCK_STREAM


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """Sockets and signs are the process's affair, whichever database it is."""
    return sqlite_url


@pytest.fixture
def service(world: World, environ: dict[str, str], tmp_path: Path) -> Iterator[Service]:
    world.nas()
    world.nas("six", "::1/128")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RADIUSD_MFA_")}
    database = {"RADIUSD_MFA_DATABASE_URL": world.url, "RADIUSD_MFA_HASH_THREADS": "1"}
    made = Service(inherited | environ | database, tmp_path)
    with made.stack:
        yield made


def ended(process: Process) -> tuple[int, str]:
    return process.popen.wait(30), process.output


# What is not taken.


def test_descriptors_that_are_no_udp_sockets_are_all_named_with_the_remedy(service: Service) -> None:
    reading, writing = os.pipe()
    with socket.socket(socket.AF_INET, STREAM) as stream, socket.socket(socket.AF_UNIX, DATAGRAM) as local:
        service.descriptors = [reading, stream.fileno(), local.fileno()]
        code, said = ended(service.start("serve", LISTEN_FDNAMES="pipe:web:local"))
    os.close(reading)
    os.close(writing)
    assert code == 2
    assert "Traceback" not in said
    assert re.search(r"descriptor 3 \(pipe\).* is no socket", said)
    assert re.search(r"descriptor 4 \(web\).* is a ListenStream socket; .*ListenDatagram=ADDR:PORT", said)
    assert re.search(r"descriptor 5 \(local\).* family AF_UNIX", said)


def test_a_socket_that_would_show_ipv4_as_ipv6_is_refused(service: Service) -> None:
    with socket.socket(socket.AF_INET6, DATAGRAM) as both:
        both.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        both.bind(("::", 0))
        service.descriptors = [both.fileno()]
        code, said = ended(service.start("serve"))
    assert code == 2
    assert "BindIPv6Only=ipv6-only" in said


def test_more_workers_than_sockets_are_refused_with_what_the_unit_needs(service: Service) -> None:
    address = service.hold()
    code, said = ended(service.start("serve", "--workers", "2"))
    assert code == 2
    assert f"ListenDatagram={address} stand in the unit 2 times, with ReusePort=yes" in said


def test_addresses_beside_those_of_systemd_are_refused(service: Service) -> None:
    service.hold()
    code, said = ended(service.start("serve", "--listen", "127.0.0.1:0"))
    assert code == 2
    assert "leave one of them out" in said


def test_sockets_for_another_process_are_not_taken(service: Service) -> None:
    address = service.hold()
    process = service.start("serve", LISTEN_PID="1")
    assert process.wait_for(r"ready on (\S+)")[1] != address


def test_the_pages_take_no_datagrams_and_no_single_connection(service: Service) -> None:
    (one,) = udp()
    server = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(server.getsockname())
    connection, _ = server.accept()
    service.descriptors = [one.fileno(), connection.fileno()]
    code, said = ended(service.start("portal"))
    for each in (one, server, client, connection):
        each.close()
    assert code == 2
    assert "descriptor 3, handed over by systemd, is a ListenDatagram socket" in said
    assert "descriptor 4, handed over by systemd, is one connection; the unit is to have Accept=no" in said


# What is served.


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_packet_to_systemds_socket_starts_the_server_and_is_answered(
    world: World, service: Service, tmp_path: Path, host: str
) -> None:
    """By systemd's own activator: it starts the program with the first packet, which the program then reads."""
    need("systemd", programs=("systemd-socket-activate",))
    with udp(host=host)[0] as free:
        address = shown(free)
    command = [
        "systemd-socket-activate",
        "-d",
        "-l",
        address,
        *kept(service),
        sys.executable,
        "-m",
        "radiusd_mfa",
        "serve",
    ]
    with running(command, log=tmp_path / "activator.log", env=service.environ) as process:
        process.wait_for("Listening on")
        alice = world.user()
        nas = world.client(address, source=host)
        assert nas.ask("alice", alice.typed(), timeout=30).code is Code.ACCESS_ACCEPT
        process.popen.terminate()
        assert process.popen.wait(30) == 0


def kept(service: Service) -> list[str]:
    """Let the activator hand the settings on."""
    return [f"-E{name}" for name in service.environ if name.startswith("RADIUSD_MFA_")]


def test_a_reply_comes_from_the_address_that_was_asked_on_systemds_socket_too(world: World, service: Service) -> None:
    port = service.hold(host="0.0.0.0").rpartition(":")[2]
    service.start("serve").wait_for("ready on")
    alice, address = world.user(), ("127.0.0.7", int(port))
    nas = world.client(f"{address[0]}:{address[1]}")
    nas.socket.connect(address)  # from now on the kernel takes replies from there alone
    octets, authenticator = nas.request("alice", alice.typed())
    nas.socket.send(octets)
    reply = nas.receive(authenticator)
    assert reply is not None
    assert reply.code is Code.ACCESS_ACCEPT


def test_the_pages_are_served_on_systemds_sockets(service: Service, tmp_path: Path) -> None:
    need("systemd", programs=("systemd-socket-activate",))
    address = f"127.0.0.1:{free_port()}"
    with ear() as manager:
        command = [
            "systemd-socket-activate",
            "-l",
            address,
            "-ENOTIFY_SOCKET",
            *kept(service),
            sys.executable,
            "-m",
            "radiusd_mfa",
        ]
        env = dict(service.environ) | {"NOTIFY_SOCKET": manager.address}
        with running([*command, "portal"], log=tmp_path / "activator.log", env=env) as process:
            process.wait_for("Listening on")
            page = httpx.get(f"http://{address}/sign-in", trust_env=False, timeout=30)
            assert page.status_code == 200
            manager.wait_for("READY=1\nSTATUS=Serves http://")
            process.popen.terminate()
            manager.wait_for("STOPPING=1")
            assert process.popen.wait(30) == 0


class SigningIn(Thread):
    """A NAS that sends each request once, and counts what is never answered."""

    def __init__(self, world: World, address: str, users: list[TestUser]) -> None:
        super().__init__()
        self._nas = world.client(address)
        self._users = users
        self.codes: list[Code] = []
        self.begun = Event()

    def run(self) -> None:
        for identifier, user in enumerate(self._users):
            octets, authenticator = self._nas.request(user.name, user.typed(), identifier=identifier)
            self._nas.send(octets)
            reply = self._nas.receive(authenticator, timeout=30)
            assert reply is not None, f"the request of {user.name} was lost"
            self.codes.append(reply.code)
            self.begun.set()
            time.sleep(0.05)  # so that it lasts as long as what is done meanwhile


@pytest.mark.parametrize("workers", [1, 2])
def test_restarts_under_held_sockets_lose_no_sign_in(world: World, service: Service, workers: int) -> None:
    address = service.hold(workers)
    process = service.start("serve", "--workers", str(workers))
    process.wait_for("ready on")
    users = [world.user(f"user{number}") for number in range(60)]
    signing_in = SigningIn(world, address, users)
    signing_in.start()
    assert signing_in.begun.wait(30)
    restarts = 0
    while restarts < 2 and signing_in.is_alive():
        process.popen.terminate()
        assert process.popen.wait(30) == 0
        restarts += 1
        process = service.start("serve", "--workers", str(workers))
        process.wait_for("ready on")
    assert restarts == 2
    signing_in.join(60)
    assert signing_in.codes == [Code.ACCESS_ACCEPT] * len(users)
    assert world.audit() == [("accept", "totp")] * len(users)


def test_what_comes_while_the_server_lies_killed_waits_for_the_next(world: World, service: Service) -> None:
    address = service.hold()
    process = service.start("serve")
    process.wait_for("ready on")
    process.popen.kill()
    process.popen.wait(30)
    alice = world.user()
    nas = world.client(address)
    octets, authenticator = nas.request("alice", alice.typed())
    nas.send(octets)
    service.start("serve").wait_for("ready on")
    reply = nas.receive(authenticator)
    assert reply is not None
    assert reply.code is Code.ACCESS_ACCEPT


# What systemd is told.


def watched(manager: Ear, seconds: float) -> dict[str, str]:
    return {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": str(int(seconds * 1e6))}


@pytest.mark.parametrize(("workers", "abstract"), [(1, True), (2, False)])
def test_the_life_of_a_service_is_told(service: Service, tmp_path: Path, workers: int, abstract: bool) -> None:
    settings = tmp_path / "settings.toml"
    settings.touch()
    with ear(abstract=abstract) as manager:
        env = {"RADIUSD_MFA_CONFIG": str(settings), **watched(manager, 3)}
        process = service.start("serve", "--workers", str(workers), **env)
        heard = manager.wait_for(r"^READY=1\nSTATUS=Serves on 127\.0\.0\.1:\d+")
        assert heard == 1, "nothing is said before it serves"
        heard = manager.wait_for(r"^WATCHDOG=1\nSTATUS=Serves on 127\.0\.0\.1:\d+[^.]*\.$", after=heard)
        process.popen.send_signal(signal.SIGHUP)
        heard = manager.wait_for(r"^RELOADING=1\nMONOTONIC_USEC=\d+$", after=heard)
        heard = manager.wait_for(r"^READY=1\n", after=heard)
        settings.write_text('challenge_lifetime = "soon"\nissuers = "x"\n')
        process.popen.send_signal(signal.SIGHUP)
        heard = manager.wait_for("^RELOADING=1", after=heard)
        heard = manager.wait_for("^READY=1\nSTATUS=.*Not reloaded: .*issuers.*challenge_lifetime", after=heard)
        process.popen.terminate()
        manager.wait_for("^STOPPING=1", after=heard)
        assert process.popen.wait(30) == 0


def test_a_manager_that_has_gone_away_changes_nothing(world: World, service: Service) -> None:
    with ear() as gone:
        said = watched(gone, 0.3)
    process = service.start("serve", **said)
    address = process.wait_for(r"ready on (\S+)")[1]
    alice = world.user()
    assert world.client(address).ask("alice", alice.typed()).code is Code.ACCESS_ACCEPT


def test_a_watchdog_of_another_process_is_not_fed(service: Service) -> None:
    with ear() as manager:
        service.start("serve", **watched(manager, 0.3), WATCHDOG_PID="1").wait_for("ready on")
        manager.wait_for("READY=1")
        manager.wait_for("^STATUS=")
        assert not any("WATCHDOG" in message for message in manager.listen())


def test_a_database_that_is_away_is_said_and_does_not_starve_the_watchdog(world: World, service: Service) -> None:
    """A restart would bring no database back."""
    with ear() as manager:
        process = service.start("serve", RADIUSD_MFA_DATABASE_DEADLINE="0.3", **watched(manager, 3))
        process.wait_for("ready on")
        with world.database.writing():  # nobody else can write meanwhile
            heard = manager.wait_for("^WATCHDOG=1\nSTATUS=.*The database does not do its work")
            heard = manager.wait_for("^WATCHDOG=1", after=heard)
        assert process.popen.poll() is None
        manager.wait_for(r"^WATCHDOG=1\nSTATUS=Serves on [^ ]+\.$", after=heard)


def test_a_worker_that_stands_still_is_replaced_while_the_others_serve(service: Service) -> None:
    with ear() as manager:
        process = service.start("serve", "--workers", "2", **watched(manager, 3))
        process.wait_for("ready on")
        still, other = sorted(workers_of(process))
        os.kill(still, signal.SIGSTOP)
        process.wait_for(r"worker \d has stood still for \d+ s and is ended")
        eventually(lambda: len(workers_of(process)) == 2 and still not in workers_of(process), within=30)
        assert other in workers_of(process)
        manager.wait_for("^WATCHDOG=1", after=len(manager.listen()))


def workers_of(process: Process) -> set[int]:
    number = process.popen.pid
    return {int(child) for child in Path(f"/proc/{number}/task/{number}/children").read_text().split()}

"""The throw-away world of the demo: a team, a user with an authenticator, a NAS entry, and a server in a thread.

Owns the state directory, which is gone when the world ends, and the thread. Prints nothing.
"""

import errno
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

import pyotp

from radiusd_mfa.app import App
from radiusd_mfa.cli.session import REFUSED, Failed, granted
from radiusd_mfa.config import Config, Endpoint
from radiusd_mfa.core.names import Username
from radiusd_mfa.installation import initialise
from radiusd_mfa.passwords.local import Profile
from radiusd_mfa.portal.server import PortalServer
from radiusd_mfa.portal.site import PortalProblem
from radiusd_mfa.server.daemon import Daemon
from radiusd_mfa.server.udp import ListenProblem
from radiusd_mfa.usecases import enrol, nas, people, teams
from radiusd_mfa.usecases.nas import Wanted
from radiusd_mfa.usecases.ports import Clock, StoreFault

TEAM: Final = "wonderland"
USER: Final = Username.parse("alice")
PASSWORD: Final = "follow-the-rabbit"  # noqa: S105 - thrown away with everything else
NAS: Final = "localhost"
_STEP: Final = 30
_READY_WITHIN: Final = 10.0


@dataclass(frozen=True, slots=True)
class Phone:
    """What the user has in hand; the codes come from pyotp, so that not our own code vouches for our own codes."""

    uri: str = field(repr=False)
    codes: pyotp.TOTP = field(repr=False)
    backup_codes: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Demo:
    """What was set up, and where it listens."""

    app: App
    server: Endpoint
    source: str
    """The address that the NAS entry is for."""
    secret: bytes = field(repr=False)
    phone: Phone
    pages: str
    """Where a browser finds the pages."""


@contextmanager
def demo_world(wanted: Endpoint, *, profile: Profile) -> Iterator[Demo]:
    """Set all of it up, serve, and leave nothing behind; the port is another one where the wanted one is taken."""
    with tempfile.TemporaryDirectory(prefix="radiusd-mfa-demo-") as directory:
        # None of the machine's settings: a demo must not touch a database that is in use.
        config = Config.load(None, {"RADIUSD_MFA_STATE_DIR": str(Path(directory) / "state")})
        initialise(config)
        app = App.open(config, profile=profile)
        try:
            # The phone was set up one step ago: confirming it has used that step's code, the current one is unused.
            earlier = partial(float, time.time() - _STEP)
            _make_user(app, earlier)
            source = "::1" if ":" in wanted.host else "127.0.0.1"
            secret, phone = _make_nas(app, source, earlier), _make_phone(app, earlier)
            daemon = _bound(app, wanted)
            with _serving(daemon), _pages(app, wanted.host) as pages:
                yield Demo(app, Endpoint.parse(daemon.addresses[0]), source, secret, phone, pages)
        finally:
            app.close()


def _make_user(app: App, clock: Clock) -> None:
    store = app.administration
    granted(teams.add(TEAM, plan="mfa", store=store, clock=clock))
    request = people.Request(USER, people.new_password(PASSWORD))
    granted(people.add(request, store=store, hashing=app.hashing, clock=clock))
    granted(teams.add_member(TEAM, USER, role="owner", store=store, clock=clock))


def _make_nas(app: App, source: str, clock: Clock) -> bytes:
    secret = nas.generated_secret(app.entropy)
    settings = {"address": nas.address_range(source), "surface": "vpn"}
    granted(nas.add(Wanted(NAS, settings, team=TEAM, secret=secret), store=app.administration, clock=clock))
    return secret


def _make_phone(app: App, clock: Clock) -> Phone:
    store, entropy, issuer = app.administration, app.entropy, app.config.issuer
    made = granted(enrol.start(USER, label="phone", issuer=issuer, store=store, clock=clock, entropy=entropy))
    codes = pyotp.parse_uri(made.uri)
    assert isinstance(codes, pyotp.TOTP)  # noqa: S101 - what an otpauth URI of type totp is read as
    code = codes.at(int(clock()))
    done = granted(enrol.confirm(USER, code, store=store, hashing=app.hashing, clock=clock, entropy=entropy))
    return Phone(made.uri, codes, tuple(done.codes.shown if done.codes else ()))


@contextmanager
def _serving(daemon: Daemon) -> Iterator[None]:
    ready = threading.Event()
    faults: list[StoreFault] = []

    def serve() -> None:
        try:
            daemon.run(ready=ready.set)
        except StoreFault as fault:
            faults.append(fault)
            ready.set()

    thread = threading.Thread(target=serve, name="server")
    thread.start()
    try:
        if not ready.wait(_READY_WITHIN) or faults:
            raise Failed(f"The server did not start. {faults[0] if faults else ''}".strip(), REFUSED)
        yield
    finally:
        daemon.stop()
        thread.join()


@contextmanager
def _pages(app: App, host: str) -> Iterator[str]:
    """Serve the pages, on another port where theirs is taken, and give their address."""
    local = Endpoint("::1" if ":" in host else "127.0.0.1", app.config.portal_listen.port)
    try:
        server = PortalServer(app, local)
    except PortalProblem:
        server = PortalServer(app, Endpoint(local.host, 0))
    thread = threading.Thread(target=server.run, name="pages")
    thread.start()
    try:
        yield server.url
    finally:
        server.stop()
        thread.join()


def _bound(app: App, wanted: Endpoint) -> Daemon:
    try:
        return app.daemon([wanted])
    except ListenProblem as problem:
        cause = problem.__cause__
        if not isinstance(cause, OSError) or cause.errno not in (errno.EADDRINUSE, errno.EACCES):
            sentence = str(problem)
            raise Failed(f"{sentence[:1].upper()}{sentence[1:]}.", REFUSED) from problem
    return app.daemon([Endpoint(wanted.host, 0)])

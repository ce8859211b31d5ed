"""From which loopback address a NAS entry can be tried on this machine, and where the server listens."""

from collections.abc import Sequence
from ipaddress import ip_address
from itertools import islice
from typing import Final

from radiusd_mfa.app import App
from radiusd_mfa.cli.session import REFUSED, WRONG_USAGE, Failed, granted
from radiusd_mfa.config import Config, Endpoint
from radiusd_mfa.server.loopback import from_here, loopback_in
from radiusd_mfa.server.nas_table import NasTable
from radiusd_mfa.usecases import nas as entries
from radiusd_mfa.usecases.ports import NasEntry

_SOURCES: Final = 256
"""Addresses that are looked at: within a wide range another entry may own the first ones."""
_IPV6: Final = 6


def way_to(name: str, app: App, *, asked: Endpoint | None) -> tuple[NasEntry, str, Endpoint]:
    """Return the NAS entry, a source address that is its own, and where to ask; ends the command if there is none."""
    table = app.nas_store.read()
    entry = next((each for each in table if each.nas.name == name), None)
    if entry is None:
        granted(entries.show(name, store=app.administration, clock=app.clock))
        raise Failed(f"The secret of NAS entry “{name}” can't be opened: radiusd-mfa keys status", REFUSED)
    target = asked or configured_server(app.config, version=entry.network.version)
    if ip_address(target.host).version != entry.network.version:
        raise Failed(
            f"NAS entry “{name}” is for {entry.network}, and {target} is an address of the other IP version.", REFUSED
        )
    return entry, _source(app, entry, table), target


def _source(app: App, entry: NasEntry, table: Sequence[NasEntry]) -> str:
    """Return a loopback address whose packets the server takes for this entry's, by its own rule (R8)."""
    candidates = list(islice(loopback_in(entry.network), _SOURCES))
    if not candidates:
        address = "::1" if entry.network.version == _IPV6 else "127.0.0.2"
        raise Failed(
            f"NAS entry “{entry.nas.name}” ({entry.network}) covers no loopback address, and `try` asks from this "
            f"machine. Make one like it to try with: radiusd-mfa nas add {entry.nas.name}-try --address {address} "
            f"--surface {entry.nas.surface} --generate-secret",
            REFUSED,
        )
    known = NasTable(app.dictionary.kind)
    known.replace(table)
    winners = {address: found.entry.nas.name for address in candidates if (found := known.find(address))}
    chosen = next((address for address, winner in winners.items() if winner == entry.nas.name), None)
    if chosen is None:
        winner = winners[candidates[0]]
        raise Failed(
            f"A packet from {candidates[0]} belongs to NAS entry “{winner}”, whose prefix is longer than "
            f"{entry.network} of “{entry.nas.name}”; try --nas {winner}.",
            REFUSED,
        )
    return chosen


def configured_server(config: Config, *, version: int) -> Endpoint:
    """Return where a server with these settings listens on this machine, for the IP version."""
    for listening in config.listen:
        if ip_address(listening.host).version == version and listening.port:
            return from_here(listening)
    raise Failed(
        f"The settings name no IPv{version} address with a port that the server listens on; say it with --server.",
        WRONG_USAGE,
    )

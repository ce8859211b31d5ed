"""Which NAS a datagram comes from: by its source address alone, the longest prefix wins (R8).

What a packet says of itself (NAS-IP-Address, NAS-Identifier) is never asked: anybody can write that.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Final

from radiusd_mfa.core.ranges import next_wider
from radiusd_mfa.radius.attributes import AttributeProblem
from radiusd_mfa.radius.packet import NasRules, ReplyMessageAuthenticator
from radiusd_mfa.usecases.ports import NasEntry

_log: Final = logging.getLogger(__name__)
_CACHED: Final = 65_536
_NAMED: Final = 10
"""Overlapping ranges in one line of the log."""
KindOf = Callable[[str], int | tuple[int, int]]
"""The number of an attribute's name."""


@dataclass(frozen=True, slots=True)
class KnownNas:
    """A NAS entry together with the codec's rules for it."""

    entry: NasEntry
    rules: NasRules = field(repr=False)


_ByPrefix = list[tuple[int, int, dict[int, KnownNas]]]
"""IP version, bits behind the prefix, and the entries by their prefix as a number; the longest prefix first."""


class NasTable:
    """The entries in memory, replaced as a whole; a flood from strangers never reaches the database."""

    def __init__(self, kind_of: KindOf) -> None:
        self._kind_of = kind_of
        self._entries: Sequence[NasEntry] = ()
        self._networks: list[tuple[IPv4Network | IPv6Network, KnownNas]] = []
        self._by_prefix: _ByPrefix = []
        self._by_address: dict[str, KnownNas | None] = {}
        self._told: set[str] = set()
        self.overlaps = 0
        """How many entries have a range that lies within another's."""

    def __len__(self) -> int:
        return len(self._networks)

    def counted(self) -> tuple[int, int]:
        """Return how many entries there are, and how many of them lie within another's range."""
        return len(self), self.overlaps

    def replace(self, entries: Sequence[NasEntry]) -> None:
        """Take over the entries, if they changed."""
        if entries == self._entries:
            return
        known = [known for entry in entries if (known := self._known(entry)) is not None]
        by_network = [(each.entry.network, each) for each in known]
        self._networks = sorted(by_network, key=lambda pair: pair[0].prefixlen, reverse=True)
        self._by_prefix = _by_prefix(self._networks)
        self._entries = entries
        self._by_address = {}
        self._tell_overlaps()

    def find(self, address: str) -> KnownNas | None:
        """Return the NAS at this source address, None for a stranger."""
        cache = self._by_address
        if address not in cache:
            if len(cache) >= _CACHED:
                cache.clear()
            cache[address] = self._find(address)
        return cache[address]

    def _find(self, address: str) -> KnownNas | None:
        source = ip_address(address.partition("%")[0])  # a link-local address carries its interface
        number, version = int(source), source.version
        # A look for each length of prefix that is in use, however many entries there are: a flood has new addresses.
        looks = (found.get(number >> behind) for of, behind, found in self._by_prefix if of == version)
        return next((known for known in looks if known is not None), None)

    def _tell_overlaps(self) -> None:
        """Say once of each range within another which entry counts there: that may be meant, or a mistake."""
        names = {network: known.entry.nas.name for network, known in self._networks}
        within = {network: outer for network in names if (outer := next_wider(network, names)) is not None}
        told = [f"{inner} “{names[inner]}” in {outer} “{names[outer]}”" for inner, outer in within.items()]
        new = [each for each in told if each not in self._told]
        if new:
            more = f" and {len(new) - _NAMED} more" if len(new) > _NAMED else ""
            _log.info("NAS entries overlap, the longer prefix counts: %s%s", "; ".join(new[:_NAMED]), more)
        self.overlaps, self._told = len(within), set(told)

    def _known(self, entry: NasEntry) -> KnownNas | None:
        try:
            return KnownNas(entry, self._rules(entry))
        except (AttributeProblem, ValueError) as problem:
            # Other programs write to the table too: what one entry has wrong must not keep the others from changing.
            _log.error("NAS entry %s can't be used: %s", entry.nas.name, problem)
            return None

    def _rules(self, entry: NasEntry) -> NasRules:
        return NasRules(
            secret=entry.secret,
            require_message_authenticator=entry.require_message_authenticator,
            allow_proxy_state=entry.allow_proxy_state,
            reply_message_authenticator=ReplyMessageAuthenticator(entry.reply_message_authenticator),
            omit=frozenset(self._kind_of(name) for name in entry.omit),
        )


def _by_prefix(networks: Sequence[tuple[IPv4Network | IPv6Network, KnownNas]]) -> _ByPrefix:
    gathered: dict[tuple[int, int], dict[int, KnownNas]] = {}
    for network, known in networks:
        behind = network.max_prefixlen - network.prefixlen
        gathered.setdefault((network.version, behind), {}).setdefault(int(network.network_address) >> behind, known)
    found = [(version, behind, entries) for (version, behind), entries in gathered.items()]
    return sorted(found, key=lambda each: each[1])

"""Address ranges within one another: of those that hold an address, the one with the longest prefix is meant (R8)."""

from collections.abc import Container
from ipaddress import IPv4Network, IPv6Network

Network = IPv4Network | IPv6Network


def next_wider(network: Network, others: Container[Network]) -> Network | None:
    """Return the narrowest of the others within which this range lies; in at most 128 looks, however many there are."""
    for prefix in range(network.prefixlen - 1, -1, -1):
        outer = network.supernet(new_prefix=prefix)
        if outer in others:
            return outer
    return None

"""Ranges within ranges."""

from ipaddress import ip_network

import pytest

from radiusd_mfa.core.ranges import next_wider

OTHERS = {ip_network(each) for each in ("192.0.2.0/24", "192.0.0.0/16", "2001:db8::/32", "::/0")}


@pytest.mark.parametrize(
    ("network", "wider"),
    [
        ("192.0.2.7/32", "192.0.2.0/24"),
        ("192.0.2.0/24", "192.0.0.0/16"),
        ("192.0.0.0/16", None),
        ("198.51.100.0/24", None),
        ("2001:db8::1/128", "2001:db8::/32"),
        ("2001:db8::/32", "::/0"),
        ("::/0", None),
    ],
)
def test_the_narrowest_range_around_it_is_found_and_never_itself(network: str, wider: str | None) -> None:
    assert next_wider(ip_network(network), OTHERS) == (None if wider is None else ip_network(wider))

"""What `top` makes of two scrapes: rates, quantiles, a server that began anew between them."""

import pytest

from radiusd_mfa.core.verdict import Outcome, Reason
from radiusd_mfa.metrics.exposition import exposition
from radiusd_mfa.metrics.overview import overview
from radiusd_mfa.metrics.reading import Between, Reading
from radiusd_mfa.server.tally import PAIRS, Stage, Tallies


def reading(tallies: Tallies, *, at: float) -> Reading:
    read = Reading.of(exposition(tallies, None).decode())
    return Reading(dict(read.samples) | {"clock_seconds": {(): at}})


def count(tallies: Tallies, number: int, nas: str = "vpn") -> None:
    tally = tallies.of(0)
    for _ in range(number):
        tally.told(PAIRS[Outcome.ACCEPT, Reason.TOTP], tally.nas(nas), Outcome.ACCEPT, 1_000)


@pytest.mark.parametrize("text", ["", "The metrics are at /metrics\n", "<html>", "up 1\n"])
def test_the_metrics_of_something_else_are_not_read(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Reading.of(text)


def test_rates_are_by_the_clock_of_the_server() -> None:
    tallies = Tallies(2)
    count(tallies, 5)
    before = reading(tallies, at=100.0)
    count(tallies, 8)
    count(tallies, 2, "wifi")
    seen = overview(Between(before, reading(tallies, at=104.0)))
    assert seen.outcomes == {"accept": 2.5, "reject": 0.0, "challenge": 0.0}
    assert seen.reasons == [("accept", "totp", 2.5)]
    assert [(each.name, each.sign_ins["accept"], each.last) for each in seen.nases] == [
        ("vpn", 2.0, 1_000),
        ("wifi", 0.5, 1_000),
    ]


def test_a_server_that_began_anew_has_not_gone_backwards() -> None:
    old, new = Tallies(), Tallies()
    count(old, 1_000)
    old.of(0).stages[Stage.TOTAL].add(0.001, 1_000)
    count(new, 4)
    new.of(0).stages[Stage.TOTAL].add(4.0, 4)
    seen = overview(Between(reading(old, at=100.0), reading(new, at=102.0)))
    assert seen.outcomes["accept"] == 2.0
    assert seen.times["total"] == pytest.approx((3.75, 4.975))


def test_the_same_reading_twice_has_no_rate() -> None:
    tallies = Tallies()
    count(tallies, 3)
    same = reading(tallies, at=100.0)
    assert overview(Between(same, same)).outcomes["accept"] == 0.0


def test_where_nothing_came_there_is_no_time() -> None:
    tallies = Tallies()
    tallies.of(0).stages[Stage.TOTAL].add(0.003)
    before = reading(tallies, at=100.0)
    seen = overview(Between(before, reading(tallies, at=102.0)))
    assert seen.times == dict.fromkeys(Stage)


def test_only_what_came_meanwhile_has_quantiles() -> None:
    tallies = Tallies()
    total = tallies.of(0).stages[Stage.TOTAL]
    total.add(4.0, 1_000)
    before = reading(tallies, at=100.0)
    total.add(0.02, 98)
    total.add(60.0, 2)
    seen = overview(Between(before, reading(tallies, at=102.0)))
    p50, p99 = seen.times["total"] or ()
    assert 0.01 < p50 < 0.025
    assert p99 == 5.0, "beyond the last bound nothing is told apart"

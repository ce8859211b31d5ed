"""Drops are counted all and named in the log, but no flood fills a disk with them."""

import logging

import pytest

from radiusd_mfa.radius.wire import Cause
from radiusd_mfa.server.drops import LATE, OVERLOAD, UNKNOWN_NAS, Drops


def test_a_flood_from_forged_addresses_fills_no_log(caplog: pytest.LogCaptureFixture) -> None:
    drops = Drops()
    with caplog.at_level(logging.WARNING):
        for number in range(10_000):
            drops.note(UNKNOWN_NAS, address=f"10.0.{number // 256}.{number % 256}")
        assert len(caplog.records) == 32
        drops.note(Cause.MESSAGE_AUTHENTICATOR_WRONG, address="192.0.2.1", nas="vpn")
    assert drops.counts[UNKNOWN_NAS] == 10_000
    assert "--secret-stdin" in caplog.messages[-1], "what ails a NAS is said beside the flood"


def test_one_address_has_one_line_about_one_cause(caplog: pytest.LogCaptureFixture) -> None:
    drops = Drops()
    with caplog.at_level(logging.WARNING):
        for _ in range(10):
            drops.note(UNKNOWN_NAS, address="192.0.2.1")
            drops.note(Cause.CODE, address="192.0.2.1", nas="vpn")
    assert len(caplog.records) == 2
    assert drops.counts == {UNKNOWN_NAS: 10, Cause.CODE: 10}


def test_sign_ins_that_nobody_had_time_for_are_told_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    drops = Drops()
    with caplog.at_level(logging.WARNING):
        drops.tell_of_what_was_given_up()
        assert not caplog.messages, "there is nothing to tell"
        drops.counts[LATE] += 4
        drops.counts[OVERLOAD] += 3
        for _ in range(10):
            drops.tell_of_what_was_given_up()
            drops.counts[LATE] += 1
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("left 7 sign-ins unanswered")

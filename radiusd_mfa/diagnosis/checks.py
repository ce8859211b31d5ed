"""All checks, and what comes of them."""

from collections.abc import Sequence
from itertools import groupby
from typing import Final

from radiusd_mfa.diagnosis import machine, nas, people
from radiusd_mfa.diagnosis.facts import Facts
from radiusd_mfa.diagnosis.findings import Area, Finding, Weight

CHECKS: Final = (*machine.CHECKS, *nas.CHECKS, *people.CHECKS)
MOST: Final = 10
"""Findings of one check that are told; a thousand NAS entries may all lack the same."""
_AREAS: Final = list(Area)


def diagnose(facts: Facts) -> Sequence[Finding]:
    """Return what is wrong, by area, what somebody has to look at before what could be better."""
    found = [finding for check in CHECKS for finding in check(facts)]
    in_order = sorted(found, key=lambda each: (_AREAS.index(each.area), each.weight is not Weight.PROBLEM))
    return _shortened(in_order)


def _shortened(findings: Sequence[Finding]) -> Sequence[Finding]:
    """Of the same thing in many places tell some, and how many more there are."""
    shown: list[Finding] = []
    for key, same in groupby(findings, key=lambda each: (each.area, each.check, each.weight)):
        every = list(same)
        shown += every[:MOST]
        if len(every) > MOST:
            area, check, weight = key
            shown.append(Finding(check, area, weight, "and more", f"{len(every) - MOST} more like this one.", ""))
    return shown

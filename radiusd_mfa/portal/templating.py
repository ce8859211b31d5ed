"""Templates: everything that is put into one is escaped, and a name that is missing is an error.

Owns how times and codes are written on a page.
"""

import time
from functools import cache
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined

_TIME: Final = "%-d %B %Y, %H:%M UTC"


@cache
def environment() -> Environment:
    """Return the one environment of all pages."""
    made = Environment(
        loader=PackageLoader("radiusd_mfa.portal"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"when": when, "date": date, "machine": machine}
    return made


def when(at: float) -> str:
    """Return a time for people, in UTC since nobody knows where they are."""
    return time.strftime(_TIME, time.gmtime(at))


def date(at: float) -> str:
    """Return a day for people."""
    return time.strftime("%-d %B %Y", time.gmtime(at))


def machine(at: float) -> str:
    """Return a time for machines, as the `time` element wants it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))

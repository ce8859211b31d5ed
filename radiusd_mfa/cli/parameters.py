"""What stands on the command line, read once: names, ranges, switches, times. A wrong one is wrong usage (exit 2)."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import click

from radiusd_mfa.config import Endpoint
from radiusd_mfa.core.names import Username
from radiusd_mfa.usecases.nas import address_range
from radiusd_mfa.usecases.people import email_address, phone_number
from radiusd_mfa.usecases.teams import label

_SPAN: Final = re.compile(r"([0-9]{1,9})(s|m|h|d|w)")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


class Read(click.ParamType):  # type: ignore[type-arg]  # generic only since click 8.4
    """A text that one function reads; its ValueError is what was wrong."""

    def __init__(self, name: str, read: Callable[[str], Any]) -> None:
        self.name = name
        self._read = read

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401 - click's
        """Read the text, or end with what is wrong with it."""
        if not isinstance(value, str):
            return value
        try:
            return self._read(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def _switch(text: str) -> bool:
    if text not in ("on", "off"):
        raise ValueError(f"“{text}” is neither on nor off.")
    return text == "on"


def _span(text: str) -> Callable[[float], float]:
    """Return what finds the beginning from now: `90s`, `30m`, `24h`, `7d`, `2w`, or a date."""
    if found := _SPAN.fullmatch(text):
        seconds = int(found[1]) * _SECONDS[found[2]]
        return lambda now: now - seconds
    try:
        moment = datetime.fromisoformat(text)
        at = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError) as error:
        raise ValueError(f"“{text}” is no time; write 24h, 7d, or a date as 2026-11-22T08:00 (UTC).") from error
    return lambda _now: at


USER: Final = Read("user", Username.parse)
LABEL: Final = Read("name", label)
RANGE: Final = Read("range", address_range)
SWITCH: Final = Read("on|off", _switch)
ENDPOINT: Final = Read("address", Endpoint.parse)
EMAIL: Final = Read("address", email_address)
PHONE: Final = Read("number", phone_number)
SINCE: Final = Read("time", _span)

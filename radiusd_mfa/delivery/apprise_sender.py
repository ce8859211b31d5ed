"""SMS by way of Apprise, which knows Twilio, Vonage and many others; an extra that need not be installed."""

import logging
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any
from urllib.parse import quote

from radiusd_mfa.delivery.problems import DeliveryProblem, SetUpProblem


@dataclass(frozen=True, slots=True)
class AppriseSender:
    """Sends by an Apprise URL with `{to}` in it, such as twilio://SID:TOKEN@FROM/{to}."""

    url: str = field(repr=False)

    def __post_init__(self) -> None:
        """Refuse what can't work, before anything is sent; raises SetUpProblem."""
        if find_spec("apprise") is None:
            raise SetUpProblem("sms_apprise_file: Apprise is not installed; run: pip install 'radiusd-mfa[apprise]'")
        if "{to}" not in self.url:
            raise SetUpProblem("sms_apprise_file: its URL has no {to} where the number belongs")
        _silence()
        if not self._notifier("+4915112345678"):
            raise SetUpProblem("sms_apprise_file: holds no URL that Apprise knows")

    def send(self, to: str, text: str) -> None:
        """See `sms.Sender.send`."""
        if not self._notifier(to).notify(body=text):
            # It says no more, and its log may hold the text.
            raise DeliveryProblem("Apprise could not send it")

    def _notifier(self, to: str) -> Any:  # noqa: ANN401 - Apprise's own, whose types are unknown here
        from apprise import Apprise  # noqa: PLC0415 - half a second, for those who use it

        notifier = Apprise()
        notifier.add(self.url.replace("{to}", quote(to, safe="")))
        return notifier


def _silence() -> None:
    """Keep Apprise from logging: at level debug it writes what it sends."""
    logger = logging.getLogger("apprise")
    logger.disabled = True
    logger.propagate = False

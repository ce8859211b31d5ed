"""Names that nobody has, throttled in memory as somebody's would be: else the difference shows under load (ATTACKS 17).

A wrong password that is repeated, and an account that is closed, cost no hash while hashes are wanted elsewhere. If an
unknown name cost one each time, whoever asks twice in a flood would hear who is there. Of several workers each
remembers for itself.
"""

from collections import OrderedDict
from dataclasses import replace
from typing import Final

from radiusd_mfa.core import throttle
from radiusd_mfa.core.facts import Attempt
from radiusd_mfa.core.judge import Question
from radiusd_mfa.core.throttle import Admission
from radiusd_mfa.core.verdict import Mark

_MOST: Final = 4096
"""Names that are remembered, those that were asked for last."""


class Nobodies:
    """The histories of one process; one thread's own."""

    def __init__(self) -> None:
        self._histories: OrderedDict[str, str] = OrderedDict()

    def weighed(self, attempt: Attempt, question: Question) -> Question:
        """Count a guess at a name that nobody has; its hash may be left out where one at somebody's might."""
        name = attempt.user.text if attempt.user else ""
        charge = attempt.charge
        history = self._histories.pop(name, "") + str(charge)
        is_admitted = throttle.weigh(history, charge, known_device=False) is Admission.ADMITTED
        mark = Mark.WRONG_PASSWORD if is_admitted else Mark.REFUND
        self._histories[name] = throttle.settle(history, charge, mark)
        if len(self._histories) > _MOST:
            self._histories.popitem(last=False)
        return question if is_admitted else replace(question, optional=True)

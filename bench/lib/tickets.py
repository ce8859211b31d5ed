"""Which user signs in with which code: each (user, time step) at most once, ascending for each user.

Owns what was spent. It does not look at the clock: the span of time in which a code will arrive is an argument.
"""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bench.lib.accounts import Population


@dataclass(frozen=True, slots=True)
class Window:
    """The steps that a server admits around the current one."""

    behind: int
    ahead: int


OURS: Final = Window(1, 1)
CURRENT_ONLY: Final = Window(0, 0)
"""FreeRADIUS 3.2.1: rlm_totp has no settings, and takes the code of the current step."""


@dataclass(frozen=True, slots=True)
class Tickets:
    """One sign-in each: who, and with the code of which step."""

    users: "array[int]"
    steps: "array[int]"

    def __len__(self) -> int:
        return len(self.users)


class Ledger:
    """Remembers what each user has spent at one server."""

    def __init__(self, population: Population, window: Window) -> None:
        self.population: Final = population
        self.window: Final = window
        self._spent = array("q", [0]) * population.size
        self._next = 0

    def take(self, spans: Sequence[tuple[float, float]], *, among: Sequence[int] | None = None) -> Tickets:
        """Take a ticket for each span (earliest and latest arrival, Unix seconds); fewer when nothing is left.

        Users take turns; `among` names the users to choose from instead, in that order and each once.
        """
        tickets = Tickets(array("I"), array("q"))
        if among is not None:
            for number, span in zip(among, spans, strict=False):
                self._issue(tickets, number, span)
            return tickets
        for span in spans:
            if not self._issue_to_next(tickets, span):
                break
        return tickets

    def _issue_to_next(self, tickets: Tickets, span: tuple[float, float]) -> bool:
        for _ in range(self.population.size):
            number = self._next
            self._next = (number + 1) % self.population.size
            if self._issue(tickets, number, span):
                return True
        return False

    def _issue(self, tickets: Tickets, number: int, span: tuple[float, float]) -> bool:
        earliest, latest = span
        period = self.population.period
        step = max(self._spent[number] + 1, int(latest // period) - self.window.behind)
        if step > int(earliest // period) + self.window.ahead:
            return False
        self._spent[number] = step
        tickets.users.append(number)
        tickets.steps.append(step)
        return True

    def give_back(self, tickets: Tickets, sent: int) -> None:
        """Take back the tickets from number `sent` on: no server has seen their codes."""
        for number, step in zip(reversed(tickets.users[sent:]), reversed(tickets.steps[sent:]), strict=True):
            self._spent[number] = step - 1
            self._next = number

    def left(self, earliest: float, latest: float) -> int:
        """Count the tickets that could be taken for arrival in this span."""
        period = self.population.period
        lowest = int(latest // period) - self.window.behind
        highest = int(earliest // period) + self.window.ahead
        return sum(max(0, highest + 1 - max(spent + 1, lowest)) for spent in self._spent)

"""Who acts: the operator, who has the machine, or a person who has proved to be who they are.

Owns the values and their names in the audit log; what they may do is in `permissions`, how a person proves it in
`acting`.
"""

from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, slots=True)
class Operator:
    """Whoever has the machine; may do all, and the audit log says so (X6)."""

    @property
    def shown(self) -> str:
        """The name in the audit log."""
        return "operator"


@dataclass(frozen=True, slots=True)
class Person:
    """A user who acts under own permissions, after a sign-in with password and code."""

    user_id: int
    name: str

    @property
    def shown(self) -> str:
        """The name in the audit log; no name has a space, so nobody is taken for the operator by being called so."""
        return f"user {self.name}" if self.name == OPERATOR.shown else self.name


@dataclass(frozen=True, slots=True)
class Claimant:
    """A user who gave the right password and no code: may finish what a link or a backup code began, and no more."""

    user_id: int
    name: str
    granted_to: str = field(repr=False)
    """The password hash that the claim rests on; with another one it is worth nothing."""

    @property
    def shown(self) -> str:
        """The name in the audit log."""
        return Person(self.user_id, self.name).shown


Actor = Operator | Person
OPERATOR: Final = Operator()

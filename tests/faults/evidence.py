"""What a fault run leaves behind: what was asked, every datagram, the rows of the database, and what was done to them.

Plain values, so that the checker can be shown forged ones. Times are Unix seconds of the machine's true clock.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from math import inf

from radiusd_mfa.radius.wire import Code


class Kind(StrEnum):
    """What a credential is."""

    TOTP = "totp"
    BACKUP = "backup"


@dataclass(frozen=True, slots=True)
class Credential:
    """Something that may buy one Accept: a time step of an authenticator, or a backup code."""

    kind: Kind
    user: str
    holder: int
    """The method's row, or the generation of the backup code."""
    item: str
    """The step, or the code's selector."""


@dataclass(frozen=True, slots=True)
class Request:
    """One Access-Request: whoever has the same digest is a retransmission of it."""

    digest: bytes
    """As the audit log has it: of the client's address, port and octets."""
    nas: str
    user: str
    known: bool = True
    """Whether there is such a user."""
    password_right: bool = True
    """True also where a State stands for it."""
    credential: Credential | None = None
    """The right code that was typed, whether or not it was spent before; None: none, or a wrong one."""
    code_typed: bool = True
    state: bytes | None = None
    typed: str = ""
    """A digest of what was typed: the very same text is known again."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A datagram to a server, as it left the relay: what the relay has lost is not in the log."""

    at: float
    digest: bytes
    node: str


@dataclass(frozen=True, slots=True)
class Reply:
    """A datagram from a server, as it came to the relay: also what the relay loses afterwards was on the wire."""

    at: float
    digest: bytes
    node: str
    octets: bytes
    verified: bool = True
    """Whether the shared secret and the request's authenticator vouch for it."""

    state: bytes = b""
    """Of a challenge."""

    @property
    def code(self) -> int:
        return self.octets[0]


@dataclass(frozen=True, slots=True)
class Probe:
    """A Status-Server that was sent without loss, and when it was answered."""

    sent_at: float
    node: str
    answered_at: float | None


@dataclass(frozen=True, slots=True)
class Span:
    """A time in which something was so."""

    what: str
    began: float
    ended: float


@dataclass(frozen=True, slots=True)
class Shift:
    """A time in which the clock of a node was so many seconds ahead."""

    seconds: float
    began: float
    ended: float


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the audit log."""

    id: int
    at: float
    """By the clock of the node."""
    request: bytes | None
    user: str
    nas: str
    outcome: str
    reason: str
    method: int | None = None
    step: int | None = None
    backup_code: int | None = None
    committed: float | None = None
    """By the database's true clock, where it keeps it."""


@dataclass(frozen=True, slots=True)
class Charge:
    """An entry of a throttle history."""

    mark: str
    request: str


@dataclass(frozen=True, slots=True)
class Change:
    """An administrator's change: a method that gave way, or backup codes that were made anew."""

    kind: Kind
    user: str
    old: int
    """The method or the generation before."""
    new: int
    began: float
    """Before the change was begun: what is new did not count yet."""
    ended: float
    """After its commit: what is old does not count any more. `inf` where nobody knows whether it was committed."""


@dataclass(frozen=True)
class Evidence:
    """All of it."""

    requests: Mapping[bytes, Request]
    sent: Sequence[Sent]
    replies: Sequence[Reply]
    rows: Sequence[Row]
    probes: Sequence[Probe] = ()
    away: Sequence[Span] = ()
    """When the database could not be written."""
    shifts: Sequence[Shift] = ()
    lag: float = 0.0
    """Seconds by which this machine was late at most, busy as it was."""
    charges: Mapping[str, Sequence[Charge]] = field(default_factory=dict)
    changes: Sequence[Change] = ()
    graces: Mapping[str, float] = field(default_factory=dict)
    """Seconds of `retry_grace` by NAS entry; 0 where there is none."""
    fallen: Sequence[str] = ()
    """Watermarks that went down, as a trigger of the database has seen it."""
    generations: Mapping[str, Sequence[int]] = field(default_factory=dict)
    """By user: the generations of backup codes that are valid at the end."""
    chain: str = ""
    """What `audit verify` complains about."""
    leaks: Sequence[str] = ()
    """Secrets that stand in the output of a daemon."""

    @cached_property
    def by_request(self) -> Mapping[bytes, Sequence[Row]]:
        """Rows by the digest of their request."""
        found: defaultdict[bytes, list[Row]] = defaultdict(list)
        for row in self.rows:
            if row.request is not None:
                found[row.request].append(row)
        return found

    @cached_property
    def by_user(self) -> Mapping[str, Sequence[Row]]:
        """Rows by user."""
        found: defaultdict[str, list[Row]] = defaultdict(list)
        for row in self.rows:
            found[row.user].append(row)
        return found

    @cached_property
    def by_name(self) -> Mapping[str, Sequence[Request]]:
        """Requests by user."""
        found: defaultdict[str, list[Request]] = defaultdict(list)
        for request in self.requests.values():
            found[request.user].append(request)
        return found

    @cached_property
    def by_text(self) -> Mapping[tuple[str, str], Sequence[Request]]:
        """Requests by user and typed text."""
        found: defaultdict[tuple[str, str], list[Request]] = defaultdict(list)
        for request in self.requests.values():
            found[request.user, request.typed].append(request)
        return found

    @cached_property
    def by_state(self) -> Mapping[bytes, Sequence[Request]]:
        """Requests by the State that they answer."""
        found: defaultdict[bytes, list[Request]] = defaultdict(list)
        for request in self.requests.values():
            if request.state is not None:
                found[request.state].append(request)
        return found

    @cached_property
    def issuers(self) -> Mapping[bytes, Sequence[Row]]:
        """Rows of the challenges by the State that they gave."""
        return {
            reply.state: self.by_request.get(reply.digest, ())
            for reply in self.replies
            if reply.code == Code.ACCESS_CHALLENGE
        }

    @cached_property
    def answers(self) -> Mapping[bytes, Sequence[Reply]]:
        """Replies by the digest of their request, in the order in which they came."""
        found: defaultdict[bytes, list[Reply]] = defaultdict(list)
        for reply in self.replies:
            found[reply.digest].append(reply)
        return found

    @cached_property
    def first_sent(self) -> Mapping[bytes, float]:
        """When a server was first asked, by the digest of the request."""
        found: dict[bytes, float] = {}
        for sent in self.sent:
            found.setdefault(sent.digest, sent.at)
        return found

    def settled(self, row: Row) -> tuple[float, float]:
        """Return between which times a row was committed: its own is by the clock of a node, which may be off."""
        if row.committed is not None:
            return row.committed, row.committed
        digest = row.request or b""
        replies = self.answers.get(digest, ())
        return self.first_sent.get(digest, 0.0), replies[0].at if replies else inf

    def judged(self, row: Row) -> tuple[float, float]:
        """Return between which times the facts were read that a row rests on: since it was asked, until its commit."""
        earliest, latest = self.settled(row)
        return min(earliest, self.first_sent.get(row.request or b"", earliest)), latest

    def may_precede(self, one: Row, other: Row) -> bool:
        """Whether a row may have been committed before another one."""
        return self.settled(one)[0] <= self.settled(other)[1]

    def accepted(self, digest: bytes) -> bool:
        """Whether an Accept for this request was on the wire."""
        return any(reply.code == Code.ACCESS_ACCEPT for reply in self.answers.get(digest, ()))

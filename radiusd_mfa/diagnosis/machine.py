"""What is wrong with the machine, the settings, the keys, the database and the server. A check a function."""

from collections.abc import Iterator
from shlex import quote
from typing import Final

from radiusd_mfa.diagnosis.facts import Answer, Facts
from radiusd_mfa.diagnosis.findings import Area, Finding, advice, problem

LEAST_FREE: Final = 512 << 20
"""Octets of free space under which an SQLite database is about to be unable to grow."""
LEAST_LOG: Final = 64 << 20
"""Octets that its write-ahead log may need beside it, however much room there is inside."""
SKEW: Final = 5.0
"""Seconds that two clocks may differ; a code is good for half a minute on either side."""
BACKWARDS: Final = 2.0
"""Seconds that a row of the audit log may be ahead of the clock: other nodes write there too."""
SEALED_WITHIN: Final = 60.0
"""Seconds within which every running server has sealed what was recorded."""


def troubles(facts: Facts) -> Iterator[Finding]:
    """Tell what could not be looked at: that is the first thing to be mended."""
    for each in facts.troubles:
        yield problem("trouble", each.area, each.where, each.what, each.remedy)


def modes(facts: Facts) -> Iterator[Finding]:
    """Find secrets that others can read or change."""
    for file in facts.files:
        if file.mode & file.kept_from:
            right = file.mode & ~file.kept_from & 0o777
            what = f"Its mode is {file.mode & 0o777:04o}: others than its owner can read or change it."
            yield problem("mode", Area.MACHINE, file.path, what, f"chmod {right:04o} {quote(file.path)}")


def owners(facts: Facts) -> Iterator[Finding]:
    """Find files that a command of root's left behind, and the server can't open."""
    for file in facts.files:
        if file.owner != file.wanted_owner:
            what = (
                f"It belongs to {file.owner}, and the state directory to {file.wanted_owner}, as whom the server runs."
            )
            yield problem("owner", Area.MACHINE, file.path, what, f"chown {file.wanted_owner} {quote(file.path)}")


def disk(facts: Facts) -> Iterator[Finding]:
    """Warn of a full disk, which means silence: no sign-in without an audit row."""
    disk = facts.disk
    if disk is not None and (disk.free < LEAST_LOG or disk.free + disk.inside < LEAST_FREE):
        what = (
            f"{disk.free >> 20} MiB are free where the database lies; on a full disk nobody signs in. Make room, or "
            "remove old rows of the audit log, whose place new ones take (the file does not get smaller):"
        )
        yield problem("disk", Area.MACHINE, disk.path, what, "radiusd-mfa audit prune --before 90d")


def buffers(facts: Facts) -> Iterator[Finding]:
    """Say where the system gives less room for a burst than the server asks for."""
    if facts.buffer is not None and facts.buffer.most < facts.buffer.wanted:
        what = (
            f"net.core.rmem_max is {facts.buffer.most}: a burst of some hundred requests is lost while a database is "
            "slow. To make room for some thousand (and write it into /etc/sysctl.d to keep it):"
        )
        remedy = f"sysctl -w net.core.rmem_max={facts.buffer.wanted}"
        yield advice("receive-buffer", Area.MACHINE, "receive buffer", what, remedy)


def skew(facts: Facts) -> Iterator[Finding]:
    """Say where this clock and the database's differ."""
    clock = facts.clock
    if clock is None or clock.database is None or abs(clock.now - clock.database) <= SKEW:
        return
    apart = clock.now - clock.database
    direction = "ahead of" if apart > 0 else "behind"
    what = f"The clock here is {abs(apart):.0f} s {direction} the database's: codes are refused where it is wrong."
    yield problem("clock-skew", Area.MACHINE, "clock", what, "timedatectl set-ntp true")


def set_back(facts: Facts) -> Iterator[Finding]:
    """Find rows of the audit log from the future."""
    clock = facts.clock
    if clock is None or clock.newest is None or clock.newest <= clock.now + BACKWARDS:
        return
    what = (
        f"The audit log has a row from {clock.newest - clock.now:.0f} s after now: the clock was set back, or was "
        "wrong then. Codes that were spent ahead are refused until that time has come."
    )
    yield problem("clock-set-back", Area.MACHINE, "clock", what, "timedatectl set-ntp true")


def loss(facts: Facts) -> Iterator[Finding]:
    """Say that the database is older than this machine has seen it."""
    if facts.loss is not None:
        yield problem("restored", Area.DATABASE, "database", facts.loss, "radiusd-mfa db accept-restore")


def seals(facts: Facts) -> Iterator[Finding]:
    """Find rows of the audit log that wait to be sealed."""
    found = facts.seals
    if found is None or found.oldest_unsealed is None or facts.now - found.oldest_unsealed <= SEALED_WITHIN:
        return
    what = (
        f"{found.unsealed} rows are not sealed, the first one from {facts.now - found.oldest_unsealed:.0f} s ago: "
        "until then they can be changed without a trace. A running server seals them; its log says what keeps it."
    )
    yield advice("unsealed", Area.AUDIT, "audit log", what, "radiusd-mfa serve")


def servers(facts: Facts) -> Iterator[Finding]:
    """Say where nobody answers, and the settings say that a server listens."""
    for asked in facts.servers:
        match asked.answer:
            case Answer.NOBODY:
                what = "Nothing listens there. Start the server, or its service:"
                yield problem("no-server", Area.SERVER, asked.address, what, "radiusd-mfa serve")
            case Answer.SILENT:
                what = (
                    "Somebody listens there and does not answer: a server whose database fails or is slow, or that is "
                    "busy, or systemd for one that does not run. As a service:"
                )
                yield problem("silent-server", Area.SERVER, asked.address, what, "systemctl status radiusd-mfa")
            case Answer.NOT_GENUINE:
                what = "What answers there does not know the secret of this database's NAS entry: another server?"
                yield problem("other-server", Area.SERVER, asked.address, what, "ss -lunp")
            case Answer.NOT_ASKED if any(each.answer is not Answer.NOT_ASKED for each in facts.servers):
                pass  # it is one process that listens on all of them
            case Answer.NOT_ASKED:
                host = asked.address.rpartition(":")[0].strip("[]")
                what = "No NAS entry covers an address of this machine, so nobody could ask whether it lives."
                name = "doctor6" if ":" in host else "doctor"
                remedy = f"radiusd-mfa nas add {name} --address {host} --surface vpn --generate-secret"
                yield advice("not-asked", Area.SERVER, asked.address, what, remedy)
            case Answer.ALIVE:
                pass


CHECKS: Final = (troubles, modes, owners, disk, buffers, skew, set_back, loss, seals, servers)

"""What is wrong with NAS entries, as their packets show it. A check a function; each yields findings."""

from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from math import ceil
from shlex import quote
from typing import Final

from radiusd_mfa.core.ranges import Network, next_wider
from radiusd_mfa.diagnosis.facts import Facts, Nas
from radiusd_mfa.diagnosis.findings import Area, Finding, advice, problem

GOOD_SECRET_OCTETS: Final = 12
DAY: Final = 86_400.0
JUST_NOW: Final = 300.0
"""Seconds: what went wrong before a request that went right by so much is mended."""
ENOUGH: Final = 20
"""Requests from which a habit shows."""
SOME: Final = 3
"""What may happen by chance once or twice."""
LONGEST_GRACE: Final = 60
"""Seconds that `retry_grace` can have."""
_MARGIN: Final = 5
_NAMED: Final = 5
"""Ranges within another that are named."""


def no_entries(facts: Facts) -> Iterator[Finding]:
    """Say that nobody may ask this server."""
    if Area.NAS in facts.looked_at and not facts.nases:
        add = "radiusd-mfa nas add NAME --address ADDRESS --surface vpn --generate-secret"
        yield problem("no-nas", Area.NAS, "NAS entries", "There is none, so every packet is a stranger's.", add)


def unusable(facts: Facts) -> Iterator[Finding]:
    """Find entries that the server leaves out: the secret does not open, or the range is none."""
    has_keys = not any(trouble.area is Area.KEYS for trouble in facts.troubles)
    for nas in facts.nases:
        if _network(nas) is None:
            what = f"“{nas.address}” is no address range, so the server leaves the entry out."
            yield _problem("left-out", nas, what, _set(nas, "--address RANGE"))
        elif nas.secret_octets is None and has_keys:
            what = "Its shared secret can't be opened with the keys, so the server leaves the entry out."
            yield _problem("left-out", nas, what, _set(nas, "--secret-stdin"))


def short_secret(facts: Facts) -> Iterator[Finding]:
    """Find secrets that can be guessed from one captured packet."""
    for nas in facts.nases:
        if nas.secret_octets is not None and nas.secret_octets < GOOD_SECRET_OCTETS:
            what = f"Its shared secret has {nas.secret_octets} octets, and can be guessed from one captured packet."
            yield _problem("short-secret", nas, what, _set(nas, "--generate-secret"))


def same_range(facts: Facts) -> Iterator[Finding]:
    """Find entries with one and the same range, in two spellings."""
    for network, same in _by_network(facts).items():
        if len(same) > 1:
            names = " and ".join(f"“{nas.name}”" for nas in same)
            what = f"The entries {names} have the same range {network}; which of them counts is chance."
            yield _problem("same-range", same[-1], what, f"radiusd-mfa nas remove {quote(same[-1].name)}")


def overlapping(facts: Facts) -> Iterator[Finding]:
    """Find ranges that lie within others; the longer prefix wins."""
    by_network = _by_network(facts)
    within: dict[Network, list[str]] = {}
    for network, same in by_network.items():
        wider = next_wider(network, by_network)
        if wider is not None:
            within.setdefault(wider, []).append(f"{network} of “{same[0].name}”")
    for wider, inner in within.items():
        outer = by_network[wider][0]
        more = f" and {len(inner) - _NAMED} more" if len(inner) > _NAMED else ""
        what = (
            f"Within its range {wider} lie {', '.join(inner[:_NAMED])}{more}: there the longer prefix wins, and "
            f"“{outer.name}” holds in the rest. If that is not meant:"
        )
        yield advice("overlap", Area.NAS, outer.name, what, _set(outer, "--address RANGE"))


def wrong_secret(facts: Facts) -> Iterator[Finding]:
    """Find shared secrets that differ: a signature is wrong, or a password comes out as garbage."""
    for nas in facts.nases:
        seen = nas.lately
        unsigned = seen.requests - seen.signed
        if seen.wrong_signature and not _is_mended(nas, facts.now):
            what = (
                f"{_packets(seen.wrong_signature)} had a wrong Message-Authenticator, the last one "
                f"{_ago(facts.now - seen.dropped_at)} ago: its shared secret is not the one of this entry."
            )
            yield _problem("wrong-secret", nas, what, _set(nas, "--secret-stdin"))
        elif seen.unreadable >= SOME and seen.unreadable * 2 >= unsigned:
            what = (
                f"Of {unsigned} requests without Message-Authenticator {seen.unreadable} had a password that is no "
                "text: very likely its shared secret is not the one of this entry."
            )
            yield _problem("wrong-secret", nas, what, _set(nas, "--secret-stdin"))


def unsigned_dropped(facts: Facts) -> Iterator[Finding]:
    """Find those whose packets are dropped for want of a Message-Authenticator."""
    for nas in facts.nases:
        seen = nas.lately
        if nas.requires_signature and seen.unsigned_dropped and not _is_mended(nas, facts.now):
            what = (
                f"{_packets(seen.unsigned_dropped)} without Message-Authenticator were dropped. Turn it on at the "
                "device; for one that can't, allow it, and mind who is on the path (CVE-2024-3596)."
            )
            yield _problem("unsigned", nas, what, _set(nas, "--message-authenticator optional"))


def proxy_state_dropped(facts: Facts) -> Iterator[Finding]:
    """Find those whose packets are dropped for an unsigned Proxy-State."""
    for nas in facts.nases:
        seen = nas.lately
        if not nas.allows_proxy_state and seen.proxy_state_dropped and not _is_mended(nas, facts.now):
            what = (
                f"{_packets(seen.proxy_state_dropped)} with a Proxy-State and without Message-Authenticator were "
                "dropped: SoftEther sends such ones. From anything else they may be forged."
            )
            yield _problem("proxy-state", nas, what, _set(nas, "--allow-proxy-state on"))


def not_pap(facts: Facts) -> Iterator[Finding]:
    """Find devices that ask in a way in which there is no password to check."""
    for nas in facts.nases:
        ways = {"CHAP": nas.lately.chap, "MS-CHAP": nas.lately.ms_chap, "EAP": nas.lately.eap}
        used = [f"{count} by {way}" for way, count in ways.items() if count]
        if used:
            what = f"It asked {' and '.join(used)}; only PAP can carry a password with a code. Set the device to PAP."
            yield _problem("not-pap", nas, what)


def challenge_unanswered(facts: Facts) -> Iterator[Finding]:
    """Find challenges that nobody ever answers: the NAS can't show them."""
    for nas in facts.nases:
        if nas.challenge and nas.week.challenges >= SOME and not nas.week.answers:
            what = (
                f"{nas.week.challenges} Access-Challenges were sent and none was answered: it takes them for a "
                "refusal. Without challenges the code is typed right after the password."
            )
            yield _problem("challenge-unanswered", nas, what, _set(nas, "--challenge off"))


def challenge_missed(facts: Facts) -> Iterator[Finding]:
    """Find where people give the right password alone, and are refused instead of asked."""
    for nas in facts.nases:
        if not nas.challenge and nas.codes_missing >= SOME:
            what = (
                f"{nas.codes_missing} times the right password came without a code, and was refused. If the device can "
                "ask for the code in a second step, let it; otherwise tell people to append the code."
            )
            yield advice("challenge-missed", Area.NAS, nas.name, what, _set(nas, "--challenge on"))


def retries(facts: Facts) -> Iterator[Finding]:
    """Find clients that ask again by themselves, with a new authenticator: what was accepted is refused."""
    for nas in facts.nases:
        repeats = [gap for gap in nas.repeats if nas.retry_grace < gap <= LONGEST_GRACE]
        if len(repeats) >= SOME:
            grace = min(LONGEST_GRACE, ceil(max(repeats)) + _MARGIN)
            what = (
                f"{len(repeats)} times a code was refused that had been accepted up to {ceil(max(repeats))} s before, "
                "for the same user and device: a client that asks again by itself. A grace gives it the same answer."
            )
            yield advice("retry-grace", Area.NAS, nas.name, what, _set(nas, f"--retry-grace {grace}"))


def retransmissions(facts: Facts) -> Iterator[Finding]:
    """Find clients that ask again before they can have their answer."""
    for nas in facts.nases:
        seen = nas.lately
        if seen.requests >= ENOUGH and seen.retransmissions * 3 > seen.requests:
            gap = seen.retransmitted_after / seen.retransmissions
            what = (
                f"{seen.retransmissions} retransmissions of {seen.requests} requests, {gap:.1f} s after the packet "
                "before: replies are lost, or its timeout is too short. A refusal takes a second; let it wait 5 s."
            )
            yield advice("retransmissions", Area.NAS, nas.name, what)


def always_signed(facts: Facts) -> Iterator[Finding]:
    """Find those that sign everything, and need not be allowed to do without."""
    for nas in facts.nases:
        network = _network(nas)
        signs = nas.week.requests >= ENOUGH and nas.week.signed == nas.week.requests
        if signs and not nas.requires_signature and network is not None and not network.is_loopback:
            what = (
                f"All its {nas.week.requests} requests of this week had a Message-Authenticator. If it is required, "
                "nobody on the path can forge a reply (CVE-2024-3596)."
            )
            yield advice("always-signed", Area.NAS, nas.name, what, _set(nas, "--message-authenticator require"))


def strangers(facts: Facts) -> Iterator[Finding]:
    """Tell who asks that no entry covers."""
    networks = [network for nas in facts.nases if (network := _network(nas)) is not None]
    for address, seen in facts.strangers:
        known = ip_address(address.partition("%")[0])
        if facts.now - seen.seen_at > DAY or any(known in network for network in networks):
            continue
        what = (
            f"{_packets(seen.packets)} came from there, the last one {_ago(facts.now - seen.seen_at)} ago, and no NAS "
            "entry covers it. If it is yours:"
        )
        name = "nas-" + str(known).replace(".", "-").replace(":", "-").strip("-")
        add = f"radiusd-mfa nas add {name} --address {known} --surface vpn --generate-secret"
        weight = problem if seen.packets >= SOME else advice
        yield weight("stranger", Area.NAS, address, what, add)


CHECKS: Final = (
    no_entries,
    unusable,
    wrong_secret,
    unsigned_dropped,
    proxy_state_dropped,
    not_pap,
    challenge_unanswered,
    strangers,
    same_range,
    short_secret,
    overlapping,
    challenge_missed,
    retries,
    retransmissions,
    always_signed,
)


def _problem(check: str, nas: Nas, what: str, remedy: str = "") -> Finding:
    return problem(check, Area.NAS, nas.name, what, remedy)


def _set(nas: Nas, option: str) -> str:
    return f"radiusd-mfa nas set {quote(nas.name)} {option}"


def _by_network(facts: Facts) -> dict[Network, list[Nas]]:
    found: dict[Network, list[Nas]] = {}
    for nas in facts.nases:
        network = _network(nas)
        if network is not None:
            found.setdefault(network, []).append(nas)
    return found


def _network(nas: Nas) -> Network | None:
    try:
        return ip_network(nas.address)
    except ValueError:
        return None


def _is_mended(nas: Nas, now: float) -> bool:
    """Whether requests go right for a while, and nothing was dropped since; or nothing came for a day."""
    seen = nas.lately
    return seen.seen_at > seen.dropped_at + JUST_NOW or now - seen.dropped_at > DAY


def _packets(count: int) -> str:
    return "1 packet" if count == 1 else f"{count} packets"


def _ago(seconds: float) -> str:
    for unit, length in (("d", DAY), ("h", 3_600.0), ("min", 60.0)):
        if seconds >= length:
            return f"{int(seconds // length)} {unit}"
    return f"{max(0, int(seconds))} s"

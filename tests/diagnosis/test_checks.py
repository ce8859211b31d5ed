"""What is found, as a table: a fact that is wrong, the finding, its command; and what is right finds nothing."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from radiusd_mfa.diagnosis.checks import CHECKS, MOST, diagnose
from radiusd_mfa.diagnosis.facts import (
    Answer,
    Asked,
    Buffer,
    Clock,
    Disk,
    Facts,
    File,
    Nas,
    Outbox,
    Policy,
    Profile,
    Seals,
    Trouble,
)
from radiusd_mfa.diagnosis.findings import Area, Weight
from radiusd_mfa.usecases.sighting_ports import Sighting, Stranger

NOW: Final = 1_800_000_000.0
DAY: Final = 86_400.0
GOOD: Final = Nas(1, "office", "192.0.2.0/24", secret_octets=32)
WELL: Final = Facts(
    NOW,
    files=[File("/state", 0o700, 0o077, "mfa", "mfa"), File("/state/db", 0o600, 0o077, "mfa", "mfa")],
    disk=Disk("/state", 1 << 34),
    buffer=Buffer(1 << 20, 1 << 20),
    clock=Clock(NOW, NOW + 1, NOW),
    seals=Seals(NOW - 1, 3),
    servers=[Asked("127.0.0.1:1812", Answer.ALIVE)],
    nases=[GOOD],
    hashes={"ours": 10},
    sends_mail=True,
    portal_url="https://mfa.example.com",
)


def nas(**changes: Any) -> dict[str, Any]:
    """Return facts about one NAS entry; what it was seen to do counts for the week and for lately."""
    seen = changes.pop("seen", None)
    if seen is not None:
        changes |= {"week": seen, "lately": seen}
    return {"nases": [replace(GOOD, **changes)]}


def dropped(**counts: Any) -> Sighting:
    return Sighting(dropped_at=NOW - 60, **counts)


PROBLEMS: Final[dict[str, tuple[dict[str, Any], str, str]]] = {
    "what could not be looked at": (
        {"troubles": [Trouble(Area.KEYS, "key file", "It is gone.", "")]},
        "key file: It is gone.",
        "",
    ),
    "a state directory that others can enter": (
        {"files": [File("/my state", 0o755, 0o077, "mfa", "mfa")]},
        "/my state: Its mode is 0755",
        "chmod 0700 '/my state'",
    ),
    "a file that root took from the server": (
        {"files": [File("/state/db", 0o600, 0o077, "root", "mfa")]},
        "/state/db: It belongs to root",
        "chown mfa /state/db",
    ),
    "a disk that is almost full": (
        {"disk": Disk("/state", 3 << 20)},
        "/state: 3 MiB are free",
        "radiusd-mfa audit prune --before 90d",
    ),
    "a clock ahead of the database's": (
        {"clock": Clock(NOW, NOW - 60)},
        "clock: The clock here is 60 s ahead of",
        "timedatectl set-ntp true",
    ),
    "a clock behind the database's": (
        {"clock": Clock(NOW, NOW + 60)},
        "clock: The clock here is 60 s behind",
        "timedatectl set-ntp true",
    ),
    "a clock that was set back": (
        {"clock": Clock(NOW, None, NOW + 3600)},
        "clock: The audit log has a row from 3600 s after now",
        "timedatectl set-ntp true",
    ),
    "a restored database": (
        {"loss": "This machine has seen row 7."},
        "database: This machine has seen row 7.",
        "radiusd-mfa db accept-restore",
    ),
    "no server": (
        {"servers": [Asked("127.0.0.1:1812", Answer.NOBODY)]},
        "127.0.0.1:1812: Nothing listens there",
        "radiusd-mfa serve",
    ),
    "a silent server": (
        {"servers": [Asked("127.0.0.1:1812", Answer.SILENT)]},
        "127.0.0.1:1812: Somebody listens there and does not answer",
        "systemctl status radiusd-mfa",
    ),
    "another server": (
        {"servers": [Asked("127.0.0.1:1812", Answer.NOT_GENUINE)]},
        "127.0.0.1:1812: What answers there does not know the secret",
        "ss -lunp",
    ),
    "no NAS entry": (
        {"nases": []},
        "NAS entries: There is none",
        "radiusd-mfa nas add NAME --address ADDRESS --surface vpn --generate-secret",
    ),
    "a range that is none": (
        nas(address="office"),
        "office: “office” is no address range",
        "radiusd-mfa nas set office --address RANGE",
    ),
    "a secret that does not open": (
        nas(secret_octets=None),
        "office: Its shared secret can't be opened",
        "radiusd-mfa nas set office --secret-stdin",
    ),
    "a short secret": (
        nas(name="a b", secret_octets=11),
        "a b: Its shared secret has 11 octets",
        "radiusd-mfa nas set 'a b' --generate-secret",
    ),
    "the same range twice": (
        {"nases": [GOOD, replace(GOOD, id=2, name="other", address="192.0.2.0/255.255.255.0")]},
        "other: The entries “office” and “other” have the same range",
        "radiusd-mfa nas remove other",
    ),
    "a wrong signature": (
        nas(seen=dropped(wrong_signature=1)),
        "office: 1 packet had a wrong Message-Authenticator, the last one 1 min ago",
        "radiusd-mfa nas set office --secret-stdin",
    ),
    "passwords that are garbage": (
        nas(seen=Sighting(requests=9, signed=3, unreadable=3, seen_at=NOW)),
        "office: Of 6 requests without Message-Authenticator 3",
        "radiusd-mfa nas set office --secret-stdin",
    ),
    "packets that lack a signature": (
        nas(seen=dropped(unsigned_dropped=12)),
        "office: 12 packets without Message-Authenticator",
        "radiusd-mfa nas set office --message-authenticator optional",
    ),
    "packets that are dropped for a Proxy-State": (
        nas(requires_signature=False, seen=dropped(proxy_state_dropped=2)),
        "office: 2 packets with a Proxy-State",
        "radiusd-mfa nas set office --allow-proxy-state on",
    ),
    "a device that is not set to PAP": (
        nas(seen=Sighting(requests=3, chap=2, ms_chap=1)),
        "office: It asked 2 by CHAP and 1 by MS-CHAP",
        "",
    ),
    "challenges that nobody answers": (
        nas(challenge=True, seen=Sighting(requests=3, challenges=3)),
        "office: 3 Access-Challenges were sent and none was answered",
        "radiusd-mfa nas set office --challenge off",
    ),
    "a stranger": (
        {"strangers": [("198.51.100.9", Stranger(3, NOW - 7_300))]},
        "198.51.100.9: 3 packets came from there, the last one 2 h ago",
        "radiusd-mfa nas add nas-198-51-100-9 --address 198.51.100.9 --surface vpn --generate-secret",
    ),
    "a stranger by IPv6": (
        {"strangers": [("fe80::9%eth0", Stranger(3, NOW))]},
        "fe80::9%eth0: 3 packets",
        "radiusd-mfa nas add nas-fe80--9 --address fe80::9 --surface vpn --generate-secret",
    ),
    "a policy that nobody understands": (
        {"policies": [Policy("ops", ["line 1: x", "line 2: y"])]},
        "team ops: Its policy can't be understood, so everybody needs a second factor at every connection: line 1: x",
        "radiusd-mfa policy show ops",
    ),
    "a profile that can't be sent": (
        {"profiles": [Profile("ops", "admin", "vpn", "line 1: x")]},
        "team ops: A reply profile can't be sent",
        "radiusd-mfa profile set ops --role admin --surface vpn FILE",
    ),
    "hashes that nobody can check": (
        {"hashes": {"unknown": 2}},
        "password hashes: 2 users have password hashes of no known kind",
        "radiusd-mfa user password USER",
    ),
    "mails that don't go out": (
        {"outbox": Outbox(2, NOW - 3_600, 0, "connection refused")},
        "outbox: 2 mails or messages are due, the first one for 60 min: connection refused",
        "radiusd-mfa outbox run",
    ),
    "mails that nobody can send": (
        {"outbox": Outbox(1, NOW - 3_600), "sends_mail": False},
        "outbox: 1 mails or messages are due, the first one for 60 min, and the settings say nothing",
        "",
    ),
    "mails that were given up": (
        {"outbox": Outbox(given_up=1, last_error="no such user")},
        "outbox: 1 mails or messages of the last day were given up, the last one for: no such user",
        "radiusd-mfa outbox retry --all",
    ),
    "codes that nobody can send any more": (
        {"outbox": Outbox(gone=2)},
        "outbox: 2 codes, links or mails of the last day never went out, and can't any more",
        "radiusd-mfa outbox list --status given-up",
    ),
    "a disk without room for a write-ahead log": (
        {"disk": Disk("/state", 3 << 20, inside=1 << 30)},
        "/state: 3 MiB are free",
        "radiusd-mfa audit prune --before 90d",
    ),
}
ADVICE: Final[dict[str, tuple[dict[str, Any], str, str]]] = {
    "a small receive buffer": (
        {"buffer": Buffer(212_992, 1 << 20)},
        "receive buffer: net.core.rmem_max is 212992",
        "sysctl -w net.core.rmem_max=1048576",
    ),
    "rows that are not sealed": (
        {"seals": Seals(NOW - 120, 5)},
        "audit log: 5 rows are not sealed, the first one from 120 s ago",
        "radiusd-mfa serve",
    ),
    "a server that nobody could ask": (
        {"servers": [Asked("[::1]:1812", Answer.NOT_ASKED)]},
        "[::1]:1812: No NAS entry covers an address of this machine",
        "radiusd-mfa nas add doctor6 --address ::1 --surface vpn --generate-secret",
    ),
    "a range within a range": (
        {"nases": [GOOD, replace(GOOD, id=2, name="gate", address="192.0.2.7/32")]},
        "office: Within its range 192.0.2.0/24 lie 192.0.2.7/32 of “gate”: there the longer prefix wins, and “office”",
        "radiusd-mfa nas set office --address RANGE",
    ),
    "right passwords without a code": (
        nas(codes_missing=3),
        "office: 3 times the right password came without a code",
        "radiusd-mfa nas set office --challenge on",
    ),
    "a client that asks again by itself": (
        nas(repeats=[15.2, 14.9, 15.0, 4_000.0]),
        "office: 3 times a code was refused that had been accepted up to 16 s before",
        "radiusd-mfa nas set office --retry-grace 21",
    ),
    "a client that asks again too soon": (
        nas(seen=Sighting(requests=20, retransmissions=10, retransmitted_after=5.0)),
        "office: 10 retransmissions of 20 requests, 0.5 s after the packet before",
        "",
    ),
    "a client that always signs": (
        nas(requires_signature=False, seen=Sighting(requests=20, signed=20)),
        "office: All its 20 requests of this week had a Message-Authenticator",
        "radiusd-mfa nas set office --message-authenticator require",
    ),
    "somebody who asked once": (
        {"strangers": [("198.51.100.9", Stranger(1, NOW))]},
        "198.51.100.9: 1 packet came from there, the last one 0 s ago",
        "radiusd-mfa nas add nas-198-51-100-9 --address 198.51.100.9 --surface vpn --generate-secret",
    ),
    "users without a second factor": (
        {"unenrolled": 4},
        "users: 4 users have no second factor where one is required",
        "radiusd-mfa mfa enrol USER",
    ),
    "hashes of other systems": (
        {"hashes": {"ours": 1, "bcrypt": 2, "argon2id": 1}},
        "password hashes: Password hashes with other parameters than new ones have: 1 argon2id, 2 bcrypt.",
        "",
    ),
    "mails without links": (
        {"portal_url": None},
        "portal_url: Mail is sent, and portal_url is not set",
        'portal_url = "https://mfa.example.com"',
    ),
}


def test_where_all_is_well_nothing_is_found() -> None:
    assert list(diagnose(WELL)) == []


def test_where_nothing_could_be_looked_at_nothing_is_made_up() -> None:
    assert list(diagnose(Facts(NOW, looked_at=frozenset()))) == []


@pytest.mark.parametrize(("facts", "said", "remedy"), PROBLEMS.values(), ids=PROBLEMS)
def test_a_problem_is_found_with_the_command_that_mends_it(facts: dict[str, Any], said: str, remedy: str) -> None:
    expect(facts, Weight.PROBLEM, said, remedy)


@pytest.mark.parametrize(("facts", "said", "remedy"), ADVICE.values(), ids=ADVICE)
def test_what_could_be_better_is_advice(facts: dict[str, Any], said: str, remedy: str) -> None:
    expect(facts, Weight.ADVICE, said, remedy)


def expect(facts: dict[str, Any], weight: Weight, said: str, remedy: str) -> None:
    findings = diagnose(replace(WELL, **facts))
    assert [(finding.weight, finding.remedy) for finding in findings] == [(weight, remedy)]
    assert f"{findings[0].where}: {findings[0].what}".startswith(said)


@pytest.mark.parametrize(
    "facts",
    [
        nas(seen=Sighting(wrong_signature=9, dropped_at=NOW - 900, seen_at=NOW - 60)),
        nas(seen=Sighting(unsigned_dropped=9, dropped_at=NOW - 900, seen_at=NOW - 60)),
        nas(seen=Sighting(proxy_state_dropped=9, dropped_at=NOW - 2 * DAY)),
        nas(requires_signature=False, seen=dropped(unsigned_dropped=1)),
        nas(allows_proxy_state=True, seen=dropped(proxy_state_dropped=1)),
        nas(seen=Sighting(requests=30, unreadable=3)),
        nas(seen=Sighting(requests=2, unreadable=2)),
        nas(challenge=True, seen=Sighting(challenges=9, answers=1)),
        nas(seen=Sighting(challenges=9)),
        nas(challenge=True, codes_missing=9),
        nas(repeats=[15.0, 15.0]),
        nas(retry_grace=20.0, repeats=[15.0] * 9),
        nas(repeats=[3_600.0] * 9),
        nas(seen=Sighting(requests=100, retransmissions=10, retransmitted_after=9.0)),
        nas(requires_signature=False, seen=Sighting(requests=100, signed=99)),
        nas(requires_signature=False, seen=Sighting(requests=19, signed=19)),
        nas(requires_signature=False, address="127.0.0.0/8", seen=Sighting(requests=100, signed=100)),
        {"strangers": [("192.0.2.9", Stranger(9, NOW))]},
        {"strangers": [("198.51.100.9", Stranger(9, NOW - 2 * DAY))]},
        {"nases": [GOOD, replace(GOOD, id=2, name="v6", address="2001:db8::/32")]},
        {"clock": Clock(NOW, None, NOW + 1)},
        {"seals": Seals(None, 0)},
        {"servers": [Asked("127.0.0.1:1812", Answer.ALIVE), Asked("[::1]:1812", Answer.NOT_ASKED)]},
        {"outbox": Outbox(1, NOW - 300)},
        {"disk": Disk("/state", 100 << 20, inside=1 << 30)},
        {"sends_mail": False, "portal_url": None},
    ],
)
def test_what_is_mended_or_happens_by_chance_is_not_found(facts: dict[str, Any]) -> None:
    assert list(diagnose(replace(WELL, **facts))) == []


def test_what_rests_on_something_stands_behind_it_and_problems_stand_first() -> None:
    facts = replace(WELL, unenrolled=1, policies=[Policy("ops", ["x"])], loss="lost", **nas(secret_octets=8))
    found = [(each.area, each.weight) for each in diagnose(facts)]
    assert found == [
        (Area.DATABASE, Weight.PROBLEM),
        (Area.NAS, Weight.PROBLEM),
        (Area.PEOPLE, Weight.PROBLEM),
        (Area.PEOPLE, Weight.ADVICE),
    ]


def test_keys_that_are_wrong_are_told_once_and_not_for_each_secret() -> None:
    facts = replace(WELL, troubles=[Trouble(Area.KEYS, "key file", "It is gone.")], **nas(secret_octets=None))
    assert [each.check for each in diagnose(facts)] == ["trouble"]


def test_of_the_same_thing_in_a_thousand_places_some_are_told_and_how_many_more_there_are() -> None:
    many = [Nas(n, f"nas{n}", f"10.0.{n // 256}.{n % 256}/32", secret_octets=8) for n in range(1_000)]
    findings = diagnose(replace(WELL, nases=[*many, replace(GOOD, address="10.0.0.0/8")]))
    shown = [each for each in findings if each.check == "short-secret"]
    assert len(shown) == MOST + 1
    assert shown[-1].what == f"{1_000 - MOST} more like this one."


def test_every_check_finds_something_in_the_tables_above() -> None:
    """A check that no row of the tables reaches is a check that nobody has tried."""
    tried: set[Any] = set()
    for facts, _, _ in (*PROBLEMS.values(), *ADVICE.values()):
        changed = replace(WELL, **facts)
        tried |= {check for check in CHECKS if list(check(changed))}
    assert tried == set(CHECKS)


def test_every_name_is_in_the_document_and_no_other() -> None:
    document = (Path(__file__).parents[2] / "docs" / "doctor.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`[^|]*) \|", document, flags=re.MULTILINE)
    documented = {name for row in rows for name in re.findall(r"`([a-z-]+)`", row)}
    facts = [replace(WELL, **changed) for changed, _, _ in (*PROBLEMS.values(), *ADVICE.values())]
    assert documented == {finding.check for each in facts for finding in diagnose(each)}


def test_no_two_checks_find_the_same() -> None:
    names: dict[str, set[Any]] = {}
    for facts, _, _ in (*PROBLEMS.values(), *ADVICE.values()):
        changed = replace(WELL, **facts)
        for check in CHECKS:
            for finding in check(changed):
                names.setdefault(finding.check, set()).add(check)
    assert {name: len(found) for name, found in names.items() if len(found) > 1} == {}

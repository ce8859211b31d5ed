"""What is counted of sign-ins, and that no worker, no reload and no number of NAS entries spoils it."""

from radiusd_mfa.core.verdict import Outcome, Reason
from radiusd_mfa.radius.wire import Cause
from radiusd_mfa.server.drops import UNKNOWN_NAS
from radiusd_mfa.server.tally import NASES, OTHERS, PAIRS, Count, Level, Stage, Tallies, Tally
from tests.support.taps import eventually
from tests.support.world import World


def counted(tally: Tally, nas: str, outcome: Outcome = Outcome.ACCEPT, reason: Reason = Reason.TOTP) -> None:
    tally.told(PAIRS[outcome, reason], tally.nas(nas), outcome, 1_000)


def test_more_nas_entries_than_have_a_place_are_counted_together() -> None:
    tally = Tallies().of(0)
    for number in range(NASES + 50):
        counted(tally, f"nas{number}")
    counted(tally, "nas0")
    names = {each.name: each.sign_ins[Outcome.ACCEPT] for each in tally.nases}
    assert len(names) == NASES + 1
    assert names["nas0"] == 2
    assert names[OTHERS] == 50


def test_a_name_of_any_length_and_alphabet_is_kept_as_far_as_there_is_room() -> None:
    tally = Tallies().of(0)
    for name in ("é" * 200, "x" * 128, "x" * 129, "vpn"):
        counted(tally, name)
    assert [each.name for each in tally.nases] == ["é" * 64, "x" * 128, "vpn"]
    assert tally.nases[1].sign_ins[Outcome.ACCEPT] == 2


def test_a_worker_that_is_started_again_goes_on_from_what_was_counted() -> None:
    tallies = Tallies(2)
    counted(tallies.of(1), "vpn")
    again = tallies.of(1)
    counted(again, "vpn")
    counted(again, "wifi")
    assert {each.name: each.sign_ins[Outcome.ACCEPT] for each in again.nases} == {"vpn": 2, "wifi": 1}


def test_all_workers_are_added_up_whatever_order_their_nases_came_in() -> None:
    tallies = Tallies(2)
    first, second = tallies.of(0), tallies.of(1)
    counted(first, "vpn")
    counted(second, "wifi", Outcome.REJECT, Reason.WRONG_CODE)
    counted(second, "vpn")
    first.stages[Stage.TOTAL].add(0.003)
    second.stages[Stage.TOTAL].add(7.0, times=2)
    first.drop(UNKNOWN_NAS, 3)
    second.set(Level.OPENING, 4)
    total = tallies.total()
    assert total.verdicts == {(Outcome.ACCEPT, Reason.TOTP): 2, (Outcome.REJECT, Reason.WRONG_CODE): 1}
    assert {each.name: tuple(each.sign_ins.values()) for each in total.nases} == {"vpn": (2, 0, 0), "wifi": (0, 1, 0)}
    assert [pair for pair in total.stages[Stage.TOTAL].buckets if pair[1]] == [(0.005, 1), (float("inf"), 2)]
    assert total.stages[Stage.TOTAL].sum == 14.003
    assert total.drops[UNKNOWN_NAS] == 3
    assert total[Level.OPENING] == 4


def test_a_value_on_a_bound_belongs_below_it() -> None:
    """As Prometheus means `le`."""
    tally = Tally()
    tally.opened.add(4)
    assert [bound for bound, number in tally.opened.buckets if number] == [4]


def test_sign_ins_are_counted_with_their_stages_and_their_nas(world: World) -> None:
    world.nas()
    alice = world.user()
    with world.daemon() as daemon:
        nas = world.client(daemon.addresses[0])
        typed = alice.typed()
        octets, authenticator = nas.request("alice", typed)
        for _ in range(2):
            nas.send(octets)
            assert nas.receive(authenticator) is not None
        nas.ask("alice", typed)
        nas.ask("nobody", b"x")
        tally = daemon.tally
        assert tally.verdicts == {
            (Outcome.ACCEPT, Reason.TOTP): 1,
            (Outcome.REJECT, Reason.CODE_REUSED): 1,
            (Outcome.REJECT, Reason.UNKNOWN_USER): 1,
        }
        for stage in (Stage.WAIT, Stage.OPEN, Stage.HASH, Stage.SETTLE, Stage.TOTAL):
            assert sum(number for _bound, number in tally.stages[stage].buckets) == 3, stage
        assert [(each.name, tuple(each.sign_ins.values())) for each in tally.nases] == [("vpn", (1, 2, 0))]
        assert tally[Count.DUPLICATES_ANSWERED] == 1
        eventually(lambda: tally[Count.HASHES] == 3)
        assert tally[Level.HEALTHY]


def test_a_packet_that_is_dropped_is_counted_by_its_cause_and_for_its_nas(world: World) -> None:
    world.nas()
    with world.daemon() as daemon:
        nas = world.client(daemon.addresses[0], secret=b"another secret")
        assert nas.is_ignored(*nas.request("alice", b"x"))
        tally = daemon.tally
        eventually(lambda: tally.drops[Cause.MESSAGE_AUTHENTICATOR_WRONG] == 1)
        assert [(each.name, each.dropped) for each in tally.nases] == [("vpn", 1)]


def test_a_stranger_is_counted_and_has_no_name(world: World) -> None:
    world.nas(address="192.0.2.1/32")
    with world.daemon() as daemon:
        nas = world.client(daemon.addresses[0])
        assert nas.is_ignored(*nas.request("alice", b"x"))
        eventually(lambda: daemon.tally.drops[UNKNOWN_NAS] == 1)
        assert daemon.tally.nases == []

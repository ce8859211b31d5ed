"""Second factors that give way to others, over packets to two nodes and on both databases (I5; ATTACKS 15, 23, 26)."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import select

from radiusd_mfa.core.names import Username
from radiusd_mfa.passwords.hashing import LocalHashing
from radiusd_mfa.radius.wire import Code
from radiusd_mfa.store import schema
from radiusd_mfa.store.administration import AdministrationStore
from radiusd_mfa.usecases import acting, enrol, removal, reset
from radiusd_mfa.usecases.acting import NOBODY, Door, Given
from radiusd_mfa.usecases.actors import Claimant, Person
from radiusd_mfa.usecases.changes import Refusal
from radiusd_mfa.usecases.enrol import Confirmed, Enrolment
from radiusd_mfa.usecases.reset import Invitation
from radiusd_mfa.usecases.sign_in import SignIn
from tests.support.acting import code_of
from tests.support.clock import Clock
from tests.support.world import CHEAP, CheapPasswords, TestNas, TestUser, World

ACCEPT, REJECT = Code.ACCESS_ACCEPT, Code.ACCESS_REJECT
ALICE = Username("alice")


@dataclass
class Site:
    """alice, with a phone and backup codes, and two nodes that she signs in at; each code is a new one."""

    world: World
    clock: Clock
    nodes: list[TestNas]
    alice: TestUser

    @property
    def needs(self) -> dict[str, Any]:
        return {"store": AdministrationStore(self.world.database, self.world.keys), "clock": self.clock}

    @property
    def door(self) -> Door:
        sign_in = SignIn(self.world.keys, CheapPasswords(), os.urandom)
        return Door("cli", sign_in, self.world.sign_in_store(), self.clock, os.urandom)

    def old_code(self) -> str:
        self.clock.at += 30
        return self.alice.code(at=self.clock.at)

    def new_code(self, made: Enrolment) -> str:
        self.clock.at += 30
        return code_of(made.uri, self.clock.at)

    def replies(self, *codes: str) -> list[Code]:
        """Sign in at each node with a code of its own."""
        pairs = zip(self.nodes, codes, strict=True)
        return [nas.ask("alice", f"hunter2{code}".encode()).code for nas, code in pairs]

    def person(self) -> Person:
        proved = acting.prove(Given(ALICE, b"hunter2", self.old_code().encode()), door=self.door)
        assert isinstance(proved, Person)
        return proved

    def confirm(self, made: Enrolment) -> Confirmed:
        code, hashing = self.new_code(made), LocalHashing(CHEAP)
        done = enrol.confirm(ALICE, code, **self.needs, hashing=hashing, entropy=os.urandom)
        assert isinstance(done, Confirmed)
        return done


@pytest.fixture
def site(world: World, clock: Clock) -> Iterator[Site]:
    world.nas()
    alice = world.user(codes=6)
    with world.daemon() as one, world.daemon() as other:
        yield Site(world, clock, [world.client(one), world.client(other)], alice)


def test_an_own_reset_leaves_the_old_method_until_the_new_one_is_confirmed_and_not_a_code_longer(site: Site) -> None:
    made = reset.own(ALICE, None, label="new", issuer="test", **site.needs, entropy=os.urandom, actor=site.person())
    assert isinstance(made, Enrolment)
    assert site.replies(site.old_code(), site.old_code()) == [ACCEPT, ACCEPT]
    assert site.replies(site.new_code(made), site.new_code(made)) == [REJECT, REJECT]
    assert site.confirm(made).counts
    assert site.replies(site.new_code(made), site.new_code(made)) == [ACCEPT, ACCEPT]
    assert site.replies(site.old_code(), site.old_code()) == [REJECT, REJECT]
    kept = [code.shown for code in site.alice.backup_codes]
    assert site.replies(kept[0], kept[1]) == [ACCEPT, ACCEPT]


def test_a_link_leaves_everything_until_the_new_method_is_confirmed_and_then_nothing(site: Site) -> None:
    old = [code.shown for code in site.alice.backup_codes]
    link = reset.invite(ALICE, **site.needs, entropy=os.urandom)
    assert isinstance(link, Invitation)
    assert site.replies(site.old_code(), old[0]) == [ACCEPT, ACCEPT]
    claimant = acting.prove_password(Given(ALICE, b"hunter2"), door=site.door)
    assert isinstance(claimant, Claimant)
    made = reset.redeem(claimant, link.token, label="", issuer="test", **site.needs, entropy=os.urandom)
    assert isinstance(made, Enrolment)
    assert site.replies(old[1], site.old_code()) == [ACCEPT, ACCEPT]
    assert site.replies(site.new_code(made), site.new_code(made)) == [REJECT, REJECT]
    fresh = site.confirm(made).codes
    assert fresh is not None
    assert site.replies(old[2], site.old_code()) == [REJECT, REJECT]
    assert site.replies(site.old_code(), old[3]) == [REJECT, REJECT]
    site.clock.at += 300  # those four were guesses
    assert site.replies(site.new_code(made), fresh.shown[0]) == [ACCEPT, ACCEPT]


def test_the_link_and_the_password_without_a_code_sign_nobody_in(site: Site) -> None:
    link = reset.invite(ALICE, **site.needs, entropy=os.urandom)
    assert isinstance(link, Invitation)
    assert site.nodes[0].ask("alice", f"hunter2{link.token}".encode()).code is REJECT
    assert site.nodes[1].ask("alice", link.token.encode()).code is REJECT


def test_what_was_revoked_lets_nobody_in_on_any_node(site: Site) -> None:
    old = [code.shown for code in site.alice.backup_codes]
    assert site.replies(site.old_code(), old[0]) == [ACCEPT, ACCEPT]
    assert not isinstance(removal.revoke(ALICE, **site.needs, actor=site.person()), Refusal)
    assert site.replies(site.old_code(), old[1]) == [REJECT, REJECT]
    assert site.world.audit()[-2:] == [("reject", "not-enrolled"), ("reject", "not-enrolled")]


def test_whoever_disabled_the_own_second_factor_after_a_backup_code_must_set_up_anew_where_it_is_mandatory(
    site: Site,
) -> None:
    site.clock.at += 60  # later than the set-up, which has real time
    assert site.nodes[0].ask("alice", f"hunter2{site.alice.backup_codes[0].shown}".encode()).code is ACCEPT
    site.clock.at += 1
    claimant = acting.prove_password(Given(ALICE, b"hunter2"), door=site.door)
    assert isinstance(claimant, Claimant)
    assert not isinstance(removal.disable(ALICE, **site.needs, actor=claimant), Refusal)
    assert [nas.ask("alice", b"hunter2").code for nas in site.nodes] == [REJECT, REJECT]
    assert site.world.audit()[-1] == ("reject", "not-enrolled")


def test_a_single_recovery_code_lets_nobody_in_before_it_is_recorded(world: World, clock: Clock) -> None:
    world.nas()
    bob = world.user("bob", enrolled=False)
    world.member(bob, world.team(policy="[backup_codes]\ncount = 1"))
    with world.daemon() as running:
        site = Site(world, clock, [world.client(running)], bob)
        name = Username("bob")
        made = enrol.start(name, label="", issuer="test", **site.needs, entropy=os.urandom)
        assert isinstance(made, Enrolment)
        hashing = LocalHashing(CHEAP)
        done = enrol.confirm(name, site.new_code(made), **site.needs, hashing=hashing, entropy=os.urandom)
        assert isinstance(done, Confirmed)
        assert done.codes is not None

        def replies() -> list[Code]:
            texts = (site.new_code(made), done.codes.shown[0] if done.codes else "")
            return [site.nodes[0].ask("bob", f"hunter2{text}".encode()).code for text in texts]

        assert replies() == [REJECT, REJECT]
        assert not isinstance(enrol.acknowledge(name, **site.needs), Refusal)
        assert replies() == [ACCEPT, ACCEPT]


def test_guesses_at_the_command_line_and_over_radius_are_counted_together(site: Site) -> None:
    for guess in range(5):
        wrong = str((int(site.old_code()) + guess + 1) % 1_000_000).zfill(6)
        if guess % 2:
            assert acting.prove(Given(ALICE, b"hunter2", wrong.encode()), door=site.door) is NOBODY
        else:
            assert site.nodes[guess // 4].ask("alice", f"hunter2{wrong}".encode()).code is REJECT
    assert acting.prove(Given(ALICE, b"hunter2", site.old_code().encode()), door=site.door) is NOBODY
    assert site.replies(site.old_code(), site.old_code()) == [REJECT, REJECT]
    assert [reason for _, reason in site.world.audit()[-3:]] == ["throttled"] * 3


def test_a_code_that_proved_somebody_signs_nobody_in_and_the_other_way_round(site: Site) -> None:
    code = site.old_code()
    assert isinstance(acting.prove(Given(ALICE, b"hunter2", code.encode()), door=site.door), Person)
    assert site.replies(code, code) == [REJECT, REJECT]
    code = site.old_code()
    assert site.nodes[0].ask("alice", f"hunter2{code}".encode()).code is ACCEPT
    assert acting.prove(Given(ALICE, b"hunter2", code.encode()), door=site.door) is NOBODY


def test_no_reset_lowers_a_watermark(site: Site) -> None:
    made = reset.own(ALICE, None, label="", issuer="test", **site.needs, entropy=os.urandom, actor=site.person())
    assert isinstance(made, Enrolment)
    code = site.new_code(made)
    done = enrol.confirm(ALICE, code, **site.needs, hashing=LocalHashing(CHEAP), entropy=os.urandom)
    assert isinstance(done, Confirmed)
    with site.world.database.reading() as connection:
        assert connection.execute(select(schema.methods.c.watermark)).scalars().all() == [int(site.clock.at // 30)]
    assert site.replies(code, code) == [REJECT, REJECT]

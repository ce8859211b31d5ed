import pytest

from radiusd_mfa.core.names import NameProblem, Username
from radiusd_mfa.store import schema
from radiusd_mfa.usecases import nas, teams
from radiusd_mfa.usecases.changes import Refusal
from radiusd_mfa.usecases.nas import Wanted
from tests.support.administered import Refuses, World


def test_a_team_name_is_taken_once(world: World, refuses: Refuses) -> None:
    teams.add("ops", plan="mfa", **world.needs)
    refuses(teams.add("ops", plan="no-mfa", **world.needs), "already")
    assert [(team.name, team.plan) for team in teams.everyone(store=world.app.administration)] == [("ops", "mfa")]


@pytest.mark.parametrize("text", ["", "-x", "a b", "a/b", "a\n", "ä", "x" * 64, "a,b"])
def test_a_name_that_would_need_quoting_is_refused(text: str) -> None:
    with pytest.raises(NameProblem):
        teams.label(text)


def test_a_member_is_one_once_and_has_one_role(world: World, refuses: Refuses) -> None:
    user = world.user()
    teams.add("ops", plan="mfa", **world.needs)
    refuses(teams.set_member("ops", user, role="admin", **world.needs), "not in team")
    refuses(teams.remove_member("ops", user, **world.needs), "not in team")
    teams.add_member("ops", user, role="member", **world.needs)
    refuses(teams.add_member("ops", user, role="owner", **world.needs), "already")
    teams.set_member("ops", user, role="admin", **world.needs)
    details = teams.show("ops", store=world.app.administration)
    assert not isinstance(details, Refusal)
    assert [(member.user, member.role) for member in details.members] == [("alice", "admin")]


def test_a_team_or_user_that_there_is_not_is_refused_with_the_one_that_may_be_meant(
    world: World, refuses: Refuses
) -> None:
    world.user()
    teams.add("ops", plan="mfa", **world.needs)
    refuses(teams.add_member("obs", Username.parse("alice"), role="member", **world.needs), "is ops meant?")
    refuses(teams.add_member("ops", Username.parse("alicia"), role="member", **world.needs), "is alice meant?")
    refuses(teams.set_plan("obs", "mfa", **world.needs), "is ops meant?")
    refuses(teams.remove("zzz", **world.needs), "team list")
    refuses(teams.members(team="obs", **world.needs), "is ops meant?")
    refuses(teams.show("obs", store=world.app.administration), "is ops meant?")


def test_a_team_with_a_nas_is_not_removed_so_that_no_rule_changes_unseen(world: World, refuses: Refuses) -> None:
    teams.add("ops", plan="mfa", **world.needs)
    nas.add(Wanted("gate", {"address": "192.0.2.1/32", "surface": "vpn"}, "ops", b"secret secret"), **world.needs)
    refuses(teams.remove("ops", **world.needs), "gate")
    nas.change(Wanted("gate", {}, team=""), **world.needs)
    assert not isinstance(teams.remove("ops", **world.needs), Refusal)


def test_periods_end_with_the_membership(world: World) -> None:
    user = world.user()
    teams.add("ops", plan="mfa", **world.needs)
    teams.add_member("ops", user, role="owner", **world.needs)
    world.signed_in_before(user)
    teams.remove_member("ops", user, **world.needs)
    assert world.count(schema.verifications) == world.count(schema.memberships) == 0


def test_every_change_is_written_down_done_or_refused(world: World) -> None:
    teams.add("ops", plan="mfa", **world.needs)
    teams.add("ops", plan="mfa", **world.needs)
    assert [outcome for outcome, _ in world.audit("team-add")] == ["refused", "done"]
    teams.set_plan("ops", "no-mfa", **world.needs)
    assert world.audit("team-plan") == [("done", {"team": "ops", "plan": "no-mfa"})]

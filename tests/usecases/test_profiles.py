from radiusd_mfa.usecases import profiles, teams
from radiusd_mfa.usecases.actors import Person
from radiusd_mfa.usecases.admin_ports import StoredProfile
from tests.support.administered import Refuses, World

STAFF = 'Filter-Id = "staff"'


def test_a_profile_is_replaced_by_one_for_the_same_role_and_surface(world: World) -> None:
    teams.add("ops", plan="mfa", **world.needs)
    wanted = [
        StoredProfile("ops", None, None, STAFF),
        StoredProfile("ops", "member", "vpn", STAFF),
        StoredProfile("ops", None, None, 'Filter-Id = "all"'),
    ]
    for profile in wanted:
        assert profiles.put(profile, **world.needs) is None
    assert profiles.every("ops", **world.needs) == [wanted[2], wanted[1]]
    assert profiles.every(None, **world.needs) == [wanted[2], wanted[1]]


def test_only_the_profile_for_exactly_that_role_and_surface_is_removed(world: World, refuses: Refuses) -> None:
    teams.add("ops", plan="mfa", **world.needs)
    profiles.put(StoredProfile("ops", "member", "vpn", STAFF), **world.needs)
    refused = profiles.remove("ops", role="member", surface=None, **world.needs)
    refuses(refused, "no profile for members on every surface")
    refuses(profiles.remove("ops", role=None, surface=None, **world.needs), "no profile for everybody on every surface")
    assert profiles.remove("ops", role="member", surface="vpn", **world.needs) is None
    assert profiles.every("ops", **world.needs) == []


def test_not_even_an_owner_says_what_a_device_is_told(world: World, refuses: Refuses) -> None:
    teams.add("ops", plan="mfa", **world.needs)
    user, _, _ = world.enrolled("anna")
    teams.add_member("ops", user, role="owner", **world.needs)
    anna = Person(world.user_id(user), "anna")
    wanted = StoredProfile("ops", None, None, STAFF)
    refuses(profiles.put(wanted, **world.needs, actor=anna), "Only the operator")
    refuses(profiles.remove("ops", role=None, surface=None, **world.needs, actor=anna), "Only the operator")
    refuses(profiles.every(None, **world.needs, actor=anna), "Only the operator")
    assert profiles.every("ops", **world.needs, actor=anna) == []
    assert [row[0] for row in world.audit("profile-set")] == ["refused"]
    assert [row[0] for row in world.audit("profile-remove")] == ["refused"]


def test_a_team_that_there_is_not_is_refused(world: World, refuses: Refuses) -> None:
    teams.add("ops", plan="mfa", **world.needs)
    refuses(profiles.put(StoredProfile("obs", None, None, STAFF), **world.needs), "is ops meant?")
    refuses(profiles.every("obs", **world.needs), "is ops meant?")

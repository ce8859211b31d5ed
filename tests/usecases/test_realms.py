import pytest

from radiusd_mfa.core.names import NameProblem, prepare_realm
from radiusd_mfa.usecases import realms, teams
from radiusd_mfa.usecases.actors import Person
from radiusd_mfa.usecases.admin_ports import Realm
from radiusd_mfa.usecases.realms import Made
from tests.support.administered import Refuses, World


def _all(world: World) -> list[tuple[str, str | None]]:
    return [(realm.name, realm.team) for realm in realms.everyone(store=world.app.administration)]


def _add(world: World, name: str, team: str | None = None) -> Made:
    made = realms.add(name, team=team, **world.needs)
    assert isinstance(made, Made)
    return made


def test_a_realm_means_one_team(world: World, refuses: Refuses) -> None:
    for team in ("ops", "dev"):
        teams.add(team, plan="mfa", **world.needs)
    _add(world, "corp.example", "ops")
    refuses(realms.add("corp.example", team="dev", **world.needs), "means team “ops”")
    refuses(realms.add("corp", team="obs", **world.needs), "is ops meant?")
    assert _all(world) == [("corp.example", "ops"), ("dev", "dev"), ("ops", "ops")]


def test_a_team_has_the_realm_of_its_name_in_lower_case_and_takes_it_along(world: World) -> None:
    teams.add("Ops", plan="mfa", **world.needs)
    assert _all(world) == [("ops", "Ops")]
    teams.remove("Ops", **world.needs)
    assert _all(world) == []


def test_a_realm_that_is_there_stays_what_it_is_when_a_team_of_its_name_comes(world: World) -> None:
    _add(world, "ops")
    teams.add("ops", plan="mfa", **world.needs)
    assert _all(world) == [("ops", None)]


def test_a_realm_that_is_the_end_of_whole_names_is_warned_about(world: World) -> None:
    world.user("alice@corp")
    (warning,) = _add(world, "corp").warnings
    assert "alice@corp" in warning
    assert _add(world, "org").warnings == ()


def test_a_realm_that_there_is_not_is_not_removed(world: World, refuses: Refuses) -> None:
    _add(world, "corp")
    refuses(realms.remove("crop", **world.needs), "is corp meant?")
    assert realms.remove("corp", **world.needs) == Realm("corp", None)
    assert _all(world) == []
    assert [row[0] for row in world.audit("realm-remove")] == ["done", "refused"]


def test_realms_are_the_operators(world: World, refuses: Refuses) -> None:
    teams.add("ops", plan="mfa", **world.needs)
    user, _, _ = world.enrolled("olga")
    teams.add_member("ops", user, role="owner", **world.needs)
    olga = Person(world.user_id(user), "olga")
    refuses(realms.add("corp", team="ops", **world.needs, actor=olga), "Only the operator")
    refuses(realms.remove("ops", **world.needs, actor=olga), "Only the operator")
    assert _all(world) == [("ops", "ops")]


def test_what_can_be_no_realm_is_refused() -> None:
    with pytest.raises(NameProblem):
        prepare_realm("a@b")

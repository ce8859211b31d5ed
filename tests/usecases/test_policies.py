import threading

import pytest
from sqlalchemy import update

from radiusd_mfa.core.names import Username
from radiusd_mfa.core.policy import T0
from radiusd_mfa.store import schema
from radiusd_mfa.usecases import enrol, people, plans, policies, teams
from radiusd_mfa.usecases.actors import OPERATOR, Actor, Person
from radiusd_mfa.usecases.changes import Refusal
from radiusd_mfa.usecases.policies import Applied, Planned, Shown
from radiusd_mfa.usecases.policy_effects import RoleEffect
from tests.support.administered import Refuses, World

EVERYBODY = '[[require]]\nevery = "connection"\n'
NOBODY = "require = []\n"
REPORT = f'mode = "report"\n{EVERYBODY}'
OWNERS_FIRST = f"require_all_owners = true\n{EVERYBODY}"
DAY = 86_400


def _member(world: World, name: str, role: str, *, enrolled: bool = False, permissions: tuple[str, ...] = ()) -> Person:
    user = world.enrolled(name)[0] if enrolled else world.user(name)
    made = teams.add_member("ops", user, role=role, permissions=permissions, **world.needs)
    assert not isinstance(made, Refusal)
    return Person(world.user_id(user), user.text)


@pytest.fixture
def ops(world: World) -> World:
    teams.add("ops", plan="mfa", **world.needs)
    return world


def _apply(world: World, text: str, **options: object) -> Applied:
    done = policies.apply("ops", text, **world.needs, **options)  # type: ignore[arg-type]
    assert isinstance(done, Applied), done
    return done


def _plan(world: World, text: str) -> Planned:
    planned = policies.plan("ops", text, **world.needs)
    assert isinstance(planned, Planned), planned
    return planned


def _show(world: World, version: int | None = None) -> Shown:
    shown = policies.show("ops", version, **world.needs)
    assert isinstance(shown, Shown), shown
    return shown


# T4: nobody is forced by somebody without, and owners go first where the policy says so


@pytest.mark.parametrize("text", [EVERYBODY, '[[require]]\nroles = ["member"]\n', "mode = 'enforce'\n"])
def test_an_owner_without_a_second_factor_can_force_none_on_others(ops: World, refuses: Refuses, text: str) -> None:
    olga = _member(ops, "olga", "owner")
    refuses(policies.apply("ops", text, **ops.needs, actor=olga), "“olga” has no second factor")
    assert _show(ops).text is None
    (row,) = ops.audit("policy-apply")
    assert row[0] == "refused"
    assert "olga" in row[1]["why"]


def test_nor_by_taking_the_policy_away(ops: World, refuses: Refuses) -> None:
    olga = _member(ops, "olga", "owner")
    _apply(ops, NOBODY)
    refuses(policies.remove("ops", **ops.needs, actor=olga), "“olga” has no second factor")
    assert _show(ops).text == NOBODY


@pytest.mark.parametrize("text", [NOBODY, REPORT])
def test_what_forces_nobody_an_owner_may_apply_without_one(ops: World, text: str) -> None:
    _apply(ops, text, actor=_member(ops, "olga", "owner"))


def test_an_owner_with_a_second_factor_may_force_everyone(ops: World) -> None:
    olga = _member(ops, "olga", "owner", enrolled=True)
    done = _apply(ops, EVERYBODY, actor=olga)
    assert (done.version, _show(ops).actor) == (1, "olga")


def test_an_unconfirmed_method_is_no_second_factor(ops: World, refuses: Refuses) -> None:
    olga = _member(ops, "olga", "owner")
    ops.start(Username.parse("olga"))
    refuses(policies.apply("ops", EVERYBODY, **ops.needs, actor=olga), "no second factor")


def test_a_policy_that_wants_every_owner_names_who_is_missing(ops: World, refuses: Refuses) -> None:
    olga = _member(ops, "olga", "owner", enrolled=True)
    for name, role in (("otto", "owner"), ("oona", "owner"), ("mia", "member")):
        _member(ops, name, role)
    actors: list[Actor] = [OPERATOR, olga]
    for actor in actors:
        refused = policies.apply("ops", OWNERS_FIRST, **ops.needs, actor=actor)
        refuses(refused, "(require_all_owners), and oona, otto have none that counts.")
    (objection,) = _plan(ops, OWNERS_FIRST).objections
    assert "oona, otto have none that counts" in objection
    for name in ("otto", "oona"):
        ops.confirm(Username.parse(name), ops.code(ops.start(Username.parse(name))))
    _apply(ops, OWNERS_FIRST, actor=olga)


def test_an_owner_whose_method_does_not_count_is_missing(ops: World, refuses: Refuses) -> None:
    _member(ops, "olga", "owner", enrolled=True)
    only_sms = f'{OWNERS_FIRST}[methods]\nallow = ["sms"]\n'
    refuses(policies.apply("ops", only_sms, **ops.needs), "olga has none that counts")


# Permissions (T6)


@pytest.mark.parametrize("role", ["admin", "member"])
def test_who_may_not_write_policies_is_refused_and_told_what_is_missing(
    ops: World, refuses: Refuses, role: str
) -> None:
    actor = _member(ops, "anna", role, enrolled=True)
    for refused in (
        policies.apply("ops", NOBODY, **ops.needs, actor=actor),
        policies.plan("ops", NOBODY, **ops.needs, actor=actor),
        policies.remove("ops", **ops.needs, actor=actor),
    ):
        refuses(refused, "“anna” lacks policy.write in team ops")
    assert [row[0] for verb in ("policy-apply", "policy-plan", "policy-remove") for row in ops.audit(verb)] == [
        "refused"
    ] * 3


def test_an_owner_of_another_team_is_refused(ops: World, refuses: Refuses) -> None:
    teams.add("dev", plan="mfa", **ops.needs)
    user = ops.enrolled("olga")[0]
    teams.add_member("dev", user, role="owner", **ops.needs)
    olga = Person(ops.user_id(user), "olga")
    refuses(policies.apply("ops", NOBODY, **ops.needs, actor=olga), "policy.write in team ops")
    refuses(policies.show("ops", **ops.needs, actor=olga), "members.view in team ops")


def test_a_permission_beyond_the_role_suffices(ops: World) -> None:
    actor = _member(ops, "anna", "admin", enrolled=True, permissions=("policy.write",))
    _apply(ops, EVERYBODY, actor=actor)


# What can't be understood


def test_a_text_with_anything_wrong_changes_nothing_and_names_every_line(ops: World, refuses: Refuses) -> None:
    _apply(ops, NOBODY)
    text = 'mode = "enfroce"\n[[require]]\nrole = ["member"]\nevery = "12"\n'
    for refused in (policies.apply("ops", text, **ops.needs), policies.plan("ops", text, **ops.needs)):
        refuses(refused, "line 1: ")
        refuses(refused, "line 3: There is no “role” in [[require]]; did you mean “roles”?")
        refuses(refused, "line 4: ")
    assert _show(ops).text == NOBODY


@pytest.mark.parametrize("text", ["", " \n\t\n"])
def test_an_empty_text_is_refused_since_it_could_mean_both(ops: World, refuses: Refuses, text: str) -> None:
    refuses(policies.apply("ops", text, **ops.needs), "preset:voluntary")


def test_what_another_program_wrote_wrongly_means_everybody_and_is_told_with_its_line(ops: World) -> None:
    with ops.app.database.writing() as connection:
        connection.execute(update(schema.teams).values(policy="require = []\nmodus = 'report'\n"))
    shown = _show(ops)
    assert shown.policy == T0
    assert [complaint.partition(":")[0] for complaint in shown.complaints] == ["line 2"]
    assert _plan(ops, NOBODY).before == T0


# Two administrators at once


def test_whoever_planned_against_an_older_version_is_refused(ops: World, refuses: Refuses) -> None:
    planned = _plan(ops, EVERYBODY).team.policy_version
    _apply(ops, NOBODY, expected=planned)
    refuses(policies.apply("ops", EVERYBODY, expected=planned, **ops.needs), "it has version 1 now")
    refuses(policies.remove("ops", expected=planned, **ops.needs), "it has version 1 now")
    assert (_show(ops).text, _show(ops).version) == (NOBODY, 1)


def test_of_two_administrators_at_once_one_is_refused(ops: World) -> None:
    together = threading.Barrier(2)
    results: list[object] = []

    def apply(text: str) -> None:
        together.wait(10)
        results.append(policies.apply("ops", text, expected=0, **ops.needs))

    threads = [threading.Thread(target=apply, args=(text,)) for text in (EVERYBODY, REPORT)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(type(result).__name__ for result in results) == ["Applied", "Refusal"]
    assert sorted(row[0] for row in ops.audit("policy-apply")) == ["done", "refused"]
    assert _show(ops).version == 1


# Plans (E8)


def test_a_team_whose_plan_lacks_mfa_has_no_policy_and_says_why(world: World, refuses: Refuses) -> None:
    teams.add("ops", plan="no-mfa", **world.needs)
    refuses(policies.apply("ops", EVERYBODY, **world.needs), "radiusd-mfa team plan ops mfa")
    planned = _plan(world, EVERYBODY)
    assert "without MFA" in planned.objections[0]
    assert planned.before.rules == ()


def test_a_team_that_has_a_policy_keeps_its_mfa(ops: World, refuses: Refuses) -> None:
    _apply(ops, NOBODY)
    refuses(teams.set_plan("ops", "no-mfa", **ops.needs), "radiusd-mfa policy remove ops")
    policies.remove("ops", **ops.needs)
    assert not isinstance(teams.set_plan("ops", "no-mfa", **ops.needs), Refusal)


def test_who_is_only_in_teams_without_mfa_sets_up_nothing_and_is_told_why(world: World, refuses: Refuses) -> None:
    user = world.user()
    for name in ("ops", "dev"):
        teams.add(name, plan="no-mfa", **world.needs)
        teams.add_member(name, user, role="member", **world.needs)
    needs = {**world.needs, "entropy": world.app.entropy}
    refuses(enrol.start(user, label="", issuer="test", **needs), "the plans of teams dev, ops are without MFA")
    assert world.count(schema.methods) == 0
    teams.set_plan("dev", "mfa", **world.needs)
    world.start(user)


def test_a_policy_that_another_program_wrote_holds_whatever_the_plan_says(world: World) -> None:
    teams.add("ops", plan="no-mfa", **world.needs)
    user = world.user()
    teams.add_member("ops", user, role="member", **world.needs)
    with world.app.database.writing() as connection:
        connection.execute(update(schema.teams).values(policy=EVERYBODY))
    assert _show(world).policy.matching("member", "vpn")
    world.start(user)  # and then nobody must be kept from setting up what is asked for


def test_without_a_team_a_second_factor_is_everybodys_own_business(world: World) -> None:
    user = world.user()
    found = world.app.administration.view(lambda books: books.people.find(user.text))
    assert found is not None
    assert world.app.administration.view(lambda books: plans.refuse_set_up(found, books)) is None


# What a plan tells


def _by_role(planned: Planned) -> dict[str, RoleEffect]:
    return {each.role: each for each in planned.effects}


def test_a_plan_changes_nothing(ops: World) -> None:
    _plan(ops, EVERYBODY)
    assert (_show(ops).text, _show(ops).version) == (None, 0)
    assert ops.count(schema.policies) == 0


def test_a_plan_names_who_must_set_up_a_second_factor(ops: World) -> None:
    _member(ops, "olga", "owner", enrolled=True)
    for name in ("max", "mia"):
        _member(ops, name, "member")
    _member(ops, "gone", "member")
    people.disable(Username.parse("gone"), **ops.needs)
    found = _by_role(_plan(ops, '[[require]]\nroles = ["owner", "member"]\nsurfaces = ["vpn"]\n'))
    assert (found["owner"].members, found["owner"].ready, found["owner"].must_enrol) == (1, 1, [])
    assert (found["member"].members, found["member"].must_enrol) == (2, ["max", "mia"])
    assert _by_role(_plan(ops, '[[require]]\nroles = ["admin"]\n'))["member"].must_enrol == []


def test_a_report_only_counts(ops: World) -> None:
    _member(ops, "mia", "member")
    effect = _by_role(_plan(ops, REPORT))["member"]
    assert (list(effect.must_enrol), effect.reported) == ([], ["mia"])


def test_who_has_until_a_date_is_told_apart_and_who_had_one_before_has_no_time(ops: World) -> None:
    _member(ops, "mia", "member")
    _member(ops, "max", "member", enrolled=True)
    with ops.app.database.writing() as connection:
        connection.execute(schema.methods.delete())
    text = f"enrol_by = 2027-01-31\n{EVERYBODY}"
    effect = _by_role(_plan(ops, text))["member"]
    assert (effect.by_date, effect.must_enrol) == (["mia"], ["max"])
    ops.clock.now += 60 * DAY
    assert _by_role(_plan(ops, text))["member"].must_enrol == ["max", "mia"]


# Versions


def test_every_version_is_kept_with_who_applied_it(ops: World, refuses: Refuses) -> None:
    olga = _member(ops, "olga", "owner", enrolled=True)
    _apply(ops, NOBODY)
    _apply(ops, EVERYBODY, actor=olga)
    policies.remove("ops", **ops.needs)
    versions = policies.history("ops", **ops.needs)
    assert not isinstance(versions, Refusal)
    assert [(each.version, each.text, each.actor) for each in versions] == [
        (3, None, "operator"),
        (2, EVERYBODY, "olga"),
        (1, NOBODY, "operator"),
    ]
    assert (_show(ops, 2).text, _show(ops, 2).actor, _show(ops).policy) == (EVERYBODY, "olga", T0)
    refuses(policies.show("ops", 4, **ops.needs), "no version 4")


def test_a_team_without_a_policy_has_none_to_remove_and_is_told_what_that_means(ops: World, refuses: Refuses) -> None:
    refuses(policies.remove("ops", **ops.needs), "everybody in it must give a second factor")


def test_a_long_list_of_names_is_counted() -> None:
    names = [f"user{number}" for number in range(25)]
    assert policies.listed(names).endswith("user19 and 5 more")
    assert policies.listed(names[:20]).endswith("user19")
    assert policies.listed(["evil\x1b[31m"]) == r"evil\x1b[31m"

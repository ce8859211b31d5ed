"""The pages of owners and administrators: what they may see and do, and what is refused and written down."""

from collections.abc import Callable
from typing import Any

import pytest

from radiusd_mfa.core.names import Username
from radiusd_mfa.store import schema
from radiusd_mfa.usecases import teams
from radiusd_mfa.usecases.enrol import Enrolment
from tests.portal.set_ups import counting, has
from tests.support.administered import World
from tests.support.pages import Browser

Browse = Callable[..., Browser]
ASKED = {"preset": "everyone"}


def person(world: World, name: str, role: str, *, team: str = "ops", email: bool = True) -> Enrolment:
    """Add a member with a second factor."""
    user, made, _confirmed = world.enrolled(name)
    _join(world, user, role, team)
    if email:
        with world.app.database.writing() as connection:
            users = schema.users
            connection.execute(users.update().where(users.c.name == name).values(email=f"{name}@example.net"))
    return made


def _join(world: World, user: Username, role: str, team: str = "ops", **more: Any) -> None:
    teams.add(team, plan="mfa", **world.needs)
    teams.add_member(team, user, role=role, **world.needs, **more)


def signed_in(world: World, browser: Browser, name: str, made: Enrolment) -> Browser:
    world.clock.now += 30
    browser.sign_in(name, code=world.code(made))
    assert browser.where == "/profile"
    return browser


def outcomes(world: World, verb: str) -> list[str]:
    return [outcome for outcome, _detail in world.audit(verb)]


@pytest.fixture
def owner(world: World, browse: Browse) -> Browser:
    made = person(world, "olga", "owner")
    person(world, "alice", "member")
    return signed_in(world, browse(), "olga", made)


@pytest.fixture
def member(world: World, browse: Browse) -> Browser:
    made = person(world, "mia", "member")
    person(world, "alice", "member")
    return signed_in(world, browse(), "mia", made)


@pytest.mark.parametrize(
    "path", ["/teams/ops", "/teams/ops/policy", "/teams/ops/members/alice/reset", "/teams/ops/members/alice/disable"]
)
def test_a_member_without_the_permission_sees_nothing_of_the_others(member: Browser, path: str) -> None:
    page = member.open(path)
    assert page.status_code == 422
    assert "members.view" in member.text
    assert "alice" not in member.text


def test_a_stranger_learns_not_even_whether_there_is_such_a_team(world: World, member: Browser) -> None:
    teams.add("secret", plan="mfa", **world.needs)
    texts = []
    for name in ("secret", "secreT"):
        member.open(f"/teams/{name}")
        texts.append(member.text.replace(name, ""))
    assert texts[0] == texts[1]


@pytest.mark.parametrize(
    ("path", "fields", "verb"),
    [
        ("/teams/ops/members/alice/reset", {}, "mfa-reset-link"),
        ("/teams/ops/members/alice/disable", {"sure": "yes"}, "mfa-disable"),
        ("/teams/ops/policy", {"preset": "voluntary", "version": "0"}, "policy-apply"),
    ],
)
def test_a_member_can_do_nothing_to_others(
    world: World, member: Browser, path: str, fields: dict[str, str], verb: str
) -> None:
    member.open("/teams")
    page = member.send(path, **fields)
    assert page.status_code == 422
    assert "done" not in outcomes(world, verb)
    assert outcomes(world, "member-list") == ["refused"]
    assert counting(world) == 1


def test_an_owner_sees_who_has_a_second_factor(world: World, owner: Browser) -> None:
    _join(world, world.user("bob"), "member")
    owner.open("/teams/ops")
    assert "alice member Set up" in owner.text
    assert "bob member Missing" in owner.text


def test_a_reset_mails_a_link_and_shows_it_to_nobody_else(world: World, owner: Browser) -> None:
    owner.open("/teams/ops/members/alice/reset")
    owner.send("/teams/ops/members/alice/reset")
    assert "gets a mail" in owner.text
    assert "/reset/" not in owner.page.text
    assert world.count(schema.links, used_at=None) == 1
    assert world.count(schema.outbox, recipient="alice@example.net", kind="reset-link") == 1
    assert outcomes(world, "mfa-reset-link") == ["done"]
    assert counting(world) == 1


def test_a_member_without_a_mail_address_can_get_no_link(world: World, owner: Browser) -> None:
    person(world, "bob", "member", email=False)
    owner.open("/teams/ops/members/bob/reset")
    owner.send("/teams/ops/members/bob/reset")
    assert "no mail address" in owner.text


def test_taking_a_second_factor_away_must_be_confirmed(world: World, owner: Browser) -> None:
    owner.open("/teams/ops/members/alice/disable")
    page = owner.send("/teams/ops/members/alice/disable")
    assert page.status_code == 422
    assert counting(world) == 1
    owner.send("/teams/ops/members/alice/disable", sure="yes")
    assert owner.where == "/teams/ops"
    assert has(world).methods == []


def test_an_administrator_does_not_touch_an_owner(world: World, browse: Browse) -> None:
    person(world, "olga", "owner")
    made = person(world, "adam", "admin")
    admin = signed_in(world, browse(), "adam", made)
    admin.open("/teams/ops/members/olga/reset")
    page = admin.send("/teams/ops/members/olga/reset")
    assert page.status_code == 422
    assert "owner" in admin.text
    assert outcomes(world, "mfa-reset-link") == ["refused"]


def test_whoever_is_in_another_team_too_is_not_reset_by_one_of_them(world: World, owner: Browser) -> None:
    _join(world, Username.parse("alice"), "member", "other")
    owner.open("/teams/ops/members/alice/disable")
    owner.send("/teams/ops/members/alice/disable", sure="yes")
    assert "in team other" in owner.text
    assert counting(world) == 1


def test_everyone_is_forced_after_the_plan_was_seen(world: World, owner: Browser) -> None:
    _join(world, world.user("bob"), "member")
    owner.open("/teams/ops/policy/plan?preset=voluntary")
    owner.send("/teams/ops/policy")
    assert owner.where == "/teams/ops"
    owner.open("/teams/ops/policy")
    owner.open("/teams/ops/policy/plan?preset=everyone")
    assert "Must set up a second factor at the next sign-in: bob" in owner.text
    owner.send("/teams/ops/policy")
    assert owner.where == "/teams/ops"
    assert outcomes(world, "policy-apply") == ["done", "done"]


def test_a_plan_that_somebody_was_faster_than_is_not_applied(world: World, owner: Browser) -> None:
    owner.open("/teams/ops/policy/plan?preset=everyone")
    form = owner.hidden
    owner.send("/teams/ops/policy")
    page = owner.client.post("/teams/ops/policy", data=form)
    assert page.status_code == 422
    assert "changed meanwhile" in page.text
    assert outcomes(world, "policy-apply") == ["refused", "done"]


def test_an_owner_without_an_own_second_factor_forces_nobody(world: World, browser: Browser) -> None:
    user = world.user("olga")
    _join(world, user, "owner")
    with world.app.database.writing() as connection:
        connection.execute(schema.teams.update().values(policy="require = []\n", policy_version=1))
    browser.sign_in("olga")
    assert browser.where == "/profile"
    browser.open("/teams/ops/policy/plan?preset=everyone")
    assert "has no second factor" in browser.text
    page = browser.send("/teams/ops/policy", preset="everyone", version="1", code="123456")
    assert page.status_code >= 400
    assert "done" not in outcomes(world, "policy-apply")


@pytest.mark.parametrize(("what", "fields"), [("disable", {"sure": "yes"}), ("reset", {})])
def test_an_own_role_does_not_stand_in_for_the_own_code(
    world: World, owner: Browser, what: str, fields: dict[str, str]
) -> None:
    """X1, X2: to take the own second factor away needs a current code, for an owner as for everybody."""
    with world.app.database.writing() as connection:
        connection.execute(schema.teams.update().values(policy="require = []\n", policy_version=1))
    path = f"/teams/ops/members/olga/{what}"
    assert owner.open(path).status_code == 422
    owner.open("/teams")
    assert owner.send(path, **fields).status_code == 422
    assert counting(world, Username.parse("olga")) == 1
    assert world.count(schema.links) == 0


def test_whoever_signed_in_without_a_code_gives_one_before_deciding_about_others(world: World, browse: Browse) -> None:
    """Within a period the password alone signs in; to act upon others is more than that."""
    made = person(world, "olga", "owner")
    person(world, "alice", "member")
    with world.app.database.writing() as connection:
        connection.execute(schema.teams.update().values(policy='[[require]]\nevery = "12h"\n', policy_version=1))
    signed_in(world, browse(), "olga", made)
    owner = browse()
    owner.sign_in("olga")
    assert owner.where == "/profile"
    path = "/teams/ops/members/alice/disable"
    owner.open(path)
    assert "Your own code" in owner.text
    assert owner.send(path, sure="yes", code="000000").status_code == 422
    assert owner.send(path, sure="yes").status_code == 422
    assert counting(world) == 1
    world.clock.now += 30
    owner.send(path, sure="yes", code=world.code(made))
    assert has(world).methods == []


def test_a_code_decides_what_its_form_said_and_nothing_else(world: World, browse: Browse) -> None:
    made = person(world, "olga", "owner")
    with world.app.database.writing() as connection:
        connection.execute(schema.teams.update().values(policy='[[require]]\nevery = "12h"\n', policy_version=1))
    signed_in(world, browse(), "olga", made)
    owner = browse()
    owner.sign_in("olga")
    owner.open("/teams/ops/policy/plan?preset=everyone")
    world.clock.now += 30
    form = owner.hidden | {"code": world.code(made)}
    assert owner.client.post("/teams/ops/policy", data=form).status_code == 303
    again = owner.client.post("/teams/ops/policy", data=form | {"preset": "voluntary", "version": "2"})
    assert again.status_code == 422

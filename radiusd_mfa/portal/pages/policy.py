"""A team's policy: what it means, what another one would change, and the switch that forces everyone (T4, T6)."""

from starlette.responses import Response
from starlette.routing import Route

from radiusd_mfa.core.policy import ROLES, SURFACES
from radiusd_mfa.core.policy_words import difference, moment, sentences
from radiusd_mfa.portal.pages.teams import page_of
from radiusd_mfa.portal.presets import EVERYONE, NOBODY, all_presets
from radiusd_mfa.portal.proof import asks, undecided
from radiusd_mfa.portal.routing import SIGNED_IN, get, post
from radiusd_mfa.portal.visit import Visit, for_people
from radiusd_mfa.usecases import policies
from radiusd_mfa.usecases.changes import Refusal
from radiusd_mfa.usecases.permissions import Permission
from radiusd_mfa.usecases.policies import Planned, listed
from radiusd_mfa.usecases.policy_effects import RoleEffect, grid


def routes() -> list[Route]:
    """Return the paths of this subject."""
    return [
        get("/teams/{team}/policy", _show, seen_by=SIGNED_IN),
        get("/teams/{team}/policy/plan", _plan, seen_by=SIGNED_IN),
        post("/teams/{team}/policy", _apply, seen_by=SIGNED_IN),
    ]


async def _show(visit: Visit) -> Response:
    page, app = await page_of(visit), visit.site.app
    found = await visit.run(
        policies.show, page.team.name, store=app.administration, clock=app.clock, actor=visit.person
    )
    shown = visit.granted(found, back=f"/teams/{page.team.name}")
    presets = [each for each in all_presets().values() if each.name not in (EVERYONE, NOBODY)]
    return visit.render(
        "policy.html",
        page=page,
        shown=shown,
        means=sentences(shown.policy),
        grid=grid(shown.policy),
        roles=ROLES,
        surfaces=SURFACES,
        presets=presets,
        everyone=EVERYONE,
        nobody=NOBODY,
        may_write=Permission.POLICY_WRITE in page.mine.may,
    )


async def _planned(visit: Visit, name: str) -> tuple[Planned, str]:
    page, app = await page_of(visit), visit.site.app
    back = f"/teams/{page.team.name}/policy"
    preset = all_presets().get(name)
    chosen = visit.granted(preset or Refusal("There is no such policy to choose."), back=back)
    planned = await visit.run(
        policies.plan,
        page.team.name,
        chosen.text,
        store=app.administration,
        clock=app.clock,
        actor=visit.person,
    )
    return visit.granted(planned, back=back), chosen.text


async def _plan(visit: Visit) -> Response:
    return await _plan_page(visit, visit.request.query_params.get("preset", ""), "")


async def _plan_page(visit: Visit, name: str, problem: str, status: int = 200) -> Response:
    planned, text = await _planned(visit, name)
    return visit.render(
        "policy_plan.html",
        status,
        team=planned.team,
        preset=all_presets()[name],
        text=text,
        changes=difference(planned.before, planned.after),
        before=grid(planned.before),
        after=grid(planned.after),
        roles=ROLES,
        surfaces=SURFACES,
        effects=[(effect, _told(effect, planned)) for effect in planned.effects],
        objections=[for_people(each) for each in planned.objections],
        problem=problem,
        **await asks(visit),
    )


def _told(effect: RoleEffect, planned: Planned) -> list[str]:
    """Say whom a policy reaches who has nothing to be asked for yet."""
    said = []
    if effect.must_enrol:
        said.append(f"Must set up a second factor at the next sign-in: {listed(effect.must_enrol)}")
    if effect.by_date and planned.after.enrol_by is not None:
        said.append(f"Must set one up until {moment(planned.after.enrol_by)}: {listed(effect.by_date)}")
    if effect.reported:
        said.append(f"Would have to set one up, and are only counted: {listed(effect.reported)}")
    return said


async def _apply(visit: Visit) -> Response:
    """Give the team the policy that was planned, unless another one was applied since then."""
    name, version = visit.form.get("preset", ""), visit.form.get("version", "")
    planned, text = await _planned(visit, name)
    if not (version.isascii() and version.isdigit() and len(version) < 10):  # noqa: PLR2004 - digits
        return await _plan_page(visit, name, "Please look at the plan once more.", 422)
    refusal = await undecided(visit)
    if refusal is not None:
        return await _plan_page(visit, name, refusal.sentence, 422)
    app = visit.site.app
    done = await visit.run(
        policies.apply,
        planned.team.name,
        text,
        expected=int(version),
        store=app.administration,
        clock=app.clock,
        actor=visit.person,
    )
    if isinstance(done, Refusal):
        return await _plan_page(visit, name, for_people(done.sentence), 422)
    return visit.go(f"/teams/{planned.team.name}?done=policy")

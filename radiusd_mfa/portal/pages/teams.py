"""The teams of owners and administrators: who has a second factor, reset a member, take one's second factor away."""

from functools import partial
from typing import Final

from starlette.responses import Response
from starlette.routing import Route

from radiusd_mfa.core.names import NameProblem, Username, escaped
from radiusd_mfa.portal.proof import asks, undecided
from radiusd_mfa.portal.routing import SIGNED_IN, get, post
from radiusd_mfa.portal.visit import Visit
from radiusd_mfa.usecases import removal, reset, team_pages
from radiusd_mfa.usecases.changes import Refusal
from radiusd_mfa.usecases.permissions import Permission
from radiusd_mfa.usecases.team_pages import Mine, Seen, TeamPage

_RESET: Final = "member_reset.html"
_DISABLE: Final = "member_disable.html"
_OWN = Refusal(
    "This is yourself: your own second factor is looked after on your own page, where a current code is asked for."
)


def routes() -> list[Route]:
    """Return the paths of this subject."""
    member = "/teams/{team}/members/{user:path}"
    return [
        get("/teams", _list, seen_by=SIGNED_IN),
        get("/teams/{team}", _show, seen_by=SIGNED_IN),
        get(f"{member}/reset", partial(_member_page, template=_RESET), seen_by=SIGNED_IN),
        post(f"{member}/reset", _reset, seen_by=SIGNED_IN),
        get(f"{member}/disable", partial(_member_page, template=_DISABLE), seen_by=SIGNED_IN),
        post(f"{member}/disable", _disable, seen_by=SIGNED_IN),
    ]


async def page_of(visit: Visit) -> TeamPage:
    """Read the team of the path; whoever may not see it is told so."""
    app = visit.site.app
    found = await visit.run(
        team_pages.show,
        visit.request.path_params["team"],
        store=app.administration,
        clock=app.clock,
        actor=visit.person,
    )
    return visit.granted(found, back="/teams")


async def _list(visit: Visit) -> Response:
    places = await visit.run(team_pages.mine, visit.person, store=visit.site.app.administration)
    return visit.render("teams.html", places=[(place, _sees(place)) for place in places])


def _sees(place: Mine) -> bool:
    return Permission.MEMBERS_VIEW in place.may


async def _show(visit: Visit) -> Response:
    page = await page_of(visit)
    told = {"policy": "The policy holds from now on.", "disabled": "The second factor is gone."}
    said = told.get(visit.request.query_params.get("done", ""), "")
    return visit.render("team.html", page=page, permission=Permission, said=said)


async def _member(visit: Visit, page: TeamPage) -> Seen:
    name = visit.request.path_params["user"]
    if name == visit.who.row.user:  # an own role must not stand in for the code that X1 and X2 ask for
        visit.instead(visit.refuse(_OWN, back="/profile"))
    found = next((each for each in page.members if each.standing.user == name), None)
    missing = Refusal(f"“{escaped(name)}” is not in team “{page.team.name}”.")
    return visit.granted(found or missing, back=f"/teams/{page.team.name}")


def _name(seen: Seen, visit: Visit) -> Username:
    try:
        return Username.parse(seen.standing.user)
    except NameProblem as problem:  # other programs write names, too
        visit.instead(visit.refuse(Refusal(str(problem)), back="/teams"))


async def _member_page(visit: Visit, template: str, problem: str = "", status: int = 200) -> Response:
    """Ask about what is to be done to one member."""
    page = await page_of(visit)
    seen = await _member(visit, page)
    return visit.render(template, status, page=page, seen=seen, problem=problem, **await asks(visit))


async def _reset(visit: Visit) -> Response:
    """Mail a link to a member; the old method works until a new one is confirmed (X3)."""
    page = await page_of(visit)
    name = _name(await _member(visit, page), visit)
    refusal = await undecided(visit)
    if refusal is not None:
        return await _member_page(visit, _RESET, refusal.sentence, 422)
    app, back = visit.site.app, f"/teams/{page.team.name}"
    made = await visit.run(
        reset.invite,
        name,
        store=app.administration,
        clock=app.clock,
        entropy=app.entropy,
        portal_url=visit.site.place.url,
        actor=visit.person,
    )
    invitation = visit.granted(made, back=back)
    if not invitation.mailed:
        sentence = f"“{escaped(name.text)}” has no mail address, so nobody got the link. The operator can add one."
        return visit.refuse(Refusal(sentence), back=back)
    sentence = (
        f"“{escaped(name.text)}” gets a mail with a link that is good for an hour, once. What was set up before works "
        "until a new one is confirmed."
    )
    return visit.render("message.html", title="A mail is on its way", sentence=sentence, back=back)


async def _disable(visit: Visit) -> Response:
    """Take a member's second factor away, after it was confirmed that this is meant (X4)."""
    page = await page_of(visit)
    name = _name(await _member(visit, page), visit)
    if visit.form.get("sure") != "yes":
        return await _member_page(visit, _DISABLE, "Please confirm that this is meant.", 422)
    refusal = await undecided(visit)
    if refusal is not None:
        return await _member_page(visit, _DISABLE, refusal.sentence, 422)
    app, back = visit.site.app, f"/teams/{page.team.name}"
    done = await visit.run(removal.disable, name, store=app.administration, clock=app.clock, actor=visit.person)
    visit.granted(done, back=back)
    return visit.go(f"{back}?done=disabled")

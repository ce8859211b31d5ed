"""Somebody's own page: methods and backup codes, and what may be done to them."""

import time
from typing import Final

from starlette.responses import Response
from starlette.routing import Route

from radiusd_mfa.portal.pages.set_up import show_new_codes, show_seed
from radiusd_mfa.portal.pages.sign_in import refused
from radiusd_mfa.portal.proof import asks, claimed, needs_code, undecided, unproved
from radiusd_mfa.portal.routing import SIGNED_IN, get, post
from radiusd_mfa.portal.visit import Visit
from radiusd_mfa.usecases import codes, naming, removal, reset
from radiusd_mfa.usecases.admin_ports import MethodSummary
from radiusd_mfa.usecases.changes import Refusal
from radiusd_mfa.usecases.naming import label_of
from radiusd_mfa.usecases.own import Own, own
from radiusd_mfa.usecases.portal_ports import Stage
from radiusd_mfa.usecases.removal import Removed

DONE: Final = {
    "added": "Your second factor is set up. From now on you are asked for its code.",
    "recorded": "Your backup codes are recorded.",
    "renamed": "The name is changed.",
    "default": "This one is asked for first now.",
    "deleted": "The method is deleted. Remove its entry from your authenticator app too: its codes are worthless now.",
    "disabled": "Your second factor is gone. Remove its entry from your authenticator app too.",
    "forgotten": "Forgotten: everywhere a code is due at the next sign-in, and no other page is signed in.",
}
"""What is said after something was done; a page is told by its name, so that nobody else's words get in."""


def routes() -> list[Route]:
    """Return the paths of this subject."""
    one = "/profile/methods/{method:int}"
    return [
        get("/profile", _show, seen_by=SIGNED_IN),
        get(one, _show_method, seen_by=SIGNED_IN),
        post(f"{one}/rename", _rename, seen_by=SIGNED_IN),
        post(f"{one}/default", _make_default, seen_by=SIGNED_IN),
        post(f"{one}/reset", _reset, seen_by=SIGNED_IN),
        post(f"{one}/delete", _delete, seen_by=SIGNED_IN),
        get("/profile/codes", _ask_codes, seen_by=SIGNED_IN),
        post("/profile/codes", _make_codes, seen_by=SIGNED_IN),
        post("/profile/codes/reveal", _reveal_codes, seen_by=SIGNED_IN),
        get("/profile/disable", _ask_disable, seen_by=SIGNED_IN),
        post("/profile/disable", _disable, seen_by=SIGNED_IN),
    ]


def said(visit: Visit) -> str:
    """Return what is to be said of the page before."""
    return DONE.get(visit.request.query_params.get("done", ""), "")


async def looked(visit: Visit) -> Own:
    """Read what somebody has set up."""
    found = await visit.run(own, visit.name, store=visit.site.app.administration)
    return visit.granted(found, back="/")


async def _show(visit: Visit) -> Response:
    return visit.render(
        "profile.html",
        own=await looked(visit),
        said=said(visit),
        enrol_by=visit.who.carries.get("enrol_by"),
    )


async def _method(visit: Visit) -> MethodSummary:
    number = int(visit.request.path_params["method"])
    found = next((each for each in (await looked(visit)).methods if each.id == number), None)
    return visit.granted(found or Refusal("You have no such method."), back="/profile")


async def _show_method(visit: Visit) -> Response:
    return await _method_page(visit, "")


async def _method_page(visit: Visit, problem: str, status: int = 200) -> Response:
    method = await _method(visit)
    everything = await looked(visit)
    asked = await asks(visit, always=True)
    return visit.render("method.html", status, method=method, own=everything, problem=problem, **asked)


async def _rename(visit: Visit) -> Response:
    method, app = await _method(visit), visit.site.app
    label = label_of(visit.form.get("label", ""))
    done = await visit.run(
        naming.rename,
        visit.name,
        method.id,
        label,
        store=app.administration,
        clock=app.clock,
        actor=visit.person,
    )
    visit.granted(done, back="/profile")
    return visit.go("/profile?done=renamed")


async def _make_default(visit: Visit) -> Response:
    method, app = await _method(visit), visit.site.app
    done = await visit.run(
        naming.make_default, visit.name, method.id, store=app.administration, clock=app.clock, actor=visit.person
    )
    visit.granted(done, back="/profile")
    return visit.go("/profile?done=default")


async def _reset(visit: Visit) -> Response:
    """Show a new seed after a current code; the old one works until the new one is confirmed (X1)."""
    method, app = await _method(visit), visit.site.app
    refusal = await unproved(visit)
    if refusal is not None:
        return await _method_page(visit, refusal.sentence, 422)
    made = await visit.run(
        reset.own,
        visit.name,
        method.id,
        label=method.label,
        issuer=app.config.issuer,
        store=app.administration,
        clock=app.clock,
        entropy=app.entropy,
        actor=visit.person,
    )
    return show_seed(visit, visit.granted(made, back="/profile"))


async def _delete(visit: Visit) -> Response:
    """Delete a method after a current code (X2)."""
    method, app = await _method(visit), visit.site.app
    refusal = await unproved(visit)
    if refusal is not None:
        return await _method_page(visit, refusal.sentence, 422)
    done = await visit.run(
        removal.delete, visit.name, method.id, store=visit.books, clock=app.clock, actor=visit.person
    )
    visit.granted(done, back="/profile")
    return await _go_on(visit, "/profile?done=deleted")


async def _go_on(visit: Visit, path: str, stage: Stage = Stage.IN) -> Response:
    """Go on under a new secret after a change that ended all sessions of the user."""
    visit.session = await visit.run(visit.sessions.renew, visit.who, stage)
    return visit.go(path)


async def _ask_codes(visit: Visit) -> Response:
    if visit.who.carries.get("codes"):
        return visit.go("/set-up/codes")
    return await _codes_page(visit, "")


async def _codes_page(visit: Visit, problem: str, status: int = 200) -> Response:
    asked = await asks(visit, always=True)
    return visit.render("codes.html", status, own=await looked(visit), problem=problem, **asked)


async def _make_codes(visit: Visit) -> Response:
    """Make new backup codes after a current code (K3)."""
    everything = await looked(visit)
    if everything.recovered:  # before a code is spent for nothing; what holds is checked again with the change
        return await _codes_page(visit, "", 422)
    refusal = await unproved(visit)
    if refusal is not None:
        return await _codes_page(visit, refusal.sentence, 422)
    app = visit.site.app
    made = await visit.hash(
        codes.regenerate,
        visit.name,
        None,
        store=app.administration,
        hashing=app.hashing,
        clock=app.clock,
        entropy=app.entropy,
        actor=visit.person,
    )
    return await show_new_codes(visit, visit.granted(made, back="/profile").shown, counts=True)


async def _reveal_codes(visit: Visit) -> Response:
    """Show the unused codes again after a current code, where the teams allow it (K5)."""
    refusal = await unproved(visit)
    if refusal is not None:
        return await _codes_page(visit, refusal.sentence, 422)
    app = visit.site.app
    found = await visit.run(
        codes.reveal, visit.name, None, store=app.administration, clock=app.clock, actor=visit.person
    )
    return visit.render("revealed.html", codes=visit.granted(found, back="/profile").shown)


async def _ask_disable(visit: Visit) -> Response:
    return await _disable_page(visit, "")


async def _disable_page(visit: Visit, problem: str, status: int = 200) -> Response:
    return visit.render("disable.html", status, own=await looked(visit), needs_code=needs_code(visit), problem=problem)


async def _disable(visit: Visit) -> Response:
    """Take the own second factor away, with the password alone after a backup code (K4)."""
    began = time.monotonic()
    done = await _disabled(visit)
    if isinstance(done, Refusal):
        await refused(visit, began, "to disable a second factor")
        return await _disable_page(visit, "That did not work.", 422)
    if done.mandatory:  # then the next thing is to set a new one up, as it would be at the next sign-in
        return await _go_on(visit, "/set-up", Stage.SET_UP)
    return await _go_on(visit, "/profile?done=disabled")


async def _disabled(visit: Visit) -> Removed | Refusal:
    app = visit.site.app
    claimant = await claimed(visit)
    if isinstance(claimant, Refusal):
        return claimant
    # K4 is for whoever signed in with a backup code: somebody else's password within a period is none.
    refusal = await undecided(visit)
    if refusal is not None:
        return refusal
    return await visit.run(removal.disable, visit.name, store=visit.books, clock=app.clock, actor=claimant)

"""The link out of a mail: whoever has it and the password sets up a new method in the place of all others (X3).

Mail scanners follow links, so looking at it changes nothing and says nothing of whose it is; the form that is sent
does. The old method works until the new one is confirmed.
"""

import time

from starlette.responses import Response
from starlette.routing import Route

from radiusd_mfa.portal.pages.set_up import FROM_LINK, show_seed
from radiusd_mfa.portal.pages.sign_in import refused
from radiusd_mfa.portal.routing import ANYBODY, get, post
from radiusd_mfa.portal.sessions import Proved
from radiusd_mfa.portal.visit import Visit
from radiusd_mfa.usecases import acting, entering, reset
from radiusd_mfa.usecases.acting import Given
from radiusd_mfa.usecases.actors import Claimant
from radiusd_mfa.usecases.changes import Refusal
from radiusd_mfa.usecases.enrol import Enrolment
from radiusd_mfa.usecases.naming import label_of
from radiusd_mfa.usecases.portal_ports import Stage

REFUSED = Refusal(
    "That did not work. The user name or the password is not right, or the link is not good any more: it is good "
    "once, for one person, within an hour."
)
"""The one answer to a wrong password and to a link that is used, expired or somebody else's."""


def routes() -> list[Route]:
    """Return the paths of this subject."""
    path = f"/{reset.PURPOSE}/{{token}}"
    return [get(path, _ask, seen_by=ANYBODY), post(path, _take, seen_by=ANYBODY)]


async def _ask(visit: Visit) -> Response:
    return _page(visit, "", "")


def _page(visit: Visit, name: str, problem: str, status: int = 200) -> Response:
    path = f"{visit.site.place.base}/{reset.PURPOSE}/{visit.request.path_params['token']}"
    return visit.render("reset.html", status, path=path, name=name, problem=problem)


async def _take(visit: Visit) -> Response:
    began, name = time.monotonic(), visit.form.get("name", "")[:256]
    claimant = await _claimant(visit, name)
    made = claimant if isinstance(claimant, Refusal) else await _redeemed(visit, claimant)
    if isinstance(made, Refusal) or isinstance(claimant, Refusal):
        await refused(visit, began, "a link")
        return _page(visit, name, REFUSED.sentence, 403)
    proved = Proved(claimant.user_id, Stage.SET_UP, FROM_LINK, claimant.granted_to, visit.device)
    visit.session = await visit.run(visit.sessions.begin, proved, visit.session)
    return show_seed(visit, made)


async def _claimant(visit: Visit, name: str) -> Claimant | Refusal:
    user = await visit.run(entering.username, name, visit.site.app.administration)
    if user is None:
        return REFUSED
    given = Given(user, visit.form.get("password", "").encode(), device=visit.device)
    return await visit.hash(acting.prove_password, given, door=visit.site.door)


async def _redeemed(visit: Visit, claimant: Claimant) -> Enrolment | Refusal:
    app = visit.site.app
    return await visit.run(
        reset.redeem,
        claimant,
        visit.request.path_params["token"],
        label=label_of(visit.form.get("label", "")),
        issuer=app.config.issuer,
        store=app.administration,
        clock=app.clock,
        entropy=app.entropy,
    )

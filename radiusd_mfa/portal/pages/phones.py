"""Codes by SMS: a phone that is set up by a code that was sent to it, and codes for whoever is about to give one."""

import re
from typing import Final

from starlette.responses import Response
from starlette.routing import Route

from radiusd_mfa.core.verdict import Reason
from radiusd_mfa.portal.pages.set_up import FROM_LINK, actor_of, explained, missing_code
from radiusd_mfa.portal.pages.sign_in import code_page, place
from radiusd_mfa.portal.routing import MAY_SET_UP, SIGNED_IN, get, post
from radiusd_mfa.portal.visit import Visit, for_people
from radiusd_mfa.usecases import entering, sms
from radiusd_mfa.usecases.acting import Texted
from radiusd_mfa.usecases.changes import Refusal
from radiusd_mfa.usecases.entering import Entered, Next
from radiusd_mfa.usecases.naming import label_of
from radiusd_mfa.usecases.people import ContactProblem, phone_number
from radiusd_mfa.usecases.phone_codes import Sent
from radiusd_mfa.usecases.portal_ports import Stage

_CODE = frozenset((Stage.CODE,))
_INSIDE: Final = re.compile(r"/(?:profile|activity|teams|set-up)(?:[/?][!-~]*)?")
"""A page of ours that asks for a current code."""


def routes() -> list[Route]:
    """Return the paths of this subject."""
    return [
        post("/set-up/sms", _start, seen_by=MAY_SET_UP),
        post("/set-up/sms/again", _send_again, seen_by=MAY_SET_UP),
        get("/set-up/sms", _back, seen_by=MAY_SET_UP),
        post("/sign-in/send", _send, seen_by=_CODE),
        post("/code", _send_current, seen_by=SIGNED_IN),
    ]


async def _back(visit: Visit) -> Response:
    return visit.go("/set-up")


async def _start(visit: Visit) -> Response:
    if visit.who.row.how == FROM_LINK:
        return visit.refuse(Refusal("A link is good once. Ask for a new one."), back="/")
    try:
        number = phone_number(visit.form.get("number", ""))
    except ContactProblem as problem:
        return await explained(visit, str(problem), 422)
    refusal = await missing_code(visit)
    if refusal is not None:
        return await explained(visit, refusal.sentence, 422)
    app = visit.site.app
    sent = await visit.run(
        sms.start,
        visit.name,
        number=number,
        label=label_of(visit.form.get("label", "")),
        post=app.post,
        store=app.administration,
        clock=app.clock,
        actor=actor_of(visit),
    )
    if isinstance(sent, Refusal):
        return await explained(visit, for_people(sent.sentence), 422)
    return _sent_page(visit, sent, "")


def _sent_page(visit: Visit, sent: Sent | None, problem: str, status: int = 200) -> Response:
    return visit.render("set_up_sms.html", status, number=sent.number if sent else "your phone", problem=problem)


async def _send_again(visit: Visit) -> Response:
    app = visit.site.app
    sent = await visit.run(
        sms.send_again,
        visit.name,
        post=app.post,
        store=app.administration,
        clock=app.clock,
        actor=actor_of(visit),
    )
    if isinstance(sent, Refusal):
        return _sent_page(visit, None, for_people(sent.sentence), 422)
    return _sent_page(visit, sent, "")


async def _send(visit: Visit) -> Response:
    """Send a code to the phone of somebody whose password was right a moment ago: it goes to its owner."""
    texted = await _texted(visit)
    if isinstance(texted, Refusal):
        return await code_page(visit, texted.sentence, status=422)
    return await code_page(visit, "", said=texted.sentence)


async def _send_current(visit: Visit) -> Response:
    """Send a code to somebody who is asked for a current one, and show that page again."""
    back = visit.form.get("back", "")
    if _INSIDE.fullmatch(back) is None:  # never where somebody else wants the browser to go (ATTACKS 27)
        back = "/profile"
    texted = await _texted(visit)
    if isinstance(texted, Refusal):
        return visit.refuse(texted, back=back)
    return visit.render("message.html", title="Your code", sentence=texted.sentence, back=back)


async def _texted(visit: Visit) -> Texted | Refusal:
    """Ask for a code as whoever types the word for it at a NAS does."""
    row = visit.who.row
    so_far = Entered(row.user_id, row.user, row.granted_to, Next.CODE, Reason.CODE_DUE)
    return await visit.run(entering.send_code, so_far, place(visit), door=visit.site.door)

"""Set a second factor up: QR code, first code, backup codes, and that they are recorded before anything counts (E3).

The seed is on one page, the answer to the form that asked for it: there is no address under which it could be seen
again (ATTACKS 28).
"""

import time
from collections.abc import Collection
from typing import Final

from markupsafe import Markup
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from radiusd_mfa.core.facts import MethodKind
from radiusd_mfa.core.verdict import Reason
from radiusd_mfa.portal.drawing import grouped_secret, qr_svg
from radiusd_mfa.portal.pages.sign_in import has_phone
from radiusd_mfa.portal.proof import unproved
from radiusd_mfa.portal.routing import MAY_SET_UP, get, post
from radiusd_mfa.portal.visit import Visit, for_people
from radiusd_mfa.usecases import enrol, sms
from radiusd_mfa.usecases.actors import Actor, Claimant
from radiusd_mfa.usecases.changes import Refusal
from radiusd_mfa.usecases.enrol import Confirmed, Enrolment, Overview
from radiusd_mfa.usecases.naming import label_of
from radiusd_mfa.usecases.own import own
from radiusd_mfa.usecases.portal_ports import Stage

FROM_LINK: Final = "link"
"""How a session began that a mailed link has opened."""
_FRESH: Final = 600.0
"""Seconds after a sign-in with a code in which no other one is asked for to add a method."""
_CLOCKS: Final = 30.0
"""Seconds by which the clocks of two nodes may differ."""
_WITH_A_CODE: Final = (Reason.TOTP.value, Reason.SMS.value, Reason.BACKUP_CODE.value)


def routes() -> list[Route]:
    """Return the paths of this subject."""
    return [
        get("/set-up", _explain, seen_by=MAY_SET_UP),
        post("/set-up", _start, seen_by=MAY_SET_UP),
        post("/set-up/code", _take_code, seen_by=MAY_SET_UP),
        get("/set-up/codes", _show_codes, seen_by=MAY_SET_UP),
        get("/set-up/codes.txt", _download_codes, seen_by=MAY_SET_UP),
        post("/set-up/done", _take_acknowledgement, seen_by=MAY_SET_UP),
    ]


def actor_of(visit: Visit) -> Actor | Claimant:
    """Return who sets up: somebody signed in, or somebody who has given no more than a password."""
    row = visit.who.row
    return visit.person if row.stage is Stage.IN else Claimant(row.user_id, row.user, row.granted_to)


def show_seed(visit: Visit, made: Enrolment) -> Response:
    """Return the one page on which a seed is shown."""
    return visit.render(
        "set_up_scan.html",
        qr=Markup(qr_svg(made.uri)),  # noqa: S704 - drawn by us: paths and numbers, no text of anybody's
        secret=grouped_secret(made.uri),
        uri=made.uri,
        problem="",
    )


async def show_new_codes(visit: Visit, codes: list[str], *, counts: bool, method: int | None = None) -> Response:
    """Send the browser to the page that shows fresh backup codes, until they are acknowledged.

    Where they don't count yet, `method` is the one that counts with them.
    """
    carried = {"codes": codes, "counts": counts, "method": method, "at": visit.site.app.clock()}
    await visit.run(visit.sessions.carry, visit.who, carried)
    return visit.go("/set-up/codes")


async def _explain(visit: Visit) -> Response:
    if visit.who.carries.get("codes"):
        return visit.go("/set-up/codes")
    return await explained(visit, "")


async def explained(visit: Visit, problem: str, status: int = 200) -> Response:
    """Return the page that says what is to come."""
    overview = await _overview(visit)
    needs_code, offered = _needs_code(visit, overview), await _offered(visit)
    return visit.render(
        "set_up.html",
        status,
        problem=problem,
        others=[method for method in overview.methods if method.confirmed],
        needs_code=needs_code,
        texts=needs_code and await has_phone(visit),
        by_link=visit.who.row.how == FROM_LINK,
        by_app=MethodKind.TOTP in offered,
        by_sms=MethodKind.SMS in offered,
    )


async def _offered(visit: Visit) -> Collection[MethodKind]:
    """Return what can be set up and would count, for all that can be said."""
    found = await visit.run(own, visit.name, store=visit.site.app.administration)
    allowed = frozenset() if isinstance(found, Refusal) else found.asked.allow
    kinds = allowed or {MethodKind.TOTP}
    return kinds if visit.site.app.config.sends_sms else kinds - {MethodKind.SMS}


async def _overview(visit: Visit) -> Overview:
    app = visit.site.app
    # The operator's eyes: it is one's own account, and a look is not worth an audit row.
    found = await visit.run(enrol.show, visit.name, store=app.administration, clock=app.clock)
    return visit.granted(found, back="/")


def _needs_code(visit: Visit, overview: Overview) -> bool:
    row = visit.who.row
    if row.stage is not Stage.IN or not any(method.confirmed for method in overview.methods):
        return False
    is_fresh = 0 <= visit.site.app.clock() - row.created_at < _FRESH
    return not (is_fresh and row.how in _WITH_A_CODE)


async def missing_code(visit: Visit) -> Refusal | None:
    """Take the code of the form where one is due before another method is added; say what is wrong with it."""
    return await unproved(visit, backup_codes=True) if _needs_code(visit, await _overview(visit)) else None


async def _start(visit: Visit) -> Response:
    if visit.who.row.how == FROM_LINK:
        # A link sets up one method in the place of all: what begins anew without it would stand beside the old one.
        return visit.refuse(Refusal("A link is good once. Ask for a new one."), back="/")
    refusal = await missing_code(visit)
    if refusal is not None:
        return await explained(visit, refusal.sentence, 422)
    app = visit.site.app
    made = await visit.run(
        enrol.start,
        visit.name,
        label=label_of(visit.form.get("label", "")),
        issuer=app.config.issuer,
        store=app.administration,
        clock=app.clock,
        entropy=app.entropy,
        actor=actor_of(visit),
    )
    return show_seed(visit, visit.granted(made, back="/"))


async def _take_code(visit: Visit) -> Response:
    if await _begun_before(visit):
        problem = "This set-up was begun before you signed in."
        return visit.render("set_up_over.html", 422, problem=problem, by_link=False)
    confirmed = await visit.hash(_confirm, visit, visit.form.get("code", "")[:32])
    if isinstance(confirmed, Refusal):
        return await _not_confirmed(visit, confirmed)
    if confirmed.codes is not None:
        return await show_new_codes(visit, confirmed.codes.shown, counts=confirmed.counts, method=confirmed.method)
    return await _counted(visit)


async def _begun_before(visit: Visit) -> bool:
    """Whether what waits was begun in an earlier session: the code that was given for it there was not given here."""
    row = visit.who.row
    methods = (await _overview(visit)).methods
    return row.stage is Stage.IN and any(
        not each.confirmed and each.added < row.created_at - _CLOCKS for each in methods
    )


def _confirm(visit: Visit, code: str) -> Confirmed | Refusal:
    """Take the first code of whatever waits for one; blocking."""
    app, actor = visit.site.app, actor_of(visit)
    store, hashing, clock = visit.books, app.hashing, app.clock
    if sms.waits(visit.name, store=store):
        return sms.confirm(
            visit.name,
            code.replace(" ", ""),
            post=app.post,
            store=store,
            hashing=hashing,
            clock=clock,
            actor=actor,
            recorded_first=True,
        )
    return enrol.confirm(
        visit.name,
        code,
        store=store,
        hashing=hashing,
        clock=clock,
        entropy=app.entropy,
        actor=actor,
        recorded_first=True,
    )


async def _not_confirmed(visit: Visit, refusal: Refusal) -> Response:
    waiting = any(not method.confirmed for method in (await _overview(visit)).methods)
    template = "set_up_again.html" if waiting else "set_up_over.html"
    return visit.render(template, 422, problem=for_people(refusal.sentence), by_link=visit.who.row.how == FROM_LINK)


async def _counted(visit: Visit) -> Response:
    """Go on under a new secret: a method counts now, and whatever was replaced took its sessions along."""
    how = Reason.TOTP.value if visit.who.row.stage is Stage.SET_UP else None
    visit.session = await visit.run(visit.sessions.renew, visit.who, Stage.IN, how)
    return visit.go("/profile?done=added")


async def _show_codes(visit: Visit) -> Response:
    return _codes_page(visit, "")


def _codes_page(visit: Visit, problem: str, status: int = 200) -> Response:
    carried = visit.who.carries
    if not carried.get("codes"):
        return visit.go("/")
    return visit.render(
        "backup_codes.html", status, codes=carried["codes"], counts=carried["counts"], at=carried["at"], problem=problem
    )


async def _download_codes(visit: Visit) -> Response:
    carried = visit.who.carries
    if not carried.get("codes"):
        return visit.go("/")
    made = time.strftime("%Y-%m-%d", time.gmtime(carried["at"]))
    lines = [
        f"Backup codes of {visit.who.row.user} for {visit.site.app.config.issuer}, made on {made}",
        "Each one signs in once, in the place of a code of the authenticator.",
        "",
        *carried["codes"],
        "",
    ]
    headers = {"Content-Disposition": 'attachment; filename="backup-codes.txt"'}
    return PlainTextResponse("\n".join(lines), headers=headers)


async def _take_acknowledgement(visit: Visit) -> Response:
    carried = visit.who.carries
    if not carried.get("codes"):
        return visit.go("/")
    if visit.form.get("recorded") != "yes":
        return _codes_page(visit, "Please record the codes first, and say so.", 422)
    if carried["counts"]:
        await visit.run(visit.sessions.carry, visit.who, None)
        return visit.go("/profile?done=recorded")
    app = visit.site.app
    done: Confirmed | Refusal = await visit.run(
        enrol.acknowledge,
        visit.name,
        carried.get("method"),
        store=visit.books,
        clock=app.clock,
        actor=actor_of(visit),
    )
    await visit.run(visit.sessions.carry, visit.who, None)
    visit.granted(done, back="/")
    return await _counted(visit)

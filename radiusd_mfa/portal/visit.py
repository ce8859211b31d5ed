"""One request of one browser: who it is, what was sent with it, and how it is answered.

Owns the token that every form carries, and which cookies go out. Knows no page.
"""

import hmac
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, NoReturn, ParamSpec, TypeVar
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from radiusd_mfa.core.names import Username
from radiusd_mfa.portal import cookies
from radiusd_mfa.portal.sessions import Session, Sessions
from radiusd_mfa.portal.site import Site
from radiusd_mfa.portal.templating import environment
from radiusd_mfa.usecases.actors import Person
from radiusd_mfa.usecases.books import Administration
from radiusd_mfa.usecases.changes import Refusal

P = ParamSpec("P")
T = TypeVar("T")
_log: Final = logging.getLogger(__name__)
_COMMAND: Final = re.compile(r"[^.;]*: radiusd-mfa [^.;]*")
_FIELDS: Final = 40
_BROWSER_OCTETS: Final = 16


def for_people(sentence: str) -> str:
    """Return a refusal without the commands that it names: whoever reads pages has no shell there."""
    return _COMMAND.sub("", sentence).rstrip(" ;,:") if "radiusd-mfa" in sentence else sentence


class Answered(Exception):
    """What is to be answered instead of going on."""

    def __init__(self, response: Response) -> None:
        super().__init__()
        self.response = response


@dataclass
class Visit:
    """A request on its way through a page; `session` is exchanged where a page begins a new one."""

    request: Request
    site: Site
    address: str
    browser: bytes = field(repr=False)
    is_new_browser: bool
    session: Session | None
    form: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    async def of(cls, request: Request) -> "Visit":
        """Find out who it is."""
        site: Site = request.state.site
        secure = site.place.secure
        browser = cookies.read(request, cookies.BROWSER, secure=secure)
        secret = cookies.read(request, cookies.SESSION, secure=secure)
        session = await site.workers.run(Sessions(site.app).find, secret) if secret and browser else None
        return cls(
            request,
            site,
            request.state.address,
            browser or site.app.entropy(_BROWSER_OCTETS),
            browser is None,
            session,
        )

    @property
    def sessions(self) -> Sessions:
        """What opens and ends sessions; blocking."""
        return Sessions(self.site.app)

    @property
    def books(self) -> Administration:
        """The store for a change of the own account: it may end all sessions of the user, but not this one."""
        return self.site.app.administration.within(self.who.row.id)

    @property
    def device(self) -> str:
        """The browser and where it is, as the audit log has it; another browser or another place is another device."""
        return f"{self.address} browser-{self.site.app.keys.digest('page browser', self.browser).hex()[:12]}"

    @property
    def token(self) -> str:
        """What every form of this browser and this session carries (CSRF)."""
        secret = self.session.secret if self.session else b""
        return self.site.app.keys.digest("page form", self.browser, secret).hex()

    @property
    def token_holds(self) -> bool:
        """Whether the form is one of ours, given to this browser in this session."""
        return hmac.compare_digest(self.form.get("token", "").encode(), self.token.encode())

    @property
    def who(self) -> Session:
        """The session; only for pages that nobody sees without one."""
        assert self.session is not None  # noqa: S101 - the page says which stages it is for
        return self.session

    @property
    def person(self) -> Person:
        """Whoever is signed in, as an actor."""
        return Person(self.who.row.user_id, self.who.row.user)

    @property
    def name(self) -> Username:
        """The user name of whoever is signed in."""
        return Username.parse(self.who.row.user)

    def standing(self) -> str | None:
        """Return the password hash that the session rests on by now, None if it is over; blocking."""
        return self.sessions.standing(self.who)

    async def read_form(self) -> None:
        """Take the fields of a form; of a field that comes twice, the first."""
        body = (await self.request.body()).decode("utf-8", errors="replace")
        try:
            fields = parse_qs(body, keep_blank_values=True, max_num_fields=_FIELDS)
        except ValueError:
            fields = {}
        self.form = {name: values[0] for name, values in fields.items()}

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do what waits for the database."""
        return await self.site.workers.run(work, *args, **kwargs)

    async def hash(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do what waits for the database and for hashes."""
        return await self.site.workers.hash(work, *args, **kwargs)

    def render(self, template: str, status: int = 200, **values: object) -> Response:
        """Return a page."""
        return self.dressed(self.bare(template, status, **values))

    def bare(self, template: str, status: int = 200, **values: object) -> Response:
        """Return a page that sets no cookie."""
        text = (
            environment()
            .get_template(template)
            .render(
                base=self.site.place.base,
                issuer=self.site.app.config.issuer,
                token=self.token,
                # A form that is sent twice is one request; the page beside it is another form.
                nonce=self.site.app.entropy(12).hex(),
                user=self.session.row.user if self.session else None,
                stage=self.session.row.stage.value if self.session else "",
                **values,
            )
        )
        return HTMLResponse(text, status)

    def go(self, path: str) -> Response:
        """Send the browser to another page of ours."""
        return self.dressed(RedirectResponse(f"{self.site.place.base}{path}", 303))

    def refuse(self, refusal: Refusal, *, back: str, status: int = 422) -> Response:
        """Say why something was not done."""
        return self.render("message.html", status, title="Not done", sentence=for_people(refusal.sentence), back=back)

    def granted(self, result: T | Refusal, *, back: str) -> T:
        """Return what a use case has done, or answer with why it was refused."""
        if isinstance(result, Refusal):
            self.instead(self.refuse(result, back=back))
        return result

    def instead(self, response: Response) -> NoReturn:
        """Answer this, and go no further."""
        raise Answered(response)

    def dressed(self, response: Response) -> Response:
        """Give a reply the cookies that the browser doesn't have yet."""
        secure = self.site.place.secure
        if self.is_new_browser:
            cookies.write(response, cookies.BROWSER, self.browser, secure=secure)
        had = cookies.read(self.request, cookies.SESSION, secure=secure)
        now = self.session.secret if self.session else None
        if had != now:
            cookies.write(response, cookies.SESSION, now, secure=secure)
        return response

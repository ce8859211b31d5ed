"""What a message says: templates, those of the program or those that stand in for them, and the values of one message.

A mail has two: `KIND.txt`, whose first line is its subject, and `KIND.html`. Values are escaped in HTML and can't break
out of the subject. Knows no mail server and no gateway.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from jinja2 import (
    ChoiceLoader,
    Environment,
    FileSystemLoader,
    PackageLoader,
    StrictUndefined,
    TemplateError,
    select_autoescape,
)

from radiusd_mfa.delivery.problems import DeliveryProblem, SetUpProblem
from radiusd_mfa.usecases.outbox_ports import NEEDS, SMS_CODE, Mail

_SUBJECT: Final = "Subject: "
_SAMPLE: Final[Mapping[str, object]] = {
    "user": "alice",
    "at": 1_800_000_000.0,
    "actor": "operator",
    "link": "https://mfa.example.net/reset/sample",
    "expires": 1_800_003_600.0,
    "method": "totp",
    "label": "phone",
    "left": 9,
    "where": "vpn",
    "count": 5,
    "code": "000000",
    "minutes": 10,
}
"""All values that any kind may have; templates are tried with those of their kind before anything is sent."""
_OF_ALL_MAILS: Final = frozenset({"user", "at", "actor"})
_OF_SMS: Final = frozenset({"code", "minutes"})


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail's subject and its two bodies."""

    subject: str
    plain: str = field(repr=False)
    html: str = field(repr=False)


class Templates:
    """All templates, found and tried."""

    def __init__(self, directory: Path | None, *, issuer: str, portal_url: str | None) -> None:
        """Load them, those of the directory first; raises SetUpProblem for what can't be one."""
        if directory is not None and not directory.is_dir():
            raise SetUpProblem(f"mail_templates: {directory} is not a directory")
        own = [FileSystemLoader(directory)] if directory is not None else []
        # A name that a template names and nobody gave is a defect of the template, never an empty place in a mail.
        self._environment = Environment(
            loader=ChoiceLoader([*own, PackageLoader("radiusd_mfa.delivery")]),
            autoescape=select_autoescape(("html",), default=False),
            undefined=StrictUndefined,
        )
        self._environment.filters["moment"] = _moment
        self._environment.globals.update(issuer=issuer, portal_url=portal_url)
        self._try_all()

    def letter(self, kind: str, values: Mapping[str, object]) -> Letter:
        """Write a mail; raises DeliveryProblem."""
        head, _, plain = self._rendered(f"{kind}.txt", values).partition("\n")
        if not head.startswith(_SUBJECT):
            raise DeliveryProblem(f"the first line of the template {kind}.txt is not: {_SUBJECT}...")
        subject = "".join(char if char.isprintable() else " " for char in head.removeprefix(_SUBJECT))
        return Letter(subject.strip(), plain.strip("\n") + "\n", self._rendered(f"{kind}.html", values))

    def text(self, kind: str, values: Mapping[str, object]) -> str:
        """Write a text message; raises DeliveryProblem."""
        return self._rendered(f"{kind}.txt", values).strip()

    def _rendered(self, name: str, values: Mapping[str, object]) -> str:
        try:
            return self._environment.get_template(name).render(values)
        except Exception as error:  # noqa: BLE001 - a template can do whatever an expression can
            # Not chained, and no word of it: the message of an expression may show a value.
            raise DeliveryProblem(f"the template {name} fails: {type(error).__name__}") from None

    def _try_all(self) -> None:
        try:
            for kind in Mail:
                sample = _sample(_OF_ALL_MAILS | NEEDS[kind])
                for ending in ("txt", "html"):
                    self._environment.get_template(f"{kind}.{ending}").render(sample)
                self.letter(kind, sample)
            self._environment.get_template(f"{SMS_CODE}.txt").render(_sample(_OF_SMS))
        except TemplateError as error:
            raise SetUpProblem(f"mail_templates: {_place(error)}: {error.message}") from error
        except DeliveryProblem as problem:
            raise SetUpProblem(f"mail_templates: {problem}") from problem
        except Exception as error:
            raise SetUpProblem(f"mail_templates: a template fails: {error}") from error


def _sample(names: frozenset[str]) -> Mapping[str, object]:
    return {name: value for name, value in _SAMPLE.items() if name in names}


def _place(error: Any) -> str:  # noqa: ANN401 - some template errors know their place, others don't
    name, line = getattr(error, "name", None), getattr(error, "lineno", None)
    return f"{name or 'a template'}, line {line}" if line else str(name or "a template")


def _moment(at: float) -> str:
    """Write a time for people, in the one zone that everybody can convert."""
    return datetime.fromtimestamp(at, UTC).strftime("%-d %B %Y, %H:%M UTC")

"""One run of the command line: its settings, its App, and how it ends when something is wrong.

Owns exit codes and the one sentence on standard error, and who acts; knows no command.
"""

import errno
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import update_wrapper
from pathlib import Path
from typing import IO, Any, Concatenate, Final, ParamSpec, TypeVar

import click

from radiusd_mfa.app import FAULTS, PROFILE, UNUSABLE, App, Profile
from radiusd_mfa.cli import reading
from radiusd_mfa.config import Config, ConfigProblem
from radiusd_mfa.core.names import Username, escaped
from radiusd_mfa.usecases import acting
from radiusd_mfa.usecases.acting import NOBODY, Given, Texted
from radiusd_mfa.usecases.actors import OPERATOR, Actor, Claimant
from radiusd_mfa.usecases.changes import Change, Refusal, only_the_operator, recorded

REFUSED: Final = 1
WRONG_USAGE: Final = 2
P = ParamSpec("P")
T = TypeVar("T")


class Failed(click.ClickException):
    """The end of a command that did not do what it was asked."""

    def __init__(self, sentence: str, exit_code: int) -> None:
        super().__init__(sentence)
        # click declares it for the class; here each one has its own.
        vars(self)["exit_code"] = exit_code

    def show(self, file: IO[Any] | None = None) -> None:
        """Say why on standard error."""
        click.echo(f"radiusd-mfa: {self.format_message()}", file=file, err=file is None)


@dataclass(slots=True)
class Session:
    """What the commands of one run share; `json`, `config_file` and `acting` come from options anywhere on the line."""

    profile: Profile = PROFILE
    """What a new password hash costs."""
    json: bool = False
    config_file: Path | None = None
    acting: Username | None = None
    """The user as whom the command is to be run; None: the operator runs it."""
    _config: Config | None = field(default=None, init=False)

    @property
    def config(self) -> Config:
        """The settings; raises ConfigProblem."""
        if self._config is None:
            self._config = Config.load(self.config_file, os.environ)
        return self._config

    def reload(self) -> Config:
        """Read the settings anew; raises ConfigProblem, and then those of before stay."""
        self._config = Config.load(self.config_file, os.environ)
        return self._config

    def restore(self, config: Config) -> None:
        """Take settings back that turned out not to work."""
        self._config = config

    def narrow(self, **settings: Any) -> None:  # noqa: ANN401 - any setting
        """Replace settings for this process."""
        self._config = replace(self.config, **settings)

    def open(self) -> App:
        """Open the App, until the command ends."""
        app = App.open(self.config, profile=self.profile)
        click.get_current_context().call_on_close(app.close)
        return app

    def actor(self, app: App) -> Actor:
        """Return who acts; with --as, after password and code. To be asked before anything else is read."""
        actor = self.actor_or_claimant(app, alone=False)
        assert not isinstance(actor, Claimant)  # noqa: S101 - the password alone was not enough
        return actor

    def actor_or_claimant(self, app: App, *, alone: bool) -> Actor | Claimant:
        """Return who acts; with `alone` the password may be given without a code."""
        if self.acting is None:
            return OPERATOR
        password, code = reading.credentials(self.acting)
        if alone and code is None:
            return self.claimant(app, self.acting, password)
        return self._proved_by_code(app, Given(self.acting, password, code))

    def _proved_by_code(self, app: App, given: Given) -> Actor:
        """Take a code; where one was sent by SMS instead, ask for that, once."""
        proved = acting.prove(given, door=app.door("cli"))
        if isinstance(proved, Texted):
            click.echo(proved.sentence, err=True)
            proved = acting.prove(replace(given, code=reading.sent_code(given.name)), door=app.door("cli"))
        return self._proved(NOBODY if isinstance(proved, Texted) else proved)

    def claimant(self, app: App, name: Username, password: bytes) -> Claimant:
        """Return who claims to be this user with the right password alone."""
        return self._proved(acting.prove_password(Given(name, password), door=app.door("cli")))

    def _proved(self, result: T | Refusal) -> T:
        if isinstance(result, Refusal):
            time.sleep(self.config.reject_delay)
        return granted(result)

    def refuse_person(self, verb: str) -> None:
        """End a command that is the operator's, and write down who tried."""
        app = self.open()
        change = Change(verb.replace(" ", "-"), actor=self.actor(app))
        granted(recorded(change, lambda _books: only_the_operator(change), store=app.administration, clock=app.clock))


def session_of(context: click.Context) -> Session:
    """Return the session of a run, which begins with whoever asks first."""
    root = context.find_root()
    if root.obj is None:
        root.obj = Session()
    session: Session = root.obj
    return session


def with_session(command: Callable[Concatenate[Session, P], T]) -> Callable[P, T]:
    """Hand the session to a command as its first argument."""

    def wrapped(*arguments: P.args, **options: P.kwargs) -> T:
        return command(session_of(click.get_current_context()), *arguments, **options)

    return update_wrapper(wrapped, command)


def granted(result: T | Refusal) -> T:
    """Return what a use case has done, or end with why it was refused."""
    if isinstance(result, Refusal):
        raise Failed(result.sentence, REFUSED)
    return result


@contextmanager
def faults() -> Iterator[None]:
    """Turn whatever may go wrong outside of this program into a sentence: nobody is helped by a traceback."""
    try:
        yield
    except ConfigProblem as problem:
        raise Failed("\n".join(problem.problems), WRONG_USAGE) from problem
    except UNUSABLE as problem:
        raise Failed(str(problem), WRONG_USAGE) from problem
    except FAULTS as fault:
        raise Failed(_capitalised(str(fault)), REFUSED) from fault
    except OSError as error:
        if error.errno == errno.EPIPE:  # whoever read our output has seen enough
            raise
        name = f"{escaped(str(error.filename), 200)}: " if error.filename is not None else ""
        raise Failed(f"{name}{error.strerror or error}", REFUSED) from error


def _capitalised(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]

"""One run of the command line: its settings, its App, and how it ends when something is wrong.

Owns exit codes and the one sentence on standard error; knows no command.
"""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import update_wrapper
from pathlib import Path
from typing import IO, Any, Concatenate, Final, ParamSpec, TypeVar

import click

from radiusd_mfa.app import FAULTS, PROFILE, UNUSABLE, App, Profile
from radiusd_mfa.config import Config, ConfigProblem
from radiusd_mfa.core.names import escaped
from radiusd_mfa.usecases.changes import Refusal

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
    """What the commands of one run share; `json` and `config_file` come from options anywhere on the line."""

    profile: Profile = PROFILE
    """What a new password hash costs."""
    json: bool = False
    config_file: Path | None = None
    _config: Config | None = field(default=None, init=False)

    @property
    def config(self) -> Config:
        """The settings; raises ConfigProblem."""
        if self._config is None:
            self._config = Config.load(self.config_file, os.environ)
        return self._config

    def narrow(self, **settings: Any) -> None:  # noqa: ANN401 - any setting
        """Replace settings for this process."""
        self._config = replace(self.config, **settings)

    def open(self) -> App:
        """Open the App, until the command ends."""
        app = App.open(self.config, profile=self.profile)
        click.get_current_context().call_on_close(app.close)
        return app


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

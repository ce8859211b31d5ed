"""The wheel, built once, and an empty environment that has nothing but it and what it depends on."""

import os
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
LIBRARIES = sysconfig.get_path("purelib")
"""Where the dependencies are. As PYTHONPATH, its .pth files do not count: the checkout is not importable by it."""
FROM_INDEX = bool(os.environ.get("RADIUSD_MFA_TEST_INDEX"))
"""Dependencies come from the index, as for everybody (`make wheel`); else they are those of the tests' environment."""


@dataclass(frozen=True)
class Installed:
    """An environment with the wheel in it."""

    directory: Path

    @property
    def package(self) -> Path:
        return next(self.directory.glob("lib/python3*/site-packages/radiusd_mfa"))

    @property
    def program(self) -> str:
        return str(self.directory / "bin" / "radiusd-mfa")

    def environ(self, **settings: str) -> dict[str, str]:
        """Return an environment in which nothing points to the checkout."""
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith(("RADIUSD_MFA_", "PYTHON"))
        }
        return inherited | ({} if FROM_INDEX else {"PYTHONPATH": LIBRARIES}) | settings


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    built = tmp_path_factory.mktemp("dist")
    options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--no-build-isolation", "--wheel-dir", str(built)]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, str(CHECKOUT)], check=True, timeout=120)
    (made,) = built.glob("*.whl")
    return made


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    made = Installed(tmp_path_factory.mktemp("opt") / "radiusd-mfa")
    subprocess.run([sys.executable, "-m", "venv", made.directory], check=True, timeout=120)
    alone = [] if FROM_INDEX else ["--no-deps", "--no-index"]
    pip = [str(made.directory / "bin" / "pip"), "--quiet", "--disable-pip-version-check", "install"]
    subprocess.run([*pip, *alone, str(wheel)], check=True, timeout=600)
    return made

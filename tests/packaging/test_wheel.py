"""The wheel alone, from another directory: everything that is needed is in it, and nothing else."""

import re
import subprocess
import tomllib
import zipfile
from pathlib import Path

import pyotp
import pytest

from tests.interop.processes import running
from tests.packaging.conftest import CHECKOUT, Installed

PASSWORD = "correct horse battery"
SEED = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"


def data_of(folder: Path) -> set[str]:
    """Return everything below a folder but code and what Python makes of it."""
    found = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {str(path.relative_to(folder)) for path in found}


def test_nothing_of_tests_and_benchmarks_is_in_it(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names} == {"radiusd_mfa", "radiusd_mfa-0.1.0.dist-info"}
    assert [name for name in names if re.search(r"(^|/)(tests?|bench|docs|\.ci)(/|$)", name)] == []


@pytest.mark.parametrize("folder", ["dictionaries", "policy"])
def test_what_lies_at_the_top_of_the_checkout_is_inside(installed: Installed, folder: str) -> None:
    assert data_of(installed.package / folder) == data_of(CHECKOUT / folder)


def test_every_file_of_the_package_is_inside(installed: Installed) -> None:
    inside = data_of(installed.package)
    assert data_of(CHECKOUT / "radiusd_mfa") - inside == set()
    for kind in (
        "portal/templates/",
        "portal/static/",
        "delivery/templates/",
        "store/migrations/versions/",
        "py.typed",
    ):
        assert any(name.startswith(kind) for name in inside), kind


def test_somebody_signs_in_with_nothing_but_the_wheel(installed: Installed, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    env = installed.environ(RADIUSD_MFA_STATE_DIR=str(tmp_path / "state"), RADIUSD_MFA_LISTEN="127.0.0.1:0")

    def run(*arguments: str, stdin: str = "") -> str:
        done = subprocess.run(
            [installed.program, *arguments],
            input=stdin,
            text=True,
            capture_output=True,
            env=env,
            cwd=elsewhere,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    version = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["version"]
    assert run("--version").split()[-1] == version
    run("init")
    users = tmp_path / "users.jsonl"
    users.write_text(f'{{"username": "alice", "password": "{PASSWORD}", "totp_secret": "{SEED}"}}\n')
    run("user", "import", str(users))
    run("policy", "presets")
    with running([installed.program, "serve"], log=tmp_path / "serve.log", env=env, cwd=elsewhere) as process:
        address = process.wait_for(r"ready on (\S+)")[1]
        typed = f"{PASSWORD}{pyotp.TOTP(SEED).now()}\n"
        said = run("try", "alice", "--nas", "localhost", "--server", address, "--text-stdin", stdin=typed)
        assert "Access-Accept" in said
    with running([installed.program, "portal", "--listen", "127.0.0.1:0"], log=tmp_path / "p.log", env=env) as process:
        process.wait_for("portal is ready")

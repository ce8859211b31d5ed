"""docs/install.md, typed from the top: every command but apt's, systemctl's and nft's, then the units' own commands.

In mount and network namespaces of its own, so that it is the real /opt, /etc and /var/lib, and port 1812, and nothing
of it is left. systemd itself does not run: what its units say is done by systemd-socket-activate and setpriv.
"""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import psycopg
import pyotp
import pytest
from sqlalchemy.engine import make_url

from tests.conftest import PostgreSql
from tests.interop.requirements import need, need_root
from tests.packaging.conftest import CHECKOUT, LIBRARIES, Installed

DOCUMENT = CHECKOUT / "docs" / "install.md"
NOT_HERE = ("apt ", "nft ", "systemctl ", "journalctl ")
REACHABLE = "/opt/libraries"
"""Where the service's user finds the dependencies, wherever the checkout is."""
DEBIAN = "/usr/bin/python3"
OVERLAID = ("/opt", "/etc", "/usr/local", "/var/lib")
ANSWER = r"""
import re, subprocess, sys, time, pyotp
later, before, command = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
app = pyotp.parse_uri(re.search(r"otpauth://\S+", open("/etc/enrolled").read())[0])
sys.exit(subprocess.run(command, input=f"{before}{app.at(int(time.time()) + later)}\n", text=True).returncode)
"""
"""Types what a person would, with a code of the authenticator that has read the picture."""


def commands(section: str) -> list[str]:
    """Return the lines of the shell in a section, in their order."""
    body = re.split(r"^## ", DOCUMENT.read_text(), flags=re.MULTILINE)
    (found,) = (part for part in body if part.startswith(f"{section}\n"))
    blocks = re.findall(r"^```sh\n(.*?)^```$", found, re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


def test_the_services_get_the_key_file_again_once_the_new_key_seals() -> None:
    lines = commands("A new key")
    begins = max(number for number, line in enumerate(lines) if line.endswith("keys rotate"))
    assert any(line.startswith("systemctl try-restart") for line in lines[begins + 1 :])


def test_no_service_is_started_that_nobody_has_wanted() -> None:
    """Whoever has no mail has not enabled the outbox, and `restart` would start it."""
    assert not [
        line
        for line in DOCUMENT.read_text().splitlines()
        if "restart radiusd-mfa radiusd-mfa-portal" in line and "try-restart" not in line
    ]


def typed(line: str) -> str:
    """Return what is run for a line of the page: as it stands, or with what a person would answer."""
    if line.startswith(NOT_HERE):
        return ":"
    if "/bin/pip install" in line:  # its dependencies are those of the tests
        return f"PIP_NO_DEPS=1 PIP_NO_INDEX=1 PIP_QUIET=1 {line}"
    match re.findall(r"radiusd-mfa (mfa enrol|mfa confirm|try|db upgrade|\S+)", line):
        case ["mfa enrol"]:
            line += " > /etc/enrolled"
        case ["mfa confirm"]:
            line = f"python3 /etc/answer.py 0 '' {line} --code-stdin"
        case ["try"]:
            line = f"python3 /etc/answer.py 30 'correct horse battery' {line} --text-stdin"
    return (
        f"export PYTHONPATH={REACHABLE}; {line}; unset PYTHONPATH"
        if re.search(r"(^|[ /])radiusd-mfa (?!/|systemd)", line)
        else line
    )


def section_of(unit: str, name: str) -> dict[str, list[str]]:
    """Return what a unit says in a section; a name may stand there several times."""
    body = re.split(r"^\[(\w+)\]$", (CHECKOUT / "systemd" / unit).read_text(), flags=re.MULTILINE)
    found: dict[str, list[str]] = {}
    for key, value in re.findall(r"^(\w+)=(.*)$", body[body.index(name) + 1], re.MULTILINE):
        found.setdefault(key, []).append(value)
    return found


def started(service: str, port: str) -> list[str]:
    """Return the lines that do what a service's unit says, with its socket, and wait until it listens."""
    says, listens = section_of(f"{service}.service", "Service"), section_of(f"{service}.socket", "Socket")
    datagrams = listens.get("ListenDatagram", [])
    settings = [line.replace("%d", "/etc/credentials") for line in says["Environment"]]
    settings += ["CREDENTIALS_DIRECTORY=/etc/credentials", f"STATE_DIRECTORY=/var/lib/{says['StateDirectory'][0]}"]
    credential, source = says["LoadCredential"][0].split(":")
    user, group = says["User"][0], says["Group"][0]
    command = ["setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups", "--no-new-privs"]
    command += ["--bounding-set=-all", "--inh-caps=-all", "systemd-socket-activate"]
    # IPv4 alone: the activator has no word for BindIPv6Only, and would bind both by one.
    command += ["-d", f"-l{datagrams[0]}"] if datagrams else [f"-l{listens['ListenStream'][0]}"]
    command += [f"-E{setting}" for setting in (*settings, f"PYTHONPATH={REACHABLE}")]
    return [
        f"install -d -m 500 -o {user} /etc/credentials",
        f"install -m 400 -o {user} {source} /etc/credentials/{credential}",
        f"{shlex.join([*command, *shlex.split(says['ExecStart'][0])])} > /etc/{service}.log 2>&1 &",
        f"for _ in $(seq 300); do ss -lntuH | grep -q {port} && break; sleep 0.1; done",
    ]


@pytest.fixture
def checkout(tmp_path: Path, wheel: Path) -> Path:
    """A checkout after `make wheel`."""
    made = tmp_path / "checkout"
    (made / "dist").mkdir(parents=True)
    (made / "systemd").symlink_to(CHECKOUT / "systemd")
    (made / "dist" / wheel.name).symlink_to(wheel)
    return made


def need_debians_python() -> None:
    """Go on only where the page's python3, which everybody may run, takes the libraries of the tests."""
    need("python3-venv", programs=(DEBIAN,))
    asked = subprocess.run(
        [DEBIAN, "-c", "import ensurepip, sys; print(*sys.version_info[:2])"],
        capture_output=True,
        text=True,
        check=False,
    )
    if asked.stdout.split() != [str(part) for part in sys.version_info[:2]]:
        pytest.skip(
            f"{DEBIAN} has no venv, or is of another version than the tests' Python, whose libraries it is to take"
        )


def run(lines: list[str], checkout: Path) -> str:
    """Run lines in namespaces of their own, until one fails; return what was printed."""
    upper = checkout / "upper"
    layers = [
        f"mkdir -p {upper}{path} {upper}/work{path} && mount -t overlay overlay "
        f"-o lowerdir={path},upperdir={upper}{path},workdir={upper}/work{path} {path}"
        for path in OVERLAID
    ]
    script = ["set -e", f"mkdir -p {upper}", f"mount -t tmpfs tmpfs {upper}", *layers, "ip link set lo up"]
    script += [f"mkdir {REACHABLE}", f"mount --bind {LIBRARIES} {REACHABLE}"]
    script += [
        f"cat > /etc/answer.py <<'END'\n{ANSWER}\nEND",
        "trap 'kill $(jobs -p) 2>/dev/null || true; cat /etc/radiusd-mfa*.log' EXIT",
    ]
    for line in lines:
        script += [f"echo {shlex.quote('$ ' + line)}", line]
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("RADIUSD_MFA_", "PYTHON"))}
    environ["PATH"] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    done = subprocess.run(
        ["unshare", "--mount", "--net", "--propagation", "private", "bash", "-c", "\n".join(script)],
        cwd=checkout,
        env=environ,
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_the_page_leads_to_a_sign_in_an_upgrade_back_again_and_out(checkout: Path) -> None:
    need("systemd", programs=("systemd-socket-activate", "systemd-sysusers", "setpriv", "unshare", "ss", "ip", "curl"))
    need_root()
    need_debians_python()
    lines = [typed(line) for section in ("The program", "User, settings, keys, database") for line in commands(section)]
    services = [typed(line) for line in commands("The services")]
    server = next(place for place, line in enumerate(services) if "radiusd-mfa nas add" in line)
    lines += services[:server] + started("radiusd-mfa", ":1812") + services[server:]
    lines += ["grep -q 'is ready on 0.0.0.0:1812' /etc/radiusd-mfa.log"]
    lines += [
        *started("radiusd-mfa-portal", "127.0.0.1:8080"),
        "curl -sf --noproxy '*' http://127.0.0.1:8080/sign-in | grep -q password",
    ]
    lines += ["stat -c '%U %a' /var/lib/radiusd-mfa/radiusd-mfa.sqlite3 | grep -qx 'radiusd-mfa 600'"]
    lines += ["stat -c '%U %a' /etc/radiusd-mfa/radiusd-mfa.key | grep -qx 'root 600'"]
    lines += [typed(line) for line in commands("A new key")]
    # The version that follows is this one: what is tried is the way there.
    lines += [typed(line.replace("radiusd_mfa-0.2.0-py3", "radiusd_mfa-0.1.0-py3")) for line in commands("Upgrade")]
    lines += [typed(line) for line in commands("Roll back")]
    lines += ["test $(readlink /opt/radiusd-mfa) = /opt/radiusd-mfa-0.1.0", "kill $(jobs -p); wait || true"]
    lines += [typed(line) for line in commands("Uninstall")]
    lines += ["! ls /opt/radiusd-mfa* /etc/systemd/system/radiusd-mfa* 2>/dev/null | grep .", "ls /var/lib/radiusd-mfa"]
    said = run(lines, checkout)
    assert "Access-Accept" in said
    assert "Traceback" not in said


def test_every_command_of_the_page_is_in_a_section_that_is_run() -> None:
    run_here = ["The program", "User, settings, keys, database", "The services", "A new key", "Upgrade", "Roll back"]
    run_here += ["Uninstall"]
    every = re.findall(r"^```sh\n(.*?)^```$", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
    elsewhere = set(commands("PostgreSQL") + commands("Firewall"))
    found = {line for block in every for line in block.splitlines()} - elsewhere
    assert found == {line for section in run_here for line in commands(section)}


def test_the_roles_of_the_page_serve_and_upgrade_and_no_more(
    postgresql: PostgreSql, installed: Installed, tmp_path: Path
) -> None:
    (sql,) = re.findall(r"^```sql\n(.*?)^```$", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
    before, after = sql.split("\\c radiusd_mfa\n")
    base = make_url(postgresql.new(migrated=False)).set(drivername="postgresql")

    def url(role: str | None = None, database: str | None = None) -> str:
        made = base.set(username=role or base.username, database=database or base.database)
        return made.render_as_string(hide_password=False)

    def execute(statements: str, at: str) -> None:
        with psycopg.connect(at, autocommit=True) as connection:
            for statement in filter(str.strip, statements.split(";")):
                connection.execute(statement.encode())

    execute(before, url())
    try:
        execute(after, url(database="radiusd_mfa"))
        env = installed.environ(RADIUSD_MFA_STATE_DIR=str(tmp_path / "state"))
        owner, service = url("radiusd_mfa_owner", "radiusd_mfa"), url("radiusd-mfa", "radiusd_mfa")

        def cli(at: str, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [installed.program, *arguments],
                input=stdin,
                text=True,
                capture_output=True,
                check=False,
                env=env | {"RADIUSD_MFA_DATABASE_URL": at},
            )

        assert cli(owner, "init").returncode == 0
        users = tmp_path / "users.jsonl"
        seed = pyotp.random_base32()
        users.write_text(f'{{"username": "alice", "password": "correct horse", "totp_secret": "{seed}"}}\n')
        assert cli(service, "user", "import", str(users)).returncode == 0
        signs_in(installed, env | {"RADIUSD_MFA_DATABASE_URL": service}, f"correct horse{pyotp.TOTP(seed).now()}")
        assert cli(service, "db", "status").returncode == 0
        assert cli(owner, "db", "upgrade").returncode == 0
        for forbidden in ("DROP TABLE audit", "ALTER TABLE users ADD COLUMN x TEXT", "CREATE TABLE x (y INT)"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                execute(forbidden, service)
    finally:
        execute('DROP DATABASE radiusd_mfa WITH (FORCE); DROP ROLE radiusd_mfa_owner; DROP ROLE "radiusd-mfa"', url())


def signs_in(installed: Installed, environ: dict[str, str], text: str) -> None:
    with subprocess.Popen(
        [installed.program, "serve", "--listen", "127.0.0.1:0"], env=environ, stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            assert server.stdout is not None
            address = server.stdout.readline().rsplit(" ", 1)[1].strip()
            command = [installed.program, "try", "alice", "--nas", "localhost", "--server", address, "--text-stdin"]
            tried = subprocess.run(command, input=f"{text}\n", env=environ, text=True, capture_output=True, check=False)
            assert "Access-Accept" in tried.stdout, tried.stdout + tried.stderr
        finally:
            server.terminate()

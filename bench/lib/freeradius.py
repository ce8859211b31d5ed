"""FreeRADIUS 3.2 with the same duties: SQL, TOTP, a replay protection and an audit row, each by its own module.

rlm_totp of 3.2 keeps no memory of spent codes. The replay protection is a conditional UPDATE that must change one row;
the audit row goes into radpostauth. Without the duties it only reads the user and checks password and code.
"""

import base64
import os
import pwd
import shutil
import signal
import socket
import sqlite3
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.lib.accounts import Population, hashes
from bench.lib.ours import Server
from bench.lib.packets import SECRET
from bench.lib.postgresql import PostgreSql
from bench.lib.processes import Program, free_port

PROGRAM: Final = shutil.which("freeradius", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
_ATTRIBUTES: Final = {"cheap": "Password-With-Header", "bcrypt": "Crypt-Password", "yescrypt": "Crypt-Password"}
_TABLES: Final = (
    (
        "CREATE TABLE radcheck ({key}, username varchar(64) NOT NULL, attribute varchar(64) NOT NULL, "
        "op char(2) NOT NULL, value varchar(253) NOT NULL)"
    ),
    "CREATE INDEX radcheck_username ON radcheck (username, attribute)",
    (
        "CREATE TABLE radpostauth ({key}, username varchar(64) NOT NULL, pass varchar(64) NOT NULL, "
        "reply varchar(32) NOT NULL, authdate timestamp NOT NULL)"
    ),
    "CREATE TABLE totp_state (username varchar(64) PRIMARY KEY, last_step bigint NOT NULL DEFAULT 0)",
)
_MAIN: Final = """
prefix = /usr
name = radiusd
libdir = {libdir}
logdir = {directory}
run_dir = {directory}
db_dir = {directory}
pidfile = {directory}/radiusd.pid
max_request_time = 30
cleanup_delay = 5
max_requests = 16384
hostname_lookups = no
proxy_requests = no
log {{
    destination = files
    file = {directory}/radius.log
    auth = no
}}
security {{
    {identity}
    max_attributes = 200
    reject_delay = 1
    status_server = yes
}}
thread pool {{
    start_servers = 5
    max_servers = 32
    min_spare_servers = 3
    max_spare_servers = 10
    max_requests_per_server = 0
    auto_limit_acct = no
}}
client bench {{
    ipaddr = 127.0.0.1
    secret = {secret}
    require_message_authenticator = yes
    limit {{
        max_connections = 0
    }}
}}
modules {{
    always reject {{
        rcode = reject
    }}
    expr {{
    }}
    pap {{
        normalise = yes
    }}
    totp {{
    }}
    sql {{
        {driver}
        sql_user_name = "%{{User-Name}}"
        read_groups = no
        read_profiles = no
        read_clients = no
        delete_stale_sessions = no
        authorize_check_query = "SELECT id, username, attribute, value, op FROM radcheck \\
            WHERE username = '%{{SQL-User-Name}}' ORDER BY id"
        post-auth {{
            reference = query
            query = "INSERT INTO radpostauth (username, pass, reply, authdate) \\
                VALUES ('%{{SQL-User-Name}}', '', '%{{reply:Packet-Type}}', CURRENT_TIMESTAMP)"
        }}
        pool {{
            start = 5
            min = 3
            max = 32
            spare = 10
            uses = 0
            retry_delay = 30
            lifetime = 0
            idle_timeout = 60
        }}
    }}
}}
server bench {{
    listen {{
        type = auth
        ipaddr = 127.0.0.1
        port = {port}
    }}
    authorize {{
        if (&User-Password && (&User-Password =~ /^(.+)([0-9]{{6}})$/)) {{
            update request {{
                &User-Password := "%{{1}}"
                &TOTP-Password := "%{{2}}"
            }}
        }}
        else {{
            reject
        }}
        sql
        totp.authenticate
        if (!ok) {{
            reject
        }}
        pap
    }}
    authenticate {{
        Auth-Type PAP {{
            pap
            {replay}
        }}
    }}
    post-auth {{
        update reply {{
            &Message-Authenticator := 0x00
        }}
        {audit}
        Post-Auth-Type REJECT {{
            update reply {{
                &Message-Authenticator := 0x00
            }}
            {audit}
        }}
    }}
}}
"""
_REPLAY: Final = """
            if (ok) {
                update control {
                    &Tmp-Integer-0 := "%{expr:%l / 30}"
                }
                if ("%{sql:UPDATE totp_state SET last_step = %{control:Tmp-Integer-0} \\
                    WHERE username = '%{User-Name}' AND last_step < %{control:Tmp-Integer-0}}" != "1") {
                    reject
                }
            }
"""


@dataclass(frozen=True, slots=True)
class Peer:
    """FreeRADIUS on one database."""

    directory: Path
    driver: str

    @contextmanager
    def serving(self, *, duties: bool) -> Iterator[Server]:
        """Serve while the block lasts, with or without replay protection and audit."""
        assert PROGRAM is not None
        home = self.directory / ("freeradius-duties" if duties else "freeradius-plain")
        home.mkdir(exist_ok=True)
        port = free_port(socket.SOCK_DGRAM)
        text = _MAIN.format(
            libdir=_libdir(),
            directory=home,
            identity=_identity(),
            secret=SECRET.decode(),
            driver=self.driver,
            port=port,
            replay=_REPLAY if duties else "",
            audit="sql" if duties else "",
        )
        (home / "radiusd.conf").write_text(text)
        _hand_over(self.directory)
        command = [PROGRAM, "-f", "-l", "stdout", "-d", str(home), "-n", "radiusd"]
        program = Program(command, log=home / "output.log")
        try:
            program.wait_for("Ready to process requests")
            yield Server(program.pid, ("127.0.0.1", port), 0.0)
        finally:
            program.end(signal.SIGTERM)


def on_postgresql(directory: Path, cluster: PostgreSql, populations: Iterable[Population]) -> Peer:
    """Make a database with its users in the cluster."""
    name = "freeradius"
    cluster.new(name)
    with cluster.connect(name) as connection:
        for statement in _TABLES:
            connection.execute(statement.format(key="id bigserial PRIMARY KEY").encode())
        for population in populations:
            with connection.cursor() as cursor:
                with cursor.copy("COPY radcheck (username, attribute, op, value) FROM STDIN") as copy:
                    for row in _checks(population):
                        copy.write_row(row)
                with cursor.copy("COPY totp_state (username) FROM STDIN") as copy:
                    for number in range(population.size):
                        copy.write_row((population.name(number),))
        connection.execute("ANALYZE")
    login = f'server = "127.0.0.1"\nport = {cluster.port}\nlogin = "bench"\npassword = ""\nradius_db = "{name}"'
    (directory / "postgresql-peer").mkdir()
    return Peer(directory / "postgresql-peer", f'driver = "rlm_sql_postgresql"\ndialect = "postgresql"\n{login}')


def on_sqlite(directory: Path, populations: Iterable[Population]) -> Peer:
    """Make a SQLite file with its users, in WAL mode: without it FreeRADIUS is four times slower."""
    home = directory / "sqlite-peer"
    home.mkdir()
    file = home / "freeradius.sqlite3"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA journal_mode = wal")
        for statement in _TABLES:
            connection.execute(statement.format(key="id integer PRIMARY KEY"))
        for population in populations:
            connection.executemany(
                "INSERT INTO radcheck (username, attribute, op, value) VALUES (?, ?, ?, ?)", _checks(population)
            )
            names = [(population.name(number),) for number in range(population.size)]
            connection.executemany("INSERT INTO totp_state (username) VALUES (?)", names)
        connection.execute("ANALYZE")
        connection.commit()
    driver = f'driver = "rlm_sql_sqlite"\ndialect = "sqlite"\nsqlite {{\nfilename = "{file}"\nbusy_timeout = 5000\n}}'
    return Peer(home, driver)


def version() -> str | None:
    """Return the version of the installed FreeRADIUS, None where there is none."""
    if PROGRAM is None:
        return None
    said = subprocess.run([PROGRAM, "-v"], capture_output=True, text=True, check=False).stdout
    return said.partition("Version ")[2].split(",")[0].split()[0] if "Version " in said else None


def _checks(population: Population) -> Iterator[tuple[str, str, str, str]]:
    made, attribute = hashes(population), _ATTRIBUTES[population.scheme]
    for number in range(population.size):
        name, stored = population.name(number), made[number % population.passwords]
        yield name, attribute, ":=", stored.replace("{SSHA256}", "{ssha256}")
        yield name, "TOTP-Secret", ":=", base64.b32encode(population.seed(number)).decode()


def _libdir() -> str:
    return next((str(path.parent) for path in Path("/usr").glob("lib*/**/rlm_totp.so")), "/usr/lib/freeradius")


def _service_user() -> str | None:
    if os.geteuid():
        return None
    try:
        return pwd.getpwnam("freerad").pw_name
    except KeyError:
        return None


def _identity() -> str:
    user = _service_user()
    return f"user = {user}\n    group = {user}" if user else ""


def _hand_over(directory: Path) -> None:
    """Give everything to the user that FreeRADIUS becomes."""
    user = _service_user()
    if user is not None:
        for path in (directory, *directory.rglob("*")):
            if not path.is_symlink():
                shutil.chown(path, user, user)

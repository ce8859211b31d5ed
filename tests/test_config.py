"""Settings: what is refused and how it is said, where values come from, and that the document tells the truth."""

import os
import re
import tomllib
from dataclasses import fields
from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radiusd_mfa.config import KEYS, Config, ConfigProblem, Endpoint

DOCUMENT = Path(__file__).parent.parent / "docs" / "configuration.md"


def written(directory: Path, text: str) -> Path:
    path = directory / "config.toml"
    path.write_text(text)
    return path


def complaints(path: Path | None, environ: dict[str, str] | None = None) -> tuple[str, ...]:
    with pytest.raises(ConfigProblem) as caught:
        Config.load(path, environ or {}, uid=0)
    return caught.value.problems


def test_every_complaint_comes_at_once(tmp_path: Path) -> None:
    path = written(tmp_path, 'databse_url = "x"\nlisten = ["nowhere"]\nhash_threads = "two"\nreject_delay = 1\n')
    found = complaints(path, {"RADIUSD_MFA_REJECT_DELAY": "soon", "RADIUSD_MFA_ISUER": "x"})
    assert found == (
        f"databse_url in {path}: unknown key; is database_url meant?",
        "RADIUSD_MFA_ISUER: unknown variable; is RADIUSD_MFA_ISSUER meant?",
        f"listen in {path}: 'nowhere' is not ADDR:PORT, for example 0.0.0.0:1812 or [::]:1812",
        f"hash_threads in {path}: must be a number from 1 to 256",
        "RADIUSD_MFA_REJECT_DELAY: must be a number from 0 to 5",
    )


def test_the_message_of_the_fault_holds_every_complaint() -> None:
    assert str(ConfigProblem(("one", "two"))) == "one\ntwo"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("nothing_alike = 1", "nothing_alike in .*: unknown key$"),
        ("[listen]\nudp = 1", "must be a list like"),
        ("listen = []", "must be a list like"),
        ("listen = [1812]", "must be a list like"),
        ('listen = "0.0.0.0:1812"', "must be a list like"),
        ('listen = ["localhost:1812"]', "'localhost' is not an IP address"),
        ('listen = ["0.0.0.0"]', "is not ADDR:PORT"),
        ('listen = ["0.0.0.0:65536"]', "over 65535"),
        ('listen = ["0.0.0.0:-1"]', "is not ADDR:PORT"),
        ('listen = ["0.0.0.0:١٨١٢"]', "is not ADDR:PORT"),
        ('listen = ["::1:1812"]', "is not ADDR:PORT"),
        ('listen = ["[192.0.2.1]:1812"]', "brackets belong around an IPv6"),
        ('listen = ["[::]:1812", "[0:0::0]:1812"]', r"names \[::\]:1812 twice"),
        ('portal_url = "ftp://example.net"', "http:// or https://"),
        ('portal_url = "https://"', "http:// or https://"),
        ('portal_url = "https://[::1"', "http:// or https://"),
        ('portal_url = "https://example.net:port/"', "http:// or https://"),
        ('portal_url = "https://example.net/ä"', "http:// or https://"),
        ('portal_url = "https://example.net/a b"', "http:// or https://"),
        ('portal_url = "https://example.net/\\n"', "http:// or https://"),
        ('portal_url = "https://u:p@example.net/"', "no user name"),
        ('portal_url = "https://example.net/?next=x"', "no user name, query"),
        (f'portal_url = "https://example.net/{"x" * 200}"', "not be over 200"),
        ('issuer = ""', "1 to 64 printable"),
        ('issuer = "a\\u0000b"', "1 to 64 printable"),
        (f'issuer = "{"x" * 65}"', "1 to 64 printable"),
        ("issuer = 5", "a text in quotes"),
        ("hash_threads = 0", "must be a number from 1 to 256"),
        ("hash_threads = 2.5", "whole number from 1 to 256"),
        ("hash_threads = true", "number from 1 to 256"),
        ("reject_delay = 5.1", "number from 0 to 5"),
        ("reject_delay = -0.1", "number from 0 to 5"),
        ("reject_delay = nan", "number from 0 to 5"),
        ("challenge_lifetime = inf", "number from 10 to 900"),
        (f"challenge_lifetime = {'9' * 400}", "number from 10 to 900"),
        ('challenge_lifetime = "120"', "number from 10 to 900"),
        ("database_deadline = 0", "number from 0.05 to 30"),
        ('log_level = "verbose"', "one of debug, info, warning, error"),
        ('log_format = "xml"', "one of text, json"),
        ("log_sign_ins = 1", "true or false"),
        ('log_sign_ins = "true"', "true or false"),
        ('metrics_listen = "localhost:9812"', "not an IP address"),
        ('state_dir = ""', "must name a path"),
        ('state_dir = "a\\u0000b"', "must name a path"),
        ('key_file = "~nobody-of-that-name/x"', "home directory that does not exist"),
        ("key_file = 1", "a text in quotes"),
        ('state_dir = "/var/lib/what?"', "question mark"),
        ('database_url = "radiusd-mfa.sqlite3"', "must be a URL"),
        ('database_url = "mysql://localhost/db"', "scheme 'mysql'"),
        ('database_url = "postgresql+psycopg2://localhost/db"', "sqlite and postgresql are known"),
        ('database_url = "sqlite://"', "must name a file"),
        ('database_url = "sqlite:///:memory:"', "must name a file"),
        ('database_url = "sqlite://host/file"', "must name a file"),
        ('database_url = "postgresql://host"', "names no database"),
        ('database_url = "postgresql://u:p@host:port/db"', "cannot be read"),
        ('database_url = "postgresql://u:p@one,two:port/db"', "several are written as host1:5432,host2:5432"),
        (
            "request_deadline = 1\ndatabase_deadline = 0.5",
            r"reject_delay \(1 s\) must be below request_deadline \(1 s\)",
        ),
        ("database_deadline = 6", r"database_deadline \(6 s\) must be below request_deadline \(5 s\)"),
        ('smtp_host = "mail.example.net:25"\nmail_from = "a@example.net"', "without a port"),
        ('smtp_host = "mail.example.net"', "mail_from: is needed with smtp_host"),
        ("smtp_port = 0", "number from 1 to 65535"),
        ('smtp_security = "ssl"', "one of starttls, tls, none"),
        (
            'smtp_security = "none"\nsmtp_host = "mail.example.net"\nmail_from = "a@example.net"',
            "none is for a server on this machine only",
        ),
        ('smtp_user = "a"', "either both or none"),
        ('smtp_password_file = "a"', "either both or none"),
        ('smtp_user = "a\\u0000"\nsmtp_password_file = "a"', "printable"),
        ('mail_from = "Example Ltd"', "must be a mail address"),
        ('mail_from = "a@example.net, b@example.net"', "must be a mail address"),
        ('mail_from = "x\\ny <a@example.net>"', "must be a mail address"),
        ('mail_from = "a\\n <a@example.net"', "must be a mail address"),
        ('sms_url = "ftp://sms.example.net/?{to}{text}"', "http:// or https://"),
        ('sms_url = "https://[/"', "http:// or https://"),
        ('sms_url = "https://{to}.example.net/"', "http:// or https://"),
        ('sms_url = "https://u:p@sms.example.net/"', "no user name"),
        ('sms_url = "http://sms.example.net/"', "on this machine only"),
        ('sms_url = "https://sms.example.net/"\nsms_body = "{text}"', "none of them has {to}"),
        ('sms_url = "https://sms.example.net/?k={secret}"', "sms_secret_file: is needed where {secret} stands"),
        ('sms_url = "https://sms.example.net/"\nsms_apprise_file = "x"', "only one of them"),
        ('sms_user = "x"', "sms_secret_file: is needed with sms_user"),
        ('sms_method = "DELETE"', "one of GET, POST, PUT"),
        ('portal_listen = "localhost:8080"', "not an IP address"),
        ('trusted_proxies = "127.0.0.1"', "must be a list like"),
        ('trusted_proxies = ["192.0.2.1/28"]', "no address or range"),
        ('tls_certificate = "x"', "tls_key is missing"),
        ('sms_headers = ["X"]', "must be a list like"),
        ('sms_headers = "X: y"', "must be a list like"),
        ('sms_headers = ["X: y\\r\\nZ: w"]', "must be a list like"),
        ("issuer = ", "is not TOML: "),
        (f"hash_threads = {'9' * 5000}", "is not TOML"),
    ],
)
def test_a_wrong_value_is_refused_with_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    found = complaints(written(tmp_path, text))
    assert len(found) == 1
    assert re.search(sentence, found[0])


def test_a_file_that_is_not_there_is_a_complaint(tmp_path: Path) -> None:
    assert complaints(tmp_path / "absent") == (f"{tmp_path / 'absent'}: cannot be read: No such file or directory",)


def test_a_file_that_is_not_text_is_a_complaint(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(b'issuer = "\xff"')
    assert complaints(path) == (f"{path}: is not TOML: it holds octets or a number that cannot be read",)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:canary@host:port/db",
        "postgresql://u:canary@one,two:port/db",
        "postgresql://u:canary@[host/db",
        "postgresql://u:canary@host",
        "mysql://u:canary@host/db",
        "u:canary@host/db",
        "u:canary@host://db",
        "postgresql://u:can/canary@host/db:5432",
        "postgresql://u:canary@canary@h/d",
        "postgresql://u:can@canary@h1:5432,h2:5432/d",
    ],
)
def test_no_complaint_and_no_repr_shows_a_database_password(url: str) -> None:
    environ = {"RADIUSD_MFA_DATABASE_URL": url, "RADIUSD_MFA_LISTEN": "x"}
    assert "canary" not in "".join(complaints(None, environ))


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:canary@h/d", "postgresql+psycopg://u:***@h/d"),
        ("postgresql://u:canary:canary@h/d", "postgresql+psycopg://u:***@h/d"),
        (
            "postgresql://u@h:5432/d?password=canary&sslmode=require",
            "postgresql+psycopg://u@h:5432/d?password=***&sslmode=require",
        ),
        (
            "postgresql://h/d?sslmode=require&sslpassword=canary",
            "postgresql+psycopg://h/d?sslmode=require&sslpassword=***",
        ),
        ("postgresql://u@h:5432/d", "postgresql+psycopg://u@h:5432/d"),
        ("sqlite:////var/lib/x.sqlite3", "sqlite:////var/lib/x.sqlite3"),
    ],
)
def test_a_database_password_is_shown_nowhere(url: str, shown: str) -> None:
    config = Config.load(None, {"RADIUSD_MFA_DATABASE_URL": url}, uid=0)
    assert config.shown_database_url == shown
    assert "canary" not in repr(config)
    assert ("canary" in config.database_url) == ("canary" in url)


@pytest.mark.parametrize(
    ("url", "spelled"),
    [
        ("postgres://u:p@h/d", "postgresql+psycopg://u:p@h/d"),
        ("postgresql:///d", "postgresql+psycopg:///d"),
        (
            "postgresql://u:p@h1:5433,[::1],h2/d?sslmode=require",
            "postgresql+psycopg://u:p@/d?sslmode=require&host=h1,::1,h2&port=5433,5432,5432&target_session_attrs=read-write",
        ),
        (
            "postgresql://h1,h2/d?target_session_attrs=any",
            "postgresql+psycopg:///d?target_session_attrs=any&host=h1,h2&port=5432,5432",
        ),
        ("postgresql+psycopg://h/d?sslmode=require", "postgresql+psycopg://h/d?sslmode=require"),
        ("sqlite:////srv/x.sqlite3", "sqlite:////srv/x.sqlite3"),
        ("sqlite:////srv/x.sqlite3?timeout=5", "sqlite:////srv/x.sqlite3?timeout=5"),
    ],
)
def test_a_database_url_is_spelled_for_its_driver(url: str, spelled: str) -> None:
    assert Config.load(None, {"RADIUSD_MFA_DATABASE_URL": url}, uid=0).database_url == spelled


def test_relative_paths_start_where_they_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    etc, work = tmp_path / "etc", tmp_path / "work"
    etc.mkdir()
    work.mkdir()
    monkeypatch.chdir(work)
    path = written(etc, 'key_file = "keys"\ndatabase_url = "sqlite:///x.sqlite3"\n')
    config = Config.load(path, {"RADIUSD_MFA_STATE_DIR": "state"}, uid=0)
    assert config.key_file == etc / "keys"
    assert config.database_url == f"sqlite:///{etc}/x.sqlite3"
    assert config.state_dir == work / "state"


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, 'issuer = "file"\nlog_level = "error"\nhash_threads = 3\n')
    config = Config.load(path, {"RADIUSD_MFA_ISSUER": "environment", "RADIUSD_MFA_LOG_LEVEL": ""}, uid=0)
    assert (config.issuer, config.log_level, config.hash_threads) == ("environment", "error", 3)


def test_the_named_file_wins_over_the_variable(tmp_path: Path) -> None:
    path = written(tmp_path, 'issuer = "named"')
    environ = {"RADIUSD_MFA_CONFIG": str(tmp_path / "absent")}
    assert Config.load(path, environ, uid=0).issuer == "named"
    assert "absent" in complaints(None, environ)[0]


def test_a_bad_value_in_the_file_does_not_matter_when_the_environment_wins(tmp_path: Path) -> None:
    path = written(tmp_path, "hash_threads = 0")
    assert Config.load(path, {"RADIUSD_MFA_HASH_THREADS": "2"}, uid=0).hash_threads == 2


def test_every_setting_can_come_from_the_environment() -> None:
    values = {
        "state_dir": "/srv/state",
        "database_url": "sqlite:////srv/x.sqlite3",
        "key_file": "/srv/keys",
        "listen": "127.0.0.1:0, [::1]:1812",
        "portal_url": "https://mfa.example.net/",
        "issuer": "Example",
        "hash_threads": "3",
        "workers": "2",
        "password_cache": "60",
        "upgrade_hashes": "False",
        "database_deadline": "0.5",
        "reject_delay": "0",
        "challenge_lifetime": "60",
        "request_deadline": "4",
        "log_level": "DEBUG",
        "log_format": "JSON",
        "log_sign_ins": "true",
        "metrics_listen": "127.0.0.1:9812",
        "smtp_host": "mail.example.net",
        "smtp_port": "2525",
        "smtp_security": "TLS",
        "smtp_user": "mfa",
        "smtp_password_file": "/srv/smtp-password",
        "mail_from": "Example Ltd <mfa@example.net>",
        "mail_templates": "/srv/templates",
        "sms_url": "https://sms.example.net/{to}",
        "sms_method": "put",
        "sms_headers": "Authorization: Bearer {secret}\nX-Sender: Example\n",
        "sms_body": "{text}",
        "sms_user": "mfa",
        "sms_secret_file": "/srv/sms-secret",
        "portal_listen": "[::1]:8443",
        "trusted_proxies": "127.0.0.1, 192.0.2.0/28",
        "tls_certificate": "/srv/portal.pem",
        "tls_key": "/srv/portal.key",
    }
    config = Config.load(None, {f"RADIUSD_MFA_{name.upper()}": value for name, value in values.items()})
    assert config == Config(
        state_dir=Path("/srv/state"),
        database_url="sqlite:////srv/x.sqlite3",
        key_file=Path("/srv/keys"),
        listen=(Endpoint("127.0.0.1", 0), Endpoint("::1", 1812)),
        portal_url="https://mfa.example.net/",
        issuer="Example",
        hash_threads=3,
        workers=2,
        password_cache=60.0,
        upgrade_hashes=False,
        database_deadline=0.5,
        reject_delay=0.0,
        challenge_lifetime=60.0,
        request_deadline=4.0,
        log_level="debug",
        log_format="json",
        log_sign_ins=True,
        metrics_listen=Endpoint("127.0.0.1", 9812),
        smtp_host="mail.example.net",
        smtp_port=2525,
        smtp_security="tls",
        smtp_user="mfa",
        smtp_password_file=Path("/srv/smtp-password"),
        mail_from="Example Ltd <mfa@example.net>",
        mail_templates=Path("/srv/templates"),
        sms_url="https://sms.example.net/{to}",
        sms_method="PUT",
        sms_headers=("Authorization: Bearer {secret}", "X-Sender: Example"),
        sms_body="{text}",
        sms_user="mfa",
        sms_secret_file=Path("/srv/sms-secret"),
        sms_apprise_file=None,
        portal_listen=Endpoint("::1", 8443),
        trusted_proxies=(ip_network("127.0.0.1"), ip_network("192.0.2.0/28")),
        tls_certificate=Path("/srv/portal.pem"),
        tls_key=Path("/srv/portal.key"),
    )


@pytest.mark.parametrize("value", ["1_0", "٣", "nan", "1e1", "0x10", "three", "3,0"])
def test_a_number_in_the_environment_is_plain_digits(value: str) -> None:
    assert complaints(None, {"RADIUSD_MFA_HASH_THREADS": value}) == (
        "RADIUSD_MFA_HASH_THREADS: must be a number from 1 to 256",
    )


def test_a_variable_of_something_else_is_no_complaint() -> None:
    Config.load(None, {"RADIUSD_MFA_FUZZ_PACKETS": "10", "PATH": "/bin", "ISSUER": "x"}, uid=0)


def test_port_zero_may_be_asked_for_twice() -> None:
    environ = {"RADIUSD_MFA_LISTEN": "127.0.0.1:0,127.0.0.1:0"}
    assert len(Config.load(None, environ, uid=0).listen) == 2


@pytest.mark.parametrize(
    ("environ", "uid", "state_dir"),
    [
        ({"RADIUSD_MFA_STATE_DIR": "/a", "STATE_DIRECTORY": "/b"}, 0, "/a"),
        ({"STATE_DIRECTORY": "/b:/c", "XDG_STATE_HOME": "/x"}, 1000, "/b"),
        ({"XDG_STATE_HOME": "/x", "HOME": "/home/u"}, 0, "/var/lib/radiusd-mfa"),
        ({"XDG_STATE_HOME": "/x", "HOME": "/home/u"}, 1000, "/x/radiusd-mfa"),
        ({"XDG_STATE_HOME": "x", "HOME": "/home/u"}, 1000, "/home/u/.local/state/radiusd-mfa"),
        ({"HOME": "/home/u"}, 1000, "/home/u/.local/state/radiusd-mfa"),
    ],
)
def test_the_state_directory_is_the_first_that_applies(environ: dict[str, str], uid: int, state_dir: str) -> None:
    config = Config.load(None, environ, uid=uid)
    assert config.state_dir == Path(state_dir)
    assert config.database_url == f"sqlite:///{state_dir}/radiusd-mfa.sqlite3"
    assert config.key_file == Path(state_dir) / "radiusd-mfa.key"


def test_a_credential_of_systemd_is_the_key_file_when_it_exists(tmp_path: Path) -> None:
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path), "STATE_DIRECTORY": "/b"}
    assert Config.load(None, environ, uid=0).key_file == Path("/b/radiusd-mfa.key")
    (tmp_path / "radiusd-mfa.key").touch()
    assert Config.load(None, environ, uid=0).key_file == tmp_path / "radiusd-mfa.key"
    named = environ | {"RADIUSD_MFA_KEY_FILE": "/k"}
    assert Config.load(None, named, uid=0).key_file == Path("/k")


@given(st.ip_addresses(), st.integers(0, 65535))
def test_an_endpoint_reads_what_it_writes(address: object, port: int) -> None:
    endpoint = Endpoint(str(address), port)
    assert Endpoint.parse(str(endpoint)) == endpoint


@given(st.text())
def test_no_text_makes_an_endpoint_raise_anything_but_value_error(text: str) -> None:
    try:
        endpoint = Endpoint.parse(text)
    except ValueError:
        return
    assert Endpoint.parse(str(endpoint)) == endpoint


def documented() -> list[tuple[str, str, str, str]]:
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)` \| (.*?) \| (.*?) \|$", DOCUMENT.read_text(), re.MULTILINE)
    return [(name, variable, default.strip("`"), meaning) for name, variable, default, meaning in rows]


def test_the_document_lists_every_setting_with_its_variable_and_default() -> None:
    assert [row[:3] for row in documented()] == [(key.name, key.variable, key.default) for key in KEYS]
    assert all(meaning.endswith(".") for *_, meaning in documented())


def test_every_setting_is_a_field_of_the_configuration() -> None:
    assert [key.name for key in KEYS] == [field.name for field in fields(Config)]


def test_the_documented_defaults_are_the_real_ones() -> None:
    config = Config.load(None, {}, uid=0)
    told = {key.name: key.default for key in KEYS}
    assert tuple(map(Endpoint.parse, tomllib.loads(f"x = {told['listen']}")["x"])) == config.listen
    assert told["database_url"].replace("<state_dir>", str(config.state_dir)) == config.database_url
    assert (told["issuer"], told["log_level"]) == (config.issuer, config.log_level)
    assert (told["portal_url"], config.portal_url) == ("none", None)
    assert (told["hash_threads"], config.hash_threads) == ("one a CPU", os.cpu_count())
    for name in ("database_deadline", "reject_delay", "challenge_lifetime", "request_deadline"):
        assert float(told[name]) == getattr(config, name)
    for name in ("smtp_security", "sms_method", "sms_body"):
        assert told[name] == getattr(config, name)
    unset = [name for name, default in told.items() if default == "none"]
    assert [getattr(config, name) for name in unset] == [None] * len(unset)
    assert (told["sms_headers"], config.sms_headers) == ("[]", ())


@pytest.mark.parametrize(("security", "port"), [("starttls", 587), ("tls", 465), ("none", 25)])
def test_the_port_of_the_mail_server_follows_its_security(security: str, port: int) -> None:
    environ = {"RADIUSD_MFA_SMTP_SECURITY": security}
    assert Config.load(None, environ, uid=0).smtp_port == port


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1"])
def test_a_mail_server_on_this_machine_may_do_without_tls(host: str) -> None:
    environ = {"SMTP_SECURITY": "none", "SMTP_HOST": host, "MAIL_FROM": "a@example.net"}
    assert Config.load(None, {f"RADIUSD_MFA_{name}": value for name, value in environ.items()}, uid=0).smtp_host == host


def test_the_address_of_a_gateway_is_shown_nowhere() -> None:
    urls = ("https://sms.example.net/?key=canary&{to}", "https://u:canary@sms.example.net", "https://sms:canary/")
    for url in urls:
        try:
            shown = repr(Config.load(None, {"RADIUSD_MFA_SMS_URL": url}, uid=0))
        except ConfigProblem as problem:
            shown = str(problem)
        assert "canary" not in shown


def test_the_example_of_the_document_loads(tmp_path: Path) -> None:
    [example] = re.findall(r"```toml\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    config = Config.load(written(tmp_path, example), {}, uid=0)
    assert config.issuer == "Example Ltd"

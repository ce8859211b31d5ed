"""What is no file of the kind that it is taken for, and what can't come along from one that is."""

import base64
import json
from collections import Counter
from pathlib import Path

import pytest

from radiusd_mfa.foreign import files, pskc
from radiusd_mfa.foreign.files import Format, Hints, Sheet
from radiusd_mfa.usecases.import_ports import Entry, FileProblem, Found, LeftOut, Misread

EXAMPLES = Path(__file__).parent.parent.parent / "docs" / "import"
NOW = 1_800_000_000.0
SEED = base64.b32encode(b"12345678901234567890").decode()


def _read(kind: Format, text: str | bytes, *, user: str = "", **hints: object) -> list[Found]:
    octets = text.encode() if isinstance(text, str) else text
    given = Hints(NOW, **hints)  # type: ignore[arg-type]  # as the tests below name them
    return list(files.read([Sheet("file", user, octets)], kind, given).found)


def _complaints(found: list[Found]) -> list[str]:
    return [f"{each.place}: {each.sentence}" for each in found if isinstance(each, Misread)]


def _fields(found: list[Found]) -> list[dict[str, object]]:
    return [dict(each.fields) for each in found if isinstance(each, Entry)]


def _left_out(found: list[Found]) -> Counter[str]:
    return Counter(each.reason for each in found if isinstance(each, LeftOut))


@pytest.mark.parametrize(
    "octets",
    [b"alice", b"alice:x", b"[1, 2]", b"name,attribute,value\n", b"username\nalice\n", b"\x00\x01", b"[]"],
)
def test_what_could_be_anything_is_not_guessed(octets: bytes) -> None:
    with pytest.raises(FileProblem, match="--format"):
        files.recognised(octets)


def test_a_line_that_is_too_long_for_a_table_is_nothing_that_is_known() -> None:
    with pytest.raises(FileProblem):
        files.recognised(b"x" * 200_000)


@pytest.mark.parametrize("name", ["gb2312", "no-such"])
def test_xml_in_an_encoding_that_nobody_reads_is_named(name: str) -> None:
    octets = f'<?xml version="1.0" encoding="{name}"?><KeyContainer/>'.encode()
    with pytest.raises(FileProblem, match="encoding"):
        list(pskc.read(octets, None, {}))


@pytest.mark.parametrize("octets", [b"caf\xe9,b\n", b"username,email\n\xff,a@b.org\n"])
def test_what_is_not_utf_8_is_named_by_its_line(octets: bytes) -> None:
    with pytest.raises(FileProblem, match=r"line \d: is not UTF-8") as problem:
        files.recognised(octets)
    assert problem.value.__cause__ is None


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("username,passwrod\n", "line 1: unknown field “passwrod”"),
        ('username,password\na,"b\nc', "line 2:"),
        ("username,password\na,b\nc\n", "line 3: has 1 values, the header has 2"),
        ("username,password\na,b,c\n", "line 2: has 3 values"),
        ("username,username\na,b\n", "line 1: the header has a name twice"),
        ("username,totp_digits\na,six\n", "line 2: totp_digits: is not a number"),
        ("username,totp_digits\na,\uff16\n", "line 2: totp_digits: is not a number"),
    ],
)
def test_a_bad_line_of_a_table_is_named(text: str, complaint: str) -> None:
    try:
        said = _complaints(_read(Format.CSV, text))
    except FileProblem as problem:
        said = [str(problem)]
    assert len(said) == 1
    assert said[0].startswith(complaint)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_table_is_read_as_spreadsheets_write_it(delimiter: str, encoding: str, end: str) -> None:
    lines = [
        ["Username", "password", "email"],
        ["älice", '" a;b,\t""c "', ""],
        ["bob", '"two\nlines"', "b@example.org"],
    ]
    text = end.join(delimiter.join(line) for line in lines) + end
    found = _read(Format.CSV, text.encode(encoding))
    assert _fields(found) == [
        {"username": "älice", "password": ' a;b,\t"c '},
        {"username": "bob", "password": "two\nlines", "email": "b@example.org"},
    ]


def test_the_line_of_a_row_is_right_behind_one_of_several_lines() -> None:
    found = _read(Format.CSV, 'username,password,totp_digits\na,"two\nlines",\n\nb,c,x\n')
    assert _complaints(found) == ["line 5: totp_digits: is not a number"]


@pytest.mark.parametrize(
    ("attribute", "value", "complaint"),
    [
        ("NT-Password", "0123", "NT-Password is a hash that can't be checked here"),
        ("MD5-Password", "0123", "MD5-Password is a hash that can't be checked here"),
        ("SMD5-Password", "0123", "SMD5-Password is"),
        ("SSHA-Password", "0123", "SSHA-Password is"),
        ("SSHA1-Password", "0123", "SSHA1-Password is"),
        ("SHA2-Password", "0123", "SHA2-Password is"),
        ("Password-With-Header", "{SSHA}abcd", "{SSHA} is a hash that can't be checked here"),
        ("Password-With-Header", "{nt}abcd", "{nt} is"),
        ("Password-With-Header", "plain", "has no {header}"),
        ("SSHA2-256-Password", "zz!", "neither hexadecimal nor base64"),
        ("SSHA2-256-Password", "00" * 32, "no SHA-256 with a salt"),
    ],
)
def test_a_hash_of_freeradius_that_can_not_be_checked_is_refused(attribute: str, value: str, complaint: str) -> None:
    found = _read(Format.RADCHECK, f"username,attribute,op,value\nalice,{attribute},:=,{value}\n")
    (said,) = _complaints(found)
    assert said.startswith("line 2: ")
    assert complaint in said
    assert value not in said.replace(attribute, "").replace("{nt}", "") or len(value) < 6


def test_whoever_is_rejected_by_freeradius_is_not_imported_whatever_stands_around_it() -> None:
    rows = "alice,Cleartext-Password,:=,x\nalice,Auth-Type,:=,Reject\nbob,Cleartext-Password,:=,y\n"
    found = _read(Format.RADCHECK, "username,attribute,op,value\n" + rows)
    assert [fields["username"] for fields in _fields(found)] == ["bob"]


def test_mysql_escapes_are_undone() -> None:
    text = "username\tattribute\top\tvalue\nalice\tCleartext-Password\t:=\ta\\tb\\\\c\\n\nbob\tAuth-Type\t:=\tNULL\n"
    assert _fields(_read(Format.RADCHECK, text)) == [{"username": "alice", "password": "a\tb\\c\n"}]


def test_a_radcheck_without_its_header_is_named() -> None:
    with pytest.raises(FileProblem, match=r"lacks .*attribute"):
        _read(Format.RADCHECK, "1,alice,Cleartext-Password,:=,x\n")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "is empty"),
        (f"{SEED}\n12345678\n", "has no line"),
        (f'{SEED}\n" TOTP_AUTH\n" STEP_SIZE x\n', "STEP_SIZE"),
        (f'{SEED}\n" TOTP_AUTH\n" STEP_SIZE {"9" * 5000}\n', "STEP_SIZE"),
    ],
)
def test_what_is_no_file_of_google_authenticator_is_named(content: str, complaint: str) -> None:
    (said,) = _complaints(_read(Format.GOOGLE_AUTHENTICATOR, content, user="alice"))
    assert complaint in said
    assert SEED not in said


def test_a_phone_whose_clock_was_wrong_is_counted() -> None:
    found = _read(Format.GOOGLE_AUTHENTICATOR, f'{SEED}\n" TOTP_AUTH\n" TIME_SKEW 3\n', user="alice")
    assert _fields(found) == [{"username": "alice", "totp_secret": SEED, "totp_period": 30}]
    assert sum(_left_out(found).values()) == 1


@pytest.mark.parametrize("line", ["alice:$6$x", "alice:$6$x:1:2:3:4:5:6:7:8"])
def test_a_line_that_is_no_shadow_line_is_named(line: str) -> None:
    (said,) = _complaints(_read(Format.SHADOW, line))
    assert said.startswith("line 1: is no line of a shadow file")


@pytest.mark.parametrize("day", ["soon", "-2", "\u0661", "9" * 5000])
def test_an_account_whose_expiry_nobody_can_read_is_not_taken_for_one_that_never_expires(day: str) -> None:
    (said,) = _complaints(_read(Format.SHADOW, f"alice:$6$x:19000:0:99999:7::{day}:"))
    assert said.startswith("line 1: has a day of expiry")


def _token(**fields: object) -> dict[str, object]:
    user = {"login": "alice", "realm": "corp"}
    return {"serial": "T1", "type": "totp", "otpkey": "31" * 20, "otplen": 6, "user": user} | fields


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"active": False}, "disabled"),
        ({"revoked": True}, "revoked"),
        ({"locked": True}, "locked"),
        ({"rollout_state": "verify"}, "not set up to the end"),
        ({"type": "hotp"}, "kind hotp"),
        ({"type": "push"}, "kind push"),
        ({"user": None}, "belongs to nobody"),
    ],
)
def test_a_token_that_was_in_no_use_counts_for_nothing(fields: dict[str, object], reason: str) -> None:
    found = _read(Format.PRIVACYIDEA, json.dumps([_token(**fields)]))
    assert _fields(found) == []
    ((said, _),) = _left_out(found).items()
    assert reason in said


def test_two_people_of_one_login_are_never_made_one() -> None:
    tokens = json.dumps([_token(), _token(serial="T2", otpkey="32" * 20, user={"login": "Alice", "realm": "lab"})])
    assert len(_complaints(_read(Format.PRIVACYIDEA, tokens))) == 2
    kept = _read(Format.PRIVACYIDEA, tokens, keep_realm=True)
    assert [fields["username"] for fields in _fields(kept)] == ["alice@corp", "Alice@lab"]


@pytest.mark.parametrize("octets", [b'{"serial": 1}', b'["x"]', b"[", b"[" * 100_000])
def test_what_is_no_token_export_is_named(octets: bytes) -> None:
    try:
        said = " ".join(_complaints(_read(Format.PRIVACYIDEA, octets)))
    except FileProblem as problem:
        said = str(problem)
    assert said


def test_an_encrypted_export_opens_with_its_own_key_only() -> None:
    octets = (EXAMPLES / "privacyidea.pi").read_bytes()
    for key in (None, b"", b"no key", base64.urlsafe_b64encode(bytes(32))):
        with pytest.raises(FileProblem, match="key"):
            _read(Format.PRIVACYIDEA, octets, key=key)


def test_pskc_opens_with_its_own_key_only() -> None:
    octets = (EXAMPLES / "privacyidea.pskc.xml").read_bytes()
    for key in (None, b"", b"00" * 15, b"00" * 16):
        with pytest.raises(FileProblem, match="key"):
            _read(Format.PRIVACYIDEA, octets, key=key)


def test_a_seed_that_was_changed_in_a_pskc_file_is_refused_by_its_mac() -> None:
    text = (EXAMPLES / "privacyidea.pskc.xml").read_text()
    key = (EXAMPLES / "privacyidea.pskc.key").read_bytes()
    mac = text.partition("<valuemac>")[2].partition("<")[0]
    found = _read(Format.PRIVACYIDEA, text.replace(mac, base64.b64encode(bytes(20)).decode()), key=key)
    (said,) = _complaints(found)
    assert "MAC is wrong" in said


PLAIN = """<?xml version="1.0"?>
<pskc:KeyContainer Version="1.0" xmlns:pskc="urn:ietf:params:xml:ns:keyprov:pskc"><pskc:KeyPackage>
<pskc:Key Id="1" Algorithm="urn:ietf:params:xml:ns:keyprov:pskc:totp"><pskc:AlgorithmParameters>
<pskc:Suite>HMAC-SHA256</pskc:Suite><pskc:ResponseFormat Length="8" Encoding="DECIMAL"/></pskc:AlgorithmParameters>
<pskc:Data><pskc:Secret><pskc:PlainValue>MTIzNDU2Nzg5MDEyMzQ1Njc4OTA=</pskc:PlainValue></pskc:Secret>
<pskc:TimeInterval><pskc:PlainValue>60</pskc:PlainValue></pskc:TimeInterval></pskc:Data>
<pskc:UserId>alice</pskc:UserId></pskc:Key></pskc:KeyPackage></pskc:KeyContainer>
"""


def test_pskc_in_clear_is_read_as_rfc_6030_has_it() -> None:
    assert _fields(_read(Format.PRIVACYIDEA, PLAIN)) == [
        {
            "username": "alice",
            "totp_secret": SEED,
            "totp_digits": 8,
            "totp_period": 60,
            "totp_algorithm": "SHA256",
        }
    ]


@pytest.mark.parametrize(
    "text",
    [
        "<",
        "<a/>",
        '<!DOCTYPE a [<!ENTITY b "c">]><KeyContainer>&b;</KeyContainer>',
        PLAIN.replace("MTIzNDU2", "????"),
        PLAIN.replace("pskc:Secret", "pskc:Sacred"),
        PLAIN.replace('"8"', '"eight"'),
    ],
)
def test_what_is_wrong_with_a_pskc_file_is_named(text: str) -> None:
    try:
        said = _complaints(_read(Format.PRIVACYIDEA, text))
    except FileProblem as problem:
        said = [str(problem)]
    assert len(said) == 1


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16-le"])
def test_a_pskc_file_with_entities_is_refused_in_every_encoding(encoding: str) -> None:
    text = PLAIN.replace("?>", '?><!DOCTYPE a [<!ENTITY b "alice">]>').replace(">alice<", ">&b;<")
    with pytest.raises(FileProblem, match="DOCTYPE"):
        _read(Format.PRIVACYIDEA, text.encode(encoding))

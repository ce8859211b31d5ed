"""TOTP against RFC 6238 and against pyotp; seeds and their URIs."""

import base64
import hashlib
import os
from urllib.parse import parse_qs, unquote, urlsplit

import pyotp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radiusd_mfa.core.totp import (
    Algorithm,
    SeedProblem,
    code_at,
    matching_steps,
    new_seed,
    otpauth_uri,
    seed_from_base32,
    seed_to_base32,
    step_at,
)

SEED = b"12345678901234567890"
NOW = 1_700_000_000.0
STEP = 56_666_666
DIGESTS = {Algorithm.SHA1: hashlib.sha1, Algorithm.SHA256: hashlib.sha256, Algorithm.SHA512: hashlib.sha512}


def steps_of(code: str, *, now: float = NOW, window: int = 1, seed: bytes = SEED, digits: int = 6) -> tuple[int, ...]:
    return matching_steps(code, seed=seed, digits=digits, period=30, algorithm=Algorithm.SHA1, now=now, window=window)


def code(step: int) -> str:
    return code_at(step, SEED, 6, Algorithm.SHA1)


@pytest.mark.parametrize("away", [-3, -2, 2, 3])
def test_codes_two_steps_away_are_refused(away: int) -> None:
    assert steps_of(code(STEP + away)) == ()


@pytest.mark.parametrize("away", [-1, 0, 1])
def test_codes_one_step_away_name_their_step(away: int) -> None:
    assert steps_of(code(STEP + away)) == (STEP + away,)


def test_a_window_of_none_takes_the_current_step_only() -> None:
    assert steps_of(code(STEP), window=0) == (STEP,)
    assert steps_of(code(STEP - 1), window=0) == ()


@pytest.mark.parametrize("zero", ["\uff10", "\u0660", "\u06f0", "\u0966", "\U0001d7ce"])
def test_digits_of_other_scripts_never_match_and_never_raise(zero: str) -> None:
    foreign = code(STEP).translate({0x30 + digit: chr(ord(zero) + digit) for digit in range(10)})
    assert foreign.isdigit()
    assert steps_of(foreign) == ()


@pytest.mark.parametrize(
    "mangled",
    [
        "",
        " ",
        code(STEP)[:-1],
        code(STEP) + "0",
        "0" + code(STEP),
        " " + code(STEP)[1:],
        "+" + code(STEP)[1:],
        code(STEP)[:3] + " " + code(STEP)[3:],
        code(STEP)[:-1] + "\u00b2",
        "\0" * 6,
        "\ud800" * 6,
        "abcdef",
    ],
)
def test_what_is_not_exactly_the_digits_never_matches(mangled: str) -> None:
    assert steps_of(mangled) == ()


@given(st.text(max_size=10))
def test_no_text_raises(text: str) -> None:
    assert all(code(step) == text for step in steps_of(text))


def test_a_code_of_another_seed_or_length_is_refused() -> None:
    assert steps_of(code_at(STEP, bytes(20), 6, Algorithm.SHA1)) == ()
    assert steps_of(code_at(STEP, SEED, 8, Algorithm.SHA1)) == ()


def test_a_code_that_two_steps_share_names_both() -> None:
    # A one-digit code makes the coincidence that six digits have once in a million.
    step = next(
        step
        for step in range(1, 500)
        if code_at(step, SEED, 1, Algorithm.SHA1) == code_at(step + 1, SEED, 1, Algorithm.SHA1)
    )
    shared = code_at(step, SEED, 1, Algorithm.SHA1)
    assert steps_of(shared, now=step * 30.0, digits=1)[-2:] == (step, step + 1)


def test_the_first_step_of_all_has_none_before_it() -> None:
    assert steps_of(code(0), now=0.0) == (0,)
    assert steps_of(code(1), now=29.9) == (1,)


@pytest.mark.parametrize(("now", "step"), [(0.0, 0), (29.999, 0), (30.0, 1), (59.0, 1), (2_000_000_000, 66_666_666)])
def test_a_step_begins_with_its_second(now: float, step: int) -> None:
    assert step_at(now, 30) == step


@pytest.mark.parametrize("now", [2**31 - 1, 2**31, 2**32, 20_000_000_000, 253_402_300_799])
def test_codes_work_after_2038(now: int) -> None:
    step = now // 30
    assert steps_of(pyotp.TOTP(seed_to_base32(SEED)).at(now), now=float(now)) == (step,)


# RFC 6238 appendix B, with the seeds of its reference implementation: as long as each digest.
@pytest.mark.parametrize(
    ("now", "algorithm", "expected"),
    [
        (59, Algorithm.SHA1, "94287082"),
        (59, Algorithm.SHA256, "46119246"),
        (59, Algorithm.SHA512, "90693936"),
        (1_111_111_109, Algorithm.SHA1, "07081804"),
        (1_111_111_109, Algorithm.SHA256, "68084774"),
        (1_111_111_109, Algorithm.SHA512, "25091201"),
        (1_111_111_111, Algorithm.SHA1, "14050471"),
        (1_111_111_111, Algorithm.SHA256, "67062674"),
        (1_111_111_111, Algorithm.SHA512, "99943326"),
        (1_234_567_890, Algorithm.SHA1, "89005924"),
        (1_234_567_890, Algorithm.SHA256, "91819424"),
        (1_234_567_890, Algorithm.SHA512, "93441116"),
        (2_000_000_000, Algorithm.SHA1, "69279037"),
        (2_000_000_000, Algorithm.SHA256, "90698825"),
        (2_000_000_000, Algorithm.SHA512, "38618901"),
        (20_000_000_000, Algorithm.SHA1, "65353130"),
        (20_000_000_000, Algorithm.SHA256, "77737706"),
        (20_000_000_000, Algorithm.SHA512, "47863826"),
    ],
)
def test_the_vectors_of_rfc_6238_appendix_b(now: int, algorithm: Algorithm, expected: str) -> None:
    seed = (SEED * 4)[: DIGESTS[algorithm]().digest_size]
    assert code_at(step_at(now, 30), seed, 8, algorithm) == expected
    assert matching_steps(expected, seed=seed, digits=8, period=30, algorithm=algorithm, now=now) == (now // 30,)


@given(st.binary(min_size=14, max_size=64), st.integers(0, 2**63), st.integers(6, 8), st.sampled_from(Algorithm))
def test_codes_agree_with_pyotp(seed: bytes, step: int, digits: int, algorithm: Algorithm) -> None:
    theirs = pyotp.HOTP(base64.b32encode(seed).decode(), digits=digits, digest=DIGESTS[algorithm])
    assert code_at(step, seed, digits, algorithm) == theirs.at(step)


def test_an_imported_seed_of_80_bits_works() -> None:
    seed = seed_from_base32("jbsw y3dp ehpk 3pxp")
    assert len(seed) == 10
    assert steps_of(code_at(STEP, seed, 6, Algorithm.SHA1), seed=seed) == (STEP,)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A",
        "JBSWY3DPEHPK3PX1",
        "JBSWY3DPEHPK3PXé",
        "\uff2aBSWY3DPEHPK3PXP",
        "JBSWY3DPEHPK3P=P",
        "JBSWY3DPEHPK3PXP" + "A",
        "\u0131" * 16,
    ],
)
def test_what_is_not_base32_is_no_seed(text: str) -> None:
    with pytest.raises(SeedProblem) as caught:
        seed_from_base32(text)
    assert caught.value.__context__ is None


@pytest.mark.parametrize(("octets", "bits"), [(9, 72), (129, 1032)])
def test_a_seed_too_short_or_too_long_is_refused(octets: int, bits: int) -> None:
    with pytest.raises(SeedProblem, match=f"80 to 1024 bits, this one has {bits}"):
        seed_from_base32(base64.b32encode(bytes(octets)).decode())


def test_no_complaint_about_a_seed_holds_the_seed() -> None:
    with pytest.raises(SeedProblem) as caught:
        seed_from_base32("CANARY22CANARY22!")
    assert "CANARY" not in str(caught.value)


@given(st.binary(min_size=10, max_size=128))
def test_a_seed_survives_base32_in_any_dress(seed: bytes) -> None:
    text = seed_to_base32(seed)
    assert "=" not in text
    grouped = " ".join(text[start : start + 4] for start in range(0, len(text), 4)).lower()
    padded = text + "=" * (-len(text) % 8)
    for dressed in (text, grouped, padded, grouped.replace(" ", "-"), f"\t{text}\n"):
        assert seed_from_base32(dressed) == seed


def test_a_new_seed_has_160_bits_of_the_given_chance() -> None:
    assert new_seed(lambda octets: bytes(range(octets))) == bytes(range(20))
    assert new_seed(os.urandom) != new_seed(os.urandom)


def uri(issuer: str, account: str, seed: bytes = SEED) -> str:
    return otpauth_uri(seed, issuer=issuer, account=account, digits=6, period=30, algorithm=Algorithm.SHA1)


def test_the_uri_spells_everything_out() -> None:
    assert uri("Example VPN", "alice@corp.example") == (
        "otpauth://totp/Example%20VPN:alice%40corp.example"
        "?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Example%20VPN&algorithm=SHA1&digits=6&period=30"
    )


def test_a_colon_in_the_issuer_does_not_move_the_account() -> None:
    label, _, query = uri("Corp: VPN", "aa:bb").removeprefix("otpauth://totp/").partition("?")
    # Also for an app that unquotes the label first and takes it apart at the first colon afterwards.
    assert unquote(label).split(":", 1) == ["Corp VPN", "aa:bb"]
    assert parse_qs(query)["issuer"] == ["Corp VPN"]


@pytest.mark.parametrize("issuer", ["", "  ", ":"])
def test_without_an_issuer_the_label_is_the_account(issuer: str) -> None:
    parts = urlsplit(uri(issuer, "alice"))
    assert parts.path == "/alice"
    assert "issuer" not in parse_qs(parts.query)


def test_a_seed_of_80_bits_has_a_uri_too() -> None:
    assert "secret=JBSWY3DPEHPK3PXP&" in uri("Corp", "alice", seed_from_base32("JBSWY3DPEHPK3PXP"))


NAMES = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp", "Zs"), exclude_characters=":"), min_size=1)


@given(
    st.binary(min_size=20, max_size=64),
    NAMES,
    st.one_of(NAMES, st.sampled_from(["CORP\\alice", "a/b", "a:b", "a b", "a?b#c&d=e%20+", "é@例え"])),
    st.sampled_from([6, 7, 8]),
    st.sampled_from([30, 60]),
    st.sampled_from(Algorithm),
)
def test_pyotp_reads_back_what_the_uri_says(
    seed: bytes, issuer: str, account: str, digits: int, period: int, algorithm: Algorithm
) -> None:
    text = otpauth_uri(seed, issuer=issuer, account=account, digits=digits, period=period, algorithm=algorithm)
    assert text.isascii()
    assert urlsplit(text).path.count("/") == 1
    theirs = pyotp.parse_uri(text)
    assert isinstance(theirs, pyotp.TOTP)
    assert (theirs.issuer, theirs.name, theirs.digits, theirs.interval) == (issuer, account, digits, period)
    assert theirs.at(int(NOW)) == code_at(step_at(NOW, period), seed, digits, algorithm)

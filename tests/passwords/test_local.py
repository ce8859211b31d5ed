"""Hashes made here and taken over: what must not pass, what is refused at import, what is upgraded."""

import base64
import hashlib

import argon2
import bcrypt
import pytest
from argon2.exceptions import VerificationError
from hypothesis import given, settings
from hypothesis import strategies as st
from passlib.hash import bcrypt as libpass_bcrypt
from passlib.hash import ldap_salted_sha256, sha512_crypt

from radiusd_mfa.passwords import local, system_crypt
from radiusd_mfa.passwords.local import (
    PROFILE,
    HashProblem,
    Profile,
    Scheme,
    dummy_for,
    is_cheap,
    make_hash,
    needs_upgrade,
    recognise,
    verify,
)

CHEAP = Profile(time_cost=1, memory_kib=8, parallelism=1)
PASSWORD = "Grüße, 4 u"


def ssha256(password: str, salt: bytes = b"saltsalt") -> str:
    return "{SSHA256}" + base64.b64encode(hashlib.sha256(password.encode() + salt).digest() + salt).decode()


def bcrypt_hash(password: bytes, prefix: str = "2b") -> str:
    return f"${prefix}" + bcrypt.hashpw(password, bcrypt.gensalt(4)).decode()[3:]


STORED = {
    Scheme.ARGON2ID: make_hash(PASSWORD, profile=CHEAP),
    Scheme.BCRYPT: bcrypt_hash(PASSWORD.encode()),
    Scheme.SHA512_CRYPT: str(sha512_crypt.using(rounds=1000).hash(PASSWORD)),
    # Made by crypt(3) of libxcrypt 4.4.33 at its lowest cost, for this password.
    Scheme.YESCRYPT: "$y$j75$cSaLtForTests.$V5FGUbVia6E7Kzq68hO6REsvmXXjh44ypM9Jl73kpyA",
    Scheme.SSHA256: ssha256(PASSWORD),
}
EACH = pytest.mark.parametrize("scheme", list(Scheme))


@EACH
@pytest.mark.parametrize(
    "wrong", ["", PASSWORD + "x", PASSWORD[:-1], PASSWORD.upper(), PASSWORD + "\0", "\0", "a" * 200]
)
def test_a_wrong_password_is_refused_by_every_scheme(scheme: Scheme, wrong: str) -> None:
    assert not verify(wrong, STORED[scheme])


@EACH
def test_the_right_password_passes_in_every_scheme(scheme: Scheme) -> None:
    assert recognise(STORED[scheme]) is scheme
    assert verify(PASSWORD, STORED[scheme])


@pytest.mark.parametrize("prefix", ["2a", "2b", "2y"])
def test_each_spelling_of_bcrypt_is_taken_over(prefix: str) -> None:
    stored = bcrypt_hash(PASSWORD.encode(), prefix)
    assert recognise(stored) is Scheme.BCRYPT
    assert verify(PASSWORD, stored)
    assert not verify("other", stored)


def test_bcrypt_does_not_take_the_first_72_octets_for_the_whole_password() -> None:
    stored = bcrypt_hash(b"a" * 72)
    assert verify("a" * 72, stored)
    assert not verify("a" * 73, stored)
    assert not verify("a" * 72 + "anything", stored)


def test_bcrypt_counts_octets_and_not_characters() -> None:
    stored = bcrypt_hash("ä".encode() * 36)
    assert verify("ä" * 36, stored)
    assert not verify("ä" * 37, stored)


@EACH
def test_nul_ends_no_password(scheme: Scheme) -> None:
    stored = {
        Scheme.ARGON2ID: make_hash("pw", profile=CHEAP),
        Scheme.BCRYPT: bcrypt_hash(b"pw"),
        Scheme.SHA512_CRYPT: str(sha512_crypt.using(rounds=1000).hash("pw")),
        Scheme.YESCRYPT: "$y$j75$cSaLtForTests.$1hPaEsk5EgQqYDmqAp1RtG8622.ctwu3AqJAcu22UJ8",
        Scheme.SSHA256: ssha256("pw"),
    }[scheme]
    assert verify("pw", stored)
    assert not verify("pw\0x", stored)


def test_libpass_makes_what_we_check() -> None:
    assert verify(PASSWORD, libpass_bcrypt.using(rounds=4).hash(PASSWORD))
    assert verify(PASSWORD, ldap_salted_sha256.hash(PASSWORD))


def test_a_published_sha512_crypt_vector_passes() -> None:
    # SHA-crypt's own first vector; crypt(3) and OpenSSL give the same.
    stored = "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1"
    assert verify("Hello world!", stored)
    assert not verify("Hello world", stored)


@pytest.mark.parametrize("scheme", [Scheme.BCRYPT, Scheme.SHA512_CRYPT])
def test_without_the_library_of_the_machine_the_packages_check(monkeypatch: pytest.MonkeyPatch, scheme: Scheme) -> None:
    monkeypatch.setattr(system_crypt, "_crypt_r", lambda: None)
    assert verify(PASSWORD, STORED[scheme])
    assert not verify(PASSWORD + "x", STORED[scheme])


def test_without_the_library_of_the_machine_yescrypt_is_not_taken_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system_crypt, "knows_yescrypt", lambda: False)
    with pytest.raises(HashProblem, match=r"libcrypt\.so\.1"):
        recognise(STORED[Scheme.YESCRYPT])
    with pytest.raises(HashProblem):  # and not False: nothing was found wrong, and another node may know it (I4)
        verify(PASSWORD, STORED[Scheme.YESCRYPT])


@pytest.mark.parametrize(
    ("stored", "sentence"),
    [
        ("", "no known kind"),
        ("secret-canary", "no known kind"),
        ("{SHA}secret-canary", "no known kind"),
        ("$1$salt$secret-canary", "no known kind"),
        ("$argon2i$v=19$m=8,t=1,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAA", "no known kind"),
        ("$argon2id$", "not of the form"),
        ("$argon2id$v=16$m=8,t=1,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAA", "not of the form"),
        (STORED[Scheme.ARGON2ID] + "\n", "not of the form"),
        ("$argon2id$v=19$m=1048577,t=1,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAA", "costs too much"),
        ("$argon2id$v=19$m=65536,t=65,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAA", "costs too much"),
        ("$argon2id$v=19$m=4096,t=1,p=17$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAA", "costs too much"),
        ("$argon2id$v=19$m=15,t=1,p=2$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAA", "less memory"),
        ("$argon2id$v=19$m=8,t=1,p=1$c29t$AAAAAAAAAAAAAAAAAAAAAA", "wrong length"),
        ("$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$AAAAAA", "wrong length"),
        ("$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAB", "wrong length"),
        ("$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAA", "wrong length"),
        ("$2b$04$short", "damaged"),
        ("$2x$" + STORED[Scheme.BCRYPT][4:], "damaged"),
        (STORED[Scheme.BCRYPT][:-1] + "z", "damaged"),
        (STORED[Scheme.BCRYPT][:28] + "z" + STORED[Scheme.BCRYPT][29:], "damaged"),
        (STORED[Scheme.BCRYPT] + "\n", "damaged"),
        ("$2b$03$" + STORED[Scheme.BCRYPT][7:], "cost 03"),
        ("$2b$31$" + STORED[Scheme.BCRYPT][7:], "cost 31"),
        ("$6$salt$short", "damaged"),
        ("$6$rounds=999$salt$" + "." * 86, "damaged"),
        ("$6$rounds=999999999$salt$" + "." * 86, "999999999 rounds"),
        ("$6$salt$" + "." * 85 + "z", "damaged"),
        ("$y$j75$short", "damaged"),
        (STORED[Scheme.YESCRYPT] + "\n", "damaged"),
        ("$y$jFT$" + STORED[Scheme.YESCRYPT][7:], "more than a sign-in can wait for"),
        ("{SSHA256}not base64!", "not base64"),
        ("{SSHA256}" + base64.b64encode(b"x" * 32).decode(), "salt of 4 to 64"),
        ("{SSHA256}" + base64.b64encode(b"x" * 97).decode(), "salt of 4 to 64"),
        ("$6$" + "x" * 600, "longer than 512"),
    ],
    ids=lambda text: text[:7],  # the salts behind are new in each process, and parallel workers must agree on names
)
def test_what_cannot_be_checked_is_refused_at_import_and_matches_nothing(stored: str, sentence: str) -> None:
    with pytest.raises(HashProblem, match=sentence) as caught:
        recognise(stored)
    assert "secret-canary" not in str(caught.value)
    assert not verify("secret-canary", stored)


@given(
    st.text(max_size=60), st.sampled_from(["", "$argon2id$", "$argon2id$v=19$m=8,t=1,p=1$", "$2b$", "$6$", "{SSHA256}"])
)
def test_no_stored_text_makes_verify_raise(rest: str, prefix: str) -> None:
    assert not verify("x", prefix + rest)


@given(st.binary(min_size=8, max_size=64), st.binary(min_size=16, max_size=64), st.integers(1, 16))
@settings(max_examples=50, deadline=None)
def test_every_argon2id_hash_that_is_recognised_can_be_computed(salt: bytes, digest: bytes, lanes: int) -> None:
    salt_text, digest_text = (base64.b64encode(octets).decode().rstrip("=") for octets in (salt, digest))
    stored = f"$argon2id$v=19$m={8 * lanes},t=1,p={lanes}${salt_text}${digest_text}"
    assert recognise(stored) is Scheme.ARGON2ID
    assert not verify("x", stored)


def test_want_of_memory_is_a_fault_and_not_a_wrong_password(monkeypatch: pytest.MonkeyPatch) -> None:
    def out_of_memory(*_: object) -> bool:
        raise VerificationError("Memory allocation error")

    monkeypatch.setattr(local, "verify_secret", out_of_memory)
    with pytest.raises(HashProblem, match="could not be computed"):
        verify(PASSWORD, STORED[Scheme.ARGON2ID])


def test_only_ssha256_is_checked_outside_the_pool() -> None:
    assert {scheme for scheme, stored in STORED.items() if is_cheap(stored)} == {Scheme.SSHA256}


def test_scheme_names_of_ldap_have_no_case() -> None:
    stored = "{ssha256}" + STORED[Scheme.SSHA256][9:]
    assert verify(PASSWORD, stored)
    assert is_cheap(stored)


def test_no_password_matches_the_hash_of_an_unknown_user() -> None:
    dummy = dummy_for(CHEAP)
    assert recognise(dummy) is Scheme.ARGON2ID
    assert not verify("", dummy)
    assert not verify(PASSWORD, dummy)
    assert not is_cheap(dummy)


def test_the_hash_of_an_unknown_user_costs_what_a_real_one_costs() -> None:
    real = argon2.extract_parameters(make_hash("x", profile=CHEAP))
    assert argon2.extract_parameters(dummy_for(CHEAP)) == real
    assert argon2.extract_parameters(dummy_for()) == argon2.Parameters(
        type=argon2.Type.ID, version=19, salt_len=16, hash_len=32, time_cost=2, memory_cost=19456, parallelism=1
    )
    assert dummy_for() is dummy_for(PROFILE)


def test_a_hash_of_our_own_has_the_promised_profile() -> None:
    stored = make_hash("x")
    assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert verify("x", stored)
    assert not needs_upgrade(stored)


def test_two_hashes_of_one_password_differ() -> None:
    assert make_hash("x", profile=CHEAP) != make_hash("x", profile=CHEAP)


@EACH
def test_every_old_hash_needs_an_upgrade(scheme: Scheme) -> None:
    assert needs_upgrade(STORED[scheme])


def test_a_stronger_hash_is_left_alone() -> None:
    assert not needs_upgrade("$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAA")
    assert not needs_upgrade(STORED[Scheme.ARGON2ID], profile=CHEAP)


@pytest.mark.parametrize("cost", ["m=19455,t=2,p=1", "m=19456,t=1,p=1"])
def test_one_cost_below_the_profile_is_enough_for_an_upgrade(cost: str) -> None:
    assert needs_upgrade(f"$argon2id$v=19${cost}$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAA")

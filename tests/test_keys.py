"""The key ring against ATTACKS 22 and 29: nothing opens elsewhere, and no key is readable by others."""

import base64
import fcntl
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radiusd_mfa.key_file import KeyFile
from radiusd_mfa.keys import (
    KeyFileProblem,
    KeyProblem,
    KeyRing,
    MovedRowProblem,
    TamperedProblem,
    UnknownKeyProblem,
    WrongKeyProblem,
    key_id_of,
)

SEED = b"0123456789abcdefghij"
OLD = ("old", bytes(range(32)))
NEW = ("new", bytes(range(32, 64)))


def sealed_seed(ring: KeyRing) -> bytes:
    return ring.seal(SEED, table="method", column="seed", row=7)


def key_file(path: Path, *lines: str, mode: int = 0o600) -> Path:
    path.write_text("".join(line + "\n" for line in lines))
    path.chmod(mode)
    return path


def line(key: tuple[str, bytes]) -> str:
    return f"{key[0]} {base64.b64encode(key[1]).decode()}"


@pytest.mark.parametrize(
    ("table", "column", "row"),
    [
        ("method", "seed", 8),
        ("nas", "seed", 7),
        ("method", "secret", 7),
        ("methods", "eed", 7),
        ("method", "seed7", ""),
    ],
)
def test_a_ciphertext_moved_to_another_place_does_not_open(table: str, column: str, row: int | str) -> None:
    ring = KeyRing([OLD])
    with pytest.raises(MovedRowProblem, match="another place"):
        ring.open(sealed_seed(ring), table=table, column=column, row=row)


def test_no_octet_of_a_sealed_value_can_be_changed() -> None:
    ring = KeyRing([OLD])
    sealed = sealed_seed(ring)
    for position in range(len(sealed)):
        changed = sealed[:position] + bytes((sealed[position] ^ 1,)) + sealed[position + 1 :]
        with pytest.raises(KeyProblem):
            ring.open(changed, table="method", column="seed", row=7)


def test_changed_ciphertext_is_called_changed() -> None:
    ring = KeyRing([OLD])
    sealed = sealed_seed(ring)
    with pytest.raises(TamperedProblem, match="changed after it was sealed"):
        ring.open(sealed[:-1] + bytes((sealed[-1] ^ 1,)), table="method", column="seed", row=7)


@pytest.mark.parametrize("cut", [0, 1, 2, 4, 20, 40, 48])
def test_a_cut_off_value_is_not_a_sealed_value(cut: int) -> None:
    ring = KeyRing([OLD])
    with pytest.raises(TamperedProblem):
        ring.open(sealed_seed(ring)[:cut], table="method", column="seed", row=7)


@given(st.binary(max_size=80))
def test_octets_from_anywhere_raise_nothing_but_a_key_problem(octets: bytes) -> None:
    with pytest.raises(KeyProblem):
        KeyRing([OLD]).open(octets, table="method", column="seed", row=7)


def test_another_key_of_the_same_id_is_called_the_wrong_key() -> None:
    sealed = sealed_seed(KeyRing([OLD]))
    with pytest.raises(WrongKeyProblem, match="another key that was also called 'old'"):
        KeyRing([("old", NEW[1])]).open(sealed, table="method", column="seed", row=7)


def test_a_key_that_is_not_in_the_ring_is_named() -> None:
    sealed = sealed_seed(KeyRing([OLD]))
    with pytest.raises(UnknownKeyProblem, match="sealed by key 'old', which is not in the key file"):
        KeyRing([NEW]).open(sealed, table="method", column="seed", row=7)


def test_the_same_value_is_never_sealed_to_the_same_octets() -> None:
    ring = KeyRing([OLD])
    assert sealed_seed(ring) != sealed_seed(ring)


def test_a_sealed_value_does_not_show_what_it_holds() -> None:
    assert SEED not in sealed_seed(KeyRing([OLD]))


@given(st.binary(max_size=200), st.text(), st.text(), st.one_of(st.integers(), st.text()))
def test_what_was_sealed_opens_at_its_place(plain: bytes, table: str, column: str, row: int | str) -> None:
    ring = KeyRing([OLD, NEW])
    sealed = ring.seal(plain, table=table, column=column, row=row)
    assert ring.open(sealed, table=table, column=column, row=row) == plain


def test_the_last_key_seals_and_every_key_opens() -> None:
    sealed_before = sealed_seed(KeyRing([OLD]))
    ring = KeyRing([OLD, NEW])
    assert (ring.ids, ring.active_id) == (("old", "new"), "new")
    assert key_id_of(sealed_seed(ring)) == "new"
    assert key_id_of(sealed_before) == "old"
    assert ring.open(sealed_before, table="method", column="seed", row=7) == SEED


def test_a_digest_depends_on_purpose_on_each_part_and_on_the_key() -> None:
    ring = KeyRing([OLD])
    digests = {
        ring.digest("request", b"ab", b"c"),
        ring.digest("request", b"a", b"bc"),
        ring.digest("request", b"abc"),
        ring.digest("request", b"abc", b""),
        ring.digest("text", b"ab", b"c"),
        KeyRing([NEW]).digest("request", b"ab", b"c"),
    }
    assert len(digests) == 6
    assert {len(digest) for digest in digests} == {16}
    assert ring.digest("request", b"ab", b"c") == KeyRing([OLD]).digest("request", b"ab", b"c")


def test_a_rotation_changes_no_digest() -> None:
    assert KeyRing([OLD, NEW]).digest("request", b"x") == KeyRing([OLD]).digest("request", b"x")


def test_the_canary_opens_after_a_rotation() -> None:
    KeyRing([OLD, NEW]).check_canary(KeyRing([OLD]).canary())
    KeyRing([OLD, NEW]).check_canary(KeyRing([OLD, NEW]).canary())


def test_the_canary_refuses_a_foreign_key_file() -> None:
    canary = KeyRing([OLD]).canary()
    with pytest.raises(UnknownKeyProblem, match="does not belong to this database"):
        KeyRing([NEW]).check_canary(canary)
    with pytest.raises(WrongKeyProblem, match="does not belong to this database"):
        KeyRing([("old", NEW[1])]).check_canary(canary)


def test_the_canary_misses_a_first_key_that_was_removed() -> None:
    canary = KeyRing([OLD, NEW]).canary()
    with pytest.raises(WrongKeyProblem, match="first key"):
        KeyRing([NEW]).check_canary(canary)


def test_neither_repr_nor_an_error_shows_a_key() -> None:
    ring = KeyRing([OLD])
    shown = repr(ring) + str(ring) + repr(ring._active)
    assert "old" in shown
    assert repr(OLD[1])[2:-1] not in shown
    assert base64.b64encode(OLD[1]).decode() not in shown


def test_a_new_key_file_is_private_and_loads(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    made = KeyRing.create(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert KeyRing.load(path).open(sealed_seed(made), table="method", column="seed", row=7) == SEED


def test_a_new_key_file_is_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        KeyRing.create(tmp_path / "keys")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o600


def test_a_key_file_is_never_overwritten(tmp_path: Path) -> None:
    path = key_file(tmp_path / "keys", line(OLD))
    with pytest.raises(KeyFileProblem, match="never overwritten"):
        KeyRing.create(path)
    assert path.read_text() == line(OLD) + "\n"


def test_two_new_key_files_share_nothing(tmp_path: Path) -> None:
    one, two = KeyRing.create(tmp_path / "one"), KeyRing.create(tmp_path / "two")
    assert one.ids != two.ids
    assert one.digest("x") != two.digest("x")


def test_a_key_file_needs_a_directory(tmp_path: Path) -> None:
    with pytest.raises(KeyFileProblem, match="cannot be written: No such file"):
        KeyRing.create(tmp_path / "absent" / "keys")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601, 0o644])
def test_a_key_file_that_others_may_use_is_refused_with_the_cure(tmp_path: Path, mode: int) -> None:
    path = key_file(tmp_path / "keys", line(OLD), mode=mode)
    with pytest.raises(KeyFileProblem, match=f"chmod 600 {path}"):
        KeyRing.load(path, environ={})


def test_a_credential_of_systemd_may_be_readable_by_its_group(tmp_path: Path) -> None:
    path = key_file(tmp_path / "keys", line(OLD), mode=0o440)
    assert KeyRing.load(path, environ={"CREDENTIALS_DIRECTORY": str(tmp_path)}).ids == ("old",)
    with pytest.raises(KeyFileProblem, match="chmod 600"):
        KeyRing.load(path, environ={"CREDENTIALS_DIRECTORY": str(tmp_path / "elsewhere")})
    with pytest.raises(KeyFileProblem, match="chmod 600"):
        KeyRing.load(path, environ={"CREDENTIALS_DIRECTORY": ""})


def test_a_credential_of_systemd_that_everyone_may_read_is_refused(tmp_path: Path) -> None:
    path = key_file(tmp_path / "keys", line(OLD), mode=0o444)
    with pytest.raises(KeyFileProblem, match="chmod 600"):
        KeyRing.load(path, environ={"CREDENTIALS_DIRECTORY": str(tmp_path)})


def test_a_link_out_of_the_credentials_directory_is_judged_where_it_leads(tmp_path: Path) -> None:
    path = key_file(tmp_path / "keys", line(OLD), mode=0o440)
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "keys").symlink_to(path)
    with pytest.raises(KeyFileProblem, match="chmod 600"):
        KeyRing.load(credentials / "keys", environ={"CREDENTIALS_DIRECTORY": str(credentials)})


def test_an_absent_key_file_is_refused_with_the_cure(tmp_path: Path) -> None:
    with pytest.raises(KeyFileProblem, match="does not exist; restore it"):
        KeyRing.load(tmp_path / "keys")


def test_a_directory_and_a_pipe_are_not_key_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(KeyFileProblem, match="not a regular file"):
        KeyRing.load(tmp_path / "pipe")
    with pytest.raises(KeyFileProblem, match="cannot be read"):
        KeyRing.load(tmp_path)


@pytest.mark.parametrize(
    ("bad", "sentence"),
    [
        (f"id with spaces {base64.b64encode(OLD[1]).decode()}", "line 2 is not"),
        (f"k {base64.b64encode(OLD[1]).decode()[:-4]}", "line 2 is not"),
        ("k canary-key-text!", "line 2 is not"),
        (f"k/1 {base64.b64encode(OLD[1]).decode()}", "line 2 is not"),
        (f"{'k' * 33} {base64.b64encode(OLD[1]).decode()}", "line 2 is not"),
        ("k", "line 2 is not"),
        ("kä b", "not ASCII"),
        (line(OLD) + "\n" + line(OLD), "same id"),
        ("# nothing else", "holds no key"),
    ],
)
def test_a_broken_key_file_is_refused_by_line_without_showing_it(tmp_path: Path, bad: str, sentence: str) -> None:
    path = key_file(tmp_path / "keys", "# a comment", bad)
    with pytest.raises(KeyFileProblem, match=sentence) as caught:
        KeyRing.load(path)
    assert "canary" not in str(caught.value)
    assert base64.b64encode(OLD[1]).decode()[:8] not in str(caught.value)


def test_comments_and_empty_lines_are_skipped(tmp_path: Path) -> None:
    path = key_file(tmp_path / "keys", "# one", "", line(OLD), "  # two", line(NEW), "")
    assert KeyRing.load(path).ids == ("old", "new")


def test_a_rotated_key_file_keeps_its_keys_and_seals_with_a_new_one(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    before = KeyRing.create(path)
    after = KeyRing.rotate(path)
    assert after.ids == (before.active_id, after.active_id)
    assert after.active_id != before.active_id
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert after.open(sealed_seed(before), table="method", column="seed", row=7) == SEED
    after.check_canary(before.canary())


def test_a_key_file_without_a_last_newline_is_rotated_whole(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text(line(OLD))
    path.chmod(0o600)
    assert KeyRing.rotate(path).ids[0] == "old"


def test_two_rotations_at_once_are_refused(tmp_path: Path) -> None:
    path = key_file(tmp_path / "keys", line(OLD))
    with (tmp_path / "keys.new").open("w") as draft:
        fcntl.flock(draft, fcntl.LOCK_EX)
        with pytest.raises(KeyFileProblem, match="another process"):
            KeyRing.rotate(path)
    assert KeyRing.load(path).ids == ("old",)


def test_what_a_killed_rotation_left_is_in_nobodys_way(tmp_path: Path) -> None:
    path = key_file(tmp_path / "keys", line(OLD))
    (tmp_path / "keys.new").write_text("half a key and more than will be written here " * 100)
    assert KeyRing.rotate(path).ids[0] == "old"
    assert not (tmp_path / "keys.new").exists()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_key_that_waits_opens_and_does_not_seal(tmp_path: Path) -> None:
    path = key_file(tmp_path / "keys", line(OLD), f"{line(NEW)} next")
    ring = KeyRing.load(path)
    assert (ring.ids, ring.active_id, ring.waiting) == (("old", "new"), "old", ("new",))
    assert ring.open(sealed_seed(KeyRing([NEW])), table="method", column="seed", row=7) == SEED
    KeyFile(path, os.urandom).activate()
    ring.refresh()
    assert (ring.active_id, ring.waiting) == ("new", ())


@pytest.mark.parametrize("more", ["nxt", "next next", "next x", "# next"])
def test_nothing_else_stands_behind_a_key(tmp_path: Path, more: str) -> None:
    with pytest.raises(KeyFileProblem, match="line 1"):
        KeyRing.load(key_file(tmp_path / "keys", f"{line(OLD)} {more}"))


def test_a_file_whose_keys_all_wait_is_none(tmp_path: Path) -> None:
    with pytest.raises(KeyFileProblem, match="no key that seals"):
        KeyRing.load(key_file(tmp_path / "keys", f"{line(OLD)} next"))


def test_the_last_key_that_seals_is_never_removed(tmp_path: Path) -> None:
    path = key_file(tmp_path / "keys", line(OLD), f"{line(NEW)} next")
    with pytest.raises(KeyFileProblem, match="no key that seals"):
        KeyFile(path, os.urandom).remove("old")
    assert KeyRing.load(path).ids == ("old", "new")


def test_a_ring_in_use_opens_and_seals_by_a_key_that_another_process_made(tmp_path: Path) -> None:
    path = key_file(tmp_path / "keys", line(OLD))
    opens, seals = KeyRing.load(path), KeyRing.load(path)
    elsewhere = KeyRing.rotate(path)
    assert opens.open(sealed_seed(elsewhere), table="method", column="seed", row=7) == SEED
    assert key_id_of(sealed_seed(seals)) == elsewhere.active_id


def test_a_ring_in_use_keeps_what_it_knows_when_the_file_is_spoilt(tmp_path: Path) -> None:
    path = key_file(tmp_path / "keys", line(OLD))
    ring = KeyRing.load(path)
    sealed = sealed_seed(ring)
    for text in ("no key file", "", f"{line(OLD)}\n{line(OLD)}\n"):
        path.write_text(text)
        assert key_id_of(sealed_seed(ring)) == "old"
        with pytest.raises(UnknownKeyProblem):
            ring.open(sealed_seed(KeyRing([NEW])), table="method", column="seed", row=7)
    path.unlink()
    assert ring.open(sealed, table="method", column="seed", row=7) == SEED


def test_digests_outlive_the_first_key_by_the_root_that_the_database_keeps() -> None:
    root = KeyRing([OLD, NEW]).sealed_root()
    ring = KeyRing([NEW]).rooted(root)
    assert ring.digest("request", b"x") == KeyRing([OLD]).digest("request", b"x")
    assert ring.mac("seal", b"x") == KeyRing([OLD]).mac("seal", b"x")
    ring.check_canary(KeyRing([OLD, NEW]).canary())
    assert ring.digest("request", b"x") != KeyRing([NEW]).digest("request", b"x")


def test_a_root_of_another_database_is_refused() -> None:
    with pytest.raises(UnknownKeyProblem, match="does not belong to this database"):
        KeyRing([NEW]).rooted(KeyRing([OLD]).sealed_root())


def test_a_mac_depends_on_purpose_on_each_part_and_on_the_key() -> None:
    ring = KeyRing([OLD])
    macs = {
        ring.mac("seal", b"ab", b"c"),
        ring.mac("seal", b"a", b"bc"),
        ring.mac("seal", b"abc"),
        ring.mac("other", b"ab", b"c"),
        KeyRing([NEW]).mac("seal", b"ab", b"c"),
    }
    assert (len(macs), {len(mac) for mac in macs}) == (5, {32})


def test_a_key_that_was_removed_can_be_put_back_and_does_not_seal(tmp_path: Path) -> None:
    path = key_file(tmp_path / "keys", "# mine", line(OLD), line(NEW))
    file = KeyFile(path, os.urandom)
    file.remove("old")
    assert KeyRing.load(path).ids == ("new",)
    file.put_back()
    assert (KeyRing.load(path).ids, KeyRing.load(path).active_id) == (("old", "new"), "new")
    assert "# mine" in path.read_text()

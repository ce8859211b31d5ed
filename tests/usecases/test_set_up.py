"""What a set-up in dialogue shows follows from its State and the key, and from nothing else (I6)."""

import pytest

from radiusd_mfa.core.backup_codes import tidy
from radiusd_mfa.core.facts import Nas
from radiusd_mfa.core.set_up import FIRST_CODE, FIRST_PIECE, Recording
from radiusd_mfa.keys import KeyRing
from radiusd_mfa.radius.wire import VALUE_LIMIT
from radiusd_mfa.server.set_up_texts import codes_shown, secret_shown
from radiusd_mfa.usecases.set_up import codes_of, dialogue_of, seed_of, state_at, state_digest

LEADING = Nas(3, "vpn", "vpn", challenge=True, set_up=True)
PLAIN = Nas(4, "wifi", "client-app")
REQUEST = b"digest of packet"
ROOT = "0123456789abcdef0123456789abcd"
OTHER_ROOT = "f" + ROOT[1:]


def test_another_state_or_another_key_shows_other_things(keys: KeyRing) -> None:
    stranger = KeyRing([("other", bytes(32))])
    seeds = {seed_of(root, ring) for root in (ROOT, OTHER_ROOT) for ring in (keys, stranger)}
    codes = {
        code.canonical for root in (ROOT, OTHER_ROOT) for ring in (keys, stranger) for code in codes_of(root, 20, ring)
    }
    assert len(seeds) == 4
    assert len(codes) == 80


def test_the_same_state_shows_the_same_on_every_node(keys: KeyRing) -> None:
    assert seed_of(ROOT, keys) == seed_of(ROOT, keys)
    assert len(seed_of(ROOT, keys)) == 20
    assert list(codes_of(ROOT, 20, keys))[:7] == list(codes_of(ROOT, 7, keys))


def test_a_rotated_key_changes_nothing_that_is_shown(keys: KeyRing) -> None:
    rotated = KeyRing([("test", bytes(range(32))), ("new", b"n" * 32)])
    assert seed_of(ROOT, rotated) == seed_of(ROOT, keys)


def test_codes_have_their_shape(keys: KeyRing) -> None:
    for code in codes_of(ROOT, 20, keys):
        assert tidy(code.shown) == code


def test_any_request_may_begin_a_set_up_where_one_is_led(keys: KeyRing) -> None:
    begins = dialogue_of(LEADING, REQUEST, None, keys)
    assert begins is not None
    assert begins.stage == 0
    assert begins.following == state_digest(state_at(begins.root, FIRST_CODE), keys)
    assert begins.root not in repr(begins)
    assert dialogue_of(PLAIN, REQUEST, None, keys) is None


def test_a_state_leads_to_the_stage_after_it(keys: KeyRing) -> None:
    at_code = dialogue_of(LEADING, REQUEST, state_at(ROOT, FIRST_CODE), keys)
    assert at_code is not None
    assert (at_code.root, at_code.stage, at_code.seed) == (ROOT, FIRST_CODE, seed_of(ROOT, keys))
    at_piece = dialogue_of(PLAIN, REQUEST, state_at(ROOT, FIRST_PIECE), keys)
    assert at_piece is not None
    assert at_piece.seed == b""
    assert at_piece.following == state_digest(state_at(ROOT, FIRST_PIECE + 1), keys)


@pytest.mark.parametrize(
    "state",
    [
        b"",
        b"s",
        ROOT.encode() + b"00",  # that of a challenge for a code
        b"s0" + ROOT.encode(),
        b"s1" + ROOT.encode()[:-1],
        b"s1" + ROOT.encode() + b"\n",
        b"s1" + ROOT.upper().encode(),
        b"\xff" * 253,
    ],
)
def test_any_other_state_is_of_no_set_up(keys: KeyRing, state: bytes) -> None:
    assert dialogue_of(LEADING, REQUEST, state, keys) is None


@pytest.mark.parametrize(("codes", "pieces"), [(1, 1), (9, 1), (10, 1), (11, 2), (20, 2)])
def test_ten_codes_are_shown_at_once(keys: KeyRing, codes: int, pieces: int) -> None:
    recording, made = Recording(7, codes), [code.shown for code in codes_of(ROOT, codes, keys)]
    texts = [codes_shown(made, recording, stage) for stage in range(FIRST_PIECE, recording.last_stage + 1)]
    assert len(texts) == pieces
    assert all(sum(code in text for text in texts) == 1 for code in made)
    assert all(text.endswith("type: saved") and len(text) <= VALUE_LIMIT for text in texts)


@pytest.mark.parametrize("portal", [None, "https://mfa.example.net/", "https://mfa.example.net/" + "x" * 176])
def test_the_secret_has_room_whatever_the_address_of_the_page(keys: KeyRing, portal: str | None) -> None:
    text = secret_shown(seed_of(ROOT, keys), portal)
    assert len(text.encode()) <= VALUE_LIMIT
    assert text.endswith("Then type the code that it shows.")
    assert (portal is not None and portal in text) == (portal == "https://mfa.example.net/")

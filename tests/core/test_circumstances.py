"""What is kept of a sign-in: enough to judge it again, and nothing that anybody could use."""

import json
from dataclasses import replace
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radiusd_mfa.core.circumstances import Circumstances, CircumstancesProblem, Phone, Place, Seen, read, recorded
from radiusd_mfa.core.facts import Facts, Membership, MethodKind, Nas, TeamRules
from radiusd_mfa.core.verdict import Found, Reason
from radiusd_mfa.core.verification import Verification
from tests.support.judging import (
    ALICE,
    BACKUP,
    EARLIER_TEXT,
    METHOD,
    NOW,
    OTP_ONLY,
    PASSWORD,
    SEED,
    STORED,
    TEXT,
    attempt,
    code,
    verdict_of,
)

TIMES: Final = st.floats(allow_nan=False, allow_infinity=False)
SEEN: Final = st.none() | st.builds(Seen, TIMES, st.booleans())
WEIGHED: Final = st.one_of(
    st.tuples(st.sampled_from(Found), st.none()),
    st.tuples(st.none(), st.sampled_from(Reason)),
)
CIRCUMSTANCES: Final = WEIGHED.flatmap(
    lambda weighed: st.builds(
        Circumstances,
        at=TIMES,
        surface=st.text(max_size=5),
        found=st.just(weighed[0]),
        apart=st.just(weighed[1]),
        kinds=st.frozensets(st.sampled_from(MethodKind)),
        enrolled_before=st.booleans(),
        team_id=st.integers(0, 2**63),
        places=st.lists(
            st.builds(Place, st.integers(), st.text(), st.text(max_size=5), st.text(max_size=5), st.integers(0)),
            max_size=3,
        ).map(tuple),
        challenge=st.booleans(),
        code_only=st.booleans(),
        device=SEEN,
        latest=SEEN,
        set_up=st.booleans(),
        phone=st.none() | st.builds(Phone, st.booleans(), st.booleans()),
    )
)
NOT_WRITTEN: Final = (
    *("", "{}", "[]", "null", "1", '"x"', "{", "\x00", "[" * 5_000, '{"at":1,"surface":"vpn"}'),
    *('{"surface":"vpn","found":"totp"}', '{"at":1,"found":"totp"}', '{"at":"x","surface":"vpn","found":"totp"}'),
    *('{"at":1,"surface":"vpn","found":"key"}', '{"at":1,"surface":"vpn","found":"totp","apart":"repeat"}'),
    *('{"at":NaN,"surface":"vpn","found":"totp"}', '{"at":1,"surface":"vpn","found":"totp","latest":[1]}'),
    '{"at":1,"surface":"vpn","found":"totp","latest":[Infinity,true]}',
    '{"at":1,"surface":"vpn","found":"sms","phone":[true]}',
    *('{"at":1,"surface":"vpn","found":"totp","kinds":["key"]}', '{"at":1,"surface":"vpn","found":"totp","kinds":1}'),
    *(
        '{"at":1,"surface":"vpn","found":"totp","places":[[1,"a"]]}',
        '{"at":1,"surface":"vpn","found":[]}',
    ),
)
FACTS: Final = Facts(
    user=replace(ALICE, enrolled_before=True),
    methods=(METHOD,),
    backup_codes=(STORED,),
    team_id=7,
    memberships=(Membership(TeamRules(7, "ops", "mfa", "require = []", version=3), "owner"),),
    verification=Verification(NOW - 60, EARLIER_TEXT, 3, "de:vi:ce"),
    latest=Verification(NOW - 30, TEXT, 3, "another"),
)


@given(CIRCUMSTANCES)
def test_what_is_written_is_read_back_as_one_line_of_ascii(circumstances: Circumstances) -> None:
    written = circumstances.written()
    assert read(written) == circumstances
    assert written.isascii()
    assert written.isprintable()


@pytest.mark.parametrize("typed", [PASSWORD, PASSWORD + code(), PASSWORD + BACKUP.shown, "letmein" + code(), ""])
def test_nothing_that_was_typed_or_that_proves_anything_is_written(typed: str) -> None:
    made = attempt(typed)
    written = recorded(made, FACTS, verdict_of(made, FACTS))
    secrets = [PASSWORD, "letmein", code(), BACKUP.canonical, BACKUP.shown, "hash of"]
    secrets += [TEXT.decode(), TEXT.hex(), EARLIER_TEXT.hex(), SEED.hex(), made.request.hex(), "de:vi:ce", "alice"]
    assert not [secret for secret in secrets if secret in written]
    assert not set(json.loads(written)) & {"text", "password", "code", "history"}


def test_an_attempt_is_written_as_the_policies_see_it() -> None:
    made = attempt(PASSWORD, Nas(3, "gate", "client-app", team_id=7, challenge=True))
    assert json.loads(recorded(made, FACTS, verdict_of(made, FACTS))) == {
        "at": NOW,
        "surface": "client-app",
        "found": "nothing",
        "kinds": ["totp"],
        "enrolled_before": True,
        "team": 7,
        "places": [[7, "ops", "owner", "mfa", 3]],
        "challenge": True,
        "device": [NOW - 60, False],
        "latest": [NOW - 30, True],
    }


def test_what_no_policy_has_a_say_in_is_kept_with_its_reason() -> None:
    made = attempt("letmein")
    assert json.loads(recorded(made, Facts(), verdict_of(made, Facts()))) == {
        "at": NOW,
        "surface": "vpn",
        "apart": "unknown-user",
    }


def test_a_device_without_a_name_is_none() -> None:
    made = attempt(PASSWORD, device="")
    assert Circumstances.of(made, FACTS, Found.NOTHING).device is None
    assert Circumstances.of(made, FACTS, Found.NOTHING).latest == Seen(NOW - 30, same_text=True)


def test_only_a_code_is_expected_at_a_prompt_and_from_a_nas_that_sends_nothing_else() -> None:
    for made in (attempt(code(), OTP_ONLY), attempt(code(), state=b"state")):
        assert Circumstances.of(made, FACTS, Found.TOTP).code_only
    assert not Circumstances.of(attempt(code()), FACTS, Found.TOTP).code_only


@pytest.mark.parametrize("text", NOT_WRITTEN)
def test_what_was_not_written_here_is_not_read(text: str) -> None:
    with pytest.raises(CircumstancesProblem):
        read(text)


@given(st.one_of(st.text(), CIRCUMSTANCES.map(Circumstances.written)), st.integers(0, 300), st.text(max_size=3))
def test_a_damaged_text_is_read_or_refused_and_nothing_else(text: str, place: int, junk: str) -> None:
    damaged = text[:place] + junk + text[place + 1 :]
    try:
        again = read(damaged)
    except CircumstancesProblem:
        return
    assert read(again.written()) == again

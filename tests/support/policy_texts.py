"""Policy texts for properties: valid ones, valid ones that somebody damaged, and whatever a keyboard can write."""

from typing import Final

from hypothesis import strategies as st

from radiusd_mfa.core.policy import ROLES, SURFACES

_PERIODS: Final = ("connection", "1m", "90m", "12h", "1d", "90d")
_JUNK: Final = (
    "#",
    '"',
    "[",
    "]",
    "[[",
    "]]",
    "=",
    "\n",
    " ",
    ",",
    "0",
    "9",
    "d",
    "h",
    "{}",
    "[]",
    "'",
    "\\",
    "é",
    "\x00",
)
_PIECES: Final = st.sampled_from(
    [
        *("mode", "enrol_by", "require", "roles", "surfaces", "every", "remember", "methods", "allow", "all", "any"),
        *(*_JUNK, *_PERIODS, *ROLES, *SURFACES, "[[require]]", "[methods]", "report", "enforce", "true", "false"),
        *("require = []", 'mode = "report"', "2030-01-01", "2020-01-01", "user", "device", "totp", "sms", '""', '"""'),
    ]
)


def _names(key: str, known: tuple[str, ...]) -> st.SearchStrategy[str]:
    everything = st.sampled_from(["", f'{key} = "all"\n', f'{key} = "any"\n'])
    listed = st.lists(st.sampled_from(known), min_size=1, max_size=3)
    some = listed.map(lambda names: f"{key} = [{', '.join(repr(name) for name in names)}]\n")
    return st.one_of(some, some, everything)


def _optional(key: str, values: tuple[str, ...]) -> st.SearchStrategy[str]:
    return st.sampled_from(["", *(f"{key} = {value}\n" for value in values)])


_RULES: Final = st.builds(
    "[[require]]\n{}{}{}{}".format,
    _names("roles", ROLES),
    _names("surfaces", SURFACES),
    _optional("every", tuple(f'"{period}"' for period in _PERIODS)),
    _optional("remember", ('"user"', '"device"')),
)
VALID_POLICIES: Final = st.builds(
    "{}{}{}{}{}".format,
    _optional("mode", ('"enforce"', '"report"')),
    _optional("enrol_by", ("2020-01-01", "2027-01-15", "2030-01-01", "2030-01-01T12:00:00+01:00")),
    _optional("require_all_owners", ("true", "false")),
    st.one_of(st.lists(_RULES, max_size=3).map("".join), st.just("require = []\n")),
    st.sampled_from(
        ["", '[methods]\nallow = ["totp"]\n', '[methods]\nallow = ["sms"]\n', "[backup_codes]\ncount = 1\n"]
    ),
)


@st.composite
def _damaged(draw: st.DrawFn) -> str:
    """Take a valid policy, and cut, double, replace or insert a few pieces of it."""
    text = draw(VALID_POLICIES)
    for _ in range(draw(st.integers(1, 4))):
        begin = draw(st.integers(0, len(text)))
        end = min(len(text), begin + draw(st.integers(0, 12)))
        middle = draw(st.one_of(_PIECES, st.just(""), st.just(text[begin:end] * 2), st.text(max_size=3)))
        text = text[:begin] + middle + text[end:]
    return text


POLICY_TEXTS: Final = st.one_of(VALID_POLICIES, _damaged(), st.lists(_PIECES, max_size=20).map("".join), st.text())

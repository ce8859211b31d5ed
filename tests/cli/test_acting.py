"""`--as USER` and the commands about second factors, over the real command line."""

import json
import os
import pty
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from radiusd_mfa.app import App
from radiusd_mfa.core.totp import Algorithm, code_at, seed_from_base32, step_at
from tests.conftest import Cli, Ran

VOLUNTARY = "require = []\n"
REVEALING = "require = []\n[backup_codes]\ncount = 2\nreveal = true\n"
SINGLE = "require = []\n[backup_codes]\ncount = 1\n"


class SteppingClock:
    """Goes on by a time step whenever a code is wanted, so that each command has a fresh one."""

    def __init__(self) -> None:
        self.now = float(step_at(time.time(), 30) * 30)

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SteppingClock:
    made = SteppingClock()
    monkeypatch.setitem(App.open.__func__.__kwdefaults__, "clock", made)  # type: ignore[attr-defined]  # a classmethod
    return made


@dataclass
class Desk:
    """A machine at which several people work, each with the password “pw” and a phone."""

    run: Cli
    clock: SteppingClock
    seeds: dict[str, bytes]

    def code(self, name: str) -> str:
        self.clock.now += 30
        return code_at(step_at(self.clock.now, 30), self.seeds[name], 6, Algorithm.SHA1)

    def scan(self, name: str, ran: Ran) -> None:
        """Put the secret that a command printed into somebody's phone."""
        assert ran.exit_code == 0, ran.stderr
        self.seeds[name] = seed_from_base32(ran.json["uri"].partition("secret=")[2].partition("&")[0])

    def acts(self, name: str, *line: str, code: str | None = None, password: str = "pw", more: str = "") -> Ran:
        typed = self.code(name) if code is None else code
        return self.run(*line, "--as", name, stdin=f"{password}\n{typed}\n{more}")

    def enrolled(self, name: str) -> Sequence[str]:
        """Make a user with a second factor and return the backup codes."""
        self.run("user", "add", name, "--password-stdin", stdin="pw")
        self.scan(name, self.run("mfa", "enrol", name, "--json"))
        codes: Sequence[str] = self.confirm(name)["backup_codes"]
        return codes

    def confirm(self, name: str) -> Any:
        ran = self.run("mfa", "confirm", name, "--code-stdin", "--json", stdin=self.code(name))
        assert ran.exit_code == 0, ran.stderr
        return ran.json

    def policy(self, text: str) -> None:
        ran = self.run("policy", "apply", "ops", "-", stdin=text)
        assert ran.exit_code == 0, ran.stderr

    def member(self, name: str, role: str = "member", *permissions: str) -> Sequence[str]:
        """Make a user with a second factor in team ops."""
        codes = self.enrolled(name)
        options = [word for permission in permissions for word in ("--permission", permission)]
        assert self.run("member", "add", "ops", name, "--role", role, *options).exit_code == 0
        return codes

    def methods(self, name: str) -> list[tuple[str, bool]]:
        shown = self.run("mfa", "show", name, "--json").json["methods"]
        return [(method["label"], method["confirmed"]) for method in shown]

    def audit(self, verb: str) -> list[tuple[str, str]]:
        rows = self.run("audit", "list", "--json", "--kind", "change", "--limit", "1000").json
        return [(row["actor"], row["outcome"]) for row in reversed(rows) if row["reason"] == verb]


@pytest.fixture
def desk(ready: Cli, clock: SteppingClock) -> Desk:
    made = Desk(ready, clock, {})
    ready("team", "add", "ops")
    made.policy(VOLUNTARY)
    return made


def _refused(ran: Ran, *words: str) -> None:
    assert (ran.exit_code, ran.stdout) == (1, "")
    assert ran.stderr.count("\n") == 1
    for word in words:
        assert word in ran.stderr


# --as


@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_as_is_taken_anywhere_on_the_line(desk: Desk, place: int) -> None:
    desk.enrolled("alice")
    line = ["mfa", "show", "alice"]
    line[place:place] = ["--as", "alice", "--json"]
    assert desk.run(*line, stdin=f"pw\n{desk.code('alice')}\n").json["user"] == "alice"


@pytest.mark.parametrize(("password", "code"), [("wrong", None), ("pw", "000000"), ("pw", ""), ("", ""), ("pw", "x")])
def test_what_is_wrong_is_not_said(desk: Desk, password: str, code: str | None) -> None:
    desk.enrolled("alice")
    ran = desk.acts("alice", "mfa", "show", "alice", password=password, code=code)
    _refused(ran, "User name, password or code is not right")


def test_password_and_code_may_stand_on_one_line(desk: Desk) -> None:
    desk.enrolled("alice")
    code = desk.code("alice")
    assert desk.run("mfa", "show", "alice", "--as", "alice", stdin=f"pw{code}\n\n").exit_code == 0


def test_who_gives_nothing_acts_for_nobody(desk: Desk) -> None:
    desk.enrolled("alice")
    _refused(desk.run("mfa", "show", "alice", "--as", "alice"), "not right")
    assert desk.run("mfa", "show", "alice", "--as", "a\nb").exit_code == 2
    _refused(desk.run("mfa", "show", "alice", "--as", "nobody", stdin="pw\n123456\n"), "not right")


def test_a_code_acts_once(desk: Desk) -> None:
    desk.enrolled("alice")
    code = desk.code("alice")
    assert desk.acts("alice", "mfa", "show", "alice", code=code).exit_code == 0
    _refused(desk.acts("alice", "mfa", "show", "alice", code=code), "not right")


def test_guesses_are_capped_as_at_a_sign_in(desk: Desk) -> None:
    desk.enrolled("alice")
    for guess in range(5):
        desk.acts("alice", "mfa", "backup-codes", "alice", code=str(guess) * 6)
    _refused(desk.acts("alice", "mfa", "backup-codes", "alice"), "not right")
    (newest,) = desk.run("audit", "list", "--kind", "sign-in", "--limit", "1", "--json").json
    assert (newest["nas"], newest["reason"]) == ("cli", "throttled")


@pytest.mark.parametrize(
    "line",
    [
        ("user", "disable", "alice"),
        ("user", "list"),
        ("team", "add", "dev"),
        ("member", "set", "ops", "alice", "--role", "owner"),
        ("nas", "list"),
        ("audit", "list"),
        ("keys", "status"),
        ("db", "status"),
        ("mfa", "reset", "bob", "--show-link"),
    ],
)
def test_what_is_the_operators_is_refused_to_an_owner_and_written_down(desk: Desk, line: tuple[str, ...]) -> None:
    desk.member("alice", "owner")
    desk.member("bob")
    _refused(desk.acts("alice", *line), "Only the operator")
    verb = "mfa-reset-link" if "--show-link" in line else "-".join(line[:2])
    assert desk.audit(verb)[-1] == ("alice", "refused")


def test_at_a_terminal_password_and_code_are_asked_for_and_never_shown(desk: Desk, environ: dict[str, str]) -> None:
    codes = desk.enrolled("alice")
    controller, terminal = pty.openpty()
    command = [sys.executable, "-m", "radiusd_mfa", "mfa", "show", "alice", "--as", "alice"]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RADIUSD_MFA_")}
    with subprocess.Popen(
        command, stdin=terminal, stdout=terminal, stderr=terminal, env=inherited | environ, start_new_session=True
    ) as process:
        os.close(terminal)
        shown = b""
        for prompt, typed in ((b"Password of alice: ", b"pw"), (b"password): ", codes[0].encode())):
            while prompt not in shown:
                shown += os.read(controller, 1000)
            os.write(controller, typed + b"\n")
        try:
            while piece := os.read(controller, 1000):
                shown += piece
        except OSError:  # Linux says EIO when the last program has closed the terminal
            pass
        assert process.wait(timeout=30) == 0
    os.close(controller)
    assert codes[0].encode() not in shown
    assert b"Backup codes left: 9" in shown


# T4


def test_an_owner_may_force_everyone_once_the_own_second_factor_is_there(desk: Desk) -> None:
    desk.member("alice", "owner")
    desk.run("user", "add", "bob", "--password-stdin", stdin="pw")
    desk.run("member", "add", "ops", "bob", "--role", "owner")
    wanted = "require_all_owners = true\n[[require]]\n"
    _refused(desk.acts("alice", "policy", "apply", "ops", "-", more=wanted), "bob has none")
    _refused(desk.run("policy", "apply", "ops", "-", "--as", "bob", stdin=f"pw\n\n{wanted}"), "not right")
    assert desk.acts("alice", "policy", "apply", "ops", "-", more="[[require]]\n").exit_code == 0
    assert desk.audit("policy-apply") == [("operator", "done"), ("alice", "refused"), ("alice", "done")]


# E3


def test_a_single_recovery_code_must_be_recorded_before_anything_counts(desk: Desk) -> None:
    desk.policy(SINGLE)
    desk.run("user", "add", "alice", "--password-stdin", stdin="pw")
    desk.run("member", "add", "ops", "alice", "--role", "member")
    desk.scan("alice", desk.run("mfa", "enrol", "alice", "--json"))
    shown = desk.confirm("alice")
    assert (shown["counts"], len(shown["backup_codes"])) == (False, 1)
    assert desk.methods("alice") == [("", False)]
    _refused(desk.acts("alice", "mfa", "show", "alice"), "not right")
    done = desk.run("mfa", "confirm", "alice", "--recorded", "--json")
    assert (done.json["counts"], done.json["backup_codes"]) == (True, [])
    assert desk.acts("alice", "mfa", "show", "alice", code=shown["backup_codes"][0]).exit_code == 0
    _refused(desk.run("mfa", "confirm", "alice", "--recorded"), "no recovery code to be acknowledged")
    assert desk.run("mfa", "confirm", "alice", "--recorded", "--code-stdin").exit_code == 2


@pytest.mark.parametrize(("said", "counts"), [(b"n", False), (b"y", True)])
def test_at_a_terminal_it_is_asked_whether_the_recovery_code_is_recorded(
    desk: Desk, environ: dict[str, str], said: bytes, counts: bool
) -> None:
    desk.policy(SINGLE)
    desk.run("user", "add", "alice", "--password-stdin", stdin="pw")
    desk.run("member", "add", "ops", "alice", "--role", "member")
    desk.scan("alice", desk.run("mfa", "enrol", "alice", "--json"))
    controller, terminal = pty.openpty()
    command = [sys.executable, "-m", "radiusd_mfa", "mfa", "confirm", "alice"]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RADIUSD_MFA_")}
    with subprocess.Popen(
        command, stdin=terminal, stdout=terminal, stderr=terminal, env=inherited | environ, start_new_session=True
    ) as process:
        os.close(terminal)
        shown = b""
        code = code_at(step_at(time.time(), 30), desk.seeds["alice"], 6, Algorithm.SHA1).encode()
        for prompt, typed in ((b"Code: ", code), (b"[y/N]: ", said)):
            while prompt not in shown:
                shown += os.read(controller, 1000)
            os.write(controller, typed + b"\n")
        try:
            while piece := os.read(controller, 1000):
                shown += piece
        except OSError:  # as above
            pass
        assert process.wait(timeout=30) == (0 if counts else 1)
    os.close(controller)
    assert b"safely recorded" in shown
    assert desk.methods("alice") == [("", counts)]


# K3, K4, K5


def test_backup_codes_are_made_by_acting_and_not_after_a_backup_code(desk: Desk) -> None:
    codes = desk.member("alice")
    fresh = desk.acts("alice", "mfa", "backup-codes", "alice", "--json").json["backup_codes"]
    assert not set(fresh) & set(codes)
    _refused(desk.acts("alice", "mfa", "backup-codes", "alice", code=codes[0]), "not right")
    desk.clock.now += 2
    _refused(desk.acts("alice", "mfa", "backup-codes", "alice", code=fresh[0]), "signed in with a backup code")
    code = desk.code("alice")
    _refused(desk.run("mfa", "backup-codes", "alice", "--code-stdin", stdin=code), "signed in with a backup code")
    assert desk.acts("alice", "mfa", "backup-codes", "alice").exit_code == 0
    assert desk.acts("alice", "mfa", "backup-codes", "alice", "--without-code").exit_code == 2


def test_after_a_backup_code_the_password_alone_disables_the_own_second_factor(desk: Desk) -> None:
    codes = desk.member("alice")
    desk.policy("[[require]]\n")
    _refused(desk.acts("alice", "mfa", "disable", "alice", "--yes", code=""), "not right")
    _refused(desk.acts("alice", "mfa", "disable", "alice", "--yes"), "required of “alice” by team ops")
    desk.clock.now += 2
    assert desk.acts("alice", "mfa", "show", "alice", code=codes[0]).exit_code == 0
    desk.clock.now += 2
    _refused(desk.acts("alice", "mfa", "delete", "alice", code=""), "not right")
    desk.clock.now += 2
    gone = desk.acts("alice", "mfa", "disable", "alice", "--yes", "--json", code="")
    assert gone.json == {"user": "alice", "removed": 1, "must_set_up": True}
    assert desk.methods("alice") == []


def test_codes_are_seen_again_only_where_the_policy_allows_it(desk: Desk) -> None:
    desk.member("alice")
    _refused(desk.acts("alice", "mfa", "backup-codes", "alice", "--reveal"), "can't be seen again")
    desk.policy(REVEALING)
    fresh = desk.acts("alice", "mfa", "backup-codes", "alice", "--json").json["backup_codes"]
    assert len(fresh) == 2
    assert desk.acts("alice", "mfa", "backup-codes", "alice", "--reveal", "--json").json["backup_codes"] == fresh
    shown = desk.acts("alice", "mfa", "backup-codes", "alice", "--reveal").stdout
    assert all(code in shown for code in fresh)
    (key,) = [key for key in desk.run("keys", "status", "--json").json["keys"] if key["active"]]
    assert key["sealed"] == 5  # the NAS entry's secret, the seed, two codes, the root of the digests
    desk.policy(VOLUNTARY)
    (key,) = [key for key in desk.run("keys", "status", "--json").json["keys"] if key["active"]]
    assert key["sealed"] == 3


# X1 to X6


def test_an_own_reset_leaves_the_old_method_until_the_new_one_is_confirmed(desk: Desk) -> None:
    codes = desk.member("alice")
    old = desk.seeds["alice"]
    desk.scan("alice", desk.acts("alice", "mfa", "reset", "alice", "--label", "new", "--json"))
    new = desk.seeds["alice"]
    assert desk.methods("alice") == [("", True), ("new", False)]
    desk.seeds["alice"] = old
    assert desk.acts("alice", "mfa", "show", "alice").exit_code == 0
    desk.seeds["alice"] = new
    assert desk.confirm("alice")["backup_codes"] == []
    assert desk.methods("alice") == [("new", True)]
    assert desk.acts("alice", "mfa", "show", "alice").exit_code == 0
    desk.seeds["alice"] = old
    _refused(desk.acts("alice", "mfa", "show", "alice"), "not right")
    assert desk.acts("alice", "mfa", "show", "alice", code=codes[0]).exit_code == 0
    assert desk.audit("mfa-reset") == [("alice", "done")]


def test_the_last_mandatory_method_is_deleted_by_the_operator_only(desk: Desk) -> None:
    desk.member("alice")
    desk.policy("[[require]]\n")
    _refused(desk.acts("alice", "mfa", "delete", "alice"), "required of “alice” by team ops", "mfa enrol alice")
    gone = desk.run("mfa", "delete", "alice")
    assert "Remove the entry “alice” from the authenticator app too." in gone.stdout
    assert desk.audit("mfa-delete") == [("alice", "refused"), ("operator", "done")]


def test_an_administrators_reset_is_a_link_that_only_the_operator_sees(desk: Desk) -> None:
    desk.member("alice", "admin")
    desk.member("bob")
    made = desk.acts("alice", "mfa", "reset", "bob", "--json")
    assert made.json["link"] is None
    link = desk.run("mfa", "reset", "bob", "--show-link", "--json").json["link"]
    assert len(link) == 43
    assert desk.methods("bob") == [("", True)]
    old = desk.seeds["bob"]
    desk.clock.now += 2
    _refused(desk.run("mfa", "redeem", "bob", stdin=f"{link}\nwrong\n"), "not right")
    desk.clock.now += 2
    _refused(desk.run("mfa", "redeem", "alice", stdin=f"{link}\npw\n"), "This link is not good for “alice”")
    redeemed = desk.run("mfa", "redeem", "bob", "--label", "new", "--json", stdin=f"{link}\npw\n")
    _refused(desk.run("mfa", "redeem", "bob", stdin=f"{link}\npw\n"), "This link is not good for “bob”")
    assert desk.acts("bob", "mfa", "show", "bob").exit_code == 0
    desk.scan("bob", redeemed)
    assert len(desk.confirm("bob")["backup_codes"]) == 10
    assert desk.methods("bob") == [("new", True)]
    desk.seeds["bob"] = old
    _refused(desk.acts("bob", "mfa", "show", "bob"), "not right")
    assert desk.audit("mfa-reset-link") == [("alice", "done"), ("operator", "done")]


def test_with_a_portal_the_link_is_an_address_and_its_token_still_works_here(desk: Desk) -> None:
    desk.member("bob")
    portal = {"RADIUSD_MFA_PORTAL_URL": "https://mfa.example.org"}
    link = desk.run("mfa", "reset", "bob", "--show-link", "--json", env=portal).json["link"]
    assert link.startswith("https://mfa.example.org/")
    desk.clock.now += 2
    assert desk.run("mfa", "redeem", "bob", stdin=f"{link}\npw\n").exit_code == 0


def test_without_permission_no_link_is_made(desk: Desk) -> None:
    desk.member("alice")
    desk.member("bob")
    _refused(desk.acts("alice", "mfa", "reset", "bob"), "“alice” lacks members.view, mfa.reset in team ops.")
    assert desk.audit("mfa-reset-link") == [("alice", "refused")]


def test_an_administrator_disables_anothers_with_the_permissions_and_a_confirmation(desk: Desk) -> None:
    desk.member("alice")
    desk.member("bob")
    _refused(desk.acts("alice", "mfa", "disable", "bob", "--yes"), "lacks members.view, mfa.disable in team ops")
    words = ("--permission", "members.view", "--permission", "mfa.disable")
    set_ = desk.run("member", "set", "ops", "alice", *words, "--json").json
    assert set_ == {"team": "ops", "user": "alice", "role": "member", "permissions": ["members.view", "mfa.disable"]}
    unconfirmed = desk.acts("alice", "mfa", "disable", "bob")
    assert (unconfirmed.exit_code, "--yes" in unconfirmed.stderr) == (2, True)
    assert desk.methods("bob") == [("", True)]
    gone = desk.acts("alice", "mfa", "disable", "bob", "--yes")
    assert "bob has 1 method less" in gone.stdout
    assert desk.methods("bob") == []
    assert desk.run("member", "set", "ops", "alice", "--no-permissions", "--json").json["permissions"] == []
    assert desk.run("member", "set", "ops", "alice", *words, "--no-permissions").exit_code == 2
    assert desk.run("member", "set", "ops", "alice").exit_code == 2
    assert desk.audit("mfa-disable") == [("alice", "refused"), ("alice", "done")]


def test_a_stolen_phone_is_revoked_at_once_and_only_with_the_word(desk: Desk) -> None:
    codes = desk.member("alice")
    desk.policy("[[require]]\n")
    assert desk.acts("alice", "mfa", "revoke", "alice").exit_code == 2
    assert desk.methods("alice") == [("", True)]
    desk.clock.now += 2
    revoked = desk.acts("alice", "mfa", "revoke", "alice", "--now", "--json", code=codes[0])
    assert revoked.json == {"user": "alice", "removed": 1, "must_set_up": True}
    _refused(desk.acts("alice", "mfa", "show", "alice"), "not right")
    _refused(desk.acts("alice", "mfa", "show", "alice", code=codes[1]), "not right")


def test_the_operator_may_do_all_of_it_and_the_audit_log_says_so(desk: Desk) -> None:
    for name in ("alice", "bob", "carol"):
        desk.member(name, "owner")
    desk.policy("[[require]]\n")
    assert desk.run("mfa", "reset", "alice").exit_code == 0
    assert desk.run("mfa", "revoke", "alice", "--now").exit_code == 0
    assert desk.run("mfa", "disable", "bob", "--yes").exit_code == 0
    assert desk.run("mfa", "backup-codes", "carol", "--without-code").exit_code == 0
    assert desk.run("mfa", "delete", "carol").exit_code == 0
    for verb in ("mfa-reset-link", "mfa-revoke", "mfa-disable", "mfa-backup-codes", "mfa-delete"):
        assert desk.audit(verb) == [("operator", "done")]


def test_options_that_do_not_fit_the_own_reset_or_the_link_are_wrong_usage(desk: Desk) -> None:
    desk.member("alice")
    assert desk.acts("alice", "mfa", "reset", "alice", "--show-link").exit_code == 2
    assert desk.run("mfa", "reset", "alice", "--label", "new").exit_code == 2
    assert desk.run("mfa", "reset", "alice", "--method", "1").exit_code == 2
    assert desk.acts("alice", "mfa", "redeem", "alice").exit_code == 2


def test_members_are_listed_with_their_permissions_to_who_may_see_them(desk: Desk) -> None:
    desk.member("alice", "admin", "policy.write")
    desk.member("bob")
    listed = desk.acts("alice", "member", "list", "ops", "--json")
    assert [(each["user"], each["permissions"]) for each in listed.json] == [("alice", ["policy.write"]), ("bob", [])]
    _refused(desk.acts("bob", "member", "list", "ops"), "“bob” lacks members.view in team ops.")
    _refused(desk.acts("alice", "member", "list"), "Only the operator")
    assert json.loads(desk.acts("bob", "user", "show", "bob", "--json").stdout)["name"] == "bob"

import pytest

from radiusd_mfa.store import schema
from radiusd_mfa.usecases import nas, teams
from radiusd_mfa.usecases.changes import Refusal
from radiusd_mfa.usecases.nas import RangeProblem, SecretProblem, Wanted, Written, address_range, shared_secret
from tests.support.administered import Refuses, World

SECRET = b"canary-secret-1"


def _wanted(name: str = "gate", address: str = "192.0.2.0/24", **settings: object) -> Wanted:
    return Wanted(name, {"address": address, "surface": "vpn", **settings}, secret=SECRET)


def _add(world: World, wanted: Wanted) -> Written:
    written = nas.add(wanted, **world.needs)
    assert isinstance(written, Written)
    return written


@pytest.mark.parametrize(
    "text",
    [
        "",
        "example.org",
        "192.0.2",
        "192.0.2.256",
        "192.0.2.0/33",
        "2001:db8::/129",
        "1.2.3.4/",
        "fe80::1%eth0/64",
        "\u0661.\u0662.\u0663.\u0664",
    ],
)
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(RangeProblem):
        address_range(text)


@pytest.mark.parametrize("text", ["fe80::1%eth0", "fe80::1%eth0/128", " fe80::1%1 "])
def test_a_range_is_of_no_interface(text: str) -> None:
    with pytest.raises(RangeProblem, match=r"names an interface, which no entry can; write fe80::1"):
        address_range(text)


def test_a_range_with_host_bits_is_refused_with_both_that_may_be_meant() -> None:
    with pytest.raises(RangeProblem, match=r"write 192\.0\.2\.0/24 for the range or 192\.0\.2\.7 for the address"):
        address_range("192.0.2.7/24")


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("192.0.2.7", "192.0.2.7/32"),
        (" 192.0.2.0/255.255.255.0 ", "192.0.2.0/24"),
        ("2001:DB8:0::/32", "2001:db8::/32"),
        ("::ffff:192.0.2.7", "192.0.2.7/32"),
        ("::ffff:192.0.2.0/120", "192.0.2.0/24"),
        ("0.0.0.0/0", "0.0.0.0/0"),
    ],
)
def test_a_range_has_one_spelling(text: str, spelled: str) -> None:
    assert address_range(text) == spelled


def test_a_range_belongs_to_one_entry(world: World, refuses: Refuses) -> None:
    _add(world, _wanted())
    refuses(nas.add(_wanted("other"), **world.needs), "belongs to NAS entry “gate”")
    refuses(nas.add(_wanted("gate", "198.51.100.1/32"), **world.needs), "nas set gate")
    _add(world, _wanted("other", "198.51.100.0/24"))
    refuses(nas.change(Wanted("other", {"address": "192.0.2.0/24"}), **world.needs), "belongs to NAS entry “gate”")
    assert [row.settings.address for row in nas.every(store=world.app.administration)] == [
        "192.0.2.0/24",
        "198.51.100.0/24",
    ]


def test_overlapping_ranges_are_allowed_and_told(world: World) -> None:
    _add(world, _wanted())
    (warning,) = _add(world, _wanted("one", "192.0.2.7/32")).warnings
    assert "overlaps 192.0.2.0/24 of NAS entry “gate”" in warning


def test_message_authenticator_is_required_but_on_loopback(world: World) -> None:
    assert _add(world, _wanted()).entry.settings.message_authenticator == "require"
    assert _add(world, _wanted("l4", "127.0.0.0/8")).entry.settings.message_authenticator == "optional"
    assert _add(world, _wanted("l6", "::1/128")).entry.settings.message_authenticator == "optional"
    assert _add(world, _wanted("all", "0.0.0.0/0")).entry.settings.message_authenticator == "require"
    said = _add(world, _wanted("l5", "127.0.0.5/32", message_authenticator="require"))
    assert said.entry.settings.message_authenticator == "require"


def test_optional_message_authenticator_on_the_network_is_warned_about(world: World) -> None:
    (warning,) = _add(world, _wanted(message_authenticator="optional")).warnings
    assert "Message-Authenticator" in warning


def test_a_short_secret_is_warned_about_and_a_shorter_one_refused(world: World) -> None:
    wanted = Wanted("gate", {"address": "192.0.2.0/24", "surface": "vpn"}, secret=b"elevenchars")
    (warning,) = _add(world, wanted).warnings
    assert "11 octets" in warning
    for raw in (b"", b"short", b"x" * 129):
        with pytest.raises(SecretProblem):
            shared_secret(raw)
    assert shared_secret(b"x" * 6) == b"x" * 6


def test_a_generated_secret_has_32_characters_of_5_bits() -> None:
    assert nas.generated_secret(lambda count: bytes(range(count))) == b"abcdefghijkmnpqrstuvwxyz23456789"


def test_a_change_leaves_what_was_not_named(world: World) -> None:
    _add(world, _wanted(challenge=True, omit=("Session-Timeout",)))
    before = nas.show("gate", **world.needs)
    nas.change(Wanted("gate", {"retry_grace": 5.0}), **world.needs)
    after = nas.show("gate", **world.needs)
    assert not isinstance(before, Refusal)
    assert not isinstance(after, Refusal)
    assert after.settings.retry_grace == 5.0
    assert after.settings.challenge
    assert after.settings.omit == before.settings.omit == ("Session-Timeout",)


def test_the_server_sees_the_entry_with_its_secret_and_the_change_of_it(world: World) -> None:
    _add(world, _wanted(separators=",", code_first=True))
    (entry,) = world.app.nas_store.read()
    assert (entry.secret, str(entry.network), entry.separators, entry.code_first) == (SECRET, "192.0.2.0/24", ",", True)
    nas.change(Wanted("gate", {}, secret=b"another secret"), **world.needs)
    assert [each.secret for each in world.app.nas_store.read()] == [b"another secret"]
    nas.remove("gate", **world.needs)
    assert world.app.nas_store.read() == []


def test_no_secret_stands_in_the_database_the_audit_log_or_a_repr(world: World) -> None:
    written = _add(world, _wanted())
    nas.change(Wanted("gate", {}, secret=SECRET), **world.needs)
    with world.app.database.reading() as connection:
        rows = [connection.execute(table.select()).all() for table in (schema.nas, schema.audit)]
    assert "canary" not in repr((rows, written, _wanted()))
    assert world.audit("nas-set") == [("done", {"secret_replaced": True})]


def test_a_team_that_there_is_not_is_refused(world: World, refuses: Refuses) -> None:
    teams.add("ops", plan="mfa", **world.needs)
    settings = {"address": "192.0.2.0/24", "surface": "vpn"}
    refuses(nas.add(Wanted("gate", settings, "obs", SECRET), **world.needs), "is ops meant?")
    written = _add(world, Wanted("gate", settings, "ops", SECRET))
    assert written.entry.team == "ops"
    refuses(nas.change(Wanted("gaet", {"challenge": True}), **world.needs), "is gate meant?")
    refuses(nas.remove("gaet", **world.needs), "is gate meant?")


def test_a_set_up_in_dialogue_where_no_password_comes_is_refused(world: World, refuses: Refuses) -> None:
    refuses(nas.add(_wanted(set_up="dialogue", challenge=True, otp_only=True), **world.needs), "--otp-only")
    _add(world, _wanted(set_up="dialogue", challenge=True))
    refuses(nas.change(Wanted("gate", {"otp_only": True}), **world.needs), "--set-up link")


def test_a_set_up_in_dialogue_without_challenges_is_refused(world: World, refuses: Refuses) -> None:
    refuses(nas.add(_wanted(set_up="dialogue"), **world.needs), "--challenge on")
    _add(world, _wanted(set_up="dialogue", challenge=True))
    refuses(nas.change(Wanted("gate", {"challenge": False}), **world.needs), "--set-up link")
    assert isinstance(nas.change(Wanted("gate", {"challenge": False, "set_up": "link"}), **world.needs), Written)


def test_with_an_entry_go_its_challenges_and_periods(world: World) -> None:
    world.signed_in_before(world.user())
    nas.remove("gate", **world.needs)
    assert world.count(schema.challenges) == world.count(schema.verifications) == 0

from concurrent.futures import ThreadPoolExecutor

from radiusd_mfa.core.names import Username
from radiusd_mfa.store import schema
from radiusd_mfa.usecases import codes
from radiusd_mfa.usecases.changes import Refusal
from radiusd_mfa.usecases.codes import CodeSet
from tests.support.administered import Refuses, World


def _regenerate(world: World, user: Username, code: str | None) -> CodeSet | Refusal:
    return codes.regenerate(user, code, **world.hashing_needs)


def test_without_a_confirmed_method_there_are_no_backup_codes(world: World, refuses: Refuses) -> None:
    user = world.user()
    made = world.start(user)
    refuses(_regenerate(world, user, None), "mfa enrol alice")
    refuses(_regenerate(world, user, world.code(made)), "mfa enrol alice")
    assert world.count(schema.backup_codes) == 0


def test_the_code_that_confirmed_buys_no_backup_codes_too(world: World, refuses: Refuses) -> None:
    user, made, _ = world.enrolled()
    refuses(_regenerate(world, user, world.code(made)), "used before")


def test_a_fresh_set_ends_every_earlier_code_and_spends_the_code_that_bought_it(world: World) -> None:
    user, made, first = world.enrolled()
    world.clock.now += 30
    second = _regenerate(world, user, world.code(made))
    assert isinstance(second, CodeSet)
    assert first.codes is not None
    assert not set(second.shown) & set(first.codes.shown)
    assert world.count(schema.backup_codes) == world.count(schema.backup_codes, generation=2) == 10
    assert isinstance(_regenerate(world, user, world.code(made)), Refusal)


def test_the_operator_may_vouch_and_the_audit_log_says_so(world: World) -> None:
    user, _, _ = world.enrolled()
    assert isinstance(_regenerate(world, user, None), CodeSet)
    assert world.audit("mfa-backup-codes") == [("done", {"without_code": True})]


def test_one_code_buys_one_set_however_many_ask_at_once(world: World) -> None:
    user, made, _ = world.enrolled()
    world.clock.now += 30
    code = world.code(made)
    with ThreadPoolExecutor(8) as threads:
        done = list(threads.map(lambda _: _regenerate(world, user, code), range(8)))
    assert sum(isinstance(each, CodeSet) for each in done) == 1
    assert world.count(schema.backup_codes) == world.count(schema.backup_codes, generation=2) == 10


def test_at_most_one_generation_is_valid_when_two_operators_make_codes_at_once(world: World) -> None:
    _, _, _ = world.enrolled()
    user = Username.parse("alice")
    with ThreadPoolExecutor(4) as threads:
        done = list(threads.map(lambda _: _regenerate(world, user, None), range(4)))
    assert all(isinstance(each, CodeSet) for each in done)
    assert world.count(schema.backup_codes) == world.count(schema.backup_codes, generation=5) == 10

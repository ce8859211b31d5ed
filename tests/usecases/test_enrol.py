from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from radiusd_mfa.core.names import Username
from radiusd_mfa.core.totp import step_at
from radiusd_mfa.passwords.local import verify
from radiusd_mfa.store import schema
from radiusd_mfa.usecases import enrol, removal
from radiusd_mfa.usecases.changes import Refusal
from radiusd_mfa.usecases.enrol import MOST_WRONG_CODES, Confirmed
from tests.support.administered import Refuses, World


def _stored(world: World, user: Username) -> Any:
    user_id = world.user_id(user)
    return world.app.administration.view(lambda books: books.methods.of(user_id))


def test_a_method_does_not_count_before_its_code_was_given(world: World) -> None:
    user = world.user()
    world.start(user)
    assert [method.confirmed_at for method in _stored(world, user)] == [None]
    assert world.count(schema.backup_codes) == 0


def test_a_wrong_code_confirms_nothing(world: World, refuses: Refuses) -> None:
    user = world.user()
    made = world.start(user)
    wrong = str((int(world.code(made)) + 1) % 1_000_000).zfill(6)
    refuses(world.confirm(user, wrong), "4 more wrong ones")
    assert [method.confirmed_at for method in _stored(world, user)] == [None]


@pytest.mark.parametrize("steps", [-2, 2])
def test_a_code_outside_the_window_confirms_nothing(world: World, steps: int) -> None:
    user = world.user()
    assert isinstance(world.confirm(user, world.code(world.start(user), steps)), Refusal)


@pytest.mark.parametrize("code", ["", "12345", "\uff11\uff12\uff13\uff14\uff15\uff16", "\0", "x" * 10_000, "-1 234 5"])
def test_what_is_no_code_is_refused_without_an_exception(world: World, code: str) -> None:
    user = world.user()
    world.start(user)
    assert isinstance(world.confirm(user, code), Refusal)


def test_nobody_confirms_by_guessing(world: World, refuses: Refuses) -> None:
    user = world.user()
    made = world.start(user)
    for _ in range(MOST_WRONG_CODES - 1):
        assert isinstance(world.confirm(user, "no code"), Refusal)
    refuses(world.confirm(user, "no code"), "cancelled")
    assert _stored(world, user) == []
    refuses(world.confirm(user, world.code(made)), "mfa enrol alice")


def test_the_code_that_confirms_is_spent(world: World) -> None:
    user, _, _ = world.enrolled()
    (method,) = _stored(world, user)
    assert method.watermark == step_at(world.clock.now, 30)


def test_the_first_method_is_the_default_and_brings_ten_backup_codes_of_which_only_hashes_are_kept(
    world: World,
) -> None:
    user, _, confirmed = world.enrolled()
    (method,) = _stored(world, user)
    assert method.is_default
    assert confirmed.codes is not None
    assert len(set(confirmed.codes.shown)) == 10
    assert world.count(schema.backup_codes, user_id=world.user_id(user), generation=1) == 10
    assert all(
        verify(code.canonical, stored)
        for code, stored in zip(confirmed.codes.codes, confirmed.codes.hashes, strict=True)
    )


def test_a_second_method_brings_no_codes_and_does_not_become_the_default(world: World) -> None:
    user, _, _ = world.enrolled()
    second = world.start(user, "tablet")
    done = world.confirm(user, world.code(second))
    assert isinstance(done, Confirmed)
    assert done.codes is None
    assert [method.is_default for method in _stored(world, user)] == [True, False]
    assert world.count(schema.backup_codes) == 10


def test_starting_again_drops_what_was_never_confirmed_and_nothing_else(world: World, refuses: Refuses) -> None:
    user, _, _ = world.enrolled()
    abandoned = world.start(user, "first try")
    world.start(user, "second try")
    assert [method.label for method in _stored(world, user)] == ["", "second try"]
    refuses(world.confirm(user, world.code(abandoned)), "wrong")


def test_one_code_confirms_once_however_many_ask_at_once(world: World) -> None:
    user = world.user()
    code = world.code(world.start(user))
    with ThreadPoolExecutor(8) as threads:
        done = list(threads.map(lambda _: world.confirm(user, code), range(8)))
    assert sum(isinstance(each, Confirmed) for each in done) == 1
    assert world.count(schema.backup_codes) == 10


def test_with_the_last_method_go_backup_codes_and_all_that_it_let_in(world: World) -> None:
    user, made, _ = world.enrolled()
    world.signed_in_before(user)
    gone = removal.delete(user, None, **world.needs)
    assert not isinstance(gone, Refusal)
    assert gone.id == made.method
    for table in (schema.methods, schema.backup_codes, schema.verifications, schema.challenges):
        assert world.count(table) == 0


def test_when_the_default_goes_another_confirmed_one_takes_its_place(world: World, refuses: Refuses) -> None:
    user, first, _ = world.enrolled()
    second = world.start(user, "tablet")
    world.confirm(user, world.code(second))
    world.start(user, "never confirmed")
    refuses(removal.delete(user, None, **world.needs), "--method ID")
    refuses(removal.delete(user, 999_999, **world.needs), "no method 999999")
    assert not isinstance(removal.delete(user, first.method, **world.needs), Refusal)
    assert [(method.label, method.is_default) for method in _stored(world, user)] == [
        ("tablet", True),
        ("never confirmed", False),
    ]
    assert world.count(schema.backup_codes) == 10


def test_nothing_is_deleted_of_somebody_else(world: World, refuses: Refuses) -> None:
    _, made, _ = world.enrolled("alice")
    other = world.user("bob")
    refuses(removal.delete(other, made.method, **world.needs), "no method")
    assert world.count(schema.methods) == 1


def test_the_overview_shows_no_seed(world: World) -> None:
    user, made, _ = world.enrolled()
    overview = enrol.show(user, **world.needs)
    assert not isinstance(overview, Refusal)
    assert overview.backup_codes_left == 10
    secret = made.uri.partition("secret=")[2][:32]
    assert secret not in repr(overview)
    assert secret not in repr(made)


def test_the_seed_is_sealed_for_its_row(world: World) -> None:
    user, made, _ = world.enrolled()
    with world.app.database.reading() as connection:
        row = connection.execute(schema.methods.select()).one()
    opened = world.app.keys.open(row.seed, table="methods", column="seed", row=row.id)
    assert opened == _stored(world, user)[0].seed
    assert opened not in row.seed
    assert row.id == made.method

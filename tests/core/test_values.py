"""A value that is made quickly is a frozen dataclass in every other respect."""

from dataclasses import FrozenInstanceError, dataclass, field, replace

import pytest

from radiusd_mfa.core.values import quick


@quick
@dataclass(frozen=True, slots=True)
class Guess:
    user: str
    password: str = field(repr=False)
    tries: int = 1
    spoken: str = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "spoken", f"{self.user} tries")


def test_a_field_can_not_be_set_again() -> None:
    with pytest.raises(FrozenInstanceError):
        setattr(Guess("ann", "horse"), "tries", 2)  # noqa: B010 - mypy knows that it can't be


def test_nothing_else_can_be_added() -> None:
    with pytest.raises((AttributeError, TypeError)):
        object.__setattr__(Guess("ann", "horse"), "colour", "red")


def test_a_field_without_a_default_must_be_given() -> None:
    with pytest.raises(TypeError, match="password"):
        Guess("ann")  # type: ignore[call-arg]


def test_a_field_that_is_not_there_is_refused() -> None:
    with pytest.raises(TypeError, match="colour"):
        Guess("ann", "horse", colour="red")  # type: ignore[call-arg]


def test_a_value_is_of_its_own_class_when_it_is_made() -> None:
    assert type(Guess("ann", "horse")) is Guess


def test_fields_come_by_place_by_name_and_by_default() -> None:
    guess = Guess("ann", tries=3, password="horse")

    assert (guess.user, guess.password, guess.tries) == ("ann", "horse", 3)
    assert Guess("ann", "horse").tries == 1


def test_what_follows_from_the_fields_is_worked_out() -> None:
    assert Guess("ann", "horse").spoken == "ann tries"


def test_equal_values_are_equal_and_hash_alike() -> None:
    assert Guess("ann", "horse") == Guess("ann", "horse")
    assert hash(Guess("ann", "horse")) == hash(Guess("ann", "horse"))
    assert Guess("ann", "horse") != Guess("ann", "donkey")


def test_a_secret_field_does_not_print() -> None:
    assert "horse" not in repr(Guess("ann", "horse"))


def test_a_value_can_be_made_from_another_one() -> None:
    assert replace(Guess("ann", "horse"), tries=2) == Guess("ann", "horse", 2)


def test_a_value_can_be_taken_apart_by_its_fields() -> None:
    match Guess("ann", "horse"):
        case Guess(user, password):
            assert (user, password) == ("ann", "horse")


@pytest.mark.parametrize("kind", [{"kw_only": True}, {"default_factory": list}])
def test_a_kind_of_field_that_is_not_known_is_refused(kind: dict[str, object]) -> None:
    bare = type("Odd", (), {"__annotations__": {"odd": list}, "odd": field(**kind)})  # type: ignore[call-overload]
    odd: type[object] = dataclass(frozen=True, slots=True)(bare)

    with pytest.raises(TypeError, match="odd"):
        quick(odd)

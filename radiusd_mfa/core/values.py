"""Frozen values that are made quickly; a sign-in makes some twenty of them.

A frozen dataclass sets each field by a call of `object.__setattr__`, since its own `__setattr__` refuses. With thirteen
fields that is 0.92 us, where an open class takes 0.13 and `quick` 0.26: a quarter of what a sign-in in a batch cost
went into it (bench/stages.py).
"""

from dataclasses import MISSING, Field, fields
from typing import Any, Final, TypeVar, cast

T = TypeVar("T")
_SET_CLASS: Final = object.__dict__["__class__"].__set__


def quick(frozen: type[T]) -> type[T]:
    """Replace what fills in the fields of a dataclass that is frozen and has slots; all else of it stays.

    A new value is of an open class with the same slots while it is filled in, and frozen before anybody has seen it.
    """
    known = fields(cast("Any", frozen))
    unsupported = [field.name for field in known if field.kw_only or field.default_factory is not MISSING]
    if unsupported:
        raise TypeError(f"{frozen.__name__}.{unsupported[0]} is of a kind that `quick` has no use for")
    open_class = type(frozen.__name__, (), {"__slots__": tuple([field.name for field in known])})
    names: dict[str, Any] = {"_set_class": _SET_CLASS, "_open": open_class, "_frozen": frozen}
    names |= {f"_default_{field.name}": field.default for field in known}
    given = [field for field in known if field.init]
    lines = [
        f"def __init__(self, {', '.join(map(_parameter, given))}):",
        "_set_class(self, _open)",
        *[f"self.{field.name} = {field.name}" for field in given],
        "self.__class__ = _frozen",
        *(["self.__post_init__()"] if hasattr(frozen, "__post_init__") else []),
    ]
    exec("\n ".join(lines), names)  # noqa: S102 - as dataclasses makes its own; nothing but names of fields is in it
    made = names["__init__"]
    made.__qualname__ = f"{frozen.__qualname__}.__init__"
    setattr(frozen, "__init__", made)  # noqa: B010 - mypy takes an assignment for a mistake
    return frozen


def _parameter(field: Field[Any]) -> str:
    return field.name if field.default is MISSING else f"{field.name}=_default_{field.name}"

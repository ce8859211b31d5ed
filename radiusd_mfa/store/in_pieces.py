"""Ids for `IN (...)`, a piece at a time: a statement holds so many parameters, and a team may have more members."""

from collections.abc import Collection, Iterator, Sequence
from typing import Final

_PIECE: Final = 5_000
"""Both databases take more: PostgreSQL 65,535, SQLite 32,766."""


def in_pieces(ids: Collection[int]) -> Iterator[Sequence[int]]:
    """Yield all of the ids in order, a piece at a time; nothing for none."""
    every = sorted(ids)
    for begin in range(0, len(every), _PIECE):
        yield every[begin : begin + _PIECE]

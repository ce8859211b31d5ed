"""A new key seals, everything is sealed anew by it while the servers serve, and old keys can go.

Killed at any point, the next run goes on: what another key than the active one has sealed is still to be done.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from radiusd_mfa.usecases.books import Administration
from radiusd_mfa.usecases.changes import Change, Refusal, recorded
from radiusd_mfa.usecases.key_ports import KeyFile, Keys, Sealed
from radiusd_mfa.usecases.ports import Clock

T = TypeVar("T")
_MOST_NAMED: Final = 5


@dataclass(frozen=True, slots=True)
class Rotated:
    """How far a rotation is."""

    active: str
    made: str | None
    """The key that is new; None: an earlier run made it."""
    resealed: int
    unopened: tuple[str, ...]
    """Why some values could not be opened, a few of them."""
    removable: tuple[str, ...]
    """Keys that have sealed nothing that is left."""


def prepare(*, keys: Keys, file: KeyFile, sealed: Sealed, store: Administration, clock: Clock) -> str | Refusal:
    """Make a key that opens and does not seal yet, so that it can be brought to every node first."""
    if keys.waiting:
        return _written("keys-prepare", _waits_already(keys), {}, store, clock)
    sealed.keep_root()
    file.append(waits=True)
    keys.refresh()
    made = keys.waiting[-1]
    return _written("keys-prepare", made, {"key": made}, store, clock)


def rotate(
    *,
    keys: Keys,
    file: KeyFile,
    sealed: Sealed,
    store: Administration,
    clock: Clock,
    pause: Callable[[], None],
) -> Rotated | Refusal:
    """Let a new key seal, and seal everything by it; a rotation that broke off is finished first."""
    before = keys.active_id
    broke_off = bool(_others(keys, sealed)) and not keys.waiting
    resealed, unopened = _sealed_anew(sealed, pause) if broke_off else (0, [])
    if not resealed:  # nothing had broken off, or only what does not open is left of it
        sealed.keep_root()
        if keys.waiting:
            file.activate()
        else:
            file.append(waits=False)
        keys.refresh()
        resealed, unopened = _sealed_anew(sealed, pause)
    others = _others(keys, sealed)
    rotated = Rotated(
        active=keys.active_id,
        made=None if keys.active_id == before else keys.active_id,
        resealed=resealed,
        unopened=tuple(unopened[:_MOST_NAMED]),
        removable=tuple(key for key in keys.ids if key not in others and key != keys.active_id),
    )
    detail = {"key": rotated.active, "resealed": resealed, "unopened": len(unopened)}
    return _written("keys-rotate", rotated, detail, store, clock)


def _sealed_anew(sealed: Sealed, pause: Callable[[], None]) -> tuple[int, list[str]]:
    """Seal by the key that seals now what others have sealed; return how many that were, and why some were not."""
    resealed = 0
    unopened: list[str] = []
    for some in sealed.reseal():
        resealed += some.done
        unopened += some.unopened
        pause()
    return resealed, unopened


def remove(
    key_id: str, *, keys: Keys, file: KeyFile, sealed: Sealed, store: Administration, clock: Clock
) -> str | Refusal:
    """Take a key out of the key file that has sealed nothing that is left."""
    result = _obstacle(key_id, keys, sealed)
    if result is None:
        file.remove(key_id)
        # A process that had not seen the new key yet may have sealed something just now.
        if left := sealed.by_key().get(key_id):
            file.put_back()
            result = Refusal(f"Meanwhile {left} values were sealed by key {key_id}; run radiusd-mfa keys rotate again.")
    return _written("keys-remove", result or key_id, {"key": key_id}, store, clock)


def _obstacle(key_id: str, keys: Keys, sealed: Sealed) -> Refusal | None:
    if key_id not in keys.ids:
        return Refusal(f"There is no key {key_id} in the key file; to see them: radiusd-mfa keys status")
    if key_id == keys.active_id:
        return Refusal(f"Key {key_id} is the one that seals; make another one first: radiusd-mfa keys rotate")
    if left := sealed.by_key().get(key_id):
        return Refusal(f"{left} values are sealed by key {key_id}; seal them anew first: radiusd-mfa keys rotate")
    sealed.keep_root()
    return None


def _others(keys: Keys, sealed: Sealed) -> set[str]:
    return {key for key, count in sealed.by_key().items() if count and key != keys.active_id}


def _waits_already(keys: Keys) -> Refusal:
    return Refusal(
        f"Key {keys.waiting[-1]} waits already: bring the key file to every node, then run radiusd-mfa keys rotate"
    )


def _written(
    verb: str, result: T | Refusal, detail: Mapping[str, object], store: Administration, clock: Clock
) -> T | Refusal:
    return recorded(Change(verb, detail=detail), lambda _books: result, store=store, clock=clock)

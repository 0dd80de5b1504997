"""States of callbacks and schedules as text and arrays.

A state is a mapping of JSON-like values and NumPy arrays. `packed` converts it to one text and
a few arrays; `unpacked` restores the same state, to the last bit.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.ma import MaskedArray

from fastmlp.callbacks import Callback

__all__ = ["State", "checked_state", "keyed", "kind_of", "packed", "unpacked"]

Array = npt.NDArray[Any]
State = Mapping[str, Any]
_MARK = "$"  # first character of the only key of mappings that encode values unknown to JSON
_SPECIAL = {"inf": math.inf, "-inf": -math.inf, "nan": math.nan}


def kind_of(watcher: object) -> str:
    """Return the full name of the class of a callback or schedule; states are stored under it."""
    return f"{type(watcher).__module__}.{type(watcher).__qualname__}"


def keyed(callbacks: Iterable[Callback]) -> dict[str, Callback]:
    """Return the callbacks by key: the kind and the position among callbacks of that kind."""
    counts: dict[str, int] = {}
    result = {}
    for callback in callbacks:
        kind = kind_of(callback)
        result[f"{kind}#{counts.get(kind, 0)}"] = callback
        counts[kind] = counts.get(kind, 0) + 1
    return result


def checked_state(owner: object, state: object) -> dict[str, Any]:
    """Return a copy of the state that a callback or schedule returned.

    Raises
    ------
    TypeError
        The state holds something other than JSON-like values and arrays.
    """
    if not isinstance(state, Mapping):
        raise TypeError(
            f"state() of {type(owner).__name__} must return a mapping, got {type(state).__name__}"
        )
    copied: dict[str, Any] = _copied(f"state() of {type(owner).__name__}", state)
    return copied


def _copied(where: str, value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.generic):
        return _copied(where, value.item())
    if isinstance(value, MaskedArray):
        raise TypeError(f"{where} must hold plain arrays, got a masked one")
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in "biufU":
            raise TypeError(f"{where} must hold arrays of numbers or text, got {value.dtype}")
        if value.flags.writeable:
            value = value.copy()
            value.flags.writeable = False
        return value
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise TypeError(f"{where} must have strings as keys, got {list(value)}")
        return {key: _copied(where, item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray, memoryview)):
        return [_copied(where, item) for item in value]
    raise TypeError(
        f"{where} must hold None, bool, int, float, str, lists, mappings and arrays, got "
        f"{type(value).__name__}"
    )


def packed(tree: Any, prefix: str) -> tuple[str, dict[str, Array]]:
    """Return a tree as JSON text, and its arrays under names of `prefix` and a number."""
    arrays: dict[str, Array] = {}

    def plain(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            name = f"{prefix}{len(arrays)}"
            arrays[name] = value
            return {f"{_MARK}array": name}
        if isinstance(value, float) and not math.isfinite(value):
            return {f"{_MARK}float": str(value)}
        if isinstance(value, Mapping):
            items = {key: plain(item) for key, item in value.items()}
            if any(key.startswith(_MARK) for key in items):
                return {f"{_MARK}items": [[key, item] for key, item in items.items()]}
            return items
        if isinstance(value, (list, tuple)):
            return [plain(item) for item in value]
        return value

    return json.dumps(plain(tree), allow_nan=False), arrays


def unpacked(text: str, arrays: Mapping[str, Array]) -> Any:
    """Return the tree that `packed` converted.

    Raises
    ------
    ValueError
        The text was not made by `packed`, or an array is missing.
    """

    def tree(value: Any) -> Any:
        if isinstance(value, list):
            return [tree(item) for item in value]
        if not isinstance(value, dict):
            return value
        if f"{_MARK}array" in value:
            return np.asarray(arrays[value[f"{_MARK}array"]])
        if f"{_MARK}float" in value:
            return _SPECIAL[value[f"{_MARK}float"]]
        if f"{_MARK}items" in value:
            return {str(key): tree(item) for key, item in value[f"{_MARK}items"]}
        return {key: tree(item) for key, item in value.items()}

    try:
        return tree(json.loads(text))
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"is not the state of a training: {error!r}") from None

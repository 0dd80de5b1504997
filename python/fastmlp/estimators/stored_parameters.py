"""Constructor parameters of estimators in files: JSON for values of this library's own kinds.

Numbers, text, flags, None and lists are themselves. Everything else is a mapping of one key, the
kind, to its content. Reading makes no object of a class that this module does not name.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from fastmlp import schedules
from fastmlp._named import as_config, from_config
from fastmlp.activations import ACTIVATIONS, Activation
from fastmlp.losses import LOSSES, Loss, UserLoss
from fastmlp.optimizers import OPTIMIZERS
from fastmlp.schedules import Schedule
from fastmlp.stored_model import text_array
from fastmlp.validation import integer, real

__all__ = ["from_file", "in_file"]

_MT19937_NUMBERS = 624
_SCHEDULES: dict[str, type[Schedule]] = {
    name: getattr(schedules, name) for name in schedules.__all__ if name != "Schedule"
}
_LOSSES: dict[str, Callable[..., Loss]] = {**LOSSES, "user_defined": UserLoss}


def in_file(value: Any) -> Any:
    """Return the form in files of a value.

    Raises
    ------
    TypeError
        The value, or a part of it, has no form in files.
    """
    if value is None or type(value) in (bool, int, str):
        return value
    if type(value) is float:
        return value if math.isfinite(value) else {"float": str(value)}
    if type(value) is list:
        return [in_file(item) for item in value]
    if type(value) is tuple:
        return {"tuple": [in_file(item) for item in value]}
    if type(value) is dict:
        return {"dict": [[in_file(key), in_file(item)] for key, item in value.items()]}
    if isinstance(value, np.random.RandomState):
        return {"random_state": _random_state_in_file(value)}
    if isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind in "biufU":
        return {"array": [value.dtype.str, in_file(value.tolist()), value.ndim == 0]}
    for kind, (base, known) in _NAMED.items():
        if isinstance(value, base) and _is_known(value, known):
            named: Any = value
            config = named.name if isinstance(value, UserLoss) else as_config(named)
            return {kind: in_file(config)}
    for kind, classes in _SETTINGS.items():
        name = next((name for name, known in classes.items() if type(value) is known), None)
        if name is not None:
            settings = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
            return {kind: [name, in_file(settings)]}
    raise TypeError(f"files hold no {type(value).__name__}")


def from_file(form: Any) -> Any:
    """Return the value whose form in files is `form`.

    Raises
    ------
    TypeError, ValueError, KeyError, IndexError, OverflowError
        It is no form of `in_file`.
    """
    if isinstance(form, list):
        return [from_file(item) for item in form]
    if not isinstance(form, dict):
        return form
    ((kind, content),) = form.items()
    return _READERS[kind](content)


def _is_known(value: Any, known: dict[str, Callable[..., Any]]) -> bool:
    """Whether the class of a named object is that of its name, not one that a user derived."""
    try:
        return value.name in known and type(value) is type(known[value.name]())
    except (AttributeError, TypeError):
        return False


def _random_state_in_file(random: np.random.RandomState) -> Any:
    state: Any = random.get_state(legacy=False)
    if state["bit_generator"] != "MT19937":
        raise TypeError("files hold no RandomState of another generator than MT19937")
    held = state["state"]
    return [held["key"].tolist(), int(held["pos"]), int(state["has_gauss"]), float(state["gauss"])]


def _random_state(content: Any) -> np.random.RandomState:
    key, position, has_gauss, cached = content
    numbers = np.array(key, np.uint32)
    if numbers.shape != (_MT19937_NUMBERS,):
        raise ValueError(f"a RandomState must have {_MT19937_NUMBERS} numbers")
    # NumPy reads at the position without a check.
    position = integer("position", position, 0, _MT19937_NUMBERS)
    has_gauss = integer("has_gauss", has_gauss, 0, 1)
    random = np.random.RandomState()
    random.set_state(("MT19937", numbers, position, has_gauss, real("cached", cached, -math.inf)))
    return random


def _array(content: Any) -> Any:
    text, values, is_scalar = content
    dtype = np.dtype(text)
    if dtype.kind not in "biufU":
        raise ValueError(f"arrays must hold numbers or text, got {dtype}")
    is_text = dtype.kind == "U"  # whose length in a file could ask for any memory
    try:
        with np.errstate(over="raise"):
            array = text_array(from_file(values)) if is_text else np.array(from_file(values), dtype)
    except FloatingPointError:
        raise ValueError(f"an array of {dtype} cannot hold its numbers") from None
    return array[()] if is_scalar else array


def _float(content: Any) -> float:
    return {"inf": math.inf, "-inf": -math.inf, "nan": math.nan}[content]


def _with_settings(known: dict[str, Any]) -> Callable[[Any], Any]:
    def read(content: Any) -> Any:
        name, settings = content
        return known[name](**from_file(settings))

    return read


def _with_name(argument: str, known: dict[str, Any]) -> Callable[[Any], Any]:
    return lambda content: from_config(argument, from_file(content), known)


_NAMED: dict[str, tuple[type, dict[str, Callable[..., Any]]]] = {
    "activation": (Activation, dict(ACTIVATIONS)),
    "loss": (Loss, _LOSSES),
}
_SETTINGS: dict[str, dict[str, Any]] = {"optimizer": dict(OPTIMIZERS), "schedule": _SCHEDULES}
_READERS: dict[str, Callable[[Any], Any]] = {
    "float": _float,
    "tuple": lambda content: tuple(from_file(content)),
    "dict": lambda content: {from_file(key): from_file(item) for key, item in content},
    "random_state": _random_state,
    "array": _array,
    **{kind: _with_name(kind, known) for kind, (_, known) in _NAMED.items()},
    **{kind: _with_settings(classes) for kind, classes in _SETTINGS.items()},
}

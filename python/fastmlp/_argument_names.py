"""Errors about unknown keyword arguments, which suggest what other libraries' names are here."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import ParamSpec, TypeVar

from fastmlp._synonyms import synonym
from fastmlp.errors import did_you_mean

__all__ = ["require_known_names", "suggests_names"]

P = ParamSpec("P")
R = TypeVar("R")

# One name of another library that stands for several arguments here.
_SEVERAL = {"betas": ("beta1", "beta2")}
_RATE = "optimizer=fastmlp.SGD(learning_rate=...) of fit"
# What belongs to another call, by the name that people pass to `MLP` or `MLP.fit`.
_ELSEWHERE = {
    "batch_size": "batch_size of fit",
    "early_stopping": "callbacks=[fastmlp.EarlyStopping(...)] of fit",
    "epochs": "epochs of fit",
    "learning_rate": _RATE,
    "lr": _RATE,
    "max_iter": "epochs of fit",
    "momentum": "optimizer=fastmlp.SGD(momentum=...) of fit",
    "optimizer": "optimizer of fit",
    "patience": "callbacks=[fastmlp.EarlyStopping(patience=...)] of fit",
    "random_state": "seed of MLP",
    "seed": "seed of MLP",
    "solver": "optimizer of fit",
    "weight_decay": "optimizer=fastmlp.AdamW(decay=...) of fit",
}


def require_known_names(function: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Raise TypeError if a keyword argument is unknown, with the name that may be meant."""
    names = list(known)
    for name in given:
        if name in names:
            continue
        several = _SEVERAL.get(name, ())
        if several and set(several) <= set(names):
            hint = f"; here it is {' and '.join(several)}"
        elif (ours := synonym(name, names)) is not None:
            hint = f"; here it is {ours}"
        elif name in _ELSEWHERE and function.startswith("MLP"):
            hint = f"; here it is {_ELSEWHERE[name]}"
        else:
            hint = did_you_mean(name, names)
        raise TypeError(f"{function}() got an unexpected keyword argument {name!r}{hint}")


def suggests_names(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a function so that errors about its keyword arguments suggest names."""
    parameters = inspect.signature(function).parameters
    known = list(parameters)
    positional = [name for name, p in parameters.items() if p.kind is p.POSITIONAL_OR_KEYWORD]
    required = [name for name in positional if parameters[name].default is inspect.Parameter.empty]
    shown = function.__qualname__.removesuffix(".__init__")

    @functools.wraps(function)
    def with_known_names(*args: P.args, **named: P.kwargs) -> R:
        if not named.keys() <= parameters.keys():
            require_known_names(shown, named, known)
        if len(args) > len(positional):
            raise TypeError(_too_many(_shown(function, args[0]), args, known, positional))
        if missing := [name for name in required[len(args) :] if name not in named]:
            raise TypeError(_too_few(_shown(function, args[0]), args, missing, required))
        return function(*args, **named)

    return with_known_names


def _shown(function: Callable[..., object], owner: object) -> str:
    """The name of a method as its caller writes it."""
    kind, name = type(owner).__name__, function.__name__
    return kind if name == "__init__" else f"{kind}.{name}"


def _too_few(
    function: str, args: Sequence[object], missing: Sequence[str], required: Sequence[str]
) -> str:
    """The message for required arguments that are missing."""
    example = ", ".join("[4, 16, 3]" if name == "layer_sizes" else name for name in required[1:])
    text = f"{function}() needs {' and '.join(missing)}, as in {function}({example})"
    batches = args[1] if len(args) > 1 and missing == ["y"] else ()
    is_array = hasattr(batches, "shape") or isinstance(batches, (list, tuple, str, dict))
    is_sequence = hasattr(batches, "__getitem__") and hasattr(batches, "__len__")
    if not is_array and (hasattr(batches, "__iter__") or is_sequence or callable(batches)):
        text += ", with arrays in place of a source"
    if hasattr(batches, "__iter__") and not is_array:
        text += "; x, y = map(np.concatenate, zip(*loader)) collects the batches of a loader"
    return text


def _too_many(
    function: str, args: Sequence[object], known: Sequence[str], positional: Sequence[str]
) -> str:
    """The message for more arguments than a function takes without their names."""
    if function == "MLP" and all(isinstance(size, int) for size in args[1:]):
        return f"MLP() takes layer_sizes as one list: MLP({list(args[1:])})"
    named = next((name for name in known if name not in positional), None)
    cure = f"; write {named}=... and so on for the others" if named else ""
    taken = ", ".join(positional[1:]) or "no arguments"
    return f"{function}() takes {taken} without names, got {len(args) - 1} arguments{cure}"

"""Errors about unknown keyword arguments, which suggest what other libraries' names are here."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
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
    known = list(inspect.signature(function).parameters)
    shown = function.__qualname__.removesuffix(".__init__")

    @functools.wraps(function)
    def with_known_names(*args: P.args, **named: P.kwargs) -> R:
        if not named.keys() <= set(known):
            require_known_names(shown, named, known)
        return function(*args, **named)

    return with_known_names

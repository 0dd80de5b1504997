"""Errors about unknown keyword arguments, which suggest what other libraries' names are here."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import ParamSpec, TypeVar

from fastmlp.errors import did_you_mean

__all__ = ["require_known_names", "suggests_names"]

P = ParamSpec("P")
R = TypeVar("R")

_OPTIMIZER = "optimizer=fastmlp.SGD(learning_rate=...) of fit"
# What names of scikit-learn, Keras, PyTorch and others are called here.
_MEANT = {
    "alpha": "l2 of an optimizer",
    "batch_norm": "batch_normalization",
    "batch_size": "batch_size of fit",
    "batchnorm": "batch_normalization",
    "beta_1": "beta1",
    "beta_2": "beta2",
    "betas": "beta1 and beta2",
    "criterion": "loss",
    "dropout_rate": "dropout",
    "early_stopping": "callbacks=[fastmlp.EarlyStopping(...)]",
    "epochs": "epochs of fit",
    "eps": "epsilon",
    "eval_set": "validation_data",
    "hidden_layer_sizes": "layer_sizes, with features first and outputs last",
    "hidden_layers": "layer_sizes, with features first and outputs last",
    "kernel_initializer": "initializer",
    "learning_rate": _OPTIMIZER,
    "loss_fn": "loss",
    "loss_function": "loss",
    "lr": _OPTIMIZER,
    "max_epochs": "epochs",
    "max_iter": "epochs",
    "momentum": "optimizer=fastmlp.SGD(momentum=...) of fit",
    "n_epochs": "epochs",
    "n_jobs": "threads",
    "n_threads": "threads",
    "num_epochs": "epochs",
    "num_threads": "threads",
    "objective": "loss",
    "optimizer": "optimizer of fit",
    "patience": "callbacks=[fastmlp.EarlyStopping(patience=...)]",
    "random_state": "seed of MLP",
    "seed": "seed of MLP",
    "solver": "optimizer",
    "units": "layer_sizes",
    "validation_fraction": "validation_data",
    "validation_split": "validation_data",
    "weight_decay": "decay of an optimizer",
    "weights": "sample_weight",
}


def require_known_names(function: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Raise TypeError if a keyword argument is unknown, with the name that may be meant."""
    names = list(known)
    for name in given:
        if name in names:
            continue
        hint = did_you_mean(name, names)
        if name in _MEANT:
            hint = f"; here it is {_MEANT[name]}"
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

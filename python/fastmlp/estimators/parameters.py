"""Parameters of the estimators: scikit-learn's and additional ones."""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils._param_validation import Interval, Options, StrOptions

from fastmlp.activations import ACTIVATIONS, Activation
from fastmlp.optimizers import Optimizer
from fastmlp.validation import integer, real, require_held, thread_count

__all__ = [
    "CONSTRAINTS",
    "PARAMETER_TYPES",
    "UsedParameters",
    "hidden_layer_sizes",
    "require_parameters_held",
    "store_parameters",
]

_LARGEST_SIZE = 2**63 - 1
_SIZE = Interval(Integral, 1, None, closed="left")
_SHARE = Interval(Real, 0, 1, closed="left")
_AT_LEAST_ZERO = Interval(Real, 0, None, closed="left")
_ABOVE_ZERO = Interval(Real, 0, None, closed="neither")

# Types of the parameters by `compute_dtype`; by default they have that of the samples.
PARAMETER_TYPES = {"bfloat16": "float32", "float32": "float32", "float64": "float64"}

CONSTRAINTS: dict[str, list[Any]] = {
    "hidden_layer_sizes": ["array-like", _SIZE],
    "activation": [StrOptions({"logistic", *ACTIVATIONS}), Activation],
    "solver": [StrOptions({"lbfgs", "sgd", "adam"})],
    "alpha": [_AT_LEAST_ZERO],
    "batch_size": [StrOptions({"auto"}), _SIZE],
    "learning_rate": [StrOptions({"constant", "invscaling", "adaptive"})],
    "learning_rate_init": [_ABOVE_ZERO],
    "power_t": [_AT_LEAST_ZERO],
    "max_iter": [_SIZE],
    "shuffle": ["boolean"],
    "random_state": ["random_state"],
    "tol": [_AT_LEAST_ZERO],
    "verbose": ["verbose"],
    "warm_start": ["boolean"],
    "momentum": [Interval(Real, 0, 1, closed="both")],
    "nesterovs_momentum": ["boolean"],
    "early_stopping": ["boolean"],
    "validation_fraction": [_SHARE],
    "beta_1": [_SHARE],
    "beta_2": [_SHARE],
    "epsilon": [_ABOVE_ZERO],
    "n_iter_no_change": [_SIZE, Options(Real, {np.inf})],
    "max_fun": [_SIZE],
    "dropout": [_SHARE],
    "input_dropout": [_SHARE],
    "batch_normalization": ["boolean"],
    "compute_dtype": [StrOptions(set(PARAMETER_TYPES)), None],
    "optimizer": [Optimizer, None],
    "callbacks": [list, tuple, None],
    "n_threads": [_SIZE, None],
}


# Names of the parameters that must be real numbers.
REALS = frozenset(
    name
    for name, allowed in CONSTRAINTS.items()
    if len(allowed) == 1 and isinstance(allowed[0], Interval) and allowed[0].type is Real
)
_IN_THE_CORE = ("alpha", "learning_rate_init", "epsilon", "dropout", "input_dropout")
_SHARES = ("momentum", "beta_1", "beta_2", "dropout", "input_dropout")
_PLAIN: dict[type, type] = {
    np.bool_: bool,
    np.integer: int,
    np.floating: float,
    np.str_: str,
}


def store_parameters(estimator: object, arguments: dict[str, Any]) -> None:
    """Store a constructor's arguments unchanged, which scikit-learn's `clone` requires."""
    for name, value in arguments.items():
        if name != "self":
            setattr(estimator, name, value)


class UsedParameters:
    """An estimator's parameters with NumPy scalars converted to Python numbers.

    The estimator keeps its arguments unchanged, and arithmetic on float16 or uint8 scalars would
    round or overflow.
    """

    __slots__ = ("_estimator",)

    def __init__(self, estimator: object) -> None:
        self._estimator = estimator

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._estimator, name)
        if type(value) is float and math.isfinite(value):
            return value
        if name in REALS:
            return float(value) if value == np.inf else real(name, value, -np.inf)
        if name == "n_threads" and value is not None:
            return thread_count(value, name)
        if value is None or type(value) in _PLAIN.values():
            return value
        for kind, plain in _PLAIN.items():
            if isinstance(value, kind):
                return plain(value)
        return value


def require_parameters_held(estimator: Any, dtype: npt.DTypeLike) -> None:
    """Require that the dtype of the network represents all parameters of the estimator."""
    named = estimator._used.compute_dtype is not None
    cure = "compute_dtype='float64'" if named else "float64 samples: their type"
    for name in {*_IN_THE_CORE, *_SHARES}:
        value = getattr(estimator._used, name)
        below_one = name in _SHARES and value < 1
        require_held(name, value, dtype, below_one=below_one, cure=cure)


def hidden_layer_sizes(value: Any) -> list[int]:
    """Return the sizes of the hidden layers, each at least 1; a number stands for one layer."""
    sizes = [value] if np.ndim(value) == 0 else list(value)
    checked = [integer("hidden_layer_sizes", size, -_LARGEST_SIZE) for size in sizes]
    if any(size <= 0 for size in checked):
        raise ValueError(f"hidden_layer_sizes must be > 0, got {checked}.")
    return checked

"""Conversions between an estimator's parameters and networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastmlp import _core
from fastmlp.model import MLP
from fastmlp.network import Network

__all__ = [
    "NetworkSpec",
    "Parameters",
    "Predictor",
    "draw_parameters",
]

Array = npt.NDArray[Any]
_CORE_NAMES = {"logistic": "sigmoid"}


class Parameters(NamedTuple):
    """The parameters of a network: weights, biases, and arrays of batch normalization by name."""

    coefs: list[Array]
    intercepts: list[Array]
    normalization: dict[str, Array]

    def write_to(self, model: MLP) -> None:
        model.set_parameters(self.named())

    @classmethod
    def read_from(cls, model: Network) -> Parameters:
        return cls.of(model.parameters())

    @classmethod
    def of(cls, parameters: Mapping[str, Array]) -> Parameters:
        """Make the parameters from those that `MLP.parameters` returns."""
        named = dict(parameters)
        layers = range(sum(name.endswith(".weights") for name in named))
        coefs = [named.pop(f"layers.{i}.weights") for i in layers]
        intercepts = [named.pop(f"layers.{i}.biases") for i in layers]
        return cls(coefs, intercepts, named)

    def named(self) -> dict[str, Array]:
        """Return the parameters by the names of `MLP.parameters`."""
        layers = range(len(self.coefs))
        weights = {f"layers.{i}.weights": self.coefs[i] for i in layers}
        biases = {f"layers.{i}.biases": self.intercepts[i] for i in layers}
        return weights | biases | self.normalization

    def arrays(self) -> list[Array]:
        return [*self.coefs, *self.intercepts, *self.normalization.values()]

    def copy(self) -> Parameters:
        return Parameters(
            [np.array(coef) for coef in self.coefs],
            [np.array(intercept) for intercept in self.intercepts],
            {name: np.array(value) for name, value in self.normalization.items()},
        )

    def astype(self, dtype: npt.DTypeLike) -> Parameters:
        return Parameters(
            [coef.astype(dtype) for coef in self.coefs],
            [intercept.astype(dtype) for intercept in self.intercepts],
            {name: value.astype(dtype) for name, value in self.normalization.items()},
        )

    def is_finite(self) -> bool:
        single = self.coefs[0].dtype == np.float32
        return all(map(_core.all_finite32 if single else _core.all_finite64, self.arrays()))

    def equals(self, other: Parameters) -> bool:
        mine, others = self.arrays(), other.arrays()
        return len(mine) == len(others) and all(map(np.array_equal, mine, others))


@dataclass(frozen=True)
class NetworkSpec:
    """The arguments from which a network is built; it starts with zero weights."""

    layer_sizes: tuple[int, ...]
    activation: Any
    loss: Any
    dtype: str
    dropout: float = 0.0
    input_dropout: float = 0.0
    batch_normalization: bool = False
    compute_dtype: str | None = None
    seed: int = 0

    def build(self) -> MLP:
        return MLP(
            list(self.layer_sizes),
            activation=_CORE_NAMES.get(self.activation, self.activation)
            if isinstance(self.activation, str)
            else self.activation,
            loss=self.loss,
            initializer="zeros",
            dtype=self.dtype,
            seed=self.seed,
            dropout=self.dropout,
            input_dropout=self.input_dropout,
            batch_normalization=self.batch_normalization,
            compute_dtype=self.compute_dtype,
        )


class Predictor:
    """Cache of the network that predicts, rebuilt after the estimator's parameters have changed.

    Users may assign ``coefs_`` or write into its arrays, also while other threads predict.
    Therefore a change builds a new network and never changes one that is in use.
    """

    def __init__(self) -> None:
        self._built: tuple[NetworkSpec, Parameters, MLP] | None = None

    def __reduce__(self) -> tuple[type[Predictor], tuple[()]]:
        return Predictor, ()

    def model(self, spec: NetworkSpec, parameters: Parameters) -> MLP:
        built = self._built
        if built is None or built[0] != spec or not built[1].equals(parameters):
            model = spec.build()
            parameters.write_to(model)
            built = self._built = (spec, parameters.copy(), model)
        return built[2]


def draw_parameters(
    layer_sizes: Sequence[int],
    activation: Any,
    random_state: np.random.RandomState,
    dtype: npt.DTypeLike,
) -> Parameters:
    """Draw the initial parameters from the same random numbers as scikit-learn.

    Weights and biases are uniform within ``sqrt(6 / (fan_in + fan_out))``, with 2 in place of 6 for
    the logistic function. Source: X. Glorot, Y. Bengio, "Understanding the difficulty of training
    deep feedforward neural networks", 2010.
    """
    factor = 2.0 if activation in ("logistic", "sigmoid") else 6.0
    coefs, intercepts = [], []
    for fan_in, fan_out in zip(layer_sizes[:-1], layer_sizes[1:], strict=True):
        bound = np.sqrt(factor / (fan_in + fan_out))
        coef = random_state.uniform(-bound, bound, (fan_in, fan_out))
        intercept = random_state.uniform(-bound, bound, fan_out)
        coefs.append(coef.astype(dtype, copy=False))
        intercepts.append(intercept.astype(dtype, copy=False))
    return Parameters(coefs, intercepts, {})

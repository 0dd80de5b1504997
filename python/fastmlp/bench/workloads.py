"""The workloads: networks, batches, synthetic data, and the initial state of the training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from os import PathLike
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from fastmlp.optimizers import SGD, Adam

__all__ = [
    "ALL",
    "LARGE",
    "LEARNING_RATE",
    "MOMENTUM",
    "OTHERS",
    "SEED",
    "WORKLOADS",
    "Start",
    "Workload",
    "forward",
    "mean_loss",
]

LEARNING_RATE, MOMENTUM, SEED = 0.01, 0.9, 0

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Workload:
    """A network, its batch and the length of its epochs.

    Parameters
    ----------
    layers : tuple of int
        Number of features, widths of the hidden layers, number of classes; 1 for a number, whose
        loss is the mean squared error. That of classes is softmax cross-entropy.
    activation : {"relu", "sigmoid", "tanh"}
        Activation of the hidden layers.
    batch : int
        Number of samples per step.
    steps : int
        Number of steps per epoch; the data has ``steps * batch`` samples.
    bytes_in : bool
        Whether inputs are uint8, scaled by 1/255; otherwise they are of `dtype`.
    optimizer : SGD or Adam
        With a number as its learning rate.
    dtype : {"float32", "float64"}
        Type of the parameters and of all arithmetic.
    """

    layers: tuple[int, ...]
    activation: str
    batch: int
    steps: int
    bytes_in: bool = True
    optimizer: SGD | Adam = SGD(LEARNING_RATE, MOMENTUM)  # noqa: RUF009 - it is immutable
    dtype: Literal["float32", "float64"] = "float32"

    @property
    def input_scale(self) -> float:
        """Factor by which every input is multiplied."""
        return 1 / 255 if self.bytes_in else 1.0

    @property
    def loss(self) -> str:
        """Name of the loss."""
        return "mse" if self.layers[-1] == 1 else "softmax_cross_entropy"

    @property
    def learning_rate(self) -> float:
        """The learning rate of all steps."""
        rate = self.optimizer.learning_rate
        assert isinstance(rate, float)
        return rate

    @property
    def activations(self) -> list[str]:
        """Names of the activations, one per layer; the outputs of the last layer are logits."""
        return [self.activation] * (len(self.layers) - 2) + ["identity"]

    @property
    def initializer(self) -> str:
        """Name of the default initializer of `fastmlp.MLP` for the activation."""
        return "he_normal" if self.activation == "relu" else "glorot_uniform"

    @property
    def weights(self) -> int:
        """Number of weights without biases."""
        return sum(a * b for a, b in zip(self.layers, self.layers[1:], strict=False))

    @property
    def flops_per_sample(self) -> int:
        """Flop per sample: 6 per weight, less 2 per weight of the first layer.

        Each weight takes part in three products; the first layer needs no gradient of its inputs.
        """
        return 6 * self.weights - 2 * self.layers[0] * self.layers[1]

    def bytes_per_step(self) -> int:
        """Return the bytes moved if parameters and averages are read and written once.

        Inputs are read once.
        """
        parameters = self.weights + sum(self.layers[1:])
        number = np.dtype(self.dtype).itemsize
        arrays = 3 if isinstance(self.optimizer, Adam) else 2
        inputs = self.batch * self.layers[0] * (1 if self.bytes_in else number)
        return 2 * arrays * number * parameters + inputs

    @cache  # noqa: B019 - the few workloads live as long as the process
    def data(self, steps: int) -> tuple[Array, Array]:
        """Return dense inputs without zero columns, and random targets.

        These are int64 class indices of shape (samples,), or numbers of shape (samples, 1).
        """
        rng = np.random.default_rng(SEED)
        shape = (steps * self.batch, self.layers[0])
        x: Array
        if self.bytes_in:
            x = rng.integers(0, 256, shape, np.uint8)
        else:
            x = rng.standard_normal(shape, self.dtype)
        if self.loss == "mse":
            return x, rng.standard_normal((len(x), 1), self.dtype)
        return x, rng.integers(0, self.layers[-1], len(x))


WORKLOADS = {
    "nielsen": Workload((784, 30, 10), "sigmoid", 10, 500),
    "small": Workload((784, 128, 10), "relu", 32, 100),
    "tabular": Workload((54, 100, 7), "relu", 200, 100, bytes_in=False),
    "mnist": Workload((784, 512, 512, 10), "relu", 128, 20),
}
# Other batches, optimizers, losses and types.
OTHERS = {
    "online": Workload((784, 100, 10), "relu", 1, 2000, optimizer=SGD(0.0005, MOMENTUM)),
    "surrogate": Workload(
        (10, 64, 64, 64, 1), "tanh", 32, 200, False, Adam(LEARNING_RATE / 10), "float64"
    ),
    "adam": Workload((80, 256, 256, 256, 2), "relu", 256, 20, False, Adam(LEARNING_RATE / 10)),
}
LARGE = {
    "ciresan": Workload((784, 2500, 2000, 1500, 1000, 500, 10), "relu", 256, 2),
    "wide": Workload((4096, 4096, 4096, 10), "relu", 1024, 1, bytes_in=False),
}
ALL = WORKLOADS | OTHERS | LARGE


@dataclass(frozen=True)
class Start:
    """The common initial state of all engines.

    Parameters
    ----------
    weights : list of arrays of shape (in, out)
    biases : list of arrays of shape (out,)
    orders : int64 array of shape (epochs, samples)
        Order of the samples in each epoch; the last order is followed by the first.
    seed : int
        Seed from which fastmlp draws the same orders.
    """

    weights: list[Array]
    biases: list[Array]
    orders: npt.NDArray[np.int64]
    seed: int

    @property
    def parameters(self) -> list[Array]:
        """List of all weights, then all biases."""
        return [*self.weights, *self.biases]

    def save(self, path: str | PathLike[str]) -> None:
        """Write the state to an NPZ file."""
        named: dict[str, Any] = {f"parameter{i}": value for i, value in enumerate(self.parameters)}
        np.savez(path, orders=self.orders, seed=self.seed, **named)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Start:
        """Read the state from a file written by `save`."""
        with np.load(path) as file:
            parameters = [file[f"parameter{i}"] for i in range(len(file.files) - 2)]
            half = len(parameters) // 2
            orders, seed = file["orders"], int(file["seed"])
        return cls(parameters[:half], parameters[half:], orders, seed)


_FUNCTIONS: dict[str, Callable[[Array], Array]] = {
    "relu": lambda z: np.maximum(z, 0),
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "tanh": np.tanh,
}


def forward(activation: str, parameters: list[Array], x: Array) -> Array:
    """Return the logits, computed by NumPy in the precision of `x`.

    Parameters
    ----------
    activation : {"relu", "sigmoid", "tanh"}
    parameters : list of arrays
        All weights, then all biases.
    x : float array of shape (samples, features)
    """
    half = len(parameters) // 2
    out = x
    for layer, (w, b) in enumerate(zip(parameters[:half], parameters[half:], strict=True)):
        out = out @ w.astype(x.dtype) + b.astype(x.dtype)
        if layer < half - 1:
            out = _FUNCTIONS[activation](out)
    return out


def mean_loss(workload: Workload, parameters: list[Array]) -> float:
    """Return the mean loss of an epoch's samples, computed in float64."""
    x, y = workload.data(workload.steps)
    logits = forward(workload.activation, parameters, x * np.float64(workload.input_scale))
    if workload.loss == "mse":
        return float(np.mean((logits - y) ** 2))
    logits -= logits.max(axis=1, keepdims=True)
    picked = logits[np.arange(len(y)), y]
    return float(np.mean(np.log(np.exp(logits).sum(axis=1)) - picked))

"""The workloads: networks, batches and synthetic data, and the state that training starts from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "LARGE",
    "LEARNING_RATE",
    "MOMENTUM",
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
        Features, hidden layers, classes.
    activation : {"relu", "sigmoid"}
        Of the hidden layers; the loss is softmax cross-entropy.
    batch : int
        Samples of a step.
    steps : int
        Steps of an epoch, so there are ``steps * batch`` samples.
    bytes_in : bool
        Inputs are uint8, scaled by 1/255; otherwise float32.
    learning_rate, momentum : float
        Of the optimizer, v = momentum v - learning_rate g.
    """

    layers: tuple[int, ...]
    activation: str
    batch: int
    steps: int
    bytes_in: bool = True
    learning_rate: float = LEARNING_RATE
    momentum: float = MOMENTUM

    @property
    def input_scale(self) -> float:
        """Factor of every input."""
        return 1 / 255 if self.bytes_in else 1.0

    @property
    def activations(self) -> list[str]:
        """One name per layer; the last layer gives logits."""
        return [self.activation] * (len(self.layers) - 2) + ["identity"]

    @property
    def initializer(self) -> str:
        """What `fastmlp.MLP` draws the weights with by default."""
        return "he_normal" if self.activation == "relu" else "glorot_uniform"

    @property
    def weights(self) -> int:
        """Number of weights, biases not counted."""
        return sum(a * b for a, b in zip(self.layers, self.layers[1:], strict=False))

    @property
    def flops_per_sample(self) -> int:
        """Three products of 2 flop per weight, less the input gradient of the first layer."""
        return 6 * self.weights - 2 * self.layers[0] * self.layers[1]

    def bytes_per_step(self) -> int:
        """Each parameter and velocity read and written once, each input read once."""
        parameters = self.weights + sum(self.layers[1:])
        return 16 * parameters + self.batch * self.layers[0] * (1 if self.bytes_in else 4)

    @cache  # noqa: B019 - the few workloads live as long as the process
    def data(self, steps: int) -> tuple[Array, npt.NDArray[np.int64]]:
        """Dense inputs without a zero column and labels without a pattern."""
        rng = np.random.default_rng(SEED)
        shape = (steps * self.batch, self.layers[0])
        x: Array
        if self.bytes_in:
            x = rng.integers(0, 256, shape, np.uint8)
        else:
            x = rng.standard_normal(shape, np.float32)
        return x, rng.integers(0, self.layers[-1], len(x))


WORKLOADS = {
    "nielsen": Workload((784, 30, 10), "sigmoid", 10, 500),
    "small": Workload((784, 128, 10), "relu", 32, 100),
    "tabular": Workload((54, 100, 7), "relu", 200, 100, bytes_in=False),
    "mnist": Workload((784, 512, 512, 10), "relu", 128, 20),
}
LARGE = {
    "ciresan": Workload((784, 2500, 2000, 1500, 1000, 500, 10), "relu", 256, 2),
    "wide": Workload((4096, 4096, 4096, 10), "relu", 1024, 1, bytes_in=False),
}


@dataclass(frozen=True)
class Start:
    """The state that every engine starts from.

    Parameters
    ----------
    weights, biases : list of arrays
        Float32, (in, out) and (out,) per layer.
    orders : array of int64, (epochs, samples)
        Order of the samples, epoch by epoch; after the last the first comes again.
    seed : int
        What fastmlp, which draws its orders itself, draws these from.
    """

    weights: list[Array]
    biases: list[Array]
    orders: npt.NDArray[np.int64]
    seed: int

    @property
    def parameters(self) -> list[Array]:
        """All weights, then all biases."""
        return [*self.weights, *self.biases]

    def save(self, path: str | PathLike[str]) -> None:
        """Write a file for `load`."""
        named: dict[str, Any] = {f"parameter{i}": value for i, value in enumerate(self.parameters)}
        np.savez(path, orders=self.orders, seed=self.seed, **named)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Start:
        """Read what `save` wrote."""
        with np.load(path) as file:
            parameters = [file[f"parameter{i}"] for i in range(len(file.files) - 2)]
            half = len(parameters) // 2
            orders, seed = file["orders"], int(file["seed"])
        return cls(parameters[:half], parameters[half:], orders, seed)


def forward(activation: str, parameters: list[Array], x: Array) -> Array:
    """Logits in NumPy, in the precision of `x`; `parameters` are all weights, then all biases."""
    half = len(parameters) // 2
    out = x
    for layer, (w, b) in enumerate(zip(parameters[:half], parameters[half:], strict=True)):
        out = out @ w.astype(x.dtype) + b.astype(x.dtype)
        if layer < half - 1:
            out = np.maximum(out, 0) if activation == "relu" else 1 / (1 + np.exp(-out))
    return out


def mean_loss(workload: Workload, parameters: list[Array]) -> float:
    """Softmax cross-entropy over the samples of an epoch in float64, the same for all engines."""
    x, y = workload.data(workload.steps)
    logits = forward(workload.activation, parameters, x * np.float64(workload.input_scale))
    logits -= logits.max(axis=1, keepdims=True)
    picked = logits[np.arange(len(y)), y]
    return float(np.mean(np.log(np.exp(logits).sum(axis=1)) - picked))

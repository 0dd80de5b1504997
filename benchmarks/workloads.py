"""The nets that are trained, their synthetic data, and the same training in NumPy float32."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from reference import minibatches

LEARNING_RATE, MOMENTUM, SEED = 0.01, 0.9, 0


@dataclass(frozen=True)
class Workload:
    """A net, its batch and how many steps one timed call takes."""

    layers: tuple[int, ...]
    activation: str
    batch: int
    steps: int
    bytes_in: bool = True  # inputs are uint8, scaled by 1/255

    @property
    def input_scale(self) -> float:
        return 1 / 255 if self.bytes_in else 1.0

    @property
    def activations(self) -> list[str]:
        return [self.activation] * (len(self.layers) - 2) + ["identity"]

    @property
    def initializer(self) -> str:
        return "he_normal" if self.activation == "relu" else "glorot_uniform"

    @property
    def weights(self) -> int:
        return sum(a * b for a, b in zip(self.layers, self.layers[1:], strict=False))

    @property
    def flops_per_sample(self) -> int:
        """Three products of 2 flop per weight, less the input gradient of the first layer."""
        return 6 * self.weights - 2 * self.layers[0] * self.layers[1]

    def bytes_per_step(self) -> int:
        """Each parameter and velocity read and written once, each input read once."""
        parameters = self.weights + sum(self.layers[1:])
        return 16 * parameters + self.batch * self.layers[0] * (1 if self.bytes_in else 4)

    @cache  # noqa: B019 - the few workloads live as long as the session
    def data(self, steps: int) -> tuple[NDArray, NDArray[np.int64]]:
        """Dense inputs without a zero column and labels without a pattern."""
        rng = np.random.default_rng(SEED)
        shape = (steps * self.batch, self.layers[0])
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


class NumpyTrainer:
    """Momentum SGD in NumPy float32, updates in place: what one would write by hand."""

    def __init__(self, workload: Workload, weights: list[NDArray], biases: list[NDArray]) -> None:
        self.workload = workload
        self.parameters = [np.array(p, np.float32) for p in (*weights, *biases)]
        self.velocities = [np.zeros_like(p) for p in self.parameters]

    @property
    def weights(self) -> list[NDArray]:
        return self.parameters[: len(self.parameters) // 2]

    @property
    def biases(self) -> list[NDArray]:
        return self.parameters[len(self.parameters) // 2 :]

    def _forward(self, x: NDArray) -> list[NDArray]:
        outputs = [x]
        for w, b, name in zip(self.weights, self.biases, self.workload.activations, strict=True):
            z = outputs[-1] @ w
            z += b
            if name == "relu":
                np.maximum(z, 0, out=z)
            elif name == "sigmoid":
                np.negative(z, out=z)
                np.exp(z, out=z)
                z += 1
                np.reciprocal(z, out=z)
            outputs.append(z)
        return outputs

    def step(self, x: NDArray, y: NDArray[np.int64]) -> float:
        """Update from one mini-batch; the loss returned is that before the update."""
        rows, outputs = np.arange(len(x)), self._forward(x)
        logits = outputs[-1]
        logits -= logits.max(axis=1, keepdims=True)
        picked = logits[rows, y]
        d = np.exp(logits)
        total = d.sum(axis=1, keepdims=True)
        loss = float(np.log(total).sum() - picked.sum())
        d /= total
        d[rows, y] -= 1
        d /= np.float32(len(x))
        gradients = [np.empty(0)] * len(self.parameters)
        layers = len(self.weights)
        for layer in reversed(range(layers)):
            gradients[layer] = outputs[layer].T @ d
            gradients[layers + layer] = d.sum(axis=0)
            if layer:
                out = outputs[layer]
                d = d @ self.weights[layer].T
                d *= out > 0 if self.workload.activation == "relu" else out * (1 - out)
        for p, v, g in zip(self.parameters, self.velocities, gradients, strict=True):
            v *= np.float32(MOMENTUM)
            g *= np.float32(LEARNING_RATE)
            v -= g
            p += v
        return loss

    def epoch(self, x: NDArray, y: NDArray[np.int64], order: NDArray[np.int64]) -> float:
        """One pass over the samples in an order; returns the mean loss."""
        scale, total = np.float32(self.workload.input_scale), 0.0
        for rows in minibatches(order, self.workload.batch):
            batch = x[rows].astype(np.float32)
            if self.workload.bytes_in:
                batch *= scale
            total += self.step(batch, y[rows])
        return total / len(x)

"""The workloads of `fastmlp bench`, and the same training in NumPy float32."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastmlp.bench.workloads import LARGE, LEARNING_RATE, MOMENTUM, SEED, WORKLOADS, Workload
from support.reference import minibatches

__all__ = [
    "LARGE",
    "LEARNING_RATE",
    "MOMENTUM",
    "SETTINGS",
    "SEED",
    "WORKLOADS",
    "NumpyTrainer",
    "Workload",
]


SETTINGS = {"learning_rate": LEARNING_RATE, "momentum": MOMENTUM}


class NumpyTrainer:
    """Momentum SGD in NumPy float32, updates in place: straightforward code."""

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

"""The oracle: an MLP trainer in NumPy float64, readable against a textbook.

One function per kernel and one per step of training.  Nothing of fastmlp is imported, so an error
there cannot hide here.  Conventions are those of fastmlp: weights are (in, out), the loss is the
mean over the batch, mse is summed over outputs, L2 adds (l2 / 2) * sum W^2 and spares the biases.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]


# ---------------------------------------------------------------- products


def gemm_nn(x: Array, w: Array) -> Array:
    """Forward product: (B, K) @ (K, N)."""
    return x @ w


def gemm_tn(x: Array, dz: Array) -> Array:
    """Weight gradient: x^T dz, (B, K) and (B, N) -> (K, N)."""
    return x.T @ dz


def gemm_nt(dz: Array, w: Array) -> Array:
    """Gradient of the layer input: dz w^T, (B, N) and (K, N) -> (B, K)."""
    return dz @ w.T


# ---------------------------------------------------------------- elementwise functions


def sigmoid(z: Array) -> Array:
    """1 / (1 + e^-z) without overflow: e is only ever raised to a non-positive power."""
    e = np.exp(-np.abs(z))
    return np.where(z >= 0, 1 / (1 + e), e / (1 + e))


def activate(name: str, z: Array) -> Array:
    """Return the value of an activation at pre-activations z."""
    if name == "identity":
        return z.copy()
    if name == "relu":
        return np.where(z > 0, z, np.zeros_like(z))
    if name == "sigmoid":
        return sigmoid(z)
    if name == "tanh":
        return np.tanh(z)
    raise KeyError(name)


def activation_derivative(name: str, output: Array) -> Array:
    """Return the derivative of an activation as a function of its output."""
    if name == "identity":
        return np.ones_like(output)
    if name == "relu":
        return (output > 0).astype(output.dtype)
    if name == "sigmoid":
        return output * (1 - output)
    if name == "tanh":
        return 1 - output * output
    raise KeyError(name)


# ---------------------------------------------------------------- losses


def softmax(logits: Array) -> Array:
    """Row-wise softmax; subtracting the row maximum changes nothing but the overflow."""
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def softmax_cross_entropy(logits: Array, labels: NDArray[np.int64]) -> tuple[Array, Array]:
    """Per-row -log softmax(logits)[label] and its derivative softmax - onehot."""
    rows = np.arange(len(logits))
    shifted = logits - logits.max(axis=1, keepdims=True)
    row_loss = np.log(np.exp(shifted).sum(axis=1)) - shifted[rows, labels]
    dlogits = softmax(logits)
    dlogits[rows, labels] -= 1
    return row_loss, dlogits


def mse(outputs: Array, targets: Array) -> tuple[Array, Array]:
    """Per-row sum over outputs of (output - target)^2 and its derivative."""
    difference = outputs - targets
    return (difference * difference).sum(axis=1), 2 * difference


LOSSES = {"softmax_cross_entropy": softmax_cross_entropy, "mse": mse}


# ---------------------------------------------------------------- optimizer


def sgd(
    w: Array,
    v: Array,
    g: Array,
    learning_rate: float,
    momentum: float = 0.0,
    nesterov: bool = False,
    l2: float = 0.0,
) -> tuple[Array, Array]:
    """One step of gradient descent with (Nesterov) momentum; returns new (w, v)."""
    g = g + l2 * w
    if momentum == 0:
        return w - learning_rate * g, v
    v = momentum * v - learning_rate * g
    if nesterov:
        return w + momentum * v - learning_rate * g, v
    return w + v, v


# ---------------------------------------------------------------- the network


@dataclass
class Network:
    """Weights, biases and the few choices that define an MLP."""

    weights: list[Array]
    biases: list[Array]
    activation: str = "relu"
    output_activation: str = "identity"
    loss: str = "softmax_cross_entropy"
    input_scale: float = 1.0
    velocities: list[tuple[Array, Array]] = field(default_factory=list)

    def activation_of(self, layer: int) -> str:
        return self.output_activation if layer == len(self.weights) - 1 else self.activation

    def layer_outputs(self, x: NDArray) -> list[Array]:
        """Return the scaled input and the output of every layer, in order."""
        outputs = [np.asarray(x, np.float64) * self.input_scale]
        for layer, (w, b) in enumerate(zip(self.weights, self.biases, strict=True)):
            outputs.append(activate(self.activation_of(layer), gemm_nn(outputs[-1], w) + b))
        return outputs

    def forward(self, x: NDArray) -> Array:
        return self.layer_outputs(x)[-1]

    def row_losses(self, x: NDArray, y: NDArray) -> Array:
        return LOSSES[self.loss](self.forward(x), y)[0]

    def loss_and_gradients(self, x: NDArray, y: NDArray) -> tuple[float, list[Array], list[Array]]:
        """Return the mean data loss (no L2 term) and its derivatives by all weights and biases."""
        outputs = self.layer_outputs(x)
        row_loss, doutput = LOSSES[self.loss](outputs[-1], y)
        doutput = doutput / len(x)
        dweights: list[Array] = []
        dbiases: list[Array] = []
        for layer in reversed(range(len(self.weights))):
            dz = doutput * activation_derivative(self.activation_of(layer), outputs[layer + 1])
            dweights.insert(0, gemm_tn(outputs[layer], dz))
            dbiases.insert(0, dz.sum(axis=0))
            doutput = gemm_nt(dz, self.weights[layer])
        return float(row_loss.mean()), dweights, dbiases

    def reset_velocities(self) -> None:
        self.velocities = [
            (np.zeros_like(w), np.zeros_like(b))
            for w, b in zip(self.weights, self.biases, strict=True)
        ]

    def step(
        self,
        x: NDArray,
        y: NDArray,
        learning_rate: float,
        momentum: float = 0.0,
        nesterov: bool = False,
        l2: float = 0.0,
    ) -> float:
        """Update from one mini-batch, and return the loss before the update."""
        if not self.velocities:
            self.reset_velocities()
        loss, dweights, dbiases = self.loss_and_gradients(x, y)
        for i, (vw, vb) in enumerate(self.velocities):
            settings = (learning_rate, momentum, nesterov)
            self.weights[i], vw = sgd(self.weights[i], vw, dweights[i], *settings, l2)
            self.biases[i], vb = sgd(self.biases[i], vb, dbiases[i], *settings)
            self.velocities[i] = (vw, vb)
        return loss


def minibatches(
    order: NDArray[np.int64], batch_size: int, *, even: bool = False
) -> Iterator[NDArray[np.int64]]:
    """Return consecutive slices of an order; the last is shorter, or all are `even`."""
    if even:
        yield from np.array_split(order, -(-len(order) // batch_size))
        return
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]


def train(
    net: Network,
    x: NDArray,
    y: NDArray,
    orders: Iterable[NDArray[np.int64]],
    batch_size: int,
    learning_rates: Iterable[float],
    momentum: float = 0.0,
    nesterov: bool = False,
    l2: float = 0.0,
) -> list[float]:
    """Train for one epoch per entry of `orders`; returns each epoch's mean per-sample loss.

    Velocities start at zero.  A sample counts with its loss just before the step that used it.
    """
    net.reset_velocities()
    epoch_losses = []
    for order, learning_rate in zip(orders, learning_rates, strict=True):
        total = 0.0
        for rows in minibatches(order, batch_size):
            loss = net.step(x[rows], y[rows], learning_rate, momentum, nesterov, l2)
            total += loss * len(rows)
        epoch_losses.append(total / len(x))
    return epoch_losses

"""Oracle of the whole network beyond plain layers, in NumPy float64.

Batch normalization, dropout by given masks, noise, a softmax output, several losses and sample
weights; the constraints on gradients and weights; and the counter-based random numbers that masks
and noise are drawn from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from support import reference_activations as activations
from support import reference_losses as losses
from support.reference import Array, gemm_nn, gemm_nt, gemm_tn, softmax

# ---------------------------------------------------------------- batch normalization


def ema(average: Array, new: Array, decay: float) -> Array:
    """Return the new exponential moving average."""
    return decay * average + (1 - decay) * new


def batch_norm_backward(
    dnormalized: Array, normalized: Array, deviation: Array, from_batch: bool
) -> Array:
    """Return the gradient by z of (z - mean) / deviation: S. Ioffe and C. Szegedy, ICML 2015.

    Mean and deviation of the batch itself depend on z and have gradients too.
    """
    if from_batch:
        along = normalized * (dnormalized * normalized).mean(axis=0)
        dnormalized = dnormalized - dnormalized.mean(axis=0) - along
    return dnormalized / deviation


def softmax_backward(probabilities: Array, dprobabilities: Array) -> Array:
    """Return the gradient by the logits: J_ij = p_i (delta_ij - p_j) applied to every row."""
    along = (probabilities * dprobabilities).sum(axis=1, keepdims=True)
    return probabilities * (dprobabilities - along)


# ---------------------------------------------------------------- the network


class Trace(NamedTuple):
    """Values of a layer for back-propagation; the last three only with normalization."""

    inputs: Array
    pre_activation: Array
    product: Array
    normalized: Array | None = None
    deviation: Array | None = None


class Gradients(NamedTuple):
    """Loss of a batch and its derivatives; `dscales` is None at layers without normalization."""

    loss: float
    dweights: list[Array]
    dbiases: list[Array]
    dscales: list[Array | None]
    dinput: Array


Masks = Sequence[Array | None]


@dataclass
class Network:
    """An MLP with everything that may surround a layer.

    Every list has one entry per layer of weights.  A layer with `scales` is normalized before its
    activation: scale * normalized + bias; it has running statistics, which start at 0 and 1.
    """

    weights: list[Array]
    biases: list[Array]
    activations: list[str]
    groups: list[losses.Group]
    parameters: list[float | None] = field(default_factory=list)
    scales: list[Array | None] = field(default_factory=list)
    softmax_output: bool = False
    epsilon: float = 1e-5
    momentum: float = 0.9
    running_means: list[Array] = field(default_factory=list)
    running_variances: list[Array] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.parameters = self.parameters or [None] * len(self.weights)
        self.scales = self.scales or [None] * len(self.weights)
        self.running_means = self.running_means or [np.zeros(len(b)) for b in self.biases]
        self.running_variances = self.running_variances or [np.ones(len(b)) for b in self.biases]

    def _layer(self, layer: int, inputs: Array, training: bool) -> Trace:
        """Return all values up to the pre-activation, in training with statistics of the batch."""
        z = gemm_nn(inputs, self.weights[layer])
        scale, bias = self.scales[layer], self.biases[layer]
        if scale is None:
            return Trace(inputs, z + bias, z)
        mean = z.mean(axis=0) if training else self.running_means[layer]
        variance = z.var(axis=0) if training else self.running_variances[layer]
        deviation = np.sqrt(variance + self.epsilon)
        normalized = (z - mean) / deviation
        return Trace(inputs, scale * normalized + bias, z, normalized, deviation)

    def trace(
        self, x: NDArray, training: bool, masks: Masks | None = None, noise: Array | None = None
    ) -> tuple[list[Trace], Array]:
        """Return every layer's trace, and the outputs (B, K).

        `masks` holds one factor array or None per level: the input, then each hidden layer's
        output.  `noise` is added to the input, before its mask.
        """
        level = np.asarray(x, np.float64)
        if noise is not None:
            level = level + noise
        traces: list[Trace] = []
        for layer, name in enumerate(self.activations):
            mask = None if masks is None else masks[layer]
            inputs = level if mask is None else level * mask
            traces.append(self._layer(layer, inputs, training))
            level = activations.value(name, traces[-1].pre_activation, self.parameters[layer])
        return traces, softmax(level) if self.softmax_output else level

    def forward(
        self,
        x: NDArray,
        training: bool = False,
        masks: Masks | None = None,
        noise: Array | None = None,
    ) -> Array:
        """Return outputs (B, K); `training` only selects batch or running statistics."""
        return self.trace(x, training, masks, noise)[1]

    def loss_and_gradients(
        self,
        x: NDArray,
        targets: Sequence[NDArray],
        sample_weights: ArrayLike | None = None,
        training: bool = True,
        masks: Masks | None = None,
        noise: Array | None = None,
    ) -> Gradients:
        """Return the loss of the batch and its derivatives by all parameters and by x."""
        traces, outputs = self.trace(x, training, masks, noise)
        loss, dlevel = losses.total(self.groups, outputs, targets, sample_weights)
        if self.softmax_output:
            dlevel = softmax_backward(outputs, dlevel)
        dweights: list[Array] = []
        dbiases: list[Array] = []
        dscales: list[Array | None] = []
        for layer in reversed(range(len(self.weights))):
            t = traces[layer]
            name, parameter = self.activations[layer], self.parameters[layer]
            dz = dlevel * activations.derivative(name, t.pre_activation, parameter)
            dbiases.insert(0, dz.sum(axis=0))
            dscales.insert(0, None)
            if t.normalized is not None:
                dscales[0] = (dz * t.normalized).sum(axis=0)
                dnormalized = dz * self.scales[layer]
                dz = batch_norm_backward(dnormalized, t.normalized, t.deviation, training)
            dweights.insert(0, gemm_tn(t.inputs, dz))
            dlevel = gemm_nt(dz, self.weights[layer])
            if masks is not None and masks[layer] is not None:
                dlevel = dlevel * masks[layer]
        return Gradients(loss, dweights, dbiases, dscales, dlevel)

    def update_running(
        self, x: NDArray, masks: Masks | None = None, noise: Array | None = None
    ) -> None:
        """Move the running statistics toward those of a training batch.

        The running variance uses the unbiased variance of the batch, except for a single row.
        """
        for layer, t in enumerate(self.trace(x, True, masks, noise)[0]):
            if t.normalized is not None:
                z = t.product
                mean, variance = z.mean(axis=0), z.var(axis=0, ddof=min(1, len(z) - 1))
                self.running_means[layer] = ema(self.running_means[layer], mean, self.momentum)
                self.running_variances[layer] = ema(
                    self.running_variances[layer], variance, self.momentum
                )


# ---------------------------------------------------------------- constraints


def clip_by_value(gradient: Array, bound: float) -> Array:
    return np.clip(gradient, -bound, bound)


def clip_by_norm(gradients: Sequence[Array], bound: float) -> list[Array]:
    """Return gradients scaled to a total norm <= `bound`: R. Pascanu et al., ICML 2013."""
    norm = np.sqrt(sum((g * g).sum() for g in gradients))
    factor = bound / norm if norm > bound else 1.0
    return [factor * g for g in gradients]


def max_norm(weights: Array, bound: float) -> Array:
    """Return weights with columns scaled to norms <= `bound`: N. Srivastava et al. 2014."""
    norms = np.sqrt((weights * weights).sum(axis=0))
    return weights * (bound / np.maximum(norms, bound))


# ---------------------------------------------------------------- random numbers

DROPOUT, NOISE = 3, 4
WORD = 2**32 - 1


def philox4x32(counter: Sequence[ArrayLike], key: Sequence[int]) -> NDArray[np.uint64]:
    """Return four words along axis 0: ten rounds of Philox on four words, arrays or numbers.

    J. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
    """
    c0, c1, c2, c3 = np.broadcast_arrays(*(np.asarray(c, np.uint64) for c in counter))
    word, shift = np.uint64(WORD), np.uint64(32)
    for i in range(10):
        k0 = np.uint64((key[0] + i * 0x9E3779B9) & WORD)
        k1 = np.uint64((key[1] + i * 0xBB67AE85) & WORD)
        p0, p1 = c0 * np.uint64(0xD2511F53), c2 * np.uint64(0xCD9E8D57)
        c0, c1, c2, c3 = (p1 >> shift) ^ c1 ^ k0, p1 & word, (p0 >> shift) ^ c3 ^ k1, p0 & word
    return np.stack([c0, c1, c2, c3])


def random_words(
    seed: int, purpose: int, level: int, step: int, rows: int, cols: int
) -> NDArray[np.uint64]:
    """Return one 32-bit word per element of a (rows, cols) matrix.

    A row is cut into groups of 16 columns, the last of which may be incomplete. A group has four
    counters: number k serves columns 2k, 2k + 1, 8 + 2k and 8 + 2k + 1.
    """
    groups = -(-cols // 16)
    index = np.arange(rows * groups * 4).reshape(rows, groups, 4)
    key = (seed & WORD, seed >> 32)
    words = philox4x32((index, level, step & WORD, purpose), key)
    halves = words.reshape(2, 2, rows, groups, 4)  # (half, parity, row, group, k)
    return halves.transpose(2, 3, 0, 4, 1).reshape(rows, groups * 16)[:, :cols]


def dropout_mask(seed: int, level: int, step: int, rows: int, cols: int, rate: float) -> Array:
    """Return 0 with probability `rate`, else 1 / (1 - rate): N. Srivastava et al., JMLR 2014."""
    words = random_words(seed, DROPOUT, level, step, rows, cols)
    return np.where(words < int(rate * 2**32), 0.0, 1 / (1 - rate))


def normal_noise(seed: int, step: int, rows: int, cols: int) -> Array:
    """Return standard normal numbers, from 23 bits each by the inverse distribution function."""
    words = random_words(seed, NOISE, 0, step, rows, cols)
    u = ((words >> np.uint64(9)).astype(np.float64) + 0.5) * 2.0**-23
    return np.vectorize(NormalDist().inv_cdf, otypes=[np.float64])(u)

"""Oracle of the whole network beyond plain layers, in NumPy float64.

Embedded inputs, scales of inputs and outputs, activations mixed with the identity, members of an
ensemble, batch normalization, layer normalization, residual blocks, dropout by given masks, noise,
a softmax output, several losses and sample weights; the constraints on gradients and weights; and
the counter-based random numbers that masks and noise are drawn from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from support import reference_activations as activations
from support import reference_inputs
from support import reference_losses as losses
from support.reference import Array, sigmoid, softmax

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


def layer_norm_backward(dnormalized: Array, normalized: Array, deviation: Array) -> Array:
    """Return the gradient by z of (z - mean) / deviation over the units of each row.

    J. Ba, J. Kiros, G. Hinton, "Layer normalization", 2016.
    """
    along = normalized * (dnormalized * normalized).mean(axis=-1, keepdims=True)
    return (dnormalized - dnormalized.mean(axis=-1, keepdims=True) - along) / deviation


def softmax_backward(probabilities: Array, dprobabilities: Array) -> Array:
    """Return the gradient by the logits: J_ij = p_i (delta_ij - p_j) applied to every row."""
    along = (probabilities * dprobabilities).sum(axis=1, keepdims=True)
    return probabilities * (dprobabilities - along)


# ---------------------------------------------------------------- the network


class Trace(NamedTuple):
    """Values of a layer for back-propagation.

    `normalized` and `deviation` exist where outputs are scaled or normalized, `total`, the sum of
    product, bias and skip, where batch normalization does not come between product and bias.  With
    several members all arrays have the member as their first dimension.
    """

    inputs: Array
    pre_activation: Array
    product: Array
    unscaled: Array
    normalized: Array | None = None
    deviation: Array | None = None
    total: Array | None = None


class Gradients(NamedTuple):
    """Loss of a batch and its derivatives; None where a layer does not have the array."""

    loss: float
    dweights: list[Array]
    dbiases: list[Array]
    dscales: list[Array | None]
    dinput: Array
    dmixes: list[Array | None]
    dinput_scales: list[Array | None]
    dinputs: list[dict[str, Array]]
    dshifts: list[Array | None]


Masks = Sequence[Array | None]


@dataclass
class Network:
    """An MLP with everything that may surround a layer.

    Every list has one entry per layer of weights.  A layer with `scales` multiplies its product by
    them; one that also `normalizes`, which it does unless told otherwise, normalizes it before, and
    has running statistics, which start at 0 and 1.  `mixes` is the share of the activation in
    z + mix (f(z) - z), `input_scales` are factors of what a layer reads.

    A layer with `shifts` normalizes each row over its units, then scales and shifts.  A layer with
    `residual` masks its product with bias and adds that of the layer two below.

    A `frozen` layer is normalized by its running statistics, which stand still.

    `members` networks are trained together.  What each has for itself has one more dimension, the
    first: weights (members, in, out), vectors (members, out), input scales (members, in).
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
    normalizes: list[bool] = field(default_factory=list)
    mixes: list[Array | None] = field(default_factory=list)
    input_scales: list[Array | None] = field(default_factory=list)
    inputs: list[reference_inputs.InputColumns] = field(default_factory=list)
    members: int = 1
    frozen: list[bool] = field(default_factory=list)
    shifts: list[Array | None] = field(default_factory=list)
    residual: list[bool] = field(default_factory=list)

    def __post_init__(self) -> None:
        nothing: list[Any] = [None] * len(self.weights)
        self.parameters = self.parameters or list(nothing)
        self.scales = self.scales or list(nothing)
        self.mixes = self.mixes or list(nothing)
        self.input_scales = self.input_scales or list(nothing)
        self.frozen = self.frozen or [False] * len(self.weights)
        self.shifts = self.shifts or list(nothing)
        self.residual = self.residual or [False] * len(self.weights)
        self.normalizes = self.normalizes or [scale is not None for scale in self.scales]
        self.running_means = self.running_means or [np.zeros(b.shape) for b in self.biases]
        self.running_variances = self.running_variances or [np.ones(b.shape) for b in self.biases]

    def _rows(self, layer: int, values: Array) -> Array:
        """Return values (members, B, out) as (copies, rows, out) of the layer's vectors."""
        copies = len(self.biases[layer]) if self.biases[layer].ndim == 2 else 1
        return values.reshape(copies, -1, values.shape[-1])

    def _vector(self, layer: int, vector: Array) -> Array:
        """Return a vector of the layer as (copies, 1, out)."""
        return vector.reshape(-1, 1, vector.shape[-1])

    def _sums(self, layer: int, values: Array) -> Array:
        """Return the sums over the rows that share a vector, of the vector's shape."""
        return self._rows(layer, values).sum(axis=1).reshape(self.biases[layer].shape)

    def _layer(
        self, layer: int, unscaled: Array, training: bool, mask: Array | None, skip: Array | None
    ) -> Trace:
        """Return all values up to the pre-activation, in training with statistics of the batch.

        `mask` and `skip` are for the end of a residual block.
        """
        factors = self.input_scales[layer]
        inputs = (
            unscaled if factors is None else unscaled * factors.reshape(-1, 1, unscaled.shape[2])
        )
        product = np.matmul(inputs, self.weights[layer])
        z = self._rows(layer, product)
        scale, bias = self.scales[layer], self._vector(layer, self.biases[layer])
        shift = self.shifts[layer]
        if scale is None or shift is not None:
            total = (z + bias).reshape(product.shape)
            if skip is not None:
                total = skip + (total if mask is None else total * mask.reshape(total.shape))
            if scale is None or shift is None:
                return Trace(inputs, total, product, unscaled, total=total)
            deviation = np.sqrt(total.var(axis=-1, keepdims=True) + self.epsilon)
            normalized = (total - total.mean(axis=-1, keepdims=True)) / deviation
            pre_activation = scale * normalized + shift
            return Trace(inputs, pre_activation, product, unscaled, normalized, deviation, total)
        mean, deviation = np.zeros_like(bias), np.ones_like(bias)
        if self.normalizes[layer]:
            mean = self._vector(layer, self.running_means[layer])
            variance = self._vector(layer, self.running_variances[layer])
            if training:
                mean, variance = z.mean(axis=1, keepdims=True), z.var(axis=1, keepdims=True)
            deviation = np.sqrt(variance + self.epsilon)
        normalized = (z - mean) / deviation
        pre_activation = (self._vector(layer, scale) * normalized + bias).reshape(product.shape)
        return Trace(inputs, pre_activation, product, unscaled, normalized, deviation)

    def _activated(self, layer: int, z: Array) -> Array:
        value = activations.value(self.activations[layer], z, self.parameters[layer])
        mix = self.mixes[layer]
        if mix is None:
            return value
        rows = self._rows(layer, z)
        mixed = rows + self._vector(layer, mix) * (self._rows(layer, value) - rows)
        return mixed.reshape(z.shape)

    def _trace(
        self, x: NDArray, training: bool, masks: Masks | None, noise: Array | None
    ) -> tuple[list[Trace], Array]:
        """`trace` with a dimension for the members in all arrays."""
        level = np.asarray(x, np.float64)
        if self.inputs:
            level = reference_inputs.values(self.inputs, level)
        if noise is not None:
            level = level + noise
        level = np.broadcast_to(level, (self.members, *level.shape))
        traces: list[Trace] = []
        for layer in range(len(self.weights)):
            mask = self._input_mask(layer, masks)
            inputs = level if mask is None else level * mask.reshape(level.shape)
            skip = traces[layer - 2].total if self.residual[layer] else None
            branch_mask = self._branch_mask(layer, masks)
            from_batch = training and not self.frozen[layer]
            traces.append(self._layer(layer, inputs, from_batch, branch_mask, skip))
            level = self._activated(layer, traces[-1].pre_activation)
        if self.softmax_output:
            level = np.stack([softmax(own) for own in level])
        return traces, level

    def _branch_mask(self, layer: int, masks: Masks | None) -> Array | None:
        """Return the mask of what a layer adds at the end of a residual block."""
        return masks[layer + 1] if masks is not None and self.residual[layer] else None

    def _input_mask(self, layer: int, masks: Masks | None) -> Array | None:
        """Return the mask of what a layer reads."""
        ends = layer > 0 and self.residual[layer - 1]
        return None if masks is None or ends else masks[layer]

    def trace(
        self, x: NDArray, training: bool, masks: Masks | None = None, noise: Array | None = None
    ) -> tuple[list[Trace], Array]:
        """Return every layer's trace, and the outputs (B, K), of members (members, B, K).

        `masks` holds one factor array or None per level: the input, then each hidden layer's
        output, or where a residual block ends its part of the sum; its rows are those of all
        members.  `noise` is added to the input, before its mask.
        """
        traces, outputs = self._trace(x, training, masks, noise)
        if self.members > 1:
            return traces, outputs
        flat = [Trace(*(None if value is None else value[0] for value in t)) for t in traces]
        return flat, outputs[0]

    def forward(
        self,
        x: NDArray,
        training: bool = False,
        masks: Masks | None = None,
        noise: Array | None = None,
    ) -> Array:
        """Return outputs (B, K); `training` only selects batch or running statistics.

        Those of an ensemble are what gives the mean of its members' probabilities and rates.
        """
        outputs = self._trace(x, training, masks, noise)[1]
        return outputs[0] if self.members == 1 else mean_outputs(self.groups, outputs)

    def _losses(
        self, outputs: Array, targets: Sequence[NDArray], sample_weights: ArrayLike | None
    ) -> tuple[float, Array]:
        """Return the mean of the members' losses, and its derivative."""
        found = [losses.total(self.groups, own, targets, sample_weights) for own in outputs]
        gradient = np.stack([own for _, own in found]) / self.members
        return float(np.mean([loss for loss, _ in found])), gradient

    def loss_and_gradients(
        self,
        x: NDArray,
        targets: Sequence[NDArray],
        sample_weights: ArrayLike | None = None,
        training: bool = True,
        masks: Masks | None = None,
        noise: Array | None = None,
    ) -> Gradients:
        """Return the loss of the batch and its derivatives by all parameters and by the inputs."""
        traces, outputs = self._trace(x, training, masks, noise)
        loss, dlevel = self._losses(outputs, targets, sample_weights)
        if self.softmax_output:
            both = zip(outputs, dlevel, strict=True)
            dlevel = np.stack([softmax_backward(p, dp) for p, dp in both])
        count = len(self.weights)
        dweights: list[Any] = [None] * count
        dbiases: list[Any] = [None] * count
        dscales: list[Array | None] = [None] * count
        dmixes: list[Array | None] = [None] * count
        dinput_scales: list[Array | None] = [None] * count
        dshifts: list[Array | None] = [None] * count
        dtotals: list[Any] = [None] * count
        for layer in reversed(range(count)):
            t = traces[layer]
            dz, dmixes[layer] = self._through_activation(layer, t.pre_activation, dlevel)
            if t.normalized is not None and t.total is not None:
                dshifts[layer] = self._sums(layer, dz)
                dscales[layer] = self._sums(layer, self._rows(layer, dz * t.normalized))
                dz = layer_norm_backward(dz * self.scales[layer], t.normalized, t.deviation)
            if layer + 2 < count and self.residual[layer + 2]:
                dz = dz + dtotals[layer + 2]
            dtotals[layer] = dz
            branch_mask = self._branch_mask(layer, masks)
            if branch_mask is not None:
                dz = dz * branch_mask.reshape(dz.shape)
            dbiases[layer] = self._sums(layer, dz)
            if t.normalized is not None and t.total is None:
                rows = self._rows(layer, dz)
                dscales[layer] = self._sums(layer, rows * t.normalized)
                from_batch = training and not self.frozen[layer]
                dz = self._through_scales(layer, t, rows, from_batch).reshape(dz.shape)
            own = np.matmul(t.inputs.transpose(0, 2, 1), dz)
            dweights[layer] = own if self.weights[layer].ndim == 3 else own.sum(axis=0)
            dlevel = np.matmul(dz, np.swapaxes(self.weights[layer], -1, -2))
            factors = self.input_scales[layer]
            if factors is not None:
                by_factors = (dlevel * t.unscaled).sum(axis=1)
                dinput_scales[layer] = by_factors.reshape(factors.shape)
                dlevel = dlevel * factors.reshape(-1, 1, dlevel.shape[2])
            mask = self._input_mask(layer, masks)
            if mask is not None:
                dlevel = dlevel * mask.reshape(dlevel.shape)
        dinput = dlevel.sum(axis=0)
        dinputs = reference_inputs.gradients(self.inputs, x, dinput) if self.inputs else []
        return Gradients(
            loss, dweights, dbiases, dscales, dinput, dmixes, dinput_scales, dinputs, dshifts
        )

    def _through_activation(self, layer: int, z: Array, dy: Array) -> tuple[Array, Array | None]:
        """Return the gradients by the pre-activation and by the mixes."""
        name, parameter = self.activations[layer], self.parameters[layer]
        derivative = activations.derivative(name, z, parameter)
        mix = self.mixes[layer]
        if mix is None:
            return dy * derivative, None
        dmix = self._sums(layer, dy * (activations.value(name, z, parameter) - z))
        mixed = 1 + self._vector(layer, mix) * (self._rows(layer, derivative) - 1)
        return dy * mixed.reshape(z.shape), dmix

    def _through_scales(self, layer: int, t: Trace, dz: Array, training: bool) -> Array:
        scale = self.scales[layer]
        assert scale is not None
        assert t.normalized is not None
        assert t.deviation is not None
        dnormalized = dz * self._vector(layer, scale)
        if not self.normalizes[layer]:
            return dnormalized
        each = zip(dnormalized, t.normalized, t.deviation, strict=True)
        return np.stack([batch_norm_backward(d, n, s, training) for d, n, s in each])

    def update_running(
        self, x: NDArray, masks: Masks | None = None, noise: Array | None = None
    ) -> None:
        """Move the running statistics toward those of a training batch.

        The running variance uses the unbiased variance of the batch, except for a single row.
        """
        for layer, t in enumerate(self._trace(x, True, masks, noise)[0]):
            if t.normalized is None or t.total is not None:
                continue
            if not self.normalizes[layer] or self.frozen[layer]:
                continue
            z, shape = self._rows(layer, t.product), self.biases[layer].shape
            mean, variance = z.mean(axis=1), z.var(axis=1, ddof=min(1, z.shape[1] - 1))
            self.running_means[layer] = ema(
                self.running_means[layer], mean.reshape(shape), self.momentum
            )
            self.running_variances[layer] = ema(
                self.running_variances[layer], variance.reshape(shape), self.momentum
            )


def mean_outputs(groups: Sequence[losses.Group], outputs: Array) -> Array:
    """Return outputs (B, K) whose probabilities and rates are the means of those of the members.

    What a loss reads as it is, is averaged as it is.
    """
    parts, first = [], 0
    for name, count, _, _ in groups:
        own = outputs[:, :, first : first + count]
        first += count
        if name == "softmax_cross_entropy":
            parts.append(np.log(np.mean([softmax(each) for each in own], axis=0)))
        elif name == "binary_cross_entropy":
            p, others = sigmoid(own).mean(axis=0), sigmoid(-own).mean(axis=0)
            parts.append(np.log(p) - np.log(others))
        elif name == "poisson":
            parts.append(np.log(np.exp(own).mean(axis=0)))
        else:
            parts.append(own.mean(axis=0))
    return np.concatenate(parts, axis=1)


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

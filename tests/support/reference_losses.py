"""Oracle of the losses, in NumPy float64.

Every loss takes outputs (B, K) and targets and returns the loss of each row (B,) and its derivative
by the outputs (B, K), neither divided by the batch.  Elementwise losses are summed over outputs,
weighted.  `total` combines the losses of all groups into the loss that training minimizes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from support.reference import Array, sigmoid

Loss = tuple[Array, Array]


# ---------------------------------------------------------------- losses of a row


def one_hot(classes: NDArray[np.integer], count: int) -> Array:
    return np.eye(count)[classes]


def softmax_cross_entropy(logits: Array, targets: NDArray, *, label_smoothing: float = 0.0) -> Loss:
    """sum_j t_j (logsumexp(z) - z_j); targets are classes (B,) or probabilities (B, K).

    Smoothing mixes the targets with the uniform distribution: C. Szegedy et al., "Rethinking the
    inception architecture for computer vision", CVPR 2016.
    """
    classes = logits.shape[1]
    t = one_hot(targets, classes) if targets.ndim == 1 else targets
    t = (1 - label_smoothing) * t + label_smoothing / classes
    rows, first = np.arange(len(logits)), logits.argmax(axis=1)
    shifted = logits - logits.max(axis=1, keepdims=True)
    # All but the first maximum: 1 + rest would lose the digits of a small rest.
    others = np.exp(shifted)
    others[rows, first] = 0
    rest = others.sum(axis=1, keepdims=True)
    row_loss = (t * (np.log1p(rest) - shifted)).sum(axis=1)
    dlogits = others / (1 + rest) * t.sum(axis=1, keepdims=True) - t
    other_targets = t.copy()
    other_targets[rows, first] = 0
    at_first = other_targets.sum(axis=1) - t[rows, first] * rest[:, 0]
    dlogits[rows, first] = at_first / (1 + rest[:, 0])
    return row_loss, dlogits


def hinge(scores: Array, classes: NDArray[np.integer]) -> Loss:
    """sum over j != y of max(0, s_j - s_y + 1): J. Weston and C. Watkins, ESANN 1999."""
    label = one_hot(classes, scores.shape[1])
    score_of_label = (label * scores).sum(axis=1, keepdims=True)
    margin = np.where(label == 1, 0.0, scores - score_of_label + 1)
    violated = (margin > 0).astype(scores.dtype)
    dscores = violated - label * violated.sum(axis=1, keepdims=True)
    return np.maximum(margin, 0).sum(axis=1), dscores


# ---------------------------------------------------------------- losses of single outputs


def _sum_over_outputs(loss: Array, derivative: Array, output_weights: ArrayLike | None) -> Loss:
    if output_weights is None:
        return loss.sum(axis=1), derivative
    weights = np.asarray(output_weights, np.float64)
    return (loss * weights).sum(axis=1), derivative * weights


def binary_cross_entropy(
    logits: Array, targets: Array, *, output_weights: ArrayLike | None = None
) -> Loss:
    """-t log p - (1 - t) log(1 - p) with p = sigmoid(z), from z so that no logarithm overflows."""
    loss = np.maximum(logits, 0) - logits * targets + np.log1p(np.exp(-np.abs(logits)))
    smaller = sigmoid(-np.abs(logits))
    derivative = np.where(logits < 0, smaller - targets, (1 - targets) - smaller)
    return _sum_over_outputs(loss, derivative, output_weights)


def mse(outputs: Array, targets: Array, *, output_weights: ArrayLike | None = None) -> Loss:
    d = outputs - targets
    return _sum_over_outputs(d * d, 2 * d, output_weights)


def half_mse(outputs: Array, targets: Array, *, output_weights: ArrayLike | None = None) -> Loss:
    d = outputs - targets
    return _sum_over_outputs(d * d / 2, d, output_weights)


def mae(outputs: Array, targets: Array, *, output_weights: ArrayLike | None = None) -> Loss:
    d = outputs - targets
    return _sum_over_outputs(np.abs(d), np.sign(d), output_weights)


def huber(
    outputs: Array,
    targets: Array,
    *,
    delta: float = 1.0,
    output_weights: ArrayLike | None = None,
) -> Loss:
    """Quadratic up to an error of delta, linear beyond: P. Huber, Ann. Math. Statist. 1964."""
    d = outputs - targets
    loss = np.where(np.abs(d) <= delta, d * d / 2, delta * (np.abs(d) - delta / 2))
    return _sum_over_outputs(loss, np.clip(d, -delta, delta), output_weights)


def poisson(log_rates: Array, counts: Array, *, output_weights: ArrayLike | None = None) -> Loss:
    """-log of the Poisson probability of the counts, without the term log(t!)."""
    rates = np.exp(log_rates)
    return _sum_over_outputs(rates - counts * log_rates, rates - counts, output_weights)


def quantile(
    outputs: Array,
    targets: Array,
    *,
    levels: ArrayLike,
    output_weights: ArrayLike | None = None,
) -> Loss:
    """Pinball loss, one level in (0, 1) per output: R. Koenker and G. Bassett, Econometrica 1978.

    Targets are (B, K), or (B, 1) if all outputs are quantiles of one quantity.
    """
    q = np.asarray(levels, np.float64)
    d = targets - outputs
    derivative = np.where(d > 0, -q, np.where(d < 0, 1 - q, 0.0))
    return _sum_over_outputs(np.maximum(q * d, (q - 1) * d), derivative, output_weights)


LOSSES = {
    "softmax_cross_entropy": softmax_cross_entropy,
    "hinge": hinge,
    "binary_cross_entropy": binary_cross_entropy,
    "mse": mse,
    "half_mse": half_mse,
    "mae": mae,
    "huber": huber,
    "poisson": poisson,
    "quantile": quantile,
}


# ---------------------------------------------------------------- the loss of a batch

# Name of the loss, number of outputs, weight of the group, options of the loss.
Group = tuple[str, int, float, dict[str, Any]]


def row_losses(groups: Sequence[Group], outputs: Array, targets: Sequence[NDArray]) -> Loss:
    """Return the weighted sum of the groups' losses for each row (B,), and its derivative (B, K).

    The groups read consecutive outputs; group i has the targets ``targets[i]``.
    """
    row_loss = np.zeros(len(outputs))
    doutputs = np.zeros_like(outputs)
    first = 0
    for (name, count, weight, options), group_targets in zip(groups, targets, strict=True):
        own = slice(first, first + count)
        loss, derivative = LOSSES[name](outputs[:, own], group_targets, **options)
        row_loss += weight * loss
        doutputs[:, own] = weight * derivative
        first += count
    if first != outputs.shape[1]:
        raise ValueError(f"groups must cover all {outputs.shape[1]} outputs, got {first}")
    return row_loss, doutputs


def total(
    groups: Sequence[Group],
    outputs: Array,
    targets: Sequence[NDArray],
    sample_weights: ArrayLike | None = None,
) -> tuple[float, Array]:
    """Return the mean loss sum_i w_i loss_i / sum_i w_i and its gradient by the outputs."""
    row_loss, doutputs = row_losses(groups, outputs, targets)
    w = np.ones(len(outputs)) if sample_weights is None else np.asarray(sample_weights, np.float64)
    share = w / w.sum()
    return float(share @ row_loss), share[:, None] * doutputs

"""Curves of two classes over the thresholds of a score, and of probabilities over what happened.

The positive class is the second of the two labels that occur, in their order. If one label occurs
alone, it must be 0 or 1, True or False, or -1, and 1 is positive. Samples with a weight of 0 do not
count.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp.metrics.classes import require_labels, usable_weights
from fastmlp.metrics.probabilities import bins_of
from fastmlp.validation import finite_array, integer

__all__ = [
    "ThresholdTable",
    "calibration_curve",
    "precision_recall_curve",
    "roc_curve",
    "threshold_table",
]

Array = NDArray[Any]
Floats = NDArray[np.float64]

_THRESHOLDS = tuple(k / 20 for k in range(1, 20))


def roc_curve(
    y_true: ArrayLike, scores: ArrayLike, sample_weight: ArrayLike | None = None
) -> tuple[Floats, Floats, Floats]:
    """Compute the receiver operating characteristic, whose area is `auc`.

    Parameters
    ----------
    y_true : array of shape (samples,)
        Labels of two classes.
    scores : array of shape (samples,)
        Scores that grow with the probability of the positive class.
    sample_weight : array of shape (samples,), optional
        Weights >= 0 of the samples, not all 0.

    Returns
    -------
    false_positive_rates, true_positive_rates, thresholds : float64 arrays of shape (points,)
        Shares of the negative and of the positive samples whose score is >= the threshold, from the
        threshold infinity to the lowest score. Points on the line between their neighbors are left
        out. The rates are NaN without samples of their class.

    Raises
    ------
    TypeError, ValueError
        There are more than two labels, or shapes or values do not fit.

    Notes
    -----
    T. Fawcett, "An introduction to ROC analysis", 2006.

    Examples
    --------
    >>> false_positives, true_positives, thresholds = roc_curve([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    >>> false_positives.tolist(), true_positives.tolist()
    ([0.0, 0.0, 0.5, 0.5, 1.0], [0.0, 0.5, 0.5, 1.0, 1.0])
    >>> thresholds.tolist()
    [inf, 0.8, 0.4, 0.35, 0.1]
    """
    negative, positive, thresholds = _sums_by_threshold(y_true, scores, sample_weight)
    if len(thresholds) > 2:
        corners = (np.diff(negative, 2) != 0) | (np.diff(positive, 2) != 0)
        kept = np.concatenate(([True], corners, [True]))
        negative, positive, thresholds = negative[kept], positive[kept], thresholds[kept]
    rates = [
        np.concatenate(([0.0], sums)) / sums[-1] if sums[-1] > 0 else np.full(len(sums) + 1, np.nan)
        for sums in (negative, positive)
    ]
    return rates[0], rates[1], np.concatenate(([np.inf], thresholds))


def precision_recall_curve(
    y_true: ArrayLike, scores: ArrayLike, sample_weight: ArrayLike | None = None
) -> tuple[Floats, Floats, Floats]:
    """Compute precision and recall for every threshold of a score.

    Parameters
    ----------
    y_true, scores, sample_weight
        As for `roc_curve`.

    Returns
    -------
    precisions, recalls : float64 arrays of shape (thresholds + 1,)
        Of predictions that are positive where the score is >= the threshold; last the point of
        precision 1 and recall 0, which has no threshold. Without positive samples all recalls but
        the last are 1.
    thresholds : float64 array of shape (thresholds,)
        The scores that occur, in increasing order.

    Raises
    ------
    TypeError, ValueError
        As for `roc_curve`.

    Examples
    --------
    >>> precisions, recalls, thresholds = precision_recall_curve([0, 1, 1], [0.2, 0.4, 0.8])
    >>> recalls.tolist(), thresholds.tolist()
    ([1.0, 1.0, 0.5, 0.0], [0.2, 0.4, 0.8])
    """
    negative, positive, thresholds = _sums_by_threshold(y_true, scores, sample_weight)
    precisions = positive / (positive + negative)
    recalls = positive / positive[-1] if positive[-1] > 0 else np.ones(len(positive))
    return (
        np.concatenate((precisions[::-1], [1.0])),
        np.concatenate((recalls[::-1], [0.0])),
        thresholds[::-1].copy(),
    )


def calibration_curve(
    y_true: ArrayLike,
    probabilities: ArrayLike,
    bins: int = 10,
    sample_weight: ArrayLike | None = None,
) -> tuple[Floats, Floats, Floats]:
    """Compare probabilities with the share of positive samples, in bins of equal width.

    The mean of the distances of the two, with the weights of the bins, is `calibration_error`.

    Parameters
    ----------
    y_true : array of shape (samples,)
        Labels of two classes.
    probabilities : array of shape (samples,)
        Probabilities of the positive class.
    bins : int
        Number of bins from 0 to 1, which include their upper end; >= 1.
    sample_weight : array of shape (samples,), optional
        Weights >= 0 of the samples, not all 0.

    Returns
    -------
    mean_probabilities, positive_shares, weights : float64 arrays of shape (bins with samples,)
        Mean probability, share of positive samples and sum of the weights of each bin that has
        samples; without weights their number.

    Raises
    ------
    TypeError, ValueError
        As for `roc_curve`, or probabilities are not from 0 to 1.

    Examples
    --------
    >>> means, shares, weights = calibration_curve([0, 1, 1, 1], [0.25, 0.75, 0.75, 0.75])
    >>> means.tolist(), shares.tolist(), weights.tolist()
    ([0.25, 0.75], [0.0, 1.0], [1.0, 3.0])
    """
    count = integer("bins", bins, 1)
    is_positive, likely, weights = _probable(y_true, probabilities, sample_weight)
    places = bins_of(likely, count)
    columns = (weights, weights * likely, weights * is_positive)
    sums = np.array([np.bincount(places, values, minlength=count) for values in columns])
    totals, expected, happened = sums.astype(np.float64)
    used = totals > 0
    return expected[used] / totals[used], happened[used] / totals[used], totals[used]


class ThresholdTable(NamedTuple):
    """Measures of the decision for the positive class at some thresholds.

    Attributes
    ----------
    thresholds : float64 array of shape (thresholds,)
        Samples are predicted positive if their probability is >= the threshold.
    precisions, recalls, f1s : float64 arrays of shape (thresholds,)
        Of the positive class; 0 divided by 0 is 0.
    positive_shares : float64 array of shape (thresholds,)
        Share of the samples that are predicted positive.
    accuracies : float64 array of shape (thresholds,)
        Share of the samples that are predicted right.

    Examples
    --------
    >>> from fastmlp.metrics import threshold_table
    >>> table = threshold_table([0, 0, 1, 1], [0.1, 0.6, 0.4, 0.8], [0.3, 0.5, 0.7])
    >>> float(table.thresholds[table.f1s.argmax()])
    0.3
    """

    thresholds: Floats
    precisions: Floats
    recalls: Floats
    f1s: Floats
    positive_shares: Floats
    accuracies: Floats


def threshold_table(
    y_true: ArrayLike,
    probabilities: ArrayLike,
    thresholds: ArrayLike = _THRESHOLDS,
    sample_weight: ArrayLike | None = None,
) -> ThresholdTable:
    """Measure the decision for the positive class at some thresholds.

    Parameters
    ----------
    y_true, probabilities, sample_weight
        As for `calibration_curve`.
    thresholds : array of shape (thresholds,)
        Thresholds in the wanted order; by default 0.05, 0.1 and so on to 0.95.

    Raises
    ------
    TypeError, ValueError
        As for `calibration_curve`, or the thresholds are not finite.

    Examples
    --------
    >>> table = threshold_table([0, 0, 1, 1], [0.1, 0.6, 0.4, 0.8], [0.5, 0.7])
    >>> table.precisions.tolist(), table.recalls.tolist(), table.accuracies.tolist()
    ([0.5, 1.0], [0.5, 0.5], [0.5, 0.75])
    """
    limits: Floats = finite_array("thresholds", thresholds, np.float64)
    if limits.ndim != 1:
        raise ValueError(f"thresholds must have shape (thresholds,), got {limits.shape}")
    is_positive, likely, weights = _probable(y_true, probabilities, sample_weight)
    order = np.argsort(-likely, kind="stable")
    # Sums over the samples with the 0, 1, ... highest probabilities.
    chosen, hits = np.zeros(len(order) + 1), np.zeros(len(order) + 1)
    np.cumsum(weights[order], out=chosen[1:])
    np.cumsum((weights * is_positive)[order], out=hits[1:])
    counts = np.searchsorted(-likely[order], -limits, side="right")
    total, positive = chosen[-1], hits[-1]
    chosen, hits = chosen[counts], hits[counts]
    return ThresholdTable(
        limits,
        _quotients(hits, chosen),
        _quotients(hits, np.full_like(hits, positive)),
        _quotients(2.0 * hits, chosen + positive),
        chosen / total,
        (hits + (total - positive) - (chosen - hits)) / total,
    )


def _quotients(numerators: Floats, denominators: Floats) -> Floats:
    zeros = np.zeros_like(numerators)
    return np.divide(numerators, denominators, out=zeros, where=denominators > 0)


def _sums_by_threshold(
    y_true: object, scores: ArrayLike, sample_weight: ArrayLike | None
) -> tuple[Floats, Floats, Floats]:
    """Return the weights of negative and positive samples with scores >= each score, decreasing."""
    is_positive, ranked, weights = _pair(y_true, scores, sample_weight, "scores")
    order = np.argsort(-ranked, kind="stable")
    ranked, is_positive, weights = ranked[order], is_positive[order], weights[order]
    last = np.concatenate((np.flatnonzero(np.diff(ranked)), [len(ranked) - 1]))
    negative, positive = (np.cumsum(weights * kind)[last] for kind in (~is_positive, is_positive))
    return negative, positive, ranked[last]


def _probable(
    y_true: object, probabilities: ArrayLike, sample_weight: ArrayLike | None
) -> tuple[Array, Floats, Floats]:
    is_positive, likely, weights = _pair(y_true, probabilities, sample_weight, "probabilities")
    if likely.min() < 0 or likely.max() > 1:
        raise ValueError(f"probabilities must be from 0 to 1, got {likely.min()} to {likely.max()}")
    return is_positive, likely, weights


def _pair(
    y_true: object, values: ArrayLike, sample_weight: ArrayLike | None, name: str
) -> tuple[Array, Floats, Floats]:
    """Return which samples are positive, their values and weights, of samples with a weight."""
    truth = require_labels("y_true", y_true)
    given: Floats = finite_array(name, values, np.float64)
    if given.shape != truth.shape or len(truth) == 0:
        raise ValueError(
            f"{name} must have shape (samples,) for {len(truth)} samples, at least one, got "
            f"{given.shape}"
        )
    weights = usable_weights(sample_weight, len(truth))
    is_positive = _positive(truth)
    if weights is None:
        return is_positive, given, np.ones(len(truth))
    used = weights > 0
    return is_positive[used], given[used], weights[used]


def _positive(truth: Array) -> Array:
    labels = np.unique(truth)
    if len(labels) > 2:
        raise ValueError(f"y_true must hold labels of two classes, got {len(labels)}")
    if len(labels) == 2:
        return np.asarray(truth == labels[1])
    if labels.dtype.kind not in "biuf" or labels[0] not in (-1, 0, 1):
        raise ValueError(
            f"y_true must hold two labels, or one of 0, 1 and -1 alone, got {labels[0]!r} alone"
        )
    return np.asarray(truth == 1)

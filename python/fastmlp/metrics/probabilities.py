"""Metrics of the probabilities that a model gives to classes: AUC, log loss, calibration and more.

What does not depend on the weights of samples is computed once by `area_statistic` and the others
of its kind, which return a function of the weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp._logarithm import log
from fastmlp.metrics.classes import class_labels, label_positions, require_labels, usable_weights
from fastmlp.metrics.distributions import require_distribution
from fastmlp.metrics.ranking import Ranking
from fastmlp.validation import finite_array, integer

__all__ = [
    "Statistic",
    "area_statistic",
    "auc",
    "average_precision",
    "average_precision_statistic",
    "bins_of",
    "brier",
    "brier_statistic",
    "calibration_error",
    "calibration_statistic",
    "log_loss",
    "log_loss_statistic",
    "top_k_accuracy",
    "top_k_statistic",
]

Array = NDArray[Any]
Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
Classes = int | ArrayLike | None
# A measure of given samples as a function of their weights.
Statistic = Callable[[ArrayLike | None], float]


def auc(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    classes: Classes = None,
    sample_weight: ArrayLike | None = None,
) -> float:
    """Area under the receiver operating characteristic; of several classes the mean of each.

    It is the probability that a random sample of a class has a higher score for it than a random
    sample of the others, where equal scores count one half.

    Parameters
    ----------
    y_true : array of shape (samples,)
        Labels.
    y_score : array of shape (samples,) or (samples, classes)
        Scores that grow with the probability of the class; of two classes also those of the second
        class alone.
    classes : int or array, optional
        A number of classes, for the labels 0..classes-1, or an array of labels in the order of the
        columns. The default is the sorted labels that occur.
    sample_weight : array of shape (samples,), optional
        Weights >= 0 of the samples, not all 0.

    Returns
    -------
    float
        For more than two classes the mean over the classes that some samples with a weight belong
        to and others do not; NaN if there is none.

    Raises
    ------
    TypeError, ValueError
        Labels are not among `classes`, or the scores have another shape or are not finite.

    Notes
    -----
    T. Fawcett, "An introduction to ROC analysis", 2006.

    Examples
    --------
    >>> auc([0, 0, 1, 1], [0.1, 0.4, 0.4, 0.8])
    0.875
    """
    return area_statistic(y_true, y_score, classes)(sample_weight)


def area_statistic(y_true: ArrayLike, y_score: ArrayLike, classes: Classes = None) -> Statistic:
    """Return `auc` of these samples as a function of their weights."""
    rankings, count = _rankings(y_true, y_score, classes)

    def area(sample_weight: ArrayLike | None = None) -> float:
        weights = _all_weights(sample_weight, count)
        areas = np.array([ranking.area(weights) for ranking in rankings])
        return _mean_of_known(areas)

    return area


def average_precision(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    classes: Classes = None,
    sample_weight: ArrayLike | None = None,
) -> float:
    """Mean precision over the positive samples, each at its score; of several classes the mean.

    The precision at a score is the share of positive samples among those with this score or a
    higher one. It is the area under the steps of `precision_recall_curve`.

    Parameters
    ----------
    y_true, y_score, classes, sample_weight
        As for `auc`; of two classes the second is the positive one.

    Returns
    -------
    float
        Of two classes 0 without positive samples; for more than two classes the mean over those
        that samples with a weight belong to.

    Raises
    ------
    TypeError, ValueError
        As for `auc`.

    Notes
    -----
    M. Zhu, "Recall, precision and average precision", 2004.

    Examples
    --------
    >>> average_precision([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    0.8333333333333333
    """
    return average_precision_statistic(y_true, y_score, classes)(sample_weight)


def average_precision_statistic(
    y_true: ArrayLike, y_score: ArrayLike, classes: Classes = None
) -> Statistic:
    """Return `average_precision` of these samples as a function of their weights."""
    rankings, count = _rankings(y_true, y_score, classes)

    def mean_precision(sample_weight: ArrayLike | None = None) -> float:
        weights = _all_weights(sample_weight, count)
        means = np.array([ranking.average_precision(weights) for ranking in rankings])
        if len(means) == 1:
            return 0.0 if math.isnan(means[0]) else float(means[0])
        return _mean_of_known(means)

    return mean_precision


def _rankings(y_true: object, y_score: ArrayLike, classes: object) -> tuple[list[Ranking], int]:
    """Return a ranking of the samples for each class, of two for the second; and their number."""
    scores: Floats = finite_array("y_score", y_score, np.float64)
    codes, count = _codes(y_true, scores, "y_score", classes)
    if scores.ndim == 1 or scores.shape[1] == 1:
        rankings = [Ranking(codes == 1, scores.reshape(-1))]
    elif count == 2:
        rankings = [Ranking(codes == 1, scores[:, 1])]
    else:
        rankings = [Ranking(codes == k, scores[:, k]) for k in range(count)]
    return rankings, len(codes)


def _all_weights(sample_weight: ArrayLike | None, count: int) -> Floats:
    weights = usable_weights(sample_weight, count)
    return np.ones(count) if weights is None else weights


def _mean_of_known(values: Floats) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else math.nan


def _mean_statistic(values: Floats) -> Statistic:
    """Return the weighted mean of these values as a function of the weights."""

    def mean(sample_weight: ArrayLike | None = None) -> float:
        return float(np.average(values, weights=usable_weights(sample_weight, len(values))))

    return mean


def top_k_accuracy(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    k: int = 5,
    classes: Classes = None,
    sample_weight: ArrayLike | None = None,
) -> float:
    """Fraction of samples whose true class is among the k classes with the highest scores.

    Of classes with equal scores the one with the higher number comes first, as in scikit-learn; of
    two classes the second only comes first if its score is the higher one.

    Parameters
    ----------
    y_true, y_score, classes, sample_weight
        As for `auc`; scores of the second of two classes alone are compared with 0.5 if all are
        from 0 to 1, else with 0.
    k : int
        Number of classes, >= 1. With as many as there are, the result is 1.

    Raises
    ------
    TypeError, ValueError
        As for `auc`, or `k` is out of range.

    Examples
    --------
    >>> top_k_accuracy([0, 1, 2], [[0.5, 0.3, 0.2], [0.5, 0.3, 0.2], [0.5, 0.3, 0.2]], k=2)
    0.6666666666666666
    """
    return top_k_statistic(y_true, y_score, classes, k=k)(sample_weight)


def top_k_statistic(
    y_true: ArrayLike, y_score: ArrayLike, classes: Classes = None, *, k: int = 5
) -> Statistic:
    """Return `top_k_accuracy` of these samples as a function of their weights."""
    k = integer("k", k, 1)
    scores: Floats = finite_array("y_score", y_score, np.float64)
    codes, count = _codes(y_true, scores, "y_score", classes)
    if scores.ndim == 1 or scores.shape[1] == 1:
        second = scores.reshape(-1)
        is_likely = second.min() >= 0 and second.max() <= 1
        scores = np.stack([np.full(len(second), 0.5 if is_likely else 0.0), second], axis=1)
    own = scores[np.arange(len(codes)), codes][:, np.newaxis]
    places, of_truth = np.arange(count), codes[:, np.newaxis]
    before = places < of_truth if count == 2 else places > of_truth
    ahead = (scores > own) | ((scores == own) & before)
    return _mean_statistic((ahead.sum(axis=1) < k).astype(np.float64))


def log_loss(
    y_true: ArrayLike,
    probabilities: ArrayLike,
    *,
    classes: Classes = None,
    sample_weight: ArrayLike | None = None,
) -> float:
    """Mean negative logarithm of the probability of the true class.

    Probabilities are limited to the range from e to 1 - e, with the rounding unit e of their dtype,
    so that one sample that was excluded does not make the mean infinite.

    Parameters
    ----------
    y_true, classes, sample_weight
        As for `auc`.
    probabilities : array of shape (samples,) or (samples, classes)
        Probabilities of the classes, with a sum of 1; of two classes also those of the second.

    Raises
    ------
    TypeError, ValueError
        Labels are not among `classes`, or the probabilities are none.

    Examples
    --------
    >>> round(log_loss(["no", "yes"], [[0.5, 0.5], [0.25, 0.75]]), 4)
    0.4904
    """
    return log_loss_statistic(y_true, probabilities, classes)(sample_weight)


def log_loss_statistic(
    y_true: ArrayLike, probabilities: ArrayLike, classes: Classes = None
) -> Statistic:
    """Return `log_loss` of these samples as a function of their weights."""
    rounding = _rounding_unit(probabilities)
    codes, likely = _distributions(y_true, probabilities, classes)
    of_truth = likely[np.arange(len(codes)), codes].clip(rounding, 1.0 - rounding)
    return _mean_statistic(-log(of_truth))


def brier(
    y_true: ArrayLike,
    probabilities: ArrayLike,
    *,
    classes: Classes = None,
    sample_weight: ArrayLike | None = None,
) -> float:
    """Mean squared difference between probabilities and what happened, the Brier score.

    Of two classes it is that of the second one, from 0 to 1; of more classes the sum over the
    classes, from 0 to 2.

    Parameters
    ----------
    y_true, probabilities, classes, sample_weight
        As for `log_loss`.

    Raises
    ------
    TypeError, ValueError
        As for `log_loss`.

    Notes
    -----
    G. W. Brier, "Verification of forecasts expressed in terms of probability", 1950.

    Examples
    --------
    >>> brier([0, 1], [0.5, 0.75])
    0.15625
    """
    return brier_statistic(y_true, probabilities, classes)(sample_weight)


def brier_statistic(
    y_true: ArrayLike, probabilities: ArrayLike, classes: Classes = None
) -> Statistic:
    """Return `brier` of these samples as a function of their weights."""
    codes, likely = _distributions(y_true, probabilities, classes)
    errors = likely.copy()
    errors[np.arange(len(codes)), codes] -= 1.0
    squares = np.square(errors).sum(axis=1)
    return _mean_statistic(0.5 * squares if likely.shape[1] == 2 else squares)


def calibration_error(
    y_true: ArrayLike,
    probabilities: ArrayLike,
    *,
    bins: int = 10,
    classes: Classes = None,
    sample_weight: ArrayLike | None = None,
) -> float:
    """Expected calibration error: the mean distance of probabilities from what happens.

    Samples are grouped by their probability into bins of equal width from 0 to 1, which include
    their upper end. The error is the sum over the bins of the bin's share of the samples times the
    distance of the bin's mean probability from the share of its samples for which the event
    happened. Of two classes the probability is that of the second and the event is this class, as
    in `calibration_curve`; of more classes it is the highest probability, and the event is that its
    class, the first one of equals, is the true one.

    Parameters
    ----------
    y_true, probabilities, classes, sample_weight
        As for `log_loss`.
    bins : int
        Number of bins, >= 1.

    Returns
    -------
    float
        From 0 to 1. It is not 0 for the true probabilities either, and depends on the bins.

    Raises
    ------
    TypeError, ValueError
        As for `log_loss`, or `bins` is out of range.

    Notes
    -----
    M. P. Naeini, G. F. Cooper, M. Hauskrecht, "Obtaining well calibrated probabilities using
    Bayesian binning", 2015; C. Guo et al., "On calibration of modern neural networks", 2017.

    Examples
    --------
    >>> calibration_error([0, 1, 1, 1], [0.25, 0.75, 0.75, 0.75])
    0.25
    """
    return calibration_statistic(y_true, probabilities, classes, bins=bins)(sample_weight)


def calibration_statistic(
    y_true: ArrayLike, probabilities: ArrayLike, classes: Classes = None, *, bins: int = 10
) -> Statistic:
    """Return `calibration_error` of these samples as a function of their weights."""
    count = integer("bins", bins, 1)
    codes, likely = _distributions(y_true, probabilities, classes)
    if likely.shape[1] == 2:
        expected, happened = likely[:, 1], codes == 1
    else:
        expected, happened = likely.max(axis=1), likely.argmax(axis=1) == codes
    places = bins_of(expected, count)
    excess = expected - happened

    def error(sample_weight: ArrayLike | None = None) -> float:
        weights = _all_weights(sample_weight, len(codes))
        sums = np.bincount(places, weights * excess, minlength=count)
        return float(np.abs(sums).sum() / weights.sum())

    return error


def bins_of(probabilities: Floats, count: int) -> NDArray[np.int64]:
    """Return the bin of each probability, of bins of equal width that include their upper end."""
    inner = np.linspace(0.0, 1.0, count + 1)[1:-1]
    return np.searchsorted(inner, probabilities)


def _rounding_unit(probabilities: ArrayLike) -> float:
    dtype = np.asarray(probabilities).dtype
    return float(np.finfo(dtype if dtype.kind == "f" else np.float64).eps)


def _codes(y_true: object, scores: Array, name: str, classes: object) -> tuple[Codes, int]:
    """Return the column of each sample's class, and the number of classes."""
    truth = require_labels("y_true", y_true)
    if scores.ndim not in (1, 2) or len(scores) != len(truth) or len(truth) == 0:
        raise ValueError(
            f"{name} must have shape (samples,) or (samples, classes) for {len(truth)} samples, at "
            f"least one, got {scores.shape}"
        )
    labels = class_labels(classes, truth, truth)
    columns = 2 if scores.ndim == 1 or scores.shape[1] == 1 else scores.shape[1]
    if len(labels) != columns:
        hint = "; classes= names them if some do not occur" if classes is None else ""
        raise ValueError(
            f"{name} must have a column for each of {len(labels)} classes, or for the second of "
            f"two, got shape {scores.shape}{hint}"
        )
    return label_positions("y_true", truth, labels), len(labels)


def _distributions(y_true: object, probabilities: object, classes: object) -> tuple[Codes, Floats]:
    """Return the column of each sample's class, and probabilities (samples, classes)."""
    given = np.asarray(probabilities)
    codes, _ = _codes(y_true, given, "probabilities", classes)
    if given.ndim == 2 and given.shape[1] > 1:
        return codes, require_distribution("probabilities", given)
    second: Floats = finite_array("probabilities", given.reshape(-1), np.float64)
    if second.min() < 0 or second.max() > 1:
        raise ValueError(f"probabilities must be from 0 to 1, got {second.min()} to {second.max()}")
    return codes, np.stack([1.0 - second, second], axis=1)

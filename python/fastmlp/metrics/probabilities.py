"""Metrics of the probabilities that a model gives to classes: AUC, log loss, Brier score."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp._logarithm import log
from fastmlp.metrics.classes import class_labels, label_positions, require_labels, usable_weights
from fastmlp.metrics.distributions import require_distribution
from fastmlp.validation import finite_array

__all__ = ["auc", "brier", "log_loss"]

Array = NDArray[Any]
Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
Classes = int | ArrayLike | None


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
    scores: Floats = finite_array("y_score", y_score, np.float64)
    codes, count = _codes(y_true, scores, "y_score", classes)
    given = usable_weights(sample_weight, len(codes))
    weights = np.ones(len(codes)) if given is None else given
    if scores.ndim == 1 or scores.shape[1] == 1:
        return _area(codes == 1, scores.reshape(-1), weights)
    if count == 2:
        return _area(codes == 1, scores[:, 1], weights)
    areas = np.array([_area(codes == k, scores[:, k], weights) for k in range(count)])
    defined = areas[~np.isnan(areas)]
    return float(defined.mean()) if len(defined) else float("nan")


def _area(is_positive: Array, scores: Floats, weights: Floats) -> float:
    """Return the area for one class; NaN unless there are samples of it and of others."""
    order = np.argsort(scores, kind="stable")
    positive = np.where(is_positive, weights, 0.0)[order]
    negative = np.where(is_positive, 0.0, weights)[order]
    ordered = scores[order]
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    positive, negative = np.add.reduceat(positive, starts), np.add.reduceat(negative, starts)
    pairs = positive.sum() * negative.sum()
    if not pairs > 0:
        return float("nan")
    below = np.cumsum(negative) - negative
    return float((positive * (below + 0.5 * negative)).sum() / pairs)


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
    rounding = _rounding_unit(probabilities)
    codes, likely = _distributions(y_true, probabilities, classes)
    of_truth = likely[np.arange(len(codes)), codes].clip(rounding, 1.0 - rounding)
    weights = usable_weights(sample_weight, len(codes))
    return float(np.average(-log(of_truth), weights=weights))


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
    codes, likely = _distributions(y_true, probabilities, classes)
    errors = likely.copy()
    errors[np.arange(len(codes)), codes] -= 1.0
    squares = np.square(errors).sum(axis=1)
    mean = float(np.average(squares, weights=usable_weights(sample_weight, len(codes))))
    return 0.5 * mean if likely.shape[1] == 2 else mean


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

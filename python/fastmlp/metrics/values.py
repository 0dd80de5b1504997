"""Metrics of predicted values. Of several targets each is the mean over the targets.

Predictions that are NaN or infinite make a result that is NaN or infinite.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp._logarithm import log
from fastmlp.metrics.classes import usable_weights
from fastmlp.validation import finite_array, real

__all__ = [
    "coverage",
    "explained_variance",
    "mae",
    "mape",
    "max_error",
    "median_absolute_error",
    "mse",
    "poisson_deviance",
    "quantile_loss",
    "r2",
    "rmse",
    "rmsle",
]

Array = NDArray[Any]
Floats = NDArray[np.float64]


def mse(y_true: ArrayLike, y_pred: ArrayLike, *, sample_weight: ArrayLike | None = None) -> float:
    """Mean squared error.

    Parameters
    ----------
    y_true, y_pred : array of shape (samples,) or (samples, targets)
        True and predicted values.
    sample_weight : array of shape (samples,), optional
        Weights >= 0 of the samples, not all 0.

    Raises
    ------
    TypeError, ValueError
        The shapes differ, or true values are not finite.

    Examples
    --------
    >>> mse([1.0, 2.0], [1.0, 4.0])
    2.0
    """
    return float(_mean_squares(*_pair(y_true, y_pred, sample_weight)).mean())


def rmse(y_true: ArrayLike, y_pred: ArrayLike, *, sample_weight: ArrayLike | None = None) -> float:
    """Square root of the mean squared error, in the units of the targets.

    Parameters and errors are those of `mse`; of several targets it is the mean of their roots.

    Examples
    --------
    >>> rmse([1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 8.0])
    2.0
    """
    return float(np.sqrt(_mean_squares(*_pair(y_true, y_pred, sample_weight))).mean())


def mae(y_true: ArrayLike, y_pred: ArrayLike, *, sample_weight: ArrayLike | None = None) -> float:
    """Mean absolute error, in the units of the targets.

    Parameters and errors are those of `mse`.

    Examples
    --------
    >>> mae([1.0, 2.0], [1.0, 4.0])
    1.0
    """
    truth, predicted, weights = _pair(y_true, y_pred, sample_weight)
    with np.errstate(over="ignore", invalid="ignore"):
        return float(_means(np.abs(truth - predicted), weights).mean())


def median_absolute_error(
    y_true: ArrayLike, y_pred: ArrayLike, *, sample_weight: ArrayLike | None = None
) -> float:
    """Median of the absolute errors, in the units of the targets; a few huge errors do not count.

    With weights it is the error at which the weights of smaller and of larger ones are equal; of
    two such errors their mean. Parameters and errors are those of `mse`.

    Examples
    --------
    >>> median_absolute_error([1.0, 2.0, 3.0], [1.5, 2.0, 99.0])
    0.5
    """
    truth, predicted, weights = _pair(y_true, y_pred, sample_weight)
    with np.errstate(over="ignore", invalid="ignore"):
        errors = np.abs(truth - predicted)
    if weights is None:
        with np.errstate(invalid="ignore"):
            return float(np.median(errors, axis=0).mean())
    counts = weights > 0
    medians = [_weighted_median(column[counts], weights[counts]) for column in errors.T]
    return float(np.mean(medians))


def _weighted_median(values: Floats, weights: Floats) -> float:
    if np.isnan(values).any():
        return float("nan")
    order = np.argsort(values, kind="stable")
    ordered, below = values[order], np.cumsum(weights[order])
    half = 0.5 * below[-1]
    first = min(int(np.searchsorted(below, half)), len(ordered) - 1)
    if below[first] - half > np.finfo(np.float64).eps:  # as scikit-learn decides that it is half
        return float(ordered[first])
    return float(0.5 * (ordered[first] + ordered[min(first + 1, len(ordered) - 1)]))


def max_error(
    y_true: ArrayLike, y_pred: ArrayLike, *, sample_weight: ArrayLike | None = None
) -> float:
    """Largest absolute error of a sample whose weight is not 0, in the units of the targets.

    Parameters and errors are those of `mse`.

    Examples
    --------
    >>> max_error([1.0, 2.0, 3.0], [1.5, 2.0, 1.0])
    2.0
    """
    truth, predicted, weights = _pair(y_true, y_pred, sample_weight)
    if weights is not None:
        truth, predicted = truth[weights > 0], predicted[weights > 0]
    with np.errstate(over="ignore", invalid="ignore"):
        return float(np.abs(truth - predicted).max(axis=0).mean())


def mape(y_true: ArrayLike, y_pred: ArrayLike, *, sample_weight: ArrayLike | None = None) -> float:
    """Mean absolute error as a share of the true value.

    A true value of 0 counts as the rounding unit 2.2e-16, so that an error there is huge.
    Parameters and errors are those of `mse`.

    Examples
    --------
    >>> mape([10.0, 20.0], [11.0, 18.0])
    0.1
    """
    truth, predicted, weights = _pair(y_true, y_pred, sample_weight)
    sizes = np.maximum(np.abs(truth), np.finfo(np.float64).eps)
    with np.errstate(over="ignore", invalid="ignore"):
        return float(_means(np.abs(truth - predicted) / sizes, weights).mean())


def rmsle(y_true: ArrayLike, y_pred: ArrayLike, *, sample_weight: ArrayLike | None = None) -> float:
    """Root mean squared error of ``log(1 + value)``, in which ratios of values count.

    It is infinite if a prediction is -1 or less.

    Parameters
    ----------
    y_true : array of shape (samples,) or (samples, targets)
        True values, > -1.
    y_pred : array of the same shape
        Predicted values.
    sample_weight
        As for `mse`.

    Raises
    ------
    TypeError, ValueError
        As for `mse`, or a true value is -1 or less.

    Examples
    --------
    >>> round(rmsle([0.0, 9.0], [0.0, 99.0]), 4)
    1.6282
    """
    truth, predicted, weights = _pair(y_true, y_pred, sample_weight)
    if truth.min() <= -1.0:
        raise ValueError(f"y_true must hold values > -1, got {truth.min()}")
    squares = _mean_squares(_log_of_one_plus(truth), _log_of_one_plus(predicted), weights)
    return float(np.sqrt(squares).mean())


def _log_of_one_plus(x: Floats) -> Floats:
    """Return log(1 + x); -infinity for x <= -1. NaN and infinity stay what they are."""
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        above = 1.0 + x
        usable = np.isfinite(above) & (above > 0.0)
        logarithm = log(np.where(usable, above, 1.0))
        # The rounding of 1 + x changes the logarithm and the fraction by the same factor.
        exact = np.where(above == 1.0, x, logarithm * (x / (above - 1.0)))
    return np.where(usable, exact, np.where(above <= 0.0, -np.inf, x))


def r2(y_true: ArrayLike, y_pred: ArrayLike, *, sample_weight: ArrayLike | None = None) -> float:
    """Share of the variance that is explained, ``1 - mse / variance``.

    For a constant target, such as that of one sample, it is 1 if all predictions are equal to it,
    else 0. Parameters and errors are those of `mse`.

    Examples
    --------
    >>> r2([1.0, 2.0, 3.0], [1.0, 2.0, 2.0])
    0.5
    """
    truth, predicted, weights = _pair(y_true, y_pred, sample_weight)
    squared = _mean_squares(truth, predicted, weights)
    return _explained(squared, _variances(truth, weights))


def explained_variance(
    y_true: ArrayLike, y_pred: ArrayLike, *, sample_weight: ArrayLike | None = None
) -> float:
    """Share of the variance that predictions with the best constant added explain.

    It is ``1 - variance of the errors / variance of the targets`` and differs from `r2` in that an
    error that all samples share does not count. For a constant target it is 1 if all errors are
    equal, else 0. Parameters and errors are those of `mse`.

    Examples
    --------
    >>> explained_variance([1.0, 2.0, 3.0], [2.0, 3.0, 4.0])
    1.0
    """
    truth, predicted, weights = _pair(y_true, y_pred, sample_weight)
    with np.errstate(over="ignore", invalid="ignore"):
        left = _variances(truth - predicted, weights)
    return _explained(left, _variances(truth, weights))


def _variances(values: Floats, weights: Floats | None) -> Floats:
    """Return the variance of each column, exactly 0 where all values with a weight are equal."""
    counted = values if weights is None else values[weights > 0]
    with np.errstate(over="ignore", invalid="ignore"):
        variances = _means(np.square(values - _means(values, weights)), weights)
    return np.where((counted == counted[:1]).all(axis=0), 0.0, variances)


def _explained(left: Floats, variances: Floats) -> float:
    """Return the mean over the targets of the share of the variance that is not left."""
    with np.errstate(over="ignore", invalid="ignore"):
        whole = np.asarray(left > 0, np.float64)
        unexplained = np.divide(left, variances, out=whole, where=variances > 0)
        return float(1.0 - unexplained.mean())


def quantile_loss(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    quantile: float = 0.5,
    sample_weight: ArrayLike | None = None,
) -> float:
    """Mean pinball loss, which predictions of a quantile minimize.

    ``q (y - p)`` where the true value y is above the prediction p, else ``(1 - q) (p - y)``.

    Parameters
    ----------
    y_true, y_pred, sample_weight
        As for `mse`.
    quantile : float
        The quantile q in (0, 1); 0.5 makes half the mean absolute error.

    Raises
    ------
    TypeError, ValueError
        As for `mse`, or the quantile is out of range.

    Notes
    -----
    R. Koenker, G. Bassett, "Regression quantiles", 1978.

    Examples
    --------
    >>> quantile_loss([1.0, 3.0], [2.0, 2.0], quantile=0.75)
    0.5
    """
    level = real("quantile", quantile, 0.0, 1.0, below=True)
    if level == 0.0:
        raise ValueError("quantile must be > 0, got 0.0")
    truth, predicted, weights = _pair(y_true, y_pred, sample_weight)
    with np.errstate(over="ignore", invalid="ignore"):
        above = truth - predicted
        return float(_means(np.maximum(level * above, (level - 1.0) * above), weights).mean())


def poisson_deviance(
    y_true: ArrayLike, y_pred: ArrayLike, *, sample_weight: ArrayLike | None = None
) -> float:
    """Mean deviance of counts from predicted rates, ``2 (y log(y / p) - y + p)``.

    It is infinite if a prediction is below 0 or infinite, or is 0 where the count is not.

    Parameters
    ----------
    y_true : array of shape (samples,) or (samples, targets)
        Counts, >= 0.
    y_pred : array of the same shape
        Predicted rates.
    sample_weight
        As for `mse`.

    Raises
    ------
    TypeError, ValueError
        As for `mse`, or a count is below 0.

    Examples
    --------
    >>> round(poisson_deviance([0.0, 2.0], [1.0, 2.0]), 4)
    1.0
    """
    truth, predicted, weights = _pair(y_true, y_pred, sample_weight)
    if truth.min() < 0:
        raise ValueError(f"y_true must hold counts >= 0, got {truth.min()}")
    with np.errstate(all="ignore"):
        ratio = truth / predicted
        usable = (truth > 0) & (predicted > 0) & np.isfinite(ratio)
        lost = truth * log(np.where(usable, ratio, 1.0))
        deviance = 2.0 * (lost - truth + predicted)
    # The formula would make a rate of a wrong sign a good one.
    impossible = (predicted < 0) | np.isinf(predicted) | ((truth > 0) & np.isinf(ratio))
    deviance = np.where(impossible, np.inf, deviance)
    return float(_means(deviance, weights).mean())


def coverage(
    y_true: ArrayLike,
    low: ArrayLike,
    high: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
) -> float:
    """Share of the true values that lie in their intervals, ends included.

    Of intervals between the quantiles 0.05 and 0.95 it should be 0.9. Neither more nor less is
    better, so that it is no metric with a name that could choose an epoch.

    Parameters
    ----------
    y_true, low, high : array of shape (samples,) or (samples, targets)
        True values, and the ends of the interval of each.
    sample_weight : array of shape (samples,), optional
        Weights >= 0 of the samples, not all 0.

    Returns
    -------
    float
        Of several targets the mean of their shares. An interval with an end that is NaN, or whose
        ends are in the wrong order, contains nothing.

    Raises
    ------
    TypeError, ValueError
        The shapes differ, or true values are not finite.

    Examples
    --------
    >>> coverage([1.0, 2.0, 3.0, 4.0], [0.0, 0.0, 0.0, 0.0], [3.0, 3.0, 3.0, 3.0])
    0.75
    """
    truth, lowest, weights = _pair(y_true, low, sample_weight, "low")
    _, highest, _ = _pair(y_true, high, None, "high")
    inside = (lowest <= truth) & (truth <= highest)
    return float(_means(inside.astype(np.float64), weights).mean())


def _pair(
    y_true: object, y_pred: object, sample_weight: ArrayLike | None, name: str = "y_pred"
) -> tuple[Floats, Floats, Floats | None]:
    """Return values of shape (samples, targets), and weights or None."""
    truth: Floats = finite_array("y_true", y_true, np.float64)
    predicted = np.asarray(y_pred, np.float64)
    if truth.ndim == 1:
        truth = truth[:, np.newaxis]
    if predicted.ndim == 1:
        predicted = predicted[:, np.newaxis]
    if truth.ndim != 2 or truth.size == 0:
        raise ValueError(
            f"y_true must have shape (samples,) or (samples, targets), none 0, got {truth.shape}"
        )
    if predicted.shape != truth.shape:
        raise ValueError(
            f"{name} must have the shape of y_true, {truth.shape}, got {predicted.shape}"
        )
    return truth, predicted, usable_weights(sample_weight, len(truth))


def _means(values: Floats, weights: Floats | None) -> Floats:
    """Return the mean of each column, in which samples with a weight of 0 do not count."""
    if weights is not None and not np.isfinite(values).all():
        values, weights = values[weights > 0], weights[weights > 0]
    return np.asarray(np.average(values, axis=0, weights=weights))


def _mean_squares(truth: Floats, predicted: Floats, weights: Floats | None) -> Floats:
    # The square of a very large residual overflows to infinity, which is the correct result.
    with np.errstate(over="ignore", invalid="ignore"):
        residuals = truth - predicted
        return _means(residuals * residuals, weights)

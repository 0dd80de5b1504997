"""Confidence intervals of metrics by the bootstrap."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp.metrics.classes import usable_weights
from fastmlp.metrics.registry import get_metric
from fastmlp.validation import integer, real

__all__ = ["BootstrapInterval", "bootstrap_interval"]

Floats = NDArray[np.float64]


class _Ends(NamedTuple):
    low: float
    high: float


class BootstrapInterval(_Ends):
    """A confidence interval, which is the pair (low, high).

    Attributes
    ----------
    low, high : float
        Ends of the interval; NaN if the measure is defined for no resample.
    undefined : int
        Number of resamples that were left out, for which the measure is not defined.

    Examples
    --------
    >>> from fastmlp.metrics import BootstrapInterval
    >>> interval = BootstrapInterval(0.86, 0.94, undefined=2)
    >>> low, high = interval
    >>> round(high - low, 2), interval.undefined
    (0.08, 2)
    """

    undefined: int

    def __new__(cls, low: float, high: float, undefined: int = 0) -> BootstrapInterval:
        """Make an interval."""
        interval = super().__new__(cls, low, high)
        interval.undefined = undefined
        return interval


def bootstrap_interval(
    name: str,
    task: str,
    y_true: ArrayLike,
    predictions: ArrayLike,
    *,
    probabilities: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> BootstrapInterval:
    """Compute a confidence interval of a metric for samples like these: the percentile bootstrap.

    Samples are drawn with replacement, with their weights, as many as there are; the interval is
    that of the central values of the metric over the resamples. It says how much the value depends
    on the choice of the samples, not on that of the training samples or the seed of the model.

    Parameters
    ----------
    name : str
        Name of the metric, as `get_metric` takes it.
    task, y_true, predictions, probabilities, sample_weight
        As for `measures`.
    confidence : float
        Probability in (0, 1) that the interval should contain the value of the population. It
        contains it a little more seldom if there are few samples.
    resamples : int
        Number of resamples, >= 1.
    seed : int
        Seed >= 0 of the random numbers. The same seed gives the same bits.

    Returns
    -------
    BootstrapInterval
        The pair (low, high); its attribute ``undefined`` is the number of resamples that were left
        out because the metric is not defined for them, as AUC for samples of one class.

    Raises
    ------
    TypeError, ValueError
        As for `measures`, or an argument is out of range.

    Notes
    -----
    B. Efron, R. J. Tibshirani, "An introduction to the bootstrap", 1993, section 13.3.

    Examples
    --------
    >>> import numpy as np
    >>> from fastmlp.metrics import bootstrap_interval
    >>> truth = np.arange(400) % 2
    >>> predicted = np.where(np.arange(400) < 40, 1 - truth, truth)
    >>> low, high = bootstrap_interval("accuracy", "classification", truth, predicted)
    >>> 0.86 < low < 0.9 < high < 0.94
    True
    """
    metric = get_metric(name)
    confidence = real("confidence", confidence, 0.0, 1.0, below=True)
    if confidence == 0.0:
        raise ValueError("confidence must be > 0, got 0.0")
    resamples = integer("resamples", resamples, 1)
    random = np.random.default_rng(integer("seed", seed, 0))
    given = metric.given(task, predictions, probabilities)
    if given is None:
        return BootstrapInterval(math.nan, math.nan, resamples)
    statistic = metric.statistic(task, y_true, given)
    statistic(sample_weight)  # raises where `measures` does
    count = len(np.asarray(y_true))
    weights = usable_weights(sample_weight, count)
    values = np.full(resamples, np.nan)
    for i in range(resamples):
        drawn = np.bincount(random.integers(0, count, count), minlength=count).astype(np.float64)
        if weights is not None:
            drawn *= weights
        if drawn.any():
            values[i] = statistic(drawn)
    return _percentiles(values[~np.isnan(values)], confidence, resamples)


def _percentiles(values: Floats, confidence: float, resamples: int) -> BootstrapInterval:
    """Return the ends of the central values, which are among the values and may be infinite."""
    count = len(values)
    if count == 0:
        return BootstrapInterval(math.nan, math.nan, resamples)
    # The rounding of 1 - confidence must not move an end to the next value.
    outside = math.floor((count + 1) * (1.0 - confidence) / 2.0 + 1e-9)
    place = max(1, outside)
    ordered = np.sort(values)
    return BootstrapInterval(
        float(ordered[place - 1]), float(ordered[count - place]), resamples - count
    )

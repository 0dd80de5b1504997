"""Intervals of means over the folds of a cross-validation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Score", "score_of", "t_quantile"]

_CONFIDENCE = 0.95
_MOST_TERMS = 10_000
_PRECISION = 1e-15


@dataclass(frozen=True)
class Score:
    """A measure over all folds.

    Attributes
    ----------
    mean : float
        Mean over the folds.
    std : float
        Standard deviation over the folds, with the divisor n - 1.
    low, high : float
        Ends of the 95 % interval of the mean.
    """

    mean: float
    std: float
    low: float
    high: float


def score_of(
    values: Sequence[float],
    test_share: float,
    bounds: tuple[float, float] = (-math.inf, math.inf),
) -> Score:
    """Return mean, deviation and 95 % interval of a measure over n >= 2 folds.

    Training parts of folds overlap, so that their values are correlated, and s / sqrt(n) is too
    small an error of the mean. The interval is that of Student's t with n - 1 degrees of freedom
    and the corrected variance ``(1 / n + test / train) s^2`` of C. Nadeau and Y. Bengio,
    Inference for the generalization error, Machine Learning 52, 2003.

    Parameters
    ----------
    values : sequence of float
        Values of the folds; if one is not finite, neither is the result.
    test_share : float
        Number of test samples by that of training samples, the mean over the folds.
    bounds : pair of float
        Lowest and highest value that the measure can have, at which the interval ends.
    """
    count = len(values)
    if not all(map(math.isfinite, values)):
        return Score(math.nan, math.nan, math.nan, math.nan)
    mean = math.fsum(values) / count
    variance = math.fsum((value - mean) ** 2 for value in values) / (count - 1)
    error = math.sqrt((1.0 / count + test_share) * variance)
    margin = t_quantile(0.5 + _CONFIDENCE / 2, count - 1) * error
    low, high = max(mean - margin, bounds[0]), min(mean + margin, bounds[1])
    return Score(mean, math.sqrt(variance), min(low, mean), max(high, mean))


def t_quantile(probability: float, freedom: int) -> float:
    """Return the quantile of Student's t for a probability in (0.5, 1)."""
    tail = 2.0 * (1.0 - probability)
    low, high = 0.0, 1.0
    while _two_tails(high, freedom) > tail:
        low, high = high, 2.0 * high
    middle = 0.5 * (low + high)
    while low < middle < high:
        if _two_tails(middle, freedom) > tail:
            low = middle
        else:
            high = middle
        middle = 0.5 * (low + high)
    return middle


def _two_tails(t: float, freedom: int) -> float:
    """Return the probability that the absolute value of Student's t is above `t`."""
    return _incomplete_beta(freedom / (freedom + t * t), 0.5 * freedom, 0.5)


def _incomplete_beta(x: float, a: float, b: float) -> float:
    """Return the regularized incomplete beta function for x in (0, 1]."""
    if x >= 1.0:
        return 1.0
    logarithm = (
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
        + a * math.log(x) + b * math.log1p(-x)
    )  # fmt: skip
    factor = math.exp(logarithm)
    if x < (a + 1.0) / (a + b + 2.0):
        return factor * _fraction(x, a, b) / a
    return 1.0 - factor * _fraction(1.0 - x, b, a) / b


def _fraction(x: float, a: float, b: float) -> float:
    """Return the continued fraction of the incomplete beta function, by Lentz's method."""
    tiny = 1e-300
    c, d = 1.0, 1.0 / _apart_from_0(1.0 - (a + b) * x / (a + 1.0), tiny)
    result = d
    for m in range(1, _MOST_TERMS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        change = 1.0
        for term in (even, odd):
            d = 1.0 / _apart_from_0(1.0 + term * d, tiny)
            c = _apart_from_0(1.0 + term / c, tiny)
            change = c * d
            result *= change
        if abs(change - 1.0) < _PRECISION:
            break
    return result


def _apart_from_0(value: float, tiny: float) -> float:
    return value if abs(value) > tiny else tiny

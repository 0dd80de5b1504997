"""The map of inputs to the quantiles of the standard normal distribution."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

__all__ = ["NormalMap"]

# Samples that a quantile stands for, and the numbers of quantiles, as TabM has them.
_SAMPLES_PER_QUANTILE = 30
_FEWEST_QUANTILES, _MOST_QUANTILES = 10, 1000
# Results are limited to the normal quantiles of this probability and of its complement.
_LEAST_PROBABILITY = 1e-7
# Distance of the results between which the map is linear, at most.
_STEP = 0.1
# Quantiles that are closer count as equal, so that no slope leaves the numbers that float64 has.
_CLOSEST = 1e-30

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class NormalMap:
    """Continuous, piecewise linear maps of columns to the standard normal distribution.

    A column is linear between neighboring quantiles and constant beyond the first and the last.

    Attributes
    ----------
    quantiles : float64 array of shape (columns, points)
        Quantiles of each column, strictly increasing. At least two.
    normal_quantiles : float64 array of shape (columns, points)
        What they are mapped to, not decreasing.
    """

    quantiles: Floats
    normal_quantiles: Floats

    @classmethod
    def of(cls, columns: Iterable[Floats]) -> NormalMap:
        """Learn the maps.

        Parameters
        ----------
        columns : iterable of float64 arrays of shape (samples,)
            Finite numbers, at least one. Their order is of no account.

        Notes
        -----
        One quantile stands for 30 samples, but there are 10 to 1000 of them. Between them the
        distribution function is linear, as in scikit-learn's QuantileTransformer. Its composition
        with the normal quantile function, which is not, is followed in steps of 0.1. Equal numbers
        are mapped to the middle of their probabilities, also at the ends.
        """
        found = [_map_of(column) for column in columns]
        points = max(2, max(len(quantiles) for quantiles, _ in found))
        padded = [_padded(*pair, points) for pair in found]
        return cls(np.stack([pair[0] for pair in padded]), np.stack([pair[1] for pair in padded]))

    def apply(self, x: Floats) -> Floats:
        """Return numbers of shape (samples, columns) mapped, of the same shape."""
        result = np.empty(x.shape)
        for at, (known, values) in enumerate(
            zip(self.quantiles, self.normal_quantiles, strict=True)
        ):
            # The exported files compute in this order, too.
            limited = np.minimum(np.maximum(x[:, at], known[0]), known[-1])
            low = np.searchsorted(known[1:-1], limited, side="right")
            with np.errstate(divide="ignore"):  # where the map is constant
                run = np.diff(known) / np.diff(values)
            result[:, at] = values[low] + (limited - known[low]) / run[low]
        return result

    def invert(self, values: Floats) -> Floats:
        """Return numbers of shape (samples, columns) that are mapped to these, where some are."""
        result = np.empty(values.shape)
        for at, (known, given) in enumerate(
            zip(self.quantiles, self.normal_quantiles, strict=True)
        ):
            distinct, first = np.unique(given, return_index=True)
            result[:, at] = np.interp(values[:, at], distinct, known[first])
        return result


def _map_of(column: Floats) -> tuple[Floats, Floats]:
    ordered = np.sort(column)
    count = max(len(column) // _SAMPLES_PER_QUANTILE, _FEWEST_QUANTILES)
    count = min(count, _MOST_QUANTILES, len(column))
    shares = np.linspace(0.0, 1.0, count)
    probabilities, normal = _points(count)
    known = np.interp(probabilities, shares, np.quantile(ordered, shares))
    # Interpolation rounds.
    known = np.maximum.accumulate(known)
    new = np.concatenate([[True], np.diff(known) > _CLOSEST])
    first = np.flatnonzero(new)
    last = np.append(first[1:], len(known)) - 1
    middle = 0.5 * (probabilities[first] + probabilities[last])
    return known[first], np.interp(middle, probabilities, normal)


@cache
def _points(count: int) -> tuple[Floats, Floats]:
    """Return the probabilities of that many quantiles and of steps, and their normal quantiles."""
    normal = NormalDist()
    end = -normal.inv_cdf(_LEAST_PROBABILITY)
    steps = np.linspace(-end, end, int(np.ceil(2 * end / _STEP)) + 1)
    inner = [normal.cdf(step) for step in steps[1:-1].tolist()]
    probabilities = np.union1d(np.linspace(0.0, 1.0, count), [0.0, *inner, 1.0])
    inside = np.clip(probabilities, _LEAST_PROBABILITY, 1 - _LEAST_PROBABILITY)
    values = np.array([normal.inv_cdf(p) for p in inside.tolist()])
    probabilities.flags.writeable = values.flags.writeable = False
    return probabilities, values


def _padded(quantiles: Floats, values: Floats, points: int) -> tuple[Floats, Floats]:
    """Return a map with further quantiles above the last, where it is constant."""
    more = np.arange(1.0, points - len(quantiles) + 1)
    last = quantiles[-1]
    return (
        np.append(quantiles, last + (1.0 + abs(last)) * more),
        np.append(values, np.full(len(more), values[-1])),
    )

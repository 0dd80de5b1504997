"""Centers and scales of inputs, learned from the training part, and their application."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["column_moments", "column_quartiles", "shared_deviation", "standardize"]

# Number of values in a block, few enough that its float64 copy stays in the cache.
_BLOCK = 1 << 17

# Number of values whose float64 copy is sorted at a time, unless one column has more.
_SORTED_BLOCK = 1 << 21
# A quartile distance below this share of the range counts as 0: values outside the quartiles would
# leave the numbers that float32 has.
_SMALLEST_SHARE = 1e-30

Floats = NDArray[np.float64]


def column_moments(x: NDArray[Any]) -> tuple[Floats, Floats]:
    """Return the mean and population standard deviation of each column, in float64.

    Parameters
    ----------
    x : array of shape (samples, features)
        Finite real numbers of any dtype, at least one sample.

    Returns
    -------
    mean, scale : float64 arrays of shape (features,)
        The scale of a column without variation is 1, and its mean is its value to the last bit.
        Both are infinite or NaN where the numbers are too large.

    Notes
    -----
    Two passes with the correction of T. F. Chan, G. H. Golub, R. J. LeVeque, "Algorithms for
    computing the sample variance", 1983, on deviations divided by the largest: squares neither
    overflow nor vanish.
    """
    count = len(x)
    low, high = x.min(axis=0).astype(np.float64), x.max(axis=0).astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        mean = sum(block.sum(axis=0) for _, block in _blocks(x)) / count
        constant = low == high
        mean = np.where(constant, low, mean)
        spread = np.where(constant, 1.0, np.maximum(high - mean, mean - low))
        total = np.zeros(x.shape[1])
        squares = np.zeros(x.shape[1])
        for _, block in _blocks(x):
            deviations = (block - mean) / spread
            total += deviations.sum(axis=0)
            squares += np.square(deviations).sum(axis=0)
        variance = np.maximum(squares - total * total / count, 0.0) / count
        scale = spread * np.sqrt(variance)
        mean = np.where(constant, mean, mean + spread * (total / count))
    scale[constant | (scale == 0)] = 1.0
    return mean, scale


def shared_deviation(x: NDArray[Any], scale: Floats) -> float:
    """Return the standard deviation of all values from the means of their columns.

    Parameters
    ----------
    x : array of shape (samples, features)
    scale : float64 array of shape (features,)
        Standard deviation of each column, as `column_moments` returns it.

    Returns
    -------
    float
        Root of the mean of the variances of the columns; 1 if no column varies.
    """
    deviations = np.where(x.min(axis=0) == x.max(axis=0), 0.0, scale)
    largest = float(deviations.max(initial=0.0))
    if largest == 0.0 or not np.isfinite(largest):
        return largest or 1.0
    return largest * float(np.sqrt(np.mean(np.square(deviations / largest))))


def column_quartiles(x: NDArray[Any]) -> tuple[Floats, Floats]:
    """Return the median of each column and the distance of its quartiles, in float64.

    Parameters
    ----------
    x : array of shape (samples, features)
        Finite real numbers of any dtype, at least one sample.

    Returns
    -------
    median, scale : float64 arrays of shape (features,)
        Quantiles are interpolated linearly between neighbors. The scale is half the range where the
        first and the third quartile are equal, as in a column of mostly one value; of a column
        without variation it is 1, and the median is its value to the last bit. Both are infinite or
        NaN where the numbers are too large.
    """
    count, features = x.shape
    median, scale = np.empty(features), np.empty(features)
    step = max(1, _SORTED_BLOCK // count)
    for start in range(0, features, step):
        columns = slice(start, min(start + step, features))
        # Columns become rows, because whole columns are sorted; the copy is sorted in place.
        values = np.array(x[:, columns].T, np.float64, order="C")
        low, high = values.min(axis=1), values.max(axis=1)
        with np.errstate(over="ignore", invalid="ignore"):
            first, middle, third = np.quantile(
                values, (0.25, 0.5, 0.75), axis=1, overwrite_input=True
            )
            distance, half = third - first, 0.5 * high - 0.5 * low
        narrow = distance <= _SMALLEST_SHARE * half
        distance = np.where(narrow, half, distance)
        median[columns] = np.where(low == high, low, middle)
        scale[columns] = np.where(distance == 0.0, 1.0, distance)
    return median, scale


def standardize(
    x: NDArray[Any],
    mean: Floats,
    scale: Floats,
    *,
    in_place: bool,
    then: Callable[[Floats], Floats] | None = None,
) -> NDArray[Any]:
    """Return ``(x - mean) / scale``, computed in float64 and rounded once.

    Parameters
    ----------
    x : array of shape (samples, features)
        Real numbers.
    mean, scale : float64 arrays of shape (features,)
        Center and scale of each column, such as mean and standard deviation.
    in_place : bool
        Whether to overwrite `x` if it has the dtype of the result.
    then : callable, optional
        Function that is applied to blocks of scaled rows before they are rounded.

    Returns
    -------
    array of shape (samples, features)
        float32 if `x` is float32 or bytes, else float64.
    """
    dtype = np.dtype(np.float32 if x.dtype in (np.float32, np.uint8) else np.float64)
    result = x if in_place and x.dtype == dtype else np.empty(x.shape, dtype)
    with np.errstate(over="ignore"):  # the network refuses infinite inputs
        for rows, block in _blocks(x):
            scaled = (block - mean) / scale
            result[rows] = scaled if then is None else then(scaled)
    return result


def _blocks(x: NDArray[Any]) -> Iterator[tuple[slice, Floats]]:
    step = max(1, _BLOCK // max(1, x.shape[1]))
    for start in range(0, len(x), step):
        rows = slice(start, start + step)
        yield rows, x[rows].astype(np.float64, copy=False)

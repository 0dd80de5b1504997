"""Elementwise functions of the core: exact values, arguments, and bounds of errors."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from support.strategies import DTYPES

# The promise.  Seen on these samples, float32 / float64: exp 1.02 / 0.95, log 0.75 / 0.77,
# tanh 2.11 / 2.39, sigmoid 2.46 / 2.24, log1p 0.83 / 0.80.
MAX_ULP = {"exp": 2, "log": 2, "tanh": 3, "sigmoid": 3, "log1p": 2}
# AS 241 PPND7 promises about 1e-7; float32 adds its roundings.  Largest over all 2^23 numbers that
# noise can draw: 3.70e-7 and 1.173e-7.
INVERSE_CDF_ERROR = {"float32": 4e-7, "float64": 1.2e-7}


def exact(name, x):
    x = x.astype(np.longdouble)
    with np.errstate(all="ignore"):
        if name == "sigmoid":
            e = np.exp(-np.abs(x))
            return np.where(x >= 0, 1 / (1 + e), np.where(np.isnan(x), x, e / (1 + e)))
        return getattr(np, name)(x)


def normal_density(x: NDArray[np.longdouble]) -> NDArray[np.longdouble]:
    """Return the normal density, with a square in two parts, as its rounding error would grow."""
    near = np.round(x * 16) / 16  # few bits: its square is exact
    root_two_pi = np.sqrt(8 * np.arctan(np.longdouble(1)))
    return np.exp(-near * near / 2) * np.exp(-(x - near) * (x + near) / 2) / root_two_pi


def exact_normal_cdf(x: NDArray[np.longdouble]) -> NDArray[np.longdouble]:
    """Return the normal distribution function, with a relative error of about 2^-59.

    It is a power series up to 2, and Laplace's continued fraction beyond.

    M. Abramowitz and I. Stegun, "Handbook of mathematical functions", 1964, 26.2.11 and 26.2.14.
    """
    size = np.minimum(np.abs(x), np.longdouble(200))  # where it underflows by far
    small, large = np.minimum(size, 2), np.maximum(size, 2)
    term = small
    series = small
    for k in range(1, 40):
        term = term * small**2 / (2 * k + 1)
        series = series + term
    fraction = large
    for k in range(200, 0, -1):
        fraction = large + k / fraction
    density = normal_density(size)
    upper = np.where(size < 2, 0.5 - density * series, density / fraction)
    return np.where(x < 0, upper, 1 - upper)


def normal_cdf_roundoffs(x: NDArray[np.longdouble]) -> NDArray[np.longdouble]:
    """Return the allowed relative error of the normal distribution function, in units of u.

    x / sqrt(2) carries a relative error of 2 u (the constant's and the product's), so e^(-x^2 / 2)
    one of 2 x^2 u.  The rest is measured: at most 4.1 u below zero, 2.9 u above.
    """
    return np.where(x < 0, 2 * np.maximum(x, -40) ** 2 + 6, 4)


def sample(dtype):
    """Return bit patterns a prime apart over the whole range, and dense ones near the bends."""
    dtype = np.dtype(dtype)
    unsigned = np.dtype(f"u{dtype.itemsize}")
    top = float(2 ** (8 * dtype.itemsize))
    stride = 40_009 if dtype.itemsize == 4 else 2**47 + 5
    count = int(top // stride)
    patterns = np.arange(count, dtype=np.uint64) * np.uint64(stride)
    everywhere = patterns.astype(unsigned).view(dtype)
    everywhere = everywhere[~np.isnan(everywhere)]
    edge = 104 if dtype.itemsize == 4 else 746
    rng = np.random.default_rng(0)
    dense = [rng.uniform(-r, r, 30_000) for r in (1e-3, 0.5, 2, 20, edge)]
    # Results of log near 1 and of exp near its overflow and underflow.
    dense += [rng.uniform(0.5, 2, 30_000), 1 + rng.uniform(-1e-4, 1e-4, 10_000)]
    high = np.log(float(np.finfo(dtype).max))
    dense += [rng.uniform(high - 1e-2, high + 1e-2, 5_000)]
    dense += [rng.uniform(-edge, 0.82 * -edge, 20_000)]
    return np.concatenate([everywhere, np.concatenate(dense).astype(dtype)])


SAMPLES = {name: sample(name) for name in DTYPES}

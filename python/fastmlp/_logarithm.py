"""A logarithm that is the same on every machine; NumPy's may depend on the CPU in its last bit."""

from __future__ import annotations

import math

import numpy as np
from numpy.polynomial.polynomial import polyval
from numpy.typing import NDArray

__all__ = ["fraction_of_log2", "log"]

Floats = NDArray[np.float64]

_LOG_2 = 0.6931471805599453
# Terms up to the power 23 of the argument of the area hyperbolic tangent, which is at most
# 3 - sqrt(8); the next one is below (3 - sqrt(8))**24 / 25 = 2e-20 of the sum.
_SERIES = [2.0 / (2 * k + 1) for k in range(12)]


def fraction_of_log2(x: Floats) -> Floats:
    """Compute the binary logarithm of x > 0 up to a whole number, in [0, 1).

    The absolute error is below 2**-52.
    """
    _, logarithm = _parts(x)
    fraction = logarithm / _LOG_2
    return np.where(fraction < 0.0, 1.0 + fraction, fraction)


def log(x: Floats) -> Floats:
    """Compute the natural logarithm of finite x > 0, with a relative error below 2**-50.

    Examples
    --------
    >>> import numpy as np
    >>> from fastmlp._logarithm import log
    >>> log(np.array([1.0, 10.0])).round(6).tolist()
    [0.0, 2.302585]
    """
    exponent, logarithm = _parts(x)
    return exponent * _LOG_2 + logarithm


def _parts(x: Floats) -> tuple[Floats, Floats]:
    """Return e and log(m) for x = 2**e m with m from sqrt(1/2) to sqrt(2)."""
    mantissa, exponent = np.frexp(x)  # the mantissa is in [1/2, 1)
    small = mantissa < math.sqrt(0.5)
    mantissa = np.where(small, 2.0 * mantissa, mantissa)
    part = (mantissa - 1.0) / (mantissa + 1.0)
    logarithm: Floats = part * polyval(part * part, _SERIES)
    return np.where(small, exponent - 1, exponent).astype(np.float64), logarithm

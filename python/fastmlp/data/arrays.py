"""Arrays of samples, checked."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.errors import FormatError

__all__ = ["plain_inputs", "refuse_non_finite"]


def plain_inputs(x: object) -> NDArray[Any]:
    """Samples as uint8, float32 or float64 (samples, features), without a copy where they are.

    Raises
    ------
    TypeError, ValueError
        `x` is not an array of real numbers of this shape.
    """
    array = np.asarray(x)
    if array.dtype.kind not in "buif":
        raise TypeError(f"x must be an array of real numbers, got dtype {array.dtype}")
    if array.ndim != 2 or array.size == 0:
        raise ValueError(f"x must have shape (samples, features), got {array.shape}")
    if array.dtype == np.uint8:
        return array
    single = array.dtype.kind == "f" and array.dtype.itemsize <= 4
    return array.astype(np.float32 if single else np.float64, copy=False)


def refuse_non_finite(x: NDArray[Any]) -> None:
    """Raise FormatError at the first NaN or infinity of an array of samples."""
    if x.dtype.kind != "f":
        return
    finite = np.isfinite(x)
    if not finite.all():
        row, column = np.unravel_index(int(np.argmin(finite)), x.shape)
        raise FormatError(f"x: must be finite, got {x[row, column]} at [{row}, {column}]")

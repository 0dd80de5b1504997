"""Checks of arguments: each returns the value as the core needs it or raises.

A message names the argument, the requirement and the value that was passed.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.ma import MaskedArray, is_masked

from fastmlp._scalars import choice, flag, integer, keep, real, shown

__all__ = [
    "choice",
    "class_targets",
    "core_array",
    "finite_array",
    "flag",
    "input_rows",
    "integer",
    "keep",
    "layer_sizes",
    "probability_targets",
    "require_usable_weights",
    "real",
    "require_fields_held",
    "require_held",
    "sample_weights",
    "shown",
    "thread_count",
    "value_targets",
]

_MOST_THREADS = 1024


def require_held(
    name: str,
    value: float,
    dtype: npt.DTypeLike,
    *,
    below_one: bool = False,
    vanishes: bool = False,
    cure: str = 'dtype="float64"',
) -> None:
    """Require that `dtype`, in which the core computes, can represent a checked number.

    The number must stay finite. It must not become 0, unless it is 0 or `vanishes`, and must not
    become 1 if it has to be `below_one`.

    Raises
    ------
    ValueError
        The dtype cannot represent the number; the message names the cure.
    """
    with np.errstate(over="ignore", under="ignore"):
        held = float(np.array(value, dtype))
    if not math.isfinite(held):
        wanted = "must be finite in"
    elif held == 0 and value != 0 and not vanishes:
        wanted = "must not be rounded to 0, as it is in"
    elif below_one and held >= 1:
        wanted = "must not be rounded to 1, as it is in"
    else:
        return
    name_of_type = np.dtype(dtype).name
    raise ValueError(f"{name} {wanted} {name_of_type}, got {value!r}; {cure} holds more numbers")


def require_fields_held(
    owner: Any, dtype: npt.DTypeLike, below_one: Iterable[str] = (), vanishing: Iterable[str] = ()
) -> None:
    """Apply `require_held` to all floats in the fields of a dataclass."""
    for field in dataclasses.fields(owner):
        name, value = field.name, getattr(owner, field.name)
        for item in value if isinstance(value, tuple) else (value,):
            if isinstance(item, float):
                require_held(
                    name, item, dtype, below_one=name in below_one, vanishes=name in vanishing
                )


def thread_count(threads: int | None, name: str = "threads") -> int:
    """Return the number of threads as the core takes it; 0 lets the core choose."""
    return 0 if threads is None else integer(name, threads, 1, _MOST_THREADS)


def layer_sizes(value: object) -> list[int]:
    """Return layer sizes as a list of at least two positive ints."""
    if isinstance(value, (str, bytes)) or not isinstance(value, (Sequence, np.ndarray)):
        raise TypeError(
            "layer_sizes must be a sequence of integers, "
            f"got {shown(value)} ({type(value).__name__})"
        )
    sizes = [integer(f"layer_sizes[{i}]", size, 1) for i, size in enumerate(value)]
    if len(sizes) < 2:
        raise ValueError(
            f"layer_sizes must have at least 2 entries (features and outputs), got {len(sizes)}"
        )
    return sizes


def _numeric(name: str, value: object) -> npt.NDArray[Any]:
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name} must be a rectangular array: {error}") from None
    if isinstance(value, MaskedArray) and is_masked(value):
        raise ValueError(f"{name} must not have masked elements")
    if array.dtype.kind not in "buif":
        came = "None" if value is None else f"dtype {array.dtype}"
        names = "; number the classes from 0" if array.dtype.kind in "UST" else ""
        raise TypeError(f"{name} must be an array of real numbers, got {came}{names}")
    return array


def core_array(array: npt.ArrayLike, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Return `array` in the form that the core reads: C-contiguous, aligned, native byte order.

    Every array that reaches the core goes through this function. A view into a buffer or a record
    may be unaligned, which `numpy.ascontiguousarray` does not change.
    """
    wanted = np.dtype(dtype).newbyteorder("=")
    result = np.asarray(array, dtype=wanted, order="C")
    return result if result.flags.aligned and result.flags.c_contiguous else result.copy("C")


def finite_array(name: str, value: object, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Return `value` as a C-contiguous array of `dtype` without NaN, infinity or overflow."""
    array = _numeric(name, value)
    with np.errstate(over="ignore"):
        converted = core_array(array, dtype)
    if array.dtype.kind == "f" and not np.isfinite(converted).all():
        where = np.unravel_index(int(np.argmin(np.isfinite(converted))), converted.shape)
        position = ", ".join(str(int(i)) for i in where)
        raise ValueError(
            f"{name} must be finite in {np.dtype(dtype).name}, got {array[where]} at [{position}]"
        )
    return converted


def input_rows(name: str, value: object, features: int, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Return samples as a C-contiguous array (n, features) of uint8 or else of `dtype`."""
    array = _numeric(name, value)
    if array.ndim != 2:
        raise ValueError(f"{name} must have 2 dimensions (samples, features), got {array.ndim}")
    if array.shape[0] == 0:
        raise ValueError(f"{name} must have at least one sample, got shape {array.shape}")
    if array.shape[1] != features:
        raise ValueError(
            f"{name} must have {features} features to match the model, got {array.shape[1]}"
        )
    if array.dtype == np.uint8:
        return core_array(array, np.uint8)
    return finite_array(name, value, dtype)


def _require_length(name: str, array: npt.NDArray[Any], samples: int) -> None:
    if array.shape[0] != samples:
        raise ValueError(
            f"{name} must have one entry per sample: {samples} needed, got {array.shape[0]}"
        )


def class_targets(name: str, value: object, samples: int, classes: int) -> npt.NDArray[np.int64]:
    """Return labels as int64 (samples,), each in 0..classes-1."""
    array = _numeric(name, value)
    if array.ndim != 1:
        raise ValueError(f"{name} must have 1 dimension (one label per sample), got {array.ndim}")
    _require_length(name, array, samples)
    if array.dtype.kind == "f" and not (np.isfinite(array) & (array == np.floor(array))).all():
        wrong = array[~(np.isfinite(array) & (array == np.floor(array)))][0]
        raise ValueError(f"{name} must hold integer labels, got {wrong}")
    low, high = array.min(), array.max()
    if low < 0 or high >= classes:
        raise ValueError(
            f"{name} must hold labels from 0 to {classes - 1}, got {low if low < 0 else high}"
        )
    return core_array(array, np.int64)


def value_targets(
    name: str, value: object, samples: int, outputs: int, dtype: npt.DTypeLike
) -> npt.NDArray[Any]:
    """Return targets as (samples, outputs) of `dtype`; one output may have one dimension."""
    array = finite_array(name, value, dtype)
    if array.ndim == 1 and outputs == 1:
        array = array.reshape(-1, 1)
    if array.ndim != 2 or array.shape[1] != outputs:
        raise ValueError(
            f"{name} must have shape (samples, {outputs}) for this loss, got {array.shape}"
        )
    _require_length(name, array, samples)
    return array


def probability_targets(
    name: str, value: object, samples: int, outputs: int, dtype: npt.DTypeLike
) -> npt.NDArray[Any]:
    """Return probabilities of the classes as (samples, outputs) of `dtype`, none negative."""
    array = value_targets(name, value, samples, outputs, dtype)
    if array.min() < 0:
        raise ValueError(f"{name} must hold probabilities, got {array.min()}")
    return array


def sample_weights(
    name: str, value: object, samples: int, dtype: npt.DTypeLike
) -> npt.NDArray[Any] | None:
    """Return one finite weight >= 0 per sample, of `dtype`; None stays None."""
    if value is None:
        return None
    array = finite_array(name, value, dtype)
    if array.shape != (samples,):
        raise ValueError(f"{name} must have shape ({samples},), got {array.shape}")
    if array.min() < 0 or not array.any():
        raise ValueError(f"{name} must be >= 0 and not all 0, got a minimum of {array.min()}")
    require_usable_weights(name, array)
    return array


def require_usable_weights(name: str, weights: npt.NDArray[Any]) -> None:
    """Require that the core can divide by the sum of any of the weights, which are >= 0."""
    least = float(np.finfo(weights.dtype).tiny)
    with np.errstate(over="ignore"):
        total = float(weights.sum(dtype=np.float64))
    smallest = float(weights.min(initial=np.inf, where=weights > 0))
    if not total <= 1 / least or smallest < least:
        raise ValueError(
            f"{name} must be 0 or at least {least:.3g} in {weights.dtype.name} and add up to at "
            f"most {1 / least:.3g}, got a minimum of {smallest:.3g} and a sum of {total:.3g}; "
            "divide all of them by their mean"
        )

"""Samples as the core takes them: row-major arrays, or compressed sparse rows that stay sparse."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fastmlp.validation import (
    finite_array,
    input_rows,
    real,
    require_held,
    require_usable_weights,
    shown,
)

__all__ = ["Rows", "class_weighted", "row_count", "samples"]

Array = npt.NDArray[Any]
# Row-major samples, or (elements, columns, row starts).
Rows: TypeAlias = "Array | tuple[Array, Array, Array]"


def samples(name: str, value: object, features: int, dtype: npt.DTypeLike) -> Rows:
    """Samples (n, features): uint8 kept, all else in `dtype`; sparse matrices of SciPy stay sparse.

    Raises
    ------
    TypeError, ValueError
        Not real numbers, not finite, or of another shape.
    """
    if not hasattr(value, "tocsr"):
        return input_rows(name, value, features, dtype)
    matrix: Any = value
    if len(matrix.shape) != 2 or matrix.shape[0] == 0 or matrix.shape[1] != features:
        raise ValueError(
            f"{name} must have {features} features to match the model and at least one sample, "
            f"got shape {tuple(matrix.shape)}"
        )
    rows = matrix.tocsr()
    if not rows.has_canonical_format:
        rows = rows.copy()
        rows.sum_duplicates()
    return (
        finite_array(name, rows.data, dtype),
        np.ascontiguousarray(rows.indices, dtype=np.int32),
        np.ascontiguousarray(rows.indptr, dtype=np.int64),
    )


def row_count(rows: Rows) -> int:
    """Number of samples."""
    return len(rows[2]) - 1 if isinstance(rows, tuple) else len(rows)


def class_weighted(
    weights: Array | None, class_weight: object, labels: Array, classes: int, dtype: npt.DTypeLike
) -> Array | None:
    """Weights of the samples times those of their classes.

    Parameters
    ----------
    weights : array of shape (samples,), optional
    class_weight : mapping of int to float, "balanced" or None
        Classes that a mapping does not name have weight 1; "balanced" gives class k the weight
        samples / (classes * samples of class k).
    labels : int64 array of shape (samples,)
    classes : int
    dtype : of the result

    Raises
    ------
    TypeError, ValueError
        `class_weight` is of another kind, or names a class that does not exist.
    """
    if class_weight is None:
        return weights
    factors = np.ones(classes)
    if isinstance(class_weight, Mapping):
        for label, factor in class_weight.items():
            known = isinstance(label, (int, np.integer)) and not isinstance(label, bool)
            if not known or not 0 <= label < classes:
                raise ValueError(
                    f"class_weight must name classes 0 to {classes - 1}, got {shown(label)}"
                )
            name = f"class_weight[{label}]"
            checked = real(name, factor, 0.0)
            require_held(name, checked, dtype)
            factors[label] = checked
    elif class_weight == "balanced":
        counts = np.bincount(labels, minlength=classes)
        factors = len(labels) / (classes * np.maximum(counts, 1))
    else:
        raise TypeError(f"class_weight must be a mapping or 'balanced', got {shown(class_weight)}")
    with np.errstate(over="ignore", under="ignore"):
        result: Array = factors.astype(dtype)[labels]
        if weights is not None:
            result = result * weights
    require_usable_weights("class_weight, times sample_weight,", result)
    return result

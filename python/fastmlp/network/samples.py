"""Samples in the form that the core takes: row-major arrays or compressed sparse rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fastmlp.data.moments import standardize
from fastmlp.validation import (
    column_names,
    core_array,
    finite_array,
    input_rows,
    real,
    require_held,
    require_usable_weights,
    shown,
)

__all__ = [
    "Data",
    "Rows",
    "StandardizedRows",
    "class_weighted",
    "column_names",
    "in_named_order",
    "require_sound_sparse",
    "row_count",
    "samples",
    "some_elements",
]

Array = npt.NDArray[Any]
_MOST_COLUMNS = 2**31 - 1
_PROBED = 1_000


@dataclass(frozen=True, eq=False)
class StandardizedRows:
    """Samples that the core standardizes while it reads them; indexed, an array of such samples.

    Attributes
    ----------
    rows : array of shape (samples, features)
        Samples as they were given.
    mean, deviation : float64 arrays of shape (features,)
    dtype : dtype
        Type of the network.
    """

    rows: Array
    mean: npt.NDArray[np.float64]
    deviation: npt.NDArray[np.float64]
    dtype: np.dtype[Any]

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of samples and of features."""
        return self.rows.shape

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, samples: Any) -> Array:
        rows = self.rows[samples]
        if self.dtype == np.float64:
            rows = rows.astype(np.float64)
        with np.errstate(over="ignore"):
            scaled = standardize(rows, self.mean, self.deviation, in_place=False)
            return np.ascontiguousarray(scaled, self.dtype)


# Row-major samples, or (elements, columns, row starts).
Rows: TypeAlias = "Array | StandardizedRows | tuple[Array, Array, Array]"


@dataclass(frozen=True)
class Data:
    """Checked samples with their targets, one array per loss, and their weights."""

    rows: Rows
    targets: list[Array]
    sample_weight: Array | None = None

    def __len__(self) -> int:
        return row_count(self.rows)

    @property
    def total_weight(self) -> float:
        """Sum of the weights, or the number of samples."""
        weights = self.sample_weight
        return float(len(self) if weights is None else weights.sum(dtype=np.float64))

    def in_double_precision(self) -> Data:
        """The same in float64; bytes and labels stay what they are."""
        rows, weights = self.rows, self.sample_weight
        return Data(
            (_doubled(rows[0]), *rows[1:]) if isinstance(rows, tuple) else _doubled(rows),
            [_doubled(targets) for targets in self.targets],
            None if weights is None else _doubled(weights),
        )


def _doubled(array: Any) -> Any:
    if isinstance(array, StandardizedRows):
        return replace(array, dtype=np.dtype(np.float64))
    return array.astype(np.float64) if array.dtype == np.float32 else array


def samples(
    name: str, value: object, features: int, dtype: npt.DTypeLike, *, one_pass: bool = False
) -> Rows:
    """Return samples (n, features) for a network of `dtype`; sparse matrices stay sparse.

    For `one_pass` arrays are neither converted nor looked at: the core does both as it reads them.

    Raises
    ------
    TypeError, ValueError
        `value` holds no real numbers, is not finite, or has another shape.
    """
    if not hasattr(value, "tocsr"):
        return input_rows(name, value, features, dtype, one_pass=one_pass)
    matrix: Any = value
    if len(matrix.shape) != 2 or matrix.shape[0] == 0 or matrix.shape[1] != features:
        raise ValueError(
            f"{name} must have {features} features to match the model and at least one sample, "
            f"got shape {tuple(matrix.shape)}"
        )
    require_sound_sparse(name, matrix)
    rows = matrix.tocsr()
    columns, starts = core_array(rows.indices, np.int64), core_array(rows.indptr, np.int64)
    if not _is_sorted(columns, starts):
        # SciPy caches whether indices are sorted; the cache may describe earlier indices.
        rows = type(rows)((rows.data.copy(), columns.copy(), starts.copy()), shape=rows.shape)
        rows.has_canonical_format = False
        rows.sum_duplicates()
        columns, starts = core_array(rows.indices, np.int64), core_array(rows.indptr, np.int64)
    stored = int(starts[-1])
    return (
        finite_array(name, rows.data[:stored], dtype),
        core_array(columns[:stored], np.int32),
        starts,
    )


def in_named_order(name: str, value: object, names: tuple[str, ...]) -> object:
    """Return samples with their columns in the order of `names`, if they have names themselves.

    Raises
    ------
    ValueError
        The columns have other names.
    """
    given = column_names(value)
    if given is None or given == names:
        return value
    missing = [known for known in names if known not in given]
    others = [other for other in given if other not in names]
    if missing or others or len(given) != len(names):
        lacks = f"lacks {missing[0]!r}" if missing else f"has {others[:1] or 'a column twice'}"
        raise ValueError(
            f"{name} must have the {len(names)} columns of the training, in any order; it {lacks}"
        )
    array = np.asarray(value)
    return array[:, [given.index(known) for known in names]]


def require_sound_sparse(name: str, matrix: Any) -> None:
    """Require that the indices of a sparse matrix lie within it, which SciPy does not check.

    Raises
    ------
    TypeError, ValueError
        The parts of the matrix do not fit together, or it holds no real numbers.
    """
    kind, (rows, columns) = getattr(matrix, "format", None), matrix.shape
    if max(rows, columns) > _MOST_COLUMNS:
        raise ValueError(f"{name} must have at most {_MOST_COLUMNS} rows and columns")
    if matrix.dtype.kind not in "buif":
        raise TypeError(f"{name} must be an array of real numbers, got dtype {matrix.dtype}")
    if kind in ("csr", "csc", "bsr"):
        height, width = (rows, columns) if kind != "csc" else (columns, rows)
        if kind == "bsr":
            height, width = rows // matrix.blocksize[0], columns // matrix.blocksize[1]
        _require_compressed(name, matrix, height, width)
    elif kind == "coo":
        for axis, (indices, size) in enumerate(
            ((matrix.row, rows), (matrix.col, columns)),
        ):
            _require_integers(name, ("row", "col")[axis], indices)
            if len(indices) != len(matrix.data):
                raise ValueError(f"{name} must have one index per stored value")
            _require_within(name, indices, size)


def _require_compressed(name: str, matrix: Any, height: int, width: int) -> None:
    starts, indices = matrix.indptr, matrix.indices
    _require_integers(name, "indptr", starts)
    _require_integers(name, "indices", indices)
    if len(starts) != height + 1 or starts[0] != 0 or (starts[1:] < starts[:-1]).any():
        raise ValueError(
            f"{name} must have row starts (indptr) that begin with 0 and ascend, one for each of "
            f"{height} rows and one more, got {len(starts)} from {starts[:1].tolist()}"
        )
    if starts[-1] > min(len(indices), len(matrix.data)):
        raise ValueError(
            f"{name} must store {starts[-1]} values, as its row starts (indptr) say, got "
            f"{len(matrix.data)} values and {len(indices)} indices"
        )
    _require_within(name, indices[: int(starts[-1])], width)


def _require_integers(name: str, what: str, indices: Any) -> None:
    if not isinstance(indices, np.ndarray) or indices.ndim != 1 or indices.dtype.kind not in "iu":
        kind = getattr(indices, "dtype", type(indices).__name__)
        raise TypeError(f"{name} must have a list of integers for its {what}, got {kind}")


def _require_within(name: str, indices: Array, size: int) -> None:
    if len(indices) and not (indices.min() >= 0 and indices.max() < size):
        wrong = indices.min() if indices.min() < 0 else indices.max()
        raise ValueError(f"{name} must have indices from 0 to {size - 1}, got {wrong}")


def _is_sorted(columns: Array, starts: Array) -> bool:
    """Whether the columns of each row are strictly ascending."""
    rises = columns[1:] > columns[:-1]
    first = starts[1:-1]
    rises[first[(first > 0) & (first < len(columns))] - 1] = True
    return bool(rises[: max(int(starts[-1]) - 1, 0)].all())


def row_count(rows: Rows) -> int:
    """Number of samples."""
    return len(rows[2]) - 1 if isinstance(rows, tuple) else len(rows)


def some_elements(rows: Rows) -> tuple[Array, ...]:
    """Return a few samples at equal distances, or elements of the parts of a sparse matrix."""
    parts = rows if isinstance(rows, tuple) else (rows,)
    return tuple(part[np.linspace(0, len(part) - 1, min(len(part), _PROBED)).astype(np.int64)]
                 for part in parts)  # fmt: skip


def class_weighted(
    weights: Array | None, class_weight: object, labels: Array, classes: int, dtype: npt.DTypeLike
) -> Array | None:
    """Multiply the weights of the samples by those of their classes.

    Parameters
    ----------
    weights : array of shape (samples,), optional
    class_weight : mapping of int to float, "balanced" or None
        A mapping gives the weights of classes, 1 if missing. "balanced" gives class k the weight
        samples / (classes * samples of class k).
    labels : int64 array of shape (samples,)
    classes : int
    dtype : dtype
        Type of the result.

    Raises
    ------
    TypeError, ValueError
        `class_weight` is of another type, or names a class that does not exist.
    """
    if class_weight is None:
        return weights
    factors = np.ones(classes)
    if isinstance(class_weight, Mapping):
        for label, factor in class_weight.items():
            known = isinstance(label, (int, np.integer)) and not isinstance(label, bool)
            if not known or not 0 <= label < classes:
                raise ValueError(
                    f"class_weight must name classes 0 to {classes - 1}, the labels in y, got "
                    f"{shown(label)}"
                )
            name = f"class_weight[{label}]"
            checked = real(name, factor, 0.0)
            require_held(name, checked, dtype)
            factors[label] = checked
    elif class_weight == "balanced":
        counts = np.bincount(labels, minlength=classes)
        factors = len(labels) / (classes * np.maximum(counts, 1))
    else:
        is_list = isinstance(class_weight, (list, tuple, np.ndarray))
        cure = "; dict(enumerate(class_weight)) is a mapping" if is_list else ""
        raise TypeError(
            f"class_weight must be a mapping or 'balanced', got {shown(class_weight)}{cure}"
        )
    with np.errstate(over="ignore", under="ignore"):
        result: Array = factors.astype(dtype)[labels]
        if weights is not None:
            result = result * weights
    require_usable_weights("class_weight, times sample_weight,", result)
    return result

"""Arrays of a caller, such as memory maps, that predictions are written to block by block."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from fastmlp.network.samples import Rows, StandardizedRows, row_count

__all__ = ["Destination", "blocks_of"]

Array = npt.NDArray[Any]
_BLOCK_BYTES = 4 << 20  # of samples
_FEWEST_ROWS = 256


class Destination:
    """Arrays that are filled with predictions, from the first row on.

    Parameters
    ----------
    out : array, or list of arrays with several losses
        Writable, C-contiguous, and apart from the samples. Their shape and dtype are those of the
        predictions, which the first ones tell.
    samples : int or None
        Number of samples, if it is known before they are read.

    Raises
    ------
    TypeError, ValueError
        An array cannot be written to, or has another number of rows.
    """

    def __init__(self, out: Any, samples: int | None) -> None:
        self._is_list = isinstance(out, (list, tuple))
        self._arrays: list[Array] = list(out) if self._is_list else [out]
        self._out = out
        self._filled = 0
        for name, array in self._named():
            if not isinstance(array, np.ndarray) or array.ndim == 0:
                raise TypeError(f"{name} must be a NumPy array, got {type(array).__name__}")
            if not array.flags.writeable:
                cure = '; numpy.load(path, mmap_mode="r+")' if _file_of(array) else ""
                raise ValueError(f"{name} must be writable, got a read-only array{cure}")
            if not array.flags.c_contiguous:
                raise ValueError(
                    f"{name} must be C-contiguous, got strides {array.strides} for shape "
                    f"{array.shape}; numpy.empty(shape, dtype) is"
                )
            if samples is not None and len(array) != samples:
                raise self._wrong_rows(name, len(array), f"of the {samples:,} samples")
        for number, array in enumerate(self._arrays):
            for earlier, other in enumerate(self._arrays[:number]):
                if np.may_share_memory(array, other) or _share_file(array, other):
                    raise ValueError(
                        f"out[{number}] must not share memory with out[{earlier}]; pass an array "
                        "for each loss"
                    )

    def require_apart(self, rows: Rows) -> None:
        """Raise ValueError if samples would be overwritten while they are read."""
        parts = rows if isinstance(rows, tuple) else (rows,)
        for part in parts:
            read = part.rows if isinstance(part, StandardizedRows) else part
            for name, array in self._named():
                if np.may_share_memory(array, read) or _share_file(array, read):
                    raise ValueError(
                        f"{name} must not share memory with x, which is read while it is written; "
                        "pass an array of its own"
                    )

    def write(self, predicted: Array | list[Array]) -> None:
        """Write the predictions of the next samples.

        Raises
        ------
        TypeError, ValueError
            They have another shape or dtype than the arrays, or more rows than these have left.
        """
        parts = predicted if isinstance(predicted, list) else [predicted]
        if isinstance(predicted, list) != self._is_list or len(parts) != len(self._arrays):
            wanted = (
                f"a list of {len(parts)} arrays" if isinstance(predicted, list) else "one array"
            )
            got = f"a list of {len(self._arrays)}" if self._is_list else "one"
            raise TypeError(f"out must be {wanted} for this model, got {got}")
        last = self._filled + len(parts[0])
        for (name, array), part in zip(self._named(), parts, strict=True):
            if array.dtype != part.dtype or array.shape[1:] != part.shape[1:]:
                sizes = ", ".join(map(str, ("samples", *part.shape[1:])))
                comma = "," * (part.ndim == 1)
                raise ValueError(
                    f"{name} must have dtype {part.dtype} and shape ({sizes}{comma}), got "
                    f"{array.dtype} and {array.shape}"
                )
            if last > len(array):
                raise self._wrong_rows(name, len(array), "of all samples, of which there are more")
            array[self._filled : last] = part
        self._filled = last

    def complete(self) -> Any:
        """Return what the caller passed, all rows of which must have been written."""
        for name, array in self._named():
            if self._filled != len(array):
                raise self._wrong_rows(name, len(array), f"of the {self._filled:,} samples")
        return self._out

    def _named(self) -> Iterator[tuple[str, Array]]:
        for at, array in enumerate(self._arrays):
            yield (f"out[{at}]" if self._is_list else "out"), array

    @staticmethod
    def _wrong_rows(name: str, rows: int, needed: str) -> ValueError:
        return ValueError(f"{name} must have one row for each {needed}, got {rows:,} rows")


def blocks_of(rows: Rows) -> Iterator[Rows]:
    """Yield some rows after the other, few enough that what is made of them takes little memory."""
    count = row_count(rows)
    first = rows[0] if isinstance(rows, tuple) else rows
    size = first.rows.nbytes if isinstance(first, StandardizedRows) else first.nbytes
    step = max(_FEWEST_ROWS, _BLOCK_BYTES * count // max(1, size))
    for start in range(0, count, step):
        stop = min(start + step, count)
        if isinstance(rows, tuple):
            elements, columns, starts = rows
            stored = slice(int(starts[start]), int(starts[stop]))
            own = starts[start : stop + 1] - starts[start]
            yield elements[stored], columns[stored], own
        elif isinstance(rows, StandardizedRows):
            part = rows.rows[start:stop]
            yield StandardizedRows(part, rows.mean, rows.deviation, rows.dtype)
        else:
            yield rows[start:stop]


def _file_of(array: Any) -> tuple[str, int, int] | None:
    """Return the file of a memory map and the first and last byte that an array has of it."""
    if not isinstance(array, np.ndarray):
        return None
    spans = [(n - 1) * stride for n, stride in zip(array.shape, array.strides, strict=True)]
    low = array.ctypes.data + sum(span for span in spans if span < 0)
    high = array.ctypes.data + sum(span for span in spans if span > 0) + array.itemsize
    while isinstance(array, np.ndarray):
        if isinstance(array, np.memmap) and isinstance(array.base, mmap.mmap):
            start = array.offset - array.ctypes.data
            return os.fspath(array.filename or ""), low + start, high + start
        array = array.base
    return None


def _share_file(one: Array, other: Array) -> bool:
    """Return whether two arrays are maps of the same bytes of a file."""
    mine, theirs = _file_of(one), _file_of(other)
    if mine is None or theirs is None or mine[2] <= theirs[1] or theirs[2] <= mine[1]:
        return False
    return os.path.exists(mine[0]) and os.path.samefile(mine[0], theirs[0])

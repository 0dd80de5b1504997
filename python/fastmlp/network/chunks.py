"""Chunks of a source, checked as samples of a network."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastmlp.errors import SourceError
from fastmlp.network.samples import Data
from fastmlp.streams import OneShot, Source, samples_of_chunk
from fastmlp.validation import bounded, integer

__all__ = ["Batch", "Chunks", "columns_of", "with_columns"]

Array = npt.NDArray[Any]
Check = Callable[..., Data]
_NO_BATCH = "must be (x, y) or (x, y, sample_weight)"


class Batch(NamedTuple):
    """A chunk as its source gave it, with NumPy arrays in place of tensors."""

    x: Any
    y: Any
    sample_weight: Any = None


@dataclass
class Chunks:
    """The chunks of a source as data for the core.

    Attributes
    ----------
    source : Source
    check : callable
        ``check(x, y, sample_weight, prefix=...)`` returns the data of a chunk, or raises an error
        that begins with the prefix.
    prefix : str
        What messages begin with.
    several : bool
        Whether ``y`` is a list with an array for each loss.
    """

    source: Source
    check: Check
    prefix: str = ""
    several: bool = False

    @property
    def name(self) -> str:
        """Name of the source for messages."""
        return f"{self.prefix}{self.source.name}"

    @property
    def samples(self) -> int | None:
        """Number of samples of the source, if it says it."""
        count = self._guarded(0, getattr, self.source, "samples")
        return None if count is None else integer(f"{self.name}: samples", count, 0)

    def head(self, rows: int) -> Batch:
        """Return the first rows of the source: so many, or all that there are.

        Raises
        ------
        ValueError
            The source has no samples.
        SourceError
            The source fails.
        """
        taken: list[Any] = []
        batches: list[Batch] = []
        first: list[Array] = []
        items = self._items(None)
        try:
            for number, item in items:
                taken.append(item)
                batch = self._batch(number, item)
                if len(batch.x):
                    columns = columns_of(self._checked(number, batch))
                    first = first or columns
                    self._like(number, columns, first)
                    batches.append(batch)
                if sum(len(one.x) for one in batches) >= rows:
                    break
                # The source may write its next chunk into the memory of this one.
                batch = Batch(*map(_copied, batch))
                taken[-1] = tuple(part for part in batch if part is not None)
                if len(batch.x):
                    batches[-1] = batch
        finally:
            items.close()
            if isinstance(self.source, OneShot):
                self.source.put_back(taken)
        if not batches:
            raise ValueError(f"{self.name} has no samples")
        return Batch(*(_joined(parts, rows) for parts in zip(*batches, strict=True)))

    def data(self, order: Iterable[int] | None = None) -> Iterator[Data]:
        """Iterate over the data of the chunks, without empty ones.

        Parameters
        ----------
        order : iterable of int, optional
            Numbers of the chunks, for a source with random access; by default they come in the
            order of the source.

        Raises
        ------
        TypeError, ValueError
            A chunk cannot be used; the message names source, chunk and row.
        SourceError
            The source fails.
        """
        first: Data | None = None
        for number, item in self._items(order):
            batch = self._batch(number, item)
            if len(batch.x) == 0:
                continue
            checked = self._checked(number, batch)
            first = checked if first is None else first
            yield with_columns(first, self._like(number, columns_of(checked), columns_of(first)))

    def samples_alone(self) -> Iterator[tuple[str, Any]]:
        """Iterate over the samples of the chunks, each with what messages call it.

        A chunk may be the samples themselves, or begin with them.
        """
        for number, item in self._items(None):
            x = _on_cpu(samples_of_chunk(item))
            if not hasattr(x, "__len__") or len(x):
                yield f"{self.name}, chunk {number}: x", x

    def _items(self, order: Iterable[int] | None) -> Generator[tuple[int, Any], None, None]:
        if order is None and self.source.chunks is not None:
            order = range(self.source.chunks)
        end = object()
        if order is not None:
            for number in order:
                pieces = self._guarded(number, self.source.pieces, number)
                while (piece := self._guarded(number, next, pieces, end)) is not end:
                    yield number, piece
            return
        iterator = self._guarded(0, iter, self.source)
        try:
            number = 0
            while (item := self._guarded(number, next, iterator, end)) is not end:
                yield number, item
                number += 1
        finally:
            if not self.source.is_one_shot and hasattr(iterator, "close"):
                iterator.close()

    def _guarded(self, number: int, call: Callable[..., Any], *args: Any) -> Any:
        """Call the source; an error of it becomes one that names it."""
        try:
            return call(*args)
        except Exception as error:
            raise SourceError(
                f"{self.name}, chunk {number}: {type(error).__name__}: {error}"
            ) from error

    def _batch(self, number: int, item: Any) -> Batch:
        prefix = f"{self.name}, chunk {number}"
        if not isinstance(item, (tuple, list)) or len(item) not in (2, 3):
            kind = (
                f"{type(item).__name__} of {len(item)}"
                if isinstance(item, (tuple, list))
                else (type(item).__name__)
            )
            raise TypeError(f"{prefix} {_NO_BATCH}, got a {kind}")
        x, y, *weights = map(_on_cpu, item)
        each_loss = self.several and isinstance(y, (list, tuple))
        batch = Batch(
            _array(x),
            [_array(part) for part in y] if each_loss else _array(y),
            *map(_array, weights),
        )
        if not hasattr(batch.x, "__len__") or getattr(batch.x, "ndim", 1) == 0:
            raise TypeError(
                f"{prefix}: x must be an array of samples, got {type(item[0]).__name__}"
            )
        return batch

    def _checked(self, number: int, batch: Batch) -> Data:
        prefix = f"{self.name}, chunk {number}: "
        try:
            return self.check(*batch, prefix=prefix)
        except (TypeError, ValueError) as error:
            row = None if " at [" in str(error) else self._wrong_row(batch)
            if row is None:
                raise
            raise type(error)(f"{error}; in row {row} of the chunk") from None

    def _wrong_row(self, batch: Batch) -> int | None:
        """Return the first row that is refused, if there are rows that are not."""
        try:
            x, y, weights = (None if part is None else np.asarray(bounded(part)) for part in batch)
            assert x is not None
            assert y is not None
            if len({len(part) for part in (x, y, weights) if part is not None}) > 1:
                return None
        except (TypeError, ValueError, AssertionError):
            return None

        def is_refused(first: int, last: int) -> bool:
            rows = slice(first, last)
            try:
                self.check(x[rows], y[rows], None if weights is None else weights[rows], prefix="")
            except (TypeError, ValueError):
                return True
            return False

        low, high = 0, len(x)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if is_refused(low, middle) else (middle, high)
        accepts = any(not is_refused(i, i + 1) for i in (0, len(x) - 1))
        return low if accepts and is_refused(low, high) else None

    def _like(self, number: int, columns: list[Array], first: list[Array]) -> list[Array]:
        """Return columns of the types of the first chunk, or raise."""
        prefix = f"{self.name}, chunk {number}"
        if len(columns) != len(first):
            came, needed = ("without", "with") if len(columns) < len(first) else ("with", "without")
            raise ValueError(
                f"{prefix} comes {came} sample_weight, and the first chunk {needed} it; give all "
                "chunks weights, or none"
            )
        if columns[0].dtype != first[0].dtype and first[0].dtype == np.uint8:
            raise ValueError(
                f"{prefix} has x of {columns[0].dtype}, and the first chunk of uint8; convert all "
                "chunks to one type"
            )
        for mine, wanted in zip(columns[1:], first[1:], strict=True):
            if mine.dtype != wanted.dtype or mine.shape[1:] != wanted.shape[1:]:
                raise ValueError(
                    f"{prefix} has y of {mine.dtype} with shape {mine.shape}, and the first chunk "
                    f"of {wanted.dtype} with shape {wanted.shape}; give all targets in one form"
                )
        return [
            mine.astype(wanted.dtype, copy=False)
            for mine, wanted in zip(columns, first, strict=True)
        ]


def columns_of(data: Data) -> list[Array]:
    """Return samples, targets and weights: all that has a row for each sample."""
    assert isinstance(data.rows, np.ndarray)
    return [data.rows, *data.targets, *([] if data.sample_weight is None else [data.sample_weight])]


def with_columns(data: Data, columns: list[Array]) -> Data:
    """Return data of the form of `data`, with other columns."""
    if data.sample_weight is None:
        return Data(columns[0], columns[1:])
    return Data(columns[0], columns[1:-1], columns[-1])


def _on_cpu(part: Any) -> Any:
    """Return an array in place of a tensor of PyTorch, and of a sparse matrix."""
    if hasattr(part, "detach") and hasattr(part, "cpu"):
        return part.detach().cpu().numpy()
    if hasattr(part, "tocsr"):
        return part.toarray()
    if isinstance(part, (list, tuple)) and any(hasattr(p, "detach") for p in part):
        return [_on_cpu(p) for p in part]
    return part


def _array(part: Any) -> Any:
    """Return the array of a list; what makes none is for the check to refuse."""
    try:
        return np.asarray(bounded(part)) if isinstance(part, (list, tuple)) else part
    except (TypeError, ValueError):
        return part


def _copied(part: Any) -> Any:
    """Return a copy of an array, or of each of a list."""
    if isinstance(part, (list, tuple)):
        return [_copied(each) for each in part]
    return None if part is None else np.array(bounded(part))


def _joined(parts: Sequence[Any], rows: int) -> Any:
    """Return the first rows of arrays, or of lists with an array for each loss."""
    if any(part is None for part in parts):
        return None
    if isinstance(parts[0], list):
        return [_joined(each, rows) for each in zip(*parts, strict=True)]
    return np.concatenate([np.asarray(bounded(part)) for part in parts])[:rows]

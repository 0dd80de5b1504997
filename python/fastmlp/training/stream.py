"""Data of a training that a source gives chunk by chunk; in memory is what the next steps need.

To the core an epoch is one array of all samples, as it is without a source. Only the pages of it
that hold samples of the next steps exist: a thread reads and shuffles chunks, `Reading` writes them
where they belong, and gives pages back to the system after the steps that needed them.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fastmlp import _core
from fastmlp._addresses import Addresses
from fastmlp.network.architecture import Architecture
from fastmlp.network.chunks import Chunks, columns_of, with_columns
from fastmlp.network.samples import Data
from fastmlp.schedules import Schedule
from fastmlp.training.continuation import Planned
from fastmlp.training.read_ahead import ReadAhead
from fastmlp.validation import integer

__all__ = [
    "UNKNOWN",
    "Reading",
    "Stream",
    "default_buffer",
    "require_no_length",
    "require_readable_order",
    "samples_of_epoch",
    "shuffled",
]

Array = npt.NDArray[Any]
# Samples of an epoch that no source has: their number is found in the first epoch.
UNKNOWN = 1 << 40
_MOST_ADDRESSES = 1 << 40  # bytes of an array of unknown length
_FEWEST_ADDRESSES = 1 << 30
_BUFFER_BYTES = 64 << 20
_COPIED_BYTES = 4 << 20
_COMPARED = 10_000  # steps
_LENGTH = "it says, had in the first epoch, or would have if all chunks but the last had one size"
_LENGTH_CURE = (
    "; an attribute samples tells the number, and without a number, lambda: iter(source) is read "
    "to its end"
)
_PARTS = 16  # of the shuffle buffer, in which samples leave it


@dataclass(frozen=True)
class Stream:
    """Samples of a source, and how an epoch reads them.

    Attributes
    ----------
    chunks : Chunks
    seed : int
        Of the network.
    limit : bool
        Whether the epoch ends after the planned samples, also if the source has more.
    divides_evenly : bool
        Whether batches of an epoch have nearly equal sizes (batch normalization).
    """

    chunks: Chunks
    seed: int
    limit: bool
    divides_evenly: bool

    def read(self, planned: Planned, epoch: int, first_step: int) -> Reading:
        """Begin to read an epoch, from a step on; the result is a context manager."""
        blocks = ReadAhead(self._blocks(planned, epoch))
        return Reading(self, planned, epoch, first_step, blocks)

    def _blocks(self, planned: Planned, epoch: int) -> Generator[Data, None, None]:
        """Yield the samples of an epoch in the order of the training."""
        if not planned.shuffle:
            yield from _copied(self.chunks.data())
            return
        seeds = np.random.SeedSequence([self.seed, epoch]).generate_state(2, np.uint64)
        count = self.chunks.source.chunks
        order = None if count is None else _core.permutation(count, int(seeds[0]), 0).tolist()
        yield from shuffled(self.chunks.data(order), planned.shuffle_buffer, int(seeds[1]))


def _copied(chunks: Iterator[Data]) -> Generator[Data, None, None]:
    """Yield copies of the samples of chunks, in blocks.

    A source may write its next chunk into the memory of the one before, which is still read then.
    """
    for data in chunks:
        columns = columns_of(data)
        row_bytes = sum(column.nbytes for column in columns) // max(len(data), 1)
        rows = max(1, _COPIED_BYTES // max(row_bytes, 1))
        for first in range(0, len(data), rows):
            part = slice(first, first + rows)
            yield with_columns(data, [column[part].copy() for column in columns])
        del data, columns


def shuffled(chunks: Iterator[Data], buffer_size: int, seed: int) -> Generator[Data, None, None]:
    """Yield the samples of chunks in an order drawn by `seed`, in blocks.

    A buffer holds `buffer_size` samples. Once it is full, each further sample takes the place of
    one that leaves: all places in a drawn order, then all of them again in another. The order
    depends on the positions of samples alone, not on how chunks are cut.

    Source of the idea: the shuffle buffers of tf.data and WebDataset, which draw every place anew.
    """
    buffer: list[Array] = []  # of each column, whose rows are items
    form: Data | None = None
    part = -(-buffer_size // _PARTS)
    filled, rounds = 0, 0
    places: Array = np.empty(0, np.int64)  # that are left of this round
    for data in chunks:
        form, columns = data, [_items(column) for column in columns_of(data)]
        if not buffer:
            buffer = [np.empty(buffer_size, column.dtype) for column in columns]
        start = 0
        while start < len(data):
            if filled < buffer_size:
                rows = slice(start, min(len(data), start + buffer_size - filled))
                taken = rows.stop - rows.start
                for held, column in zip(buffer, columns, strict=True):
                    held[filled : filled + taken] = column[rows]
                filled += taken
            else:
                if not len(places):
                    places = _core.permutation(buffer_size, seed, rounds)
                    rounds += 1
                now = places[: min(part, len(data) - start)]
                places = places[len(now) :]
                rows = slice(start, start + len(now))
                leaving = _taken(data, buffer, now)
                for held, column in zip(buffer, columns, strict=True):
                    np.put(held, now, column[rows])
                yield leaving
            start = rows.stop
        del data, columns
    if form is None:
        return
    places = _core.permutation(filled, seed, rounds)
    for first in range(0, filled, part):
        yield _taken(form, buffer, places[first : first + part])


def _items(column: Array) -> Array:
    """Return an array with one item for each row, which NumPy moves much faster than rows."""
    rows = np.ascontiguousarray(column).reshape(len(column), -1)
    items: Array = rows.view(np.dtype((np.void, rows.itemsize * rows.shape[1])))[:, 0]
    return items


def _taken(form: Data, buffer: list[Array], places: Array) -> Data:
    """Return the samples at some places of a buffer, as arrays of the form of `form`."""
    columns = [
        held.take(places).view(column.dtype).reshape(len(places), *column.shape[1:])
        for held, column in zip(buffer, columns_of(form), strict=True)
    ]
    return with_columns(form, columns)


def samples_of_epoch(
    chunks: Chunks, batch_size: int, steps_per_epoch: int | None, resumed: Planned | None
) -> int:
    """Return the number of samples of an epoch, which may be `UNKNOWN`.

    Parameters
    ----------
    chunks, batch_size, steps_per_epoch
        As in `MLP.fit`.
    resumed : Planned, optional
        Plan of the training that is resumed; the length that its first epoch found counts.

    Raises
    ------
    ValueError
        The source has fewer samples than `steps_per_epoch` needs.
    """
    known = chunks.samples
    found = UNKNOWN if resumed is None or known is not None else resumed.samples
    samples = found if known is None else known
    if steps_per_epoch is None:
        return samples
    most = integer("steps_per_epoch", steps_per_epoch, 1, UNKNOWN // batch_size) * batch_size
    if known is not None and known <= most - batch_size:
        raise ValueError(
            f"steps_per_epoch must be at most {-(-known // batch_size):,}, the steps of the "
            f"{known:,} samples of {chunks.name}, got {steps_per_epoch:,}"
        )
    return min(samples, most) if samples > most - batch_size else most


def default_buffer(head: Data, batch_size: int, steps_per_epoch: int | None) -> int:
    """Return the number of samples like these that fill 64 MiB, or of the steps of an epoch."""
    size = sum(column[:1].nbytes for column in columns_of(head))
    fitting = max(batch_size, _BUFFER_BYTES // max(1, size))
    return fitting if steps_per_epoch is None else min(fitting, steps_per_epoch * batch_size)


def require_no_length(*schedules: object) -> None:
    """Raise ValueError if the values of a schedule depend on the length of an epoch."""
    for schedule in schedules:
        if isinstance(schedule, Schedule) and not np.array_equal(
            schedule.rates(0, _COMPARED, 7, 100), schedule.rates(0, _COMPARED, 11, 100)
        ):
            raise ValueError(
                f"{type(schedule).__name__} depends on the steps of an epoch, and the source does "
                "not say its number of samples; pass steps_per_epoch"
            )


def require_readable_order(architecture: Architecture, planned: Planned) -> None:
    """Raise ValueError if the batches of a network cannot be read from a source."""
    if any(architecture.batch_normalization) and planned.samples == UNKNOWN:
        raise ValueError(
            "batch normalization divides the samples of an epoch evenly, and the source does not "
            "say their number; pass steps_per_epoch"
        )
    if architecture.members > 1 and architecture.own_batches and planned.shuffle:
        raise ValueError(
            "own_batches needs all samples at once to draw them for each member, got a source; "
            "pass x and y, or shuffle=False, with which all members have the same batches"
        )


class Reading:
    """An epoch while it is read; a context manager, at whose end its thread has ended.

    Parameters
    ----------
    stream : Stream
    planned : Planned
    epoch : int
        From 0.
    first_step : int
        Step from which on samples are needed.
    blocks : ReadAhead
        Samples in their order.
    """

    def __init__(
        self,
        stream: Stream,
        planned: Planned,
        epoch: int,
        first_step: int,
        blocks: ReadAhead[Data],
    ) -> None:
        self.planned = planned
        self._stream = stream
        self._epoch = epoch
        self._blocks = blocks
        self._form: Data | None = None
        self._columns: list[_Pages] = []
        self._read = 0  # samples
        self._needed = self._start(first_step)  # the first one that is
        self._has_ended = False

    def __enter__(self) -> Reading:
        return self

    def __exit__(self, *_: object) -> None:
        self._blocks.close()
        self._columns = []

    def steps_from(self, step: int) -> int:
        """Return how many steps from this one on can be computed; waits until it is one.

        Returns 0 if the epoch has no such step, which `planned` says from then on.
        """
        while not self._has_ended and (self._steps() <= step or self._read == self.planned.samples):
            self._take()
        return max(0, self._steps() - step)

    def data(self, steps: int) -> Data:
        """Return the samples of the epoch up to a step; those before the needed ones are 0."""
        assert self._form is not None
        count = self._read
        if self._stream.divides_evenly:
            count = self.planned.samples
        elif not self._has_ended:
            count = steps * self.planned.batch_size
        return with_columns(self._form, [pages.array[:count] for pages in self._columns])

    def release(self, step: int) -> None:
        """Give back the memory of the samples before a step."""
        for pages in self._columns:
            pages.release(self._start(step))

    def _steps(self) -> int:
        """Number of steps whose samples have been read."""
        if self._has_ended:
            return self.planned.steps_per_epoch
        if not self._is_even:
            return self._read // self.planned.batch_size
        size, larger = divmod(self.planned.samples, self.planned.steps_per_epoch)
        of_larger = self._read // (size + 1)
        return of_larger if of_larger < larger else (self._read - larger) // size

    def _start(self, step: int) -> int:
        """First sample of a step, as the core divides an epoch."""
        if not self._is_even:
            return min(step * self.planned.batch_size, self.planned.samples)
        size, larger = divmod(self.planned.samples, self.planned.steps_per_epoch)
        return step * size + min(step, larger)

    @property
    def _is_even(self) -> bool:
        return self._stream.divides_evenly and not self.planned.drop_last

    def _take(self) -> None:
        """Wait for a block, and write it to its place."""
        block = next(self._blocks, None)
        if block is None:
            self._end()
            return
        left = self.planned.samples - self._read
        if len(block) > left and not self._stream.limit:
            raise ValueError(
                f"{self._stream.chunks.name} must have {self.planned.samples:,} samples, as "
                f"{_LENGTH}; it has more in epoch {self._epoch + 1}{_LENGTH_CURE}"
            )
        first, last = self._read, self._read + min(len(block), left)
        skipped = min(max(self._needed - first, 0), last - first)
        columns = columns_of(block)
        if not self._columns:
            self._form = block
            self._columns = [_Pages(column, self.planned.samples) for column in columns]
        for pages, column in zip(self._columns, columns, strict=True):
            pages.write(first + skipped, column[skipped : last - first])
        self._read = last
        if last == self.planned.samples and self._stream.limit:
            self._has_ended = True

    def _end(self) -> None:
        """The source has no more samples."""
        name, planned = self._stream.chunks.name, self.planned
        if self._read == 0:
            raise ValueError(f"{name} has no samples")
        found = replace(planned, samples=self._read)
        limited = self._stream.limit and found.steps_per_epoch == planned.steps_per_epoch
        if self._read < planned.samples and planned.samples != UNKNOWN and not limited:
            needed, cure = f"{planned.samples:,} samples, as {_LENGTH}", _LENGTH_CURE
            if self._stream.limit:
                needed = f"samples for the {planned.steps_per_epoch:,} steps of steps_per_epoch"
                cure = ""
            raise ValueError(
                f"{name} must have {needed}; it ended after {self._read:,} in epoch "
                f"{self._epoch + 1}{cure}"
            )
        if found.steps_per_epoch == 0:
            raise ValueError(
                f"{name} must fill a batch with drop_last, got {self._read:,} samples and "
                f"batch_size {planned.batch_size:,}"
            )
        self.planned = found
        self._has_ended = True


class _Pages:
    """An array with a row for each sample of an epoch, of which written pages alone exist.

    Parameters
    ----------
    like : array
        Whose type and shape of rows it has.
    rows : int
        Number of rows, or `UNKNOWN`.
    """

    def __init__(self, like: Array, rows: int) -> None:
        self._row_bytes = max(1, like[:1].nbytes)
        self._addresses, rows = self._reserved(rows)
        shape = (rows, *like.shape[1:])
        count = rows * (like[:1].size)
        flat = np.frombuffer(self._addresses.buffer, like.dtype, count=count)
        self.array: Array = flat.reshape(shape)

    def _reserved(self, rows: int) -> tuple[Addresses, int]:
        size = min(rows, max(1, _MOST_ADDRESSES // self._row_bytes))
        if rows != UNKNOWN:
            size = rows
        while True:
            try:
                return Addresses(size * self._row_bytes), size
            except (OSError, OverflowError, ValueError) as error:
                if rows != UNKNOWN or size * self._row_bytes <= _FEWEST_ADDRESSES:
                    raise MemoryError(
                        f"an epoch of {rows:,} samples needs {size * self._row_bytes:,} bytes of "
                        f"addresses, not of memory, and the system refuses them: {error}"
                    ) from None
                size //= 2

    def write(self, first: int, rows: Array) -> None:
        if first + len(rows) > len(self.array):
            raise MemoryError(
                f"an epoch of unknown length has at most {len(self.array):,} samples here; pass "
                "steps_per_epoch"
            )
        self._addresses.use(first * self._row_bytes, (first + len(rows)) * self._row_bytes)
        self.array[first : first + len(rows)] = rows

    def release(self, row: int) -> None:
        """Give back the memory of the rows before this one."""
        self._addresses.release(row * self._row_bytes)

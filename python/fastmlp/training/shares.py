"""Samples of a training of which every shard has its own, and every process those of its shards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastmlp import _core
from fastmlp._cached_property import cached_property
from fastmlp.network.samples import Data, some_elements
from fastmlp.network.standardization import LOOKED_AT
from fastmlp.training.continuation import Planned
from fastmlp.training.processes import Group, Shards, digest, even_share
from fastmlp.validation import integer

__all__ = ["Given", "Share", "rows_of_rank"]

Array = npt.NDArray[Any]


def rows_of_rank(samples: int, *, batch_size: int, shards: int, communicator: Any = None) -> slice:
    """Return which of all samples a process passes to ``MLP.fit(..., own_samples=True)``.

    Parameters
    ----------
    samples : int
        Number of samples of all processes.
    batch_size, shards : int
        As in `MLP.fit`.
    communicator : mpi4py.MPI.Comm, optional
        Processes that train together; by default this one alone.

    Returns
    -------
    slice
        Of the samples: those of the shards of this process.

    Raises
    ------
    TypeError, ValueError
        An argument is out of range.

    Examples
    --------
    >>> import fastmlp
    >>> fastmlp.rows_of_rank(1000, batch_size=64, shards=4)
    slice(0, 1000, None)
    """
    samples = integer("samples", samples, 1)
    batch_size = min(integer("batch_size", batch_size, 1), samples)
    rank, size = 0, 1
    if communicator is not None:
        group = Group(communicator)
        rank, size = group.rank, group.size
    shards = integer("shards", shards, size)
    if shards > batch_size:
        raise ValueError(f"shards must be at most batch_size, {batch_size}, got {shards}")
    first, last = even_share(shards, rank, size)
    start, end = (rows_of_shard(samples, batch_size, shards, s) for s in (first, last - 1))
    return slice(start.start, end.stop)


def rows_of_shard(samples: int, batch_size: int, shards: int, shard: int) -> slice:
    """Return which samples a shard has: as many as it has rows in all batches of an epoch.

    The shards have contiguous parts of the samples, in their order.
    """
    whole, rest = divmod(samples, batch_size)
    (first, last), (begin, end) = (even_share(n, shard, shards) for n in (batch_size, rest))
    return slice(whole * first + begin, whole * last + end)


@dataclass(frozen=True)
class Given:
    """Samples, targets and weights as a user gave those of the shards of this process.

    Attributes
    ----------
    x, y, sample_weight : object
        As in `MLP.fit`.
    several : bool
        Whether `y` is a list of targets.
    group : Group or None
        Processes that train together.
    """

    x: Any
    y: Any
    sample_weight: Any
    several: bool
    group: Group | None

    @cached_property
    def all_samples(self) -> int:
        """Number of samples of all processes."""
        counts = [self._samples] if self.group is None else self.group.gathered(self._samples)
        return sum(counts)

    @property
    def _samples(self) -> int:
        return int(self.x.shape[0]) if hasattr(self.x, "shape") else len(self.x)

    def head(self, batch_size: int, shards: int) -> tuple[Any, Any, Any]:
        """Return the first samples of the first shard, at most 2,000, in every process.

        Raises
        ------
        ValueError
            This process does not have the samples of its shards.
        """
        own = Shards(shards, self.group)
        begin, end = (
            rows_of_shard(self.all_samples, batch_size, shards, shard)
            for shard in (own.begin, own.end - 1)
        )
        needed = end.stop - begin.start
        if self._samples != needed:
            raise ValueError(
                f"x must have the {needed:,} samples of shards {own.begin} to {own.end - 1} with "
                f"own_samples, of {self.all_samples:,} in all processes, got {self._samples:,}; "
                "fastmlp.rows_of_rank() tells which"
            )
        if self.sample_weight is not None:
            counts = bool(np.any(np.asarray(self.sample_weight) != 0))
            if not any([counts] if self.group is None else self.group.gathered(counts)):
                raise ValueError("sample_weight must be >= 0 and not all 0 in all processes")
        count = min(rows_of_shard(self.all_samples, batch_size, shards, 0).stop, LOOKED_AT)
        if self.group is None:
            return self._first(count)
        is_first = self.group.is_first
        x, y, weight = self.group.of_first(lambda: self._first(count) if is_first else (None,) * 3)
        return x, y, weight

    def _first(self, rows: int) -> tuple[Any, Any, Any]:
        y = [_first(each, rows) for each in self.y] if self.several else _first(self.y, rows)
        weight = None if self.sample_weight is None else _first(self.sample_weight, rows)
        if weight is not None and not np.any(np.asarray(weight) != 0):
            weight = None  # samples of a part may all have no weight
        return _first(self.x, rows), y, weight


def _first(part: Any, rows: int) -> Any:
    # A copy, because a part of a mapped file cannot be sent.
    return np.array(part[:rows]) if isinstance(part, np.ndarray) else part[:rows]


@dataclass(frozen=True)
class Share:
    """The samples of the shards of this process.

    A shard takes its rows of every batch from its own samples, in an order that the seed draws
    anew for each shard and epoch. So no process needs a sample of another, and which samples a
    batch has does not depend on the number of processes.

    Attributes
    ----------
    data : Data
        Samples of the shards, one shard after the other.
    seed : int
        Of the network.
    shards : Shards
    group : Group or None
        Processes that train together.
    """

    data: Data
    seed: int
    shards: Shards
    group: Group | None

    @property
    def kinds(self) -> str:
        """Types and shapes that the samples of all processes must have alike."""
        rows, weights = self.data.rows, self.data.sample_weight
        kinds = [str(rows[0].dtype if isinstance(rows, tuple) else rows.dtype)]
        kinds += [f"{targets.dtype}{list(targets.shape[1:])}" for targets in self.data.targets]
        return ", ".join([*kinds, "unweighted" if weights is None else "weighted"])

    def require_distinct(self) -> None:
        """Raise ValueError, in every process, if two have the same samples and targets.

        As elsewhere, up to 1,000 of the samples are compared.
        """
        if self.group is None:
            return
        ranks: dict[str, int] = {}
        own = digest(*some_elements(self.data.rows), *self.data.targets)
        for rank, other in enumerate(self.group.gathered(own)):
            if other in ranks:
                raise ValueError(
                    f"x and y are the same on ranks {ranks[other]} and {rank}; with own_samples "
                    "each passes x[rows] and y[rows] of its shards, with "
                    "rows = fastmlp.rows_of_rank(len(x), batch_size=, shards=, communicator=); "
                    "shuffle samples that repeat before you divide them"
                )
            ranks[other] = rank

    def places(self, planned: Planned, epoch: int) -> dict[str, Any]:
        """Return arguments of `Run.epoch`: order of the samples, and weights of the batches."""
        order = self._order(planned, epoch)
        weights = self.data.sample_weight
        sums = None if weights is None else self._batch_weights(planned, weights[order])
        return {"order": order, "batch_weights": sums, "all_samples": planned.samples}

    def _order(self, planned: Planned, epoch: int) -> npt.NDArray[np.int64]:
        """Return the samples of this process in the order of the batches."""
        order = np.empty(len(self.data), np.int64)
        start = self._rows(planned, self.shards.begin).start
        columns = self._columns(planned, order)
        for shard, (whole, rest) in zip(
            range(self.shards.begin, self.shards.end), columns, strict=True
        ):
            rows = self._rows(planned, shard)
            count = rows.stop - rows.start
            drawn: Array = np.arange(count)
            if planned.shuffle:
                seed = np.random.SeedSequence([self.seed, shard]).generate_state(1, np.uint64)
                drawn = _core.permutation(count, int(seed[0]), epoch)
            drawn = drawn + (rows.start - start)
            whole[:] = drawn[: whole.size].reshape(whole.shape)
            rest[:] = drawn[whole.size :]
        return order

    def _batch_weights(self, planned: Planned, weights: Array) -> npt.NDArray[np.float64]:
        """Return the total weight of each batch; every shard is summed by the process that has it.

        Parameters
        ----------
        weights : array
            Of the samples of this process in the order of the batches.
        """
        sums = [
            np.append(whole.sum(axis=1, dtype=np.float64), rest.sum(dtype=np.float64))
            for whole, rest in self._columns(planned, weights)
        ]
        told = [sums] if self.group is None else self.group.gathered(sums)
        of_shards = np.ascontiguousarray(np.stack([shard for own in told for shard in own], axis=1))
        total: npt.NDArray[np.float64] = of_shards.sum(axis=1)[: planned.steps_per_epoch]
        return total

    def _columns(self, planned: Planned, ordered: Array) -> Sequence[tuple[Array, Array]]:
        """Return views of each shard: its rows of whole batches, and of the smaller last one.

        Parameters
        ----------
        ordered : array
            Of the samples of this process in the order of the batches.
        """
        count, last = divmod(planned.samples, planned.batch_size)
        ranges = [
            [even_share(rows, shard, planned.shards) for shard in self.shards.own]
            for rows in (planned.batch_size, last)
        ]
        (first, width), (first_of_last, _) = ((own[0][0], own[-1][1] - own[0][0]) for own in ranges)
        whole = ordered[: count * width].reshape(count, width)
        rest = ordered[count * width :]
        return [
            (
                whole[:, begin - first : end - first],
                rest[low - first_of_last : high - first_of_last],
            )
            for (begin, end), (low, high) in zip(*ranges, strict=True)
        ]

    def _rows(self, planned: Planned, shard: int) -> slice:
        return rows_of_shard(planned.samples, planned.batch_size, planned.shards, shard)

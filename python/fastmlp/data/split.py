"""Random splits of samples into two parts, reproducible from a seed."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from fastmlp.validation import integer, real

__all__ = ["is_drawn", "split"]

_PURPOSE = int.from_bytes(b"split", "big")

Indices = NDArray[np.int64]


def split(
    count: int,
    labels: NDArray[np.int64] | None,
    fraction: float,
    seed: int,
    *,
    draw: int = 0,
) -> tuple[Indices, Indices]:
    """Draw a part of the samples without replacement.

    Parameters
    ----------
    count : int
        Number of samples, at least 1.
    labels : int64 array of shape (count,), optional
        Classes, counted from 0. If given, the part holds each class in its share of all samples, by
        the method of largest remainders, and at least one sample of each class stays in the rest.
    fraction : float
        Share of the samples to draw, in [0, 1). At least one sample is drawn, unless `fraction` is
        0 or no sample can be spared.
    seed : int
        Seed of NumPy's PCG64. The same arguments give the same split on every machine and with
        every version of NumPy.
    draw : int
        Number of the draw; draws of different numbers are independent. A draw from the rest of
        another one needs another number: with equal random numbers it would tend to spare the
        same samples.

    Returns
    -------
    rest, part : int64 arrays
        Positions in ascending order; every position from 0 to count - 1 is in one of them.

    Raises
    ------
    TypeError, ValueError
        An argument is of the wrong type or out of range.
    """
    count = integer("count", count, 1)
    fraction = real("fraction", fraction, 0.0, 1.0, below=True)
    seed = integer("seed", seed, 0)
    if labels is not None and labels.shape != (count,):
        raise ValueError(f"labels must have shape ({count},), got {labels.shape}")
    groups = np.zeros(count, np.int64) if labels is None else labels
    sizes = np.bincount(groups)
    drawn = np.zeros(count, bool)
    if fraction:
        wanted = max(1, math.floor(fraction * count + 0.5))
        keys = _keys(0, count, seed, integer("draw", draw, 0))
        drawn = _smallest(keys, groups, sizes, _quotas(sizes, wanted))
    return np.flatnonzero(~drawn), np.flatnonzero(drawn)


def is_drawn(
    start: int, stop: int, fraction: float, seed: int, *, draw: int = 0
) -> NDArray[np.bool_]:
    """Draw each of some consecutive samples with the same probability.

    Parameters
    ----------
    start, stop : int
        Position of the first sample, and of the one after the last.
    fraction : float
        Probability in [0, 1].
    seed, draw : int
        As in `split`.

    Returns
    -------
    bool array of shape (stop - start,)
        Whether each sample is drawn, which depends on its position, seed and draw alone.
    """
    if fraction >= 1.0:
        return np.ones(stop - start, bool)
    drawn: NDArray[np.bool_] = _keys(start, stop, seed, draw) < np.uint64(fraction * 2.0**64)
    return drawn


def _keys(start: int, stop: int, seed: int, draw: int) -> NDArray[np.uint64]:
    """Return a random number for each position, from a part of the stream for a seed and a draw."""
    # NumPy guarantees the stream of a bit generator, not that of a permutation. _PURPOSE makes
    # the stream differ from that of the seed alone, from which the samples may be computed.
    generator = np.random.PCG64([_PURPOSE, draw, seed])
    return generator.advance(start).random_raw(stop - start)


def _quotas(sizes: Indices, wanted: int) -> Indices:
    """Share out `wanted` samples among groups, leaving at least one sample in each group."""
    spare = np.maximum(sizes - 1, 0)
    wanted = min(wanted, int(spare.sum()))
    whole, remainders = np.divmod(wanted * sizes, sizes.sum())
    quotas = np.minimum(whole, spare)
    # Of groups with equal remainders the larger one comes first.
    order = np.lexsort((-sizes, -remainders))
    missing = wanted - int(quotas.sum())
    while missing:
        open_groups = order[quotas[order] < spare[order]][:missing]
        quotas[open_groups] += 1
        missing -= len(open_groups)
    return quotas


def _smallest(
    keys: NDArray[np.uint64], groups: Indices, sizes: Indices, quotas: Indices
) -> NDArray[np.bool_]:
    """Return a mask of the samples with the smallest keys, in each group as many as its quota."""
    order = np.lexsort((keys, groups))
    starts = np.cumsum(sizes) - sizes
    rank = np.arange(len(groups)) - np.repeat(starts, sizes)
    marked = np.zeros(len(groups), bool)
    marked[order] = rank < np.repeat(quotas, sizes)
    return marked

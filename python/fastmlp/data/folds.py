"""Folds of a cross-validation: random, by groups of samples, or by time; from a seed alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.data.cells import NUMBER_MISSING, as_texts, missing_cells, read_dates, trimmed
from fastmlp.data.columns import NumberColumn
from fastmlp.data.options import Options
from fastmlp.data.schema import kind_of
from fastmlp.data.table import Problems, Table
from fastmlp.errors import did_you_mean
from fastmlp.validation import integer

__all__ = [
    "group_codes",
    "grouped_folds",
    "random_folds",
    "require_column",
    "time_blocks",
    "time_values",
]

_PURPOSE = int.from_bytes(b"folds", "big")

Indices = NDArray[np.int64]
Floats = NDArray[np.float64]


# ---------------------------------------------------------------- divisions


def random_folds(
    count: int, labels: Indices | None, folds: int, seed: int, *, draw: int = 0
) -> Indices:
    """Return the fold of each sample, from 0, drawn at random.

    Sizes of folds differ by one sample at most, and so do the numbers of samples of each class.

    Parameters
    ----------
    count : int
        Number of samples.
    labels : int64 array of shape (count,), optional
        Classes counted from 0, which each fold holds in equal numbers.
    folds : int
        Number of folds, from 2 to `count`.
    seed : int
        Seed of NumPy's PCG64; the same arguments give the same folds on every machine.
    draw : int
        Number of the repeat; draws of different numbers are independent.
    """
    folds = integer("folds", folds, 2)
    if count < folds:
        raise ValueError(f"folds must be at most {count}, the number of samples, got {folds}")
    keys = _generator(seed, draw).random_raw(count)
    by_class = np.zeros(count, np.int64) if labels is None else labels
    order = np.lexsort((keys, by_class))
    assigned = np.empty(count, np.int64)
    # Dealing goes on from class to class, so that the sizes of the folds are equal too.
    assigned[order] = np.arange(count) % folds
    return assigned


def grouped_folds(
    groups: Indices, labels: Indices | None, folds: int, seed: int, *, draw: int = 0
) -> Indices:
    """Return the fold of each sample, from 0; all samples of a group are in one fold.

    Groups go, the largest first and equal ones in random order, where the sum of the squared
    shares of each class grows least. Without `labels` that is the fold with the fewest samples.

    Parameters
    ----------
    groups : int64 array of shape (samples,)
        Groups counted from 0.
    labels, folds, seed, draw
        As for `random_folds`; `folds` is at most the number of groups.
    """
    folds = integer("folds", folds, 2)
    sizes = np.bincount(groups)
    if len(sizes) < folds:
        raise ValueError(f"folds must be at most {len(sizes)}, the number of groups, got {folds}")
    classes = np.zeros(len(groups), np.int64) if labels is None else labels
    width = int(classes.max()) + 1
    counts = np.bincount(groups * width + classes, minlength=len(sizes) * width)
    counts = counts.reshape(len(sizes), width)
    shares = counts / np.maximum(counts.sum(axis=0), 1)
    keys = _generator(seed, draw).random_raw(len(sizes))
    held = np.zeros((folds, width))
    filled = np.zeros(folds, np.int64)
    fold_of_group = np.empty(len(sizes), np.int64)
    for group in np.lexsort((keys, -sizes)).tolist():
        growth = held @ shares[group]
        # Of folds that are alike for the classes, the one with the fewest samples is taken.
        fold = int(np.lexsort((filled, growth))[0])
        fold_of_group[group] = fold
        held[fold] += shares[group]
        filled[fold] += sizes[group]
    return fold_of_group[groups]


def time_blocks(times: Floats, folds: int) -> Indices:
    """Return the block of each sample in the order of time, from 0 to `folds`.

    Fold i is tested on block i + 1 and trained on all blocks before it. Blocks are as nearly equal
    as samples of the same time, which stay together, permit.

    Parameters
    ----------
    times : float64 array of shape (samples,)
        Times, in any unit.
    folds : int
        Number of folds, at least 2 and less than the number of different times.
    """
    folds = integer("folds", folds, 2)
    distinct, position = np.unique(times, return_inverse=True)
    if len(distinct) <= folds:
        raise ValueError(
            f"folds must be less than {len(distinct)}, the number of different times, got {folds}"
        )
    # Before each of these positions of the ordered samples a block may begin.
    starts = np.cumsum(np.bincount(position))[:-1]
    cuts: list[int] = []
    for cut in range(folds):
        wanted = (cut + 1) * len(times) / (folds + 1)
        lowest = cuts[-1] + 1 if cuts else 0
        highest = len(starts) - (folds - cut)
        nearest = int(np.argmin(np.abs(starts - wanted)))
        cuts.append(min(max(nearest, lowest), highest))
    return np.searchsorted(np.array(cuts), position.reshape(-1), side="left").astype(np.int64)


def _generator(seed: int, draw: int) -> np.random.PCG64:
    # The stream differs from that of the seed alone and from that of `split`.
    return np.random.PCG64([_PURPOSE, integer("draw", draw, 0), integer("seed", seed, 0)])


# ---------------------------------------------------------------- columns


def group_codes(table: Table, name: str, options: Options) -> Indices:
    """Return the group of each row, counted from 0 in the order of their first rows.

    Cells belong to the same group if they are written alike, apart from blanks around them.

    Raises
    ------
    ValueError
        The table has no such column.
    FormatError
        A row has no group.
    """
    cells = require_column(table, "group", name)
    problems = Problems(table)
    problems.add(missing_cells(cells, options.missing_token), name, "lacks a group")
    if len(problems):
        raise problems.error(["each row needs the group that it belongs to"])
    texts = trimmed(as_texts(cells))
    _, first, codes = np.unique(texts.to_numpy(), return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[codes.reshape(-1)]


def time_values(table: Table, name: str, options: Options) -> Floats:
    """Return the time of each row: the number of the column, or seconds since 1970 of its dates.

    Cells are read as those of a feature: formats of dates and numbers are recognized, or named
    with --date and --decimal.

    Raises
    ------
    ValueError
        The table has no such column, or the column holds neither dates nor numbers.
    FormatError
        A row has no time.
    """
    cells = require_column(table, "time", name)
    found = kind_of(name, cells, options)
    tokens = (*options.missing_token, *NUMBER_MISSING)
    if found.kind == "date":
        dates = read_dates(cells, found.date_format, tokens)
        values, missing, bad = dates.seconds, dates.missing, dates.bad
    elif found.kind in ("number", "identifier", "constant"):
        numbers = NumberColumn(name, found.format, tokens).read(cells)
        values, missing, bad = numbers.values, numbers.missing, numbers.bad
    else:
        detail = found.detail or f"holds values of kind {found.kind}"
        cure = "" if found.kind == "unclear" else f'; --date "{name}=%d.%m.%Y" names a format'
        raise ValueError(
            f"time must name a column of dates or numbers, got {name!r}, which {detail}{cure}"
        )
    problems = Problems(table)
    problems.add(missing, name, "lacks a time")
    problems.add(bad & ~missing, name, "the time must be a date or a number, got {}")
    if len(problems):
        raise problems.error(["each row needs its place in the order of time"])
    return np.asarray(values, np.float64)


def require_column(table: Table, what: str, name: str) -> Any:
    """Return the cells of a column that an argument names; raise ValueError if there is none."""
    if name not in table.columns:
        raise ValueError(
            f"{what} must name a column of {table.origin}, got {name!r}"
            f"{did_you_mean(name, table.names)} (they are {', '.join(table.names)})"
        )
    return table.columns[name]

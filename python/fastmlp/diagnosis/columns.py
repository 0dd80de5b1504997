"""Checks of the inputs and of the columns that they come from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from fastmlp._system import quoted
from fastmlp.diagnosis.evidence import Evidence
from fastmlp.diagnosis.finding import Finding
from fastmlp.network.samples import StandardizedRows

__all__ = ["constant_columns", "input_scale", "leaking_columns"]

Findings = Iterator[Finding]
Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

# Inputs whose root mean square is above or whose largest number is below.
_LARGE_INPUT, _SMALL_INPUT = 10.0, 0.05
_LEAK, _LEAK_OF_NAMES = 0.98, 0.9
_FEW_VALUES = 0.05  # different values of a column, by the samples
_FEWEST_OTHERS = 20  # samples that are not of the most frequent class
_FEWEST_FEATURES = 3
_MOST_COLUMNS = 50  # of a table; more are often pixels
_MOST_SORTED = 500


def input_scale(evidence: Evidence) -> Findings:
    """Inputs far from unit scale."""
    inputs = evidence.inputs
    if inputs is None:
        return
    with np.errstate(over="ignore"):
        sizes = np.sqrt(np.mean(np.square(inputs), axis=0))
    largest = float(np.abs(inputs).max())
    column = int(sizes.argmax())
    cure = "leave input_scale out, which standardizes inputs that need it"
    if evidence.network.standardization is not None:
        cure = "samples of the scale of the first fit, or a new network"
    cures = (cure, "--standardize")
    if sizes[column] > _LARGE_INPUT:
        named = _named(evidence, column)
        yield Finding(
            "input-scale", "warning",
            f"inputs are far from unit scale: {named} has a root mean square of "
            f"{sizes[column]:.3g}",
            *cures,
        )  # fmt: skip
    elif 0 < largest < _SMALL_INPUT:
        yield Finding(
            "input-scale", "warning",
            f"inputs are far from unit scale: the largest number is {largest:.2g}", *cures,
        )  # fmt: skip


def leaking_columns(evidence: Evidence) -> Findings:
    """One of several columns tells the target alone."""
    rows, targets = evidence.train.rows, evidence.train.targets[0]
    if len(evidence.network.architecture.losses) > 1 or isinstance(rows, tuple):
        return
    columns = rows.shape[1]
    if evidence.sample is None or not _FEWEST_FEATURES <= columns <= _MOST_COLUMNS:
        return
    places = np.linspace(0, len(rows) - 1, min(len(rows), _MOST_SORTED)).astype(np.int64)
    some = np.asarray(rows[places], np.float64)
    told = _told_by_columns(some, targets[places], evidence.task)
    leaks = np.flatnonzero(told >= 1.0)
    if 0 < len(leaks) <= max(1, columns // 5):
        named = ", ".join(_named(evidence, int(column)) for column in leaks[:3])
        names = [_name(evidence, int(column)) for column in leaks[:3]]
        yield Finding(
            "leaking-columns", "warning",
            f"{named} alone {'tells' if len(leaks) == 1 else 'tell'} nearly all targets, and may "
            "not be known when predicting",
            "leave the column out of x if it is made from the target",
            " ".join(f"--exclude {quoted(name)}" for name in names),
        )  # fmt: skip


def _told_by_columns(rows: Floats, targets: Array, task: str) -> Floats:
    """Return how much of the targets each column tells, by what is suspicious: 1 or more."""
    count, columns = rows.shape
    if targets.ndim > 1 and targets.shape[1] > 1:
        return np.zeros(columns)
    flat = targets.reshape(count)
    if task == "regression":
        centered = rows - rows.mean(axis=0)
        goal = flat.astype(np.float64)
        goal -= goal.mean()
        spread = np.sqrt((centered**2).sum(axis=0) * (goal @ goal))
        with np.errstate(invalid="ignore", divide="ignore"):
            told: Floats = np.nan_to_num((goal @ centered) ** 2 / spread**2)
        return told / _LEAK
    classes = np.unique(flat, return_inverse=True)[1]
    counts = np.bincount(classes)
    others = count - int(counts.max())
    if others < _FEWEST_OTHERS:
        return np.zeros(columns)
    order = np.argsort(rows, axis=0, kind="stable")
    ordered, values = classes[order], np.take_along_axis(rows, order, axis=0)
    apart = values[1:] != values[:-1]
    different = np.count_nonzero(apart, axis=0)
    mixed = np.zeros(columns)
    for column in np.flatnonzero(different < count - 1):
        mixed[column] = _mixed(ordered[:, column], apart[:, column])
    # Of neighbors with different values, those that belong to one class.
    changes = np.count_nonzero((ordered[1:] != ordered[:-1]) & apart, axis=0)
    expected = count * (1 - ((counts / count) ** 2).sum())
    missing = np.maximum(0, changes - int((counts > 0).sum()) + 1) + mixed
    is_name = different < _FEW_VALUES * count  # or flag: order means nothing
    told = (1 - missing / expected) / _LEAK
    told[is_name] = (1 - mixed[is_name] / others) / _LEAK_OF_NAMES
    return told


def _mixed(ordered: Array, apart: Array) -> float:
    """Return the number of samples that equal values of a column leave undecided."""
    group = np.cumsum(np.r_[False, apart])
    groups, classes = int(group[-1]) + 1, int(ordered.max()) + 1
    table = np.bincount(group * classes + ordered, minlength=groups * classes)
    return float(len(ordered) - table.reshape(groups, classes).max(axis=1).sum())


def constant_columns(evidence: Evidence) -> Findings:
    """Columns of a table that are the same in all samples."""
    rows = evidence.train.rows
    if isinstance(rows, tuple) or evidence.sample is None or rows.dtype == np.uint8:
        return
    if rows.shape[1] > _MOST_COLUMNS:
        return
    raw = rows.rows if isinstance(rows, StandardizedRows) else rows
    constant = np.flatnonzero(raw.min(axis=0) == raw.max(axis=0))
    if len(constant) and len(constant) < rows.shape[1]:
        named = ", ".join(_named(evidence, int(column)) for column in constant[:3])
        yield Finding(
            "constant-columns", "hint",
            f"{len(constant)} of {rows.shape[1]} columns have one value only: {named}",
            "leave them out of x",
            " ".join(f"--exclude {quoted(_name(evidence, int(c)))}" for c in constant[:3]),
        )  # fmt: skip


def _name(evidence: Evidence, column: int) -> str:
    return str(column) if evidence.names is None else str(evidence.names[column])


def _named(evidence: Evidence, column: int) -> str:
    return f"column {column}" if evidence.names is None else f"{evidence.names[column]!r}"

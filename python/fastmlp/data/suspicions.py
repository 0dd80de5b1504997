"""What looks suspicious in a table: gaps, doubles, spellings, rare classes, columns that leak."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.data.cells import NUMBER_MISSING, as_texts, listed, missing_cells, read_numbers
from fastmlp.data.inference import Finding
from fastmlp.data.options import Options
from fastmlp.data.table import Table
from fastmlp.data.table_targets import learn_target
from fastmlp.extras import require

__all__ = ["suspicions"]

_GAPPY = 0.5
# A column that alone tells this share of the classes, or of the variance, is suspicious.
_LEAK = 0.999
_RARE = 10
_FEW_ROWS = 50


def suspicions(
    table: Table,
    found: Mapping[str, Finding],
    targets: Sequence[str],
    task: str | None,
    options: Options,
) -> Iterator[str]:
    """Yield what to look at before a training, one sentence each.

    Parameters
    ----------
    table : Table
        All rows.
    found : mapping of str to Finding
        What the columns are that are neither targets nor weights.
    targets : sequence of str
        Names of the target columns.
    task : str or None
        Task, None if it is unclear.
    options : Options
        What the user says about the columns.
    """
    features = {name: finding for name, finding in found.items() if finding.is_feature}
    for name, finding in features.items():
        if finding.missing > _GAPPY * len(table):
            share = 100 * finding.missing / len(table)
            count = f"{finding.missing:,} of {len(table):,} values"
            yield f"{name!r} lacks {count} ({share:.0f} %)"
        if finding.kind == "category":
            for spellings in _spelled_alike(table.columns[name]):
                yield f"{name!r} has values that differ in case or blanks: {spellings}"
    yield from _duplicates(table, features)
    if len(table) < _FEW_ROWS:
        yield f"{len(table)} rows are few: measures on the parts will vary by chance"
    if len(targets) != 1 or task is None:
        return
    if task == "classification":
        yield from _class_suspicions(table, targets[0])
    for name, finding in features.items():
        told = _told_by(table, name, finding, targets[0], task, options)
        if told >= _LEAK:
            what = "classes" if task == "classification" else "variance"
            yield (
                f"{name!r} alone tells {100 * told:.4g} % of the {what} of {targets[0]!r}: "
                f'if it is not known beforehand, leave it out with --exclude "{name}"'
            )


def _duplicates(table: Table, features: Iterable[str]) -> Iterator[str]:
    seen: dict[int, str] = {}
    for name in features:
        cells = table.columns[name]
        digest = int(cells.hash(0).sum() or 0)
        other = seen.setdefault(digest, name)
        if other != name and cells.equals(table.columns[other], null_equal=True):
            yield f"{name!r} is the same as {other!r}"


def _spelled_alike(cells: Any) -> Iterator[str]:
    """Yield lists of names that are the same but for case and blanks, most frequent first."""
    texts = as_texts(cells.filter(~missing_cells(cells, ())))
    counts = texts.value_counts(name="count")
    name = counts.columns[0]
    folded: dict[str, list[str]] = {}
    for text in counts.sort("count", name, descending=[True, False])[name].to_list():
        folded.setdefault(" ".join(text.split()).casefold(), []).append(text)
    for spellings in folded.values():
        if len(spellings) > 1:
            yield listed(map(repr, spellings))


def _class_suspicions(table: Table, target: str) -> Iterator[str]:
    cells = table.columns[target]
    texts = as_texts(cells.filter(~missing_cells(cells, ())))
    counts = texts.value_counts(name="count")
    counts = counts.sort("count", counts.columns[0], descending=[True, False])
    names, numbers = counts[counts.columns[0]].to_list(), counts["count"].to_list()
    rare = [f"{name!r} {number}" for name, number in zip(names, numbers, strict=True)
            if number < _RARE]  # fmt: skip
    if rare:
        yield f"classes with fewer than {_RARE} samples: {listed(rare)}"
    for spellings in _spelled_alike(cells):
        yield f"classes that differ in their spelling alone: {spellings}"
    if numbers and numbers[0] > 0.95 * sum(numbers):
        share = 100 * numbers[0] / sum(numbers)
        yield f"{share:.3g} % of the samples are of class {names[0]!r}: accuracy says little"


def _told_by(
    table: Table, name: str, finding: Finding, target: str, task: str, options: Options
) -> float:
    """Return the share of the target that a column alone determines, 0 if it is not clear."""
    cells = table.columns[name]
    if task == "classification":
        return _classes_told(cells, finding, table.columns[target], options)
    learned = learn_target(table, target, options)
    if finding.kind != "number" or learned.holds_names:
        return 0.0
    x = read_numbers(cells, finding.format, (*options.missing_token, *NUMBER_MISSING)).values
    y = learned.quantities
    both = np.isfinite(x) & np.isfinite(y)
    if both.sum() < _FEW_ROWS or x[both].std() == 0 or y[both].std() == 0:
        return 0.0
    return float(np.corrcoef(x[both], y[both])[0, 1] ** 2)


def _classes_told(cells: Any, finding: Finding, labels: Any, options: Options) -> float:
    polars = require("data", "polars")
    if len(cells) < _FEW_ROWS:
        return 0.0
    classes = as_texts(labels)
    if finding.kind == "number":
        tokens = (*options.missing_token, *NUMBER_MISSING)
        return _told_by_thresholds(read_numbers(cells, finding.format, tokens).values, classes)
    if 2 * finding.distinct > len(cells):
        return 0.0
    frame = polars.DataFrame({"cell": as_texts(cells), "class": classes})
    counts = frame.group_by("cell", "class").len()
    right = counts.group_by("cell").agg(polars.col("len").max())["len"].sum()
    most = int(classes.value_counts(name="count")["count"].max())
    return float(right / len(cells)) if most < _LEAK * len(cells) else 0.0


def _told_by_thresholds(values: NDArray[np.float64], classes: Any) -> float:
    """Return 1 if as many intervals of the values as there are classes tell every class."""
    known = np.isfinite(values)
    if not known.all() or len(np.unique(values)) < 2:
        return 0.0
    codes = np.unique(np.array(classes.to_list(), str), return_inverse=True)[1]
    order = np.lexsort((codes, values))
    changes = int((np.diff(codes[order]) != 0).sum())
    count = len(np.unique(codes))
    return 1.0 if count > 1 and changes == count - 1 else 0.0

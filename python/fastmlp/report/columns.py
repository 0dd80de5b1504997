"""The section of a report about the data: types, gaps, distributions, training against test."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.data import CategoryColumn, DateColumn, Samples
from fastmlp.report.page import Block, Column, Section, Sketch, Table, count, number, percent
from fastmlp.report.subject import SourceColumn, Subject, largest, source_columns

__all__ = ["ColumnSummary", "data_sections", "drift", "summaries"]

Floats = NDArray[np.float64]
Shares = tuple[float, ...]

MOST_COLUMNS = 60
MOST_ROWS = 10_000
BARS = 16
MOST_CATEGORIES = 8
# Differences of distributions below this do not matter, however sure they are.
NOTABLE = 0.1
# Quantile of Kolmogorov's distribution for an error of 1 %.
KOLMOGOROV = 1.628


@dataclass(frozen=True)
class ColumnSummary:
    """What a column holds in the training part, and in the part of the result.

    Attributes
    ----------
    name, kind, typical : str
        Name; type; range of numbers and dates, or the most frequent values.
    missing : tuple of float
        Shares of missing cells in both parts.
    distinct : int
        Number of different values, or of categories.
    shares : tuple of tuple of float
        Shares of the values in each bar, of both parts.
    difference : float
        Largest distance of the distributions, from 0 to 1; see `drift`.
    is_notable : bool
        Whether the difference is neither small nor likely by chance.
    """

    name: str
    kind: str
    typical: str
    missing: tuple[float, float]
    distinct: int
    shares: tuple[Shares, Shares]
    difference: float
    is_notable: bool


def data_sections(subject: Subject) -> Iterator[Section]:
    """Yield the section about the data, if the training samples are known."""
    training = subject.training
    if training is None:
        return
    same = subject.part == "training"
    trained = (subject.result.get("samples") or {}).get("training", 0)
    of_them = f" of the {count(trained)}" if trained > len(training) else ""  # of a stream
    sizes = [f"{count(len(training))}{of_them} training samples"]
    if not same:
        sizes.append(f"{count(len(subject.samples))} {subject.part} samples")
    text = [f"These are {' and '.join(sizes)}."]
    blocks: list[Block] = []
    found = [*targets(subject, training), *_features(subject, training)]
    if found:
        text.append(
            "Bars are the distribution of the training part, the line that of the "
            f"{subject.part} part. The difference is the largest one between shares of "
            "values up to some value, or, of names, half the sum of all differences: 0 is "
            "the same, 1 has nothing in common."
        )
        sizes_drawn = max(len(training), len(subject.samples))
        if sizes_drawn > MOST_ROWS:
            text.append(f"Of each part, {count(MOST_ROWS)} evenly spaced samples are compared.")
        blocks.append(_table(found, subject.part, same=same))
    pre = subject.model.preprocessing
    if pre is not None and pre.left_out:
        heads = (Column("Column"), Column("Reason"))
        title = f"Columns that are not used: {count(len(pre.left_out))}"
        blocks.append(Table(title, heads, tuple(pre.left_out), collapsed=True))
    yield Section("data", "Data", (" ".join(text),), blocks=tuple(blocks))


def _table(found: list[ColumnSummary], part: str, *, same: bool) -> Table:
    heads = [
        Column("Column"), Column("Type"), Column("Distribution"), Column("Values"),
        Column("Different", numeric=True), Column("Missing", numeric=True),
    ]  # fmt: skip
    if not same:
        heads.append(Column(f"Difference in {part}", numeric=True))
    rows = []
    for one in found:
        row: list[Any] = [
            one.name, one.kind, _sketch(one, part), one.typical, count(one.distinct),
            _missing(one, part, same=same),
        ]  # fmt: skip
        if not same:
            row.append(f"{one.difference:.2f}{' (large)' if one.is_notable else ''}")
        rows.append(tuple(row))
    left = "" if len(found) < MOST_COLUMNS else f", of which {MOST_COLUMNS} are shown"
    return Table(f"Columns of the training part{left}", tuple(heads), tuple(rows))


def _sketch(one: ColumnSummary, part: str) -> Sketch:
    first, second = one.shares
    most = max((*first, *second, 1e-12))
    words = f"Distribution of {one.name}: {one.kind}, {one.typical}"
    if one.is_notable:
        words += f"; it differs in the {part} part"
    return Sketch(tuple(s / most for s in first), tuple(s / most for s in second), words)


def _missing(one: ColumnSummary, part: str, *, same: bool) -> str:
    before, after = one.missing
    if before == after == 0:
        return "none"
    if same or abs(before - after) < 0.02:
        return percent(before)
    return f"{percent(before)}, {part} {percent(after)}"


# ---------------------------------------------------------------- summaries


def targets(subject: Subject, training: Samples) -> Iterator[ColumnSummary]:
    """Yield what the targets hold."""
    task, y, other = subject.evaluation.task, training.y, subject.samples.y
    if task == "classification":
        parts = (_few(y), _few(other))
        yield _of_codes("target", "classes", subject.outputs, parts, (0.0, 0.0))
        return
    pre = subject.model.preprocessing
    for i, name in enumerate(subject.outputs):
        first, second = (np.asarray(v).reshape(len(v), -1) for v in (y, other))
        if task == "multilabel":
            codes = [_few(v[:, i]).astype(np.int64) for v in (first, second)]
            yield _of_codes(
                f"label {name}", "yes or no", ("no", "yes"), (codes[0], codes[1]), (0.0, 0.0)
            )
            continue
        if pre is not None:
            first, second = pre.in_units(first), pre.in_units(second)
        yield _of_numbers(
            f"target {name}", "number", _few(first[:, i]), _few(second[:, i]), (0.0, 0.0)
        )


def _features(subject: Subject, training: Samples) -> list[ColumnSummary]:
    """Return summaries of at most `MOST_COLUMNS` columns, of which the most important ones stay."""
    pre = subject.model.preprocessing
    if pre is None or pre.image_shape is not None:
        return []
    columns = source_columns(pre.features, pre)
    if len(columns) > MOST_COLUMNS:
        found = subject.importance
        scores = np.zeros(len(columns)) if found is None else found.means
        chosen = np.sort(largest(scores, MOST_COLUMNS))
        columns = [columns[i] for i in chosen]
    return summaries(subject, training, columns)


def summaries(
    subject: Subject, training: Samples, columns: list[SourceColumn]
) -> list[ColumnSummary]:
    """Return what columns hold in the training part and in the part of the result."""
    pre = subject.model.preprocessing
    assert pre is not None
    parts = (training, subject.samples)
    rows = [_places(len(part)) for part in parts]
    values = [pre.original_inputs(part.x[at]) for part, at in zip(parts, rows, strict=True)]
    return [_summary(column, parts, rows, values) for column in columns]


def _summary(
    column: SourceColumn,
    parts: tuple[Samples, Samples],
    rows: list[NDArray[np.int64]],
    values: list[Floats],
) -> ColumnSummary:
    present: list[Floats] = []
    missing: list[float] = []
    for part, at, own in zip(parts, rows, values, strict=True):
        gaps = None if part.source is None else part.source.gaps.get(column.name)
        mine = own[:, column.inputs]
        if gaps is None:
            present.append(mine)
            missing.append(0.0)
            continue
        missing.append(len(gaps) / len(part))
        present.append(mine[~np.isin(at, gaps)])
    shares = (missing[0], missing[1])
    if isinstance(column.column, CategoryColumn):
        codes = [_codes(column.column, mine) for mine in present]
        names = (*column.column.categories, "unknown")
        return _of_codes(column.name, "category", names, (codes[0], codes[1]), shares)
    first, second = present[0][:, 0], present[1][:, 0]
    kind = "date" if isinstance(column.column, DateColumn) else "number"
    return _of_numbers(column.name, kind, first, second, shares)


def _codes(column: CategoryColumn, mine: Floats) -> NDArray[np.int64]:
    """Return the category of each row; those that are unknown come after all others."""
    unknown = len(column.categories)
    if column.as_code:
        codes = np.rint(mine[:, 0]).astype(np.int64)
        return np.where((codes < 0) | (codes >= unknown), unknown, codes)
    known = mine[:, :unknown]
    return np.where(known.max(axis=1, initial=0.0) > 0.5, known.argmax(axis=1), unknown)


def _of_codes(
    name: str,
    kind: str,
    names: tuple[str, ...],
    parts: tuple[NDArray[np.int64], NDArray[np.int64]],
    missing: tuple[float, float],
) -> ColumnSummary:
    counts = [np.bincount(codes, minlength=len(names)).astype(np.float64) for codes in parts]
    shares = [each / max(each.sum(), 1.0) for each in counts]
    order = largest(counts[0], len(names))
    order = order[(counts[0][order] > 0) | (counts[1][order] > 0)]
    difference = 0.5 * float(np.abs(shares[0] - shares[1]).sum())
    # The expected distance of two samples of the same distribution, at most.
    spread = np.sqrt(shares[0] * (1 - shares[0]) * sum(1 / max(len(c), 1) for c in parts))
    usual = float(0.5 * spread.sum() * np.sqrt(2 / np.pi))
    drawn = order[:BARS]
    listed = [f"{names[i]} {percent(float(shares[0][i]))}" for i in order[:3]]
    if len(order) > 3:
        listed.append("\u2026")
    return ColumnSummary(
        name, kind, ", ".join(listed), missing, int((counts[0] > 0).sum()),
        (tuple(shares[0][drawn].tolist()), tuple(shares[1][drawn].tolist())),
        difference, difference > max(NOTABLE, 2.5 * usual),
    )  # fmt: skip


def _of_numbers(
    name: str, kind: str, first: Floats, second: Floats, missing: tuple[float, float]
) -> ColumnSummary:
    first, second = first[np.isfinite(first)], second[np.isfinite(second)]
    if not len(first):
        return ColumnSummary(name, kind, "", missing, 0, ((), ()), 0.0, False)
    low, high = float(first.min()), float(first.max())
    if len(second):
        edges = np.linspace(min(low, float(second.min())), max(high, float(second.max())), BARS + 1)
    else:
        edges = np.linspace(low, high, BARS + 1)
    if edges[0] == edges[-1]:
        shares = [(1.0,), (1.0,)]
    else:
        shares = [
            tuple((np.histogram(v, edges)[0] / max(len(v), 1)).tolist()) for v in (first, second)
        ]
    difference = drift(first, second)
    chance = KOLMOGOROV * np.sqrt(1 / len(first) + 1 / max(len(second), 1))
    write = _day if kind == "date" else number
    typical = write(low) if low == high else f"{write(low)} to {write(high)}"
    if kind == "number" and low != high:
        typical += f", median {number(float(np.median(first)))}"
    return ColumnSummary(
        name, kind, typical, missing, len(np.unique(first)), (shares[0], shares[1]),
        difference, difference > max(NOTABLE, float(chance)),
    )  # fmt: skip


def _day(days: float) -> str:
    return str(np.datetime64(round(days), "D"))


def drift(first: Floats, second: Floats) -> float:
    """Return the largest difference of the shares of values up to a value (Kolmogorov, Smirnov).

    Parameters
    ----------
    first, second : float64 arrays of shape (n,) and (m,)
        Finite values; if one is empty, the difference is 0.

    Examples
    --------
    >>> import numpy
    >>> from fastmlp.report.columns import drift
    >>> drift(numpy.array([1.0, 2.0, 3.0, 4.0]), numpy.array([3.0, 4.0]))
    0.5
    """
    if not len(first) or not len(second):
        return 0.0
    a, b = np.sort(first), np.sort(second)
    values = np.concatenate([a, b])
    shares = [np.searchsorted(v, values, side="right") / len(v) for v in (a, b)]
    return float(np.abs(shares[0] - shares[1]).max())


def _places(total: int) -> NDArray[np.int64]:
    if total <= MOST_ROWS:
        return np.arange(total)
    return np.rint(np.linspace(0, total - 1, MOST_ROWS)).astype(np.int64)


def _few(values: NDArray[Any]) -> NDArray[Any]:
    return values[_places(len(values))]

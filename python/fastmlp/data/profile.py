"""A look at a table before it is used: what each column is, and what looks suspicious."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.data.cells import (
    NUMBER_MISSING,
    as_texts,
    is_text,
    listed,
    missing_cells,
    read_dates,
    read_numbers,
    shown,
)
from fastmlp.data.inference import Finding, find_kind
from fastmlp.data.options import Options
from fastmlp.data.schema import find_features, learn_columns, require_options_fit
from fastmlp.data.table import Table
from fastmlp.data.targets import find_targets, infer_task, learn_target, require_task
from fastmlp.extras import require

__all__ = ["ColumnProfile", "Profile", "profile_table"]

_GAPPY = 0.5
# A column that alone tells this share of the classes, or of the variance, is suspicious.
_LEAK = 0.999
_TARGET_KINDS = ("number", "boolean", "category")
_WIDEST_VALUES = 60
_MOST_VALUES = 4
# How messages name an option with its value.
_OPTION = re.compile(r'--[a-z-]+ "[^"]*"')
_RARE = 10
_FEW_ROWS = 50


@dataclass(frozen=True)
class ColumnProfile:
    """What a column holds and how it is used.

    Attributes
    ----------
    name : str
        Name of the column.
    kind : str
        Kind as in `Finding`, or "weight".
    use : str
        "target", "feature", "weight", "left out" or "unclear".
    detail : str
        Reason, format or number of inputs.
    values : str
        Range of numbers and dates, or the most frequent values.
    missing, distinct : int
        Numbers of missing and of distinct values.
    """

    name: str
    kind: str
    use: str
    detail: str
    values: str
    missing: int
    distinct: int


@dataclass(frozen=True)
class Profile:
    """What a table holds.

    Attributes
    ----------
    origin : str
        Name of the file.
    rows : int
        Number of rows.
    columns : tuple of ColumnProfile
        All columns in the order of the file.
    targets : tuple of str
        Names of the targets; empty if none is named and none has a usual name.
    guess : str or None
        The last column that can be a target, if there are no targets.
    task : str or None
        Task that the targets suggest.
    notes : tuple of str
        Decisions of the reader.
    suspicions : tuple of str
        What to look at, one sentence each.
    obstacles : tuple of str
        Those of them with which a training fails.
    choices : tuple of tuple of str
        Options to decide before a training, for each unclear column those of which one decides.
    """

    origin: str
    rows: int
    columns: tuple[ColumnProfile, ...]
    targets: tuple[str, ...]
    guess: str | None
    task: str | None
    notes: tuple[str, ...]
    suspicions: tuple[str, ...]
    obstacles: tuple[str, ...]
    choices: tuple[tuple[str, ...], ...]


def profile_table(table: Table, options: Options) -> Profile:
    """Look at all columns of a table.

    Parameters
    ----------
    table : Table
        Contents of a file.
    options : Options
        What the user says about the columns.

    Raises
    ------
    ValueError
        An option names a column that does not exist.

    Examples
    --------
    >>> import fastmlp
    >>> from fastmlp.data.profile import profile_table
    >>> columns = {"id": [str(i) for i in range(20)], "y": ["a", "b"] * 10}
    >>> profile = profile_table(fastmlp.data.Table("t.csv", columns), fastmlp.data.Options())
    >>> [(column.name, column.use) for column in profile.columns], profile.task
    ([('id', 'left out'), ('y', 'target')], 'classification')
    """
    require_options_fit(table, options)
    targets: tuple[str, ...] = ()
    task: str | None = None
    guess: str | None = None
    doubts = _Doubts()
    with contextlib.suppress(ValueError):  # no target is named
        targets = find_targets(table, options)
    found = find_features(table, options, targets)
    if targets:
        task = _task(table, targets, options, doubts)
    else:
        guess = _guess(table, options, found)
        doubts.add_guess(guess)
    columns = tuple(
        _profile(table, name, found.get(name), targets, task, options) for name in table.columns
    )
    doubts.add_columns(table, columns, found, targets or (guess,), options)
    doubts.texts += _suspicions(table, columns, found, targets, task, options)
    return Profile(
        table.origin, len(table), columns, targets, guess, task, table.notes,
        tuple(dict.fromkeys(doubts.texts)), tuple(doubts.obstacles), tuple(doubts.choices),
    )  # fmt: skip


# ---------------------------------------------------------------- targets


def _task(table: Table, targets: Sequence[str], options: Options, doubts: _Doubts) -> str | None:
    """Return the task of the targets, None if it is unclear; note what is wrong with them."""
    try:
        learned = [learn_target(table, name, options) for name in targets]
        task = infer_task(learned) if options.task == "auto" else options.task
    except ValueError as error:
        doubts.add_unclear(str(error), with_exclusion=False)
        return None
    for target in learned:
        lacking = int(missing_cells(target.cells, target.missing_tokens).sum())
        if lacking and options.missing == "error":
            doubts.add_obstacle(
                f"{lacking:,} of {len(table):,} rows lack the target {target.name!r}: leave "
                "--missing error out, which refuses them"
            )
        elif lacking:
            doubts.texts.append(
                f"{lacking:,} of {len(table):,} rows lack the target {target.name!r} and will be "
                "left out"
            )
    try:
        require_task(task, learned)
    except ValueError as error:
        doubts.add_obstacle(str(error))
    return task


def _guess(table: Table, options: Options, found: Mapping[str, Finding]) -> str | None:
    """Return the last column that can be a target and that no option uses otherwise."""
    barred = {*options.exclude, *options.id, *options.features, *options.dates, *table.index}
    for name in reversed(table.columns):
        if name in barred or name not in found:
            continue
        finding = found[name]
        if finding.kind == "excluded":  # only because it is not among the features
            finding = _found(table, name, options)
        if finding.kind in _TARGET_KINDS:
            return name
    return None


def _found(table: Table, name: str, options: Options) -> Finding:
    return find_kind(name, table.columns[name], options.missing_token, options.number_format)


class _Doubts:
    """What to look at, and what hinders a training."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.obstacles: list[str] = []
        self.choices: list[tuple[str, ...]] = []

    def add_obstacle(self, text: str) -> None:
        """Note what makes a training fail."""
        self.texts.append(text)
        self.obstacles.append(text)

    def add_unclear(self, text: str, *, with_exclusion: bool = True) -> None:
        """Note what only the user can decide, with the options that the text names."""
        options = tuple(
            option
            for option in dict.fromkeys(_OPTION.findall(text))
            if with_exclusion or not option.startswith("--exclude")
        )
        if not options:
            self.add_obstacle(text)
            return
        self.texts.append(text)
        if options not in self.choices:  # one option can decide several columns
            self.choices.append(options)

    def add_guess(self, guess: str | None) -> None:
        """Note that no target is named."""
        if guess is None:
            self.add_obstacle("no column can be a target: name one with --target")
        else:
            self.texts.append(f'no target is named: --target "{guess}" is a guess')

    def add_columns(
        self,
        table: Table,
        columns: Sequence[ColumnProfile],
        found: Mapping[str, Finding],
        targets: Sequence[str | None],
        options: Options,
    ) -> None:
        """Note which columns are unclear, and why the others cannot be features."""
        for column in columns:
            if column.use == "unclear":
                self.add_unclear(f"{column.name!r} {column.detail}")
        for name in (*options.numeric, *options.dates):
            if name in found and (problem := _misread(table, name, found[name], options)):
                self.add_obstacle(problem)
        if self.choices or self.obstacles or None in targets:
            return
        try:
            names = [name for name in targets if name is not None]
            learn_columns(table, options, names, np.arange(len(table)))
        except ValueError as error:
            self.add_obstacle("; ".join(map(str.strip, str(error).splitlines())))


def _misread(table: Table, name: str, finding: Finding, options: Options) -> str | None:
    """Return the problem of a column whose kind the user named, if its cells are of another."""
    cells = table.columns[name]
    tokens = (*options.missing_token, *NUMBER_MISSING)
    if finding.kind == "number":
        option, what, bad = "--numeric", "numbers", read_numbers(cells, finding.format, tokens).bad
    elif finding.kind == "date":
        form = finding.date_format
        option, what = "--date", "dates" if form == "iso" else f"dates as in {form}"
        bad = read_dates(cells, form, tokens).bad
    else:
        return None
    if not bad.any():
        return None
    count = f"{int(bad.sum()):,} of {len(cells):,} values"
    first = shown(cells[int(np.argmax(bad))])
    return (
        f"{option} names {name!r}, of which {count} are no {what}, such as {first}: name what "
        "stands for a missing value with --missing-token, or leave the option out"
    )


# ---------------------------------------------------------------- columns


def _profile(
    table: Table,
    name: str,
    finding: Finding | None,
    targets: Sequence[str],
    task: str | None,
    options: Options,
) -> ColumnProfile:
    cells = table.columns[name]
    own = finding
    if own is None or not own.cells:  # what the names of columns alone decide has no counts
        own = _found(table, name, options)
    values = _values(cells, own, options)
    kind = own.kind if finding is None or finding.kind == "excluded" else finding.kind
    if finding is None:
        use, detail = "weight", "weights of the samples"
        if name in targets:
            use, detail = "target", task or "task unclear"
    elif finding.is_feature:
        use, detail = "feature", _detail(name, finding, options)
    else:
        use = "unclear" if finding.kind == "unclear" else "left out"
        detail = finding.detail
    distinct = _distinct(cells, own, options)
    return ColumnProfile(name, kind, use, detail, values, own.missing, distinct)


def _detail(name: str, finding: Finding, options: Options) -> str:
    if finding.kind == "date":
        return "" if finding.date_format == "iso" else f"read as {finding.date_format}"
    named = {**dict.fromkeys(options.numeric, "numeric")}
    named |= dict.fromkeys(options.categorical, "categorical")
    # What a column looks like is no reason for what the user decided.
    return f"by --{named[name]}" if name in named else finding.detail


def _distinct(cells: Any, finding: Finding, options: Options) -> int:
    """Return the number of values as the schema tells them apart: names by their blanks too."""
    if not is_text(cells) or finding.kind not in ("category", "text", "identifier"):
        return finding.distinct
    return int(cells.filter(~missing_cells(cells, options.missing_token)).n_unique())


def _values(cells: Any, finding: Finding, options: Options) -> str:
    tokens = (*options.missing_token, *NUMBER_MISSING)
    if finding.kind in ("number", "identifier", "constant"):
        numbers = read_numbers(cells, finding.format, tokens)
        values = numbers.values[np.isfinite(numbers.values)]
        if len(values) and not numbers.bad.any():
            low, high = float(values.min()), float(values.max())
            return f"{low:.6g}" if low == high else f"{low:.6g} to {high:.6g}"
    if finding.kind == "date":
        dates = read_dates(cells, finding.date_format, tokens)
        seconds = dates.seconds[np.isfinite(dates.seconds)]
        if len(seconds) and not dates.bad.any():
            first, last = (np.datetime64(int(s), "s") for s in (seconds.min(), seconds.max()))
            return f"{_day(first)} to {_day(last)}"
    if finding.kind in ("empty", "unusable"):
        return ""
    texts = as_texts(cells.filter(~missing_cells(cells, options.missing_token)))
    counts = texts.value_counts(name="count")
    name = counts.columns[0]
    counts = counts.sort("count", name, descending=[True, False]).head(_MOST_VALUES + 1)
    return _first(counts[name].to_list())


def _first(values: Sequence[str]) -> str:
    """Return the first values as long as they are not too wide, and dots if there are others."""
    texts = [shown(value) for value in values[:_MOST_VALUES]]
    while len(texts) > 1 and sum(map(len, texts)) + 2 * len(texts) > _WIDEST_VALUES:
        texts.pop()
    return ", ".join([*texts, "..."] if len(texts) < len(values) else texts)


def _day(moment: np.datetime64) -> str:
    return str(moment).replace("T", " ").removesuffix(" 00:00:00")


# ---------------------------------------------------------------- suspicions


def _suspicions(
    table: Table,
    columns: Sequence[ColumnProfile],
    found: dict[str, Finding],
    targets: Sequence[str],
    task: str | None,
    options: Options,
) -> Iterator[str]:
    for column in columns:
        if column.use == "feature" and column.missing > _GAPPY * len(table):
            share = 100 * column.missing / len(table)
            count = f"{column.missing:,} of {len(table):,} values"
            yield f"{column.name!r} lacks {count} ({share:.0f} %)"
        if column.use == "feature" and column.kind == "category":
            for spellings in _spelled_alike(table.columns[column.name]):
                yield f"{column.name!r} has values that differ in case or blanks: {spellings}"
    yield from _duplicates(table, columns)
    if len(table) < _FEW_ROWS:
        yield f"{len(table)} rows are few: measures on the parts will vary by chance"
    if len(targets) != 1 or task is None:
        return
    if task == "classification":
        yield from _class_suspicions(table, targets[0])
    for name, finding in found.items():
        if finding.is_feature:
            told = _told_by(table, name, finding, targets[0], task, options)
            if told >= _LEAK:
                what = "classes" if task == "classification" else "variance"
                yield (
                    f"{name!r} alone tells {100 * told:.4g} % of the {what} of {targets[0]!r}: "
                    f'if it is not known beforehand, leave it out with --exclude "{name}"'
                )


def _duplicates(table: Table, columns: Sequence[ColumnProfile]) -> Iterator[str]:
    polars = require("data", "polars")
    seen: dict[int, str] = {}
    for column in columns:
        if column.use != "feature":
            continue
        cells = table.columns[column.name]
        if cells.dtype in (polars.List, polars.Struct):
            continue
        digest = int(cells.hash(0).to_frame().to_series().hash(1).sum() or 0)
        other = seen.setdefault(digest, column.name)
        if other != column.name and cells.equals(table.columns[other], null_equal=True):
            yield f"{column.name!r} is the same as {other!r}"


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

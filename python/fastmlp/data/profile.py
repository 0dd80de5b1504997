"""A look at a table before it is used: what each column is, and what looks suspicious."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastmlp.data.cells import (
    NUMBER_MISSING,
    as_texts,
    is_text,
    missing_cells,
    read_dates,
    read_numbers,
    shown,
)
from fastmlp.data.inference import Finding, find_kind
from fastmlp.data.options import Options
from fastmlp.data.schema import find_features, learn_columns, require_options_fit
from fastmlp.data.suspicions import suspicions
from fastmlp.data.table import Table
from fastmlp.data.table_targets import find_targets, learn_target
from fastmlp.data.target_kinds import infer_task, require_task

__all__ = ["ColumnProfile", "Profile", "profile_table"]

_TARGET_KINDS = ("number", "boolean", "category")
_WIDEST_VALUES = 60
_MOST_VALUES = 4
# How messages name an option with its value.
_OPTION = re.compile(r'--[a-z-]+ "[^"]*"')


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
    doubts.texts += suspicions(table, found, targets, task, options)
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

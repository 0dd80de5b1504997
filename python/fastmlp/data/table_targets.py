"""Targets and weights that are columns of a table, which are read as the schema of a model says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.data.cells import (
    NUMBER_MISSING,
    PLAIN,
    NumberFormat,
    as_texts,
    is_text,
    listed,
    missing_cells,
    numeric_order,
    read_numbers,
    truth_names,
)
from fastmlp.data.columns import MISSING, UNKNOWN, CategoryColumn, Column, NumberColumn
from fastmlp.data.inference import find_kind
from fastmlp.data.options import Options
from fastmlp.data.table import Problems, Table, require_columns
from fastmlp.data.target_kinds import number_type
from fastmlp.errors import FormatError

__all__ = [
    "USUAL_NAMES",
    "TableTarget",
    "column_codes",
    "find_targets",
    "labeled_rows",
    "missing_targets",
    "learn_target",
    "values_of_columns",
    "weights_of",
]

# Names of the default target of a table, which must have exactly one of them.
USUAL_NAMES = ("target", "label", "class", "y")

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]


@dataclass(frozen=True)
class TableTarget:
    """A target column of a table, looked at in order to learn how to read it."""

    name: str
    table: Table
    tokens: tuple[str, ...]
    kind: str
    format: NumberFormat

    @property
    def label(self) -> str:
        return f"{self.table.origin}: column {self.name!r}"

    @property
    def cells(self) -> Any:
        return self.table.columns[self.name]

    @property
    def count(self) -> int:
        return len(self.table)

    @property
    def missing_tokens(self) -> tuple[str, ...]:
        return (*self.tokens, *NUMBER_MISSING) if self.kind == "number" else self.tokens

    @property
    def holds_names(self) -> bool:
        return self.kind != "number"

    @property
    def quantities(self) -> Floats:
        return read_numbers(self.cells, self.format, self.missing_tokens).values

    @property
    def is_binary(self) -> bool:
        if self.kind == "boolean":
            return True
        values = self.quantities
        return bool(((values == 0) | (values == 1) | np.isnan(values)).all())

    @property
    def first_text(self) -> str | None:
        if self.kind in ("number", "boolean"):
            return None
        texts = as_texts(self.cells)
        bad = read_numbers(texts, PLAIN, self.missing_tokens).bad
        return str(texts[int(np.argmax(bad))]) if bad.any() else None

    @property
    def label_type(self) -> str:
        """Type of the cells: "text", "integer", "number" or "boolean"."""
        if self.cells.dtype.is_numeric():
            return number_type(self.cells.drop_nulls().to_numpy())
        return "boolean" if self.kind == "boolean" and not is_text(self.cells) else "text"

    def names(self) -> tuple[str, ...]:
        """Return the classes as written, in order."""
        missing = missing_cells(self.cells, self.missing_tokens)
        present = self.cells.filter(~missing)
        if self.kind == "boolean":
            return truth_names(present)
        return numeric_order(as_texts(present).unique().to_list())

    def column(self, task: str) -> Column:
        if task == "classification":
            reads = "boolean" if self.kind == "boolean" else "text"
            if self.cells.dtype.is_numeric():
                reads = "number"
            return CategoryColumn(
                self.name,
                self.names(),
                reads,
                self.missing_tokens,
                refuses_missing=True,
            )
        if task == "multilabel" and self.kind == "boolean":
            return CategoryColumn(
                self.name, ("0", "1"), "boolean", self.missing_tokens, refuses_missing=True
            )
        return NumberColumn(self.name, self.format, (*self.tokens, *NUMBER_MISSING))


def find_targets(table: Table, options: Options) -> tuple[str, ...]:
    """Return the names of the target columns: those asked for, or the column with a usual name.

    Raises
    ------
    ValueError
        No target is named, and not exactly one column has a usual name.
    """
    if options.target:
        return options.target
    others = (*options.exclude, *options.id, *options.features, options.sample_weight)
    usual = [n for n in table.columns if n.lower() in USUAL_NAMES and n not in others]
    if len(usual) == 1:
        return (usual[0],)
    used = [n for n in options.features if n.lower() in USUAL_NAMES and n in table.columns]
    if not usual and len(used) == 1:
        raise ValueError(f"features must not hold the target {used[0]!r}; name another --target")
    found = f"several are: {', '.join(usual)}" if usual else "none is"
    raise ValueError(
        f"target (--target) must name the column to predict: {table.origin} has the columns "
        f"{listed(table.columns)}, and of the usual names {', '.join(USUAL_NAMES)} {found}"
    )


def learn_target(table: Table, name: str, options: Options) -> TableTarget:
    """Look at a target column of a table.

    Raises
    ------
    ValueError
        Its cells can be neither classes nor quantities.
    """
    cells = table.columns[name]
    tokens = options.missing_token
    finding = find_kind(name, cells, tokens, options.number_format)
    kind, form = finding.kind, finding.format
    where = f"{table.origin}: target column {name!r}"
    if kind == "unusable":
        raise ValueError(f"{where} must hold numbers or names, it {finding.detail}")
    if name in options.categorical:
        return TableTarget(name, table, tokens, "category", PLAIN)
    if kind == "unclear":
        if options.task == "classification":
            return TableTarget(name, table, tokens, "category", PLAIN)
        raise ValueError(f"{where} {finding.detail}")
    if kind == "empty":
        raise ValueError(f"{where} has no values")
    if kind == "date" and not is_text(cells):
        raise ValueError(f"{where} must hold numbers or names, it holds dates")
    if kind in ("constant", "identifier"):
        numeric = cells.dtype.is_numeric() or not read_numbers(cells).bad.any()
        kind = "number" if numeric else "category"
    if kind == "number" and form != PLAIN and options.task == "classification":
        kind = "category"
    if kind in ("date", "text"):
        kind = "category"
    return TableTarget(name, table, tokens, kind, form)


def missing_targets(table: Table, tokens: Mapping[str, Sequence[str]]) -> NDArray[np.bool_]:
    """Return the rows of a table that lack one of the targets; see `labeled_rows`."""
    missing = np.zeros(len(table), bool)
    for name, texts in tokens.items():
        if name in table.columns:
            missing |= missing_cells(table.columns[name], texts)
    return missing


def labeled_rows(table: Table, tokens: Mapping[str, Sequence[str]]) -> Table:
    """Return the rows of a table in which no target is missing; the table itself if none is.

    Parameters
    ----------
    table : Table
        Table with its targets; targets that it lacks are reported elsewhere.
    tokens : mapping of str to sequence of str
        Names of the targets, with the texts that stand for a missing value.

    Raises
    ------
    FormatError
        No row has all targets.
    """
    missing = missing_targets(table, tokens)
    if not missing.any():
        return table
    if missing.all():
        raise FormatError(f"{table.origin}: no row has a value of the target {listed(tokens)}")
    return table.rows(np.flatnonzero(~missing))


def values_of_columns(
    table: Table, columns: Sequence[Column], *, labels: bool = False
) -> tuple[Floats, Problems]:
    """Return targets of a table as float64 (rows, targets), and the rows that lack one.

    Labels must be 0 or 1.
    """
    require_columns(table, [c.name for c in columns], {c.name: ", the target," for c in columns})
    values = np.empty((len(table), len(columns)))
    problems = Problems(table)
    for j, column in enumerate(columns):
        cells = table.columns[column.name]
        if isinstance(column, NumberColumn):
            numbers = column.read(cells)
            values[:, j] = numbers.values
            problems.add(numbers.bad, column.name, "the target must be a number, got {}")
            problems.add(numbers.missing, column.name, "lacks a target")
            if labels:
                known = np.isin(numbers.values, (0.0, 1.0)) | np.isnan(numbers.values)
                problems.add(~known, column.name, "must be 0 or 1, got {}")
        else:
            values[:, j] = column_codes(table, column, problems)
    return values, problems


def column_codes(table: Table, column: Column, problems: Problems) -> Codes:
    """Return classes of a table as positions among the categories; note rows that have none."""
    assert isinstance(column, CategoryColumn)
    codes = column.codes(table.columns[column.name])
    names = listed(column.categories)
    problem = f"{{}} is none of the {len(column.categories)} classes: {names}"
    problems.add(codes == UNKNOWN, column.name, problem)
    problems.add(codes == MISSING, column.name, "lacks a target")
    return codes


def weights_of(table: Table, column: NumberColumn) -> Floats:
    """Return the weights of the rows of a table, which are in a column.

    Raises
    ------
    FormatError
        The column is missing, or a cell is no number >= 0.
    """
    name = column.name
    require_columns(table, [name], {name: ", the weight of the samples,"})
    numbers = column.read(table.columns[name])
    problems = Problems(table)
    problems.add(numbers.bad, name, "a sample's weight must be a number, got {}")
    problems.add(numbers.missing, name, "lacks a weight")
    negative = np.nan_to_num(numbers.values) < 0
    problems.add(negative, name, "a sample's weight must be >= 0, got {}")
    if len(problems):
        raise problems.error()
    return numbers.values

"""Targets: finding them, inferring the task, and converting them to numbers.

Targets of a table are columns of its schema, like features; `TargetArray` holds those of arrays.
One rule infers the task of both, `infer_task`.
"""

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
    as_number,
    as_texts,
    finite_numbers,
    is_text,
    listed,
    missing_cells,
    name_of,
    numeric_order,
    read_numbers,
    truth_names,
)
from fastmlp.data.columns import (
    MISSING,
    UNKNOWN,
    CategoryColumn,
    Column,
    NumberColumn,
    codes_of_numbers,
)
from fastmlp.data.inference import find_kind
from fastmlp.data.options import Options
from fastmlp.data.table import Part, Problems, Table, require_columns
from fastmlp.errors import FormatError

__all__ = [
    "MOST_NUMERIC_CLASSES",
    "TargetArray",
    "class_codes",
    "column_codes",
    "find_targets",
    "infer_task",
    "labeled_rows",
    "label_matrix",
    "learn_target",
    "require_task",
    "target_arrays",
    "value_matrix",
    "values_of_columns",
]

# Names of the default target of a table, which must have exactly one of them.
USUAL_NAMES = ("target", "label", "class", "y")
# A target with more distinct whole numbers than this holds quantities, not classes.
MOST_NUMERIC_CLASSES = 20
_INTEGER_LIMIT = 10**18

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]


# ---------------------------------------------------------------- the task


def _are_classes(values: Floats) -> bool:
    """Return whether numbers are classes: few whole numbers, each of several samples on average."""
    distinct = np.unique(values[np.isfinite(values)])
    few = 0 < len(distinct) <= min(MOST_NUMERIC_CLASSES, len(values) // 2)
    return few and bool((distinct == np.floor(distinct)).all())


def infer_task(columns: Sequence[TargetArray | _TableTarget]) -> str:
    """Return the task that the values suggest, by one rule for all sources.

    Several columns are labels if all values are 0 or 1, else quantities. One column holds classes
    if it is text or truth values, or whole numbers with at most 20 distinct values and at most half
    as many as samples; else quantities.
    """
    if len(columns) > 1:
        return "multilabel" if all(column.is_binary for column in columns) else "regression"
    (column,) = columns
    if column.holds_names:
        return "classification"
    return "classification" if _are_classes(column.quantities) else "regression"


def require_task(
    task: str, columns: Sequence[TargetArray | _TableTarget], *, asked: bool = True
) -> None:
    """Raise ValueError if these targets do not suit the task; `asked`: the user named it."""
    if task == "classification":
        if len(columns) > 1:
            raise ValueError(
                f"task 'classification' must have one target, got {len(columns)}: "
                f"{listed(column.name for column in columns)}"
            )
        _require_class_values(columns[0], asked=asked)
        return
    for column in columns:
        text = column.first_text
        if text is not None:
            raise ValueError(
                f"task {task!r} must have numbers as targets, got text in {column.label}, "
                f"such as {text!r}"
            )
        if task == "multilabel" and not column.is_binary:
            raise ValueError(f"task 'multilabel' must have only 0 and 1 in {column.label}")


def _require_class_values(column: TargetArray | _TableTarget, *, asked: bool) -> None:
    count = column.count
    if not column.holds_names:
        values = column.quantities
        fractions = np.isfinite(values) & (values != np.floor(values))
        if fractions.any():
            raise ValueError(
                "task 'classification' must have text or whole numbers as targets, got "
                f"{values[fractions][0]} in {column.label}"
            )
    names = column.names()
    most = count - 1 if asked else count // 2
    if len(names) > MOST_NUMERIC_CLASSES and len(names) > most:
        raise ValueError(
            f"task 'classification' must have classes of several samples, got {len(names)} "
            f"different values in {count} samples of {column.label}; for quantities choose "
            "regression"
        )


# ---------------------------------------------------------------- targets of tables


@dataclass(frozen=True)
class _TableTarget:
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
            return _number_type(self.cells.drop_nulls().to_numpy())
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


def _number_type(values: NDArray[Any]) -> str:
    """Return the type of labels that are numbers; integers beyond int64 stay text."""
    if values.dtype.kind == "f":
        return "number"
    fits = len(values) == 0 or max(int(values.max()), -int(values.min())) < _INTEGER_LIMIT
    return "integer" if fits else "text"


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


def learn_target(table: Table, name: str, options: Options) -> _TableTarget:
    """Look at a target column of a table.

    Raises
    ------
    ValueError
        Its cells can be neither classes nor quantities.
    """
    cells = table.columns[name]
    tokens = options.missing_token
    if name in options.categorical:
        return _TableTarget(name, table, tokens, "category", PLAIN)
    finding = find_kind(name, cells, tokens, options.number_format)
    kind, form = finding.kind, finding.format
    where = f"{table.origin}: target column {name!r}"
    if kind == "unclear":
        if options.task == "classification":
            return _TableTarget(name, table, tokens, "category", PLAIN)
        raise ValueError(f"{where} {finding.detail}")
    if kind == "empty":
        raise ValueError(f"{where} has no values")
    if kind == "unusable" or (kind == "date" and not is_text(cells)):
        raise ValueError(f"{where} must hold numbers or names, it holds {cells.dtype}")
    if kind in ("constant", "identifier"):
        numeric = cells.dtype.is_numeric() or not read_numbers(cells).bad.any()
        kind = "number" if numeric else "category"
    if kind == "number" and form != PLAIN and options.task == "classification":
        kind = "category"
    if kind in ("date", "text"):
        kind = "category"
    return _TableTarget(name, table, tokens, kind, form)


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
    missing = np.zeros(len(table), bool)
    for name, texts in tokens.items():
        if name in table.columns:
            missing |= missing_cells(table.columns[name], texts)
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


# ---------------------------------------------------------------- targets of arrays


@dataclass(frozen=True)
class TargetArray:
    """One column of targets in an array: numbers, or an object array of str; shape (samples,)."""

    name: str
    values: NDArray[Any]

    @property
    def label(self) -> str:
        """Name of the column in messages."""
        return self.name

    @property
    def count(self) -> int:
        """Number of samples."""
        return len(self.values)

    @property
    def holds_names(self) -> bool:
        """Whether the values are texts or truth values."""
        return self.values.dtype.kind in "Ob"

    @property
    def quantities(self) -> Floats:
        """The values as numbers."""
        return self.values.astype(np.float64)

    @property
    def is_binary(self) -> bool:
        """Whether all values that are not missing are 0 or 1."""
        if self.values.dtype.kind == "O":
            return all(as_number(text) in (0.0, 1.0) for text in self.values.tolist() if text)
        values = self.values
        return bool(((values == 0) | (values == 1) | _missing(values)).all())

    @property
    def first_text(self) -> str | None:
        """A value that is no number, or None."""
        if self.values.dtype.kind != "O":
            return None
        return next((v for v in self.values.tolist() if v and as_number(v) is None), None)

    @property
    def label_type(self) -> str:
        """Type of the values: "text", "integer", "number" or "boolean"."""
        names = {"O": "text", "b": "boolean"}
        return names.get(self.values.dtype.kind) or _number_type(self.values)

    def names(self) -> tuple[str, ...]:
        """Return the names of the values that occur, in order."""
        if self.values.dtype.kind == "O":
            return numeric_order(set(self.values.tolist()) - {None})
        distinct = np.unique(self.values[~_missing(self.values)])
        return numeric_order(name_of(value) for value in distinct.tolist())

    def error(self, row: int, problem: str) -> FormatError:
        """Return an error that names the place of a value. `row` is counted from 0."""
        return FormatError(f"{self.name}: {problem} at [{row}]")

    def refuse_missing(self) -> None:
        """Raise FormatError if a value is missing; name the first and count the others."""
        missing = _missing(self.values)
        if missing.any():
            count = int(missing.sum()) - 1
            more = f", as do {count} more" if count else ""
            raise self.error(int(np.argmax(missing)), f"lacks a target{more}")

    def numbers(self) -> Floats:
        """Return the values as finite numbers; raise FormatError where one is not."""
        self.refuse_missing()
        return finite_numbers(self.values, self.error)


def _missing(values: NDArray[Any]) -> NDArray[np.bool_]:
    if values.dtype.kind == "O":
        return np.fromiter((value is None for value in values.tolist()), bool, len(values))
    if values.dtype.kind != "f":
        return np.zeros(len(values), bool)
    missing: NDArray[np.bool_] = np.isnan(values)
    return missing


def target_arrays(part: Part) -> list[TargetArray]:
    """Return the targets of arrays, column by column.

    Raises
    ------
    ValueError
        The part has no targets.
    """
    if part.y is None:
        raise ValueError("y must be given: these samples have no targets")
    y = np.asarray(part.y)
    if y.dtype.kind not in "OUbiuf" or y.ndim not in (1, 2) or len(y) != len(part.x):
        raise ValueError(
            f"y must hold numbers or text for each of {len(part.x)} samples, "
            f"got {y.dtype} of shape {y.shape}"
        )
    if y.dtype.kind in "OU":
        y = y.astype(object)
        if not all(value is None or isinstance(value, str) for value in y.flat):
            raise TypeError("y must hold only numbers or only text, got a mixture of types")
    if y.ndim == 1:
        return [TargetArray("y", y)]
    if y.shape[1] == 1:
        return [TargetArray("y", y[:, 0])]
    return [TargetArray(f"y[{j}]", y[:, j]) for j in range(y.shape[1])]


def class_codes(column: TargetArray, names: Sequence[str], *, indices: bool) -> Codes:
    """Return classes of an array as positions among `names`.

    Parameters
    ----------
    column : TargetArray
        Classes of the samples.
    names : sequence of str
        Names of the classes.
    indices : bool
        Whether numbers are positions already; otherwise they are names.

    Returns
    -------
    int64 array of shape (samples,)
        Positions from 0 to len(names) - 1.

    Raises
    ------
    FormatError
        A value is missing, or is none of the names.
    """
    column.refuse_missing()
    values = column.values
    if indices and values.dtype.kind != "O":
        numbers = values.astype(np.float64)
        wrong = (numbers < 0) | (numbers >= len(names)) | (numbers != np.floor(numbers))
        codes = np.where(wrong, UNKNOWN, numbers).astype(np.int64)
    else:
        codes = _positions(values, names)
    unknown = codes < 0
    if unknown.any():
        row = int(np.argmax(unknown))
        raise column.error(
            row, f"{name_of(values[row])!r} is none of the {len(names)} classes: {listed(names)}"
        )
    return codes


def _positions(values: NDArray[Any], names: Sequence[str]) -> Codes:
    """Return the position of each text or number among names, as `CategoryColumn.codes` does."""
    known = {name: code for code, name in enumerate(names)}
    if values.dtype.kind == "O":
        return np.array([known.get(value, UNKNOWN) for value in values.tolist()], np.int64)
    by_number = dict(zip(*(array.tolist() for array in codes_of_numbers(names)), strict=True))
    distinct, inverse = np.unique(values, return_inverse=True)
    codes = [by_number.get(v, known.get(name_of(v), UNKNOWN)) for v in distinct.tolist()]
    return np.array(codes, np.int64)[inverse.reshape(-1)]


def label_matrix(columns: Sequence[TargetArray]) -> Floats:
    """Return labels of arrays as float64 (samples, labels) of 0 and 1."""
    matrix = value_matrix(columns)
    for column, values in zip(columns, matrix.T, strict=True):
        wrong = (values != 0) & (values != 1)
        if wrong.any():
            row = int(np.argmax(wrong))
            raise column.error(row, f"must be 0 or 1, got {name_of(values[row])}")
    return matrix


def value_matrix(columns: Sequence[TargetArray]) -> Floats:
    """Return columns of finite numbers of arrays as float64 (samples, columns)."""
    return np.stack([column.numbers() for column in columns], axis=1)

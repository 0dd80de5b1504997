"""The targets of a source: which they are, their task, and their values as numbers.

`table_targets` and `array_targets` read the values, `target_kinds` infers the task.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fastmlp.data.array_targets import class_codes, target_arrays, value_matrix
from fastmlp.data.cells import listed
from fastmlp.data.columns import CategoryColumn, Column
from fastmlp.data.options import Options
from fastmlp.data.preprocessing import Preprocessing
from fastmlp.data.schema import require_options_fit
from fastmlp.data.table import Part, Problems, RawData, Table
from fastmlp.data.table_targets import (
    TableTarget,
    column_codes,
    find_targets,
    labeled_rows,
    learn_target,
    values_of_columns,
)
from fastmlp.data.target_kinds import MOST_NUMERIC_CLASSES, infer_task, require_task
from fastmlp.errors import FormatError

__all__ = ["Targets", "known_targets", "learn_targets", "refuse_column_options"]

_WHOLE = re.compile("0|-?[1-9][0-9]{0,17}")

Indices = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Targets:
    """The targets of all samples of the training source.

    Attributes
    ----------
    task : {"classification", "multilabel", "regression"}
        Kind of the targets.
    names : tuple of str
        Names of the targets.
    label : str
        Name of the first one in messages.
    codes : int64 array of shape (samples,) or None
        Classes counted from 0; None for other tasks.
    values : float64 array of shape (samples, targets) or None
        Labels or quantities, unscaled; None for classes, and where a model is known.
    class_names : tuple of str or None
        Names of the classes or labels.
    named : bool
        Whether the source has names for the classes and counts them from 0.
    label_type : {"text", "integer", "number", "boolean"}
        Type of the classes in the source.
    schema : tuple of columns or None
        Columns of a table.
    """

    task: str
    names: tuple[str, ...]
    label: str
    codes: Indices | None = None
    values: Floats | None = None
    class_names: tuple[str, ...] | None = None
    named: bool = False
    label_type: str = "text"
    schema: tuple[Column, ...] | None = None

    def require_training(self, raw: RawData, train: Indices) -> None:
        """Raise unless at least two classes exist and each has a sample in the training part."""
        if self.named or self.codes is None or self.class_names is None:
            return
        if len(self.class_names) < 2:
            raise ValueError(
                f"{self.label} must hold two or more classes, "
                f"got {listed(map(repr, self.class_names))}"
            )
        lost = ~np.isin(self.codes, self.codes[train])
        if lost.any():
            row = int(np.argmax(lost))
            problem = (
                f"class {self.class_names[self.codes[row]]!r} does not occur in the training "
                "part; with stratify (--stratify) one sample of each class stays there"
            )
            table = raw.train.x
            if isinstance(table, Table):
                raise table.error(row, self.names[0], problem)
            raise FormatError(f"{self.label}: {problem} at [{row}]")


def learn_targets(
    raw: RawData, options: Options, notes: list[str], whole: Part | None = None
) -> tuple[RawData, Targets]:
    """Find the targets of a source and their task.

    Parameters
    ----------
    raw : RawData
        Contents of the source.
    options : Options
        What the user says about the targets.
    notes : list of str
        Decisions that the options did not make are added to it.
    whole : Part, optional
        Samples that decide the task and how targets are read, if the source is a part of them.
        Classes are those of the source.

    Returns
    -------
    raw : RawData
        The source without the rows of its tables that lack a target, unless ``missing="error"``.
    targets : Targets
        The targets of its training part.

    Raises
    ------
    FormatError
        A target is missing or cannot be read.
    ValueError
        The options do not fit the source, or the targets do not suit the task.
    """
    table = raw.train.x
    if not isinstance(table, Table):
        refuse_column_options(options, raw.name)
        return raw, _of_arrays(raw, options, notes, raw.train if whole is None else whole)
    require_options_fit(table, options)
    seen = table if whole is None else whole.x
    assert isinstance(seen, Table)
    columns = [learn_target(seen, name, options) for name in find_targets(seen, options)]
    if options.missing != "error":
        raw = _labeled(raw, {column.name: column.missing_tokens for column in columns}, notes)
    assert isinstance(raw.train.x, Table)
    if whole is None:
        columns = [replace(column, table=raw.train.x) for column in columns]
    return raw, _of_table(raw, raw.train.x, columns, options, notes)


def known_targets(
    raw: RawData, options: Options, preprocessing: Preprocessing, notes: list[str]
) -> tuple[RawData, Targets]:
    """Return the targets as a model reads them; see `learn_targets`."""
    if options.missing != "error" and isinstance(raw.train.x, Table):
        schema = preprocessing.target_schema or ()
        raw = _labeled(raw, {column.name: column.missing for column in schema}, notes)
    y = preprocessing.targets(raw.train, raw.class_names)
    return raw, Targets(
        preprocessing.task,
        preprocessing.target_columns or ("y",),
        "y",
        y if preprocessing.task == "classification" else None,
        None,
        preprocessing.class_names,
        named=True,
        schema=preprocessing.target_schema,
    )


def _labeled(raw: RawData, tokens: Mapping[str, Sequence[str]], notes: list[str]) -> RawData:
    """Return a source without the rows of its tables that lack a target."""

    def labeled(part: Part) -> Part:
        return Part(labeled_rows(part.x, tokens)) if isinstance(part.x, Table) else part

    train = labeled(raw.train)
    left = len(raw.train.x) - len(train.x)
    if left:
        notes.append(f"target: {left} of {len(raw.train.x)} rows have none and are left out")
    return replace(raw, train=train, test=None if raw.test is None else labeled(raw.test))


def _of_table(
    raw: RawData, table: Table, columns: Sequence[TableTarget], options: Options, notes: list[str]
) -> Targets:
    names = tuple(column.name for column in columns)
    if not options.target:
        notes.append(f"target: column {names[0]!r}")
    known = raw.task if options.task == "auto" else options.task
    task = infer_task(columns) if known is None else known
    require_task(task, columns, asked=known is not None)
    schema = tuple(replace(column, table=table).column(task) for column in columns)
    label = columns[0].label
    if task != "classification":
        values, problems = values_of_columns(table, schema)
        if len(problems):
            raise problems.error()
        _note_task(known, task, notes, names, values)
        labels = names if task == "multilabel" else None
        return Targets(task, names, label, None, values, labels, schema=schema)
    problems = Problems(table)
    codes = column_codes(table, schema[0], problems)
    if len(problems):
        raise problems.error()
    assert isinstance(schema[0], CategoryColumn)
    classes = schema[0].categories
    _note_task(known, task, notes, names, None, len(classes))
    label_type = columns[0].label_type
    if table.is_untyped and all(map(_WHOLE.fullmatch, columns[0].names())):
        label_type = "integer"  # written as Python writes them, so that nothing is lost
    return Targets(task, names, label, codes, None, classes, label_type=label_type, schema=schema)


def _of_arrays(raw: RawData, options: Options, notes: list[str], whole: Part) -> Targets:
    columns, seen = target_arrays(raw.train), target_arrays(whole)
    for column in columns:
        column.refuse_missing()
    known = raw.task if options.task == "auto" else options.task
    task = infer_task(seen) if known is None else known
    require_task(task, seen, asked=known is not None)
    names = tuple(column.name for column in columns)
    if task == "classification":
        named = raw.class_names is not None
        classes = raw.class_names or columns[0].names()
        codes = class_codes(columns[0], classes, indices=named)
        _note_task(known, task, notes, names, None, len(classes))
        label_type = "text" if named else seen[0].label_type
        return Targets(task, names, columns[0].label, codes, None, classes, named, label_type)
    values = value_matrix(columns)
    _note_task(known, task, notes, names, values)
    labels = None
    if task == "multilabel":
        labels = raw.class_names or tuple(str(j) for j in range(len(columns)))
    return Targets(task, names, columns[0].label, None, values, labels)


def _note_task(
    known: str | None,
    task: str,
    notes: list[str],
    names: Sequence[str],
    values: Floats | None,
    classes: int = 0,
) -> None:
    if known is not None:
        return
    shown = listed(map(repr, names))
    if task == "classification":
        notes.append(f"task: classification, {classes} classes of {shown}")
        return
    doubt = ""
    if values is not None and values.shape[1] == 1 and (values == np.floor(values)).all():
        count = len(np.unique(values))
        doubt = (
            f" ({count} different whole numbers; up to {MOST_NUMERIC_CLASSES} would be classes, "
            "as they are with --task classification)"
        )
    notes.append(f"task: {task} of {shown}{doubt}")


def refuse_column_options(options: Options, name: str) -> None:
    """Raise ValueError for options that apply to tables only."""
    for column, option in options.named.items():
        raise ValueError(f"{option} names columns of a table ({column!r}), but {name} holds arrays")
    defaults = Options()
    for option in ("missing", "missing_token", "decimal", "thousands"):
        if getattr(options, option) not in (getattr(defaults, option), "error"):
            raise ValueError(f"{option} is for tables, but {name} holds arrays")

"""Preparation of a source: arrays for training, validation and test, and their `Preprocessing`.

`prepare` splits the samples into parts and learns the preprocessing from the training part alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.data.arrays import plain_inputs, refuse_non_finite
from fastmlp.data.cells import PLAIN, NumberFormat, listed
from fastmlp.data.columns import CategoryColumn, Column, encode_table, rows_of_unknown_categories
from fastmlp.data.inference import find_kind
from fastmlp.data.moments import column_moments
from fastmlp.data.options import TEST_FRACTION, VALIDATION_FRACTION, Options
from fastmlp.data.preprocessing import Preprocessing
from fastmlp.data.schema import Schema, learn_columns, require_options_fit
from fastmlp.data.split import split
from fastmlp.data.table import Part, Problems, RawData, Table
from fastmlp.data.targets import (
    MOST_NUMERIC_CLASSES,
    class_codes,
    column_codes,
    find_targets,
    infer_task,
    labeled_rows,
    learn_target,
    require_task,
    target_arrays,
    value_matrix,
    values_of_columns,
)
from fastmlp.errors import FormatError

__all__ = ["Prepared", "Samples", "prepare", "refuse_column_options"]

_SEPARATORS = (None, ",", ";", "\t", "|")
_WHOLE = re.compile("0|-?[1-9][0-9]{0,17}")

Indices = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class Samples:
    """Samples with targets, as arrays for a network.

    Attributes
    ----------
    x : array of shape (samples, features)
        uint8, float32 or float64.
    y : int64 array of shape (samples,), or float64 array of shape (samples, outputs)
        Classes counted from 0; or labels 0 and 1; or values.
    weight : float64 array of shape (samples,) or None
        Weights of the samples; None: all are 1.

    Examples
    --------
    >>> import fastmlp, numpy
    >>> samples = fastmlp.data.Samples(numpy.zeros((3, 2)), numpy.array([0, 1, 1]))
    >>> samples, len(samples)
    (Samples(x=(3, 2), y=(3,)), 3)
    """

    x: NDArray[Any]
    y: NDArray[Any]
    weight: Floats | None = None

    def __len__(self) -> int:
        return len(self.x)

    def __repr__(self) -> str:
        weight = "" if self.weight is None else f", weight={self.weight.shape}"
        return f"Samples(x={self.x.shape}, y={self.y.shape}{weight})"

    def as_tuple(self) -> tuple[NDArray[Any], NDArray[Any], Floats | None]:
        """Return (x, y, weight), the form of the ``validation_data`` of `MLP.fit`."""
        return self.x, self.y, self.weight


@dataclass(frozen=True, eq=False, repr=False)
class Prepared:
    """The parts of a source, ready for training, and their preprocessing.

    Attributes
    ----------
    name : str
        Name of the source.
    task : {"classification", "multilabel", "regression"}
        Kind of the targets.
    preprocessing : Preprocessing
        Preprocessing that was learned from the training part, for new samples.
    train : Samples
        Training part.
    validation, test : Samples or None
        Validation part and test part; None: the part has no samples.
    input_scale : float
        Factor for the network's inputs: 1/255 for bytes, else 1.
    sha256 : dict of str to str
        Digest of each file of the source.
    notes : tuple of str
        Decisions that the options did not make, one line each.

    Examples
    --------
    >>> import fastmlp
    >>> fastmlp.data.prepare(fastmlp.data.read("sine"), fastmlp.data.Options())
    Prepared('sine', 'regression', train=720, validation=80, test=200)
    """

    name: str
    task: str
    preprocessing: Preprocessing
    train: Samples
    validation: Samples | None
    test: Samples | None
    input_scale: float
    sha256: dict[str, str]
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        parts = (("train", self.train), ("validation", self.validation), ("test", self.test))
        sizes = ", ".join(f"{name}={len(part)}" for name, part in parts if part is not None)
        return f"Prepared({self.name!r}, {self.task!r}, {sizes})"


def prepare(raw: RawData, options: Options, preprocessing: Preprocessing | None = None) -> Prepared:
    """Find the targets, split the samples into parts, and learn the preprocessing.

    Arrays that need neither a split nor a change are passed on without a copy.

    Parameters
    ----------
    raw : RawData
        Result of `read`.
    options : Options
        Choices; each has a default.
    preprocessing : Preprocessing, optional
        Preprocessing of a model, which is applied instead of learning one.

    Returns
    -------
    Prepared
        Training, validation and test part with the preprocessing.

    Raises
    ------
    FormatError
        Values are missing or cannot be used; the message names the first places.
    ValueError
        The options do not fit the source; the message names the option.

    Examples
    --------
    >>> import fastmlp
    >>> raw = fastmlp.data.read("moons")
    >>> prepared = fastmlp.data.prepare(raw, fastmlp.data.Options(test_fraction=0.5))
    >>> prepared
    Prepared('moons', 'classification', train=450, validation=50, test=500)
    >>> prepared.preprocessing.class_names
    ('upper', 'lower')
    """
    notes: list[str] = []
    raw = _with_targets(raw, options, preprocessing, notes)
    if preprocessing is None:
        learned = _learn_targets(raw, options, notes)
    else:
        learned = _known_targets(raw, preprocessing)
    parts = _split(raw, options, learned.codes, notes)
    if isinstance(raw.train.x, Table):
        x, preprocessing = _prepare_table(raw, options, learned, parts, preprocessing, notes)
    else:
        x, preprocessing = _prepare_arrays(raw, options, learned, parts, preprocessing, notes)
    del learned  # its targets are not needed beside those of the samples
    samples = _samples(raw, preprocessing, x, parts)
    if preprocessing.unknown_categories == "ignore":
        _note_unknown_categories(raw, preprocessing, parts, notes)
    return Prepared(
        name=raw.name,
        task=preprocessing.task,
        preprocessing=preprocessing,
        train=samples["train"],
        validation=samples.get("validation"),
        test=samples.get("test"),
        input_scale=1.0 / 255.0 if samples["train"].x.dtype == np.uint8 else 1.0,
        sha256=raw.sha256,
        notes=tuple(notes),
    )


# ---------------------------------------------------------------- targets


def _with_targets(
    raw: RawData, options: Options, preprocessing: Preprocessing | None, notes: list[str]
) -> RawData:
    """Return the source without the rows of its tables that have no target."""
    table = raw.train.x
    if options.missing == "error" or not isinstance(table, Table):
        return raw
    if preprocessing is None:
        require_options_fit(table, options)
        names = find_targets(table, options)
        tokens = {name: learn_target(table, name, options).missing_tokens for name in names}
    else:
        schema = preprocessing.target_schema or ()
        tokens = {column.name: column.missing for column in schema}
    raw = replace(raw, train=Part(labeled_rows(table, tokens)))
    if raw.test is not None and isinstance(raw.test.x, Table):
        raw = replace(raw, test=Part(labeled_rows(raw.test.x, tokens)))
    left = len(table) - len(raw.train.x)
    if left:
        notes.append(f"target: {left} of {len(table)} rows have none and are left out")
    return raw


@dataclass(frozen=True)
class _Targets:
    """The targets of all samples of the training source.

    `codes` are classes, `values` other targets, unscaled. `named`: the source has names for the
    classes and counts them from 0. `schema` describes the columns of a table.
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


def _learn_targets(raw: RawData, options: Options, notes: list[str]) -> _Targets:
    if isinstance(raw.train.x, Table):
        return _targets_of_table(raw, raw.train.x, options, notes)
    refuse_column_options(options, raw.name)
    return _targets_of_arrays(raw, options, notes)


def _targets_of_table(raw: RawData, table: Table, options: Options, notes: list[str]) -> _Targets:
    require_options_fit(table, options)
    notes.extend(table.notes)
    names = find_targets(table, options)
    if not options.target:
        notes.append(f"target: column {names[0]!r}")
    columns = [learn_target(table, name, options) for name in names]
    known = raw.task if options.task == "auto" else options.task
    task = infer_task(columns) if known is None else known
    require_task(task, columns, asked=known is not None)
    schema = tuple(column.column(task) for column in columns)
    label = columns[0].label
    if task != "classification":
        values, problems = values_of_columns(table, schema)
        if len(problems):
            raise problems.error()
        _note_task(known, task, notes, names, values)
        labels = names if task == "multilabel" else None
        return _Targets(task, names, label, None, values, labels, schema=schema)
    problems = Problems(table)
    codes = column_codes(table, schema[0], problems)
    if len(problems):
        raise problems.error()
    assert isinstance(schema[0], CategoryColumn)
    classes = schema[0].categories
    _note_task(known, task, notes, names, None, len(classes))
    label_type = columns[0].label_type
    if table.is_untyped and all(map(_WHOLE.fullmatch, classes)):
        label_type = "integer"  # written as Python writes them, so that nothing is lost
    return _Targets(task, names, label, codes, None, classes, label_type=label_type, schema=schema)


def _targets_of_arrays(raw: RawData, options: Options, notes: list[str]) -> _Targets:
    columns = target_arrays(raw.train)
    for column in columns:
        column.refuse_missing()
    known = raw.task if options.task == "auto" else options.task
    task = infer_task(columns) if known is None else known
    require_task(task, columns, asked=known is not None)
    names = tuple(column.name for column in columns)
    if task == "classification":
        named = raw.class_names is not None
        classes = raw.class_names or columns[0].names()
        codes = class_codes(columns[0], classes, indices=named)
        _note_task(known, task, notes, names, None, len(classes))
        label_type = "text" if named else columns[0].label_type
        return _Targets(task, names, columns[0].label, codes, None, classes, named, label_type)
    values = value_matrix(columns)
    _note_task(known, task, notes, names, values)
    labels = None
    if task == "multilabel":
        labels = raw.class_names or tuple(str(j) for j in range(len(columns)))
    return _Targets(task, names, columns[0].label, None, values, labels)


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


def _known_targets(raw: RawData, preprocessing: Preprocessing) -> _Targets:
    """Return the targets as a model reads them."""
    y = preprocessing.targets(raw.train, raw.class_names)
    classes = preprocessing.task == "classification"
    return _Targets(
        preprocessing.task,
        preprocessing.target_columns or ("y",),
        "y",
        y if classes else None,
        None,
        preprocessing.class_names,
        named=True,
        schema=preprocessing.target_schema,
    )


def refuse_column_options(options: Options, name: str) -> None:
    """Raise ValueError for options that apply to tables only."""
    for column, option in options.named.items():
        raise ValueError(f"{option} names columns of a table ({column!r}), but {name} holds arrays")
    defaults = Options()
    for option in ("missing", "missing_token", "decimal", "thousands"):
        if getattr(options, option) not in (getattr(defaults, option), "error"):
            raise ValueError(f"{option} is for tables, but {name} holds arrays")


# ---------------------------------------------------------------- parts


def _split(
    raw: RawData, options: Options, codes: Indices | None, notes: list[str]
) -> dict[str, Indices]:
    """Return the positions of the samples of each part; parts without samples are left out."""
    own_test = raw.test is not None
    if own_test and options.test_fraction:
        raise ValueError(
            f"test_fraction must be 0 or left out, as {raw.name} has a test part of its own, "
            f"got {options.test_fraction}"
        )
    labels = codes if options.stratify else None
    train = np.arange(len(raw.train.x))
    parts: dict[str, Indices] = {}
    wanted = (
        ("test", options.test_fraction, TEST_FRACTION),
        ("validation", options.validation_fraction, VALIDATION_FRACTION),
    )
    for draw, (part, asked, usual) in enumerate(wanted):
        fraction = asked if asked is not None else 0.0 if own_test else usual
        own_labels = None if labels is None else labels[train]
        rest, taken = split(len(train), own_labels, fraction, options.split_seed, draw=draw)
        if len(taken):
            parts[part], train = train[taken], train[rest]
        elif fraction and asked is not None:
            raise ValueError(
                f"{part}_fraction must be 0: of {len(train)} samples none can be spared for it"
            )
        elif fraction:
            notes.append(f"split: no sample can be spared for {part}")
    parts["train"] = train
    inferred = options.test_fraction is None or options.validation_fraction is None
    if len(parts) > 1 and inferred:
        counts = (f"{len(parts[p])} for {p}" for p in ("validation", "test") if p in parts)
        notes.append(f"split: {len(train)} samples for training, {', '.join(counts)}")
    return parts


def _rows(array: NDArray[Any], rows: Indices) -> NDArray[Any]:
    """Return rows of an array; the array itself if these are all of its rows."""
    return array if len(rows) == len(array) else array[rows]


# ---------------------------------------------------------------- inputs


def _prepare_table(
    raw: RawData,
    options: Options,
    targets: _Targets,
    parts: Mapping[str, Indices],
    preprocessing: Preprocessing | None,
    notes: list[str],
) -> tuple[dict[str, NDArray[Any]], Preprocessing]:
    """Return the inputs of each part, not yet standardized, and the preprocessing."""
    table = raw.train.x
    assert isinstance(table, Table)
    schema = None
    if preprocessing is None:
        targets.require_training(raw, parts["train"])
        schema = learn_columns(table, options, targets.names, parts["train"])
        notes.extend(schema.notes)
        columns, unknown = schema.columns, options.unknown_categories
    else:
        columns, unknown = preprocessing.columns or (), preprocessing.unknown_categories
    x: dict[str, NDArray[Any]] = {}
    problems = Problems(table)
    for part, rows in parts.items():
        x[part], found = encode_table(table, columns, unknown, rows)
        problems.absorb(found)
    if len(problems):
        raise problems.error(_hints(options, unknown))
    if preprocessing is None:
        assert schema is not None
        preprocessing = _learned(raw, options, targets, parts["train"], x["train"], schema, notes)
    return x, preprocessing


def _hints(options: Options, unknown: str) -> list[str]:
    hints = []
    if options.missing == "error":
        hints.append("missing values are filled with --missing auto")
    if unknown == "error":
        hints.append("unknown categories pass with --unknown-categories ignore")
    return hints


def _prepare_arrays(
    raw: RawData,
    options: Options,
    targets: _Targets,
    parts: Mapping[str, Indices],
    preprocessing: Preprocessing | None,
    notes: list[str],
) -> tuple[dict[str, NDArray[Any]], Preprocessing]:
    array = plain_inputs(raw.train.x)
    refuse_non_finite(array)
    x = {part: _rows(array, rows) for part, rows in parts.items()}
    if preprocessing is None:
        targets.require_training(raw, parts["train"])
        preprocessing = _learned(raw, options, targets, parts["train"], x["train"], None, notes)
    return x, preprocessing


def _learned(
    raw: RawData,
    options: Options,
    targets: _Targets,
    train: Indices,
    x: NDArray[Any],
    schema: Schema | None,
    notes: list[str],
) -> Preprocessing:
    """Return the preprocessing that the training part makes."""
    table = raw.train.x if isinstance(raw.train.x, Table) else None
    regression = targets.task == "regression"
    source_names = None
    if table is not None and not table.header:
        source_names = tuple(table.names)
    separator = None if table is None or table.separator in _SEPARATORS else table.separator
    encoding = None if table is None or table.encoding == "utf-8" else table.encoding
    return Preprocessing(
        task=targets.task,
        features=x.shape[1],
        columns=None if schema is None else schema.columns,
        unknown_categories=options.unknown_categories,
        feature_names=raw.feature_names if schema is None else None,
        image_shape=raw.image_shape,
        class_names=targets.class_names,
        target_schema=targets.schema,
        indexed_classes=targets.named,
        label_type=targets.label_type,
        target_names=targets.names if regression else None,
        weight=options.sample_weight,
        weight_format=_weight_format(table, options),
        left_out=() if schema is None else schema.left_out,
        source_names=source_names,
        encoding=encoding,
        separator=separator,
        **_learned_inputs(options, x, notes),
        **(_learned_targets(options, targets, train) if regression else {}),
    )


def _weight_format(table: Table | None, options: Options) -> NumberFormat:
    """Return how the weights are written; what is no number is reported where they are read."""
    name = options.sample_weight
    if table is None or name is None:
        return PLAIN
    found = find_kind(name, table.columns[name], (), options.number_format)
    return found.format if found.kind == "number" else PLAIN


def _learned_inputs(options: Options, x: NDArray[Any], notes: list[str]) -> dict[str, Any]:
    standardized = x.dtype != np.uint8 if options.standardize is None else options.standardize
    if not standardized:
        return {}
    mean, scale = column_moments(x)
    usable = np.isfinite(mean) & np.isfinite(scale)
    if not usable.all():
        raise ValueError(
            f"standardize must be off: input {int(np.argmin(usable))} (counted from 0) holds "
            "numbers that are too large for a mean and a standard deviation"
        )
    if options.standardize is None:
        notes.append("inputs: standardized to mean 0 and standard deviation 1")
    return {"input_mean": mean, "input_scale": scale}


def _learned_targets(options: Options, targets: _Targets, train: Indices) -> dict[str, Any]:
    if not options.standardize_target:
        return {}
    assert targets.values is not None
    mean, scale = column_moments(targets.values[train])
    if not (np.isfinite(mean).all() and np.isfinite(scale).all()):
        raise ValueError("standardize_target must be off: targets are too large for a mean")
    return {"target_mean": mean, "target_scale": scale}


# ---------------------------------------------------------------- samples


def _samples(
    raw: RawData,
    preprocessing: Preprocessing,
    x: Mapping[str, NDArray[Any]],
    parts: Mapping[str, Indices],
) -> dict[str, Samples]:
    y = preprocessing.targets(raw.train, raw.class_names)
    weights = preprocessing.weights(raw.train)
    samples = {}
    for part, rows in parts.items():
        given = raw.train.x
        own = isinstance(given, Table) or not np.may_share_memory(x[part], given)
        samples[part] = Samples(
            preprocessing.standardized(x[part], in_place=own),
            _rows(y, rows),
            None if weights is None else _rows(weights, rows),
        )
    if raw.test is not None:
        samples["test"] = Samples(
            preprocessing.inputs(raw.test.x),
            preprocessing.targets(raw.test, raw.class_names),
            preprocessing.weights(raw.test),
        )
    for part, made in samples.items():
        if made.weight is not None and not made.weight.any():
            raise ValueError(
                f"sample_weight must not be 0 throughout: {preprocessing.weight!r} is in the "
                f"{part} part"
            )
    return samples


def _note_unknown_categories(
    raw: RawData, preprocessing: Preprocessing, parts: Mapping[str, Indices], notes: list[str]
) -> None:
    columns = preprocessing.columns or ()
    unknown = {}
    if isinstance(raw.train.x, Table):
        affected = rows_of_unknown_categories(raw.train.x, columns)
        unknown = {part: affected[rows] for part, rows in parts.items()}
    if raw.test is not None and isinstance(raw.test.x, Table):
        unknown["test"] = rows_of_unknown_categories(raw.test.x, columns)
    shares = [
        f"{int(unknown[part].sum())} of {len(unknown[part])} {part} samples"
        for part in ("validation", "test")
        if part in unknown and unknown[part].any()
    ]
    if shares:
        notes.append(f"unknown categories: in {', '.join(shares)}")

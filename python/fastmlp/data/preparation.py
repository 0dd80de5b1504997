"""Preparation of a source: arrays for training, validation and test, and their `Preprocessing`.

`prepare` splits the samples into parts and learns the preprocessing from the training part alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.data.arrays import plain_inputs, refuse_non_finite
from fastmlp.data.cells import distinct_names, listed, missing_values, numeric_order
from fastmlp.data.columns import (
    ColumnEncoding,
    column_moments,
    encode_table,
    fit_column,
    rows_of_unknown_categories,
)
from fastmlp.data.options import (
    TEST_FRACTION,
    VALIDATION_FRACTION,
    Options,
    Roles,
    refuse_column_options,
    table_roles,
)
from fastmlp.data.preprocessing import Preprocessing
from fastmlp.data.split import split
from fastmlp.data.table import (
    RawData,
    Table,
    number_column,
    refuse_missing,
    require_columns,
    row_error,
)
from fastmlp.data.targets import (
    TargetColumn,
    class_codes,
    infer_task,
    require_task,
    targets_of,
    value_matrix,
)

__all__ = ["Prepared", "Samples", "prepare"]

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


def prepare(raw: RawData, options: Options) -> Prepared:
    """Find the targets, split the samples into parts, and learn the preprocessing.

    Arrays that need neither a split nor a change are passed on without a copy.

    Parameters
    ----------
    raw : RawData
        Result of `read`.
    options : Options
        Choices; each has a default.

    Returns
    -------
    Prepared
        Training, validation and test part with the preprocessing.

    Raises
    ------
    FormatError
        A value is missing or cannot be used; the message names the place.
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
    roles = _roles(raw, options, notes)
    columns = targets_of(raw.train, roles.targets)
    task = _task(raw, options, columns, notes)
    classes = _classes(raw, columns[0]) if task == "classification" else None
    parts = _split(raw, options, classes, notes)
    encoded, encodings = _encoded(raw, options, roles, parts["train"], notes)
    x = {part: _rows(encoded, rows) for part, rows in parts.items()}
    preprocessing = Preprocessing(
        task=task,
        features=encoded.shape[1],
        columns=encodings,
        unknown_categories=options.unknown_categories,
        feature_names=raw.feature_names if encodings is None else None,
        image_shape=raw.image_shape,
        **_learned_inputs(options, x["train"], notes),
        **_learned_outputs(raw, options, task, columns, classes, parts["train"]),
    )
    samples = _samples(raw, roles, preprocessing, x, parts)
    if options.unknown_categories == "ignore":
        _note_ignored_categories(raw, preprocessing, parts, notes)
    return Prepared(
        name=raw.name,
        task=task,
        preprocessing=preprocessing,
        train=samples["train"],
        validation=samples.get("validation"),
        test=samples.get("test"),
        input_scale=1.0 / 255.0 if samples["train"].x.dtype == np.uint8 else 1.0,
        sha256=raw.sha256,
        notes=tuple(notes),
    )


def _roles(raw: RawData, options: Options, notes: list[str]) -> Roles:
    if not isinstance(raw.train.x, Table):
        refuse_column_options(options, raw.name)
        return Roles((), (), None)
    roles = table_roles(raw.train.x, options)
    if not options.target:
        notes.append(f"target: column {roles.targets[0]!r}")
    return roles


def _task(raw: RawData, options: Options, columns: Sequence[TargetColumn], notes: list[str]) -> str:
    for column in columns:
        column.refuse_missing()
    known = raw.task if options.task == "auto" else options.task
    task = infer_task(columns) if known is None else known
    require_task(task, columns)
    if known is None:
        names = [repr(column.name) for column in columns]
        if task == "classification":
            count = len(raw.class_names or distinct_names(columns[0].values))
            notes.append(f"task: classification, {count} classes of {names[0]}")
        else:
            notes.append(f"task: {task} of {listed(names)}")
    return task


@dataclass(frozen=True)
class _Classes:
    """Classes of all samples. `named`: the source has names for them and counts them from 0."""

    names: tuple[str, ...]
    codes: Indices
    named: bool

    def require_training(self, column: TargetColumn, train: Indices) -> None:
        """Raise unless at least two classes exist and each has a sample in the training part."""
        if self.named:
            return
        if len(self.names) < 2:
            raise ValueError(
                f"{column.label} must hold two or more classes, got {listed(map(repr, self.names))}"
            )
        lost = ~np.isin(self.codes, self.codes[train])
        if lost.any():
            row = int(np.argmax(lost))
            raise column.error(
                row,
                f"class {self.names[self.codes[row]]!r} does not occur in the training part; with "
                "stratify (--stratify) one sample of each class stays there",
            )


def _classes(raw: RawData, column: TargetColumn) -> _Classes:
    named = raw.class_names is not None and column.table is None
    names = raw.class_names if named else None
    if names is None:
        names = numeric_order(distinct_names(column.values))
    return _Classes(names, class_codes(column, names, indices=named), named)


def _split(
    raw: RawData, options: Options, classes: _Classes | None, notes: list[str]
) -> dict[str, Indices]:
    """Return the positions of the samples of each part; parts without samples are left out."""
    own_test = raw.test is not None
    if own_test and options.test_fraction:
        raise ValueError(
            f"test_fraction must be 0 or left out, as {raw.name} has a test part of its own, "
            f"got {options.test_fraction}"
        )
    labels = classes.codes if classes is not None and options.stratify else None
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


# ---------------------------------------------------------------- learning from the training part


def _encoded(
    raw: RawData, options: Options, roles: Roles, train: Indices, notes: list[str]
) -> tuple[NDArray[Any], tuple[ColumnEncoding, ...] | None]:
    """Return all samples as numbers, and the encodings of the columns of a table or None."""
    table = raw.train.x
    if not isinstance(table, Table):
        array = plain_inputs(table)
        refuse_non_finite(array)
        return array, None
    if options.impute == "error":
        hint = "; fill the gaps with impute (--impute mean, median or most_frequent)"
        refuse_missing(table, roles.features, hint)
    else:
        gaps = sum(int(missing_values(table.columns[name]).sum()) for name in roles.features)
        if gaps:
            notes.append(f"impute: {gaps} missing values replaced")
    encodings = tuple(fit_column(table, name, train, options.impute) for name in roles.features)
    texts = [f"{e.name!r} as {len(e.categories)} inputs" for e in encodings if e.categories]
    if texts:
        notes.append(f"text: {listed(texts)}, one for each value")
    return encode_table(table, encodings, options.unknown_categories), encodings


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


def _learned_outputs(
    raw: RawData,
    options: Options,
    task: str,
    columns: Sequence[TargetColumn],
    classes: _Classes | None,
    train: Indices,
) -> dict[str, Any]:
    names = tuple(column.name for column in columns)
    tabular = columns[0].table is not None
    if classes is not None:
        classes.require_training(columns[0], train)
        return {
            "class_names": classes.names,
            "class_column": names[0] if tabular else None,
            "indexed_classes": classes.named,
        }
    if task == "multilabel":
        if not tabular:
            names = raw.class_names or tuple(str(j) for j in range(len(columns)))
        return {"class_names": names}
    learned: dict[str, Any] = {"target_names": names}
    if options.standardize_target:
        mean, scale = column_moments(value_matrix(columns)[train])
        if not (np.isfinite(mean).all() and np.isfinite(scale).all()):
            raise ValueError("standardize_target must be off: targets are too large for a mean")
        learned |= {"target_mean": mean, "target_scale": scale}
    return learned


# ---------------------------------------------------------------- samples


def _samples(
    raw: RawData,
    roles: Roles,
    preprocessing: Preprocessing,
    x: Mapping[str, NDArray[Any]],
    parts: Mapping[str, Indices],
) -> dict[str, Samples]:
    y = preprocessing.targets(raw.train)
    weights = _weights(raw.train.x, roles.weight)
    samples = {}
    for part, rows in parts.items():
        given = raw.train.x
        own = isinstance(given, Table) or not np.may_share_memory(x[part], given)
        samples[part] = Samples(
            preprocessing.standardized(x[part], in_place=own),
            _rows(y, rows),
            None if weights is None else _rows(weights, rows),
        )
    weight = samples["train"].weight
    if weight is not None and not weight.any():
        raise ValueError(f"sample_weight must not be 0 throughout: {roles.weight!r} is")
    if raw.test is not None:
        samples["test"] = Samples(
            preprocessing.inputs(raw.test.x),
            preprocessing.targets(raw.test),
            _weights(raw.test.x, roles.weight),
        )
    return samples


def _note_ignored_categories(
    raw: RawData, preprocessing: Preprocessing, parts: Mapping[str, Indices], notes: list[str]
) -> None:
    encodings = preprocessing.columns or ()
    unknown = {}
    if isinstance(raw.train.x, Table):
        affected = rows_of_unknown_categories(raw.train.x, encodings)
        unknown = {part: affected[rows] for part, rows in parts.items()}
    if raw.test is not None and isinstance(raw.test.x, Table):
        unknown["test"] = rows_of_unknown_categories(raw.test.x, encodings)
    shares = [
        f"{int(unknown[part].sum())} of {len(unknown[part])} {part} samples"
        for part in ("validation", "test")
        if part in unknown and unknown[part].any()
    ]
    if shares:
        notes.append(f"unknown_categories: ignored in {', '.join(shares)}")


def _weights(x: Table | NDArray[Any], name: str | None) -> Floats | None:
    if name is None or not isinstance(x, Table):
        return None
    require_columns(x, [name])
    refuse_missing(x, [name])
    weights = number_column(x, name)
    if weights.min() < 0:
        row = int(np.argmax(weights < 0))
        raise row_error(x, row, name, f"a sample's weight must be >= 0, got {weights[row]:g}")
    return weights

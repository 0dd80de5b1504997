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
from fastmlp.data.cells import PLAIN, NumberFormat
from fastmlp.data.columns import Column, quantities_of
from fastmlp.data.heading import USUAL_SEPARATORS
from fastmlp.data.inference import find_kind
from fastmlp.data.moments import column_moments, column_quartiles, shared_deviation
from fastmlp.data.normal_map import NormalMap
from fastmlp.data.options import TEST_FRACTION, VALIDATION_FRACTION, Options
from fastmlp.data.preprocessing import Preprocessing
from fastmlp.data.schema import Schema, learn_columns
from fastmlp.data.source_rows import SourceRows, source_rows
from fastmlp.data.split import split
from fastmlp.data.table import Part, Problems, RawData, Table
from fastmlp.data.table_inputs import encode_table, rows_of_unknown_categories
from fastmlp.data.targets import Targets, known_targets, learn_targets
from fastmlp.streams import Source

__all__ = ["Prepared", "Samples", "prepare", "samples_of"]


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
    source : SourceRows or None
        Where samples of a table come from; None: it is not known, or they are no rows of a table.

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
    source: SourceRows | None = None

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
        Training part; with `stream` those samples of it that the preprocessing was learned from.
    validation, test : Samples or None
        Validation part and test part; None: the part has no samples.
    input_scale : float
        Factor for the network's inputs: 1/255 for bytes, else 1.
    sha256 : dict of str to str
        Digest of each file of the source.
    notes : tuple of str
        Decisions that the options did not make, one line each.
    stream : Source or None
        All samples of a training part that is not held in memory.

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
    stream: Source | None = None

    @property
    def sizes(self) -> dict[str, int]:
        """Numbers of samples of the parts "training", "validation" and "test" that exist."""
        parts = {"training": self.train, "validation": self.validation, "test": self.test}
        sizes = {name: len(part) for name, part in parts.items() if part is not None}
        if self.stream is not None:
            assert self.stream.samples is not None
            sizes["training"] = self.stream.samples
        return sizes

    def __repr__(self) -> str:
        names = {"training": "train"}
        sizes = ", ".join(f"{names.get(name, name)}={size}" for name, size in self.sizes.items())
        return f"Prepared({self.name!r}, {self.task!r}, {sizes})"


def prepare(
    raw: RawData,
    options: Options,
    preprocessing: Preprocessing | None = None,
    *,
    whole: Part | None = None,
) -> Prepared:
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
    whole : Part, optional
        Samples of which `raw` holds a part, as in a cross-validation. They decide what a schema
        has to read: the task, the kinds of columns and their formats. Everything else is learned
        from `raw`.

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
    if isinstance(raw.train.x, Table):
        notes.extend(raw.train.x.notes)
    if preprocessing is None:
        raw, targets = learn_targets(raw, options, notes, whole)
    else:
        raw, targets = known_targets(raw, options, preprocessing, notes)
    parts = _split(raw, options, targets.codes, notes)
    train = parts["train"]
    if preprocessing is not None:
        columns, unknown = preprocessing.columns or (), preprocessing.unknown_categories
        x = _inputs(raw, columns, unknown, parts, options)
    else:
        targets.require_training(raw, train)
        schema = _learned_schema(raw, options, targets.names, train, notes, whole)
        columns = () if schema is None else schema.columns
        x = _inputs(raw, columns, options.unknown_categories, parts, options)
        preprocessing = _learned(raw, options, targets, train, x["train"], schema, notes, whole)
    del targets  # its targets are not needed beside those of the samples
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


def _learned_schema(
    raw: RawData,
    options: Options,
    targets: Sequence[str],
    train: Indices,
    notes: list[str],
    whole: Part | None,
) -> Schema | None:
    """Return the columns of a table as its training part makes them; None for arrays."""
    if not isinstance(raw.train.x, Table):
        return None
    schema = learn_columns(raw.train.x, options, targets, train, _table_of(whole))
    notes.extend(schema.notes)
    return schema


def _inputs(
    raw: RawData,
    columns: Sequence[Column],
    unknown: str,
    parts: Mapping[str, Indices],
    options: Options,
) -> dict[str, NDArray[Any]]:
    """Return the inputs of each part, not yet standardized."""
    table = raw.train.x
    if not isinstance(table, Table):
        array = plain_inputs(table)
        refuse_non_finite(array)
        return {part: _rows(array, rows) for part, rows in parts.items()}
    x: dict[str, NDArray[Any]] = {}
    problems = Problems(table)
    for part, rows in parts.items():
        x[part], found = encode_table(table, columns, unknown, rows)
        problems.absorb(found)
    if len(problems):
        raise problems.error(_hints(options, unknown))
    return x


def _hints(options: Options, unknown: str) -> list[str]:
    hints = []
    if options.missing == "error":
        hints.append("missing values are filled with --missing auto")
    if unknown == "error":
        hints.append("unknown categories pass with --unknown-categories ignore")
    return hints


def _learned(
    raw: RawData,
    options: Options,
    targets: Targets,
    train: Indices,
    x: NDArray[Any],
    schema: Schema | None,
    notes: list[str],
    whole: Part | None,
) -> Preprocessing:
    """Return the preprocessing that the training part makes."""
    table = raw.train.x if isinstance(raw.train.x, Table) else None
    regression = targets.task == "regression"
    source_names = None
    if table is not None and not table.header:
        source_names = tuple(table.names)
    separator = None if table is None or table.separator in USUAL_SEPARATORS else table.separator
    encoding = None if table is None or table.encoding == "utf-8" else table.encoding
    columns = None if schema is None else schema.columns
    names = raw.feature_names
    if columns is not None:
        names = tuple(name for column in columns for name in column.feature_names)
    return Preprocessing(
        task=targets.task,
        features=x.shape[1],
        columns=columns,
        unknown_categories=options.unknown_categories,
        feature_names=names,
        image_shape=raw.image_shape,
        class_names=targets.class_names,
        target_schema=targets.schema,
        indexed_classes=targets.named,
        label_type=targets.label_type,
        target_names=targets.names if regression else None,
        weight=options.sample_weight,
        weight_format=_weight_format(_table_of(whole) or table, options),
        left_out=() if schema is None else schema.left_out,
        source_names=source_names,
        encoding=encoding,
        separator=separator,
        **_learned_inputs(options, x, columns, names, notes),
        **(_learned_targets(options, targets, train) if regression else {}),
    )


def _table_of(part: Part | None) -> Table | None:
    return part.x if part is not None and isinstance(part.x, Table) else None


def _weight_format(table: Table | None, options: Options) -> NumberFormat:
    """Return how the weights are written; what is no number is reported where they are read."""
    name = options.sample_weight
    if table is None or name is None:
        return PLAIN
    found = find_kind(name, table.columns[name], (), options.number_format)
    return found.format if found.kind == "number" else PLAIN


_SCALED_TO = {
    "standard": "standardized to mean 0 and standard deviation 1",
    "shared": "centered at their means and divided by one standard deviation of all inputs",
    "robust": "centered at the median and divided by the distance of the quartiles",
    "quantile": "mapped from their quantiles to those of the standard normal distribution",
}


def _learned_inputs(
    options: Options,
    x: NDArray[Any],
    columns: Sequence[Column] | None,
    names: Sequence[str] | None,
    notes: list[str],
) -> dict[str, Any]:
    robust = options.scaling in ("robust", "quantile")
    standardized = options.standardize
    if standardized is None:
        standardized = options.scaling != "standard" or x.dtype != np.uint8
    if not standardized:
        return {}
    mean, scale = column_quartiles(x) if robust else column_moments(x)
    usable = np.isfinite(mean) & np.isfinite(scale)
    if options.scaling == "quantile":
        with np.errstate(over="ignore", invalid="ignore"):
            usable &= np.isfinite((x.max(axis=0) - mean) / scale)
            usable &= np.isfinite((x.min(axis=0) - mean) / scale)
    if not usable.all():
        at = int(np.argmin(usable))
        where = f"input {at} (counted from 0)" if names is None else f"column {names[at]!r}"
        what = "quartiles" if robust else "a mean and a standard deviation"
        raise ValueError(
            f"standardize must be off (--no-standardize): {where} holds numbers that are too large "
            f"for {what}"
        )
    quantities = np.ones(len(mean), bool) if columns is None else quantities_of(columns)
    if robust or options.category_inputs == "code":
        mean, scale = np.where(quantities, mean, 0.0), np.where(quantities, scale, 1.0)
    if options.scaling == "shared" and quantities.any():
        scale[quantities] = shared_deviation(x[:, quantities], scale[quantities])
    if options.standardize is None:
        notes.append(f"inputs: {_SCALED_TO[options.scaling]}")
    learned = {"input_mean": mean, "input_scale": scale}
    return learned | (
        _learned_map(x, mean, scale, quantities) if options.scaling == "quantile" else {}
    )


def _learned_map(
    x: NDArray[Any], mean: NDArray[Any], scale: NDArray[Any], quantities: NDArray[np.bool_]
) -> dict[str, Any]:
    """Return the map of the scaled quantities; nothing if there are none."""
    if not quantities.any():
        return {}
    learned = NormalMap.of((x[:, at] - mean[at]) / scale[at] for at in np.flatnonzero(quantities))
    return {
        "input_quantiles": learned.quantiles,
        "normal_quantiles": learned.normal_quantiles,
    }


def _learned_targets(options: Options, targets: Targets, train: Indices) -> dict[str, Any]:
    assert targets.values is not None
    values = targets.values[train]
    learned: dict[str, Any] = {}
    if options.clamp_target:
        low, high = values.min(axis=0), values.max(axis=0)
        learned |= {"target_low": low.astype(np.float64), "target_high": high.astype(np.float64)}
    if not options.standardize_target:
        return learned
    mean, scale = column_moments(values)
    if not (np.isfinite(mean).all() and np.isfinite(scale).all()):
        raise ValueError(
            "standardize_target must be off (--no-standardize-target): targets are too large for a "
            "mean"
        )
    return learned | {"target_mean": mean, "target_scale": scale}


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
            _source(given, preprocessing, rows),
        )
    if raw.test is not None:
        samples["test"] = samples_of(raw.test, preprocessing, raw.class_names)
    for part, made in samples.items():
        if made.weight is not None and not made.weight.any():
            raise ValueError(
                f"sample_weight must not be 0 throughout: {preprocessing.weight!r} is in the "
                f"{part} part"
            )
    return samples


def samples_of(
    part: Part, preprocessing: Preprocessing, class_names: tuple[str, ...] | None = None
) -> Samples:
    """Return a part as arrays for the network; see `Preprocessing.targets` for `class_names`."""
    return Samples(
        preprocessing.inputs(part.x),
        preprocessing.targets(part, class_names),
        preprocessing.weights(part),
        _source(part.x, preprocessing),
    )


def _source(
    x: Table | NDArray[Any], preprocessing: Preprocessing, rows: Indices | None = None
) -> SourceRows | None:
    """Return where samples come from; None for arrays."""
    if not isinstance(x, Table) or preprocessing.columns is None:
        return None
    return source_rows(x, preprocessing.columns, rows)


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

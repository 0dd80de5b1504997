"""Conversion of raw samples to inputs of a network, and of predictions to names and units.

`Preprocessing` applies what `preparation` learned from the training part; a model keeps it and
writes it into its file. The last section reads its JSON form, which may come from a hostile file:
no value is used or printed before its type is checked, because nested lists may be huge as text.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.data.arrays import plain_inputs, refuse_non_finite
from fastmlp.data.cells import listed
from fastmlp.data.columns import (
    MAX_CATEGORIES,
    UNKNOWN_CATEGORIES,
    ColumnEncoding,
    encode_table,
    standardize,
)
from fastmlp.data.table import Part, Table
from fastmlp.data.targets import (
    TASKS,
    TargetColumn,
    class_codes,
    label_matrix,
    targets_of,
    value_matrix,
)
from fastmlp.errors import FormatError, did_you_mean

__all__ = ["Preprocessing"]

Floats = NDArray[np.float64]
Names = tuple[str, ...]

_ARRAY_NAMES = ("input_mean", "input_scale", "target_mean", "target_scale")

# Limits far above any real network, low enough that a small file cannot claim much memory.
_MOST_FEATURES = 1 << 31
_MOST_NAMES = 1 << 20
_MOST_DIMENSIONS = 8

_KEYS = (
    "task",
    "features",
    "columns",
    "unknown_categories",
    "feature_names",
    "image_shape",
    "class_names",
    "class_column",
    "indexed_classes",
    "target_names",
    "arrays",
)
_COLUMN_KEYS = ("name", "kind", "fill", "categories")


@dataclass(frozen=True, eq=False, repr=False)
class Preprocessing:
    """Conversion of raw samples to inputs of a network, and of predictions to names and units.

    Instances are immutable. Two are equal if they have the same content.

    Attributes
    ----------
    task : {"classification", "multilabel", "regression"}
        Kind of the targets.
    features : int
        Number of inputs of the network.
    columns : tuple of ColumnEncoding or None
        Columns of a table in the order of their inputs; None for samples in arrays.
    unknown_categories : {"error", "ignore"}
        Treatment of a category that the training part did not hold: "error" refuses it,
        "ignore" sets all inputs of its column to 0.
    feature_names : tuple of str or None
        Names of the network's inputs; for a table such as ``age``, ``color=blue``, ``color=red``.
    image_shape : tuple of int or None
        Shape of a sample if samples are images.
    input_mean, input_scale : float64 arrays of shape (features,) or None
        Mean and divisor of ``(x - mean) / scale``, which standardizes inputs; None: inputs are not
        standardized.
    class_names : tuple of str or None
        Names of the classes or labels; None for regression.
    class_column : str or None
        Column of a table that holds the classes; None otherwise.
    indexed_classes : bool
        Whether integers in an array of targets count the classes from 0; if not, they are names.
    target_names : tuple of str or None
        Names of the outputs of a regression; None for other tasks.
    target_mean, target_scale : float64 arrays of shape (outputs,) or None
        Mean and divisor that standardize targets of a regression; None: they are not standardized.

    Raises
    ------
    ValueError
        The fields do not fit together; the message names one.

    Examples
    --------
    >>> import fastmlp
    >>> prepared = fastmlp.data.prepare(fastmlp.data.read("moons"), fastmlp.data.Options())
    >>> prepared.preprocessing
    Preprocessing(classification of 2 values: upper, lower)
    >>> prepared.preprocessing.inputs([[0.5, 0.25]]).shape
    (1, 2)
    >>> prepared.preprocessing.decode([1, 0])
    array(['lower', 'upper'], dtype=object)
    """

    task: str
    features: int
    columns: tuple[ColumnEncoding, ...] | None = None
    unknown_categories: str = "error"
    feature_names: Names | None = None
    image_shape: tuple[int, ...] | None = None
    input_mean: Floats | None = None
    input_scale: Floats | None = None
    class_names: Names | None = None
    class_column: str | None = None
    indexed_classes: bool = False
    target_names: Names | None = None
    target_mean: Floats | None = None
    target_scale: Floats | None = None

    def __post_init__(self) -> None:
        if self.columns is not None:
            names = tuple(name for column in self.columns for name in column.feature_names)
            object.__setattr__(self, "feature_names", names)
        for name in _ARRAY_NAMES:
            array = getattr(self, name)
            if array is not None:
                own = np.array(array, np.float64)
                own.flags.writeable = False
                object.__setattr__(self, name, own)
        _require_consistent(self)

    @property
    def outputs(self) -> int:
        """Number of outputs of the network: classes, labels or targets."""
        return len(self.class_names or self.target_names or ())

    @property
    def target_columns(self) -> Names | None:
        """Columns of a table that hold the targets; None for arrays."""
        if self.columns is None:
            return None
        if self.class_column is not None:
            return (self.class_column,)
        return self.class_names or self.target_names

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Preprocessing):
            return NotImplemented
        mine, theirs = self.arrays(), other.arrays()
        return self.config() == other.config() and all(
            np.array_equal(array, theirs[name]) for name, array in mine.items()
        )

    def __hash__(self) -> int:
        return hash((self.task, self.features, self.class_names, self.target_names))

    def __reduce__(self) -> tuple[Any, ...]:
        return Preprocessing.from_config, (self.config(), self.arrays())

    def __repr__(self) -> str:
        names = listed(self.class_names or self.target_names or ())
        source = "values" if self.columns is None else f"inputs from {len(self.columns)} columns"
        return f"Preprocessing({self.task} of {self.features} {source}: {names})"

    # ------------------------------------------------------------ files

    def config(self) -> dict[str, Any]:
        """Return all fields but the arrays, in types that JSON can represent."""
        columns = self.columns
        return {
            "task": self.task,
            "features": self.features,
            "columns": None if columns is None else [_column_config(column) for column in columns],
            "unknown_categories": self.unknown_categories,
            # The names of a table's inputs follow from its columns.
            "feature_names": None if columns is not None else _as_list(self.feature_names),
            "image_shape": _as_list(self.image_shape),
            "class_names": _as_list(self.class_names),
            "class_column": self.class_column,
            "indexed_classes": self.indexed_classes,
            "target_names": _as_list(self.target_names),
            "arrays": list(self.arrays()),
        }

    def arrays(self) -> dict[str, Floats]:
        """Return input_mean, input_scale, target_mean and target_scale unless None, read-only."""
        return {n: getattr(self, n) for n in _ARRAY_NAMES if getattr(self, n) is not None}

    @classmethod
    def from_config(cls, config: object, arrays: Mapping[str, NDArray[Any]]) -> Preprocessing:
        """Make an instance from results of `config` and `arrays`, which may be untrusted.

        Raises
        ------
        TypeError, ValueError
            The arguments do not describe a preprocessing; the message names the field.
        """
        return cls(**_read_config(config, arrays))

    # ------------------------------------------------------------ samples

    def inputs(self, x: Table | NDArray[Any]) -> NDArray[Any]:
        """Convert samples to inputs of the network.

        Parameters
        ----------
        x : Table, or array of shape (samples, features)
            Samples. Columns of a table are found by name, and others are ignored. A model of
            tables of numbers accepts arrays, and a model of arrays accepts tables of numbers.

        Returns
        -------
        array of shape (samples, features)
            uint8, float32 or float64; `x` itself if nothing has to be changed.

        Raises
        ------
        FormatError
            A column is missing or has another type; a value is not finite, is missing without a
            replacement, or is an unknown category that is not ignored. The message names the
            place.
        TypeError, ValueError
            `x` is neither a table nor such an array.
        """
        encoded = self._encoded(x)
        given = isinstance(x, np.ndarray) and np.may_share_memory(encoded, x)
        return self.standardized(encoded, in_place=not given)

    def standardized(self, encoded: NDArray[Any], *, in_place: bool) -> NDArray[Any]:
        """Return inputs (samples, features) as ``(x - mean) / scale``, unchanged without a mean."""
        if self.input_mean is None or self.input_scale is None:
            return encoded
        return standardize(encoded, self.input_mean, self.input_scale, in_place=in_place)

    def has_targets(self, part: Part) -> bool:
        """Return whether a part holds the targets of this preprocessing."""
        if not isinstance(part.x, Table):
            return part.y is not None
        return all(name in part.x.columns for name in self.target_columns or ("",))

    def targets(self, part: Part, class_names: Sequence[str] | None = None) -> NDArray[Any]:
        """Convert targets to the form that the network takes.

        Parameters
        ----------
        part : Part
            Samples with targets.
        class_names : sequence of str, optional
            Names of the classes 0, 1, 2, ... in ``part.y`` if it comes from another source than
            the training part, which may have fewer classes or another order.

        Returns
        -------
        int64 array of shape (samples,), or float64 array of shape (samples, outputs)
            Classes; or labels 0 and 1; or standardized targets.

        Raises
        ------
        FormatError
            A target is missing, of another kind, or an unknown class.
        ValueError
            The samples have no targets, or too many.
        """
        columns = self._target_columns_of(part)
        if self.task == "multilabel":
            return label_matrix(columns)
        if self.task == "regression":
            values = value_matrix(columns)
            if self.target_mean is None or self.target_scale is None:
                return values
            return standardize(values, self.target_mean, self.target_scale, in_place=True)
        names = self.class_names or ()
        if class_names is None or columns[0].is_text or columns[0].table is not None:
            return class_codes(columns[0], names, indices=self.indexed_classes)
        theirs = class_codes(columns[0], class_names, indices=True)
        named = np.array(class_names, object)[theirs]
        column = TargetColumn(columns[0].name, named, None)
        return class_codes(column, names, indices=False)

    def decode(self, predicted: NDArray[Any]) -> NDArray[Any]:
        """Convert predictions to the names and units of the data.

        Parameters
        ----------
        predicted : array
            Classes (samples,) counted from 0; or labels 0 and 1 (samples, outputs); or outputs
            (samples, outputs), for a single target also (samples,).

        Returns
        -------
        array
            Object array (samples,) of class names; or of names of the labels that are 1, joined as
            in ``a;b``; or float64 (samples, outputs), ``outputs * target_scale + target_mean``.

        Raises
        ------
        ValueError
            `predicted` has another shape, or other classes or labels.
        """
        array = np.asarray(predicted)
        if self.task == "classification":
            return self._named_classes(array)
        if self.task == "regression" and array.ndim == 1 and self.outputs == 1:
            array = array[:, np.newaxis]
        if array.ndim != 2 or array.shape[1] != self.outputs:
            raise ValueError(
                f"predicted must have shape (samples, {self.outputs}), got {array.shape}"
            )
        if self.task == "multilabel":
            return self._joined_labels(array)
        values: Floats = array.astype(np.float64)
        if self.target_mean is not None and self.target_scale is not None:
            values *= self.target_scale
            values += self.target_mean
        return values

    def _encoded(self, x: Table | NDArray[Any]) -> NDArray[Any]:
        if isinstance(x, Table):
            return encode_table(x, self.columns or self._numbers_of(x), self.unknown_categories)
        array = plain_inputs(x)
        if self.columns is None:
            if array.shape[1] != self.features:
                raise FormatError(f"x: must have {self.features} features, got {array.shape[1]}")
            refuse_non_finite(array)
            return array
        if any(c.kind != "number" for c in self.columns) or array.shape[1] != len(self.columns):
            raise ValueError(
                f"x must be a table with the columns {listed(c.name for c in self.columns)}, "
                f"got an array of shape {array.shape}"
            )
        columns = {c.name: array[:, i].astype(np.float64) for i, c in enumerate(self.columns)}
        return encode_table(Table("x", columns), self.columns, self.unknown_categories)

    def _numbers_of(self, table: Table) -> tuple[ColumnEncoding, ...]:
        """Return encodings of the columns of a table of numbers, for a model of arrays."""
        names = self.feature_names or tuple(table.columns)
        if len(names) != self.features:
            raise FormatError(
                f"{table.origin}: columns: must be the {self.features} features of the model, "
                f"got {len(names)}"
            )
        return tuple(ColumnEncoding(name, "number") for name in names)

    def _target_columns_of(self, part: Part) -> list[TargetColumn]:
        if isinstance(part.x, Table) and self.columns is None:
            raise ValueError("y must be an array for a model that was trained with arrays")
        columns = targets_of(part, self.target_columns)
        expected = 1 if self.task == "classification" else self.outputs
        if len(columns) != expected:
            raise ValueError(f"y must have {expected} columns of targets, got {len(columns)}")
        return columns

    def _named_classes(self, classes: NDArray[Any]) -> NDArray[np.object_]:
        if classes.ndim != 1 or classes.dtype.kind not in "iu":
            raise ValueError(
                "predicted must be integers of shape (samples,), "
                f"got {classes.dtype} of shape {classes.shape}"
            )
        if len(classes) and not (classes.min() >= 0 and classes.max() < self.outputs):
            raise ValueError(f"predicted must hold classes from 0 to {self.outputs - 1}")
        names: NDArray[np.object_] = np.array(self.class_names, object)[classes]
        return names

    def _joined_labels(self, labels: NDArray[Any]) -> NDArray[np.object_]:
        if not ((labels == 0) | (labels == 1)).all():
            raise ValueError("predicted must hold only 0 and 1")
        names = np.array(self.class_names, object)
        joined = np.empty(len(labels), object)
        joined[:] = [";".join(names[row]) for row in labels.astype(bool)]
        return joined


# ---------------------------------------------------------------- whether the fields fit together


def _require_consistent(preprocessing: Preprocessing) -> None:
    """Raise ValueError, naming the field, unless the fields fit together."""
    _require_known_outputs(preprocessing)
    _require_matching_inputs(preprocessing)
    _require_usable_moments(preprocessing)


def _require_known_outputs(preprocessing: Preprocessing) -> None:
    if preprocessing.task not in TASKS:
        raise ValueError(f"task must be one of {', '.join(TASKS)}, got {preprocessing.task[:40]!r}")
    regression = preprocessing.task == "regression"
    _require_given("target_names", preprocessing.target_names, regression)
    _require_given("class_names", preprocessing.class_names, not regression)
    fewest = 2 if preprocessing.task == "classification" else 1
    for field in ("class_names", "target_names"):
        names = getattr(preprocessing, field)
        if names is not None and (len(names) < fewest or len(set(names)) != len(names)):
            raise ValueError(
                f"{field} must hold {fewest} or more different names, got {listed(names)}"
            )
    tabular = preprocessing.columns is not None
    classes = preprocessing.task == "classification"
    _require_given("class_column", preprocessing.class_column, tabular and classes)
    if preprocessing.indexed_classes and (tabular or not classes):
        raise ValueError("indexed_classes must be false but for classes in arrays")


def _require_matching_inputs(preprocessing: Preprocessing) -> None:
    features, shape = preprocessing.features, preprocessing.image_shape
    if features < 1:
        raise ValueError(f"features must be >= 1, got {features}")
    unknown = preprocessing.unknown_categories
    if unknown not in UNKNOWN_CATEGORIES:
        raise ValueError(
            f"unknown_categories must be one of {', '.join(UNKNOWN_CATEGORIES)}, "
            f"got {unknown[:40]!r}"
        )
    if unknown != "error" and preprocessing.columns is None:
        raise ValueError("unknown_categories must be error for samples in arrays")
    if preprocessing.columns is not None:
        names = [column.name for column in preprocessing.columns]
        if len(set(names)) != len(names):
            raise ValueError(f"columns must have different names, got {listed(names)}")
        for name in preprocessing.target_columns or ():
            if name in names:
                raise ValueError(f"columns must not hold the target {name!r}")
        if shape is not None:
            raise ValueError("image_shape must be null for samples in tables")
        made = sum(len(column.feature_names) for column in preprocessing.columns)
        if made != features:
            raise ValueError(f"features must be the {made} of the columns, got {features}")
    named = preprocessing.feature_names
    if named is not None and len(named) != features:
        raise ValueError(f"feature_names must name {features} features, got {len(named)}")
    if shape is not None and math.prod(shape) != features:
        raise ValueError(f"image_shape must have {features} values, got {shape}")


def _require_usable_moments(preprocessing: Preprocessing) -> None:
    for kind, length in (("input", preprocessing.features), ("target", preprocessing.outputs)):
        mean = getattr(preprocessing, f"{kind}_mean")
        scale = getattr(preprocessing, f"{kind}_scale")
        if (mean is None) != (scale is None):
            raise ValueError(f"{kind}_mean and {kind}_scale must be given together")
        if mean is None:
            continue
        if kind == "target" and preprocessing.task != "regression":
            raise ValueError("target_mean must be given only for regression")
        for name, array in ((f"{kind}_mean", mean), (f"{kind}_scale", scale)):
            if array.shape != (length,):
                raise ValueError(f"{name} must have shape ({length},), got {array.shape}")
            if not np.isfinite(array).all():
                raise ValueError(f"{name} must be finite, got NaN or infinite values")
        if scale.min() <= 0:
            raise ValueError(f"{kind}_scale must be > 0, got {scale.min()}")


def _require_given(field: str, value: object, wanted: bool) -> None:
    if (value is not None) != wanted:
        raise ValueError(f"{field} must {'be given' if wanted else 'be null'} for this task")


# ---------------------------------------------------------------- the JSON form


def _read_config(config: object, arrays: object) -> dict[str, Any]:
    """Read the arguments of `Preprocessing` from its JSON form and its arrays.

    Raises
    ------
    TypeError, ValueError
        A field is missing, unknown, of another type or out of range. `Preprocessing` checks
        whether the fields fit together.
    """
    fields = _mapping("preprocessing", config, _KEYS)
    columns, shape = fields["columns"], fields["image_shape"]
    return {
        "task": _text("task", fields["task"]),
        "features": _whole("features", fields["features"], _MOST_FEATURES),
        "columns": None if columns is None else _columns(columns),
        "unknown_categories": _text("unknown_categories", fields["unknown_categories"]),
        "feature_names": _optional_names("feature_names", fields["feature_names"], columns is None),
        "image_shape": None if shape is None else _shape(shape),
        "class_names": _optional_names("class_names", fields["class_names"]),
        "class_column": _optional_text("class_column", fields["class_column"]),
        "indexed_classes": _flag("indexed_classes", fields["indexed_classes"]),
        "target_names": _optional_names("target_names", fields["target_names"]),
        **_arrays(fields["arrays"], arrays),
    }


def _as_list(values: tuple[Any, ...] | None) -> list[Any] | None:
    return None if values is None else list(values)


def _column_config(column: ColumnEncoding) -> dict[str, Any]:
    return {
        "name": column.name,
        "kind": column.kind,
        "fill": column.fill,
        "categories": _as_list(column.categories),
    }


def _columns(value: object) -> tuple[ColumnEncoding, ...]:
    return tuple(
        _column(f"columns[{i}]", item)
        for i, item in enumerate(_sequence("columns", value, _MOST_NAMES))
    )


def _column(field: str, value: object) -> ColumnEncoding:
    fields = _mapping(field, value, _COLUMN_KEYS)
    name = _text(f"{field}.name", fields["name"])
    kind = _text(f"{field}.kind", fields["kind"])
    fill, categories = fields["fill"], fields["categories"]
    if kind == "number":
        if categories is not None:
            raise ValueError(f"{field}.categories must be null for numbers")
        return ColumnEncoding(name, kind, None if fill is None else _number(f"{field}.fill", fill))
    if kind != "category":
        raise ValueError(f"{field}.kind must be number or category, got {kind[:40]!r}")
    known = _names(f"{field}.categories", categories, MAX_CATEGORIES)
    if fill is not None and _text(f"{field}.fill", fill) not in known:
        raise ValueError(f"{field}.fill must be one of its categories, got {fill[:40]!r}")
    return ColumnEncoding(name, kind, fill, known)


def _shape(value: object) -> tuple[int, ...]:
    sizes = _sequence("image_shape", value, _MOST_DIMENSIONS)
    return tuple(_whole(f"image_shape[{i}]", size, _MOST_FEATURES) for i, size in enumerate(sizes))


def _arrays(expected: object, arrays: object) -> dict[str, NDArray[np.float64]]:
    texts = _sequence("arrays", expected, len(_ARRAY_NAMES), fewest=0)
    names = [_text(f"arrays[{i}]", name) for i, name in enumerate(texts)]
    if not isinstance(arrays, Mapping):
        raise TypeError(f"arrays must be a mapping, got {type(arrays).__name__}")
    if len(set(names)) != len(names) or not set(names) <= set(_ARRAY_NAMES):
        raise ValueError(f"arrays must name some of {', '.join(_ARRAY_NAMES)}, each once")
    for name in names:
        if name not in arrays:
            raise ValueError(f"{name} is missing")
    for name, array in arrays.items():
        if name not in names:
            raise ValueError(f"arrays do not list {str(name)[:40]!r}, which was given")
        if not isinstance(array, np.ndarray) or array.dtype != np.float64:
            kind = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
            raise TypeError(f"{name} must be a float64 array, got {kind}")
    return dict(arrays)


def _mapping(field: str, value: object, keys: Collection[str]) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise TypeError(f"{field} must be a mapping, got {type(value).__name__}")
    for key in value:
        if not isinstance(key, str):
            raise TypeError(f"{field} must have text as keys, got {type(key).__name__}")
        if key not in keys:
            raise ValueError(
                f"{field} has the unknown key {key[:40]!r}{did_you_mean(key[:40], keys)}"
            )
    for key in keys:
        if key not in value:
            raise ValueError(f"{field} lacks the key {key!r}")
    return value


def _sequence(field: str, value: object, most: int, fewest: int = 1) -> list[Any] | tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        raise TypeError(f"{field} must be a list, got {type(value).__name__}")
    if not fewest <= len(value) <= most:
        raise ValueError(f"{field} must have {fewest} to {most} entries, got {len(value)}")
    return value


def _names(field: str, value: object, most: int = _MOST_NAMES) -> tuple[str, ...]:
    texts = [_text(f"{field}[{i}]", text) for i, text in enumerate(_sequence(field, value, most))]
    if len(set(texts)) != len(texts):
        raise ValueError(f"{field} must hold different names")
    return tuple(texts)


def _optional_names(field: str, value: object, allowed: bool = True) -> tuple[str, ...] | None:
    if value is not None and not allowed:
        raise ValueError(f"{field} must be null where columns are given")
    return None if value is None else _names(field, value)


def _optional_text(field: str, value: object) -> str | None:
    return None if value is None else _text(field, value)


def _text(field: str, value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{field} must be text, got {type(value).__name__}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{field} must be text that UTF-8 can hold, got {value[:40]!r}") from None
    return value


def _flag(field: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{field} must be true or false, got {type(value).__name__}")
    return value


def _whole(field: str, value: object, most: int) -> int:
    if type(value) is not int:
        raise TypeError(f"{field} must be an integer, got {type(value).__name__}")
    if not 1 <= value <= most:
        # Python refuses to convert integers of thousands of digits to text.
        shown = f", got {value}" if abs(value) < 1 << 64 else ""
        raise ValueError(f"{field} must be from 1 to {most}{shown}")
    return value


def _number(field: str, value: object) -> float:
    if type(value) not in (int, float):
        raise TypeError(f"{field} must be a number, got {type(value).__name__}")
    try:
        number = float(value)  # type: ignore[arg-type]
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"{field} must be finite")
    return number

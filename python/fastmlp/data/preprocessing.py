"""Conversion of raw samples to inputs of a network, and of predictions to names and units.

`Preprocessing` applies what `preparation` learned from the training part; a model keeps it and
writes it into its file (`stored_preprocessing`). For a table it holds the schema: how each column
and each target is read, and which columns were left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.data.array_targets import (
    TargetArray,
    class_codes,
    label_matrix,
    target_arrays,
    value_matrix,
)
from fastmlp.data.arrays import plain_inputs, refuse_non_finite
from fastmlp.data.cells import PLAIN, NumberFormat, listed
from fastmlp.data.columns import Column, NumberColumn, quantities_of
from fastmlp.data.consistency import require_consistent
from fastmlp.data.moments import standardize
from fastmlp.data.normal_map import NormalMap
from fastmlp.data.stored_preprocessing import ARRAY_NAMES, preprocessing_config, read_config
from fastmlp.data.table import Part, Problems, Reading, Table, require_columns
from fastmlp.data.table_inputs import encode_table
from fastmlp.data.table_targets import column_codes, values_of_columns, weights_of
from fastmlp.errors import FormatError

__all__ = ["Preprocessing"]

Floats = NDArray[np.float64]
Names = tuple[str, ...]


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
    columns : tuple of NumberColumn, CategoryColumn and DateColumn, or None
        Columns of a table in the order of their inputs; None for samples in arrays.
    unknown_categories : {"ignore", "error"}
        Treatment of a category that the training part did not hold: "ignore" sets all inputs of
        its column to 0, "error" refuses its row.
    feature_names : tuple of str or None
        Names of the network's inputs; for a table such as ``age``, ``color=blue``, ``color=red``.
    image_shape : tuple of int or None
        Shape of a sample if samples are images.
    input_mean, input_scale : float64 arrays of shape (features,) or None
        Center and divisor of ``(x - mean) / scale``, which scales inputs: mean and standard
        deviation, or median and distance of the quartiles; None: inputs are not scaled.
    input_quantiles, normal_quantiles : float64 arrays of shape (quantities, points) or None
        Quantiles of the scaled inputs that are quantities, which are all of an array, and the
        quantiles of the normal distribution that they are mapped to; None: they are not mapped.
    class_names : tuple of str or None
        Names of the classes or labels; None for regression.
    target_schema : tuple of columns or None
        Columns of a table that hold the targets: one with the classes, or one per label or
        quantity; None for arrays.
    indexed_classes : bool
        Whether integers in an array of targets count the classes from 0; if not, they are names.
    label_type : {"text", "integer", "number", "boolean"}
        Type of the values that the classes had in the training data; `labels` returns them so.
    target_names : tuple of str or None
        Names of the outputs of a regression; None for other tasks.
    target_mean, target_scale : float64 arrays of shape (outputs,) or None
        Mean and divisor that standardize targets of a regression; None: they are not standardized.
    target_low, target_high : float64 arrays of shape (outputs,) or None
        Range of the targets in the training part, to which `decode` limits predictions; None: they
        are not limited.
    weight : str or None
        Column of a table with the weights of the samples.
    weight_format : NumberFormat
        How texts write the weights.
    left_out : tuple of (str, str)
        Columns of the table that are not used, each with the reason.
    source_names : tuple of str or None
        Names of all columns, in order, of a file that has no header; None: files have one.
    encoding, separator : str or None
        Encoding and separator of the text file of the training, if they are not usual ones.
    lacks : str or None
        What the file of an older release does not tell about the preprocessing.

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
    columns: tuple[Column, ...] | None = None
    unknown_categories: str = "ignore"
    feature_names: Names | None = None
    image_shape: tuple[int, ...] | None = None
    input_mean: Floats | None = None
    input_scale: Floats | None = None
    input_quantiles: Floats | None = None
    normal_quantiles: Floats | None = None
    class_names: Names | None = None
    target_schema: tuple[Column, ...] | None = None
    indexed_classes: bool = False
    label_type: str = "text"
    target_names: Names | None = None
    target_mean: Floats | None = None
    target_scale: Floats | None = None
    target_low: Floats | None = None
    target_high: Floats | None = None
    weight: str | None = None
    weight_format: NumberFormat = PLAIN
    left_out: tuple[tuple[str, str], ...] = ()
    source_names: Names | None = None
    encoding: str | None = None
    separator: str | None = None
    lacks: str | None = None

    def __post_init__(self) -> None:
        if self.columns is not None:
            names = tuple(name for column in self.columns for name in column.feature_names)
            object.__setattr__(self, "feature_names", names)
        for name in ARRAY_NAMES:
            array = getattr(self, name)
            if array is not None:
                own = np.array(array, np.float64)
                own.flags.writeable = False
                object.__setattr__(self, name, own)
        require_consistent(self)

    @property
    def outputs(self) -> int:
        """Number of outputs of the network: classes, labels or targets."""
        return len(self.class_names or self.target_names or ())

    @property
    def target_columns(self) -> Names | None:
        """Columns of a table that hold the targets; None for arrays."""
        if self.target_schema is None:
            return None
        return tuple(column.name for column in self.target_schema)

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
        return preprocessing_config(self, list(self.arrays()))

    def arrays(self) -> dict[str, Floats]:
        """Return the arrays that are not None, input_mean and so on, by name; read-only."""
        return {n: getattr(self, n) for n in ARRAY_NAMES if getattr(self, n) is not None}

    @classmethod
    def from_config(cls, config: object, arrays: Mapping[str, NDArray[Any]]) -> Preprocessing:
        """Make an instance from results of `config` and `arrays`, which may be untrusted.

        Raises
        ------
        TypeError, ValueError
            The arguments do not describe a preprocessing; the message names the field.
        """
        return cls(**read_config(config, arrays))

    # ------------------------------------------------------------ samples

    def reading(self, options: Reading | None = None, also: Sequence[str] = ()) -> Reading:
        """Return how a file is read for this model: which columns, and which of them as text.

        Parameters
        ----------
        options : Reading, optional
            What the user says about the file.
        also : sequence of str
            Further columns that are needed, as they are written.
        """
        options = options or Reading()
        if self.columns is None:
            return options
        known = [*self.columns, *(self.target_schema or ())]
        texts = {column.name for column in known if not column.reads_plain_numbers}
        wanted = {*(column.name for column in known), *also}
        if self.weight is not None:
            wanted.add(self.weight)
            if self.weight_format != PLAIN:
                texts.add(self.weight)
        return replace(
            options,
            names=self.source_names or options.names,
            input_names=self._input_names,
            usual_encoding=self.encoding,
            usual_separator=self.separator,
            decimal_comma=self._decimal_comma,
            as_text=frozenset(texts.union(also)),
            wanted=frozenset(wanted),
        )

    @property
    def _decimal_comma(self) -> frozenset[str]:
        """Columns of numbers whose texts have decimal commas, other than numbers of JSON."""
        known = [*(self.columns or ()), *(self.target_schema or ())]
        numbers = [column for column in known if isinstance(column, NumberColumn)]
        return frozenset(column.name for column in numbers if column.format.decimal == ",")

    @property
    def _input_names(self) -> Names | None:
        targets = self.target_columns or ()
        return self.source_names and tuple(n for n in self.source_names if n not in targets)

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
            A column is missing, or rows cannot be read: a value is no number, is missing without
            a replacement, or is an unknown category that is not ignored. The message names the
            first places.
        TypeError, ValueError
            `x` is neither a table nor such an array.
        """
        inputs, problems = self.served_inputs(x)
        if problems is not None and len(problems):
            raise problems.error()
        return inputs

    def served_inputs(
        self, x: Table | NDArray[Any], *, unknown_categories: str | None = None
    ) -> tuple[NDArray[Any], Problems | None]:
        """Convert samples to inputs of the network, row by row.

        Parameters
        ----------
        x : Table, or array of shape (samples, features)
            As for `inputs`.
        unknown_categories : {"ignore", "error"}, optional
            Treatment of unknown categories; the default is that of the preprocessing.

        Returns
        -------
        inputs : array of shape (samples, features)
            The inputs of a row that cannot be read mean nothing.
        problems : Problems or None
            Rows of a table that cannot be read, and why; None for arrays.

        Raises
        ------
        FormatError, TypeError, ValueError
            A column of the table is missing, or the array cannot be used.
        """
        encoded, problems = self._encoded(x, unknown_categories or self.unknown_categories)
        given = isinstance(x, np.ndarray) and np.may_share_memory(encoded, x)
        return self.standardized(encoded, in_place=not given), problems

    def standardized(self, encoded: NDArray[Any], *, in_place: bool) -> NDArray[Any]:
        """Return inputs (samples, features) scaled and mapped, unchanged without a mean."""
        if self.input_mean is None or self.input_scale is None:
            return encoded
        mean, scale = self.input_mean, self.input_scale
        then = None if self.input_quantiles is None else self._mapped
        return standardize(encoded, mean, scale, in_place=in_place, then=then)

    def original_inputs(self, standardized: NDArray[Any]) -> Floats:
        """Convert inputs of the network back to the units of the data.

        Parameters
        ----------
        standardized : array of shape (samples, features)
            Inputs as `inputs` returns them.

        Returns
        -------
        float64 array of shape (samples, features)
            With scaling by quantiles, values beyond the first and last quantile are these.
        """
        values = np.array(standardized, np.float64)
        if self.input_mean is None or self.input_scale is None:
            return values
        at = self.quantities
        normal_map = self._normal_map
        if normal_map is not None:
            values[:, at] = normal_map.invert(values[:, at])
        return values * self.input_scale + self.input_mean

    @property
    def quantities(self) -> NDArray[np.bool_]:
        """Mask of the inputs that are quantities; others of a table are 0 or 1, or codes."""
        if self.columns is None:
            return np.ones(self.features, bool)
        return quantities_of(self.columns)

    @property
    def _normal_map(self) -> NormalMap | None:
        if self.input_quantiles is None or self.normal_quantiles is None:
            return None
        return NormalMap(self.input_quantiles, self.normal_quantiles)

    def _mapped(self, scaled: Floats) -> Floats:
        normal_map = self._normal_map
        assert normal_map is not None
        at = self.quantities
        scaled[:, at] = normal_map.apply(scaled[:, at])
        return scaled

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
        if isinstance(part.x, Table):
            return self._targets_of_table(part.x)
        columns = target_arrays(part)
        expected = 1 if self.task == "classification" else self.outputs
        if len(columns) != expected:
            raise ValueError(f"y must have {expected} columns of targets, got {len(columns)}")
        if self.task == "multilabel":
            return label_matrix(columns)
        if self.task == "regression":
            return self._standardized_targets(value_matrix(columns))
        names = self.class_names or ()
        if class_names is None or columns[0].holds_names:
            return class_codes(columns[0], names, indices=self.indexed_classes)
        theirs = class_codes(columns[0], class_names, indices=True)
        named = np.array(class_names, object)[theirs]
        return class_codes(TargetArray(columns[0].name, named), names, indices=False)

    def _targets_of_table(self, table: Table) -> NDArray[Any]:
        schema = self.target_schema
        if schema is None:
            raise ValueError("y must be an array for a model that was trained with arrays")
        if self.task != "classification":
            labels = self.task == "multilabel"
            values, problems = values_of_columns(table, schema, labels=labels)
            if len(problems):
                raise problems.error()
            return self._standardized_targets(values)
        require_columns(table, [schema[0].name], {schema[0].name: ", the target,"})
        problems = Problems(table)
        codes = column_codes(table, schema[0], problems)
        if len(problems):
            raise problems.error()
        return codes

    def _standardized_targets(self, values: Floats) -> NDArray[Any]:
        if self.target_mean is None or self.target_scale is None:
            return values
        return standardize(values, self.target_mean, self.target_scale, in_place=True)

    def weights(self, part: Part) -> Floats | None:
        """Return the weights of samples, of shape (samples,); None if there are none.

        Raises
        ------
        FormatError
            The table lacks the column of the weights, or one is no number >= 0.
        """
        if self.weight is None or not isinstance(part.x, Table):
            return None
        return weights_of(part.x, NumberColumn(self.weight, self.weight_format))

    def labels(self, names: NDArray[Any]) -> NDArray[Any]:
        """Return names of classes as values of the type that the training data had.

        Parameters
        ----------
        names : object array of str, of shape (n,)

        Returns
        -------
        array of shape (n,)
            The names, or int64 or float64 numbers, or booleans.
        """
        if self.label_type == "boolean":
            return np.array([name.lower() == "true" for name in names.tolist()], bool)
        if self.label_type == "integer":
            return names.astype(np.int64)
        return names.astype(np.float64) if self.label_type == "number" else names

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
            in ``a;b``; or float64 (samples, outputs), ``outputs * target_scale + target_mean``,
            limited to the range from `target_low` to `target_high` if there is one.

        Raises
        ------
        ValueError
            `predicted` has another shape, or other classes or labels.
        """
        array = np.asarray(predicted)
        if self.task == "classification":
            return self._named_classes(array)
        array = self._by_output("predicted", array)
        if self.task == "multilabel":
            return self._joined_labels(array)
        values = self.in_units(array)
        if self.target_low is not None and self.target_high is not None:
            np.clip(values, self.target_low, self.target_high, out=values)
        return values

    def in_units(self, standardized: NDArray[Any]) -> Floats:
        """Convert standardized targets of a regression back to their units.

        Unlike `decode`, which is for predictions, it does not limit them to a range.

        Parameters
        ----------
        standardized : array of shape (samples, outputs), for a single target also (samples,)
            Targets as `targets` returns them.

        Returns
        -------
        float64 array of shape (samples, outputs)
            ``standardized * target_scale + target_mean``.

        Raises
        ------
        ValueError
            The task is no regression, or the array has another shape.

        Examples
        --------
        >>> import fastmlp
        >>> prepared = fastmlp.data.prepare(fastmlp.data.read("sine"), fastmlp.data.Options())
        >>> values = prepared.preprocessing.in_units(prepared.train.y)
        >>> values.shape, bool(abs(values).max() < 1.5)
        ((720, 1), True)
        """
        if self.task != "regression":
            raise ValueError(f"task must be regression for targets in units, got {self.task!r}")
        values = self._by_output("standardized", np.asarray(standardized)).astype(np.float64)
        if self.target_mean is not None and self.target_scale is not None:
            values *= self.target_scale
            values += self.target_mean
        return values

    def _by_output(self, name: str, array: NDArray[Any]) -> NDArray[Any]:
        """Return an array with a column for each output, checked."""
        if self.task == "regression" and array.ndim == 1 and self.outputs == 1:
            array = array[:, np.newaxis]
        if array.ndim != 2 or array.shape[1] != self.outputs:
            raise ValueError(f"{name} must have shape (samples, {self.outputs}), got {array.shape}")
        return array

    def _encoded(
        self, x: Table | NDArray[Any], unknown: str
    ) -> tuple[NDArray[Any], Problems | None]:
        if isinstance(x, Table):
            return encode_table(x, self.columns or self._numbers_of(x), unknown)
        array = plain_inputs(x)
        if self.columns is None:
            if array.shape[1] != self.features:
                raise FormatError(f"x: must have {self.features} features, got {array.shape[1]}")
            refuse_non_finite(array)
            return array, None
        if any(c.kind != "number" for c in self.columns) or array.shape[1] != len(self.columns):
            raise ValueError(
                f"x must be a table with the columns {listed(c.name for c in self.columns)}, "
                f"got an array of shape {array.shape}"
            )
        columns = {c.name: array[:, i].astype(np.float64) for i, c in enumerate(self.columns)}
        return encode_table(Table("x", columns), self.columns, unknown)

    def _numbers_of(self, table: Table) -> tuple[NumberColumn, ...]:
        """Return columns of numbers, of which a table for a model of arrays must consist."""
        names = self.feature_names or tuple(n for n in table.columns if n not in table.index)
        if len(names) != self.features:
            raise FormatError(
                f"{table.origin}: columns: must be the {self.features} features of the model, "
                f"got {len(names)}"
            )
        return tuple(NumberColumn(name) for name in names)

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

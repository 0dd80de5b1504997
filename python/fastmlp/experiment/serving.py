"""Prediction and evaluation of a trained model on raw samples: tables and arrays from files."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from fastmlp.data import Part, Preprocessing, RawData, Reading, Samples, Table, read_samples
from fastmlp.data.frames import are_rows, table_of, with_absent_keys
from fastmlp.data.images import holds_images, read_images
from fastmlp.data.table import Problems
from fastmlp.data.table_targets import labeled_rows
from fastmlp.errors import FormatError, did_you_mean
from fastmlp.experiment.evaluation import Evaluation, evaluate, has_probabilities
from fastmlp.model import MLP

__all__ = [
    "HasPreprocessing",
    "Predictions",
    "answers_for",
    "columns_of",
    "complete_rows",
    "evaluate_part",
    "faults_of_samples",
    "labeled_part",
    "labeled_samples",
    "network_inputs",
    "part_of",
    "plain_preprocessing",
    "plain_values",
    "predict_samples",
    "read_for",
    "reading_for",
    "samples_of",
    "weights_of_part",
    "with_blanks",
    "with_missing_keys",
]

Array = npt.NDArray[Any]


class HasPreprocessing(Protocol):
    """What reads samples: a network, or networks together."""

    @property
    def preprocessing(self) -> Preprocessing | None:
        """What is done with samples before the network."""
        ...


@dataclass(frozen=True)
class Predictions:
    """Predictions for samples, in their order.

    Attributes
    ----------
    columns : dict of str to array of shape (samples,)
        The column "prediction" with names of classes, labels joined by ";", or values in the units
        of the target; for several targets one column "prediction(target)" each. Without
        preprocessing the values are those of `MLP.predict`, with targets numbered from 0.
    probabilities : dict of str to array of shape (samples,), or None
        One column "p(class)" for each class or label; None if they were not requested.
    problems : object array of shape (samples,), or None
        For each sample that could not be served the reason, for others None; its answers are None.
        None instead of the array if all could be served.
    labels : int64 array of shape (samples, labels), or None
        For a model of several labels whether a sample has them, 0 or 1; None for other models.
    """

    columns: dict[str, Array]
    probabilities: dict[str, Array] | None = None
    problems: Array | None = None
    labels: Array | None = None


def plain_values(values: Array) -> list[Any]:
    """Return an array of shape (samples,) as a list of Python values.

    A float32 becomes the shortest decimal number that rounds to it.
    """
    if values.dtype == object:
        return [float(str(v)) if isinstance(v, np.float32) else v for v in values.tolist()]
    if values.dtype == np.float32:
        values = values.astype("U32").astype(np.float64)
    return list(values.tolist())


def read_for(
    model: HasPreprocessing,
    source: str,
    options: Reading | None = None,
    also: Sequence[str] = (),
) -> tuple[Table | Array, Array | None]:
    """Read samples to predict as a model reads them.

    Parameters
    ----------
    model : MLP or BaggedModel
    source : str
        A file, as `fastmlp.data.read_samples` takes it; or, for a model of images, an image or a
        directory of images.
    options : Reading, optional
        What the user says about the file.
    also : sequence of str
        Further columns to read, as they are written.

    Returns
    -------
    samples : Table or array of shape (samples, features)
    names : object array of shape (samples,), or None
        Names of the files of images.
    """
    pre = model.preprocessing
    shape = None if pre is None else pre.image_shape
    if shape is not None and holds_images(source):
        return read_images(source, shape)
    samples = read_samples(source, reading=reading_for(model, options, also))
    if isinstance(samples, Table) and samples.has_keys:
        samples = complete_rows(pre, samples)
    return samples, None


def reading_for(
    model: HasPreprocessing, options: Reading | None = None, also: Sequence[str] = ()
) -> Reading:
    """Return how a table is read for a model; `options` and `also` are those of `read_for`."""
    if model.preprocessing is not None:
        return model.preprocessing.reading(options, also)
    return replace(options or Reading(), as_text=frozenset(also))


def samples_of(model: HasPreprocessing, x: Any) -> Table | Array:
    """Return samples of any kind, a file or a frame or an array, as a table or an array."""
    if isinstance(x, (str, PathLike)):
        return read_for(model, os.fspath(x))[0]
    pre = model.preprocessing
    is_array = isinstance(x, np.ndarray) and x.dtype.names is None
    has_rows = are_rows(x)
    if is_array or (isinstance(x, list) and not has_rows and (pre is None or pre.columns is None)):
        return np.asarray(x)
    commas = frozenset[str]() if pre is None else pre.reading().decimal_comma
    table = table_of(x, decimal_comma=commas)
    return complete_rows(pre, table) if has_rows else table


def with_missing_keys(pre: Preprocessing | None, table: Table) -> tuple[Table, tuple[str, ...]]:
    """Return rows as a table with all columns of a model; keys that no row has are missing values.

    Also returns lines about keys that the model does not know and that may be misspelled.
    """
    if pre is None or pre.columns is None:
        return table, ()
    others = {*(pre.target_columns or ()), *(name for name, _ in pre.left_out)}
    if pre.weight is not None:
        others.add(pre.weight)
    return with_absent_keys(table, [column.name for column in pre.columns], others)


def complete_rows(pre: Preprocessing | None, table: Table) -> Table:
    """Return the table of `with_missing_keys`, and warn with its lines."""
    completed, notes = with_missing_keys(pre, table)
    for note in notes:
        warnings.warn(f"{table.origin}: {note}", UserWarning, stacklevel=4)
    return completed


def answers_for(model: MLP, x: Any, *, threads: int | None = None) -> Array:
    """Return the answers of a network with its preprocessing; see `Model.predict`."""
    pre = model.preprocessing
    assert pre is not None  # a `Model` and its estimators have one
    predicted = model.predict(pre.inputs(samples_of(model, x)), threads=threads)
    if pre.task == "multilabel":
        return np.asarray(predicted)
    if pre.task == "classification":
        return pre.labels(pre.decode(predicted))
    values = pre.decode(predicted)
    return values[:, 0] if values.shape[1] == 1 else values


def predict_samples(
    model: MLP,
    samples: Table | Array,
    *,
    probabilities: bool = False,
    unknown_categories: str | None = None,
    threads: int | None = None,
) -> Predictions:
    """Predict for samples as they come, row by row.

    Parameters
    ----------
    model : MLP
        Trained model. If it has no preprocessing, the numeric columns are its inputs in their
        order.
    samples : Table or array of shape (samples, features)
    probabilities : bool
        Whether to return the probabilities of classes or labels as well.
    unknown_categories : {"ignore", "error"}, optional
        Treatment of unknown categories; the default is that of the preprocessing.
    threads : int, optional
        Worker threads; by default fastmlp chooses.

    Raises
    ------
    FormatError
        The samples do not fit the model: a column is missing, the number of features differs, or
        no row of a table can be read.
    ValueError
        The loss of the model defines no probabilities.
    """
    if probabilities and not has_probabilities(model):
        names = ", ".join(loss.name for loss in model.architecture.losses)
        raise ValueError(f"probabilities must be False for a model with loss {names}, got True")
    x, problems = network_inputs(model, samples, unknown_categories)
    predicted = model.predict(x, threads=threads)
    columns = _named(model, predicted, len(x))
    pre = model.preprocessing
    labels = predicted.reshape(len(x), -1) if pre and pre.task == "multilabel" else None
    shares = None
    if probabilities:
        values = model.predict_proba(x, threads=threads)
        shares = {
            f"p({name})": share for name, share in zip(_output_names(model), values.T, strict=True)
        }
    return with_blanks(Predictions(columns, shares, labels=labels), problems)


def with_blanks(answers: Predictions, problems: Problems | None) -> Predictions:
    """Return answers without those of rows that cannot be served, with the problems of these.

    Raises
    ------
    FormatError
        No row can be served.
    """
    if problems is None or not len(problems):
        return answers
    if problems.mask.all():
        raise problems.error()
    texts = np.array([problems.of_row(row) for row in range(len(problems.mask))], object)
    blank = {name: _without(values, problems.mask) for name, values in answers.columns.items()}
    shares = answers.probabilities
    if shares is not None:
        shares = {name: _without(values, problems.mask) for name, values in shares.items()}
    return Predictions(blank, shares, texts, answers.labels)


def _without(values: Array, mask: Array) -> Array:
    """Return values with None where the mask is true; the others keep their type."""
    held = np.empty(len(values), object)
    held[:] = list(values) if values.dtype == np.float32 else values.tolist()
    held[mask] = None
    return held


def network_inputs(
    model: MLP, samples: Table | Array, unknown_categories: str | None = None
) -> tuple[Array, Problems | None]:
    """Return the inputs of a network for samples, and the rows that cannot be served.

    Raises
    ------
    FormatError
        A column is missing, or the number of features differs.
    """
    pre = model.preprocessing
    if pre is None:
        # Any task will do: only the number of features is used.
        features = model.layer_sizes[0]
        pre = Preprocessing("regression", features, target_names=("any",))
    with faults_of_samples():
        x, problems = pre.served_inputs(samples, unknown_categories=unknown_categories)
    if problems is not None and isinstance(samples, Table):
        _note_too_large(pre, samples, x, problems, model.dtype)
    return x, problems


def _note_too_large(
    pre: Preprocessing, table: Table, x: Array, problems: Problems, dtype: np.dtype[Any]
) -> None:
    """Note rows with inputs that the dtype of a model does not hold, and set their inputs to 0."""
    largest = float(np.finfo(dtype).max)
    if max(x.max(), -x.min()) <= largest:
        return
    if pre.columns is not None:
        names = [column.name for column in pre.columns for _ in column.feature_names]
    else:
        names = list(pre.feature_names or (n for n in table.columns if n not in table.index))
    outside = np.abs(x) > largest
    for j in np.flatnonzero(outside.any(axis=0)).tolist():
        problems.add(outside[:, j], names[j], f"is too large for {dtype}, got {{}}")
    x[outside.any(axis=1)] = 0.0


@contextlib.contextmanager
def faults_of_samples() -> Iterator[None]:
    """Convert ValueError to FormatError, because the arguments come from files."""
    try:
        yield
    except FormatError:
        raise
    except ValueError as error:
        raise FormatError(str(error)) from error


def _output_names(model: MLP) -> Sequence[str]:
    pre = model.preprocessing
    if pre is not None:
        return pre.class_names or pre.target_names or ()
    outputs = model.layer_sizes[-1]
    # With one output the probability is that of class 1.
    return ["1"] if outputs == 1 else [str(i) for i in range(outputs)]


def _named(model: MLP, predicted: Any, count: int) -> dict[str, Array]:
    """Return columns of predictions with the names and units of the data."""
    if isinstance(predicted, list):
        parts = (columns_of(part, str(i)) for i, part in enumerate(predicted))
        return {name: column for part in parts for name, column in part.items()}
    pre = model.preprocessing
    if pre is None:
        return columns_of(predicted)
    if pre.task == "classification":
        return {"prediction": pre.decode(predicted)}
    decoded = pre.decode(predicted.reshape(count, -1))
    return columns_of(decoded, names=pre.target_names)


def columns_of(
    values: Array, prefix: str = "", names: Sequence[str] | None = None
) -> dict[str, Array]:
    """Return one column "prediction", or a named one for each of several columns of `values`."""
    table = values.reshape(len(values), -1)
    if table.shape[1] == 1:
        return {f"prediction({prefix})" if prefix else "prediction": table[:, 0]}
    shown = names or [f"{prefix}.{i}".lstrip(".") for i in range(table.shape[1])]
    return {f"prediction({name})": column for name, column in zip(shown, table.T, strict=True)}


def part_of(raw: RawData, name: str) -> Part:
    """Return a part of a source.

    Parameters
    ----------
    raw : RawData
    name : {"auto", "test", "training"}
        Part to return; "auto" is the test part if there is one, else all samples.

    Raises
    ------
    ValueError
        The source has no test part.
    """
    if name == "training" or (name == "auto" and raw.test is None):
        return raw.train
    if raw.test is None:
        raise ValueError(f"{raw.name} has no test part of its own")
    return raw.test


def evaluate_part(
    model: MLP,
    part: Part,
    *,
    class_names: Sequence[str] | None = None,
    threads: int | None = None,
) -> Evaluation:
    """Measure a model on raw samples and targets from a file.

    Parameters
    ----------
    model : MLP
        Trained model. If it has no preprocessing, its loss determines the task, and classes are
        numbered from 0.
    part : Part
        Samples with their targets.
    class_names : sequence of str, optional
        Names of the integers in ``part.y``, if the source has names.
    threads : int, optional
        Worker threads; by default fastmlp chooses.

    Raises
    ------
    FormatError
        The samples do not fit the model, or have no targets.
    ValueError
        The model has several losses.
    """
    pre = model.preprocessing or plain_preprocessing(model)
    names = None if model.preprocessing is None else class_names
    samples = labeled_samples(pre, part, class_names=names)
    return evaluate(model, samples, preprocessing=pre, threads=threads)


def labeled_samples(
    pre: Preprocessing, part: Part, *, class_names: Sequence[str] | None = None
) -> Samples:
    """Return the rows of a part that have targets, as a network takes them.

    Parameters
    ----------
    pre : Preprocessing
    part : Part
        Samples with their targets.
    class_names : sequence of str, optional
        Names of the integers in ``part.y``, if the source has names.

    Raises
    ------
    FormatError
        The samples do not fit the model, or have no targets.
    """
    part = labeled_part(pre, part)
    with faults_of_samples():
        x = pre.inputs(part.x)
        y = pre.targets(part, class_names)
        return Samples(x, y, weights_of_part(pre, part))


def labeled_part(pre: Preprocessing, part: Part) -> Part:
    """Return the rows of a table that have targets, and warn if some have none; arrays as they are.

    Raises
    ------
    FormatError
        The table lacks a column of the targets.
    """
    table = part.x
    if not isinstance(table, Table):
        return part
    _require_target_columns(pre, table)
    if table.has_keys:
        table = complete_rows(pre, table)
    rows = labeled_rows(table, {column.name: column.missing for column in pre.target_schema or ()})
    left = len(table) - len(rows)
    if left:
        warnings.warn(
            f"{table.origin}: {left} of {len(table)} rows have no target and are left out",
            stacklevel=4,
        )
    return Part(rows)


def weights_of_part(pre: Preprocessing, part: Part) -> Array | None:
    """Return the weights of samples; warn if a table lacks their column."""
    if isinstance(part.x, Table) and pre.weight is not None and pre.weight not in part.x.columns:
        warnings.warn(
            f"{part.x.origin}: has no column {pre.weight!r} with weights; all samples count alike",
            stacklevel=3,
        )
        return None
    return pre.weights(part)


def _require_target_columns(pre: Preprocessing, table: Table) -> None:
    if pre.columns is None:
        raise FormatError(
            f"{table.origin}: holds no targets for a model that was trained on arrays; give it x "
            "and y in an NPZ file, or the name of a data set"
        )
    missing = [name for name in pre.target_columns or () if name not in table.columns]
    if missing:
        raise FormatError(
            f"{table.origin}: column {missing[0]!r}, the target, is missing"
            f"{did_you_mean(missing[0], table.names)}; 'fastmlp predict' needs no targets, nor "
            "does Model.predict"
        )


def plain_preprocessing(model: MLP) -> Preprocessing:
    """Return preprocessing for the task of the loss, with unchanged inputs and numbered outputs."""
    if len(model.architecture.losses) > 1:
        raise ValueError("a model with several losses has no single task to be measured by")
    features, outputs = model.layer_sizes[0], model.layer_sizes[-1]
    names = tuple(str(i) for i in range(outputs))
    if model.is_classifier:
        return Preprocessing("classification", features, class_names=names, indexed_classes=True)
    if model.architecture.losses[0].link == "sigmoid":
        return Preprocessing("multilabel", features, class_names=names)
    return Preprocessing("regression", features, target_names=names)

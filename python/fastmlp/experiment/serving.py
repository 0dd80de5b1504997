"""Prediction and evaluation of a trained model on raw samples: tables and arrays from files."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastmlp.data import Part, Preprocessing, RawData, Samples, Table
from fastmlp.errors import FormatError, did_you_mean
from fastmlp.experiment.evaluation import Evaluation, evaluate, has_probabilities
from fastmlp.model import MLP

__all__ = [
    "Predictions",
    "evaluate_part",
    "part_of",
    "plain_values",
    "predict_samples",
]

Array = npt.NDArray[Any]


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
    """

    columns: dict[str, Array]
    probabilities: dict[str, Array] | None = None


def plain_values(values: Array) -> list[Any]:
    """Return an array of shape (samples,) as a list of Python values.

    A float32 becomes the shortest decimal number that rounds to it.
    """
    if values.dtype == np.float32:
        values = values.astype("U32").astype(np.float64)
    return list(values.tolist())


def predict_samples(
    model: MLP,
    samples: Table | Array,
    *,
    probabilities: bool = False,
    threads: int | None = None,
) -> Predictions:
    """Predict for raw samples from a file.

    Parameters
    ----------
    model : MLP
        Trained model. If it has no preprocessing, the numeric columns are its inputs in their
        order.
    samples : Table or array of shape (samples, features)
    probabilities : bool
        Whether to return the probabilities of classes or labels as well.
    threads : int, optional
        Worker threads; by default fastmlp chooses.

    Raises
    ------
    FormatError
        The samples do not fit the model: a column is missing or has wrong values, or the number of
        features differs. For a table the message names line and column.
    ValueError
        The loss of the model defines no probabilities.
    """
    if probabilities and not has_probabilities(model):
        names = ", ".join(loss.name for loss in model.architecture.losses)
        raise ValueError(f"probabilities must be False for a model with loss {names}, got True")
    x = _network_inputs(model, samples)
    columns = _named(model, model.predict(x, threads=threads), len(x))
    if not probabilities:
        return Predictions(columns)
    shares = model.predict_proba(x, threads=threads)
    names_and_shares = zip(_output_names(model), shares.T, strict=True)
    return Predictions(columns, {f"p({name})": share for name, share in names_and_shares})


def _network_inputs(model: MLP, samples: Table | Array) -> Array:
    pre = model.preprocessing
    if pre is None:
        # Any task will do: only the number of features is used.
        features = model.layer_sizes[0]
        pre = Preprocessing("regression", features, target_names=("any",))
    with _faults_of_samples():
        return pre.inputs(samples)


@contextlib.contextmanager
def _faults_of_samples() -> Iterator[None]:
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
        parts = (_columns(part, str(i)) for i, part in enumerate(predicted))
        return {name: column for part in parts for name, column in part.items()}
    pre = model.preprocessing
    if pre is None:
        return _columns(predicted)
    if pre.task == "classification":
        return {"prediction": pre.decode(predicted)}
    decoded = pre.decode(predicted.reshape(count, -1))
    return _columns(decoded, names=pre.target_names)


def _columns(
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
    pre = model.preprocessing or _plain_preprocessing(model)
    if isinstance(part.x, Table):
        _require_target_columns(pre, part.x)
    with _faults_of_samples():
        x = pre.inputs(part.x)
        y = pre.targets(part, None if model.preprocessing is None else class_names)
    return evaluate(model, Samples(x, y), preprocessing=pre, threads=threads)


def _require_target_columns(pre: Preprocessing, table: Table) -> None:
    if pre.columns is None:
        raise FormatError(
            f"{table.origin}: holds no targets for a model that was trained on arrays; give it x "
            "and y in an NPZ file, or the name of a data set"
        )
    present = {*table.columns, *table.unsupported}
    missing = [name for name in pre.target_columns or () if name not in present]
    if missing:
        raise FormatError(
            f"{table.origin}: column {missing[0]!r}, the target, is missing"
            f"{did_you_mean(missing[0], table.columns)}; 'fastmlp predict' needs no targets"
        )


def _plain_preprocessing(model: MLP) -> Preprocessing:
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

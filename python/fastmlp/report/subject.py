"""The subject of a report: a run with its model and samples, and quantities derived from them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.data import CategoryColumn, DateColumn, NumberColumn, Preprocessing, Samples
from fastmlp.data.columns import Column as DataColumn
from fastmlp.experiment.evaluation import Evaluation
from fastmlp.experiment.rundir import RunDirectory
from fastmlp.model import MLP
from fastmlp.plot.numbers import written

__all__ = [
    "ConfusedPair",
    "SourceColumn",
    "Subject",
    "confused_pairs",
    "input_norms",
    "largest",
    "original_inputs",
    "sample_losses",
    "source_columns",
]

Array = NDArray[Any]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Subject:
    """A run with its model, measured on `samples`."""

    run: RunDirectory
    model: MLP
    evaluation: Evaluation
    samples: Samples
    threads: int | None = None

    @cached_property
    def records(self) -> list[dict[str, Any]]:
        """The records of the epochs."""
        return self.run.records()

    @cached_property
    def result(self) -> dict[str, Any]:
        """The content of result.json."""
        return self.run.result()

    @cached_property
    def environment(self) -> dict[str, Any]:
        """Machine, versions and digests of the data."""
        return self.run.environment()

    @property
    def part(self) -> str:
        """Part of `samples`: "test", "validation" or "training"; "evaluated" if unknown."""
        return str(self.result.get("evaluated_on", "evaluated"))

    @property
    def monitored(self) -> str:
        """Name of the part on which the ``val_`` values of the records were measured."""
        return self.run.measured_part()

    @property
    def is_image(self) -> bool:
        """Whether samples can be shown as images."""
        return self.image_shape is not None

    @property
    def image_shape(self) -> tuple[int, ...] | None:
        """Shape (height, width) or (height, width, 3) of a sample; None if it is not an image."""
        pre = self.model.preprocessing
        shape = None if pre is None else pre.image_shape
        drawable = shape is not None and (len(shape) == 2 or (len(shape) == 3 and shape[2] == 3))
        return shape if drawable else None

    @cached_property
    def outputs(self) -> tuple[str, ...]:
        """Names of the classes, labels or targets."""
        pre = self.model.preprocessing
        names = None if pre is None else pre.class_names or pre.target_names
        return tuple(names or (str(i) for i in range(self.model.layer_sizes[-1])))

    @cached_property
    def losses(self) -> Floats:
        """Loss of each sample, float64 of shape (samples,), as defined by `sample_losses`."""
        return sample_losses(self.model, self.evaluation, self.samples, threads=self.threads)

    @cached_property
    def true_values(self) -> Floats:
        """Targets of a regression in their units, float64 of shape (samples, targets)."""
        targets = np.asarray(self.samples.y, np.float64).reshape(self.predicted_values.shape)
        pre = self.model.preprocessing
        return targets if pre is None else pre.in_units(targets)

    @cached_property
    def predicted_values(self) -> Floats:
        """Predictions of a regression in units of the targets, shape (samples, targets)."""
        values = np.asarray(self.evaluation.predictions, np.float64)
        return values.reshape(len(values), -1)

    def pixels(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return samples as images, from 0 (black) to 255 (white).

        Parameters
        ----------
        rows : int64 array of shape (rows,)
            Indices of the samples.

        Returns
        -------
        uint8 array of shape (rows, height, width) or (rows, height, width, 3)
        """
        assert self.image_shape is not None
        x = self.samples.x[rows]
        if x.dtype != np.uint8:
            x = self._shades(x)
        return x.reshape(len(rows), *self.image_shape)

    def _shades(self, x: NDArray[Any]) -> NDArray[np.uint8]:
        values = original_inputs(x, self.model.preprocessing)
        low, high = self._range
        shades = np.clip((values - low) / (high - low) * 255, 0, 255)
        return np.rint(shades).astype(np.uint8)

    @cached_property
    def _range(self) -> tuple[float, float]:
        """Lowest and highest value of all samples, so that all images have the same scale."""
        x, pre = self.samples.x, self.model.preprocessing
        low = float(original_inputs(x.min(axis=0), pre).min())
        high = float(original_inputs(x.max(axis=0), pre).max())
        return low, high if high > low else low + 1


# ---------------------------------------------------------------- derived quantities


@dataclass(frozen=True)
class ConfusedPair:
    """The samples of one class that were assigned to another class."""

    true: int
    predicted: int
    count: float
    share: float  # relative to all samples of the true class
    example: int  # index of the sample with the highest loss


def sample_losses(
    model: MLP, evaluation: Evaluation, samples: Samples, *, threads: int | None = None
) -> Floats:
    """Return the loss of each sample, by which a report ranks samples.

    Parameters
    ----------
    model : MLP
    evaluation : Evaluation
        Measures of `model` on `samples`.
    samples : Samples
    threads : int, optional
        Worker threads; by default fastmlp chooses.

    Returns
    -------
    float64 array of shape (samples,)
        Classification with probabilities: minus the logarithm of the probability of the true class.
        Classification without: the highest score of a wrong class minus the score of the true one.
        Multilabel: the sum over the labels of minus the logarithm of their probability.
        Regression: the sum over the targets of the squared errors, in the scale of the network.
    """
    losses: Floats
    y = np.asarray(samples.y)
    if evaluation.task == "regression":
        outputs = np.asarray(model.predict(samples.x, threads=threads), np.float64)
        losses = np.square(outputs - y.reshape(outputs.shape)).sum(axis=1)
        return losses
    if evaluation.probabilities is None:
        return _margins(np.asarray(model.forward(samples.x, threads=threads), np.float64), y)
    probabilities = np.asarray(evaluation.probabilities, np.float64)
    with np.errstate(divide="ignore"):  # a probability of 0 has an infinite loss
        if evaluation.task == "multilabel":
            given = np.where(y.reshape(probabilities.shape) > 0.5, probabilities, 1 - probabilities)
            losses = -np.log(given).sum(axis=1)
        else:
            losses = -np.log(np.take_along_axis(probabilities, y[:, None], axis=1)[:, 0])
    return losses


def _margins(scores: Floats, y: Array) -> Floats:
    rows = np.arange(len(y))
    true = scores[rows, y]
    scores[rows, y] = -np.inf
    margins: Floats = scores.max(axis=1) - true
    return margins


def largest(values: Array, count: int) -> NDArray[np.int64]:
    """Return the indices of the `count` largest values, largest first; the sort is stable."""
    return np.argsort(-values, kind="stable")[:count]


def confused_pairs(
    confusion: NDArray[np.int64] | Floats, y: Array, predictions: Array, losses: Floats, count: int
) -> list[ConfusedPair]:
    """Return at most `count` pairs of classes, those confused most often first.

    Parameters
    ----------
    confusion : int64 or float64 array of shape (classes, classes)
        Confusion matrix, of counts or sums of weights; rows are true classes.
    y, predictions : int array of shape (samples,)
        True and predicted classes.
    losses : float64 array of shape (samples,)
        Losses of the samples; the example of a pair is its sample with the highest loss.
    count : int
        Largest number of pairs.
    """
    wrong = confusion - np.diag(np.diagonal(confusion))
    pairs = []
    for flat in largest(wrong.ravel(), count):
        true, predicted = divmod(int(flat), len(confusion))
        confused = wrong[true, predicted].item()
        if confused == 0:
            break
        samples = np.flatnonzero((y == true) & (predictions == predicted))
        example = int(samples[largest(losses[samples], 1)[0]])
        share = confused / float(confusion[true].sum())
        pairs.append(ConfusedPair(true, predicted, confused, share, example))
    return pairs


def input_norms(model: MLP) -> Floats:
    """Return the Euclidean norm of the first layer's weights of each feature, shape (features,).

    Factors of inputs count as parts of the weights; of members it is the mean square; of a feature
    that becomes several inputs it is the norm of all.
    """
    architecture, weights = model.architecture, np.asarray(model.weights[0], np.float64)
    squares = (weights**2).sum(axis=-1)
    scales = model.parameters().get("layers.0.input_scales")
    if scales is not None:
        squares = squares * scales.astype(np.float64) ** 2
    if squares.ndim > 1:
        squares = squares.mean(axis=0)
    if architecture.inputs:
        groups = architecture.inputs
        widths = np.repeat([g.width // g.columns for g in groups], [g.columns for g in groups])
        squares = np.add.reduceat(squares, np.cumsum(widths) - widths)
    norms: Floats = np.sqrt(squares)
    return norms


def original_inputs(x: Array, preprocessing: Preprocessing | None) -> Floats:
    """Return inputs of the network in the units of the data, without standardization."""
    if preprocessing is None:
        return np.asarray(x, np.float64)
    return preprocessing.original_inputs(x)


@dataclass(frozen=True)
class SourceColumn:
    """A column of the data; it is one input of the network, or one input per category."""

    name: str
    inputs: slice
    column: DataColumn | None = None

    @property
    def is_numeric(self) -> bool:
        """Whether its texts are numbers."""
        return self.column is None or isinstance(self.column, NumberColumn)

    def text(self, row: Floats) -> str:
        """Return the value of this column in a row of `original_inputs` as text."""
        values, column = row[self.inputs], self.column
        if isinstance(column, CategoryColumn):
            names = (*column.categories, "missing")
            # All inputs of an unknown category are 0, or nearly so after rounding; its code is -1.
            code = round(float(values[0])) if column.as_code else int(values.argmax())
            known = code >= 0 if column.as_code else values[code] > 0.5
            return names[code] if known else "-"
        if isinstance(column, (NumberColumn, DateColumn)) and column.indicator and values[-1] > 0.5:
            return "missing"
        if isinstance(column, DateColumn):
            minutes = round(float(values[0]) * 1440)  # in case the days were rounded to float32
            moment = datetime(1970, 1, 1) + timedelta(minutes=minutes)
            return moment.strftime("%Y-%m-%d %H:%M").removesuffix(" 00:00")
        return written(float(values[0]), 5)


def source_columns(features: int, preprocessing: Preprocessing | None) -> list[SourceColumn]:
    """Return the columns of the data from which the inputs are computed, in their order."""
    columns = preprocessing.columns if preprocessing is not None else None
    if columns is not None:
        found, start = [], 0
        for column in columns:
            stop = start + len(column.feature_names)
            found.append(SourceColumn(column.name, slice(start, stop), column))
            start = stop
        return found
    names = preprocessing.feature_names if preprocessing is not None else None
    names = names or tuple(f"input {i}" for i in range(features))
    return [SourceColumn(name, slice(i, i + 1)) for i, name in enumerate(names)]

"""The subject of a report: a run with its model and samples, and quantities derived from them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp import metrics
from fastmlp._cached_property import cached_property
from fastmlp.data import CategoryColumn, DateColumn, NumberColumn, Preprocessing, Samples
from fastmlp.data.columns import Column as DataColumn
from fastmlp.experiment.evaluation import Evaluation
from fastmlp.experiment.importance import Importance, affordable_samples, importance_of
from fastmlp.experiment.rundir import RunDirectory
from fastmlp.model import MLP
from fastmlp.plot.numbers import written

__all__ = [
    "ConfusedPair",
    "SourceColumn",
    "Subject",
    "confused_pairs",
    "largest",
    "original_inputs",
    "sample_losses",
    "source_columns",
]

Array = NDArray[Any]
Floats = NDArray[np.float64]

# Samples that are drawn for an interval, in all resamples.
_RESAMPLED = 2_000_000


@dataclass(frozen=True)
class Subject:
    """A run with its model, measured on `samples`."""

    run: RunDirectory
    model: MLP
    evaluation: Evaluation
    samples: Samples
    training: Samples | None = None
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

    @cached_property
    def baselines(self) -> list[dict[str, Any]]:
        """Simple predictions with their measures, as the run has recorded them."""
        return [one for one in self.result.get("baselines") or [] if one.get("metrics")]

    @cached_property
    def importance(self) -> Importance | None:
        """Importance of the columns on some samples; None for images, and if it takes too long."""
        if self.model.preprocessing is None or self.model.preprocessing.image_shape is not None:
            return None
        some = affordable_samples(self.model, self.samples)
        return None if some is None else importance_of(self.model, some, threads=self.threads)

    def interval(self, metric: str) -> tuple[float, float] | None:
        """Return the 95 % interval of a metric by resampling the samples; None if it has none."""
        evaluation, weight = self.evaluation, self.samples.weight
        if not np.isfinite(np.asarray(evaluation.predictions, np.float64)).all():
            return None
        regression = evaluation.task == "regression"
        truth = self.true_values if regression else np.asarray(self.samples.y)
        predicted = self.predicted_values if regression else evaluation.predictions
        try:
            low, high = metrics.bootstrap_interval(
                metric, evaluation.task, truth, predicted,
                probabilities=evaluation.probabilities, sample_weight=weight,
                resamples=int(np.clip(_RESAMPLED / len(self.samples), 100, 1000)),
            )  # fmt: skip
        except ValueError:  # too few samples, or classes that do not occur
            return None
        return (low, high) if np.isfinite([low, high]).all() and low < high else None

    def place_title(self) -> str:
        """Return what `place` tells: "Line", "Row" or "Index"."""
        source = self.samples.source
        return "Index" if source is None else "Line" if source.are_lines else "Row"

    def place(self, sample: int) -> str:
        """Return the line of a sample in its file, or else its index."""
        source = self.samples.source
        return str(sample if source is None else source.numbers[sample])

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
        """Return the value of this column in a row of `original_inputs` as text.

        The replacement of a missing value is in parentheses, as far as the inputs tell it.
        """
        values, column = row[self.inputs], self.column
        if isinstance(column, CategoryColumn):
            names = (*column.categories, "missing")
            # All inputs of an unknown category are 0, or nearly so after rounding; its code is -1.
            code = round(float(values[0])) if column.as_code else int(values.argmax())
            known = code >= 0 if column.as_code else values[code] > 0.5
            return names[code] if known else "-"
        shown = self._written(values)
        filled = isinstance(column, (NumberColumn, DateColumn)) and column.indicator
        return f"({shown})" if filled and values[-1] > 0.5 else shown

    def _written(self, values: Floats) -> str:
        if isinstance(self.column, DateColumn):
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
    names = names or tuple(f"x{i}" for i in range(features))
    return [SourceColumn(name, slice(i, i + 1)) for i, name in enumerate(names)]

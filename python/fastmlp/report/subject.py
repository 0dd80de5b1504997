"""The subject of a report: a run, its model, the samples it was measured on, and findings."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.data import Preprocessing, Samples
from fastmlp.experiment.evaluation import Evaluation
from fastmlp.experiment.rundir import RunDirectory
from fastmlp.model import MLP

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
        """Machine, versions, digests of the data."""
        return self.run.environment()

    @property
    def part(self) -> str:
        """The part `samples` are: "test", "validation" or "training"; "evaluated" if unknown."""
        return str(self.result.get("evaluated_on", "evaluated"))

    @property
    def monitored(self) -> str:
        """The part that ``val_`` values of the records were measured on."""
        return self.run.measured_part()

    @property
    def is_image(self) -> bool:
        """Whether samples can be shown as images."""
        return self.image_shape is not None

    @property
    def image_shape(self) -> tuple[int, ...] | None:
        """(height, width) or (height, width, 3); None if samples are no images."""
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
        """The loss of each sample, as `sample_losses` defines it."""
        return sample_losses(self.model, self.evaluation, self.samples, threads=self.threads)

    @cached_property
    def true_values(self) -> Floats:
        """Targets of a regression in their units, (samples, targets)."""
        targets = np.asarray(self.samples.y, np.float64).reshape(self.predicted_values.shape)
        pre = self.model.preprocessing
        return targets if pre is None else np.asarray(pre.decode(targets), np.float64)

    @cached_property
    def predicted_values(self) -> Floats:
        """Predictions of a regression in units of the targets, (samples, targets)."""
        values = np.asarray(self.evaluation.predictions, np.float64)
        return values.reshape(len(values), -1)

    def pixels(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Samples as images, 0 black and 255 white, (rows, height, width) or (..., 3)."""
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
        """Lowest and highest value of all samples, so that equal shades are equal values."""
        x, pre = self.samples.x, self.model.preprocessing
        low = float(original_inputs(x.min(axis=0), pre).min())
        high = float(original_inputs(x.max(axis=0), pre).max())
        return low, high if high > low else low + 1


# ---------------------------------------------------------------- findings


@dataclass(frozen=True)
class ConfusedPair:
    """The samples of one class that were assigned to another."""

    true: int
    predicted: int
    count: int
    share: float  # of the samples of the true class
    example: int  # index of the one with the highest loss


def sample_losses(
    model: MLP, evaluation: Evaluation, samples: Samples, *, threads: int | None = None
) -> Floats:
    """The loss of each sample, by which a report ranks them.

    Parameters
    ----------
    model : MLP
    evaluation : Evaluation
        Of `samples` by `model`.
    samples : Samples
    threads : int, optional

    Returns
    -------
    float64 array of shape (samples,)
        With probabilities, minus the logarithm of the probability of the true class, or the sum of
        these over the labels. With scores only, the best wrong score minus the true one. For a
        regression, the sum of squared errors over the targets, in the scale of the network.
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
    with np.errstate(divide="ignore"):  # a probability of 0 is an infinite loss
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
    """Indices of the `count` largest values, largest first; equal values keep their order."""
    return np.argsort(-values, kind="stable")[:count]


def confused_pairs(
    confusion: NDArray[np.int64], y: Array, predictions: Array, losses: Floats, count: int
) -> list[ConfusedPair]:
    """Return at most `count` pairs of classes, those confused most often first.

    Parameters
    ----------
    confusion : int64 array of shape (classes, classes)
        Rows are true classes.
    y, predictions : int array of shape (samples,)
    losses : float64 array of shape (samples,)
        The example of a pair is its sample with the highest loss.
    count : int
    """
    wrong = confusion - np.diag(np.diagonal(confusion))
    pairs = []
    for flat in largest(wrong.ravel(), count):
        true, predicted = divmod(int(flat), len(confusion))
        confused = int(wrong[true, predicted])
        if confused == 0:
            break
        samples = np.flatnonzero((y == true) & (predictions == predicted))
        example = int(samples[largest(losses[samples], 1)[0]])
        share = confused / int(confusion[true].sum())
        pairs.append(ConfusedPair(true, predicted, confused, share, example))
    return pairs


def input_norms(model: MLP) -> Floats:
    """Euclidean norm of each input's weights in the first layer, (features,)."""
    norms: Floats = np.linalg.norm(np.asarray(model.weights[0], np.float64), axis=1)
    return norms


def original_inputs(x: Array, preprocessing: Preprocessing | None) -> Floats:
    """The network's inputs in the units of the data, with standardization undone."""
    values = np.asarray(x, np.float64)
    if preprocessing is None or preprocessing.input_mean is None:
        return values
    assert preprocessing.input_scale is not None  # the two come together
    return values * preprocessing.input_scale + preprocessing.input_mean


@dataclass(frozen=True)
class SourceColumn:
    """A column of the data: one input of the network, or one for each of its categories."""

    name: str
    inputs: slice
    categories: tuple[str, ...] = ()

    def text(self, row: Floats) -> str:
        """The value in a row of `original_inputs`."""
        values = row[self.inputs]
        if self.categories:
            # A row whose unknown category was ignored has none of them.
            return self.categories[int(values.argmax())] if values.max() > 0 else "-"
        return f"{float(values[0]):.5g}"


def source_columns(features: int, preprocessing: Preprocessing | None) -> list[SourceColumn]:
    """The columns of the data behind the inputs of the network, in order."""
    columns = preprocessing.columns if preprocessing is not None else None
    if columns is not None:
        found, start = [], 0
        for column in columns:
            categories = column.categories or ()
            stop = start + (len(categories) or 1)
            found.append(SourceColumn(column.name, slice(start, stop), categories))
            start = stop
        return found
    names = preprocessing.feature_names if preprocessing is not None else None
    names = names or tuple(f"input {i}" for i in range(features))
    return [SourceColumn(name, slice(i, i + 1)) for i, name in enumerate(names)]

"""What a report finds in an evaluation: the worst samples, confused classes, inputs that weigh."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from fastmlp.data import Preprocessing, Samples
    from fastmlp.experiment.evaluation import Evaluation
    from fastmlp.model import MLP

__all__ = [
    "ConfusedPair",
    "SourceColumn",
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
class ConfusedPair:
    """Samples of one class that were taken for another."""

    true: int
    predicted: int
    count: int
    share: float  # of the samples of the true class
    example: int  # index of the one with the highest loss


def sample_losses(
    model: MLP, evaluation: Evaluation, samples: Samples, *, threads: int | None = None
) -> Floats:
    """How wrong each sample is, to rank them by.

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
        With probabilities: minus the logarithm of what the true class, or each true answer of
        several labels, was given. Scores without probabilities: the best wrong score minus the true
        one. Regression: the sum over the targets of squared errors, as the network sees them.
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
    """Indices of the `count` largest values, the first of equal ones first."""
    return np.argsort(-values, kind="stable")[:count]


def confused_pairs(
    confusion: NDArray[np.int64], y: Array, predictions: Array, losses: Floats, count: int
) -> list[ConfusedPair]:
    """Pairs of classes that are confused most often, at most `count`.

    Parameters
    ----------
    confusion : int64 array of shape (classes, classes)
        Rows are true classes.
    y, predictions : int array of shape (samples,)
    losses : float64 array of shape (samples,)
        The example of a pair is the sample with the highest of them.
    count : int
    """
    wrong = confusion - np.diag(np.diagonal(confusion))
    pairs = []
    for flat in largest(wrong.ravel(), count):
        true, predicted = divmod(int(flat), len(confusion))
        confused = int(wrong[true, predicted])
        if confused == 0:
            break
        members = np.flatnonzero((y == true) & (predictions == predicted))
        example = int(members[largest(losses[members], 1)[0]])
        share = confused / int(confusion[true].sum())
        pairs.append(ConfusedPair(true, predicted, confused, share, example))
    return pairs


def input_norms(model: MLP) -> Floats:
    """Euclidean norm of the first layer's weights of each input, (features,)."""
    norms: Floats = np.linalg.norm(np.asarray(model.weights[0], np.float64), axis=1)
    return norms


def original_inputs(x: Array, preprocessing: Preprocessing | None) -> Floats:
    """Rows of the network's inputs in the units of the data: standardisation taken back."""
    values = np.asarray(x, np.float64)
    if preprocessing is None or preprocessing.input_mean is None:
        return values
    assert preprocessing.input_scale is not None  # the two come together
    return values * preprocessing.input_scale + preprocessing.input_mean


@dataclass(frozen=True)
class SourceColumn:
    """A column of the data as people know it: one input, or the indicators of its categories."""

    name: str
    inputs: slice
    categories: tuple[str, ...] = ()

    def text(self, row: Floats) -> str:
        """The value in a row of `original_inputs`."""
        values = row[self.inputs]
        if self.categories:
            # An unknown category that was to be ignored is none of them.
            return self.categories[int(values.argmax())] if values.max() > 0 else "-"
        return f"{float(values[0]):.5g}"


def source_columns(features: int, preprocessing: Preprocessing | None) -> list[SourceColumn]:
    """What the inputs of the network stand for, in their order."""
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
